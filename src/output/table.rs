//! Columns that fit the terminal: as wide as their contents, and where that is too much the flexible ones give way.

use std::io::IsTerminal;

use super::color::{RESET, Style};

/// Between columns.
const GAP: usize = 2;

/// A flexible column is not cut below this.
const NARROWEST: usize = 8;

/// A cell: its text and, where it has one, its style.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    style: Option<Style>,
}

impl Cell {
    /// A cell with a style.
    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self {
            text: clean(&text.into()),
            style: Some(style),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: clean(&text.into()),
            style: None,
        }
    }
}

/// What a remote program named must not steer this terminal, nor break the table's lines.
fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A column's heading, and whether it may be cut.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// In capitals, as kubectl does.
    pub heading: &'static str,
    /// Gives way when the terminal is too narrow.
    pub flexible: bool,
}

impl Column {
    /// A column that is always as wide as its longest cell.
    pub const fn fixed(heading: &'static str) -> Self {
        Self {
            heading,
            flexible: false,
        }
    }

    /// A column that gives way where the terminal is too narrow.
    pub const fn flexible(heading: &'static str) -> Self {
        Self {
            heading,
            flexible: true,
        }
    }
}

/// Lays rows out under their headings. `width` is the terminal's, none when the output goes elsewhere.
pub fn render(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>, color: bool) -> String {
    let widths = widths(columns, rows, width);
    let mut text = String::new();
    let heading: Vec<Cell> = columns
        .iter()
        .map(|column| Cell::styled(column.heading, Style::Bold))
        .collect();
    for row in std::iter::once(&heading).chain(rows) {
        push_row(&mut text, row, &widths, width, color);
    }
    text
}

fn push_row(text: &mut String, row: &[Cell], widths: &[usize], width: Option<usize>, color: bool) {
    let mut used = 0;
    for (at, (cell, cell_width)) in row.iter().zip(widths).enumerate() {
        let last = at + 1 == row.len();
        // Where even the narrowest columns do not fit, the line is cut rather than wrapped.
        let room = width.map_or(*cell_width, |width| {
            width.saturating_sub(used).min(*cell_width)
        });
        let shown = cut(&cell.text, room);
        let shown_width = shown.chars().count();
        match cell.style.filter(|_| color && shown_width > 0) {
            Some(style) => text.extend([style.code(), &shown, RESET]),
            None => text.push_str(&shown),
        }
        used += cell_width + GAP;
        if !last && width.is_none_or(|width| used < width) {
            text.extend(std::iter::repeat_n(' ', cell_width - shown_width + GAP));
        }
    }
    let end = text.trim_end_matches(' ').len();
    text.truncate(end);
    text.push('\n');
}

fn widths(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> Vec<usize> {
    let longest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells
            .map(|cell| cell.text.chars().count())
            .max()
            .unwrap_or(0)
    };
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| column.heading.len().max(longest(at)))
        .collect();
    let Some(width) = width else { return widths };
    let gaps = GAP * columns.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        // The widest flexible column gives one.
        let flexible = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| column.flexible);
        let widest = flexible.map(|(at, _)| at).max_by_key(|at| widths[*at]);
        match widest {
            Some(at) if widths[at] > NARROWEST.max(columns[at].heading.len()) => widths[at] -= 1,
            _ => break,
        }
    }
    widths
}

/// The text in so many columns, its loss marked.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(room.saturating_sub(1)).collect();
    if room > 0 {
        cut.push('…');
    }
    cut
}

/// The terminal's columns, when stdout is one.
pub fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column::fixed("NAME"),
        Column::flexible("LABELS"),
        Column::fixed("SEEN"),
    ];

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec![
                "web-1".into(),
                "env=prod,zone=eu-central".into(),
                "now".into(),
            ],
            vec![Cell::styled("db", Style::Name), "".into(), "5m".into()],
        ]
    }

    #[test]
    fn columns_are_as_wide_as_their_contents() {
        let expected = "NAME   LABELS                    SEEN\n\
                        web-1  env=prod,zone=eu-central  now\n\
                        db                               5m\n";
        assert_eq!(render(&COLUMNS, &rows(), None, false), expected);
        assert_eq!(render(&COLUMNS, &rows(), Some(200), false), expected);
    }

    #[test]
    fn flexible_columns_give_way() {
        let expected = "NAME   LABELS      SEEN\nweb-1  env=prod,…  now\ndb                 5m\n";
        assert_eq!(render(&COLUMNS, &rows(), Some(23), false), expected);
        for width in 1..40 {
            let text = render(&COLUMNS, &rows(), Some(width), false);
            assert!(
                text.lines().all(|line| line.chars().count() <= width),
                "{width}:\n{text}"
            );
        }
    }

    #[test]
    fn styles_do_not_count_and_control_characters_do_not_pass() {
        let rows = vec![vec![
            Cell::styled("a\x1b[2J\nb", Style::Bad),
            "x".into(),
            "y".into(),
        ]];
        let text = render(&COLUMNS, &rows, None, true);
        assert!(text.contains("\x1b[31ma [2J b\x1b[0m  x"), "{text:?}");
    }
}
