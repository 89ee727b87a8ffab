//! Painting a grid's cells by escape sequences, onto a blank screen.
//!
//! Most cells are simply printed. The rest of the code is about states that editing leaves behind
//! and that printing alone doesn't make: halves of wide characters, and lines that go on in the next.

use std::io::Write;

use alacritty_terminal::grid::{Grid, Row};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use alacritty_terminal::vte::ansi::Color as GridColor;

use crate::cell::{Color, Underline, is_blank, underline};

/// Blank cells in a row that are worth a jump over them.
const JUMP: usize = 8;

/// A wide character for making spacers; what is left of it is erased or painted over.
const WIDE: char = '\u{3000}';

/// Writes escape sequences and knows the pen that they have set so far.
pub(super) struct Painter {
    pub(super) out: Vec<u8>,
    cols: usize,
    rows: usize,
    pen: Option<Cell>,
}

/// Flags that SGR sets.
const STYLE: Flags = Flags::BOLD
    .union(Flags::DIM)
    .union(Flags::ITALIC)
    .union(Flags::INVERSE)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT)
    .union(Flags::ALL_UNDERLINES);

impl Painter {
    pub(super) fn new(cols: usize, rows: usize) -> Self {
        Self {
            out: Vec::new(),
            cols,
            rows,
            pen: None,
        }
    }

    /// Forgets what the pen is, after something that changed it.
    pub(super) fn forget_pen(&mut self) {
        self.pen = None;
    }

    /// Sets colours, attributes and hyperlink to those of `cell`.
    pub(super) fn pen(&mut self, cell: &Cell) {
        if self.pen.as_ref().is_some_and(|pen| same_pen(pen, cell)) {
            return;
        }
        let link = cell.hyperlink();
        if self.pen.as_ref().is_none_or(|pen| pen.hyperlink() != link) {
            match &link {
                Some(link) => {
                    self.print(format_args!("\x1b]8;id={};{}\x1b\\", link.id(), link.uri()));
                }
                None => self.raw(b"\x1b]8;;\x1b\\"),
            }
        }
        self.raw(b"\x1b[0");
        for (flag, code) in [
            (Flags::BOLD, 1),
            (Flags::DIM, 2),
            (Flags::ITALIC, 3),
            (Flags::INVERSE, 7),
            (Flags::HIDDEN, 8),
            (Flags::STRIKEOUT, 9),
        ] {
            if cell.flags.contains(flag) {
                self.print(format_args!(";{code}"));
            }
        }
        match underline(cell.flags) {
            Underline::None => {}
            Underline::Single => self.raw(b";4"),
            Underline::Double => self.raw(b";4:2"),
            Underline::Curly => self.raw(b";4:3"),
            Underline::Dotted => self.raw(b";4:4"),
            Underline::Dashed => self.raw(b";4:5"),
        }
        self.color(38, cell.fg);
        self.color(48, cell.bg);
        if let Some(color) = cell.underline_color() {
            self.color(58, color);
        }
        self.raw(b"m");
        self.pen = Some(cell.clone());
    }

    fn color(&mut self, kind: u8, color: GridColor) {
        match Color::from(color) {
            Color::Default => {}
            Color::Indexed(index @ 0..8) if kind != 58 => {
                self.print(format_args!(";{}", kind - 8 + index));
            }
            Color::Indexed(index) => self.print(format_args!(";{kind};5;{index}")),
            Color::Rgb(r, g, b) => self.print(format_args!(";{kind};2;{r};{g};{b}")),
        }
    }

    /// Paints all rows. The screen must be blank, its modes as on a fresh terminal.
    pub(super) fn grid(&mut self, grid: &Grid<Cell>) {
        for line in 0..self.rows {
            self.row(&grid[Line(line as i32)], line);
        }
    }

    fn row(&mut self, row: &Row<Cell>, line: usize) {
        let last = self.cols - 1;
        let ending = &row[Column(last)];
        let bottom = line + 1 == self.rows;
        let wraps = ending.flags.contains(Flags::WRAPLINE)
            && !ending.flags.contains(Flags::WIDE_CHAR)
            && !(bottom && (self.rows < 3 || self.cols < 3));
        let painted = if wraps {
            Some(last)
        } else {
            (0..=last).rev().find(|&x| !is_blank(&row[Column(x)]))
        };
        let Some(painted) = painted else { return };
        if wraps && bottom {
            // A line feed below the scroll region moves nothing, so that the row can wrap onto itself.
            self.print(format_args!("\x1b[1;{}r", self.rows - 1));
        }
        self.orphans(row, line);
        self.goto(line, 0);
        self.cells(row, line, painted);
        if wraps {
            self.wrap(row, line, bottom);
        }
    }

    /// Wraps the line just painted to the last column, leaving no other trace.
    fn wrap(&mut self, row: &Row<Cell>, line: usize, bottom: bool) {
        let last = self.cols - 1;
        let leading = row[Column(last)]
            .flags
            .contains(Flags::LEADING_WIDE_CHAR_SPACER);
        let next = if bottom { line } else { line + 1 };
        // A blank in the next line's first column, or a wide one where that is how it came about.
        if leading {
            self.goto(line, last);
            self.pen(&row[Column(last)]);
            self.char(WIDE);
        } else {
            self.char(' ');
        }
        self.pen(&Cell::default());
        self.goto(next, 0);
        let touched = if leading || is_wide(&row[Column(0)]) {
            2
        } else {
            1
        };
        self.print(format_args!("\x1b[{touched}X"));
        if bottom {
            self.goto(line, 0);
            self.cells(row, line, touched - 1);
            self.raw(b"\x1b[r");
        }
    }

