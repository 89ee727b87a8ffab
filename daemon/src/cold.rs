//! A command that is not in memory, made readable: a channel of its own with the end of its output from the log.

use std::sync::Arc;

use opsctl_protocol::message::{CommandStatus, CommandSummary};
use opsctl_protocol::{Channel, Timestamp, ToDashboard};

use crate::fanout::channel::Body;
use crate::fanout::{Piece, Stream};
use crate::log::{Log, LogError};
use crate::ring::Bounds;
use crate::store::CommandRow;

/// The channel of a command as the hub would have it: as much output as `bounds` permits (none with no bytes), and the
/// end of a command that has ended.
pub async fn stream(
    log: &Log,
    row: &CommandRow,
    epoch: Arc<str>,
    bounds: Bounds,
) -> Result<Stream, LogError> {
    let summary = &row.summary;
    let channel = Channel::Command(summary.command_id);
    let stream = Stream::new(channel, epoch, Some(summary.agent_id.clone()), bounds)
        .of_command(summary.pty, summary.output_bytes);
    if !summary.state.is_final() {
        // Whoever comes back has perhaps not heard that it runs, and waits for that to send input.
        let status = ToDashboard::Status(CommandStatus::of(summary));
        stream.push(Body::Message(Arc::new(status)), Timestamp::now());
    }
    if bounds.bytes > 0 {
        fill(log, summary, &stream, bounds).await?;
    }
    if summary.state.is_final() {
        stream.push(
            Body::Message(Arc::new(ToDashboard::Status(CommandStatus::of(summary)))),
            Timestamp::now(),
        );
    }
    Ok(stream)
}

async fn fill(
    log: &Log,
    summary: &CommandSummary,
    stream: &Stream,
    bounds: Bounds,
) -> Result<(), LogError> {
    let Some(tail) = log
        .tail_offset(summary.command_id, bounds.lines as u64)
        .await?
    else {
        return Ok(());
    };
    let from = tail.max(summary.output_bytes.saturating_sub(bounds.bytes as u64));
    let mut reader = log.read(summary.command_id, from);
    while let Some(record) = reader.next().await? {
        let piece = Piece {
            agent_id: summary.agent_id.clone(),
            command_id: summary.command_id,
            offset: record.offset,
            kind: record.kind,
            time: record.time,
            size: record.size,
            data: record.data,
        };
        stream.push(Body::Output(Arc::new(piece)), record.time);
    }
    Ok(())
}
