//! What scrolls out is kept exactly: compared with the terminal's own scrollback.

#[path = "../../tests/streams/mod.rs"]
mod streams;

use alacritty_terminal::grid::{Dimensions, Grid, Row};
use alacritty_terminal::index::{Column, Line};
use alacritty_terminal::term::cell::{Cell, Flags};
use proptest::prelude::*;

use super::Emulator;
use crate::history::Limit;
use crate::screen::Screen;

const COLS: u16 = 30;
const ROWS: u16 = 8;

/// A screen whose lines stay in the terminal's own scrollback.
fn plain() -> Screen {
    let mut screen = Screen::new(COLS, ROWS, 0);
    screen
        .emulator
        .with_primary(|grid| grid.update_history(100_000));
    screen
}

/// Everything about a row that is to be kept. Links without a name of their own get one by a counter.
fn look(row: &Row<Cell>) -> Vec<String> {
    let cells = row.into_iter().enumerate();
    let cells = cells.map(|(col, cell)| {
        let flags = if col + 1 == row.len() {
            cell.flags
        } else {
            cell.flags - Flags::WRAPLINE
        };
        format!(
            "{:?} {:?} {:?} {flags:?} {:?} {:?} {:?}",
            cell.c,
            cell.fg,
            cell.bg,
            cell.zerowidth().unwrap_or_default(),
            cell.underline_color(),
            cell.hyperlink().map(|link| link.uri().to_owned()),
        )
    });
    cells.collect()
}

fn in_grid(emulator: &mut Emulator) -> Vec<Vec<String>> {
    emulator.with_primary(|grid| {
        let lines = -(grid.history_size() as i32)..grid.screen_lines() as i32;
        lines.map(|line| look(&grid[Line(line)])).collect()
    })
}

/// The terminal keeps the mark of a wrapped line in its last cell. Where that cell moves away from the end, on a
/// larger size or when characters before it are deleted, it takes the mark with it, and on a smaller size one is seen
/// there again. Packed lines have one mark, for their end, so such marks are taken away around each new size.
fn forget_old_marks(grid: &mut Grid<Cell>) {
    for line in -(grid.history_size() as i32)..grid.screen_lines() as i32 {
        let row = &mut grid[Line(line)];
        let last = row.len() - 1;
        row[..Column(last)]
            .iter_mut()
            .for_each(|cell| cell.flags.remove(Flags::WRAPLINE));
    }
}

fn everything(emulator: &mut Emulator) -> Vec<Vec<String>> {
    let history = emulator.history();
    let mut all: Vec<_> = (0..history.len())
        .filter_map(|at| history.line(at))
        .map(|row| look(&row))
        .collect();
    all.extend(in_grid(emulator));
    all
}

/// Output, and the columns and rows that the terminal has after it, if they change.
type Piece = (Vec<Vec<u8>>, Option<(u16, u16)>);

/// Feeds the pieces to both kinds of terminals, and compares all lines after each.
fn compare(pieces: &[Piece]) -> Result<(), TestCaseError> {
    let mut packed = Screen::new(COLS, ROWS, 100_000);
    let mut plain = plain();
    let text = |(bytes, size): &Piece| {
        let bytes = bytes.concat();
        (String::from_utf8_lossy(&bytes).into_owned(), *size)
    };
    let stream: Vec<_> = pieces.iter().map(text).collect();
    for (operations, size) in pieces {
        for screen in [&mut packed, &mut plain] {
            screen.feed(&operations.concat());
            if let Some((cols, rows)) = size {
                screen.emulator.with_primary(forget_old_marks);
                screen.resize(*cols, *rows);
                screen.emulator.with_primary(forget_old_marks);
            }
        }
        let one = everything(&mut packed.emulator);
        let other = in_grid(&mut plain.emulator);
        prop_assert_eq!(one.len(), other.len(), "after {:?}", stream);
        for (at, (one, other)) in one.iter().zip(&other).enumerate() {
            let apart = one.iter().zip(other).position(|(one, other)| one != other);
            let cells = apart.map(|col| (col, &one[col], &other[col]));
            prop_assert!(
                one == other,
                "line {at} differs in {cells:?} after {stream:?}"
            );
        }
        prop_assert_eq!(packed.cursor(), plain.cursor());
    }
    Ok(())
}

proptest! {
    #[test]
    fn packed_lines_equal_the_terminal_s_own(
        pieces in prop::collection::vec(
            (prop::collection::vec(streams::operation(), 1..30), prop::option::of((2u16..50, 2u16..20))),
            1..6,
        ),
    ) {
        compare(&pieces)?;
    }
}

/// Deleting a character of a wrapped line moves the mark at its end by one, and the line is no longer wrapped.
#[test]
fn a_mark_that_was_moved_from_the_end_of_its_line_is_none() {
    let pieces = [
        (vec![b"\r\n\x1b[5;16Ha    \x1b[4l".to_vec()], Some((23, 3))),
        (
            vec![b"bcaa\r\n\x1b[2F\x1b[1Pa\x1b[2J".to_vec()],
            Some((2, 2)),
        ),
        (vec![b"a".to_vec()], None),
    ];
    compare(&pieces).unwrap();
}

/// What is inserted before a wide character moves it, and its line above still ends with the blank that it left.
#[test]
fn a_wide_character_that_is_moved_keeps_its_blank() {
    let wraps = "\u{fb00}    e\u{301}aa\x1b[7b    表示a界longer than many others \x1b8a";
    let pieces = [
        (vec![b"\x1b[4h".to_vec()], Some((22, 2))),
        (vec![wraps.as_bytes().to_vec()], None),
    ];
    compare(&pieces).unwrap();
}

#[test]
fn many_columns_of_text_take_little_memory() {
    let mut screen = Screen::new(200, 60, 10_000);
    let mut line = vec![b'x'; 200];
    line.extend_from_slice(b"\r\n");
    let words = (0..10).map(|n| format!("\x1b[3{}m{:<18}\x1b[m ok", n % 8, "compiling"));
    let coloured = words.collect::<Vec<_>>().concat();
    for _ in 0..6_000 {
        screen.feed(&line);
        screen.feed(coloured.as_bytes());
        screen.feed(b"\r\n");
    }
    assert_eq!(screen.history(), 10_000);
    assert!(
        screen.history_bytes() < 4_000_000,
        "{}",
        screen.history_bytes()
    );
    screen.set_scrollback(Limit {
        lines: 10_000,
        bytes: 400_000,
    });
    assert!(
        screen.history_bytes() < 400_000,
        "{}",
        screen.history_bytes()
    );
    assert_eq!(screen.row(-1).map(|row| row.cells().count()), Some(200));
}

#[test]
fn older_lines_are_put_before_those_that_came_meanwhile() {
    let numbered = |range: std::ops::Range<u32>| {
        let lines = range.map(|n| format!("{n}\r\n"));
        lines.collect::<Vec<_>>().concat()
    };
    let mut screen = Screen::new(20, 4, 10);
    screen.feed(numbered(0..30).as_bytes());
    let until = screen.scrolled();
    let mut older = Screen::new(40, 4, 1000);
    older.feed(numbered(0..30).as_bytes());
    screen.feed(numbered(30..34).as_bytes());
    screen.set_scrollback(Limit::lines(1000));
    screen.put_older(&older, until);
    let lines: Vec<_> = (1..=31)
        .map(|up| screen.row(-up).map(|row| row.text()))
        .collect();
    let expected: Vec<_> = (0..31).rev().map(|n| Some(n.to_string())).collect();
    assert_eq!(lines, expected);
    assert_eq!(screen.history(), 31);
}
