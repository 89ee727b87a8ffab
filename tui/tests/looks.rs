//! Themes, depths of colour and glyph sets over the views.
//!
//! Each view is one snapshot at every size: its text in Unicode, which row differs in ASCII and how, and a map of its
//! styles, whose legend has each as a terminal with all colours, with 256, with 16 and with none gets it. What holds for all
//! of them is asserted besides: ASCII stays ASCII, no terminal gets a colour that it lacks, and colours change no text.

mod world;

use std::fmt::Write;

use crossterm::event::KeyCode;
use opsctl_protocol::message::{AgentList, Notification, Priority, Role};
use opsctl_protocol::{AgentId, Timestamp};
use opsctl_tui::state::activity::Told;
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

/// Agents in every state, the one that is blocked selected.
fn coders(cols: u16, rows: u16) -> State {
    let mut state = console(cols, rows);
    let (agents, more) = (one_of_each(), false);
    state.list.agent = AgentId::new("coder-2").ok();
    state.message(Message::Agents(AgentList { agents, more }), NOW);
    state
}

type Make = fn(u16, u16) -> State;

/// Every view, and what lies over them.
const VIEWS: [(&str, Make); 17] = [
    ("fleet", |cols, rows| console(cols, rows)),
    ("pane", pane),
    ("attached", |cols, rows| {
        let mut state = pane(cols, rows);
        keys(&mut state, "a");
        state
    }),
    ("grid", |cols, rows| {
        let mut state = coders(cols, rows);
        keys(&mut state, "+j+j+j+");
        state
    }),
    ("zoom", |cols, rows| {
        let mut state = pane(cols, rows);
        keys(&mut state, "z");
        state
    }),
    ("preview", |cols, rows| {
        let mut state = coders(cols, rows);
        let text = "\x1b[1mDo you want to proceed?\x1b[0m\r\n \x1b[34m❯ 1. Yes\x1b[0m\r\n   2. No";
        state.message(output(2, 0, text), NOW);
        state
    }),
    ("inbox", |cols, rows| {
        let mut state = coders(cols, rows);
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
    ("toast", |cols, rows| {
        let mut state = console(cols, rows);
        let note = Notification {
            title: "Review needed".to_owned(),
            message: "see there".to_owned(),
            priority: Priority::High,
        };
        let told = Told::Notification(note);
        state.message(Message::Told(AgentId::new("opus-1").ok(), NOW, told), NOW);
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

/// Letters for styles in a map, in the order in which they are met.
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn style_of(cell: &Cell) -> String {
    let modifiers = format!("{:?}", cell.modifier);
    let modifiers = modifiers.trim_start_matches("NONE");
    let text = format!("{} on {} {modifiers}", cell.fg, cell.bg);
    text.trim_end().to_owned()
}

/// What has no style in any depth is `.` in the map.
const PLAIN: &str = "Reset on Reset";

/// A map of the styles, one letter a cell, and the legend of its letters.
fn map(buffers: &[Buffer]) -> (String, Vec<String>) {
    let mut legend: Vec<String> = Vec::new();
    let mut text = String::new();
    let mut maps: Vec<String> = Vec::new();
    let width = usize::from(buffers[0].area.width);
    for row in 0..usize::from(buffers[0].area.height) {
        let letters = (row * width..(row + 1) * width).map(|at| {
            let styles: Vec<String> = buffers.iter().map(|b| style_of(&b.content[at])).collect();
            if styles.iter().all(|style| style == PLAIN) {
                return '.';
            }
            let entry = styles.join(" | ");
            let known = legend.iter().position(|known| *known == entry);
            let at = known.unwrap_or_else(|| {
                legend.push(entry);
                legend.len() - 1
            });
            char::from(LETTERS[at])
        });
        let letters: String = letters.collect();
        maps.push(letters.trim_end_matches('.').to_owned());
    }
    // Rows that look alike are one line.
    for alike in maps.chunk_by(|a, b| a == b) {
        let times = match alike.len() {
            1 => String::new(),
            times => format!(" x{times}"),
        };
        writeln!(text, "{}{times}", alike[0]).expect("texts can be written to");
    }
    (text, legend)
}

/// Everything that there is to see of a view at one size.
fn page(state: &State) -> String {
    let buffers = DEPTHS.map(|depth| draw(state, &theme("dark", depth, false)));
    let ascii = lines(&draw(state, &theme("dark", Depth::True, true)));
    let unicode = lines(&buffers[0]);
    let (map, legend) = map(&buffers);
    let (cols, rows) = state.size;
    let mut page = format!("==== {cols}x{rows}\n{unicode}\n\n---- in ASCII\n");
    for (row, (before, after)) in unicode.lines().zip(ascii.lines()).enumerate() {
        if before != after {
            writeln!(page, "{row:2} {after}").expect("texts can be written to");
        }
    }
    writeln!(page, "\n---- styles: truecolor | 256 | 16 | none\n{map}")
        .expect("texts can be written to");
    for (entry, letter) in legend.iter().zip(LETTERS) {
        writeln!(page, "{} {entry}", char::from(*letter)).expect("texts can be written to");
    }
    page
}

#[test]
fn every_view_at_every_size_in_every_depth_and_glyph_set() {
    for (name, make) in VIEWS {
        let pages = SIZES.map(|(cols, rows)| page(&make(cols, rows)));
        insta::assert_snapshot!(name, pages.join("\n"));
    }
}

#[test]
fn each_theme_has_its_styles() {
    let state = pane(80, 24);
    for (name, depth) in [
        ("light", Depth::True),
        ("contrast", Depth::True),
        ("16", Depth::Sixteen),
    ] {
        let buffer = draw(&state, &theme(name, depth, false));
        insta::assert_snapshot!(format!("styles_{name}_{depth:?}"), styles(&buffer));
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
fn who_only_watches_takes_nothing_off() {
    let mut state = coders(120, 40);
    state.read_only = true;
    let waiting = state.fleet.roster().inbox_len();
    for (keyed, finished) in [("2x", "coder-2"), ("1s", "coder-2"), ("1+", "coder-3")] {
        state.list.agent = AgentId::new(finished).ok();
        state.notice = None;
        keys(&mut state, keyed);
        assert_eq!(state.fleet.roster().inbox_len(), waiting, "{keyed}");
        let refused = text(&state).contains("stays until it is dealt with");
        assert_eq!(refused, keyed != "1+", "{}", text(&state));
    }
    // Who has the rights has not: it is this person's own list.
    state.read_only = false;
    state.message(Message::Connected(connected(Role::Viewer)), NOW);
    keys(&mut state, "2x");
    assert!(state.fleet.roster().inbox_len() < waiting);
}

#[test]
fn news_leave_the_keys_that_have_room() {
    let mut state = coders(120, 40);
    keys(&mut state, "m");
    let shown = text(&state);
    let last = shown.lines().last().unwrap_or_default();
    assert!(last.starts_with(" the mouse is your terminal's"), "{last}");
    assert!(last.contains("? help") && last.contains("Enter"), "{last}");
    let shown = text(&{
        let mut narrow = coders(40, 10);
        keys(&mut narrow, "m");
        narrow
    });
    assert!(shown.contains("the mouse is your terminal's"), "{shown}");
}

#[test]
fn a_terminal_of_which_only_a_part_is_seen_says_so() {
    let sign = |cols, rows, keyed: &str| {
        let mut state = console(cols, rows);
        let mut wide = command(
            1,
            "build-1",
            "make",
            opsctl_protocol::message::State::Running,
        );
        (wide.cols, wide.rows) = (120, 40);
        state.message(status(wide), NOW);
        keys(&mut state, "\n\n");
        let long = numbered(60).replace("line", &"a line ".repeat(14));
        state.message(output(1, 0, &long), NOW);
        keys(&mut state, keyed);
        let title = |ascii| {
            let buffer = draw(&state, &theme("16", Depth::Sixteen, ascii));
            let lines = lines(&buffer);
            lines
                .lines()
                .find(|line| line.contains("120x40"))
                .map(str::to_owned)
        };
        [title(false), title(true)].map(Option::unwrap_or_default)
    };
    let [below, ascii] = sign(80, 24, "");
    assert!(below.contains("120x40›↑ build-1"), "{below}");
    assert!(ascii.contains("120x40>^ build-1"), "{ascii}");
    let [panned, ascii] = sign(80, 24, "ll");
    assert!(panned.contains("‹120x40›↑ build-1"), "{panned}");
    assert!(ascii.contains("<120x40>^ build-1"), "{ascii}");
    let [small, _] = sign(40, 10, "");
    assert!(small.contains("120x40›↑"), "{small}");
    let [whole, _] = sign(200, 60, "");
    assert!(whole.contains(" 120x40 build-1"), "{whole}");
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
