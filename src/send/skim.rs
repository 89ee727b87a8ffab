//! After Ctrl-C on a terminal that is behind: what waits is skipped, as a terminal does with the output of a local
//! program, and only its end is shown. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use opsctl_protocol::OutputFrame;

/// How much of the end is shown: a screen or two.
const END: usize = 16 * 1024;

/// When nothing came for this long, the screen has caught up.
const CAUGHT_UP: Duration = Duration::from_millis(50);

/// Output that is skipped but for its end.
#[derive(Debug)]
pub(super) struct Skim {
    /// The end so far, with the command that each piece belongs to.
    end: VecDeque<(usize, OutputFrame)>,
    /// Bytes in `end`.
    held: usize,
    /// Bytes that were skipped.
    skipped: u64,
    /// When something last came.
    last: Instant,
}

impl Skim {
    /// Begins with `skipped` bytes that were on their way to the screen.
    pub(super) fn new(skipped: u64, now: Instant) -> Self {
        Self {
            end: VecDeque::new(),
            held: 0,
            skipped,
            last: now,
        }
    }

    /// Takes a piece of a command's output.
    pub(super) fn push(&mut self, at: usize, mut frame: OutputFrame, now: Instant) {
        self.last = now;
        if frame.data.len() > END {
            let cut = frame.data.len() - END;
            frame.data = frame.data.slice(cut..);
            self.skipped += cut as u64;
        }
        self.held += frame.data.len();
        self.end.push_back((at, frame));
        while self.held > END
            && let Some((_, oldest)) = self.end.pop_front()
        {
            self.held -= oldest.data.len();
            self.skipped += oldest.data.len() as u64;
        }
    }

    /// When the screen has caught up, if nothing comes until then.
    pub(super) fn deadline(&self) -> Instant {
        self.last + CAUGHT_UP
    }

    /// How many bytes were skipped, and the end.
    pub(super) fn finish(self) -> (u64, VecDeque<(usize, OutputFrame)>) {
        (self.skipped, self.end)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use opsctl_protocol::frame::Via;
    use opsctl_protocol::message::Kind;
    use opsctl_protocol::{CommandId, Timestamp};

    use super::*;

    #[test]
    fn only_the_end_is_kept_and_every_byte_is_counted() {
        let now = Instant::now();
        let mut skim = Skim::new(7, now);
        let mut came = 7;
        for size in [END + 5, 100, END / 2, END / 2, 3] {
            came += size;
            let frame = OutputFrame {
                command_id: CommandId([0; 16]),
                kind: Kind::Output,
                via: Via::Command,
                seq: 0,
                offset: 0,
                time: Timestamp(0),
                size: None,
                data: Bytes::from(vec![b'x'; size]),
            };
            skim.push(0, frame, now);
        }
        assert_eq!(skim.deadline(), now + CAUGHT_UP);
        let (skipped, end) = skim.finish();
        let kept: usize = end.iter().map(|(_, frame)| frame.data.len()).sum();
        assert!(kept <= END && kept > 0);
        assert_eq!(skipped as usize + kept, came);
    }
}
