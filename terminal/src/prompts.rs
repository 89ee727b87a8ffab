//! Where the shell's prompts stand: a shell with shell integration marks them by `OSC 133 ; A`, which
//! the parser passes over.

use std::collections::VecDeque;

use memchr::memmem;

/// What stands where a prompt starts; parameters may follow.
const MARK: &[u8] = b"\x1b]133;A";

/// Prompts that are remembered; then the oldest are forgotten.
const LIMIT: usize = 10_000;

/// Prompts by their line's number, counted from the first line that ever was.
#[derive(Debug, Default)]
pub(crate) struct Prompts {
    lines: VecDeque<u64>,
}

impl Prompts {
    /// Where the first mark in `bytes` ends, after the unfinished sequence `tail`.
    pub(crate) fn find(tail: &[u8], bytes: &[u8]) -> Option<usize> {
        let begun = tail.len();
        if (1..MARK.len()).contains(&begun) && MARK.starts_with(tail) {
            let rest = MARK.len() - begun;
            if bytes.starts_with(&MARK[begun..]) {
                return Some(rest);
            }
        }
        memmem::find(bytes, MARK).map(|at| at + MARK.len())
    }

    /// A prompt starts in this line.
    pub(crate) fn mark(&mut self, line: u64) {
        // Drawing it anew, or wiping what is below it, goes back to where one was before.
        while self.lines.back().is_some_and(|last| *last >= line) {
            self.lines.pop_back();
        }
        self.lines.push_back(line);
        if self.lines.len() > LIMIT {
            self.lines.pop_front();
        }
    }

    /// Forgets them: other lines have these numbers now.
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
    }

    /// The lines from `oldest` on that have a prompt, the oldest first.
    pub(crate) fn since(&self, oldest: u64) -> impl Iterator<Item = u64> {
        let start = self.lines.partition_point(|line| *line < oldest);
        self.lines.range(start..).copied()
    }
}
