//! A line of cells as bytes, and back.
//!
//! Two bytes for the number of cells (without the blanks at the end) and the mark that the line goes
//! on in the next; then the characters in UTF-8, with control bytes for everything else.

use alacritty_terminal::grid::Row as GridRow;
use alacritty_terminal::index::Column;
use alacritty_terminal::term::cell::{Cell as GridCell, Flags, Hyperlink};
use alacritty_terminal::vte::ansi::{Color as GridColor, NamedColor, Rgb};

/// A new look follows: flags, colours, and what [`LOOK_MORE`] announces.
const LOOK: u8 = 0x01;
/// Back to the look of a blank cell.
const PLAIN: u8 = 0x02;
/// The next character is wide and has its spacer.
const WIDE: u8 = 0x03;
/// So many bytes of characters without width follow, that belong to the cell before.
const MARKS: u8 = 0x04;
/// A character that would read as one of these bytes follows.
const LITERAL: u8 = 0x05;

/// In the flags of a look: an underline colour or a hyperlink follows. The bit is that of the mark
/// for wrapped lines, which stands in the header instead.
const LOOK_MORE: u16 = Flags::WRAPLINE.bits();

/// In the header: the line goes on in the next. Lines are far shorter than 2^15 cells.
const WRAPPED: u16 = 1 << 15;

/// Bytes that every line has before its text.
const HEADER: usize = 2;

/// What cells share: everything but the character and its marks.
#[derive(Clone, PartialEq)]
struct Look {
    fg: GridColor,
    bg: GridColor,
    flags: Flags,
    underline: Option<GridColor>,
    link: Option<Hyperlink>,
}

impl Look {
    fn plain() -> Self {
        Self::of(&GridCell::default())
    }

    fn of(cell: &GridCell) -> Self {
        Self {
            fg: cell.fg,
            bg: cell.bg,
            flags: cell.flags - Flags::WRAPLINE,
            underline: cell.underline_color(),
            link: cell.hyperlink(),
        }
    }

    #[inline]
    fn is_of(&self, cell: &GridCell) -> bool {
        // Nearly all cells carry nothing extra: what is asked of each cell of a flood stays short.
        self.fg == cell.fg
            && self.bg == cell.bg
            && self.flags == cell.flags - Flags::WRAPLINE
            && if cell.extra.is_none() {
                self.is_simple()
            } else {
                self.has_extra_of(cell)
            }
    }

    #[inline]
    fn is_simple(&self) -> bool {
        self.underline.is_none() && self.link.is_none()
    }

    #[cold]
    fn has_extra_of(&self, cell: &GridCell) -> bool {
        self.underline == cell.underline_color() && self.link == cell.hyperlink()
    }

    fn cell(&self, c: char) -> GridCell {
        let mut cell = GridCell {
            c,
            fg: self.fg,
            bg: self.bg,
            flags: self.flags,
            extra: None,
        };
        if self.underline.is_some() {
            cell.set_underline_color(self.underline);
        }
        if self.link.is_some() {
            cell.set_hyperlink(self.link.clone());
        }
        cell
    }

    /// The look of the second half of a wide character of this look.
    fn spacer(&self) -> Self {
        Self {
            flags: (self.flags - Flags::WIDE_CHAR) | Flags::WIDE_CHAR_SPACER,
            ..self.clone()
        }
    }
}

/// Whether a line goes on in the next.
pub(super) fn is_wrapped(line: &[u8]) -> bool {
    header(line) & WRAPPED != 0
}

/// Marks whether a line goes on in the next.
pub(super) fn set_wrapped(row: &mut GridRow<GridCell>, wrapped: bool) {
    let last = Column(row.len() - 1);
    row[last].flags.set(Flags::WRAPLINE, wrapped);
}

/// Cells of a line without the blanks at its end.
pub(super) fn cells(line: &[u8]) -> usize {
    usize::from(header(line) & !WRAPPED)
}

