//! What a program tells of itself, from within: `opsctl report`, `notify` and `task` connect to the socket that
//! `OPSCTL_REPORT` names, write one line of JSON and read one line of answer. The holder listens there, so that a report
//! finds somebody whether the agent lives or not.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{Activity, Notification, TaskStatus};
use serde::{Deserialize, Serialize};

use crate::socket;

/// The variable that names the socket to a program.
pub const REPORT_VARIABLE: &str = "OPSCTL_REPORT";

/// The socket's name within the holder's directory.
pub(crate) const REPORT_SOCKET: &str = "report";

/// The longest line that the socket takes: the largest notification, each byte escaped by JSON.
pub(crate) const MAX_LINE: u64 = 64 * 1024;

/// The longest reason, title or task status; the rest is cut off.
const MAX_WORDS: usize = 256;

/// The longest message of a notification; the rest is cut off.
const MAX_MESSAGE: usize = 8 * 1024;

/// How long the holder is waited for. It answers at once, unless something has stopped it; a hook must not hang on that.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the holder answers to what it has taken.
pub(crate) const TAKEN: &str = "ok";

/// What a program tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Said {
    /// What it is doing.
    Activity {
        /// The word; `unknown` takes back what was said before.
        activity: Activity,
        /// Why, in a few words for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something that a person should notice.
    Notification(Notification),
    /// How a task stands.
    TaskStatus(TaskStatus),
}

impl Said {
    /// The same with every text within its bound.
    #[must_use]
    pub(crate) fn bounded(mut self) -> Self {
        match &mut self {
            Self::Activity { reason, .. } => {
                if let Some(reason) = reason {
                    cut(reason, MAX_WORDS);
                }
            }
            Self::Notification(notification) => {
                cut(&mut notification.title, MAX_WORDS);
                cut(&mut notification.message, MAX_MESSAGE);
            }
            Self::TaskStatus(status) => cut(&mut status.status, MAX_WORDS),
        }
        self
    }
}

/// Cuts a text off, with an ellipsis, so that it has at most so many bytes.
fn cut(text: &mut String, most: usize) {
    const ELLIPSIS: &str = "…";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - ELLIPSIS.len()));
        text.push_str(ELLIPSIS);
    }
}

/// What a program said last about what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// The word.
    pub(crate) activity: Activity,
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// Since when it says so, by this host's clock.
    pub(crate) since: Timestamp,
}

/// Why something could not be told.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// There is no holder any more.
    #[error("what held this terminal is gone ({})", path.display())]
    Gone {
        /// Its socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The holder does not answer.
    #[error("what holds this terminal does not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// The holder refuses it.
    #[error("{0}")]
    Refused(String),
    /// The connection broke.
    #[error("the connection to what holds this terminal broke")]
    Broken(#[source] io::Error),
}

/// Tells the holder that listens at `socket`. Returns within about a second, whatever the holder does.
pub fn tell(socket: &Path, said: &Said) -> Result<(), TellError> {
    let (answer, answered) = mpsc::channel();
    let (path, said) = (socket.to_owned(), said.clone());
    // Connecting to a socket whose listener is stopped can wait without end, and takes no timeout: a thread that waits
    // dies with the process.
    std::thread::spawn(move || {
        // Who asked has given up.
        let _ = answer.send(exchange(&path, &said));
    });
    answered
        .recv_timeout(PATIENCE)
        .unwrap_or(Err(TellError::Silent))
}

fn exchange(path: &Path, said: &Said) -> Result<(), TellError> {
    let mut stream = connect(path).map_err(|source| TellError::Gone {
        path: path.to_owned(),
        source,
    })?;
    let mut line = serde_json::to_vec(said).map_err(|error| TellError::Broken(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(TellError::Broken)?;
    let mut answer = String::new();
    BufReader::new(stream.take(MAX_LINE))
        .read_line(&mut answer)
        .map_err(TellError::Broken)?;
    match answer.trim_end() {
        TAKEN => Ok(()),
        "" => Err(TellError::Broken(io::ErrorKind::UnexpectedEof.into())),
        why => Err(TellError::Refused(why.to_owned())),
    }
}

fn connect(path: &Path) -> io::Result<UnixStream> {
    let no_socket = || io::Error::from(io::ErrorKind::InvalidInput);
    let dir = path.parent().ok_or_else(no_socket)?;
    let name = path.file_name().ok_or_else(no_socket)?;
    let stream = socket::connect(dir, name)?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_between_letters() {
        let said = Said::Activity {
            activity: Activity::Blocked,
            reason: Some("ä".repeat(1000)),
        };
        let Said::Activity {
            reason: Some(reason),
            ..
        } = said.bounded()
        else {
            panic!("it has a reason")
        };
        assert!(
            reason.len() <= MAX_WORDS && reason.ends_with("ä…"),
            "{reason}"
        );
    }

    #[test]
    fn nobody_there_is_an_error_and_no_wait() {
        let dir = tempfile::tempdir().unwrap();
        let said = Said::Activity {
            activity: Activity::Idle,
            reason: None,
        };
        let told = tell(&dir.path().join(REPORT_SOCKET), &said);
        assert!(matches!(told, Err(TellError::Gone { .. })), "{told:?}");
    }
}
