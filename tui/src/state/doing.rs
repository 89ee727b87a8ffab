//! What an agent does, as the console tells it: a glyph and a word for each state, and what needs a person.

use opsctl_protocol::message::{Activity, AgentInfo, State};
use opsctl_protocol::{CommandId, Timestamp};

/// What an agent does. Nothing is guessed: where only a process is known to be there, so it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// It waits for a person.
    Blocked,
    /// It failed.
    Error,
    /// It finished something, and nobody has looked yet.
    Done,
    /// It is busy.
    Working,
    /// It runs a command without a terminal, and more can't be known of it.
    Running,
    /// It has begun and shown nothing yet.
    Starting,
    /// It has nothing to do.
    Idle,
    /// It has a terminal, and what goes on there isn't known.
    Unknown,
    /// It has no connection.
    Disconnected,
}

/// How much an agent needs a person, most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// It goes on only when somebody answers.
    Answer,
    /// It failed, and nobody has looked yet.
    Failed,
    /// It finished, and nobody has looked yet.
    Finished,
    /// It needs nobody.
    Nothing,
}

/// What can be seen once: this activity of this command, since then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occurrence {
    /// The activity.
    pub activity: Activity,
    /// Of which command, where it is of one.
    pub command: Option<CommandId>,
    /// Since when.
    pub since: Option<Timestamp>,
}

impl Occurrence {
    /// What there is to be seen of an agent now.
    pub fn of(agent: &AgentInfo) -> Self {
        Self {
            activity: agent.activity,
            command: agent.activity_command_id,
            since: agent.activity_since,
        }
    }
}

impl Doing {
    /// How many there are.
    pub const COUNT: usize = 9;

    /// All, what needs a person first.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Blocked,
        Self::Error,
        Self::Done,
        Self::Working,
        Self::Running,
        Self::Starting,
        Self::Idle,
        Self::Unknown,
        Self::Disconnected,
    ];

    /// What the agent does; `seen`, whether somebody here has looked at it since.
    pub fn of(agent: &AgentInfo, seen: bool) -> Self {
        if !agent.is_connected() {
            return Self::Disconnected;
        }
        match agent.activity {
            Activity::Starting => Self::Starting,
            Activity::Working => Self::Working,
            Activity::Blocked => Self::Blocked,
            Activity::Done if !seen => Self::Done,
            Activity::Done | Activity::Idle => Self::Idle,
            Activity::Error => Self::Error,
            Activity::Unknown => Self::by_commands(agent),
        }
    }

    /// What is known where nobody says anything: which commands there are.
    fn by_commands(agent: &AgentInfo) -> Self {
        let state = |state, pty: Option<bool>| {
            agent
                .commands
                .iter()
                .any(|command| command.state == state && pty.is_none_or(|pty| command.pty == pty))
        };
        if state(State::Running, Some(true)) {
            Self::Unknown
        } else if state(State::Running, None) {
            Self::Running
        } else if state(State::Delivered, None) {
            Self::Starting
        } else {
            Self::Idle
        }
    }

    /// How much it needs a person. `seen` counts for what is over; who is blocked stays so until answered,
    /// or until a person has said that they know.
    pub fn need(self, seen: bool) -> Need {
        match self {
            Self::Blocked if !seen => Need::Answer,
            Self::Error if !seen => Need::Failed,
            Self::Done => Need::Finished,
            _ => Need::Nothing,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Error => "error",
            Self::Done => "done",
            Self::Working => "working",
            Self::Running => "running",
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Unknown => "unknown",
            Self::Disconnected => "offline",
        }
    }
}
