//! The handler between the parser and alacritty's terminal.
//!
//! Alacritty's terminal keeps some of its state to itself (scroll region, tab stops, title, the
//! active character set, keyboard mode stacks), which a snapshot needs. Everything passes through
//! here, so that state is remembered on the way. A few operations that differ from xterm and tmux
//! are mended too; each says how.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use alacritty_terminal::event::{Event, EventListener};
use alacritty_terminal::grid::{Dimensions, Grid};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::Cell;
use alacritty_terminal::term::test::TermSize;
use alacritty_terminal::term::{Config, MIN_COLUMNS, MIN_SCREEN_LINES, Osc52, Term, TermMode};
use alacritty_terminal::vte::ansi::{
    Attr, CharsetIndex, ClearMode, CursorShape as GridShape, CursorStyle, Handler, Hyperlink,
    KeyboardModes, KeyboardModesApplyBehavior, LineClearMode, Mode, NamedPrivateMode, PrivateMode,
    Rgb, StandardCharset, TabulationClearMode,
};
use unicode_width::UnicodeWidthChar;

/// Titles kept for `CSI 22 t`; xterm keeps 10. The emulator's own bound is 4096.
const TITLE_STACK: usize = 16;

/// Characters of a title that are kept.
const TITLE_CHARS: usize = 512;

/// Keyboard modes kept for `CSI > u`. The emulator's own bound is 4096, and it panics there.
const KEYBOARD_STACK: usize = 32;

/// Bytes of replies kept until somebody takes them; what is over is dropped, as an application that
/// asks that much without reading gets nothing from a real terminal either.
const REPLIES_LIMIT: usize = 4096;

/// Distance between tab stops on a fresh terminal.
const TAB_DISTANCE: usize = 8;

/// The form of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorShape {
    /// The whole cell.
    Block,
    /// A line under the character.
    Underline,
    /// A line before the character.
    Bar,
}

/// Where the cursor is and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Row on the screen, from 0 at the top.
    pub row: u16,
    /// Column, from 0.
    pub col: u16,
    /// Whether the next character starts a new line, because the last column was just written.
    pub wrap_pending: bool,
    /// Its form.
    pub shape: CursorShape,
    /// Whether it should blink.
    pub blinking: bool,
    /// Whether the application shows it (`CSI ? 25 h`).
    pub visible: bool,
}

/// Which mouse events the application asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mouse {
    /// None.
    #[default]
    Off,
    /// Presses and releases (1000).
    Click,
    /// Also motion with a button down (1002).
    Drag,
    /// Also motion without a button (1003).
    Motion,
}

/// How the application wants mouse events written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MouseEncoding {
    /// One byte a coordinate.
    #[default]
    Bytes,
    /// 1005.
    Utf8,
    /// 1006.
    Sgr,
}

/// The modes that the application has set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// The alternate screen is shown (1049).
    pub alternate_screen: bool,
    /// Arrow keys send SS3 forms (DECCKM).
    pub app_cursor: bool,
    /// The keypad sends its own codes (DECKPAM).
    pub app_keypad: bool,
    /// Pasted text is bracketed (2004).
    pub bracketed_paste: bool,
    /// Focus changes are reported (1004).
    pub focus_events: bool,
    /// Mouse events asked for.
    pub mouse: Mouse,
    /// How they are written.
    pub mouse_encoding: MouseEncoding,
    /// The wheel sends arrow keys on the alternate screen (1007).
    pub alternate_scroll: bool,
    /// Characters push the rest of the line to the right (IRM).
    pub insert: bool,
    /// Positions count from the scroll region (DECOM).
    pub origin: bool,
    /// Long lines wrap (DECAWM).
    pub autowrap: bool,
    /// A line feed also returns the carriage (LNM).
    pub newline: bool,
    /// The application is in the middle of a frame (2026): what is on the screen is half done.
    pub synchronized: bool,
    /// Flags of the kitty keyboard protocol.
    pub keyboard: u8,
}

