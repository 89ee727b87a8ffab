//! What an agent does, as the console tells it: a glyph and a word for each state, and what needs a person.

use opsctl_protocol::message::{Activity, AgentInfo};
use opsctl_protocol::{CommandId, Timestamp};

/// What an agent that has no connection does, in a word.
const OFFLINE: &str = "offline";

/// What an agent does, as [`AgentInfo::doing`] tells it, and whether somebody here has looked at it.
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
    pub const COUNT: usize = 8;

    /// All, what needs a person first.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Blocked,
        Self::Error,
        Self::Done,
        Self::Working,
        Self::Starting,
        Self::Idle,
        Self::Unknown,
        Self::Disconnected,
    ];

    /// What the agent does; `seen`, whether somebody here has looked at it since.
    pub fn of(agent: &AgentInfo, seen: bool) -> Self {
        match agent.doing() {
            None => Self::Disconnected,
            // That its main program failed is told once; then it is away like any other.
            Some(Activity::Error) if seen && !agent.is_connected() => Self::Disconnected,
            Some(Activity::Starting) => Self::Starting,
            Some(Activity::Working) => Self::Working,
            Some(Activity::Blocked) => Self::Blocked,
            Some(Activity::Done) if !seen => Self::Done,
            Some(Activity::Done | Activity::Idle) => Self::Idle,
            Some(Activity::Error) => Self::Error,
            Some(Activity::Unknown) => Self::Unknown,
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

    /// Its word, the contract's own.
    pub fn word(self) -> &'static str {
        match self {
            Self::Blocked => Activity::Blocked,
            Self::Error => Activity::Error,
            Self::Done => Activity::Done,
            Self::Working => Activity::Working,
            Self::Starting => Activity::Starting,
            Self::Idle => Activity::Idle,
            Self::Unknown => Activity::Unknown,
            Self::Disconnected => return OFFLINE,
        }
        .as_str()
    }
}
