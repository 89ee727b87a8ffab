//! Themes, depths of colour and glyph sets over the views.
//!
//! What stands where doesn't depend on colours, so texts are snapshots at each size for each glyph set only (Unicode in
//! `views.rs` and beside it, ASCII here). What looks how depends on neither size nor glyphs, so styles are snapshots at one
//! size for each depth and theme, as runs of equal style in each row. That all views keep to ASCII and to their terminal's
//! colours is not shown but asserted, everywhere.

mod world;

use std::fmt::Write;

use crossterm::event::KeyCode;
use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{AgentList, Role};
use opsctl_tui::state::{Input, Link, Message, State};
use opsctl_tui::view::Theme;
use opsctl_tui::view::theme::palette::Palette;
use opsctl_tui::view::theme::{BUILT_IN, Depth};
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;
use world::*;

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (200, 60)];

const DEPTHS: [Depth; 4] = [Depth::True, Depth::Indexed, Depth::Sixteen, Depth::None];

fn theme(name: &str, depth: Depth, ascii: bool) -> Theme {
    match Palette::named(name) {
        Some(palette) => Theme::new(|role| palette.style(role), depth, ascii),
        None => Theme::new(|role| Theme::plain().style(role), Depth::None, ascii),
    }
}

/// Programs' colours of every kind, text that isn't ASCII, a search's matches.
fn pane(cols: u16, rows: u16) -> State {
    let mut state = console(cols, rows);
    keys(&mut state, "\n\n");
    let text = "\x1b[1;32mCompiling\x1b[0m opsctl 表示 e\u{301}\r\n\x1b[31merror\x1b[0m: \x1b[38;5;208mindexed\x1b[0m \
                \x1b[38;2;255;136;0mtrue\x1b[0m \x1b[48;2;1;2;3;38;2;3;2;1mnear\x1b[0m\r\n┌─┐ error\r\n";
    state.message(output(1, 0, text), NOW);
    keys(&mut state, "/error\n");
    state
}

type Make = fn(u16, u16) -> State;

/// Every view, and what lies over them.
const VIEWS: [(&str, Make); 13] = [
    ("fleet", |cols, rows| console(cols, rows)),
    ("pane", pane),
    ("attached", |cols, rows| {
        let mut state = pane(cols, rows);
        keys(&mut state, "a");
        state
    }),
    ("inbox", |cols, rows| {
        let mut state = console(cols, rows);
        let (agents, more) = (one_of_each(), false);
        state.message(Message::Agents(AgentList { agents, more }), NOW);
        keys(&mut state, "2");
        state
    }),
    ("commands", |cols, rows| {
        let mut state = console(cols, rows);
        keys(&mut state, "3");
        state
    }),
    ("activity", |cols, rows| {
        let mut state = console(cols, rows);
        keys(&mut state, "4");
        state
    }),
    ("connections", |cols, rows| {
        let mut state = console(cols, rows);
        keys(&mut state, "5");
        state
    }),
    ("help", |cols, rows| {
        let mut state = console(cols, rows);
        keys(&mut state, "?");
        state
    }),
    ("palette", |cols, rows| {
        let mut state = console(cols, rows);
        press(
            &mut state,
            KeyCode::Char('k'),
            crossterm::event::KeyModifiers::CONTROL,
        );
        state
    }),
    ("question", |cols, rows| {
        let mut state = pane(cols, rows);
        keys(&mut state, "K");
        state
    }),
    ("trouble", |cols, rows| {
        let mut state = pane(cols, rows);
        let until = Timestamp(NOW.0 + 4000);
        let reason = "no daemon answers".to_owned();
        let link = Link::Waiting {
            attempt: 5,
            until,
            reason,
        };
        state.message(Message::Link(link), NOW);
        state
    }),
    ("watching", |cols, rows| {
        let mut state = console(cols, rows);
        state.message(Message::Connected(connected(Role::Viewer)), NOW);
        keys(&mut state, "r");
        state
    }),
    ("empty", |cols, rows| {
        let mut state = bare(cols, rows);
        state.message(Message::Link(Link::Connected), NOW);
        state.message(Message::Connected(connected(Role::Admin)), NOW);
        state.message(Message::Agents(AgentList::default()), NOW);
        state
    }),
];

fn rows(buffer: &Buffer) -> impl Iterator<Item = &[Cell]> {
    buffer.content.chunks(usize::from(buffer.area.width).max(1))
}

