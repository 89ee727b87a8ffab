//! Signs, and what stands for them where there is only ASCII.

use ratatui::buffer::Cell;
use unicode_width::UnicodeWidthStr;

/// A sign that the console draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyph {
    /// Busy, or well.
    Working,
    /// Waits for a person.
    Blocked,
    /// Finished.
    Done,
    /// Has nothing to do.
    Idle,
    /// Failed.
    Error,
    /// Has no connection.
    Offline,
    /// Begins.
    Starting,
    /// Nothing is known of it.
    Unknown,
    /// Ended before it began.
    Cancelled,
    /// Works, but badly.
    Degraded,
    /// Marked for what comes next.
    Marked,
    /// Before a group of which only the heading is shown.
    Folded,
    /// Before a group whose members stand below.
    Unfolded,
    /// Something was cut off here.
    Ellipsis,
    /// Between the parts of a path.
    Crumb,
    /// Between panes side by side.
    Line,
    /// A character that can't be shown.
    Hidden,
    /// The end of a line within a text that is shown in one.
    LineEnd,
}

impl Glyph {
    const ALL: [Self; 18] = [
        Self::Working,
        Self::Blocked,
        Self::Done,
        Self::Idle,
        Self::Error,
        Self::Offline,
        Self::Starting,
        Self::Unknown,
        Self::Cancelled,
        Self::Degraded,
        Self::Marked,
        Self::Folded,
        Self::Unfolded,
        Self::Ellipsis,
        Self::Crumb,
        Self::Line,
        Self::Hidden,
        Self::LineEnd,
    ];

    const fn forms(self) -> (&'static str, &'static str) {
        match self {
            Self::Working => ("●", "*"),
            Self::Blocked => ("!", "!"),
            Self::Done => ("✓", "+"),
            Self::Idle => ("○", "o"),
            Self::Error => ("✗", "x"),
            Self::Offline => ("⚡", "%"),
            Self::Starting => ("◌", ":"),
            Self::Unknown => ("?", "?"),
            Self::Cancelled => ("–", "-"),
            Self::Degraded => ("▲", "^"),
            Self::Marked => ("▌", "#"),
            Self::Folded => ("▸", "+"),
            Self::Unfolded => ("▾", "-"),
            Self::Ellipsis => ("…", "~"),
            Self::Crumb => ("›", ">"),
            Self::Line => ("│", "|"),
            Self::Hidden => ("·", "."),
            Self::LineEnd => ("↵", "/"),
        }
    }

    /// With all of Unicode.
    pub const fn unicode(self) -> &'static str {
        self.forms().0
    }

    /// In ASCII.
    pub const fn ascii(self) -> &'static str {
        self.forms().1
    }
}

/// Draws a cell in ASCII: signs and lines as what stands for them, other characters as `?`. Columns stay
/// in line: what is two columns wide leaves its second one blank.
pub fn to_ascii(cell: &mut Cell) {
    let symbol = cell.symbol();
    if symbol.is_ascii() {
        return;
    }
    let sign = Glyph::ALL
        .into_iter()
        .find(|glyph| glyph.unicode() == symbol);
    let text = sign.map_or_else(|| character(symbol), Glyph::ascii);
    cell.set_symbol(text);
}

fn character(symbol: &str) -> &'static str {
    if symbol.width() == 0 {
        return " ";
    }
    match symbol.chars().next().unwrap_or(' ') {
        '─' | '━' | '╌' | '╍' | '┄' | '┅' | '┈' | '┉' | '═' | '‐'..='―' => {
            "-"
        }
        '│' | '┃' | '╎' | '╏' | '┆' | '┇' | '┊' | '┋' | '║' => "|",
        '┌'..='╬' | '╭'..='╰' => "+",
        '╱' => "/",
        '╲' => "\\",
        '╳' | '×' => "x",
        '▀'..='▟' | '■' => "#",
        '←' | '◀' | '◂' | '‹' | '«' => "<",
        '→' | '▶' | '▸' | '»' => ">",
        '↑' | '▴' => "^",
        '↓' | '▼' | '▾' => "v",
        '‘' | '’' => "'",
        '“' | '”' => "\"",
        '•' => "*",
        '\u{a0}' => " ",
        _ => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_s_ascii_form_takes_one_column_and_states_differ() {
        let states = &Glyph::ALL[..8];
        for glyph in Glyph::ALL {
            assert!(glyph.ascii().len() == 1 && glyph.ascii().is_ascii());
        }
        for (at, glyph) in states.iter().enumerate() {
            assert!(
                states[..at]
                    .iter()
                    .all(|other| other.ascii() != glyph.ascii())
            );
        }
    }

    #[test]
    fn any_character_has_an_ascii_form() {
        let shown = |symbol: &'static str| {
            let mut cell = Cell::new(symbol);
            to_ascii(&mut cell);
            cell.symbol().to_owned()
        };
        for (symbol, expected) in [("a", "a"), ("●", "*"), ("╭", "+"), ("é", "?"), ("表", "?")]
        {
            assert_eq!(shown(symbol), expected);
        }
    }
}
