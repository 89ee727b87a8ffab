//! What the last line tells: one thing after another, so that nothing that went wrong is gone before it could be read.

use opsctl_protocol::Timestamp;

use super::State;

/// How long a notice stays, in milliseconds.
const NOTICE_MS: u64 = 6000;

/// How long an error stays when another notice waits for its place, in milliseconds: time to read a line.
const UNREAD_MS: u64 = 2000;

/// Notices that may wait. The oldest of more go untold here; all are in the view Activity.
const WAITING: usize = 8;

/// News in the last line.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What is new.
    pub text: String,
    /// Whether something went wrong.
    pub is_error: bool,
    /// Since when it is told.
    since: Timestamp,
    /// When it goes away.
    pub until: Timestamp,
}

impl State {
    pub(super) fn notify(&mut self, text: impl Into<String>, is_error: bool) {
        let text = text.into();
        self.log_notice(&text, is_error);
        self.tell(text, is_error);
    }

    /// Tells what is in the log already, or needn't be there.
    pub(super) fn tell(&mut self, text: String, is_error: bool) {
        let until = Timestamp(self.now.0 + NOTICE_MS);
        let notice = Notice {
            text,
            is_error,
            since: self.now,
            until,
        };
        if self.is_unread() {
            self.notices.push_back(notice);
            if self.notices.len() > WAITING {
                self.notices.pop_front();
            }
        } else {
            self.notice = Some(notice);
        }
    }

    /// Whether what is told went wrong and was there too shortly to be read.
    fn is_unread(&self) -> bool {
        let told = |notice: &Notice| self.now.0 < notice.since.0 + UNREAD_MS;
        self.notice
            .as_ref()
            .is_some_and(|notice| notice.is_error && told(notice))
    }

    /// Goes on to the next notice when it is time.
    pub(super) fn turn_notices(&mut self) {
        self.notice.take_if(|notice| notice.until <= self.now);
        if !self.is_unread()
            && let Some(mut next) = self.notices.pop_front()
        {
            next.since = self.now;
            next.until = Timestamp(self.now.0 + NOTICE_MS);
            self.notice = Some(next);
        }
    }

    /// What was said about the connection's trouble is over with it, once it could be read. News are of something else.
    pub(super) fn calm_down(&mut self) {
        self.get_over();
        self.turn_notices();
    }

    /// What went wrong is told no longer than it takes to read it: who types on, and is heard, knows that it is over.
    pub(super) fn get_over(&mut self) {
        let wrong = self.notice.as_mut().filter(|notice| notice.is_error);
        if let Some(notice) = wrong {
            let read = Timestamp(notice.since.0 + UNREAD_MS).max(self.now);
            notice.until = notice.until.min(read);
        }
    }

    /// When the notice goes away, or makes place.
    pub(super) fn notice_change(&self) -> Option<Timestamp> {
        let Notice { since, until, .. } = *self.notice.as_ref()?;
        if self.notices.is_empty() {
            Some(until)
        } else {
            Some(until.min(Timestamp(since.0 + UNREAD_MS)))
        }
    }
}
