//! What opsctl is compared with.
//!
//! - [`ssh`]: OpenSSH over a connection that is already there.
//! - [`salt`]: a Salt master with ten minions.
//! - [`tmux`]: a program in a tmux session.

pub mod salt;
pub mod ssh;
pub mod tmux;
