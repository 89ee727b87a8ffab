//! `opsctl report`: a program tells what it is doing.

use anyhow::Result;
use clap::{Args, ValueEnum};
use opsctl_agent::Said;
use opsctl_protocol::message::Activity;

use crate::within::say;

/// Say what the program in this terminal is doing
///
/// For programs and their hooks, inside a terminal that opsctl holds. Everybody who watches sees it at once, and it goes
/// before whatever opsctl finds out by itself. It needs no token, and works while the agent or the daemon is away.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// What it is doing
    activity: Word,
    /// Why, in a few words: approval, tests fail
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The words that a program can say.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Word {
    /// It is busy
    Working,
    /// It waits for a person
    Blocked,
    /// It has nothing to do
    Idle,
    /// It has finished
    Done,
    /// It has failed
    Error,
    /// Take back what was said before
    Unknown,
}

/// Reports.
pub fn run(args: &ReportArgs) -> Result<u8> {
    let activity = match args.activity {
        Word::Working => Activity::Working,
        Word::Blocked => Activity::Blocked,
        Word::Idle => Activity::Idle,
        Word::Done => Activity::Done,
        Word::Error => Activity::Error,
        Word::Unknown => Activity::Unknown,
    };
    let reason = args
        .reason
        .clone()
        .filter(|reason| !reason.trim().is_empty());
    Ok(say(&Said::Activity { activity, reason })?)
}
