//! Why a command that is followed is silent: when nothing has come for a while the daemon is asked whether its disk is full,
//! for then running programs wait, and with them whoever follows.

use std::time::Duration;

use opsctl_client::Client;
use opsctl_protocol::message::{DaemonQuery, ToDashboard};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How long nothing comes before the daemon is asked, and then asked again. Short against a person's patience, and a small
/// question against what a daemon answers in that time.
const SILENCE: Duration = Duration::from_secs(5);

/// What is said when the disk is no longer full.
const OVER: &str = "the daemon has room again";

/// Watches the silence of what is followed.
pub struct Stalled {
    client: Client,
    /// When the daemon is asked next.
    ask_at: Instant,
    /// The question that is under way.
    asked: JoinSet<Option<String>>,
    /// The trouble that was told of last, until it is over.
    told: Option<String>,
}

impl Stalled {
    /// From now on.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            ask_at: Instant::now() + SILENCE,
            asked: JoinSet::new(),
            told: None,
        }
    }

    /// Something has come.
    pub fn heard(&mut self) {
        self.ask_at = Instant::now() + SILENCE;
    }

    /// What is to be said, once there is something. May be dropped and called again at any time.
    pub async fn news(&mut self) -> String {
        loop {
            if self.asked.is_empty() {
                sleep_until(self.ask_at).await;
                let client = self.client.clone();
                self.asked.spawn(async move { trouble(&client).await });
            }
            let answer = self.asked.join_next().await;
            self.heard();
            let trouble = answer.and_then(Result::ok).flatten();
            if let Some(text) = change(&mut self.told, trouble) {
                return text;
            }
        }
    }
}

/// What is said of an answer; nothing where it is what was `told` before.
fn change(told: &mut Option<String>, trouble: Option<String>) -> Option<String> {
    if trouble == *told {
        return None;
    }
    let text = trouble.as_ref().map_or_else(
        || OVER.to_owned(),
        |trouble| format!("nothing comes because the daemon waits: {trouble}"),
    );
    *told = trouble;
    Some(text)
}

/// What keeps the daemon from taking output. A daemon that doesn't know the question, or is away, has said nothing.
async fn trouble(client: &Client) -> Option<String> {
    match client.request(DaemonQuery {}).await {
        Ok(ToDashboard::DaemonStatus(status)) => status.log.trouble,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_once_and_so_is_its_end() {
        let mut told = None;
        assert_eq!(change(&mut told, None), None);
        let text = change(&mut told, Some("no room".to_owned())).unwrap();
        assert!(text.ends_with("no room"), "{text}");
        assert_eq!(change(&mut told, Some("no room".to_owned())), None);
        assert_eq!(change(&mut told, None).unwrap(), OVER);
    }
}
