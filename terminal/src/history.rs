//! Lines that have scrolled out of the screen, packed.
//!
//! A cell of the emulator takes 24 bytes; here a line takes about as many bytes as its text, and a
//! few for each change of its look. Lines lie in blocks, so that the oldest are given up cheaply.

mod pack;
mod reflow;

use std::collections::VecDeque;

use alacritty_terminal::grid::Row as GridRow;
use alacritty_terminal::term::cell::Cell as GridCell;

pub(crate) use reflow::fill_history;

/// Bytes of a block. Large enough that few are needed, small enough that giving one up for the bound
/// on bytes takes little away.
const BLOCK: usize = 32 * 1024;

/// Bytes that a line is counted with where only lines are asked for: 200 columns with two bytes each
/// for a character and 100 for colours.
const LINE: usize = 500;

/// How much scrollback is kept; what is over loses its oldest lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Lines.
    pub lines: usize,
    /// Bytes, counted by whole blocks: there is always room for the newest.
    pub bytes: usize,
}

impl Limit {
    /// So many lines, and about as many bytes as they take if they are wide and coloured.
    pub const fn lines(lines: usize) -> Self {
        Self {
            lines,
            bytes: lines * LINE + BLOCK,
        }
    }
}

/// Lines that have scrolled out of the screen, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct History {
    blocks: VecDeque<Block>,
    limit: Limit,
    /// Columns of the lines.
    cols: usize,
    /// The number that the next line will have, counted from the first that ever came.
    next: usize,
}

/// Packed lines that follow each other.
#[derive(Clone, Debug, Default, PartialEq)]
struct Block {
    /// The number of the first line in `ends`.
    number: usize,
    bytes: Vec<u8>,
    /// Where each line ends in `bytes`.
    ends: Vec<u32>,
    /// Lines at the start that were given up.
    gone: usize,
}

impl Block {
    fn line(&self, at: usize) -> &[u8] {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[at] as usize]
    }

    fn size(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

impl History {
    /// Keeps lines of `cols` cells.
    pub(crate) fn new(cols: usize, limit: Limit) -> Self {
        Self {
            blocks: VecDeque::new(),
            limit,
            cols,
            next: 0,
        }
    }

    /// Lines that are kept.
    pub(crate) fn len(&self) -> usize {
        let first = self.blocks.front().map(|block| block.number + block.gone);
        first.map_or(0, |first| self.next - first)
    }

    /// Whether lines are kept at all.
    pub(crate) fn keeps(&self) -> bool {
        self.limit.lines > 0
    }

    /// Bytes that the lines take.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.iter().map(Block::size).sum()
    }

    pub(crate) fn limit(&self) -> Limit {
        self.limit
    }

    /// Keeps more or less from now on.
    pub(crate) fn set_limit(&mut self, limit: Limit) {
        self.limit = limit;
        self.seal();
        self.enforce();
    }

    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
    }

    /// Adds a line as the newest.
    pub(crate) fn push(&mut self, row: &GridRow<GridCell>) {
        self.add(|bytes| pack::pack(row, bytes));
    }

    /// Adds a line that is packed already.
    fn push_packed(&mut self, line: &[u8]) {
        self.add(|bytes| bytes.extend_from_slice(line));
    }

    #[inline]
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.limit.lines == 0 {
            return;
        }
        if self
            .blocks
            .back()
            .is_none_or(|block| block.bytes.len() >= BLOCK)
        {
            self.seal();
            self.blocks.push_back(Block {
                number: self.next,
                ..Block::default()
            });
            self.enforce();
        }
        let Some(block) = self.blocks.back_mut() else {
            return;
        };
        write(&mut block.bytes);
        block.ends.push(block.bytes.len() as u32);
        self.next += 1;
        if self.len() > self.limit.lines {
            self.forget_oldest();
        }
    }

    /// Gives back what the newest block has reserved, when nothing will be added to it.
    fn seal(&mut self) {
        if let Some(block) = self.blocks.back_mut() {
            block.bytes.shrink_to_fit();
            block.ends.shrink_to_fit();
        }
    }

    /// Gives up what is over the limit.
    fn enforce(&mut self) {
        let mut bytes = self.bytes();
        while bytes > self.limit.bytes && self.blocks.len() > 1 {
            bytes -= self.blocks.pop_front().map_or(0, |block| block.size());
        }
        while self.len() > self.limit.lines {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(block) = self.blocks.front_mut() {
            block.gone += 1;
            if block.gone == block.ends.len() {
                self.blocks.pop_front();
            }
        }
    }

    /// Takes the newest line back.
    pub(crate) fn pop(&mut self) -> Option<GridRow<GridCell>> {
        let cols = self.cols;
        let block = self.blocks.back_mut()?;
        let last = block.ends.len() - 1;
        let row = pack::unpack(block.line(last), cols);
        block.ends.pop();
        let end = block.ends.last().map_or(0, |end| *end as usize);
        block.bytes.truncate(end);
        self.next -= 1;
        if block.gone == block.ends.len() {
            self.blocks.pop_back();
        }
        Some(row)
    }

    /// Changes the last cell of the newest line.
    pub(crate) fn change_newest(&mut self, change: impl FnOnce(&mut GridCell)) {
        if let Some(mut row) = self.pop() {
            if let Some(cell) = row.last_mut() {
                change(cell);
            }
            self.push(&row);
        }
    }

    /// Adds older lines before those that are kept, of which the first `skip` are given up for them.
    pub(crate) fn put_before(&mut self, mut older: Self, skip: usize) {
        if older.cols != self.cols {
            older.reflow(self.cols);
        }
        older.limit = self.limit;
        for at in skip..self.len() {
            if let Some(line) = self.packed(at) {
                older.push_packed(line);
            }
        }
        older.seal();
        *self = older;
        self.enforce();
    }

    /// A line, 0 the oldest that is kept.
    pub(crate) fn line(&self, at: usize) -> Option<GridRow<GridCell>> {
        Some(pack::unpack(self.packed(at)?, self.cols))
    }

    /// Whether a line goes on in the next.
    pub(crate) fn is_wrapped(&self, at: usize) -> bool {
        self.packed(at).is_some_and(pack::is_wrapped)
    }

    fn packed(&self, at: usize) -> Option<&[u8]> {
        let first = self.blocks.front().map(|block| block.number + block.gone)?;
        let number = first + at;
        if number >= self.next {
            return None;
        }
        let after = self.blocks.partition_point(|block| block.number <= number);
        let block = &self.blocks[after - 1];
        Some(block.line(number - block.number))
    }
}
