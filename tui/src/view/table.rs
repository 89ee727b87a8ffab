//! Tables that fill a view: a title, headings, rows of which one is selected.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use super::{fit, put_line};

/// A column: its heading and how many columns of the terminal it takes; 0 takes what is left.
pub(super) type Column = (&'static str, u16);

/// Calls `draw` with the index and the place of each row that is seen, the selected one near the middle of a list that
/// is longer than its area.
pub(super) fn rows(area: Rect, count: usize, selected: usize, mut draw: impl FnMut(usize, Rect)) {
    let first = first(area, count, selected);
    for (at, y) in (first..count).zip(area.top()..area.bottom()) {
        draw(
            at,
            Rect {
                y,
                height: 1,
                ..area
            },
        );
    }
}

/// The index of the first row that is seen.
pub(crate) fn first(area: Rect, count: usize, selected: usize) -> usize {
    let fitting = usize::from(area.height);
    let middle = selected.saturating_sub(fitting / 2);
    middle.min(count.saturating_sub(fitting))
}

/// A view's area below its title bar, which it has where there is room.
pub(super) fn below_title(area: Rect) -> Rect {
    below(area, 3)
}

/// The area below the headings, where there is room for them.
pub(super) fn below_headings(area: Rect) -> Rect {
    below(area, 5)
}

/// An area without its first line, if it is at least so high.
fn below(area: Rect, least: u16) -> Rect {
    if area.height < least {
        return area;
    }
    Rect {
        y: area.y + 1,
        height: area.height - 1,
        ..area
    }
}

/// Draws a view's title bar; the result is the area below it.
pub(super) fn title(text: &str, area: Rect, theme: &Theme, buffer: &mut Buffer) -> Rect {
    let body = below_title(area);
    if body != area {
        let bar = Rect { height: 1, ..area };
        buffer.set_style(bar, theme.focused_bar());
        put_line(buffer, bar, &Line::raw(fit(text, area.width.into())));
    }
    body
}

/// Draws the headings where there is room for them; the result is the area below.
pub(super) fn headings(columns: &[Column], area: Rect, theme: &Theme, buffer: &mut Buffer) -> Rect {
    let list = below_headings(area);
    if list != area {
        let cells = columns
            .iter()
            .map(|(name, _)| ((*name).to_owned(), theme.dim()));
        let line = cells_line(columns, cells, area.width);
        put_line(buffer, Rect { height: 1, ..area }, &line);
    }
    list
}

/// A row of cells, cut and filled to the columns.
pub(super) fn cells_line(
    columns: &[Column],
    cells: impl Iterator<Item = (String, Style)>,
    width: u16,
) -> Line<'static> {
    let fixed: u16 = columns.iter().map(|(_, width)| width + 1).sum();
    let rest = width.saturating_sub(fixed + 1);
    let spans = columns
        .iter()
        .zip(cells)
        .flat_map(|((_, width), (text, style))| {
            let width = usize::from(if *width == 0 { rest } else { *width });
            let text = fit(&text, width);
            let pad = width.saturating_sub(text.width());
            [
                Span::raw(" "),
                Span::styled(text, style),
                Span::raw(" ".repeat(pad)),
            ]
        });
    Line::from(spans.collect::<Vec<_>>())
}
