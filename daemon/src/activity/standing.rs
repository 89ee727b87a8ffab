//! What a command is doing, where several sources speak about it: which of them counts, and when a word is stale. Pure.
//!
//! The program's own word goes before signals, those before rules, those before what its process shows. A word holds until
//! its source says another one, with these exceptions:
//!
//! - When the program has ended, every word is stale but the program's own `done` or `error`.
//! - When a shell shows its prompt, whatever reported from under it has ended: only its `done` or `error` stays, until the
//!   next command is entered.
//! - A failed command's `error` (OSC 133 ; D) stays until the next command is entered.
//! - When screen and program said the same, and the screen has moved on since, the program's word is stale: a prompt was
//!   answered, or work was interrupted, and no hook tells that. So is `done` or `idle` when the screen begins to show work.
//! - Progress (OSC 9 ; 4) goes before prompt marks while it is shown, and goes with the command that showed it.

use opsctl_protocol::Timestamp;
use opsctl_protocol::message::{Activity, ActivitySource, Approval, CommandSummary, State};
use opsctl_terminal::{Progress, Signal};

/// What one source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What is done.
    pub activity: Activity,
    /// Why, for people.
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Word {
    /// A word without a reason.
    pub fn new(activity: Activity, since: Timestamp) -> Self {
        Self {
            activity,
            reason: None,
            since,
        }
    }

    fn because(self, reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }

    /// Whether it is an outcome, which stays when who said it is gone.
    fn is_outcome(&self) -> bool {
        matches!(self.activity, Activity::Done | Activity::Error)
    }
}

/// What all sources say about a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    program: Option<Word>,
    /// From progress.
    progress: Option<Word>,
    /// From prompt marks.
    prompt: Option<Word>,
    rule: Option<Word>,
    process: Option<Word>,
    /// What the screen asks, whatever counts otherwise: keys that are typed would answer it.
    approval: Option<Approval>,
}

impl Standing {
    /// What counts.
    pub fn word(&self) -> Option<(ActivitySource, &Word)> {
        use ActivitySource::{Process, Program, Rule, Signal};
        let sources = [
            (Program, &self.program),
            (Signal, &self.progress),
            (Signal, &self.prompt),
            (Rule, &self.rule),
            (Process, &self.process),
        ];
        sources
            .into_iter()
            .find_map(|(source, word)| word.as_ref().map(|word| (source, word)))
            .filter(|(_, word)| word.activity != Activity::Unknown)
    }

    /// The program, or whoever speaks for it with this source, says something; `unknown` takes it back.
    pub fn said(&mut self, source: ActivitySource, word: Word) {
        let place = match source {
            ActivitySource::Program | ActivitySource::Other => &mut self.program,
            ActivitySource::Signal => &mut self.prompt,
            ActivitySource::Rule => &mut self.rule,
            ActivitySource::Process => &mut self.process,
        };
        put(place, (word.activity != Activity::Unknown).then_some(word));
    }

    /// The program has told its terminal something.
    pub fn heard(&mut self, signal: &Signal, now: Timestamp) {
        let word = |activity| Word::new(activity, now);
        match signal {
            Signal::Prompt | Signal::Typing => {
                self.left();
                if self.prompt.as_ref().is_none_or(|word| !word.is_outcome()) {
                    put(&mut self.prompt, Some(word(Activity::Idle)));
                }
            }
            Signal::Runs => {
                self.program = None;
                self.progress = None;
                put(&mut self.prompt, Some(word(Activity::Working)));
            }
            Signal::Ended(code) => {
                self.left();
                let ended = match code {
                    Some(code) if *code != 0 => {
                        word(Activity::Error).because(format!("exit {code}"))
                    }
                    _ => word(Activity::Idle),
                };
                put(&mut self.prompt, Some(ended));
            }
            Signal::Progress(progress) => {
                let shown = match progress {
                    Progress::Gone => None,
                    Progress::Percent(percent) => {
                        Some(word(Activity::Working).because(format!("{percent} %")))
                    }
                    Progress::Busy => Some(word(Activity::Working)),
                    Progress::Failed => Some(word(Activity::Error).because("failed")),
                    Progress::Paused => Some(word(Activity::Working).because("warning")),
                };
                put(&mut self.progress, shown);
            }
            Signal::Notification { .. } | Signal::Title(_) | Signal::Bell => {}
        }
    }

    /// What ran under a shell has ended.
    pub fn left(&mut self) {
        self.progress = None;
        if self.program.as_ref().is_some_and(|word| !word.is_outcome()) {
            self.program = None;
        }
    }

    /// What the rules make of the screen; `None` where none fits.
    pub fn seen(&mut self, word: Option<Word>, approval: Option<Approval>) {
        if self.is_outrun(word.as_ref()) {
            self.program = None;
        }
        put(&mut self.rule, word);
        self.approval = approval;
    }

