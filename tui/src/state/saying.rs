//! What is said to programs: messages that the daemon types into their terminals, and answers to what they ask. Each is
//! shown before it goes, and what has become of it is told as the daemon says it.
//!
//! The daemon types, not this console: a message goes whole, once, and behind nobody's half-typed line.

use std::collections::BTreeMap;

use opsctl_protocol::message::{ApprovalAnswer, TerminalTyped, TypedState, Verdict};
use opsctl_protocol::{AgentId, CommandId};

use super::activity::Level;
use super::prompt::remember;
use super::{Effect, Focus, Overlay, Purpose, State, View, fleet};

/// Messages whose fate is followed at once; who says more is told to wait.
const MOST: usize = 4096;

/// The longest text that is pasted into a message's line, in bytes; the daemon's own bound is below.
pub(super) const LONGEST: usize = 64 * 1024;

/// Agents that are named of those that refused; of more the number is told, and all are in the log.
const NAMED: usize = 3;

/// A terminal that something is said to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where it runs.
    pub agent: AgentId,
    /// Which it is; where it isn't known, the daemon finds the one that runs there.
    pub command: Option<CommandId>,
}

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// A message, with Enter behind it.
    Text {
        /// It may have several lines.
        text: String,
        /// Whether it waits until the program is idle.
        when_idle: bool,
    },
    /// The answer to what the program asks, as it stood on the screen when the person was asked.
    Answer(ApprovalAnswer),
}

/// Something that is said to one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// The idempotency key: asked for again with it, the daemon types nothing a second time.
    pub key: String,
    /// To whom.
    pub to: Listener,
    /// What.
    pub words: Words,
}

/// What the person is asked before something is said.
#[derive(Debug, Clone)]
pub struct Question {
    /// To whom.
    pub to: Vec<Listener>,
    /// What.
    pub words: Words,
    /// The first line of what is asked that is shown.
    pub line: u16,
}

/// What was said, until nothing more becomes of it.
#[derive(Debug, Default)]
pub(super) struct Sayings {
    /// How the keys of this console begin.
    mine: Option<String>,
    /// How many there were.
    count: u64,
    /// By key; bounded by [`MOST`].
    open: BTreeMap<String, Open>,
    /// By their numbers, those of which not all have been answered.
    batches: BTreeMap<u64, Batch>,
}

#[derive(Debug)]
struct Open {
    saying: Saying,
    batch: u64,
    /// The daemon's last word.
    state: Option<TypedState>,
}

/// What was said at once.
#[derive(Debug, Default)]
struct Batch {
    /// How many have not been answered.
    waits: usize,
    /// What became of the others.
    words: Vec<Word>,
}

/// What has become of one.
#[derive(Debug)]
struct Word {
    agent: AgentId,
    /// In one word.
    state: TypedState,
    /// The same with the reason.
    told: String,
}

impl Words {
    /// What it is, in a few words.
    fn label(&self) -> String {
        match self {
            Self::Text { text, .. } => format!("{text:?}"),
            Self::Answer(answer) => verb(answer.verdict).to_owned(),
        }
    }

    /// What was answered to what, in one line, for those who ask later.
    fn about(&self) -> Option<String> {
        let Self::Answer(answer) = self else {
            return None;
        };
        let asked: Vec<&str> = answer.seen.asked.split_whitespace().collect();
        let keys = crate::view::key_names(answer.keys());
        Some(format!("{keys} to {:?}", asked.join(" ")))
    }
}

/// What an answer does.
pub fn verb(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approve => "approve",
        Verdict::Deny => "deny",
    }
}

impl State {
    /// Whom something that is said now is said to: the marked agents, else what the focus is on.
    fn listeners(&self) -> Vec<Listener> {
        let of = |agent: AgentId| Listener {
            command: (self.fleet.get(&agent).and_then(fleet::concerned))
                .filter(|command| self.lives(command)),
            agent,
        };
        let at_list = self.view == View::Fleet && self.focus == Focus::List;
        if self.means_marked() || (at_list && !self.list.commands) {
            return self.chosen_agents().into_iter().map(of).collect();
        }
        let command = self.target_command();
        let agent = self.target_agent().into_iter();
        agent.map(|agent| Listener { agent, command }).collect()
    }

    /// Opens the line for a message.
    pub(super) fn ask_say(&mut self, when_idle: bool) {
        let to = self.listeners();
        match self.may_operate() {
            Err(why) => self.notify(why, true),
            Ok(()) if to.is_empty() => self.notify("no agent is selected", true),
            Ok(()) => self.ask(Purpose::Say { to, when_idle }, ""),
        }
    }

    /// Says what the command line has.
    pub(super) fn say_chosen(&mut self, text: String, when_idle: bool) -> Vec<Effect> {
        let to = self.listeners();
        if to.is_empty() {
            self.notify("no agent is selected", true);
            return Vec::new();
        }
        self.say(to, text, when_idle)
    }

