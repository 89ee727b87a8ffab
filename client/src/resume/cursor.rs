//! How far one command's output was seen.

use opsctl_protocol::OutputFrame;
use opsctl_protocol::message::State;

use super::tail;

/// How far one command's output was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The offset of the next byte that the program has not seen; unknown until the stream says where it starts.
    next: Option<u64>,
    /// Whether the daemon has answered the subscription on this connection; what comes before belongs to an older one.
    live: bool,
    /// The state that the program was told last.
    told: Option<State>,
    /// Each connection begins with the screen, to be drawn anew.
    screen: bool,
}

impl Cursor {
    /// A stream that the program asked for, from an offset where it named one.
    pub(super) fn asked(from: Option<u64>) -> Self {
        Self {
            next: from,
            live: false,
            told: None,
            screen: false,
        }
    }

    /// A screen that is drawn anew on each connection.
    pub(super) fn screen() -> Self {
        Self {
            screen: true,
            ..Self::asked(None)
        }
    }

    /// The offset to resume from.
    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    pub(super) fn disconnected(&mut self) {
        self.live = false;
        if self.screen {
            self.next = None;
        }
    }

    /// The daemon starts the stream, at `offset` where it says so.
    pub(super) fn subscribed(&mut self, offset: Option<u64>) {
        self.live = true;
        self.next = self.next.or(offset);
    }

    /// A piece of output: what of it is new.
    pub(super) fn take(&mut self, mut frame: OutputFrame) -> Option<OutputFrame> {
        if !self.live {
            return None;
        }
        let next = self.next.unwrap_or(frame.offset);
        let end = frame.end();
        // A piece without bytes tells the terminal's size at an offset; it is old only when bytes after it were seen.
        if end < next || (end == next && !frame.data.is_empty()) {
            return None;
        }
        if frame.offset < next {
            frame.data = tail(&frame.data, next - frame.offset);
            frame.offset = next;
        }
        self.next = Some(end);
        Some(frame)
    }

    /// A state of the command: whether it is news. After a reconnect older pushes come again, and a command only ever
    /// goes forward, except that one which its agent never got goes back to the queue.
    pub(super) fn status(&mut self, state: State) -> bool {
        let back_to_queue = (self.told, state) == (Some(State::Delivered), State::Queued);
        let news =
            self.live && (back_to_queue || self.told.is_none_or(|told| rank(told) <= rank(state)));
        if news {
            self.told = Some(state);
        }
        news
    }

    /// Output up to `to` won't come. Whether that is news.
    pub(super) fn gap(&mut self, to: u64) -> bool {
        let news = self.live && self.next.is_none_or(|next| next < to);
        if news {
            self.next = Some(to);
        }
        news
    }

    /// The screen at `offset` stands for everything before. What follows it is drawn on it, even bytes seen before.
    pub(super) fn snapshot(&mut self, offset: u64) -> bool {
        if self.live {
            self.next = Some(offset);
        }
        self.live
    }
}

/// How far along a state is.
fn rank(state: State) -> u8 {
    match state {
        State::Queued => 0,
        State::Delivered => 1,
        State::Running => 2,
        _ => 3,
    }
}
