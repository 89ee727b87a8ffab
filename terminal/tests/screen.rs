//! What can be seen of a screen, and what an application's questions and settings do.

mod streams;

use opsctl_terminal::{Color, CursorShape, Mouse, MouseEncoding, Screen, Underline, Width};
use proptest::prelude::*;

fn fed(text: &str) -> Screen {
    let mut screen = Screen::new(20, 5, 100);
    screen.feed(text.as_bytes());
    screen
}

#[test]
fn cells_carry_text_colours_and_attributes() {
    let screen = fed("\x1b[1;31;48;5;200ma\x1b[0;4:3;58;5;3mé\u{301}\x1b[m界x");
    let row = screen.row(0).unwrap();
    let a = row.cell(0).unwrap();
    assert_eq!(
        (a.ch(), a.fg(), a.bg()),
        ('a', Color::Indexed(1), Color::Indexed(200))
    );
    assert!(a.attributes().bold);
    let e = row.cell(1).unwrap();
    assert_eq!((e.ch(), e.marks()), ('é', &['\u{301}'][..]));
    assert_eq!(e.attributes().underline, Underline::Curly);
    assert_eq!(e.underline_color(), Some(Color::Indexed(3)));
    assert_eq!(row.cell(2).unwrap().width(), Width::Wide);
    assert_eq!(row.cell(3).unwrap().width(), Width::Spacer);
    assert_eq!(row.text(), "aé\u{301}界x");
}

#[test]
fn lines_that_scrolled_out_can_be_read() {
    let screen = fed("1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7");
    assert_eq!(screen.text(), "3\n4\n5\n6\n7");
    assert_eq!((screen.history(), screen.scrolled()), (2, 2));
    assert_eq!(screen.row(-1).unwrap().text(), "2");
    assert_eq!(screen.row(-2).unwrap().text(), "1");
    assert!(screen.row(-3).is_none() && screen.row(5).is_none());
}

#[test]
fn counting_goes_on_when_the_scrollback_is_full() {
    let mut screen = Screen::new(20, 5, 10);
    screen.feed(&b"x\r\n".repeat(104));
    assert_eq!((screen.history(), screen.scrolled()), (10, 100));
}

#[test]
fn an_application_s_settings_are_seen() {
    let screen = fed(
        "\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?1002h\x1b[?1006h\x1b[?1004h\x1b[?2026h\x1b[>1u",
    );
    let modes = screen.modes();
    assert!(modes.alternate_screen && modes.app_cursor && modes.app_keypad);
    assert!(modes.bracketed_paste && modes.focus_events && modes.synchronized);
    assert_eq!(
        (modes.mouse, modes.mouse_encoding),
        (Mouse::Drag, MouseEncoding::Sgr)
    );
    assert_eq!(modes.keyboard, 1);
    let screen = fed("\x1b[5 q\x1b[?25l\x1b]2;a title\x07\x07\x07");
    let cursor = screen.cursor();
    assert_eq!(
        (cursor.shape, cursor.blinking, cursor.visible),
        (CursorShape::Bar, true, false)
    );
    assert_eq!((screen.title(), screen.bells()), (Some("a title"), 2));
}

#[test]
fn questions_are_answered_to_whoever_takes_the_answers() {
    let mut screen = fed("ab\x1b[6n");
    assert_eq!(screen.take_replies(), b"\x1b[1;3R");
    assert_eq!(screen.take_replies(), b"");
    screen.feed(&b"\x1b[c".repeat(10_000));
    assert!(
        screen.take_replies().len() < 8192,
        "answers that nobody takes are bounded"
    );
}

#[test]
fn a_wide_character_cut_in_pieces_loses_nothing_after_it() {
    let mut screen = fed("");
    for byte in "a\u{301}b界c".as_bytes().chunks(2) {
        screen.feed(byte);
    }
    assert_eq!(screen.text(), "a\u{301}b界c");
}

#[test]
fn stacks_and_titles_are_bounded() {
    let mut screen = fed("");
    screen.feed(&b"\x1b[>1u\x1b[22t".repeat(10_000));
    screen.feed(format!("\x1b]2;{}\x07", "t".repeat(100_000)).as_bytes());
    assert!(screen.title().unwrap().len() < 1000);
    assert!(screen.snapshot().len() < 10_000);
}

#[test]
fn an_endless_title_keeps_the_rest_apart() {
    let mut screen = fed("\x1b]2;");
    for _ in 0..100 {
        screen.feed(&b"x".repeat(32 * 1024));
    }
    screen.feed(b"\x07after");
    assert_eq!(screen.text(), "after");
}

proptest! {
    #[test]
    fn every_line_that_scrolls_out_is_counted(
        operations in prop::collection::vec(streams::operation(), 1..80),
    ) {
        let mut screen = Screen::new(30, 6, 100_000);
        let forgets: [&[u8]; 2] = [b"\x1bc", b"\x1b[3J"];
        for operation in operations.iter().filter(|bytes| !forgets.contains(&bytes.as_slice())) {
            screen.feed(operation);
        }
        screen.feed(b"\x1b[?1049l");
        prop_assert_eq!(screen.history() as u64, screen.scrolled());
    }
}

#[test]
fn prompts_are_found_where_a_new_width_has_made_more_lines() {
    let mut screen = fed(&"twenty columns are full".repeat(10));
    screen.resize(5, 5);
    assert!(screen.history() as u64 > screen.scrolled());
    screen.feed(b"\r\n\x1b]133;A\x1b\\$ ");
    assert_eq!(screen.prompts().count(), 1);
}

#[test]
fn a_row_that_nothing_was_written_to_has_not_changed() {
    let mut screen = fed("1\r\n2\r\n3");
    let before: Vec<u64> = (0..5).map(|row| screen.changed(row)).collect();
    screen.feed(b"\x1b[1;1Hx");
    let changed = |row: u16| screen.changed(row) > before[usize::from(row)];
    assert_eq!(
        (0..5).map(changed).collect::<Vec<_>>(),
        [true, false, true, false, false],
        "the row that is written to, and the one that the cursor comes from"
    );
    screen.feed(b"\x1b[5;1H\n");
    assert!((0..5).all(|row| screen.changed(row) == screen.generation()));
}

/// What can be seen of a row.
fn seen(screen: &Screen, row: u16) -> Vec<String> {
    let row = screen.row(row.into()).expect("the row exists");
    let cells = row.cells().map(|cell| {
        format!(
            "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
            cell.ch(),
            cell.marks(),
            cell.width(),
            cell.fg(),
            cell.bg(),
            cell.attributes(),
            cell.underline_color(),
            cell.link(),
        )
    });
    cells.collect()
}

proptest! {
    #[test]
    fn a_row_that_looks_different_has_changed(
        pieces in prop::collection::vec((prop::collection::vec(streams::operation(), 1..6), any::<bool>()), 1..40),
    ) {
        let mut screen = Screen::new(30, 8, 100);
        for (operations, resizes) in pieces {
            let looks = |screen: &Screen| -> Vec<_> {
                (0..8).map(|row| (screen.changed(row), seen(screen, row))).collect()
            };
            let before = looks(&screen);
            screen.feed(&operations.concat());
            if resizes {
                screen.resize(33, 8);
                screen.resize(30, 8);
            }
            for (row, (before, after)) in before.into_iter().zip(looks(&screen)).enumerate() {
                prop_assert!(before.0 != after.0 || before.1 == after.1, "row {row}: {operations:?}");
            }
        }
    }
}
