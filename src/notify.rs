//! `opsctl notify`: a program has something that a person should notice.

use anyhow::Result;
use clap::{Args, ValueEnum};
use opsctl_agent::Said;
use opsctl_protocol::message::{Notification, Priority};

use crate::within::say;

/// Tell everybody who watches something
///
/// For programs and their hooks, inside a terminal that opsctl holds. It is kept until the daemon has it.
#[derive(Debug, Args)]
pub struct NotifyArgs {
    /// What to say
    message: String,
    /// One line above it
    #[arg(long)]
    title: Option<String>,
    /// How much it matters
    #[arg(long, default_value = "normal")]
    priority: Level,
}

/// How much a notification matters.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Low,
    Normal,
    High,
    Urgent,
}

/// Notifies.
pub fn run(args: &NotifyArgs) -> Result<u8> {
    let (title, message) = match args.title.clone() {
        Some(title) => (title, args.message.clone()),
        // One line is title enough.
        None => (args.message.clone(), String::new()),
    };
    let priority = match args.priority {
        Level::Low => Priority::Low,
        Level::Normal => Priority::Normal,
        Level::High => Priority::High,
        Level::Urgent => Priority::Urgent,
    };
    Ok(say(&Said::Notification(Notification {
        title,
        message,
        priority,
    }))?)
}