fn header(line: &[u8]) -> u16 {
    line.first_chunk()
        .map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// Appends a row as a line.
pub(super) fn pack(row: &GridRow<GridCell>, out: &mut Vec<u8>) {
    let cells = &row[..];
    let plain = Look::plain();
    let wrapped = cells
        .last()
        .is_some_and(|cell| cell.flags.contains(Flags::WRAPLINE));
    let used = cells
        .iter()
        .rposition(|cell| !is_blank(cell, &plain))
        .map_or(0, |last| last + 1);
    let mark = if wrapped { WRAPPED } else { 0 };
    out.extend_from_slice(&(used as u16 | mark).to_le_bytes());
    let mut look = plain.clone();
    let mut at = 0;
    while at < used {
        let cell = &cells[at];
        at += 1;
        let is_wide = cell.flags.contains(Flags::WIDE_CHAR);
        let mut whole = is_wide && is_whole_wide(cells, at - 1, used, &look);
        if !whole && !look.is_of(cell) {
            let next = Look::of(cell);
            // A wide character keeps the look of its neighbours: only its flag and its spacer differ.
            let wide = Look {
                flags: next.flags - Flags::WIDE_CHAR,
                ..next.clone()
            };
            whole = is_wide && is_whole_wide(cells, at - 1, used, &wide);
            look = if whole { wide } else { next };
            write_look(&look, &plain, out);
        }
        if whole {
            out.push(WIDE);
            at += 1;
        }
        write_char(cell.c, out);
        if cell.extra.is_some() {
            write_marks(marks(cell), out);
        } else if !is_wide {
            let run = run(cell, &cells[at..used]);
            out.extend(cells[at..at + run].iter().map(|cell| cell.c as u8));
            at += run;
        }
    }
}

/// How many of these cells, from the first on, have a plain character and the look of `cell`, which carries nothing extra
/// and isn't wide. Nearly all of a line is in such runs.
#[inline]
fn run(cell: &GridCell, cells: &[GridCell]) -> usize {
    let alike = |other: &&GridCell| {
        matches!(other.c, ' '..='~')
            && other.flags == cell.flags
            && other.fg == cell.fg
            && other.bg == cell.bg
            && other.extra.is_none()
    };
    cells.iter().take_while(alike).count()
}

/// Whether a cell of this look, the plain one, shows nothing.
#[inline]
fn is_blank(cell: &GridCell, plain: &Look) -> bool {
    if cell.c != ' ' {
        return false;
    }
    if cell.extra.is_some() {
        return plain.is_of(cell) && marks(cell).is_empty();
    }
    (cell.flags - Flags::WRAPLINE).is_empty() && cell.fg == plain.fg && cell.bg == plain.bg
}

/// Whether a wide character stands at `at` with its spacer, both of `look` but for their flags.
fn is_whole_wide(cells: &[GridCell], at: usize, used: usize, look: &Look) -> bool {
    let cell = &cells[at];
    if !cell.flags.contains(Flags::WIDE_CHAR) || at + 1 >= used {
        return false;
    }
    let whole = Look {
        flags: look.flags | Flags::WIDE_CHAR,
        ..look.clone()
    };
    let spacer = &cells[at + 1];
    !look.flags.contains(Flags::WIDE_CHAR)
        && whole.is_of(cell)
        && spacer.c == ' '
        && whole.spacer().is_of(spacer)
        && marks(spacer).is_empty()
}

fn marks(cell: &GridCell) -> &[char] {
    cell.zerowidth().unwrap_or_default()
}

#[inline]
fn write_char(c: char, out: &mut Vec<u8>) {
    if c.is_ascii() {
        if c.is_ascii_control() {
            out.push(LITERAL);
        }
        out.push(c as u8);
    } else {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn write_marks(marks: &[char], out: &mut Vec<u8>) {
    if !marks.is_empty() {
        let text: String = marks.iter().collect();
        out.push(MARKS);
        write_text(&text, out);
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_look(look: &Look, plain: &Look, out: &mut Vec<u8>) {
    if look == plain {
        out.push(PLAIN);
        return;
    }
    let more = look.underline.is_some() || look.link.is_some();
    let flags = look.flags.bits() | if more { LOOK_MORE } else { 0 };
    out.push(LOOK);
    out.extend_from_slice(&flags.to_le_bytes());
    write_color(Some(look.fg), out);
    write_color(Some(look.bg), out);
    if more {
        write_color(look.underline, out);
        write_text(look.link.as_ref().map_or("", Hyperlink::id), out);
        write_text(look.link.as_ref().map_or("", Hyperlink::uri), out);
    }
}

fn write_color(color: Option<GridColor>, out: &mut Vec<u8>) {
    match color {
        None => out.push(0),
        Some(GridColor::Named(NamedColor::Background)) => out.push(1),
        Some(GridColor::Named(name)) => match NAMED.iter().position(|other| *other == name) {
            Some(at) => out.push(16 + at as u8),
            None => out.push(2),
        },
        Some(GridColor::Indexed(index)) => out.extend_from_slice(&[3, index]),
        Some(GridColor::Spec(Rgb { r, g, b })) => out.extend_from_slice(&[4, r, g, b]),
    }
}

/// The colours that SGR has names for.
const NAMED: [NamedColor; 16] = [
    NamedColor::Black,
    NamedColor::Red,
    NamedColor::Green,
    NamedColor::Yellow,
    NamedColor::Blue,
    NamedColor::Magenta,
    NamedColor::Cyan,
    NamedColor::White,
    NamedColor::BrightBlack,
    NamedColor::BrightRed,
    NamedColor::BrightGreen,
    NamedColor::BrightYellow,
    NamedColor::BrightBlue,
    NamedColor::BrightMagenta,
    NamedColor::BrightCyan,
    NamedColor::BrightWhite,
];

/// Reads what was written here; so a read past the end can't happen, and gives zeros.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn text(&mut self) -> &'a str {
        let length = self
            .bytes(4)
            .first_chunk()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes));
        std::str::from_utf8(self.bytes(length as usize)).unwrap_or_default()
    }

    fn char(&mut self, first: u8) -> char {
        let rest = match first {
            0..0x80 => return char::from(first),
            0x80..0xe0 => 1,
            0xe0..0xf0 => 2,
            _ => 3,
        };
        let mut bytes = [first, 0, 0, 0];
        bytes[1..=rest].copy_from_slice(self.bytes(rest));
        let text = std::str::from_utf8(&bytes[..=rest]).unwrap_or_default();
        text.chars().next().unwrap_or(' ')
    }

    fn color(&mut self) -> Option<GridColor> {
        Some(match self.byte() {
            0 => return None,
            1 => GridColor::Named(NamedColor::Background),
            2 => GridColor::Named(NamedColor::Foreground),
            3 => GridColor::Indexed(self.byte()),
            4 => GridColor::Spec(Rgb {
                r: self.byte(),
                g: self.byte(),
                b: self.byte(),
            }),
            named => GridColor::Named(NAMED[usize::from(named - 16) % NAMED.len()]),
        })
    }

    fn look(&mut self) -> Look {
        let flags = u16::from_le_bytes([self.byte(), self.byte()]);
        let mut look = Look::plain();
        look.flags = Flags::from_bits_truncate(flags & !LOOK_MORE);
        look.fg = self.color().unwrap_or(look.fg);
        look.bg = self.color().unwrap_or(look.bg);
        if flags & LOOK_MORE != 0 {
            look.underline = self.color();
            let (id, uri) = (self.text(), self.text());
            // An empty target ends a link, so none has it.
            if !uri.is_empty() {
                look.link = Some(Hyperlink::new(Some(id), uri.to_owned()));
            }
        }
        look
    }
}

/// A line as a row of `cols` cells.
pub(super) fn unpack(line: &[u8], cols: usize) -> GridRow<GridCell> {
    let mut row: Vec<GridCell> = Vec::with_capacity(cols);
    let mut reader = Reader(line.get(HEADER..).unwrap_or_default());
    let mut look = Look::plain();
    let mut wide = false;
    // Where the last character stands, before its spacer if it has one.
    let mut last = 0;
    while !reader.0.is_empty() {
        let first = match reader.byte() {
            LOOK => {
                look = reader.look();
                continue;
            }
            PLAIN => {
                look = Look::plain();
                continue;
            }
            WIDE => {
                wide = true;
                continue;
            }
            MARKS => {
                let marks = reader.text();
                if let Some(cell) = row.get_mut(last) {
                    marks.chars().for_each(|mark| cell.push_zerowidth(mark));
                }
                continue;
            }
            LITERAL => reader.byte(),
            first => first,
        };
        let mut cell = look.cell(reader.char(first));
        last = row.len();
        if std::mem::take(&mut wide) {
            cell.flags.insert(Flags::WIDE_CHAR);
            row.push(cell);
            row.push(look.spacer().cell(' '));
        } else {
            row.push(cell);
        }
    }
    row.truncate(cols);
    let used = row.len();
    row.resize_with(cols, GridCell::default);
    let mut row = GridRow::from_vec(row, used);
    if is_wrapped(line) {
        set_wrapped(&mut row, true);
    }
    row
}
