//! The host's clock, and that it may be set back: spans that are being waited for must not grow by that.

use std::time::Duration;

use opsctl_protocol::Timestamp;

use super::Hub;

impl Hub {
    /// It is `now`.
    pub(super) fn look_at_clock(&mut self, now: Timestamp) {
        let back = self.now.0.saturating_sub(now.0);
        self.now = now;
        if back > 0 {
            self.set_back(Duration::from_millis(back));
        }
    }

    /// What waits for a span to pass goes on as if it had begun that much earlier by the clock. Points in time that
    /// somebody asked for, as the end of a time to live, stay as they are.
    fn set_back(&mut self, by: Duration) {
        self.unsaved_since = self.unsaved_since.map(|since| earlier(since, by));
        self.seen_saved = earlier(self.seen_saved, by);
        for command in self.commands.values_mut() {
            command.doing.set_back(by);
            command.typing.set_back(by);
        }
        for message in self.messages.values_mut() {
            message.set_back(by);
        }
        for due in [
            &mut self.doing_due,
            &mut self.typing_due,
            &mut self.drafts_due,
        ] {
            *due = std::mem::take(due)
                .into_iter()
                .map(|(at, command_id)| (earlier(at, by), command_id))
                .collect();
        }
    }
}

/// A point in time so much before another.
pub(super) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Timestamp(at.0.saturating_sub(by))
}
