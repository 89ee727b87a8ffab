//! Terminal signals in a program's output: found the same however the stream is cut.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use opsctl_terminal::{Signal, Signals};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    cuts: [u16; 4],
    output: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let mut whole: Vec<Signal> = Vec::new();
    Signals::default().scan(input.output, |signal| whole.push(signal));
    let mut pieces = Vec::new();
    let mut scanner = Signals::default();
    let mut rest = input.output;
    for cut in input.cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        scanner.scan(piece, |signal| pieces.push(signal));
        rest = after;
    }
    scanner.scan(rest, |signal| pieces.push(signal));
    assert_eq!(whole, pieces);
});
