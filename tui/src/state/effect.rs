//! What the reducer is told, and what it asks for.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use crossterm::event::{KeyEvent, MouseEvent};
use opsctl_protocol::message::{
    AgentInfo, AgentList, CommandAccepted, CommandList, CommandQuery, CommandStatus,
    CommandSummary, Connected, ConnectionList, ConnectionQuery, ErrorPayload, Gap, Program, Signal,
    Subscribe, Target, TerminalSnapshot, TerminalTyped,
};
use opsctl_protocol::{AgentId, CommandId, OutputFrame, Pattern, Timestamp};
use opsctl_terminal::Lines;

use super::Pane;
use super::activity::Told;
use super::commands::Again;
use super::hidden::From;
use super::link::Link;
use super::memory::Remembered;
use super::older::Older;
use super::saying::Saying;
use super::work::Job;
use crate::export::Form;

/// What the person at the terminal does.
#[derive(Debug, Clone)]
pub enum Input {
    /// A key.
    Key(KeyEvent),
    /// Pasted text.
    Paste(String),
    /// The mouse moved with a button down, was pressed, released or scrolled.
    Mouse(MouseEvent),
    /// The terminal has this many columns and rows now.
    Resize(u16, u16),
    /// The terminal's window has the focus now, or not.
    Focus(bool),
    /// Time has passed and something visible depends on it.
    Tick,
}

/// What the daemon says, or what becomes of the connection to it.
#[derive(Debug, Clone)]
pub enum Message {
    /// The connection's state.
    Link(Link),
    /// How messages travel from now on, in words, and whether that is the slow way.
    Travels(String, bool),
    /// The daemon introduced itself.
    Connected(Connected),
    /// The fleet, or a part of it.
    Agents(AgentList),
    /// An agent changed, came or went.
    Agent(AgentInfo),
    /// An agent will not come back.
    Forgotten(AgentId),
    /// A command changed.
    Status(CommandStatus),
    /// Output of a command.
    Output(OutputFrame),
    /// A command's screen.
    Snapshot(TerminalSnapshot),
    /// Output that will not come.
    Gap(Gap),
    /// A subscription that came to nothing.
    Dropped {
        /// What was subscribed.
        pattern: Pattern,
        /// Why not.
        error: ErrorPayload,
    },
    /// Somebody told everyone something, an agent or somebody else, at this time by the daemon's clock.
    Told(Option<AgentId>, Timestamp, Told),
    /// What has become of a message for a program, of whomever it is.
    Typed(TerminalTyped),
    /// A request was answered.
    Answer(Answer),
    /// The theme of this name is shown now.
    Themed(String),
    /// Something went wrong that belongs to no request.
    Error(String),
    /// Somebody has something to say.
    News(String),
}

/// What came of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A command is on its way.
    Accepted(CommandAccepted),
    /// Commands of an agent, for its list.
    Commands(Vec<CommandSummary>),
    /// Who is connected.
    Connections(ConnectionList),
    /// A page of the history.
    History(CommandList),
    /// So many commands were taken out of their queues.
    Cancelled(usize),
    /// Commands that an id was searched for.
    Found {
        /// The id, or its start.
        id: String,
        /// Those that have it.
        commands: Vec<CommandSummary>,
    },
    /// The output of a pane that was hidden is heard again, from here on. Comes before any of it.
    Resuming(CommandId, From),
    /// So much of a file is written: lines, or bytes of the output that is recorded.
    Exporting(PathBuf, u64),
    /// A file is written, or could not be; for people.
    Exported(PathBuf, Result<String, String>),
    /// So many bytes of older output were read.
    Loading(CommandId, u64),
    /// Older output was read, into a pane of its own.
    Older(Arc<Pane>, Box<Older>),
    /// Older output could not be read.
    NotLoaded(CommandId, String),
    /// What has become of a signal.
    Signalled {
        /// Which it is.
        signal: Signal,
        /// To which command.
        command: CommandId,
        /// Whether that still ran.
        reached: bool,
    },
    /// What has become of what was said with this key, or why nothing has.
    Said(String, Result<TerminalTyped, String>),
    /// It was refused.
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        why: String,
    },
}

/// What the reducer wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start to hear a channel.
    Subscribe(Subscribe),
    /// Stop to hear it.
    Unsubscribe(Pattern),
    /// Hear the output of a command again, of which the pane has seen the bytes before `next`.
    Resume {
        /// Whose.
        command: CommandId,
        /// The first byte that the pane lacks.
        next: u64,
    },
    /// Run something in a terminal of this size.
    Run {
        /// Where.
        target: Target,
        /// What.
        program: Program,
        /// Columns and rows.
        size: (u16, u16),
    },
    /// Ask for commands; with an id, to open the one that has it.
    Query(CommandQuery),
    /// Ask for a page of the history.
    History(CommandQuery),
    /// Ask who is connected.
    Connections(ConnectionQuery),
    /// Take a command out of its queue.
    Cancel(CommandId),
    /// Run something as it was run before.
    Again(Box<Again>),
    /// Signal a command, once.
    Signal(CommandId, Signal),
    /// Type into a command's terminal.
    Input(CommandId, Bytes),
    /// Say how large this console's view of a command is.
    Resize(CommandId, u16, u16),
    /// Have the daemon type something into a program's terminal.
    Say(Box<Saying>),
    /// Put a text into the clipboard.
    Copy(String),
    /// Call the person by their own terminal, with this text.
    Alert(String),
    /// Open a text in the person's editor.
    Edit(String),
    /// Write lines to a file that doesn't exist yet.
    Write {
        /// The file.
        path: PathBuf,
        /// The lines.
        lines: Arc<Lines>,
        /// As what.
        form: Form,
    },
    /// Write the output of a command to such a file, for asciinema.
    Record {
        /// Whose output.
        command: CommandId,
        /// The output's length.
        to: u64,
        /// Columns and rows where the output doesn't say.
        size: (u16, u16),
        /// The file.
        path: PathBuf,
    },
    /// Load output that a pane no longer holds.
    LoadOlder(Box<Older>),
    /// Show another theme.
    Theme(String),
    /// Stop work that has begun, and leave nothing of it.
    Abandon(Job),
    /// Keep this: it is what this console would leave.
    Remember(Box<Remembered>),
    /// Take the mouse, or leave it to the terminal.
    Mouse(bool),
    /// Connect again without waiting.
    Reconnect,
    /// Stop until the shell continues this program.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Leave.
    Quit,
}

impl Effect {
    /// Whether it changes something beyond this console.
    pub fn changes(&self) -> bool {
        matches!(
            self,
            Self::Run { .. }
                | Self::Again(_)
                | Self::Cancel(_)
                | Self::Signal(..)
                | Self::Input(..)
                | Self::Say(_)
                | Self::Resize(..)
        )
    }
}

/// What an update leads to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
    /// What of the screen changed.
    pub redraw: Redraw,
}

/// What of the screen an update changed; the greater one has the lesser in it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Redraw {
    /// Nothing that is seen.
    #[default]
    Nothing,
    /// What programs show in panes; everything around is as it was.
    Terminals,
    /// Anything.
    Everything,
}

impl Outcome {
    /// Something visible changed, and that is all.
    pub fn redraw() -> Self {
        Self {
            effects: Vec::new(),
            redraw: Redraw::Everything,
        }
    }

    /// Effects of something that is to be seen too.
    pub fn doing(effects: Vec<Effect>) -> Self {
        Self {
            effects,
            redraw: Redraw::Everything,
        }
    }
}
