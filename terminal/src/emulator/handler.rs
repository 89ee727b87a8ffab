//! What the parser calls: most of it goes straight to the terminal.
//!
//! What is remembered for snapshots is noted here on the way, and a few operations that differ from
//! xterm and tmux are mended; each says how.

use alacritty_terminal::grid::Dimensions;
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::TermMode;
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape as GridShape, CursorStyle, Handler, Hyperlink,
    KeyboardModes, KeyboardModesApplyBehavior, LineClearMode, Mode, NamedPrivateMode, PrivateMode,
    Rgb, StandardCharset, TabulationClearMode,
};
use unicode_width::UnicodeWidthChar;

use super::{Emulator, TAB_DISTANCE, default_tabs};

/// Titles kept for `CSI 22 t`; xterm keeps 10. The emulator's own bound is 4096.
const TITLE_STACK: usize = 16;

/// Characters of a title that are kept.
const TITLE_CHARS: usize = 512;

/// Keyboard modes kept for `CSI > u`. The emulator's own bound is 4096, and it panics there.
const KEYBOARD_STACK: usize = 32;

/// Passes operations on that need no care.
macro_rules! pass {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(#[inline]
        fn $name(&mut self, $($arg: $type),*) {
            Handler::$name(&mut self.term, $($arg),*);
        })*
    };
}

impl Handler for Emulator {
    pass! {
        set_cursor_style(style: Option<CursorStyle>);
        set_cursor_shape(shape: GridShape);
        goto(line: i32, col: usize);
        insert_blank(count: usize);
        identify_terminal(intermediate: Option<char>);
        device_status(what: usize);
        move_forward(cols: usize);
        move_backward(cols: usize);
        backspace();
        carriage_return();
        bell();
        scroll_down(lines: usize);
        insert_blank_lines(lines: usize);
        erase_chars(count: usize);
        delete_chars(count: usize);
        save_cursor_position();
        restore_cursor_position();
        clear_line(mode: LineClearMode);
        reverse_index();
        terminal_attribute(attr: Attr);
        set_mode(mode: Mode);
        unset_mode(mode: Mode);
        report_mode(mode: Mode);
        report_private_mode(mode: PrivateMode);
        set_keypad_application_mode();
        unset_keypad_application_mode();
        configure_charset(index: CharsetIndex, charset: StandardCharset);
        set_color(index: usize, color: Rgb);
        reset_color(index: usize);
        decaln();
        text_area_size_chars();
        set_hyperlink(link: Option<Hyperlink>);
        report_keyboard_mode();
        set_keyboard_mode(mode: KeyboardModes, behavior: KeyboardModesApplyBehavior);
    }

    #[inline]
    fn input(&mut self, c: char) {
        let grid = self.grid();
        let cursor = &grid.cursor;
        let starts_screen = cursor.point.line == 0 && cursor.point.column.0 <= 1;
        let wraps = cursor.input_needs_wrap
            || (c >= '\u{1100}'
                && cursor.point.column.0 + 1 == grid.columns()
                && c.width() == Some(2));
        if wraps
            && c.width().is_some_and(|width| width > 0)
            && self.term.mode().contains(TermMode::LINE_WRAP)
            && self.at_bottom()
        {
            self.mark_wrap();
            self.leave(1);
        } else if starts_screen {
            self.overwrite_start(c);
        }
        self.last_char = Some(c);
        self.term.input(c);
    }

    #[inline]
    fn linefeed(&mut self) {
        if self.at_bottom() {
            self.leave(1);
        }
        // `newline` is the line feed that heeds LNM; the parser never calls it.
        self.term.newline();
    }

    fn scroll_up(&mut self, lines: usize) {
        self.scroll_out(self.region.start, lines);
        self.term.scroll_up(lines);
    }

    fn delete_lines(&mut self, lines: usize) {
        let line = self.grid().cursor.point.line.0 as usize;
        if self.region.contains(&line) {
            self.scroll_out(line, lines.min(self.rows() - line));
        }
        self.term.delete_lines(lines);
    }

    /// Clearing the whole primary screen moves what is on it into the scrollback.
    fn clear_screen(&mut self, mode: ClearMode) {
        self.change_all();
        let point = self.grid().cursor.point;
        match mode {
            // The terminal forgets the first line when the cursor is on the second.
            ClearMode::Above if point.line == 1 => {
                self.term.grid_mut().reset_region(..Line(1));
            }
            // The alternate screen has no lines above it.
            _ if self.term.mode().contains(TermMode::ALT_SCREEN) => {}
            ClearMode::All => {
                let used = self.used_rows();
                self.leave(used);
                if used == 0 {
                    // Blank cells may still have a colour that they are to lose.
                    self.term.grid_mut().reset_region(..);
                    return;
                }
            }
            ClearMode::Saved => self.history.clear(),
            _ => {}
        }
        self.term.clear_screen(mode);
    }

    /// A tab at the end of a full line stays there; the terminal would start a new line.
    #[inline]
    fn put_tab(&mut self, count: u16) {
        if !self.grid().cursor.input_needs_wrap {
            self.term.put_tab(count);
        }
    }

    fn move_backward_tabs(&mut self, count: u16) {
        self.term.move_backward_tabs(count);
        // The terminal would still wrap, somewhere in the middle of the line.
        self.term.grid_mut().cursor.input_needs_wrap = false;
    }

