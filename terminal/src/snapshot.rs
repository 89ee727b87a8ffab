//! A screen as escape sequences.
//!
//! What comes out, fed to a fresh terminal of the same size, gives the same screen: cells, cursor,
//! modes, what is set up for later (tab stops, saved cursors, stacks), and the half of an escape
//! sequence that the application is in the middle of. The scrollback is left out.
//!
//! Known limits: on the alternate screen, a character for `CSI b` to repeat is only carried over if
//! it is still on the screen, and a line's mark that it goes on in the next is lost on the bottom row of a screen of
//! fewer than three rows.

mod paint;

use std::io::Write;

use alacritty_terminal::grid::{Cursor as GridCursor, Grid};
use alacritty_terminal::term::cell::Cell;
use alacritty_terminal::vte::ansi::{CharsetIndex, KeyboardModes, NamedColor, StandardCharset};

use crate::modes::{CursorShape, Mouse, MouseEncoding};
use crate::screen::Screen;
use paint::Painter;

impl Screen {
    /// Escape sequences that recreate this screen on a fresh terminal of the same size.
    ///
    /// It needs `&mut self` because the emulator can only be asked about the screen that it shows;
    /// nothing is different afterwards.
    pub fn snapshot(&mut self) -> Vec<u8> {
        let alternate = self.modes().alternate_screen;
        let mut painter = Painter::new(self.emulator.cols(), self.emulator.rows());
        painter.raw(b"\x1b[m\x1b[H\x1b[2J");
        self.titles(&mut painter);
        self.colors(&mut painter);
        self.tabs(&mut painter);
        if alternate {
            let keyboard = self.emulator.hidden().other_keyboard.to_vec();
            self.emulator.with_other(|primary| {
                painter.keyboard(&keyboard);
                painter.grid(primary);
                painter.cursor_state(&primary.cursor);
            });
            painter.raw(b"\x1b[?1049h");
            painter.reset_charsets();
            painter.pen(&Cell::default());
            painter.raw(b"\x1b[2J");
        } else {
            self.alternate_saved_cursor(&mut painter);
        }
        let hidden = self.emulator.hidden();
        painter.keyboard(hidden.keyboard);
        let grid = self.emulator.grid();
        painter.grid(grid);
        if let Some(last) = hidden.last_char.filter(|_| !alternate) {
            // Printed where it leaves no trace: the alternate screen is wiped whenever it is entered.
            painter.print(format_args!("\x1b[?1049h{last}\x1b[?1049l"));
            painter.forget_pen();
        }
        painter.cursor_state(&grid.saved_cursor);
        painter.raw(b"\x1b7");
        painter.reset_charsets();
        self.place_cursor(&mut painter, grid);
        self.modes_on(&mut painter);
        painter.raw(self.tail.bytes());
        painter.out
    }

    fn titles(&self, painter: &mut Painter) {
        for title in self.emulator.hidden().titles {
            painter.title(title.as_deref());
            painter.raw(b"\x1b[22t");
        }
        painter.title(self.title());
    }

    /// Palette entries that the application changed.
    fn colors(&self, painter: &mut Painter) {
        for (index, rgb) in self.emulator.colors() {
            let value = format!("#{:02x}{:02x}{:02x}", rgb.r, rgb.g, rgb.b);
            match index {
                0..256 => painter.print(format_args!("\x1b]4;{index};{value}\x1b\\")),
                _ if index <= NamedColor::Cursor as usize => {
                    let code = 10 + index - NamedColor::Foreground as usize;
                    painter.print(format_args!("\x1b]{code};{value}\x1b\\"));
                }
                _ => {}
            }
        }
    }

    fn tabs(&self, painter: &mut Painter) {
        let tabs = self.emulator.hidden().tabs;
        if tabs
            .iter()
            .enumerate()
            .all(|(col, &stop)| stop == (col % 8 == 0))
        {
            return;
        }
        painter.raw(b"\x1b[3g");
        for (col, _) in tabs.iter().enumerate().filter(|(_, stop)| **stop) {
            painter.goto(0, col);
            painter.raw(b"\x1bH");
        }
        painter.raw(b"\x1b[H");
    }

    /// The alternate screen remembers its saved cursor while it isn't shown.
    fn alternate_saved_cursor(&mut self, painter: &mut Painter) {
        let saved = self.emulator.with_other(|grid| grid.saved_cursor.clone());
        let keyboard = self.emulator.hidden().other_keyboard.to_vec();
        if saved == GridCursor::default() && keyboard.is_empty() {
            return;
        }
        painter.raw(b"\x1b[?1049h");
        painter.keyboard(&keyboard);
        painter.cursor_state(&saved);
        painter.raw(b"\x1b7\x1b[?1049l");
        painter.forget_pen();
    }