    /// Says a message, after a question where that is to more than one.
    pub(super) fn say(&mut self, to: Vec<Listener>, text: String, when_idle: bool) -> Vec<Effect> {
        if let Err(why) = self.may_operate() {
            self.notify(why, true);
            return Vec::new();
        }
        remember(&mut self.say_history, &text);
        let words = Words::Text { text, when_idle };
        if to.len() > 1 {
            let line = 0;
            self.overlay = Some(Overlay::ConfirmSay(Box::new(Question { to, words, line })));
            return Vec::new();
        }
        self.say_now(to, &words)
    }

    /// Asks whether to answer what the selected item's program asks, as it stands on its screen now: another prompt is not
    /// answered.
    pub(super) fn ask_answer(&mut self, verdict: Verdict) {
        let command = self.item_command();
        let asked = command.and_then(|command| self.summary(&command)?.approval.clone());
        let agent = self.inbox.selected.clone();
        match (self.may_operate(), agent.zip(asked)) {
            (Err(why), _) => self.notify(why, true),
            (Ok(()), None) => {
                let text = "it is not known what it asks: open its terminal";
                self.notify(text, false);
            }
            (Ok(()), Some((agent, seen))) => {
                self.overlay = Some(Overlay::ConfirmSay(Box::new(Question {
                    to: vec![Listener { agent, command }],
                    words: Words::Answer(ApprovalAnswer { verdict, seen }),
                    line: 0,
                })));
            }
        }
    }

    /// Says it, as the person has confirmed.
    pub(super) fn say_now(&mut self, to: Vec<Listener>, words: &Words) -> Vec<Effect> {
        if self.sayings.open.len() + to.len() > MOST {
            let text = format!("{MOST} messages are under way: nothing more was sent");
            self.notify(text, true);
            return Vec::new();
        }
        let batch = self.sayings.count;
        let waits = to.len();
        let words_of = Vec::with_capacity(waits);
        let open = Batch {
            waits,
            words: words_of,
        };
        self.sayings.batches.insert(batch, open);
        let sayings = to.into_iter().map(|to| Saying {
            key: self.next_key(),
            to,
            words: words.clone(),
        });
        let sayings: Vec<Saying> = sayings.collect();
        let mut effects = Vec::with_capacity(waits);
        for saying in sayings {
            effects.push(Effect::Say(Box::new(saying.clone())));
            let open = Open {
                batch,
                saying,
                state: None,
            };
            self.sayings.open.insert(open.saying.key.clone(), open);
        }
        effects
    }

    /// A key that no other message has: the daemon's run, this connection and the time tell consoles apart.
    fn next_key(&mut self) -> String {
        let (daemon, now) = (self.daemon.as_ref(), self.now.0);
        let mine = self.sayings.mine.get_or_insert_with(|| {
            let run = daemon.map_or("", |daemon| daemon.epoch.as_str());
            let conn = daemon.map_or("", |daemon| daemon.client_id.as_str());
            format!("console-{run}-{conn}-{now}-")
        });
        self.sayings.count += 1;
        format!("{mine}{}", self.sayings.count)
    }

    /// The daemon's answer to a message, or why there is none.
    pub(super) fn said(&mut self, key: &str, answer: Result<TerminalTyped, String>) {
        let Some(open) = self.sayings.open.get(key) else {
            return;
        };
        let agent = open.saying.to.agent.clone();
        let word = match answer {
            Ok(typed) => Word {
                agent,
                state: typed.state,
                told: typed.to_string(),
            },
            Err(why) => Word {
                agent,
                state: TypedState::Refused,
                told: format!("{} ({why})", TypedState::Refused),
            },
        };
        self.note_word(key, word);
    }

    /// The daemon tells what has become of a message, of whomever it is.
    pub(super) fn heard_typed(&mut self, typed: TerminalTyped) {
        let mine = self.sayings.mine.as_deref();
        if mine.is_some_and(|mine| typed.key.starts_with(mine)) {
            let key = typed.key.clone();
            return self.said(&key, Ok(typed));
        }
        let text = format!("{} typed {:?}: {typed}", typed.requested_by, typed.text);
        self.log_said(typed.agent_id, level(typed.state), &text);
    }