/// Collects what the terminal wants to say to the application.
#[derive(Clone, Debug, Default)]
struct Outbox(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    replies: Vec<u8>,
    bells: u64,
}

impl EventListener for Outbox {
    fn send_event(&self, event: Event) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::PtyWrite(text) if said.replies.len() + text.len() <= REPLIES_LIMIT => {
                said.replies.extend_from_slice(text.as_bytes());
            }
            Event::Bell => said.bells += 1,
            _ => {}
        }
    }
}

/// Alacritty's terminal, and what it doesn't tell.
pub(crate) struct Emulator {
    term: Term<Outbox>,
    outbox: Outbox,
    /// Lines of scrollback that the primary screen keeps at most.
    scrollback: usize,
    /// Lines that have left the top of the primary screen since the start.
    scrolled: u64,
    region: Range<usize>,
    tabs: Vec<bool>,
    charset: CharsetIndex,
    title: Option<String>,
    titles: Vec<Option<String>>,
    /// Keyboard modes of the screen shown, and of the other.
    keyboard: Vec<KeyboardModes>,
    other_keyboard: Vec<KeyboardModes>,
    synchronized: bool,
    /// The character that `CSI b` would repeat.
    last_char: Option<char>,
}

/// The parts of the state that only a snapshot needs.
pub(crate) struct Hidden<'a> {
    pub(crate) region: &'a Range<usize>,
    pub(crate) tabs: &'a [bool],
    pub(crate) charset: CharsetIndex,
    pub(crate) titles: &'a [Option<String>],
    pub(crate) keyboard: &'a [KeyboardModes],
    pub(crate) other_keyboard: &'a [KeyboardModes],
    pub(crate) last_char: Option<char>,
}

impl Emulator {
    pub(crate) fn new(cols: usize, rows: usize, scrollback: usize) -> Self {
        let (cols, rows) = (cols.max(MIN_COLUMNS), rows.max(MIN_SCREEN_LINES));
        let config = Config {
            scrolling_history: scrollback,
            kitty_keyboard: true,
            osc52: Osc52::Disabled,
            ..Config::default()
        };
        let outbox = Outbox::default();
        Self {
            term: Term::new(config, &TermSize::new(cols, rows), outbox.clone()),
            outbox,
            scrollback,
            scrolled: 0,
            region: 0..rows,
            tabs: default_tabs(cols),
            charset: CharsetIndex::G0,
            title: None,
            titles: Vec::new(),
            keyboard: Vec::new(),
            other_keyboard: Vec::new(),
            synchronized: false,
            last_char: None,
        }
    }

    pub(crate) fn resize(&mut self, cols: usize, rows: usize) {
        let (cols, rows) = (cols.max(MIN_COLUMNS), rows.max(MIN_SCREEN_LINES));
        self.term.resize(TermSize::new(cols, rows));
        let mut col = self.tabs.len();
        self.tabs.resize_with(cols, || {
            col += 1;
            (col - 1).is_multiple_of(TAB_DISTANCE)
        });
        self.region = 0..rows;
    }

    pub(crate) fn cols(&self) -> usize {
        self.term.columns()
    }

    pub(crate) fn rows(&self) -> usize {
        self.term.screen_lines()
    }

    pub(crate) fn grid(&self) -> &Grid<Cell> {
        self.term.grid()
    }

    pub(crate) fn scrolled(&self) -> u64 {
        self.scrolled
    }

    /// Counts lines that were never shown to the emulator as scrolled out.
    pub(crate) fn count_scrolled(&mut self, lines: u64) {
        self.scrolled += lines;
    }

    pub(crate) fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    pub(crate) fn bells(&self) -> u64 {
        self.outbox
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bells
    }

    pub(crate) fn take_replies(&mut self) -> Vec<u8> {
        mem::take(
            &mut self
                .outbox
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .replies,
        )
    }

