//! Which rows have changed since when.
//!
//! The terminal notes the rows that its own operations change; what is changed past it is noted here.

use alacritty_terminal::term::TermDamage;

use super::Emulator;

/// When rows of the screen changed last, by the generations that [`crate::Screen::generation`] counts.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// When all of them changed together.
    all: u64,
    /// When each changed by itself; those below the last have not.
    rows: Vec<u64>,
    /// Whether all have changed since the terminal was asked last.
    is_all: bool,
}

impl Emulator {
    /// All rows are changed past the terminal.
    pub(super) fn change_all(&mut self) {
        self.changed.is_all = true;
    }

    /// The cursor is about to leave its row past the terminal, which takes note of that row only when it moves the cursor
    /// itself.
    pub(super) fn leave_row(&mut self) {
        let _ = self.term.damage();
    }

    /// What has changed since the last call changed in this generation.
    pub(crate) fn date_changes(&mut self, generation: u64) {
        let changed = &mut self.changed;
        match self.term.damage() {
            _ if std::mem::take(&mut changed.is_all) => changed.all = generation,
            TermDamage::Full => changed.all = generation,
            TermDamage::Partial(lines) => {
                for damaged in lines {
                    if changed.rows.len() <= damaged.line {
                        changed.rows.resize(damaged.line + 1, 0);
                    }
                    changed.rows[damaged.line] = generation;
                }
            }
        }
        self.term.reset_damage();
    }

    /// The generation in which a row of the screen changed last.
    pub(crate) fn changed(&self, row: usize) -> u64 {
        let own = self.changed.rows.get(row).copied().unwrap_or_default();
        own.max(self.changed.all)
    }
}
