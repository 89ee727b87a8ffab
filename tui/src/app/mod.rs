//! The loop: input, messages and time go into the reducer; its effects are done; frames are drawn.
//!
//! A frame is drawn when something visible has changed, as [`Pace`] allows. When nothing
//! happens, nothing runs.
//!
//! - `effects`: what is done here of effects; the rest is the connection's.
//! - `frames`: when a frame is drawn, and its cursor.
//! - `signals`: what the system asks for.

mod effects;
mod frames;
mod signals;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crossterm::event::{Event as TtyEvent, KeyCode};
use futures_util::{Stream, StreamExt};
use opsctl_protocol::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::alert::Alert;
use crate::clock::Zone;
use crate::conn::{self, Conn, Heard};
use crate::keys::Keymap;
use crate::memory::Memory;
use crate::pace::Pace;
use crate::state::look::Look;
use crate::state::{Input, Message, Outcome, Redraw, State};
use crate::themes::{NoTheme, Themes};
use crate::tty::{Stage, Tty};
use crate::view::theme::wishes::Choice;
use crate::view::theme::{Depth, Wishes};
use crate::view::{Kept, Theme};
use frames::due;
use signals::{Heeded, Signals};

/// How long messages may be taken in one go, so that keys and frames come in between.
const SLICE: Duration = Duration::from_millis(4);

/// With this variable a key breaks the console, for the test that a panic leaves the terminal as it was.
const BREAKS: &str = "OPSCTL_TEST_PANIC";

/// That key; no keyboard has it.
const BREAK_KEY: KeyCode = KeyCode::F(20);

/// What the console needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// The daemon, and as what to connect.
    pub client: opsctl_client::Options,
    /// Whether to watch only, whatever the role permits.
    pub read_only: bool,
    /// A command that takes what is copied on its standard input, for terminals without OSC 52.
    pub copy_command: Option<String>,
    /// Which keys do what.
    pub keys: Keymap,
    /// How the person's own terminal is called.
    pub alert: Alert,
    /// What it should look like.
    pub look: Wishes,
    /// The themes that it can be changed to.
    pub themes: Themes,
    /// The name of the theme that the settings have, and whether it was asked for at this start.
    pub theme: (String, bool),
    /// Whether nothing should move by itself.
    pub reduced_motion: bool,
    /// The directory for what is remembered until the next start; without one, nothing is.
    pub memory: Option<PathBuf>,
    /// Whether to draw also while the terminal's window has no focus.
    pub draw_unfocused: bool,
}

/// Why the console ended other than by being left.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no terminal to draw on.
    #[error("the console needs a terminal on standard input and output")]
    NotATerminal,
    /// The terminal failed.
    #[error("the terminal failed")]
    Terminal(#[from] io::Error),
}

/// Opens the console on the terminal that the program was started on, and returns when it is left.
///
/// # Errors
/// When there is no terminal, or it fails.
pub async fn run(options: Options) -> Result<(), Error> {
    let mut tty = Tty::take().map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => Error::NotATerminal,
        _ => Error::Terminal(error),
    })?;
    run_on(&mut tty, crate::input::events, options).await
}