    pub(crate) fn colors(&self) -> impl Iterator<Item = (usize, Rgb)> {
        let colors = self.term.colors();
        (0..alacritty_terminal::term::color::COUNT).filter_map(|at| Some((at, colors[at]?)))
    }

    pub(crate) fn hidden(&self) -> Hidden<'_> {
        Hidden {
            region: &self.region,
            tabs: &self.tabs,
            charset: self.charset,
            titles: &self.titles,
            keyboard: &self.keyboard,
            other_keyboard: &self.other_keyboard,
            last_char: self.last_char,
        }
    }

    pub(crate) fn region_is_whole(&self) -> bool {
        self.region == (0..self.rows())
    }

    pub(crate) fn modes(&self) -> Modes {
        let mode = *self.term.mode();
        Modes {
            alternate_screen: mode.contains(TermMode::ALT_SCREEN),
            app_cursor: mode.contains(TermMode::APP_CURSOR),
            app_keypad: mode.contains(TermMode::APP_KEYPAD),
            bracketed_paste: mode.contains(TermMode::BRACKETED_PASTE),
            focus_events: mode.contains(TermMode::FOCUS_IN_OUT),
            mouse: if mode.contains(TermMode::MOUSE_MOTION) {
                Mouse::Motion
            } else if mode.contains(TermMode::MOUSE_DRAG) {
                Mouse::Drag
            } else if mode.contains(TermMode::MOUSE_REPORT_CLICK) {
                Mouse::Click
            } else {
                Mouse::Off
            },
            mouse_encoding: if mode.contains(TermMode::SGR_MOUSE) {
                MouseEncoding::Sgr
            } else if mode.contains(TermMode::UTF8_MOUSE) {
                MouseEncoding::Utf8
            } else {
                MouseEncoding::Bytes
            },
            alternate_scroll: mode.contains(TermMode::ALTERNATE_SCROLL),
            insert: mode.contains(TermMode::INSERT),
            origin: mode.contains(TermMode::ORIGIN),
            autowrap: mode.contains(TermMode::LINE_WRAP),
            newline: mode.contains(TermMode::LINE_FEED_NEW_LINE),
            synchronized: self.synchronized,
            keyboard: keyboard_bits(mode),
        }
    }

    pub(crate) fn urgency_hints(&self) -> bool {
        self.term.mode().contains(TermMode::URGENCY_HINTS)
    }

    pub(crate) fn cursor(&self) -> Cursor {
        let cursor = &self.grid().cursor;
        let style = self.term.cursor_style();
        Cursor {
            row: cursor.point.line.0 as u16,
            col: cursor.point.column.0 as u16,
            wrap_pending: cursor.input_needs_wrap,
            shape: match style.shape {
                GridShape::Underline => CursorShape::Underline,
                GridShape::Beam => CursorShape::Bar,
                _ => CursorShape::Block,
            },
            blinking: style.blinking,
            visible: self.term.mode().contains(TermMode::SHOW_CURSOR),
        }
    }

    /// Looks at the screen that isn't shown. The terminal can only be asked about the one it
    /// shows, and entering the alternate screen wipes it: so it is put back afterwards.
    pub(crate) fn with_other<T>(&mut self, look: impl FnOnce(&Grid<Cell>) -> T) -> T {
        let alternate = self.modes().alternate_screen;
        let flags = KeyboardModes::from_bits_truncate(self.modes().keyboard);
        let kept = alternate.then(|| self.grid().clone());
        let saved = self.grid().saved_cursor.clone();
        self.term.swap_alt();
        let seen = look(self.term.grid());
        self.term.swap_alt();
        if let Some(grid) = kept {
            *self.term.grid_mut() = grid;
        }
        self.term.grid_mut().saved_cursor = saved;
        Handler::set_keyboard_mode(&mut self.term, flags, KeyboardModesApplyBehavior::Replace);
        seen
    }

    /// Whether a line feed now moves a line into the scrollback.
    fn at_bottom(&self) -> bool {
        self.region.start == 0
            && self.grid().cursor.point.line.0 as usize + 1 == self.region.end
            && !self.term.mode().contains(TermMode::ALT_SCREEN)
    }

    /// Puts the cursor somewhere on the screen, whatever the origin mode.
    fn place(&mut self, line: i32, col: usize) {
        let last = (self.rows() as i32 - 1, self.cols() - 1);
        let cursor = &mut self.term.grid_mut().cursor;
        cursor.point.line = Line(line.clamp(0, last.0));
        cursor.point.column = Column(col.min(last.1));
        cursor.input_needs_wrap = false;
    }

    /// Moves the cursor up or down, not beyond a margin that it starts within. The terminal's own
    /// movement knows no margins and counts them twice in origin mode.
    fn move_lines(&mut self, lines: i32) {
        let point = self.grid().cursor.point;
        let line = point.line.0;
        let (top, bottom) = (self.region.start as i32, self.region.end as i32 - 1);
        let target = line.saturating_add(lines);
        let target = if lines < 0 && line >= top {
            target.max(top)
        } else if lines > 0 && line <= bottom {
            target.min(bottom)
        } else {
            target
        };
        self.place(target, point.column.0);
    }

    fn swap_screens(&mut self, to_alternate: bool) {
        if self.term.mode().contains(TermMode::ALT_SCREEN) != to_alternate {
            mem::swap(&mut self.keyboard, &mut self.other_keyboard);
            self.term.swap_alt();
        }
    }

    fn scroll_out(&mut self, origin: usize, lines: usize) {
        if origin == 0 && !self.term.mode().contains(TermMode::ALT_SCREEN) {
            self.scrolled += lines.min(self.region.len()) as u64;
        }
    }
}

