//! What every subcommand is given: the settings as they finally are, and what follows from them.

use std::io::{IsTerminal, Write};

use anyhow::Result;
use opsctl_client::{self as client, Transport};
use opsctl_link::{Endpoint, Target};
use opsctl_protocol::message::ErrorCode;

use crate::exit_code::{ExitCode, Failure};
use crate::settings::Settings;

/// What every subcommand is given.
pub struct Context {
    /// Flags, environment and file, already merged.
    pub settings: Settings,
    /// The same read anew, for a daemon that is told to.
    pub reload: Box<dyn Fn() -> Result<Settings>>,
}

impl Context {
    /// Where the daemon is and how to be let in.
    ///
    /// # Errors
    /// The token file cannot be read, or the socket's directory is not to be trusted.
    pub fn target(&self) -> Result<Target> {
        if self.settings.client.url.0.is_none() {
            self.settings.check_socket_dir()?;
        }
        Ok(Target {
            endpoint: self.settings.endpoint(),
            token: self.settings.token()?,
            connect_timeout: self.settings.client.connect_timeout.0,
        })
    }

    /// What [`client::start`] needs; `command` is the subcommand's name, for other people's screens.
    ///
    /// # Errors
    /// The token file cannot be read.
    pub fn client(&self, command: &str) -> Result<client::Options> {
        Ok(client::Options {
            websocket_retry: self.settings.client.websocket_retry.0,
            tell: Some(tell),
            ..client::Options::new(self.target()?, format!("opsctl {command}"))
        })
    }

    /// The failure of a command that the daemon does not let in.
    pub fn not_let_in(&self, code: Option<ErrorCode>, message: String) -> Failure {
        if code == Some(ErrorCode::TokenMissing) {
            let why = format!("{} asks for a token", self.settings.endpoint());
            return Failure::new(ExitCode::NotAllowed, why).hint(
                "`opsctl token issue` on the daemon's host prints one; name its file with --token-file or OPSCTL_TOKEN_FILE",
            );
        }
        Failure::new(
            code.map_or(ExitCode::NotAllowed, ExitCode::of_refusal),
            message,
        )
    }

    /// The failure of a command that finds no daemon, with what to do about it.
    pub fn unreachable(&self, why: &str) -> Failure {
        let failure = Failure::new(
            ExitCode::Unreachable,
            format!("cannot reach the daemon: {why}"),
        );
        match self.settings.endpoint() {
            Endpoint::Unix(_) => {
                failure.hint("`opsctl up` starts one on this host; OPSCTL_URL names one elsewhere")
            }
            url @ Endpoint::Url(_) => failure.hint(format!(
                "is it running, and is {url} its address? See --url and OPSCTL_URL"
            )),
        }
    }
}

/// Says on stderr how messages travel from now on.
fn tell(transport: &Transport) {
    let stderr = std::io::stderr();
    // A terminal may be in raw mode just now, where a line's end alone doesn't return to its beginning.
    let end = if stderr.is_terminal() { "\r\n" } else { "\n" };
    // Whoever has closed it doesn't want to know.
    let _ = write!(stderr.lock(), "opsctl: {transport}{end}");
}