fn lines(buffer: &Buffer) -> String {
    let lines = rows(buffer).map(|row| {
        let line: String = row.iter().map(Cell::symbol).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Runs of equal style: `ROW  FROM-TO text: fg on bg modifiers`; what has no style is left out.
fn styles(buffer: &Buffer) -> String {
    let mut text = String::new();
    for (y, row) in rows(buffer).enumerate() {
        let mut from = 0;
        for run in row.chunk_by(|a, b| a.style() == b.style()) {
            let (first, to) = (&run[0], from + run.len());
            let plain = (first.fg, first.bg, first.modifier);
            if plain != (Color::Reset, Color::Reset, Modifier::empty()) {
                let shown: String = run.iter().map(Cell::symbol).collect();
                let modifiers = format!("{:?}", first.modifier);
                let modifiers = modifiers.trim_start_matches("NONE");
                let look = format!("{} on {} {modifiers}", first.fg, first.bg);
                writeln!(
                    text,
                    "{y:2} {from:3}-{to:<3} {:<30} {:?}",
                    look,
                    shown.trim()
                )
                .expect("texts can be written to");
            }
            from = to;
        }
    }
    text
}

#[test]
fn each_depth_and_theme_has_its_styles() {
    let state = pane(80, 24);
    for (name, depth) in DEPTHS.map(|depth| ("dark", depth)).into_iter().chain([
        ("light", Depth::True),
        ("contrast", Depth::True),
        ("16", Depth::Sixteen),
    ]) {
        let buffer = draw(&state, &theme(name, depth, false));
        insta::assert_snapshot!(format!("styles_{name}_{depth:?}"), styles(&buffer));
    }
}

#[test]
fn the_fleet_in_ascii() {
    for (cols, rows) in SIZES {
        let buffer = draw(&console(cols, rows), &theme("16", Depth::Sixteen, true));
        insta::assert_snapshot!(format!("ascii_{cols}x{rows}"), lines(&buffer));
    }
}

#[test]
fn every_view_keeps_to_ascii_in_the_same_places() {
    for (name, make) in VIEWS {
        for (cols, rows) in SIZES {
            let state = make(cols, rows);
            let unicode = draw(&state, &theme("16", Depth::Sixteen, false));
            let ascii = draw(&state, &theme("16", Depth::Sixteen, true));
            assert!(lines(&ascii).is_ascii(), "{name}:\n{}", lines(&ascii));
            for (before, after) in self::rows(&unicode).zip(self::rows(&ascii)) {
                // A wide sign has a narrow ASCII form, and what follows moves.
                if before.iter().any(|cell| cell.symbol().width() > 1) {
                    continue;
                }
                for (a, b) in before.iter().zip(after) {
                    let same = !a.symbol().is_ascii() || a.symbol() == b.symbol();
                    assert!(same && a.style() == b.style(), "{name}: {a:?} became {b:?}");
                }
            }
        }
    }
}

#[test]
fn every_view_keeps_to_the_colours_that_there_are() {
    for ((name, make), theme_name) in VIEWS.into_iter().zip(BUILT_IN.into_iter().cycle()) {
        for (cols, rows) in SIZES {
            let state = make(cols, rows);
            for depth in DEPTHS {
                let buffer = draw(&state, &theme(theme_name, depth, false));
                let colours = buffer.content.iter().flat_map(|cell| [cell.fg, cell.bg]);
                for colour in colours {
                    let fits = match (depth, colour) {
                        (Depth::None, colour) => colour == Color::Reset,
                        (Depth::Sixteen, colour) => {
                            !matches!(colour, Color::Rgb(..) | Color::Indexed(_))
                        }
                        (Depth::Indexed, colour) => !matches!(colour, Color::Rgb(..)),
                        (Depth::True, _) => true,
                    };
                    assert!(fits, "{name} in {theme_name} at {depth:?}: {colour:?}");
                }
            }
        }
    }
}

#[test]
fn no_state_is_told_by_colour_alone() {
    for (name, make) in VIEWS {
        for (cols, rows) in SIZES {
            let state = make(cols, rows);
            let with = draw(&state, &theme("dark", Depth::True, false));
            let without = draw(&state, &Theme::plain());
            assert_eq!(
                lines(&with),
                lines(&without),
                "{name}: colours change no text"
            );
        }
    }
}

#[test]
fn who_may_only_watch_sees_it_at_every_size() {
    for (cols, rows) in SIZES {
        let mut state = console(cols, rows);
        state.read_only = true;
        assert!(text(&state).contains("watching only"), "{}", text(&state));
        for asking in ["r", "K", "x", "a", "M"] {
            let effects = keys(&mut state, asking);
            assert!(
                effects.iter().all(|effect| !effect.changes()),
                "{asking}: {effects:?}"
            );
            let shown = text(&state);
            assert!(
                shown.contains("this console only watches"),
                "{asking}:\n{shown}"
            );
        }
    }
}

#[test]
fn without_focus_everything_is_dim_and_says_so() {
    let mut state = pane(80, 24);
    state.input(Input::Focus(false), NOW);
    let buffer = draw(&state, &Theme::plain());
    for row in rows(&buffer) {
        // What a wide character covers is never drawn.
        let covered = |at: usize| at > 0 && row[at - 1].symbol().width() > 1;
        let mut seen = (0..row.len()).filter(|at| !covered(*at));
        assert!(seen.all(|at| row[at].modifier.contains(Modifier::DIM)));
    }
    assert!(lines(&buffer).contains("paused: this window has no focus"));
    keys(&mut state, "j");
    assert!(
        !text(&state).contains("paused"),
        "who types here looks here"
    );
}