    /// Halves of wide characters that editing left behind, on the blank row: the characters are
    /// printed and shifted or erased by half. The main pass goes around them.
    fn orphans(&mut self, row: &Row<Cell>, line: usize) {
        let last = self.cols - 1;
        let first = &row[Column(0)];
        if first.flags.contains(Flags::WIDE_CHAR_SPACER) {
            self.goto(line, 0);
            self.pen(first);
            self.char(WIDE);
            self.erase(line, 0, "P");
        }
        let ending = &row[Column(last)];
        if is_wide(ending) {
            self.goto(line, last - 1);
            self.text(ending);
            self.erase(line, last - 1, "@");
        }
        for x in (1..=last).rev() {
            let cell = &row[Column(x)];
            if cell.flags.contains(Flags::WIDE_CHAR_SPACER) && !is_wide(&row[Column(x - 1)]) {
                self.goto(line, x - 1);
                self.pen(cell);
                self.char(WIDE);
                self.erase(line, x - 1, "X");
            }
        }
    }

    /// Erases (`X`), deletes (`P`) or inserts (`@`) one cell.
    fn erase(&mut self, line: usize, x: usize, how: &str) {
        self.pen(&Cell::default());
        self.goto(line, x);
        self.raw(b"\x1b[");
        self.raw(how.as_bytes());
    }

    /// Paints the cells up to column `painted`, the cursor being at the row's start.
    fn cells(&mut self, row: &Row<Cell>, line: usize, painted: usize) {
        let last = self.cols - 1;
        let is_spacer =
            |x: usize| x <= last && row[Column(x)].flags.contains(Flags::WIDE_CHAR_SPACER);
        let mut x = 0;
        while x <= painted {
            let cell = &row[Column(x)];
            let blanks = (x..painted)
                .take_while(|&x| is_blank(&row[Column(x)]))
                .count();
            if blanks >= JUMP {
                x += blanks;
                self.goto(line, x);
            } else if is_spacer(x) {
                // Half a character, which is there already.
                x += 1;
                self.goto(line, x.min(last));
            } else if is_wide(cell) {
                if x == last {
                    return;
                }
                self.text(cell);
                if is_spacer(x + 1) {
                    x += 2;
                } else {
                    x += 1;
                    self.erase(line, x, "X");
                }
            } else {
                self.text(cell);
                x += 1;
            }
        }
    }

    /// A cell's character with its marks, by its pen.
    fn text(&mut self, cell: &Cell) {
        self.pen(cell);
        self.char(if cell.c == '\t' { ' ' } else { cell.c });
        for &mark in cell.zerowidth().unwrap_or_default() {
            self.char(mark);
        }
    }

    fn char(&mut self, c: char) {
        self.out
            .write_all(c.encode_utf8(&mut [0; 4]).as_bytes())
            .expect("a Vec takes all bytes");
    }

    /// Makes the next character wrap, the cursor being in the last column of `line`: by printing
    /// what is there once more, which also makes it the character that `CSI b` repeats.
    pub(super) fn wrap_pending(&mut self, grid: &Grid<Cell>, line: usize) {
        let row = &grid[Line(line as i32)];
        let last = self.cols - 1;
        let special = Flags::WRAPLINE | Flags::WIDE_CHAR | Flags::LEADING_WIDE_CHAR_SPACER;
        let cell = &row[Column(last)];
        if cell.flags.intersects(special) {
            self.force_wrap_pending();
        } else if !cell.flags.contains(Flags::WIDE_CHAR_SPACER) {
            self.text(cell);
        } else if is_wide(&row[Column(last - 1)]) && last > 1 {
            self.raw(b"\x08");
            self.text(&row[Column(last - 1)]);
        } else {
            self.force_wrap_pending();
        }
    }

    /// Prints a cell with the character `c` once more where there is one, so that `CSI b` repeats it.
    pub(super) fn repeatable(&mut self, grid: &Grid<Cell>, c: char) {
        let cursor = grid.cursor.point;
        let lines = (0..=cursor.line.0)
            .rev()
            .chain(cursor.line.0 + 1..self.rows as i32);
        let leading = |line: i32| {
            let last = &grid[Line(line)][Column(self.cols - 1)];
            last.flags.contains(Flags::LEADING_WIDE_CHAR_SPACER)
        };
        for line in lines {
            let row = &grid[Line(line)];
            // A wide one at the start of a line belongs to the blank at the end of the line before.
            let first = if line > 0 && leading(line - 1) { 2 } else { 0 };
            let found = (first..self.cols - 1)
                .rev()
                .find(|&x| is_repeatable(row, x, c));
            if let Some(x) = found {
                self.goto(line as usize, x);
                self.text(&row[Column(x)]);
                return;
            }
        }
    }
}

/// Whether printing the cell again changes nothing around it.
fn is_repeatable(row: &Row<Cell>, x: usize, c: char) -> bool {
    let cell = &row[Column(x)];
    let whole = if is_wide(cell) {
        x + 2 < row.len() && row[Column(x + 1)].flags.contains(Flags::WIDE_CHAR_SPACER)
    } else {
        !cell.flags.contains(Flags::WIDE_CHAR_SPACER)
    };
    cell.c == c && whole && cell.zerowidth().unwrap_or_default().is_empty()
}

fn is_wide(cell: &Cell) -> bool {
    cell.flags.contains(Flags::WIDE_CHAR)
}

fn same_pen(a: &Cell, b: &Cell) -> bool {
    a.fg == b.fg
        && a.bg == b.bg
        && a.flags & STYLE == b.flags & STYLE
        && a.underline_color() == b.underline_color()
        && a.hyperlink() == b.hyperlink()
}
