//! What shows that a program has taken a message. Pure.

use opsctl_protocol::message::{Activity, ApprovalAnswer, CommandSummary, Evidence};

use super::obstacle::is_known;

/// How things stood before Enter, which decides what counts as a reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Before {
    /// The terminal was still, so that output is a reaction.
    was_still: bool,
    /// The program was known to work.
    was_working: bool,
}

/// What has happened in the terminal since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    /// The program has put out something other than the end of a line.
    pub(super) reacted: bool,
    /// Somebody has typed something else, so that output may be the echo of that.
    pub(super) disturbed: bool,
}

impl Before {
    /// A program that stands so, in a terminal that was still or not.
    pub(super) fn of(summary: &CommandSummary, was_still: bool) -> Self {
        Self {
            was_still,
            was_working: is_working(summary),
        }
    }

    /// What shows that the program has taken a text, or an answer to what it asked; `None` while nothing does.
    pub(super) fn evidence(
        self,
        answer: Option<&ApprovalAnswer>,
        summary: &CommandSummary,
        since: Since,
    ) -> Option<Evidence> {
        if let Some(answer) = answer {
            let is_gone = summary.approval.as_ref() != Some(&answer.seen);
            return is_gone.then_some(Evidence::Answered);
        }
        if self.was_still && since.reacted && !since.disturbed {
            return Some(Evidence::Output);
        }
        (is_working(summary) && !self.was_working).then_some(Evidence::Working)
    }
}

fn is_working(summary: &CommandSummary) -> bool {
    is_known(summary) && summary.activity == Activity::Working
}

#[cfg(test)]
mod tests {
    use super::*;
    use opsctl_protocol::message::{ActivitySource, Approval, CommandSpec, Program, Verdict};
    use opsctl_protocol::{AgentId, CommandId};

    fn doing(activity: Activity, source: ActivitySource) -> CommandSummary {
        let spec = CommandSpec::new(Program::Argv(vec!["x".to_owned()]));
        CommandSummary {
            activity,
            activity_source: Some(source),
            ..CommandSummary::queued(CommandId([1; 16]), AgentId::new("a").unwrap(), &spec)
        }
    }

    const QUIET: Since = Since {
        reacted: false,
        disturbed: false,
    };

    #[test]
    fn output_counts_where_nothing_else_can_have_made_it() {
        let idle = doing(Activity::Idle, ActivitySource::Rule);
        for (was_still, reacted, disturbed, counts) in [
            (true, true, false, true),
            (false, true, false, false),
            (true, true, true, false),
            (true, false, false, false),
        ] {
            let since = Since { reacted, disturbed };
            let found = Before::of(&idle, was_still).evidence(None, &idle, since);
            assert_eq!(found.is_some(), counts, "{was_still} {since:?}");
        }
    }

    #[test]
    fn work_counts_where_it_is_known_and_new() {
        let idle = doing(Activity::Idle, ActivitySource::Rule);
        let working = doing(Activity::Working, ActivitySource::Rule);
        let noisy = doing(Activity::Working, ActivitySource::Process);
        let cases = [
            (&idle, &working, Some(Evidence::Working)),
            (&noisy, &working, Some(Evidence::Working)),
            (&working, &working, None),
            (&idle, &noisy, None),
            (&idle, &idle, None),
        ];
        for (before, now, found) in cases {
            assert_eq!(Before::of(before, false).evidence(None, now, QUIET), found);
        }
    }

    #[test]
    fn an_answer_counts_once_its_prompt_is_gone_and_never_before() {
        let prompt = |asked: &str| Approval {
            asked: asked.to_owned(),
            approve: "y".to_owned(),
            deny: "n".to_owned(),
        };
        let answer = ApprovalAnswer {
            verdict: Verdict::Approve,
            seen: prompt("one?"),
        };
        let mut summary = doing(Activity::Blocked, ActivitySource::Rule);
        summary.approval = Some(prompt("one?"));
        let before = Before::of(&summary, true);
        let loud = Since {
            reacted: true,
            ..QUIET
        };
        assert_eq!(before.evidence(Some(&answer), &summary, loud), None);
        for next in [None, Some(prompt("two?"))] {
            summary.approval = next;
            let found = before.evidence(Some(&answer), &summary, QUIET);
            assert_eq!(found, Some(Evidence::Answered));
        }
    }
}
