//! What is kept from one frame for the next never shows.

mod world;

#[path = "../../terminal/tests/streams/mod.rs"]
mod streams;

use bytes::Bytes;
use crossterm::event::KeyCode;
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{Kind, Payload, State as CommandState, TerminalSnapshot};
use opsctl_protocol::{OutputFrame, Timestamp};
use opsctl_tui::state::{Input, Message, State};
use opsctl_tui::view::Kept;
use opsctl_tui::view::theme::Depth;
use opsctl_tui::view::theme::Theme;
use opsctl_tui::view::theme::palette::Palette;
use proptest::prelude::*;
use world::*;

/// What happens between two frames.
#[derive(Debug, Clone)]
enum Happening {
    /// Output of one of two terminals.
    Output(u8, Vec<u8>),
    /// A screen comes in place of its output.
    Snapshot(u8),
    /// Its terminal has another size.
    Size(u8, u16, u16),
    /// The person's terminal has.
    Resize(u16, u16),
    Key(KeyCode),
    /// The theme is another.
    Theme(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{Key, Output, Resize, Size, Snapshot, Theme};
    let keys = "\t\tzgvjkGn/t1122c{".chars().map(KeyCode::Char).chain([
        KeyCode::Tab,
        KeyCode::PageUp,
        KeyCode::Esc,
        KeyCode::Enter,
    ]);
    let pieces = prop::collection::vec(streams::operation(), 1..20);
    let lines = (1_usize..100).prop_map(|count| "a line of many\r\n".repeat(count).into_bytes());
    prop_oneof![
        6 => (1_u8..3, pieces).prop_map(|(pane, pieces)| Output(pane, pieces.concat())),
        2 => (1_u8..3, lines).prop_map(|(pane, lines)| Output(pane, lines)),
        1 => (1_u8..3).prop_map(Snapshot),
        1 => (1_u8..3, 10_u16..90, 4_u16..30).prop_map(|(pane, cols, rows)| Size(pane, cols, rows)),
        1 => (60_u16..140, 10_u16..40).prop_map(|(cols, rows)| Resize(cols, rows)),
        5 => prop::sample::select(keys.collect::<Vec<_>>()).prop_map(Key),
        1 => any::<bool>().prop_map(Theme),
    ]
}

/// A console with two terminals beside each other.
fn two_panes() -> State {
    let mut state = console(130, 30);
    keys(&mut state, "\n\n");
    state.message(
        status(command(2, "build-1", "ls", CommandState::Running)),
        NOW,
    );
    key(&mut state, KeyCode::Esc);
    key(&mut state, KeyCode::Home);
    keys(&mut state, "+");
    assert_eq!(state.panes.len(), 2, "{}", text(&state));
    state
}

fn themes() -> [Theme; 2] {
    let dark = Palette::named("dark").expect("a theme");
    [
        sixteen(),
        Theme::new(|role| dark.style(role), Depth::True, false),
    ]
}

proptest! {
    #[test]
    fn a_frame_is_the_same_whatever_was_drawn_before(happenings in prop::collection::vec(happening(), 1..40)) {
        let (mut state, themes, mut theme) = (two_panes(), themes(), 0);
        let (mut kept, mut offsets) = (Kept::default(), [0; 3]);
        for happening in happenings {
            let mut piece = |pane: u8, data: Vec<u8>, size| {
                let offset = &mut offsets[usize::from(pane)];
                let frame = OutputFrame {
                    command_id: id(pane),
                    kind: Kind::Output,
                    via: Via::Command,
                    seq: 1,
                    offset: *offset,
                    time: NOW,
                    size,
                    data: Bytes::from(data),
                };
                *offset = frame.end();
                Message::Output(frame)
            };
            match happening {
                Happening::Output(pane, data) => {
                    state.message(piece(pane, data, None), NOW);
                }
                Happening::Size(pane, cols, rows) => {
                    state.message(piece(pane, b"!".to_vec(), Some((cols, rows))), NOW);
                }
                Happening::Snapshot(pane) => {
                    let snapshot = TerminalSnapshot {
                        agent_id: opsctl_protocol::AgentId::new("build-1").unwrap(),
                        command_id: id(pane),
                        offset: offsets[usize::from(pane)],
                        cols: 40,
                        rows: 10,
                        data: Payload(Bytes::from_static(b"a screen\r\nof its own")),
                    };
                    state.message(Message::Snapshot(snapshot), NOW);
                }
                Happening::Resize(cols, rows) => {
                    state.input(Input::Resize(cols, rows), Timestamp(NOW.0 + 1));
                }
                Happening::Key(code) => {
                    key(&mut state, code);
                }
                Happening::Theme(other) => theme = usize::from(other),
            }
            let theme = &themes[theme];
            prop_assert_eq!(draw_after(&state, theme, &mut kept), draw(&state, theme));
        }
    }
}
