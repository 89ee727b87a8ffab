//! A snapshot recreates the screen, and what follows has the same effect on both.

mod streams;

use opsctl_terminal::Screen;
use proptest::prelude::*;

const COLS: u16 = 30;
const ROWS: u16 = 12;

/// Everything that can be seen or felt of a screen, in a form that shows where two differ.
fn seen(screen: &Screen) -> Vec<String> {
    let mut all = vec![format!(
        "{:?} {:?} {:?}",
        screen.cursor(),
        screen.modes(),
        screen.title()
    )];
    for line in 0..i32::from(screen.size().1) {
        let row = screen.row(line).expect("a row of the screen");
        for (col, cell) in row.cells().enumerate() {
            if cell.is_blank() || cell.width() == opsctl_terminal::Width::Spacer {
                continue;
            }
            all.push(format!(
                "{line},{col}: {:?}{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
                cell.ch(),
                cell.marks(),
                cell.width(),
                cell.fg(),
                cell.bg(),
                cell.underline_color(),
                cell.attributes(),
                cell.link(),
            ));
        }
    }
    all
}

/// What differs between two screens, if anything.
fn differences(a: &Screen, b: &Screen) -> String {
    apart(&seen(a), &seen(b))
}

fn apart(a: &[String], b: &[String]) -> String {
    let only = |x: &[String], y: &[String], sign: &str| -> Vec<String> {
        x.iter()
            .filter(|line| !y.contains(line))
            .map(|line| format!("{sign} {line}"))
            .collect()
    };
    [only(a, b, "-"), only(b, a, "+")].concat().join("\n")
}

fn fed(bytes: &[u8]) -> Screen {
    let mut screen = Screen::new(COLS, ROWS, 0);
    screen.feed(bytes);
    screen
}

fn check(stream: &[u8], cut: usize) -> Result<(), TestCaseError> {
    let (before, after) = stream.split_at(cut);
    let mut original = fed(before);
    let untouched = seen(&original);
    let snapshot = original.snapshot();
    prop_assert_eq!(
        apart(&untouched, &seen(&original)),
        "",
        "taking a snapshot changed the screen"
    );
    let mut copy = fed(&snapshot);
    let shown = String::from_utf8_lossy(&snapshot).into_owned();
    prop_assert_eq!(
        differences(&original, &copy),
        "",
        "after the snapshot {:?}",
        shown
    );
    original.feed(after);
    copy.feed(after);
    prop_assert_eq!(
        differences(&original, &copy),
        "",
        "after the rest, snapshot {:?}",
        shown
    );
    Ok(())
}

/// A line of a flood; hardly any has something else in it than text and looks.
fn line() -> impl Strategy<Value = String> {
    let text = "[ -~é界\t]{0,50}";
    let look = "\x1b\\[(0|1|7|31|42|38;5;9|48:2::1:2:3|4:3)?m";
    prop_oneof![
        8 => text,
        4 => (text, look, text).prop_map(|(a, look, b)| [a, look, b].concat()),
        1 => (look, text, look).prop_map(|(a, text, b)| [a, text, b].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_and_the_rest_equal_the_whole(
        operations in prop::collection::vec(streams::operation(), 1..80),
        cut in 0.0..1.0f64,
    ) {
        let stream = operations.concat();
        check(&stream, (stream.len() as f64 * cut) as usize)?;
    }

    #[test]
    fn any_bytes_are_taken(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        cols in 0u16..40,
        rows in 0u16..20,
    ) {
        let mut screen = Screen::new(5, 5, 10);
        screen.feed(&bytes);
        screen.resize(cols, rows);
        screen.feed(&bytes);
        let snapshot = screen.snapshot();
        let (cols, rows) = screen.size();
        Screen::new(cols, rows, 0).feed(&snapshot);
    }

    #[test]
    fn resizing_while_a_stream_runs_holds(
        pieces in prop::collection::vec((streams::operation(), 1u16..50, 1u16..30), 1..25),
    ) {
        let mut screen = Screen::new(COLS, ROWS, 20);
        for (bytes, cols, rows) in pieces {
            screen.feed(&bytes);
            screen.resize(cols, rows);
            screen.snapshot();
        }
    }

    #[test]
    fn skimming_shows_what_feeding_shows(
        before in prop::collection::vec(streams::operation(), 0..20),
        lines in prop::collection::vec(line(), 0..120),
        other in prop::option::weighted(0.3, (0_usize..120, streams::operation())),
        bare in prop::bool::weighted(0.1),
        after in prop::collection::vec(streams::operation(), 0..20),
    ) {
        let end = if bare { "\n" } else { "\r\n" };
        let mut flood: Vec<Vec<u8>> = lines.iter().map(|line| [line, end].concat().into_bytes()).collect();
        if let Some((at, operation)) = other {
            flood.insert(at.min(flood.len()), operation);
        }
        let flood = flood.concat();
        let mut fed = fed(&before.concat());
        let mut skimmed = self::fed(&before.concat());
        fed.feed(&flood);
        skimmed.feed_skimming(&flood);
        prop_assert_eq!(differences(&fed, &skimmed), "");
        fed.feed(&after.concat());
        skimmed.feed(&after.concat());
        prop_assert_eq!(differences(&fed, &skimmed), "");
    }

    #[test]
    fn pieces_don_t_matter(
        operations in prop::collection::vec(streams::operation(), 1..40),
        size in 1usize..9,
    ) {
        let stream = operations.concat();
        let mut pieces = Screen::new(COLS, ROWS, 0);
        stream.chunks(size).for_each(|piece| pieces.feed(piece));
        prop_assert_eq!(differences(&fed(&stream), &pieces), "", "{:?}", String::from_utf8_lossy(&stream));
    }
}
