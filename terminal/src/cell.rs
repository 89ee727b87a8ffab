//! What drawing reads: cells with their text, width, colours and attributes.

use std::borrow::Cow;

use alacritty_terminal::grid::{Dimensions, Grid, Row as GridRow};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell as GridCell, Flags};
use alacritty_terminal::vte::ansi::{Color as GridColor, NamedColor};

/// A colour of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Color {
    /// The terminal's own foreground or background.
    Default,
    /// One of the 256 palette colours; the first 16 are the named ones.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

impl From<GridColor> for Color {
    fn from(color: GridColor) -> Self {
        match color {
            GridColor::Named(name) => match name as usize {
                index @ 0..16 => Self::Indexed(index as u8),
                _ => Self::Default,
            },
            GridColor::Indexed(index) => Self::Indexed(index),
            GridColor::Spec(rgb) => Self::Rgb(rgb.r, rgb.g, rgb.b),
        }
    }
}

/// How many columns a cell's character takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Width {
    /// One column.
    Narrow,
    /// Two columns; the next cell is a [`Width::Spacer`].
    Wide,
    /// The second column of a wide character, or the blank left at the end of a line where a wide
    /// one didn't fit.
    Spacer,
}

/// The form of a cell's underline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Underline {
    /// None.
    #[default]
    None,
    /// A plain line.
    Single,
    /// Two lines.
    Double,
    /// A wave.
    Curly,
    /// Dots.
    Dotted,
    /// Dashes.
    Dashed,
}

/// A cell's attributes apart from its colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// SGR 1.
    pub bold: bool,
    /// SGR 2.
    pub dim: bool,
    /// SGR 3.
    pub italic: bool,
    /// SGR 4 and its forms.
    pub underline: Underline,
    /// SGR 7.
    pub inverse: bool,
    /// SGR 8.
    pub hidden: bool,
    /// SGR 9.
    pub strikeout: bool,
}

/// One cell of a screen.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    cell: &'a GridCell,
    alone: bool,
}

impl<'a> Cell<'a> {
    /// The character; a space where nothing was written.
    pub fn ch(self) -> char {
        // The emulator remembers a tab in the cell where it started.
        if self.cell.c == '\t' || self.width() == Width::Spacer {
            ' '
        } else {
            self.cell.c
        }
    }

    /// Combining marks and other characters without a width that follow the character.
    pub fn marks(self) -> &'a [char] {
        self.cell.zerowidth().unwrap_or_default()
    }

    /// How many columns the character takes.
    pub fn width(self) -> Width {
        if self.cell.flags.contains(Flags::WIDE_CHAR) && !self.alone {
            Width::Wide
        } else if self.cell.flags.intersects(Flags::WIDE_CHAR_SPACER) && !self.alone {
            Width::Spacer
        } else {
            Width::Narrow
        }
    }

    /// The foreground colour.
    pub fn fg(self) -> Color {
        self.cell.fg.into()
    }

    /// The background colour.
    pub fn bg(self) -> Color {
        self.cell.bg.into()
    }

    /// The underline's colour where it isn't the foreground's.
    pub fn underline_color(self) -> Option<Color> {
        self.cell.underline_color().map(Color::from)
    }

    /// Whether another cell has the same colours and attributes, and neither has an underline colour or a link: what is
    /// worked out for one then holds for the other.
    #[inline]
    pub fn looks_like(self, other: Self) -> bool {
        let (one, other) = (self.cell, other.cell);
        one.flags - Flags::WRAPLINE == other.flags - Flags::WRAPLINE
            && one.fg == other.fg
            && one.bg == other.bg
            && one.extra.is_none()
            && other.extra.is_none()
    }

    /// Bold, inverse and so on.
    pub fn attributes(self) -> Attributes {
        let flags = self.cell.flags;
        Attributes {
            bold: flags.contains(Flags::BOLD),
            dim: flags.contains(Flags::DIM),
            italic: flags.contains(Flags::ITALIC),
            underline: underline(flags),
            inverse: flags.contains(Flags::INVERSE),
            hidden: flags.contains(Flags::HIDDEN),
            strikeout: flags.contains(Flags::STRIKEOUT),
        }
    }

    /// The target of the hyperlink (OSC 8) that the cell is part of.
    pub fn link(self) -> Option<String> {
        self.cell.hyperlink().map(|link| link.uri().to_owned())
    }

    /// Whether the cell is part of a hyperlink.
    pub fn has_link(self) -> bool {
        self.cell.extra.is_some() && self.cell.hyperlink().is_some()
    }

    /// Whether nothing would be drawn here.
    pub fn is_blank(self) -> bool {
        is_blank(self.cell)
    }
}

