//! When the lines of a pane arrived.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod world;

use std::sync::Arc;

use bytes::Bytes;
use crossterm::event::KeyCode;
use opsctl_protocol::{OutputFrame, Timestamp};
use opsctl_tui::clock::Zone;
use opsctl_tui::layout::Layout;
use opsctl_tui::state::{Answer, Effect, Message, Pane, State};
use proptest::prelude::*;
use world::*;

/// Output so many seconds after the tests' time.
fn after(seconds: u64, offset: u64, text: &str) -> OutputFrame {
    let Message::Output(frame) = output(1, offset, text) else {
        unreachable!("that is what it makes");
    };
    OutputFrame {
        time: Timestamp(NOW.0 + seconds * 1000),
        ..frame
    }
}

/// A console with a pane in which each text arrived ten seconds after the one before.
fn timed(cols: u16, rows: u16, texts: &[&str]) -> State {
    let mut state = console(cols, rows);
    keys(&mut state, "\n\n");
    let mut offset = 0;
    for (at, text) in texts.iter().enumerate() {
        state.message(Message::Output(after(at as u64 * 10, offset, text)), NOW);
        offset += text.len() as u64;
    }
    state
}

fn pane(state: &State) -> &Pane {
    state.panes.current().unwrap()
}

/// The lines that begin with a number of tens of seconds after the tests' time, and when they arrived in them.
fn lines(pane: &Pane) -> Vec<(u64, Option<u64>)> {
    let from = -i32::try_from(pane.screen.history()).unwrap();
    let rows = from..i32::from(pane.screen.size().1);
    let numbered = rows.filter_map(|line| {
        let text = pane.screen.row(line)?.text();
        let number = text.strip_prefix('#')?.split(' ').next()?.parse().ok()?;
        let arrived = pane.arrived(line);
        Some((number, arrived.map(|time| (time.0 - NOW.0) / 10_000)))
    });
    numbered.collect()
}

fn all_right(pane: &Pane) -> Result<(), TestCaseError> {
    for (number, arrived) in lines(pane) {
        prop_assert_eq!(Some(number), arrived, "in {:?}", pane.screen);
    }
    Ok(())
}

#[test]
fn a_key_shows_when_lines_arrived() {
    for (cols, rows) in [(80, 24), (120, 40)] {
        let mut state = timed(
            cols,
            rows,
            &["one\r\n\r\ntwo\r\nthr", "ee\r\n", "four\r\n$ "],
        );
        let size = Layout::of(&state).inner(0);
        assert!(!text(&state).contains("22:13:20"));
        keys(&mut state, "t");
        insta::assert_snapshot!(format!("times_{cols}x{rows}"), text(&state));
        assert!(text(&state).contains("TIMES in UTC"));
        state.zone = Zone::named("CET-1");
        assert!(text(&state).contains("23:13:30 three"), "{}", text(&state));
        assert!(!text(&state).contains("UTC"));
        // The program keeps its size, and the bar says that some of it isn't seen.
        assert_eq!(
            keys(&mut state, "a"),
            [Effect::Resize(id(1), size.0, size.1)]
        );
        assert_eq!(pane(&state).screen.size(), (80, 24));
        let seen = text(&state);
        assert_eq!(seen.contains("TIMES, cropped"), size.0 < 89, "{seen}");
        press(
            &mut state,
            KeyCode::Char(']'),
            crossterm::event::KeyModifiers::CONTROL,
        );
        keys(&mut state, "t");
        assert!(!text(&state).contains("TIMES"));
    }
}

#[test]
fn a_program_that_goes_up_leaves_the_times_of_what_is_below() {
    let state = timed(
        80,
        24,
        &[
            "#0\r\n", "#1\r\n", "#2\r\n", "\x1b[3A", "#4 a\r\n", "\x1b[2B",
        ],
    );
    let times: Vec<_> = (0..4).map(|line| pane(&state).arrived(line)).collect();
    let at = |tens: u64| Some(Timestamp(NOW.0 + tens * 10_000));
    assert_eq!(times[0], at(4));
    assert_eq!(times[2], at(5), "the cursor went through it");
    assert_eq!(pane(&state).arrived(9), None);
}

#[test]
fn clearing_gives_the_times_up_too() {
    let lines: String = (0..100).map(|_| "#0 line\r\n").collect();
    let mut state = timed(80, 24, &[&lines, "#1 more\r\n", "#2 last\r\n"]);
    keys(&mut state, "c");
    all_right(pane(&state)).unwrap();
    assert!(pane(&state).times.len() <= 4);
}

#[test]
fn older_lines_bring_their_times() {
    let mut state = console(80, 24);
    keys(&mut state, "\n\n");
    let texts: Vec<String> = (0..300).map(|n| format!("#{n} line\r\n")).collect();
    let offset = |n: usize| texts[..n].concat().len() as u64;
    let frame = |n: usize| after(n as u64 * 10, offset(n), &texts[n]);
    for n in 250..300 {
        state.message(Message::Output(frame(n)), NOW);
    }
    let effects = key(&mut state, KeyCode::Home);
    let older = effects.into_iter().find_map(|effect| match effect {
        Effect::LoadOlder(older) => Some(*older),
        _ => None,
    });
    let older = older.unwrap();
    let mut read = older.pane();
    for n in 0..300 {
        read.output(&older.part(frame(n), &mut true));
    }
    let answer = Answer::Older(Arc::new(read), Box::new(older));
    state.message(Message::Answer(answer), NOW);
    assert_eq!(lines(pane(&state)).len(), 300);
    all_right(pane(&state)).unwrap();
    keys(&mut state, "tk");
    assert!(
        text(&state).contains("22:54:50 #249 line"),
        "{}",
        text(&state)
    );
}

#[test]
fn there_are_no_more_runs_than_lines() {
    let mut pane = Pane::new(&command(
        1,
        "build-1",
        "tail",
        opsctl_protocol::message::State::Running,
    ));
    let mut offset = 0;
    for n in 0..30_000 {
        let frame = OutputFrame {
            data: Bytes::from_static(b"x\r\n"),
            ..after(n, offset, "")
        };
        pane.output(&frame);
        offset += 3;
    }
    assert!(
        pane.times.len() <= pane.screen.history() + 25,
        "{}",
        pane.times.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn lines_keep_their_times_on_every_size_hidden_or_shown(
        steps in prop::collection::vec((0usize..300, prop::option::of((20u16..120, 3u16..40)), any::<bool>()), 1..80),
    ) {
        let mut state = console(160, 50);
        keys(&mut state, "\n\n");
        let mut offset = 0;
        for (at, (length, size, hides)) in steps.iter().enumerate() {
            let text = format!("#{at} {}\r\n", "x".repeat(*length));
            let frame = OutputFrame { size: *size, ..after(at as u64 * 10, offset, &text) };
            offset = frame.end();
            if *hides {
                // Another view hides the pane.
                keys(&mut state, "3");
            }
            state.message(Message::Output(frame), NOW);
            keys(&mut state, "1");
            all_right(pane(&state))?;
        }
    }
}
