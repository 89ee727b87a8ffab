//! Where things are on the screen, by its size. Reducer and view share this: a command runs in a
//! terminal as large as the pane that will show it.

use ratatui::layout::Rect;

use crate::state::{Focus, State, View};

/// From this many columns on there is room for a list and several panes.
const WIDE: u16 = 120;

/// From this many columns on there is room for a list and one pane beside it.
const MEDIUM: u16 = 80;

/// Below this there is room for one thing only.
const TINY: (u16, u16) = (40, 10);

/// From so many rows on a list above has room for a preview below it.
const STACKED: u16 = 16;

/// Rows of a list that has nothing to list, with its title.
const EMPTY_LIST: u16 = 2;

/// Columns that a pane in a grid should have at least.
const PANE_COLS: u16 = 40;

/// Where things are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Layout {
    /// One line at the top: counts, connection.
    pub header: Rect,
    /// The list of agents or commands.
    pub list: Option<Rect>,
    /// The panes shown, by their index, each with its title line.
    pub panes: Vec<(usize, Rect)>,
    /// All between the bars, for a view other than the fleet.
    pub room: Option<Rect>,
    /// Where a pane would be, while there is none.
    pub blank: Option<Rect>,
    /// One line at the bottom: keys, a prompt, news.
    pub footer: Rect,
}

impl Layout {
    /// The layout for a state.
    pub fn of(state: &State) -> Self {
        let area = Rect::new(0, 0, state.size.0, state.size.1);
        if area.height < 3 {
            // Not even a title: what has the focus gets it all.
            let fleet = state.view == View::Fleet;
            return Self {
                list: fleet.then_some(area),
                room: (!fleet).then_some(area),
                ..Self::default()
            };
        }
        let (header, below) = over(area, 1);
        let (body, footer) = over(below, below.height - 1);
        let mut layout = Self {
            header,
            footer,
            ..Self::default()
        };
        if state.view != View::Fleet {
            layout.room = Some(body);
            return layout;
        }
        let panes = state.panes.len();
        let at_pane = state.focus == Focus::Pane && panes > 0;
        if area.width < TINY.0 || area.height < TINY.1 {
            if at_pane {
                layout.panes = vec![(state.panes.focused, body)];
            } else {
                layout.list = Some(body);
            }
        } else if state.panes.zoomed && panes > 0 {
            layout.panes = vec![(state.panes.focused, body)];
        } else if panes == 0 && area.width < MEDIUM {
            let (list, rest) = without_panes(body, state.fleet.counts().0);
            layout.list = Some(list);
            layout.blank = Some(rest).filter(|rest| rest.height > 0);
        } else {
            let (list, rest) = divide(body, area.width, at_pane);
            layout.list = Some(list);
            if panes == 0 {
                layout.blank = Some(rest);
            } else if state.panes.grid && area.width >= WIDE {
                layout.panes = tiles(rest, panes);
            } else {
                layout.panes = vec![(state.panes.focused, rest)];
            }
        }
        layout
    }

    /// Columns and rows inside of the pane with this index, below its title; where it isn't shown,
    /// those of the one that is, or that would be.
    pub fn inner(&self, pane: usize) -> (u16, u16) {
        let shown = self
            .panes
            .iter()
            .find(|(index, _)| *index == pane)
            .or(self.panes.first());
        let rect = shown
            .map(|(_, rect)| *rect)
            .or(self.blank)
            .or(self.list)
            .or(self.room)
            .unwrap_or_default();
        let inner = inner(rect);
        (inner.width, inner.height)
    }
}

/// A pane without its title line.
pub fn inner(pane: Rect) -> Rect {
    Rect {
        y: pane.y + 1.min(pane.height),
        height: pane.height.saturating_sub(1),
        ..pane
    }
}

/// A list without its title line, which it has where there is room.
pub fn list_body(list: Rect) -> Rect {
    if list.height > 2 { inner(list) } else { list }
}

/// The list, and the rest for panes. One column between them is left for a line.
fn divide(body: Rect, width: u16, at_pane: bool) -> (Rect, Rect) {
    if width >= MEDIUM {
        let list = match width {
            WIDE.. => (width / 4).clamp(36, 48),
            _ => 28,
        };
        let (list, rest) = beside(body, list);
        (list, beside(rest, 1).1)
    } else {
        // What has the focus gets the larger part.
        let list = if at_pane {
            body.height / 4
        } else {
            body.height / 2
        };
        over(body, list.max(2))
    }
}