    fn move_forward_tabs(&mut self, count: u16) {
        self.term.move_forward_tabs(count);
        self.term.grid_mut().cursor.input_needs_wrap = false;
    }

    fn goto_line(&mut self, line: i32) {
        let col = self.grid().cursor.point.column.0;
        Handler::goto(&mut self.term, line, col);
    }

    fn goto_col(&mut self, col: usize) {
        let line = self.grid().cursor.point.line.0;
        self.place(line, col);
    }

    fn move_up(&mut self, lines: usize) {
        self.move_lines(-(lines as i32));
    }

    fn move_down(&mut self, lines: usize) {
        self.move_lines(lines as i32);
    }

    fn move_up_and_cr(&mut self, lines: usize) {
        self.move_lines(-(lines as i32));
        self.term.carriage_return();
    }

    fn move_down_and_cr(&mut self, lines: usize) {
        self.move_lines(lines as i32);
        self.term.carriage_return();
    }

    fn set_horizontal_tabstop(&mut self) {
        let col = self.grid().cursor.point.column.0;
        self.tabs[col] = true;
        self.term.set_horizontal_tabstop();
    }

    fn clear_tabs(&mut self, mode: TabulationClearMode) {
        match mode {
            TabulationClearMode::Current => {
                let col = self.grid().cursor.point.column.0;
                self.tabs[col] = false;
            }
            TabulationClearMode::All => self.tabs.fill(false),
        }
        self.term.clear_tabs(mode);
    }

    /// `CSI ? 5 W`, which the terminal itself leaves out.
    fn set_tabs(&mut self, _interval: u16) {
        let point = self.grid().cursor.point;
        self.tabs = default_tabs(self.cols());
        self.term.clear_tabs(TabulationClearMode::All);
        for col in (0..self.cols()).step_by(TAB_DISTANCE) {
            self.term.grid_mut().cursor.point.column = Column(col);
            self.term.set_horizontal_tabstop();
        }
        self.term.grid_mut().cursor.point = point;
    }

    fn reset_state(&mut self) {
        self.change_all();
        self.term.reset_state();
        self.history.clear();
        self.region = 0..self.rows();
        self.tabs = default_tabs(self.cols());
        self.charset = CharsetIndex::G0;
        self.title = None;
        self.titles.clear();
        self.keyboard.clear();
        self.other_keyboard.clear();
        self.synchronized = false;
    }

    fn set_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            // Older forms of the alternate screen; the terminal knows only the newest.
            PrivateMode::Unknown(47 | 1047)
            | PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor) => {
                self.swap_screens(true);
            }
            PrivateMode::Unknown(1048) => self.term.save_cursor_position(),
            PrivateMode::Named(NamedPrivateMode::SyncUpdate) => self.synchronized = true,
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => {
                self.region = 0..self.rows();
                self.term.set_private_mode(mode);
            }
            _ => self.term.set_private_mode(mode),
        }
    }

    fn unset_private_mode(&mut self, mode: PrivateMode) {
        match mode {
            PrivateMode::Unknown(47 | 1047)
            | PrivateMode::Named(NamedPrivateMode::SwapScreenAndSetRestoreCursor) => {
                self.swap_screens(false);
            }
            PrivateMode::Unknown(1048) => self.term.restore_cursor_position(),
            PrivateMode::Named(NamedPrivateMode::SyncUpdate) => self.synchronized = false,
            PrivateMode::Named(NamedPrivateMode::ColumnMode) => {
                self.region = 0..self.rows();
                self.term.unset_private_mode(mode);
            }
            _ => self.term.unset_private_mode(mode),
        }
    }

    fn set_scrolling_region(&mut self, top: usize, bottom: Option<usize>) {
        let bottom = bottom.unwrap_or_else(|| self.rows()).min(self.rows());
        // A region below the screen would be empty: xterm ignores it, the terminal doesn't.
        if top < bottom {
            self.region = top - 1..bottom;
            self.term.set_scrolling_region(top, Some(bottom));
        }
    }

    fn set_active_charset(&mut self, index: CharsetIndex) {
        self.charset = index;
        self.term.set_active_charset(index);
    }

    fn set_title(&mut self, title: Option<String>) {
        self.title = title.map(|title| title.chars().take(TITLE_CHARS).collect());
    }

    fn push_title(&mut self) {
        if self.titles.len() < TITLE_STACK {
            self.titles.push(self.title.clone());
        }
    }

    fn pop_title(&mut self) {
        if let Some(title) = self.titles.pop() {
            self.title = title;
        }
    }

    fn push_keyboard_mode(&mut self, mode: KeyboardModes) {
        if self.keyboard.len() < KEYBOARD_STACK {
            self.keyboard.push(mode);
            self.term.push_keyboard_mode(mode);
        } else {
            let behavior = KeyboardModesApplyBehavior::Replace;
            Handler::set_keyboard_mode(&mut self.term, mode, behavior);
        }
    }

    fn pop_keyboard_modes(&mut self, count: u16) {
        self.keyboard
            .truncate(self.keyboard.len().saturating_sub(count.into()));
        self.term.pop_keyboard_modes(count);
    }
}
