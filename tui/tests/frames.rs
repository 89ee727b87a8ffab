//! What is kept from one frame for the next never shows, nor what of the frame was left as it was.

mod world;

#[path = "../../terminal/tests/streams/mod.rs"]
mod streams;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use opsctl_protocol::frame::Via;
use opsctl_protocol::message::{Kind, Payload, State as CommandState, TerminalSnapshot};
use opsctl_protocol::{OutputFrame, Timestamp};
use opsctl_terminal::{Attributes, Cell, Color, Screen, Underline};
use opsctl_tui::canvas::Canvas;
use opsctl_tui::state::{Input, Message, Redraw, State};
use opsctl_tui::view::theme::Depth;
use opsctl_tui::view::theme::Theme;
use opsctl_tui::view::theme::palette::Palette;
use opsctl_tui::view::{self, Kept};
use proptest::prelude::*;
use ratatui::backend::CrosstermBackend;
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

const FLAG: &str = "\u{1f1e9}\u{1f1ea}";
const JOINED: &str = "\u{1f469}\u{200d}";

/// A canvas, and what a terminal shows of it.
struct Shown {
    canvas: Canvas<CrosstermBackend<Bytes>>,
    written: Bytes,
    screen: Screen,
    /// It shows each half of a flag in two columns, and a woman who is joined to something in one.
    disagrees: bool,
}

/// What was written to the terminal and not yet read by it.
#[derive(Clone, Default)]
struct Bytes(Rc<RefCell<Vec<u8>>>);

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shown {
    fn blank(size: (u16, u16)) -> Self {
        let written = Bytes::default();
        Self {
            canvas: Canvas::new(CrosstermBackend::new(written.clone()), size),
            written,
            screen: Screen::new(size.0, size.1, 0),
            disagrees: false,
        }
    }

    fn draw(&mut self, state: &State, theme: &Theme, kept: &mut Kept, changed: Redraw) {
        let (cols, rows) = state.size;
        self.screen.resize(cols, rows);
        let resized = self.canvas.resize(state.size);
        resized.expect("memory takes everything");
        self.canvas
            .draw(|frame| view::draw(state, theme, kept, changed, frame))
            .expect("memory takes everything");
        let mut written = self.written.0.take();
        if self.disagrees {
            let text = String::from_utf8(written).expect("text is written");
            let halves = text.replace(FLAG, "DDEE");
            written = halves.replace(JOINED, "W").into_bytes();
        }
        self.screen.feed(&written);
    }

    /// All that is seen, row by row, and where the cursor is, if it is seen.
    fn seen(&self) -> (Vec<Vec<Seen>>, Option<(u16, u16)>) {
        let rows = (0..i32::from(self.screen.size().1)).filter_map(|row| self.screen.row(row));
        let rows = rows.map(|row| row.cells().map(Seen::of).collect());
        let cursor = self.screen.cursor();
        let place = cursor.visible.then_some((cursor.row, cursor.col));
        (rows.collect(), place)
    }
}

/// What is seen of a cell.
#[derive(Debug, PartialEq)]
struct Seen {
    text: char,
    marks: Vec<char>,
    bg: Color,
    /// How what stands there looks; nothing of a blank is seen.
    look: Option<(Color, Attributes)>,
}

impl Seen {
    fn of(cell: Cell<'_>) -> Self {
        let look = cell.attributes();
        let has_lines = look.underline != Underline::None || look.strikeout || look.inverse;
        Self {
            text: cell.ch(),
            marks: cell.marks().to_vec(),
            bg: cell.bg(),
            look: (cell.ch() != ' ' || has_lines).then(|| (cell.fg(), look)),
        }
    }
}

proptest! {
    // Each draws and emulates dozens of frames twice.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_frame_is_the_same_whatever_was_drawn_before(happenings in prop::collection::vec(happening(), 1..40)) {
        let (mut state, themes, mut theme) = (two_panes(), themes(), 0);
        let (mut kept, mut offsets) = (Kept::default(), [0; 3]);
        let mut shown = Shown::blank(state.size);
        shown.draw(&state, &themes[theme], &mut kept, Redraw::Everything);
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
                    data: data.into(),
                };
                *offset = frame.end();
                Message::Output(frame)
            };
            let changed = match happening {
                Happening::Output(pane, data) => state.message(piece(pane, data, None), NOW).redraw,
                Happening::Size(pane, cols, rows) => {
                    let output = piece(pane, b"!".to_vec(), Some((cols, rows)));
                    state.message(output, NOW).redraw
                }
                Happening::Snapshot(pane) => {
                    let snapshot = TerminalSnapshot {
                        agent_id: opsctl_protocol::AgentId::new("build-1").unwrap(),
                        command_id: id(pane),
                        offset: offsets[usize::from(pane)],
                        cols: 40,
                        rows: 10,
                        data: Payload(b"a screen\r\nof its own"[..].into()),
                    };
                    state.message(Message::Snapshot(snapshot), NOW).redraw
                }
                Happening::Resize(cols, rows) => {
                    state.input(Input::Resize(cols, rows), Timestamp(NOW.0 + 1)).redraw
                }
                Happening::Key(code) => {
                    let event = KeyEvent::new(code, KeyModifiers::NONE);
                    state.input(Input::Key(event), NOW).redraw
                }
                Happening::Theme(other) => {
                    theme = usize::from(other);
                    Redraw::Everything
                }
            };
            let theme = &themes[theme];
            if changed > Redraw::Nothing {
                shown.draw(&state, theme, &mut kept, changed);
            }
            let mut whole = Shown::blank(state.size);
            whole.draw(&state, theme, &mut Kept::default(), Redraw::Everything);
            prop_assert_eq!(shown.seen(), whole.seen());
        }
    }
}

#[test]
fn an_overlay_over_emoji_leaves_nothing_where_a_terminal_gives_them_other_widths() {
    let theme = sixteen();
    let blank = |size| Shown {
        disagrees: true,
        ..Shown::blank(size)
    };
    for before in [0, 7, 30, 40] {
        let mut state = two_panes();
        let text = format!("{JOINED}\u{1f4bb} and {FLAG}/ x//y");
        let line = format!("{}{text}\r\n", " ".repeat(before));
        state.message(output(1, 0, &line.repeat(25)), NOW);
        let (mut kept, mut shown) = (Kept::default(), blank(state.size));
        shown.draw(&state, &theme, &mut kept, Redraw::Everything);
        let pressed = [('z', KeyModifiers::NONE), ('k', KeyModifiers::CONTROL)];
        let typed = "exp".chars().map(|c| (c, KeyModifiers::NONE));
        for (c, held) in pressed.into_iter().chain(typed) {
            let event = KeyEvent::new(KeyCode::Char(c), held);
            let changed = state.input(Input::Key(event), NOW).redraw;
            shown.draw(&state, &theme, &mut kept, changed);
            let mut whole = blank(state.size);
            whole.draw(&state, &theme, &mut Kept::default(), Redraw::Everything);
            assert_eq!(shown.seen(), whole.seen(), "{before} {c}");
        }
    }
}