    /// Whether the screen shows that the program's own word no longer holds.
    fn is_outrun(&self, new: Option<&Word>) -> bool {
        let activity = |word: &Option<Word>| word.as_ref().map(|word| word.activity);
        let (Some(said), Some(new)) = (activity(&self.program), new.map(|word| word.activity))
        else {
            return false;
        };
        let old = activity(&self.rule);
        let moved_on = old == Some(said) && new != said;
        let rested = matches!(said, Activity::Done | Activity::Idle);
        let works_again = old != Some(Activity::Working) && new == Activity::Working;
        moved_on || (rested && works_again)
    }

    /// The process shows this much.
    pub fn shows(&mut self, activity: Activity, now: Timestamp) {
        put(&mut self.process, Some(Word::new(activity, now)));
    }

    /// The command has ended as `summary` says.
    pub fn ended(&mut self, summary: &CommandSummary, now: Timestamp) {
        let outcome = self.program.take().filter(Word::is_outcome);
        let failed = |reason: String| Some(Word::new(Activity::Error, now).because(reason));
        let process = match summary.state {
            State::Exited if summary.timed_out => failed("timeout".to_owned()),
            State::Exited => match (summary.exit_code, summary.signal) {
                (Some(0), _) => Some(Word::new(Activity::Done, now)),
                (Some(code), _) => failed(format!("exit {code}")),
                (None, Some(signal)) => failed(format!("signal {signal}")),
                (None, None) => None,
            },
            State::Failed | State::Lost => {
                let why = summary.reason.clone();
                failed(why.unwrap_or_else(|| summary.state.to_string()))
            }
            _ => None,
        };
        let worse = |word: &Word| word.activity == Activity::Error;
        // A program that says that it is done and fails then is not.
        let program = outcome.filter(|said| worse(said) || !process.as_ref().is_some_and(worse));
        *self = Self {
            program,
            process,
            ..Self::default()
        };
    }

    /// Writes what counts where people see it; since when, only where something else counted before. Returns whether
    /// anything changed.
    pub fn show(&self, summary: &mut CommandSummary) -> bool {
        let before = (
            summary.activity,
            summary.activity_reason.clone(),
            summary.activity_source,
            summary.approval.clone(),
        );
        let shown = self.word();
        let activity = shown.map_or(Activity::Unknown, |(_, word)| word.activity);
        if activity != summary.activity {
            summary.activity_since = shown.map(|(_, word)| word.since);
        }
        summary.activity = activity;
        summary.activity_source = shown.map(|(source, _)| source);
        summary.activity_reason = shown.and_then(|(_, word)| word.reason.clone());
        summary.approval.clone_from(&self.approval);
        let after = (
            summary.activity,
            summary.activity_reason.clone(),
            summary.activity_source,
            summary.approval.clone(),
        );
        before != after
    }
}