/// Opens the console on any stage, with input from anywhere: `inputs` opens it, also again after another
/// program had the terminal. Returns when it is left, when input ends, or on a signal that ends the
/// program.
///
/// # Errors
/// When the stage or the input fails.
pub async fn run_on<I: Stream<Item = io::Result<TtyEvent>> + Unpin>(
    terminal: &mut impl Stage,
    inputs: impl FnMut() -> I,
    options: Options,
) -> Result<(), Error> {
    let theme = themed(&options.look);
    let endpoint = options.client.target.endpoint.to_string();
    let mut memory = options.memory.map(|dir| Memory::new(&dir, &endpoint));
    let (conn, heard) = Conn::start(options.client);
    let size = terminal.size();
    let mut state = State::new(size, Timestamp::now(), endpoint, options.read_only);
    state.keep_still(options.reduced_motion);
    state.keys = options.keys;
    state.zone = Zone::local();
    let (setting, asked) = options.theme;
    state.look = Look {
        names: options.themes.names(),
        shown: setting.clone(),
        setting,
        asked,
        colours: look_of(&options.look.with(Choice::BuiltIn("dark"))).depth() != Depth::None,
    };
    match memory.as_mut().map_or(Ok(None), Memory::load) {
        Ok(Some(remembered)) => state.recall(remembered),
        Ok(None) => {}
        Err(why) => state.cannot_recall(why),
    }
    state.always_drawn = options.draw_unfocused;
    let mut console = Console {
        stage: terminal,
        state,
        conn,
        theme,
        look: options.look,
        themes: options.themes,
        kept: Kept::default(),
        copy_command: options.copy_command,
        alert: options.alert,
        memory,
        edit: None,
        changed: Redraw::Everything,
        pace: Pace::new(std::time::Instant::now()),
        held: None,
        rests: false,
        breaks: std::env::var_os(BREAKS).is_some(),
        left: false,
    };
    console.recall_theme();
    let result = console.run(inputs, heard).await;
    if let (Some(memory), Some(left)) = (&mut console.memory, console.state.left()) {
        // There is no screen any more to say on that it failed.
        let _ = memory.leave(left);
    }
    // A daemon that doesn't answer must not keep the person here.
    let _ = tokio::time::timeout(Duration::from_millis(200), console.conn.close()).await;
    result
}

struct Console<'a, S> {
    stage: &'a mut S,
    state: State,
    conn: Conn,
    theme: Theme,
    /// What the theme is made by, but for its name.
    look: Wishes,
    themes: Themes,
    /// What the frame before has left for the next.
    kept: Kept,
    copy_command: Option<String>,
    /// How the person is called.
    alert: Alert,
    /// Where it is kept what the console remembers; none where that is not wanted, or has failed.
    memory: Option<Memory>,
    /// A text to be opened in the editor next.
    edit: Option<String>,
    /// What of the screen has changed since the last frame.
    changed: Redraw,
    /// When the next frame may be drawn.
    pace: Pace,
    /// Since when a frame waits for an application to finish its own.
    held: Option<Instant>,
    /// Whether the last frame was one of a window without focus: then there is none until it has it again.
    rests: bool,
    /// Whether [`BREAK_KEY`] breaks the console.
    breaks: bool,
    /// Whether the person wants to leave.
    left: bool,
}