/// The list above, and what is below it while no pane is open: the agents matter most, and where there are none, what to do.
fn without_panes(body: Rect, agents: usize) -> (Rect, Rect) {
    let list = match agents {
        0 => EMPTY_LIST,
        _ if body.height < STACKED => body.height,
        _ => body.height / 2,
    };
    over(body, list)
}

/// The first rows of an area, and those below. Plain sums: a layout is looked up for every key, before it goes anywhere,
/// and ratatui's solver takes a tenth of a millisecond.
fn over(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let below = Rect {
        y: area.y + height,
        height: area.height - height,
        ..area
    };
    (Rect { height, ..area }, below)
}

/// The first columns of an area, and those to the right.
fn beside(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let right = Rect {
        x: area.x + width,
        width: area.width - width,
        ..area
    };
    (Rect { width, ..area }, right)
}

/// Where each of so many parts of a length begins and how long it is, when they are as equal as can be.
fn shares(length: u16, count: usize) -> impl Iterator<Item = (u16, u16)> {
    // Rounded, so that none is more than a cell off.
    let edge = move |at: usize| ((2 * usize::from(length) * at + count) / (2 * count)) as u16;
    (0..count).map(move |at| (edge(at), edge(at + 1) - edge(at)))
}

/// Panes side by side and one below the other, one column apart.
fn tiles(area: Rect, count: usize) -> Vec<(usize, Rect)> {
    let most = usize::from((area.width / PANE_COLS).max(1));
    let square = (1..=count).find(|cols| cols * cols >= count).unwrap_or(1);
    let cols = square.min(most);
    let rows = count.div_ceil(cols);
    let mut tiles = Vec::with_capacity(count);
    for (row, (y, height)) in shares(area.height, rows).enumerate() {
        let first = row * cols;
        let here = cols.min(count - first);
        let lines = here as u16 - 1;
        let widths = shares(area.width.saturating_sub(lines), here);
        tiles.extend(widths.enumerate().map(|(col, (x, width))| {
            let tile = Rect {
                x: area.x + x + col as u16,
                y: area.y + y,
                width,
                height,
            };
            (first + col, tile)
        }));
    }
    tiles
}

#[cfg(test)]
mod tests {
    use ratatui::layout::{Constraint, Layout as Split};

    use super::*;

    #[test]
    fn tiles_are_where_ratatui_would_put_them() {
        for (width, height) in [(161, 58), (84, 38), (152, 57), (41, 12)] {
            let area = Rect::new(3, 1, width, height);
            let fill = |count| vec![Constraint::Fill(1); count];
            for count in 1..=4 {
                let shares: Vec<_> = shares(height, count).collect();
                let split = Split::vertical(fill(count)).split(area);
                let rows: Vec<_> = split
                    .iter()
                    .map(|row| (row.y - area.y, row.height))
                    .collect();
                assert_eq!(shares, rows);
            }
            let split = Split::horizontal(fill(3)).spacing(1).split(area);
            if width >= 3 * PANE_COLS {
                let first: Vec<_> = tiles(area, 9)
                    .iter()
                    .map(|(_, tile)| (tile.x, tile.width))
                    .collect();
                let cols: Vec<_> = split.iter().map(|col| (col.x, col.width)).collect();
                assert_eq!(first[..3], cols);
            }
        }
    }

    #[test]
    fn tiles_cover_the_area_without_overlap() {
        for count in 1..=9 {
            for (width, height) in [(160, 58), (84, 38), (41, 12)] {
                let area = Rect::new(3, 1, width, height);
                let tiles = tiles(area, count);
                assert_eq!(tiles.len(), count);
                for (at, (_, tile)) in tiles.iter().enumerate() {
                    assert_eq!(tile.intersection(area), *tile);
                    let others = tiles.iter().skip(at + 1);
                    assert!(
                        others
                            .into_iter()
                            .all(|(_, other)| !tile.intersects(*other))
                    );
                }
            }
        }
    }
}
