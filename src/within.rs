//! What `report`, `notify` and `task` share: they run inside a terminal that opsctl holds, and tell its holder something.
//! They need no daemon, no token and no settings, and never hang.

use std::path::PathBuf;

use opsctl_agent::{REPORT_VARIABLE, Said, TellError, tell};

use crate::exit_code::{ExitCode, Failure};

/// Tells whoever holds this terminal.
///
/// # Errors
/// This is no terminal of opsctl's, or what held it is gone or does not answer.
pub fn say(said: &Said) -> Result<u8, Failure> {
    let Some(socket) = std::env::var_os(REPORT_VARIABLE).filter(|value| !value.is_empty()) else {
        return Err(Failure::new(
            ExitCode::NotInside,
            format!("this does not run under opsctl: {REPORT_VARIABLE} is not set"),
        )
        .hint(
            "run the program with `opsctl send AGENT --pty -- PROGRAM` or `opsctl agent -- PROGRAM`;\nin a hook that also runs elsewhere, add `|| true`",
        ));
    };
    match tell(&PathBuf::from(socket), said) {
        Ok(()) => Ok(ExitCode::Ok.into()),
        Err(error @ TellError::Refused(_)) => {
            Err(Failure::new(ExitCode::General, error.to_string()))
        }
        Err(error) => Err(
            Failure::new(ExitCode::NotInside, error.to_string()).hint(format!(
                "{REPORT_VARIABLE} names a command that has ended, or that is stopped"
            )),
        ),
    }
}
