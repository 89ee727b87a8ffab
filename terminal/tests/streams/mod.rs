//! Random terminal output: text and the operations that full-screen programs use.

#![allow(unreachable_pub, reason = "a module of tests exports nothing")]

use proptest::prelude::*;

/// One operation as the bytes of its escape sequence.
pub fn operation() -> impl Strategy<Value = Vec<u8>> {
    let n = 1u16..14;
    prop_oneof![
        12 => text(),
        6 => n.clone().prop_flat_map(|rows| (Just(rows), 1u16..34))
            .prop_map(|(row, col)| format!("\x1b[{row};{col}H")),
        6 => sgr(),
        4 => prop::sample::select(vec![
            "\r\n", "\n", "\r", "\t", "\x08", "\x1bM", "\x1bD", "\x1bE", "\x1b7", "\x1b8", "\x1bH", "\x1b[g",
        ]).prop_map(str::to_owned),
        6 => (n.clone(), prop::sample::select(vec!["A", "B", "C", "D", "E", "F", "G", "d", "X", "@", "P", "L", "M", "S", "T", "I", "Z"]))
            .prop_map(|(count, end)| format!("\x1b[{count}{end}")),
        3 => (0u8..3, prop::sample::select(vec!["J", "K"])).prop_map(|(how, end)| format!("\x1b[{how}{end}")),
        2 => (1u16..8, 5u16..14).prop_map(|(top, bottom)| format!("\x1b[{top};{bottom}r")),
        3 => mode(),
        1 => rare(),
        1 => prop::sample::select(vec!["a", "Z", "界", "q"]).prop_map(|c| format!("{c}\x1b[7b")),
    ]
    .prop_map(String::into_bytes)
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "bc",
        "word ",
        "    ",
        "longer than many others ",
        "界",
        "表示",
        "e\u{301}",
        "\u{301}",
        "👍",
        "ﬀ",
        "q",
        "x|",
    ]);
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn sgr() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "0",
        "1",
        "2",
        "3",
        "4",
        "4:3",
        "7",
        "8",
        "9",
        "22",
        "24",
        "27",
        "31",
        "42",
        "97",
        "38;5;200",
        "48;5;17",
        "38;2;1;2;3",
        "48;2;9;8;7",
        "58;5;3",
        "39",
        "49",
        "1;4;31;44",
    ])
    .prop_map(|code| format!("\x1b[{code}m"))
}

fn mode() -> impl Strategy<Value = String> {
    let modes = vec![
        "4", "20", "?1", "?6", "?7", "?25", "?1000", "?1002", "?1003", "?1004", "?1005", "?1006",
        "?1007", "?1049", "?47", "?1049", "?2004", "?2026",
    ];
    (prop::sample::select(modes), prop::bool::ANY)
        .prop_map(|(mode, on)| format!("\x1b[{mode}{}", if on { 'h' } else { 'l' }))
}

fn rare() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "\x1b]0;a title\x07",
        "\x1b]2;another; one\x1b\\",
        "\x1b[22t",
        "\x1b[23t",
        "\x1b[>1u",
        "\x1b[>5u",
        "\x1b[<u",
        "\x1b[=3u",
        "\x1b(0",
        "\x1b(B",
        "\x1b)0",
        "\x0e",
        "\x0f",
        "\x1b#8",
        "\x1bc",
        "\x1b[3g",
        "\x1b[?5W",
        "\x1b=",
        "\x1b>",
        "\x1b[4 q",
        "\x1b[5 q",
        "\x1b[0 q",
        "\x1b]8;;http://x/\x1b\\",
        "\x1b]8;id=7;http://y/\x1b\\",
        "\x1b]8;;\x1b\\",
        "\x1b]4;1;#010203\x1b\\",
        "\x1b]10;#aabbcc\x07",
        "\x1bPq#0\x1b\\",
        "\x1b_apc\x1b\\",
        "\x1b[?3h",
        "\x1b[3J",
        "\x1b[?12h",
    ])
    .prop_map(str::to_owned)
}
