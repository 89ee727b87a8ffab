//! `opsctl task`: a program tells how a task stands.

use anyhow::Result;
use clap::Args;
use opsctl_agent::Said;
use opsctl_protocol::Channel;
use opsctl_protocol::message::TaskStatus;

use crate::exit_code::{ExitCode, Failure};
use crate::within::say;

/// Say how a task stands
///
/// For programs and their hooks, inside a terminal that opsctl holds. It is pushed on the channel task:ID, and kept until the
/// daemon has it.
#[derive(Debug, Args)]
pub struct TaskArgs {
    /// Which task
    id: String,
    /// How it stands, in your own words: open, in review, done
    status: String,
}

/// Tells.
pub fn run(args: &TaskArgs) -> Result<u8> {
    if format!("task:{}", args.id).parse::<Channel>().is_err() {
        let why = format!("{:?} cannot be a task's id", args.id);
        return Err(Failure::new(ExitCode::Usage, why)
            .hint("1 to 128 bytes, without `*`")
            .into());
    }
    Ok(say(&Said::TaskStatus(TaskStatus {
        task_id: args.id.clone(),
        status: args.status.clone(),
    }))?)
}