/// A source's new word. The same one again is no younger.
fn put(place: &mut Option<Word>, word: Option<Word>) {
    let same = match (&*place, &word) {
        (Some(old), Some(new)) => (old.activity, &old.reason) == (new.activity, &new.reason),
        _ => false,
    };
    if !same {
        *place = word;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opsctl_protocol::message::{CommandSpec, Program};
    use opsctl_protocol::{AgentId, CommandId};

    const NOW: Timestamp = Timestamp(1000);

    fn counts(standing: &Standing) -> (Option<ActivitySource>, Activity, Option<&str>) {
        match standing.word() {
            Some((source, word)) => (Some(source), word.activity, word.reason.as_deref()),
            None => (None, Activity::Unknown, None),
        }
    }

    fn program(standing: &mut Standing, activity: Activity) {
        standing.said(ActivitySource::Program, Word::new(activity, NOW));
    }

    fn summary(state: State, exit_code: Option<i32>, signal: Option<i32>) -> CommandSummary {
        let spec = CommandSpec::new(Program::Argv(vec!["x".to_owned()]));
        CommandSummary {
            state,
            exit_code,
            signal,
            ..CommandSummary::queued(CommandId([1; 16]), AgentId::new("a").unwrap(), &spec)
        }
    }

    #[test]
    fn the_more_trusted_source_counts_and_the_next_where_it_is_silent() {
        use ActivitySource::{Process, Program, Rule, Signal as Sign};
        let mut standing = Standing::default();
        assert_eq!(counts(&standing), (None, Activity::Unknown, None));
        standing.shows(Activity::Working, NOW);
        assert_eq!(counts(&standing).0, Some(Process));
        standing.seen(Some(Word::new(Activity::Idle, NOW)), None);
        assert_eq!(counts(&standing), (Some(Rule), Activity::Idle, None));
        standing.heard(&Signal::Runs, NOW);
        assert_eq!(counts(&standing), (Some(Sign), Activity::Working, None));
        standing.heard(&Signal::Progress(Progress::Percent(7)), NOW);
        assert_eq!(counts(&standing).2, Some("7 %"));
        program(&mut standing, Activity::Blocked);
        assert_eq!(counts(&standing), (Some(Program), Activity::Blocked, None));
        program(&mut standing, Activity::Unknown);
        standing.heard(&Signal::Progress(Progress::Gone), NOW);
        assert_eq!(counts(&standing), (Some(Sign), Activity::Working, None));
    }

    #[test]
    fn a_prompt_shows_that_who_reported_is_gone() {
        let mut standing = Standing::default();
        standing.heard(&Signal::Runs, NOW);
        program(&mut standing, Activity::Working);
        standing.heard(&Signal::Ended(Some(3)), NOW);
        assert_eq!(counts(&standing).1, Activity::Error);
        assert_eq!(counts(&standing).2, Some("exit 3"));
        standing.heard(&Signal::Prompt, NOW);
        assert_eq!(counts(&standing).1, Activity::Error, "until the next one");
        standing.heard(&Signal::Runs, NOW);
        assert_eq!(counts(&standing).1, Activity::Working);
        program(&mut standing, Activity::Done);
        standing.heard(&Signal::Ended(Some(0)), NOW);
        standing.heard(&Signal::Prompt, NOW);
        assert_eq!(counts(&standing).1, Activity::Done);
        standing.heard(&Signal::Runs, NOW);
        standing.heard(&Signal::Ended(None), NOW);
        assert_eq!(counts(&standing).1, Activity::Idle);
    }

    #[test]
    fn a_screen_that_moves_on_outruns_a_report() {
        use Activity::{Blocked, Done, Idle, Working};
        let cases = [
            // What the program says, what the screen showed and shows, and what counts.
            (Blocked, Blocked, Working, Working),
            (Blocked, Blocked, Idle, Idle),
            (Working, Working, Idle, Idle),
            (Working, Idle, Working, Working),
            (Working, Blocked, Working, Working),
            (Working, Idle, Blocked, Working),
            (Done, Working, Idle, Done),
            (Done, Idle, Idle, Done),
            (Done, Idle, Working, Working),
            (Done, Working, Working, Done),
        ];
        for (said, old, new, counted) in cases {
            let mut standing = Standing::default();
            standing.seen(Some(Word::new(old, NOW)), None);
            program(&mut standing, said);
            standing.seen(Some(Word::new(new, NOW)), None);
            assert_eq!(counts(&standing).1, counted, "{said} on {old}, {new}");
        }
        let mut standing = Standing::default();
        standing.seen(Some(Word::new(Blocked, NOW)), None);
        program(&mut standing, Blocked);
        standing.seen(None, None);
        assert_eq!(
            counts(&standing).1,
            Blocked,
            "no rule fits: nothing is known"
        );
    }

    #[test]
    fn an_end_is_an_outcome() {
        let outcomes = [
            (
                summary(State::Exited, Some(0), None),
                None,
                Activity::Done,
                None,
            ),
            (
                summary(State::Exited, Some(7), None),
                None,
                Activity::Error,
                Some("exit 7"),
            ),
            (
                summary(State::Exited, None, Some(9)),
                None,
                Activity::Error,
                Some("signal 9"),
            ),
            (
                summary(State::Cancelled, None, None),
                None,
                Activity::Unknown,
                None,
            ),
            (
                summary(State::Exited, Some(0), None),
                Some(Activity::Working),
                Activity::Done,
                None,
            ),
            (
                summary(State::Exited, Some(0), None),
                Some(Activity::Error),
                Activity::Error,
                None,
            ),
            (
                summary(State::Exited, Some(1), None),
                Some(Activity::Done),
                Activity::Error,
                Some("exit 1"),
            ),
        ];
        for (ended, said, activity, reason) in outcomes {
            let mut standing = Standing::default();
            standing.shows(Activity::Working, NOW);
            if let Some(said) = said {
                program(&mut standing, said);
            }
            standing.ended(&ended, NOW);
            assert_eq!(
                (counts(&standing).1, counts(&standing).2),
                (activity, reason),
                "{said:?}"
            );
        }
    }

    #[test]
    fn since_when_is_since_the_activity_changed() {
        let mut standing = Standing::default();
        let mut shown = summary(State::Running, None, None);
        standing.shows(Activity::Working, Timestamp(1));
        assert!(standing.show(&mut shown));
        assert!(!standing.show(&mut shown));
        standing.said(
            ActivitySource::Program,
            Word::new(Activity::Working, Timestamp(5)),
        );
        assert!(standing.show(&mut shown), "another source says it now");
        assert_eq!(shown.activity_since, Some(Timestamp(1)));
        standing.said(
            ActivitySource::Program,
            Word::new(Activity::Idle, Timestamp(9)),
        );
        assert!(standing.show(&mut shown));
        assert_eq!(shown.activity_since, Some(Timestamp(9)));
    }

    #[test]
    fn what_is_asked_is_told_whoever_counts() {
        let mut standing = Standing::default();
        let mut shown = summary(State::Running, None, None);
        let asked = Approval {
            asked: "rm -rf x?".to_owned(),
            approve: "1".to_owned(),
            deny: "\u{1b}".to_owned(),
        };
        program(&mut standing, Activity::Working);
        standing.seen(Some(Word::new(Activity::Blocked, NOW)), Some(asked.clone()));
        standing.show(&mut shown);
        assert_eq!(
            (shown.activity, shown.approval),
            (Activity::Working, Some(asked))
        );
    }
}