    /// Region, origin mode, and the cursor with everything that it carries.
    fn place_cursor(&self, painter: &mut Painter, grid: &Grid<Cell>) {
        let hidden = self.emulator.hidden();
        let (cursor, modes) = (self.cursor(), self.modes());
        if let Some(last) = hidden.last_char.filter(|_| modes.alternate_screen) {
            let charset = grid.cursor.charsets[hidden.charset];
            painter.repeatable(grid, charset.map(last));
        }
        if !self.emulator.region_is_whole() {
            let region = hidden.region;
            painter.print(format_args!("\x1b[{};{}r", region.start + 1, region.end));
        }
        let (row, col) = (usize::from(cursor.row), usize::from(cursor.col));
        if modes.origin && !hidden.region.contains(&row) {
            // Only restoring a cursor gets it there; the one that is saved is given up for it.
            painter.goto(row, col);
            painter.raw(b"\x1b7\x1b[?6h\x1b8");
        } else if modes.origin {
            painter.raw(b"\x1b[?6h");
            painter.goto(row.saturating_sub(hidden.region.start), col);
        } else {
            painter.goto(row, col);
        }
        if cursor.wrap_pending {
            painter.wrap_pending(grid, row);
        }
        painter.carried(&grid.cursor);
        if hidden.charset == CharsetIndex::G1 {
            painter.raw(b"\x0e");
        }
    }

    /// Modes that differ from a fresh terminal's. None of these moves the cursor.
    fn modes_on(&self, painter: &mut Painter) {
        let (modes, cursor) = (self.modes(), self.cursor());
        let hidden = self.emulator.hidden();
        for (differs, sequence) in [
            (modes.app_cursor, "\x1b[?1h"),
            (modes.app_keypad, "\x1b="),
            (modes.bracketed_paste, "\x1b[?2004h"),
            (modes.focus_events, "\x1b[?1004h"),
            (modes.mouse == Mouse::Click, "\x1b[?1000h"),
            (modes.mouse == Mouse::Drag, "\x1b[?1002h"),
            (modes.mouse == Mouse::Motion, "\x1b[?1003h"),
            (modes.mouse_encoding == MouseEncoding::Utf8, "\x1b[?1005h"),
            (modes.mouse_encoding == MouseEncoding::Sgr, "\x1b[?1006h"),
            (!modes.alternate_scroll, "\x1b[?1007l"),
            (!self.emulator.urgency_hints(), "\x1b[?1042l"),
            (modes.insert, "\x1b[4h"),
            (modes.newline, "\x1b[20h"),
            (!modes.autowrap, "\x1b[?7l"),
            (!cursor.visible, "\x1b[?25l"),
            (modes.synchronized, "\x1b[?2026h"),
        ] {
            if differs {
                painter.raw(sequence.as_bytes());
            }
        }
        let shape = match cursor.shape {
            CursorShape::Block => 2,
            CursorShape::Underline => 4,
            CursorShape::Bar => 6,
        } - u8::from(cursor.blinking);
        if shape != 2 {
            painter.print(format_args!("\x1b[{shape} q"));
        }
        let stacked = hidden
            .keyboard
            .last()
            .copied()
            .unwrap_or(KeyboardModes::NO_MODE);
        if stacked.bits() != modes.keyboard {
            painter.print(format_args!("\x1b[={};1u", modes.keyboard));
        }
    }
}

impl Painter {
    fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn print(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a Vec takes all bytes");
    }

    fn goto(&mut self, row: usize, col: usize) {
        self.print(format_args!("\x1b[{};{}H", row + 1, col + 1));
    }

    fn title(&mut self, title: Option<&str>) {
        if let Some(title) = title {
            self.print(format_args!("\x1b]2;{title}\x1b\\"));
        }
    }

    fn keyboard(&mut self, stack: &[KeyboardModes]) {
        for flags in stack {
            self.print(format_args!("\x1b[>{}u", flags.bits()));
        }
    }

    fn reset_charsets(&mut self) {
        self.raw(b"\x1b(B\x1b)B\x1b*B\x1b+B");
    }

    /// Position, pen and character sets of a cursor, on a screen without region and origin mode.
    fn cursor_state(&mut self, cursor: &GridCursor<Cell>) {
        let (row, col) = (cursor.point.line.0 as usize, cursor.point.column.0);
        self.goto(row, col);
        if cursor.input_needs_wrap {
            self.force_wrap_pending();
        }
        self.carried(cursor);
    }

    /// What a cursor carries apart from its position.
    fn carried(&mut self, cursor: &GridCursor<Cell>) {
        self.pen(&cursor.template);
        for (index, sign) in [
            (CharsetIndex::G0, '('),
            (CharsetIndex::G1, ')'),
            (CharsetIndex::G2, '*'),
            (CharsetIndex::G3, '+'),
        ] {
            if cursor.charsets[index] == StandardCharset::SpecialCharacterAndLineDrawing {
                self.print(format_args!("\x1b{sign}0"));
            }
        }
    }

    /// Makes the next character wrap, the cursor being in the last column, without touching a
    /// cell: a wide character that doesn't fit while wrapping is off does so.
    fn force_wrap_pending(&mut self) {
        self.raw("\x1b[?7l\u{3000}\x1b[?7h".as_bytes());
    }
}
