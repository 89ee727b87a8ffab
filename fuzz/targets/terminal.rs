//! A program's output in a terminal: however it is cut the screen is the same, and a snapshot shows it to a late visitor.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opsctl_terminal::Screen;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    cols: u8,
    rows: u8,
    cuts: [u16; 4],
    output: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let (cols, rows) = (
        u16::from(input.cols).clamp(2, 120),
        u16::from(input.rows).clamp(1, 60),
    );
    let mut whole = Screen::new(cols, rows, 100);
    whole.feed(input.output);
    let mut pieces = Screen::new(cols, rows, 100);
    let mut rest = input.output;
    for cut in input.cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        pieces.feed(piece);
        rest = after;
    }
    pieces.feed(rest);
    assert_eq!(whole.text(), pieces.text());
    let mut late = Screen::new(cols, rows, 100);
    late.feed(&whole.snapshot());
    assert_eq!(whole.text(), late.text());
    let cursor = whole.cursor();
    assert_eq!(
        (cursor.row, cursor.col),
        (late.cursor().row, late.cursor().col)
    );
});