/// The form of underline that a cell's flags name.
pub(crate) fn underline(flags: Flags) -> Underline {
    [
        (Flags::UNDERLINE, Underline::Single),
        (Flags::DOUBLE_UNDERLINE, Underline::Double),
        (Flags::UNDERCURL, Underline::Curly),
        (Flags::DOTTED_UNDERLINE, Underline::Dotted),
        (Flags::DASHED_UNDERLINE, Underline::Dashed),
    ]
    .into_iter()
    .find(|(flag, _)| flags.contains(*flag))
    .map_or(Underline::None, |(_, form)| form)
}

/// Whether a cell of the emulator equals one that was never written.
pub(crate) fn is_blank(cell: &GridCell) -> bool {
    matches!(cell.c, ' ' | '\t')
        && cell.fg == GridColor::Named(NamedColor::Foreground)
        && cell.bg == GridColor::Named(NamedColor::Background)
        && (cell.flags - Flags::LEADING_WIDE_CHAR_SPACER - Flags::WRAPLINE).is_empty()
        && cell.extra.as_ref().is_none_or(|_| {
            cell.zerowidth().unwrap_or_default().is_empty()
                && cell.underline_color().is_none()
                && cell.hyperlink().is_none()
        })
}

/// One line of a screen or of its scrollback.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    row: Cow<'a, GridRow<GridCell>>,
}

impl<'a> Row<'a> {
    /// The line `line` of a grid, 0 at the top.
    pub(crate) fn of(grid: &'a Grid<GridCell>, line: i32) -> Option<Self> {
        let within = line >= 0 && Line(line) <= grid.bottommost_line();
        within.then(|| Self::borrowed(&grid[Line(line)]))
    }

    /// A line of the emulator.
    pub(crate) fn borrowed(row: &'a GridRow<GridCell>) -> Self {
        Self {
            row: Cow::Borrowed(row),
        }
    }

    /// A line that was packed.
    pub(crate) fn unpacked(row: GridRow<GridCell>) -> Self {
        Self {
            row: Cow::Owned(row),
        }
    }

    /// The cell in column `col`, from 0.
    pub fn cell(&self, col: u16) -> Option<Cell<'_>> {
        let col = usize::from(col);
        if col >= self.row.len() {
            return None;
        }
        Some(self.at(col))
    }

    #[inline]
    fn at(&self, col: usize) -> Cell<'_> {
        let cell = &self.row[Column(col)];
        // Erasing one half of a wide character leaves the other alone: it is drawn as it stands.
        let alone = if cell.flags.contains(Flags::WIDE_CHAR) {
            col + 1 >= self.row.len()
                || !self.row[Column(col + 1)]
                    .flags
                    .contains(Flags::WIDE_CHAR_SPACER)
        } else {
            cell.flags.contains(Flags::WIDE_CHAR_SPACER)
                && (col == 0 || !self.row[Column(col - 1)].flags.contains(Flags::WIDE_CHAR))
        };
        Cell { cell, alone }
    }

    /// All cells from left to right.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        (0..self.row.len()).map(|col| self.at(col))
    }

    /// Whether the line goes on in the next one, because it was too long for one.
    pub fn is_wrapped(&self) -> bool {
        self.row[Column(self.row.len() - 1)]
            .flags
            .contains(Flags::WRAPLINE)
    }

    /// The text without the blanks at its end.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for cell in self.cells().filter(|cell| cell.width() != Width::Spacer) {
            text.push(cell.ch());
            text.extend(cell.marks());
        }
        text.truncate(text.trim_end_matches(' ').len());
        text
    }
}