    /// Logs what has become of a message of this console, and tells it with what was said together with it.
    fn note_word(&mut self, key: &str, word: Word) {
        let Some(open) = self.sayings.open.get_mut(key) else {
            return;
        };
        // Asked again after a connection was lost, it may stand as before.
        let before = open.state.replace(word.state);
        if before == Some(word.state) {
            return;
        }
        let (batch, label) = (open.batch, open.saying.words.label());
        let about = open.saying.words.about();
        if word.state.is_final() {
            self.sayings.open.remove(key);
        }
        let by = self
            .daemon
            .as_ref()
            .map_or("", |daemon| &daemon.rights.subject);
        let about = about.map_or_else(String::new, |about| format!(", by {by}: {about}"));
        let text = format!("{label}: {}{about}", word.told);
        self.log_said(word.agent.clone(), level(word.state), &text);
        if before.is_some() {
            // It had been queued, and that was told.
            let (text, bad) = summed_up(&[word]);
            return self.tell(text, bad);
        }
        let Some(waiting) = self.sayings.batches.get_mut(&batch) else {
            return;
        };
        waiting.words.push(word);
        waiting.waits = waiting.waits.saturating_sub(1);
        if waiting.waits == 0
            && let Some(batch) = self.sayings.batches.remove(&batch)
        {
            let (text, bad) = summed_up(&batch.words);
            self.tell(text, bad);
        }
    }

    /// Asks how messages stand that wait: what became of them while there was no connection was told to nobody here.
    pub(super) fn ask_sayings(&self) -> Vec<Effect> {
        let queued = self.sayings.open.values();
        let queued = queued.filter(|open| open.state == Some(TypedState::Queued));
        let ask = |open: &Open| Effect::Say(Box::new(open.saying.clone()));
        queued.map(ask).collect()
    }

    /// Whether the prompt that is to be answered has gone or is another one by now.
    pub fn has_changed(&self, question: &Question) -> bool {
        let Words::Answer(answer) = &question.words else {
            return false;
        };
        let command = question.to.first().and_then(|to| to.command);
        let open = command.and_then(|command| self.summary(&command)?.approval.as_ref());
        open != Some(&answer.seen)
    }

    /// Shows other lines of what is asked, where it has more than there is room for.
    pub(super) fn step_question(&mut self, by: i64) {
        let most = crate::view::question_scroll(self);
        let line = match &mut self.overlay {
            Some(Overlay::ConfirmSay(question)) => &mut question.line,
            Some(Overlay::ConfirmKill { line, .. }) => line,
            Some(Overlay::ConfirmRun(many)) => &mut many.line,
            _ => return,
        };
        let to = i64::from(*line).saturating_add(by);
        *line = to.clamp(0, i64::from(most)) as u16;
    }
}

/// How much it matters to the person who said it.
fn level(state: TypedState) -> Level {
    match state {
        TypedState::Refused | TypedState::Expired => Level::Error,
        TypedState::Queued | TypedState::Typed | TypedState::Submitted | TypedState::Cancelled => {
            Level::Info
        }
    }
}

/// What has become of what was said at once, and whether something came to nothing.
fn summed_up(words: &[Word]) -> (String, bool) {
    let bad: Vec<&Word> = words
        .iter()
        .filter(|word| level(word.state) == Level::Error)
        .collect();
    if let [word] = words {
        return (format!("{}: {}", word.agent, word.told), !bad.is_empty());
    }
    let states = [
        TypedState::Submitted,
        TypedState::Typed,
        TypedState::Queued,
        TypedState::Cancelled,
        TypedState::Expired,
        TypedState::Refused,
    ];
    let counts = states.into_iter().filter_map(|state| {
        let count = words.iter().filter(|word| word.state == state).count();
        (count > 0).then(|| format!("{count} {state}"))
    });
    let mut text = counts.collect::<Vec<_>>().join(", ");
    let mut named: Vec<String> = bad
        .iter()
        .take(NAMED)
        .map(|word| format!("{} {}", word.agent, word.told))
        .collect();
    if bad.len() > NAMED {
        named.push(format!("{} more", bad.len() - NAMED));
    }
    if !named.is_empty() {
        text = format!("{text}: {}", named.join(", "));
    }
    (text, !bad.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(agent: &str, state: TypedState, told: &str) -> Word {
        Word {
            agent: AgentId::new(agent).expect("a name"),
            state,
            told: told.to_owned(),
        }
    }

    #[test]
    fn one_is_told_whole_and_many_are_counted_with_those_that_came_to_nothing() {
        let queued = word("a", TypedState::Queued, "queued (place 1)");
        assert_eq!(
            summed_up(&[queued]),
            ("a: queued (place 1)".to_owned(), false)
        );
        let refused = |agent| word(agent, TypedState::Refused, "refused (why)");
        let many = [
            word("a", TypedState::Typed, "typed"),
            word("b", TypedState::Submitted, "submitted"),
            word("c", TypedState::Submitted, "submitted"),
            refused("d"),
        ];
        let text = "2 submitted, 1 typed, 1 refused: d refused (why)";
        assert_eq!(summed_up(&many), (text.to_owned(), true));
        let five: Vec<Word> = ["a", "b", "c", "d", "e"].map(refused).into();
        let text =
            "5 refused: a refused (why), b refused (why), c refused (why), 2 more".to_owned();
        assert_eq!(summed_up(&five), (text, true));
    }
}