impl<S: Stage> Console<'_, S> {
    /// Shows the theme that was chosen the last time.
    fn recall_theme(&mut self) {
        let look = &mut self.state.look;
        if look.shown == look.setting {
            return;
        }
        let name = look.shown.clone();
        if let Err(why) = self.change_theme(&name) {
            let look = &mut self.state.look;
            look.shown.clone_from(&look.setting);
            self.state.cannot_recall(why.to_string());
        }
    }

    fn change_theme(&mut self, name: &str) -> Result<(), NoTheme> {
        self.theme = themed(&self.look.with(self.themes.choice(name)?));
        Ok(())
    }

    async fn run<I: Stream<Item = io::Result<TtyEvent>> + Unpin>(
        &mut self,
        mut open: impl FnMut() -> I,
        heard: Heard,
    ) -> Result<(), Error> {
        let Heard {
            mut events,
            mut answers,
        } = heard;
        let mut inputs = open();
        let mut signals = Signals::new()?;
        for effect in self.state.start() {
            self.perform(effect)?;
        }
        self.stage.mouse(self.state.mouse)?;
        while !self.left {
            if let Some(text) = self.edit.take() {
                // What is typed belongs to the editor, also what its keys would signal.
                drop(inputs);
                self.edit(&text, &mut events, &mut answers).await?;
                inputs = open();
                signals = Signals::new()?;
            }
            let frame_at = self.draw_at();
            let tick_at = self.tick_at();
            tokio::select! {
                biased;
                signal = signals.next() => match signal {
                    Heeded::End => return Ok(()),
                    Heeded::Continued => self.redraw()?,
                    Heeded::Stop => self.suspend()?,
                },
                input = inputs.next() => match input {
                    Some(input) => {
                        self.input(input?)?;
                        // What was typed leaves before a frame is drawn: that takes milliseconds.
                        tokio::task::yield_now().await;
                    }
                    None => return Ok(()),
                },
                () = due(frame_at), if self.changed > Redraw::Nothing && !self.rests => self.draw()?,
                () = sleep_until(tick_at.unwrap_or(frame_at)), if tick_at.is_some() => {
                    let outcome = self.state.input(Input::Tick, Timestamp::now());
                    self.apply(outcome)?;
                }
                Some(answer) = answers.recv() => self.message(answer)?,
                event = events.next() => match event {
                    Some(event) => {
                        self.event(event)?;
                        self.more(&mut events, &mut answers)?;
                    }
                    None => return Ok(()),
                },
            }
        }
        Ok(())
    }

    /// Takes what else has come, for a while.
    fn more(
        &mut self,
        events: &mut opsctl_client::Events,
        answers: &mut mpsc::Receiver<Message>,
    ) -> Result<(), Error> {
        let until = Instant::now() + SLICE;
        while Instant::now() < until {
            match (answers.try_recv(), events.try_next()) {
                (Ok(answer), event) => {
                    self.message(answer)?;
                    if let Some(event) = event {
                        self.event(event)?;
                    }
                }
                (Err(_), Some(event)) => self.event(event)?,
                (Err(_), None) => break,
            }
        }
        Ok(())
    }

    fn event(&mut self, event: opsctl_client::Event) -> Result<(), Error> {
        let Some(message) = conn::message(event) else {
            return Ok(());
        };
        if matches!(&message, Message::Output(frame) if self.state.types_into(frame.command_id)) {
            self.pace.program(std::time::Instant::now());
        }
        self.message(message)
    }

    fn message(&mut self, message: Message) -> Result<(), Error> {
        let outcome = self.state.message(message, Timestamp::now());
        self.apply(outcome)
    }

    fn input(&mut self, event: TtyEvent) -> Result<(), Error> {
        let input = match event {
            TtyEvent::Key(key) if self.breaks && key.code == BREAK_KEY => {
                panic!("{BREAKS} is set and its key was pressed")
            }
            TtyEvent::Key(key) => Input::Key(key),
            TtyEvent::Paste(text) => Input::Paste(text),
            TtyEvent::Resize(cols, rows) => Input::Resize(cols, rows),
            TtyEvent::Mouse(mouse) => Input::Mouse(mouse),
            TtyEvent::FocusGained => Input::Focus(true),
            TtyEvent::FocusLost => Input::Focus(false),
        };
        let outcome = self.state.input(input, Timestamp::now());
        let shows = outcome.redraw > Redraw::Nothing;
        self.pace.key(std::time::Instant::now(), shows);
        self.rests &= self.state.away;
        self.apply(outcome)?;
        self.stage.keyboard(self.state.keyboard())?;
        Ok(())
    }

    fn apply(&mut self, outcome: Outcome) -> Result<(), Error> {
        self.changed = self.changed.max(outcome.redraw);
        outcome
            .effects
            .into_iter()
            .try_for_each(|effect| self.perform(effect))
    }

    /// When something visible changes by itself.
    fn tick_at(&self) -> Option<Instant> {
        let at = self.state.next_change()?;
        let left = at.0.saturating_sub(Timestamp::now().0);
        Some(Instant::now() + Duration::from_millis(left))
    }
}

/// What the wishes come to on this terminal.
fn look_of(wishes: &Wishes) -> Theme {
    wishes.theme(|name| std::env::var(name).ok())
}

/// The same, to be drawn from now on.
fn themed(wishes: &Wishes) -> Theme {
    let theme = look_of(wishes);
    // Crossterm looks at NO_COLOR itself, and would win over a person who asked for colours all the same.
    crossterm::style::force_color_output(theme.depth() != Depth::None);
    theme
}
