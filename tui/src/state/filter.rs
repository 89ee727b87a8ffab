//! What a filter line means: words that must all fit. `state:failed agent:web-* exit:!0 make`.

use opsctl_protocol::message::{CommandSummary, State};

use super::listing::Stage;

/// A filter, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    words: Vec<Word>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    /// What must fit; anything when there is none.
    field: Option<Field>,
    /// Whether it must not.
    not: bool,
    /// In small letters; may have `*` where a field is named.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    State,
    Agent,
    Exit,
    By,
    Level,
    Source,
}

impl Field {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "state" => Self::State,
            "agent" => Self::Agent,
            "exit" => Self::Exit,
            "by" => Self::By,
            "level" => Self::Level,
            "from" => Self::Source,
            _ => return None,
        })
    }
}

impl Filter {
    /// Reads a line. What names no field is a word like any other.
    pub fn new(line: &str) -> Self {
        let words = line.split_whitespace().map(|word| {
            let named = word
                .split_once(':')
                .and_then(|(name, text)| Some((Field::named(name)?, text)));
            let (field, text) = named.map_or((None, word), |(field, text)| (Some(field), text));
            let (not, text) = text
                .strip_prefix('!')
                .map_or((false, text), |text| (true, text));
            Word {
                field,
                not,
                text: text.to_lowercase(),
            }
        });
        Self {
            words: words.collect(),
        }
    }

    /// Whether a command fits every word.
    pub fn fits_command(&self, command: &CommandSummary) -> bool {
        self.words.iter().all(|word| {
            let is = |text: &str| matches(&word.text, &text.to_lowercase());
            let has = |text: &str| text.to_lowercase().contains(&word.text);
            let fits = match word.field {
                Some(Field::State) => states(command).any(|state| state.starts_with(&word.text)),
                Some(Field::Agent | Field::Source) => is(command.agent_id.as_str()),
                Some(Field::By) => is(&command.requested_by),
                Some(Field::Exit) if !is_over(command.state) => return false,
                Some(Field::Exit) => {
                    let (code, signal) = (command.exit_code, command.signal);
                    let status = command.state.exit_status(command.timed_out, code, signal);
                    status.is_some_and(|status| is(&status.to_string()))
                }
                Some(Field::Level) => false,
                None => {
                    has(command.agent_id.as_str())
                        || has(&command.program.to_string())
                        || command.state.as_str().contains(&word.text)
                        || command.command_id.to_string().starts_with(&word.text)
                }
            };
            fits != word.not
        })
    }

    /// Whether a line of the log, with its level and where it came from, fits every word.
    pub fn fits_line(&self, level: &str, source: &str, text: &str) -> bool {
        self.words.iter().all(|word| {
            let has = |text: &str| text.to_lowercase().contains(&word.text);
            let fits = match word.field {
                Some(Field::Level) => level.starts_with(&word.text),
                Some(Field::Agent | Field::Source) => matches(&word.text, &source.to_lowercase()),
                Some(_) => false,
                None => has(level) || has(source) || has(text),
            };
            fits != word.not
        })
    }
}

/// The words for how a command stands: the contract's, and those that the view Commands counts and people say.
fn states(command: &CommandSummary) -> impl Iterator<Item = &'static str> {
    let (code, signal) = (command.exit_code, command.signal);
    let status = command.state.exit_status(command.timed_out, code, signal);
    let failed = command.state == State::Exited && status.is_some_and(|status| status != 0);
    let said = [command.state.as_str(), Stage::of(command.state).word()];
    said.into_iter().chain(failed.then_some("failed"))
}

/// Whether a command was to run and no longer does: what goes on, and what was taken back, has no exit status that could be
/// told from another.
fn is_over(state: State) -> bool {
    matches!(state, State::Exited | State::Failed | State::Lost)
}

/// Whether `text` is what the pattern says, where `*` stands for anything. By backtracking to the last `*` only,
/// so that no pattern takes long.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::message::{CommandSpec, Program};
    use opsctl_protocol::{AgentId, CommandId};

    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text, fits) in [
            ("web-*", "web-12", true),
            ("web-*", "my-web-12", false),
            ("*-12", "web-12", true),
            ("w*b*2", "web-12", true),
            ("w*b*3", "web-12", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn what_a_signal_or_the_time_limit_ended_did_not_exit_with_0() {
        let ended = |state, exit_code, signal, timed_out| {
            let spec = CommandSpec::new(Program::Shell("make".to_owned()));
            let agent = AgentId::new("web-1").expect("a name");
            CommandSummary {
                state,
                exit_code,
                signal,
                timed_out,
                ..CommandSummary::queued(CommandId([1; 16]), agent, &spec)
            }
        };
        for (command, fitting) in [
            (ended(State::Exited, Some(0), None, false), &["exit:0"][..]),
            (
                ended(State::Exited, Some(7), None, false),
                &["exit:!0", "exit:7"],
            ),
            (
                ended(State::Exited, None, Some(9), false),
                &["exit:!0", "exit:137"],
            ),
            (
                ended(State::Exited, None, Some(9), true),
                &["exit:!0", "exit:124"],
            ),
            (ended(State::Failed, None, None, false), &["exit:!0"]),
            (ended(State::Lost, None, None, false), &["exit:!0"]),
            (ended(State::Cancelled, None, None, false), &[]),
            (ended(State::Running, None, None, false), &[]),
        ] {
            let filters = ["exit:0", "exit:!0", "exit:7", "exit:137", "exit:124"];
            let fits = |filter: &&str| Filter::new(filter).fits_command(&command);
            let found: Vec<&str> = filters.into_iter().filter(fits).collect();
            assert_eq!(found, fitting, "{:?} {:?}", command.state, command.signal);
        }
    }

    #[test]
    fn states_have_the_words_of_the_view() {
        let spec = CommandSpec::new(Program::Shell("make".to_owned()));
        let agent = AgentId::new("web-1").expect("a name");
        for (state, exit_code, fitting) in [
            (State::Queued, None, &["waiting", "queued"][..]),
            (State::Running, None, &["running"]),
            (State::Exited, Some(0), &["ended", "exited"]),
            (State::Exited, Some(3), &["ended", "exited", "failed"]),
            (State::Failed, None, &["ended", "failed"]),
        ] {
            let command = CommandSummary {
                state,
                exit_code,
                ..CommandSummary::queued(CommandId([1; 16]), agent.clone(), &spec)
            };
            let words = ["waiting", "queued", "running", "ended", "exited", "failed"];
            let fits = |word: &&str| Filter::new(&format!("state:{word}")).fits_command(&command);
            let found: Vec<&str> = words.into_iter().filter(fits).collect();
            assert_eq!(found, fitting, "{state:?} {exit_code:?}");
        }
    }

    #[test]
    fn lines_fit_by_level_source_and_words() {
        let fits = |filter| Filter::new(filter).fits_line("error", "web-1", "the disk is full");
        for filter in [
            "",
            "disk",
            "level:err agent:web-*",
            "from:web-1 full",
            "!empty",
            "DISK",
        ] {
            assert!(fits(filter), "{filter}");
        }
        for filter in ["empty", "level:info", "agent:db-*", "!disk", "exit:0"] {
            assert!(!fits(filter), "{filter}");
        }
    }
}
