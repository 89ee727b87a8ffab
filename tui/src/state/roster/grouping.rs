//! What agents of a group have in common.

use std::fmt;

use opsctl_protocol::message::AgentInfo;

use crate::state::doing::Doing;
use crate::state::fleet::host;

/// By what agents are grouped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grouping {
    /// Not at all.
    None,
    /// By the host that they say they run on.
    Host,
    /// By what they do.
    State,
    /// By the value of this label.
    Label(String),
}

impl Default for Grouping {
    /// The label that agents of coding fleets have.
    fn default() -> Self {
        Self::Label("project".to_owned())
    }
}

impl Grouping {
    /// Reads what a person calls it: `none`, `host`, `state`, or a label's key.
    pub fn named(name: &str) -> Self {
        match name {
            "none" => Self::None,
            "host" => Self::Host,
            "state" => Self::State,
            key => Self::Label(key.to_owned()),
        }
    }

    pub(super) fn group(&self, agent: &AgentInfo, doing: Doing) -> GroupName {
        let value = match self {
            Self::None => "",
            Self::Host => host(agent),
            Self::State => doing.word(),
            Self::Label(key) => agent.labels.get(key).map_or("", String::as_str),
        };
        if value.is_empty() {
            GroupName::Without
        } else {
            GroupName::Of(value.to_owned())
        }
    }
}

impl fmt::Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Host => "host",
            Self::State => "state",
            Self::Label(key) => key,
        })
    }
}

/// What the agents of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupName {
    /// This value.
    Of(String),
    /// That they have none.
    Without,
}
