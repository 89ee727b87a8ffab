//! A terminal's lines as text, plain or with escape sequences.

use std::fmt::Write;

use opsctl_terminal::{Attributes, Cell, Color, Screen, Underline, Width};

use crate::state::lines;

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
    whole(screen, |_, _| {})
}

/// The same with escape sequences for colours, attributes and links.
pub fn ansi(screen: &Screen) -> String {
    let mut pen = Pen::default();
    whole(screen, move |cell, out| pen.change(cell, out))
}

fn whole(screen: &Screen, mut before: impl FnMut(Option<Cell<'_>>, &mut String)) -> String {
    let mut out = String::new();
    for line in lines::all(screen) {
        let Some(row) = lines::row(screen, line) else {
            continue;
        };
        let used = if row.is_wrapped() {
            usize::MAX
        } else {
            row.cells()
                .enumerate()
                .filter(|(_, cell)| !cell.is_blank())
                .last()
                .map_or(0, |(col, _)| col + 1)
        };
        for cell in row
            .cells()
            .take(used)
            .filter(|cell| cell.width() != Width::Spacer)
        {
            before(Some(cell), &mut out);
            out.push(cell.ch());
            out.extend(cell.marks());
        }
        if !row.is_wrapped() {
            before(None, &mut out);
            out.push('\n');
        }
    }
    // The empty rows below the last line are no lines of the output.
    let end = out.trim_end_matches('\n').len();
    out.truncate((end + 1).min(out.len()));
    out
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
