//! A terminal's lines as text, plain or with escape sequences.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use opsctl_terminal::{Attributes, Cell, Color, Lines, Row, Screen, Underline, Width};

use crate::hand_over::{NewFile, not_written};

/// Lines that are written before keys and frames have their turn: about a millisecond.
const SLICE: usize = 200;

/// What a file is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The characters.
    Text,
    /// With colours and attributes, as `cat` shows them in a terminal.
    Ansi,
    /// All of the output with its times, as asciinema plays it.
    Cast,
}

impl Form {
    /// A form by its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "text" => Some(Self::Text),
            "ansi" => Some(Self::Ansi),
            "cast" => Some(Self::Cast),
            _ => None,
        }
    }
}

/// All lines that are held, with the screen. What the terminal has wrapped is one line again.
pub fn text(screen: &Screen) -> String {
    whole(&screen.lines(), Form::Text)
}

/// The same with escape sequences for colours, attributes and links.
pub fn ansi(screen: &Screen) -> String {
    whole(&screen.lines(), Form::Ansi)
}

fn whole(lines: &Lines, form: Form) -> String {
    let (mut writer, mut out) = (Writer::new(form), String::new());
    for row in (0..lines.len()).filter_map(|at| lines.row(at)) {
        writer.line(&row, &mut out);
    }
    writer.end(&mut out);
    out
}

/// Writes lines to a file that doesn't exist yet, and tells from time to time how many are written. Where that is given
/// up, no file is left. The result says where it is, for people.
///
/// # Errors
/// What went wrong, for people.
pub(crate) async fn write(
    path: &Path,
    lines: &Lines,
    form: Form,
    mut told: impl FnMut(u64),
) -> Result<String, String> {
    let failed = |error| not_written(path, &error);
    let mut file = NewFile::create(path).map_err(failed)?;
    let (mut writer, mut text) = (Writer::new(form), String::new());
    for at in 0..lines.len() {
        if let Some(row) = lines.row(at) {
            writer.line(&row, &mut text);
        }
        if (at + 1).is_multiple_of(SLICE) {
            file.write_all(text.as_bytes()).map_err(failed)?;
            text.clear();
            told(at as u64 + 1);
            // Keys and frames come in between.
            tokio::task::yield_now().await;
        }
    }
    writer.end(&mut text);
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.finish().map_err(failed)?;
    Ok(format!("written to {}", path.display()))
}

/// Terminal lines on their way to a text.
struct Writer {
    /// What escape sequences have set; none in a text without them.
    pen: Option<Pen>,
    /// Line feeds that are only due when something follows: the empty rows below the last line are no lines of the output.
    due: usize,
}

impl Writer {
    fn new(form: Form) -> Self {
        Self {
            pen: (form == Form::Ansi).then(Pen::default),
            due: 0,
        }
    }

    /// Appends a line.
    fn line(&mut self, row: &Row<'_>, out: &mut String) {
        let goes_on = row.is_wrapped();
        let used = if goes_on {
            usize::MAX
        } else {
            let used = row.cells().enumerate().filter(|(_, cell)| !cell.is_blank());
            used.last().map_or(0, |(col, _)| col + 1)
        };
        let cells = row.cells().take(used);
        for cell in cells.filter(|cell| cell.width() != Width::Spacer) {
            out.extend(std::iter::repeat_n('\n', std::mem::take(&mut self.due)));
            if let Some(pen) = &mut self.pen {
                pen.change(Some(cell), out);
            }
            out.push(cell.ch());
            out.extend(cell.marks());
        }
        if !goes_on {
            if let Some(pen) = &mut self.pen {
                pen.change(None, out);
            }
            self.due += 1;
        }
    }

    /// Ends the last line.
    fn end(&mut self, out: &mut String) {
        out.extend((self.due > 0).then_some('\n'));
    }
}

/// The look that the escape sequences so far have set.
#[derive(Debug, Default, PartialEq)]
struct Pen {
    look: Option<(Color, Color, Attributes)>,
    link: Option<String>,
}

impl Pen {
    fn change(&mut self, cell: Option<Cell<'_>>, out: &mut String) {
        let look = cell.map(|cell| (cell.fg(), cell.bg(), cell.attributes()));
        let plain = (Color::Default, Color::Default, Attributes::default());
        let look = look.filter(|look| *look != plain);
        let link = cell.and_then(Cell::link);
        if link != self.link {
            // Writing to a String can't fail.
            let _ = write!(out, "\x1b]8;;{}\x1b\\", link.as_deref().unwrap_or_default());
            self.link = link;
        }
        if look != self.look {
            out.push_str("\x1b[0");
            if let Some((fg, bg, attributes)) = look {
                codes(attributes).for_each(|code| out.push_str(code));
                color(38, fg, out);
                color(48, bg, out);
            }
            out.push('m');
            self.look = look;
        }
    }
}

fn codes(attributes: Attributes) -> impl Iterator<Item = &'static str> {
    let underline = match attributes.underline {
        Underline::None => "",
        Underline::Single => ";4",
        Underline::Double => ";4:2",
        Underline::Curly => ";4:3",
        Underline::Dotted => ";4:4",
        Underline::Dashed => ";4:5",
    };
    [
        (attributes.bold, ";1"),
        (attributes.dim, ";2"),
        (attributes.italic, ";3"),
        (true, underline),
        (attributes.inverse, ";7"),
        (attributes.hidden, ";8"),
        (attributes.strikeout, ";9"),
    ]
    .into_iter()
    .filter_map(|(on, code)| on.then_some(code))
}

fn color(kind: u8, color: Color, out: &mut String) {
    let _ = match color {
        Color::Default => Ok(()),
        Color::Indexed(index @ 0..8) => write!(out, ";{}", kind - 8 + index),
        Color::Indexed(index) => write!(out, ";{kind};5;{index}"),
        Color::Rgb(r, g, b) => write!(out, ";{kind};2;{r};{g};{b}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(bytes: &str) -> Screen {
        let mut screen = Screen::new(20, 4, 100);
        screen.feed(bytes.as_bytes());
        screen
    }

    #[test]
    fn text_has_every_line_once_and_whole() {
        let screen =
            fed("1\r\n2\r\n\x1b[31mlonger than twenty columns\x1b[m\r\n界e\u{301}\r\n5\r\n6");
        assert_eq!(
            text(&screen),
            "1\n2\nlonger than twenty columns\n界e\u{301}\n5\n6\n"
        );
    }

    #[test]
    fn with_escape_sequences_it_looks_the_same() {
        let screen = fed(
            "a\x1b[1;4:3;31;48;2;1;2;3mb\x1b[m c\r\n\x1b]8;;http://x/\x1b\\link\x1b]8;;\x1b\\ 界\r\n\x1b[7m x \x1b[m",
        );
        let mut copy = Screen::new(20, 4, 100);
        copy.feed(ansi(&screen).replace('\n', "\r\n").as_bytes());
        for line in 0..4 {
            let rows = [screen.row(line), copy.row(line)].map(Option::unwrap);
            let looks = rows.each_ref().map(|row| {
                let cells = row.cells().map(|cell| {
                    format!(
                        "{} {:?} {:?} {:?} {:?}",
                        cell.ch(),
                        cell.fg(),
                        cell.bg(),
                        cell.attributes(),
                        cell.link()
                    )
                });
                cells.collect::<Vec<_>>()
            });
            assert_eq!(looks[0], looks[1], "line {line}");
        }
    }
}
