//! The palette, over everything.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use super::{fit, put_line, table};
use crate::state::palette::{Item, Palette};

/// Columns and rows that it takes at most.
const MOST: (u16, u16) = (90, 24);

/// Where the palette is, and in it the list of what fits.
pub fn places(area: Rect) -> (Rect, Rect) {
    let (width, height) = (area.width.min(MOST.0), area.height.min(MOST.1));
    let over = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 3,
        width,
        height,
    };
    let inside = Block::bordered().inner(over);
    let typed = inside.height.min(1);
    let list = Rect {
        y: inside.y + typed,
        height: inside.height - typed,
        ..inside
    };
    (over, list)
}

/// Draws the palette; the result is where typing goes.
pub(super) fn draw(palette: &Palette, area: Rect, theme: &Theme, buffer: &mut Buffer) -> Position {
    let (over, list) = places(area);
    Clear.render(over, buffer);
    let block = Block::bordered().title(" everything, by a few letters ");
    let inside = block.inner(over);
    block.render(over, buffer);
    let typed = Rect {
        height: inside.height.min(1),
        ..inside
    };
    let text = Line::from(vec![
        Span::styled(palette.line.label(), theme.key()),
        Span::raw(fit(
            &palette.line.text,
            usize::from(inside.width).saturating_sub(3),
        )),
    ]);
    put_line(buffer, typed, &text);
    table::rows(list, palette.found.len(), palette.selected, |at, row| {
        put_line(
            buffer,
            row,
            &line(&palette.found[at], row.width.into(), theme),
        );
        if at == palette.selected {
            buffer.set_style(row, theme.selected(true));
        }
    });
    if palette.found.is_empty() && list.height > 0 {
        let row = Rect { height: 1, ..list };
        put_line(buffer, row, &Line::styled(" nothing fits", theme.dim()));
    }
    let before = palette.line.label().width() + palette.line.text[..palette.line.cursor].width();
    let x = (inside.x + before as u16).min(inside.right().saturating_sub(1));
    Position::new(x, inside.y)
}

fn line(item: &Item, width: usize, theme: &Theme) -> Line<'static> {
    let detail = fit(&item.detail, width / 3);
    let kind = format!(" {:<8}", item.kind);
    let room = width.saturating_sub(kind.width() + detail.width() + 2);
    let label = fit(&item.label, room);
    let gap = width.saturating_sub(kind.width() + label.width() + detail.width() + 1);
    Line::from(vec![
        Span::styled(kind, theme.dim()),
        Span::raw(label),
        Span::raw(" ".repeat(gap)),
        Span::styled(detail, theme.key()),
        Span::raw(" "),
    ])
}