fn default_tabs(cols: usize) -> Vec<bool> {
    (0..cols).map(|col| col % TAB_DISTANCE == 0).collect()
}

fn keyboard_bits(mode: TermMode) -> u8 {
    [
        (
            TermMode::DISAMBIGUATE_ESC_CODES,
            KeyboardModes::DISAMBIGUATE_ESC_CODES,
        ),
        (
            TermMode::REPORT_EVENT_TYPES,
            KeyboardModes::REPORT_EVENT_TYPES,
        ),
        (
            TermMode::REPORT_ALTERNATE_KEYS,
            KeyboardModes::REPORT_ALTERNATE_KEYS,
        ),
        (
            TermMode::REPORT_ALL_KEYS_AS_ESC,
            KeyboardModes::REPORT_ALL_KEYS_AS_ESC,
        ),
        (
            TermMode::REPORT_ASSOCIATED_TEXT,
            KeyboardModes::REPORT_ASSOCIATED_TEXT,
        ),
    ]
    .into_iter()
    .filter(|(flag, _)| mode.contains(*flag))
    .fold(0, |bits, (_, flag)| bits | flag.bits())
}

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
        let cursor = &self.grid().cursor;
        let wraps = cursor.input_needs_wrap
            || (c >= '\u{1100}'
                && cursor.point.column.0 + 1 == self.cols()
                && c.width() == Some(2));
        if wraps
            && c.width().is_some_and(|width| width > 0)
            && self.term.mode().contains(TermMode::LINE_WRAP)
            && self.at_bottom()
        {
            self.scrolled += 1;
        }
        self.last_char = Some(c);
        self.term.input(c);
    }

    #[inline]
    fn linefeed(&mut self) {
        if self.at_bottom() {
            self.scrolled += 1;
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

    fn clear_screen(&mut self, mode: ClearMode) {
        let before = self.grid().history_size();
        let point = self.grid().cursor.point;
        // The terminal forgets the first line when the cursor is on the second.
        if matches!(mode, ClearMode::Above) && point.line == 1 {
            self.term.grid_mut().reset_region(..Line(1));
        }
        self.term.clear_screen(mode);
        let after = self.grid().history_size();
        if before < self.scrollback {
            self.scrolled += after.saturating_sub(before) as u64;
        }
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
        self.term.reset_state();
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
