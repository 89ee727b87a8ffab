//! A command's output from the daemon's log, by a connection of its own: what a pane no longer holds, and
//! recordings.

use std::io::Write;
use std::path::Path;

use opsctl_client::{ConnState, Event};
use opsctl_protocol::message::{Since, Subscribe, ToDashboard};
use opsctl_protocol::{Channel, CommandId, OutputFrame, Pattern};

use crate::hand_over::{NewFile, not_written};

/// Reads a command's output from an offset on, up to another, which must exist. Cutting
/// pieces at the ends is for `take`, which may give an error to stop.
///
/// # Errors
/// Why not all of it could be read, for people.
pub(crate) async fn read(
    options: opsctl_client::Options,
    command: CommandId,
    from: u64,
    to: u64,
    mut take: impl FnMut(OutputFrame) -> Result<(), String>,
) -> Result<(), String> {
    let (client, mut events) = opsctl_client::start(options);
    let subscribe = Subscribe {
        channel: Pattern::exactly(&Channel::Command(command)),
        since: Some(Since {
            offset: Some(from),
            ..Since::default()
        }),
        lossless: true,
        no_output: false,
    };
    // The connection ends with the last of its handles, which this has.
    let mut subscribed = std::pin::pin!(async { client.subscribe(subscribe).await });
    let (mut answered, mut seen) = (false, from);
    while seen < to {
        let event = tokio::select! {
            biased;
            answer = &mut subscribed, if !answered => {
                answered = true;
                answer.map_err(|error| error.to_string())?;
                continue;
            }
            event = events.next() => event.ok_or("the connection was closed")?,
        };
        match event {
            Event::Output(frame) => {
                seen = frame.end();
                take(frame)?;
                // Keys and frames come in between.
                tokio::task::yield_now().await;
            }
            Event::Message(decoded) => {
                if let ToDashboard::Gap(gap) = decoded.message
                    && gap.command_id == command
                {
                    seen = gap.to;
                }
            }
            Event::State(ConnState::Refused { message, .. }) => return Err(message),
            Event::Dropped { error, .. } => return Err(error.message),
            Event::State(_) | Event::Transport(_) | Event::Connected(_) => {}
        }
    }
    Ok(())
}

/// Writes a command's output up to an offset with its times, in asciinema's format
/// (<https://docs.asciinema.org/manual/asciicast/v2/>), and tells from time to time how many bytes of it are written. The
/// result says how much, for people.
///
/// # Errors
/// What went wrong, for people. A file that is there already is left alone, and no part of one is left.
pub(crate) async fn record(
    options: opsctl_client::Options,
    command: CommandId,
    to: u64,
    size: (u16, u16),
    path: &Path,
    mut told: impl FnMut(u64),
) -> Result<String, String> {
    let failed = |error| not_written(path, &error);
    let mut cast = Cast::new(NewFile::create(path).map_err(failed)?, size);
    read(options, command, 0, to, |frame| {
        told(frame.end());
        cast.take(&frame).map_err(failed)
    })
    .await?;
    let (file, seconds) = cast.finish().map_err(failed)?;
    file.finish().map_err(failed)?;
    Ok(format!(
        "{seconds:.0} seconds of output are in {}",
        path.display()
    ))
}

/// A recording on its way to a file.
struct Cast<W> {
    out: W,
    size: (u16, u16),
    /// The time of the first piece, in milliseconds.
    start: Option<u64>,
    seconds: f64,
    /// The start of a character whose end is in the next piece.
    held: Vec<u8>,
    /// The last byte, to see whether a line feed has its carriage return: output of pipes has none.
    last: u8,
}

impl<W: Write> Cast<W> {
    fn new(out: W, size: (u16, u16)) -> Self {
        Self {
            out,
            size,
            start: None,
            seconds: 0.0,
            held: Vec::new(),
            last: 0,
        }
    }

    fn header(&mut self, start: u64) -> std::io::Result<()> {
        let (width, height) = self.size;
        let timestamp = start / 1000;
        let header = serde_json::json!({
            "version": 2, "width": width, "height": height, "timestamp": timestamp,
        });
        self.start = Some(start);
        writeln!(self.out, "{header}")
    }

    fn take(&mut self, frame: &OutputFrame) -> std::io::Result<()> {
        if self.start.is_none() {
            self.size = frame.size.unwrap_or(self.size);
            self.header(frame.time.0)?;
        } else if let Some((cols, rows)) = frame.size.filter(|size| *size != self.size) {
            self.size = (cols, rows);
            self.event(frame.time.0, "r", &format!("{cols}x{rows}"))?;
        }
        let mut bytes = std::mem::take(&mut self.held);
        for &byte in &frame.data {
            if byte == b'\n' && self.last != b'\r' {
                bytes.push(b'\r');
            }
            bytes.push(byte);
            self.last = byte;
        }
        let unfinished = match std::str::from_utf8(&bytes) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => bytes.len(),
        };
        self.held = bytes.split_off(unfinished);
        if bytes.is_empty() {
            return Ok(());
        }
        self.event(frame.time.0, "o", &String::from_utf8_lossy(&bytes))
    }

    fn event(&mut self, time: u64, kind: &str, data: &str) -> std::io::Result<()> {
        // An agent's clock may have been set back; a recording only goes forward.
        let passed = time.saturating_sub(self.start.unwrap_or(time)) as f64 / 1000.0;
        self.seconds = self.seconds.max(passed);
        writeln!(
            self.out,
            "{}",
            serde_json::json!([self.seconds, kind, data])
        )
    }

    /// Ends the recording: where it went, and how many seconds it has.
    fn finish(mut self) -> std::io::Result<(W, f64)> {
        if self.start.is_none() {
            self.header(0)?;
        }
        self.out.flush()?;
        Ok((self.out, self.seconds))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use opsctl_protocol::Timestamp;
    use opsctl_protocol::frame::Via;
    use opsctl_protocol::message::Kind;

    use super::*;

    #[test]
    fn a_recording_has_whole_characters_times_and_sizes() {
        let frame = |time, size, data: &[u8]| OutputFrame {
            command_id: CommandId([1; 16]),
            kind: Kind::Output,
            via: Via::Command,
            seq: 0,
            offset: 0,
            time: Timestamp(time),
            size,
            data: Bytes::copy_from_slice(data),
        };
        let mut out = Vec::new();
        let mut cast = Cast::new(&mut out, (80, 24));
        cast.take(&frame(5000, Some((90, 30)), b"a\n\xe7\x95"))
            .unwrap();
        cast.take(&frame(5500, Some((100, 30)), b"\x8c\x1b[m\r\n"))
            .unwrap();
        cast.take(&frame(5400, None, b"\xff")).unwrap();
        cast.finish().unwrap();
        let lines: Vec<serde_json::Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                serde_json::json!({"version": 2, "width": 90, "height": 30, "timestamp": 5}),
                serde_json::json!([0.0, "o", "a\r\n"]),
                serde_json::json!([0.5, "r", "100x30"]),
                serde_json::json!([0.5, "o", "界\u{1b}[m\r\n"]),
                serde_json::json!([0.5, "o", "\u{fffd}"]),
            ]
        );
    }
}
