//! `opsctl send --type`: a message into the terminals of programs that run, and answers to their approval prompts. Says of
//! each what has become of it, as the daemon promises it, and no more.

use std::collections::BTreeMap;
use std::io::Read as _;

use anyhow::{Context as _, Result};
use clap::Args;
use opsctl_client::{Client, ConnState, Event, Events, RequestError};
use opsctl_protocol::message::{
    AgentInfo, ApprovalAnswer, CommandSummary, Obstacle, State, Subscribe, TerminalType,
    TerminalTyped, ToDashboard, TypedState, Verdict,
};
use opsctl_protocol::selector::Selector;
use opsctl_protocol::{AgentId, Channel, CommandId, Pattern};
use serde_json::json;
use tokio::task::JoinSet;

use super::SendArgs;
use crate::agents::{Fleet, fleet};
use crate::ask::{beside, no_connection};
use crate::connect::request_failure;
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};

/// The longest text that is read from stdin, in bytes; the daemon's own bound is below.
const MAX_STDIN: u64 = 1 << 20;

/// What is typed, and when.
#[derive(Debug, Args)]
#[command(next_help_heading = "Into a terminal that runs")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(super) struct TypeArgs {
    /// Type this into the agent's running terminal, then Enter; - reads it from stdin
    #[arg(long = "type", value_name = "TEXT", conflicts_with_all = ["command", "shell", "pty", "detach", "gather", "jsonl"])]
    text: Option<String>,
    /// Approve what the agent's program asks
    #[arg(long, conflicts_with_all = ["text", "deny", "command", "shell"])]
    approve: bool,
    /// Deny what the agent's program asks
    #[arg(long, conflicts_with_all = ["text", "command", "shell"])]
    deny: bool,
    /// With --approve or --deny: only a prompt in which this text stands
    #[arg(long, value_name = "TEXT")]
    asked: Option<String>,
    /// Wait in the daemon until the program is idle; --ttl bounds that
    #[arg(long, requires = "text")]
    when_idle: bool,
    /// With --when-idle: stay until it has been typed
    #[arg(long, requires = "when_idle")]
    wait: bool,
    /// No Enter behind the text
    #[arg(long, requires = "text")]
    no_submit: bool,
    /// Several lines one by one where the program takes no paste
    #[arg(long, requires = "text")]
    lines: bool,
    /// Also at an approval prompt: what is typed answers it
    #[arg(long, requires = "text")]
    at_approval: bool,
    /// Also while the program works
    #[arg(long, requires = "text")]
    while_working: bool,
    /// Also behind what somebody has begun to type
    #[arg(long, requires = "text")]
    over_draft: bool,
}

impl TypeArgs {
    /// Whether something is to be typed, rather than run.
    pub(super) fn is_wanted(&self) -> bool {
        self.text.is_some() || self.approve || self.deny
    }

    fn verdict(&self) -> Option<Verdict> {
        match (self.approve, self.deny) {
            (true, _) => Some(Verdict::Approve),
            (false, true) => Some(Verdict::Deny),
            (false, false) => None,
        }
    }
}

/// What has become of one agent's message.
enum Outcome {
    /// The daemon's word.
    Told(TerminalTyped),
    /// It was not even taken.
    Failed(Failure),
}

/// Types, and says of each agent what has become of it.
pub(super) async fn run(args: &SendArgs, selector: &Selector, context: &Context) -> Result<u8> {
    let text = text(&args.typing)?;
    let Fleet {
        client,
        mut events,
        agents,
        ..
    } = fleet(context, context.client("send")?).await?;
    let covered = agents
        .into_iter()
        .filter(|agent| selector.matches(&agent.agent_id, &agent.labels));
    let chosen: Vec<AgentInfo> = covered.take(limit(args)).collect();
    if chosen.is_empty() {
        let message = format!(
            "no agent matches {:?}; `opsctl agents` lists them",
            selector.to_string()
        );
        return Err(Failure::new(ExitCode::NoMatch, message).into());
    }
    if args.dry_run {
        for agent in &chosen {
            println!("{}", agent.agent_id);
        }
        return Ok(ExitCode::Ok.into());
    }
    if args.typing.wait {
        follow(context, &client, &mut events, &chosen).await?;
    }
    let key = args
        .key
        .clone()
        .unwrap_or_else(|| CommandId::random().to_string());
    let messages = chosen.iter().map(|agent| {
        let key = if chosen.len() == 1 {
            key.clone()
        } else {
            format!("{key}/{}", agent.agent_id)
        };
        let message = message(args, agent, text.clone(), key);
        (agent.agent_id.clone(), message)
    });
    let mut outcomes = BTreeMap::new();
    let mut open = Vec::new();
    for (agent, message) in messages {
        match message {
            Ok(message) => open.push((agent, message)),
            Err(failure) => drop(outcomes.insert(agent, Outcome::Failed(failure))),
        }
    }
    let asking = Asking {
        context,
        client: &client,
        messages: open,
    };
    asking.ask(&mut events, &mut outcomes).await;
    if args.typing.wait {
        asking.wait(&mut events, &mut outcomes, args.json).await?;
    }
    report(&outcomes, args.json)?;
    Ok(outcomes.values().map(code).max().unwrap_or_default())
}

fn limit(args: &SendArgs) -> usize {
    args.limit.map_or(usize::MAX, |limit| limit as usize)
}

fn text(args: &TypeArgs) -> Result<Option<String>> {
    if args.text.as_deref() != Some("-") {
        return Ok(args.text.clone());
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_STDIN)
        .read_to_string(&mut text)
        .context("cannot read the text from stdin")?;
    Ok(Some(text))
}

/// The message for one agent.
fn message(
    args: &SendArgs,
    agent: &AgentInfo,
    text: Option<String>,
    key: String,
) -> Result<TerminalType, Failure> {
    let typing = &args.typing;
    let mut message = TerminalType {
        key,
        command_id: None,
        agent_id: Some(agent.agent_id.clone()),
        text,
        answer: None,
        submit: !typing.no_submit,
        lines: typing.lines,
        when_idle: typing.when_idle,
        ttl_ms: args.ttl.map(|ttl| ttl.as_millis() as u64),
        at_approval: typing.at_approval,
        while_working: typing.while_working,
        over_draft: typing.over_draft,
    };
    if let Some(verdict) = typing.verdict() {
        let (command, answer) = answer(agent, verdict, typing.asked.as_deref())?;
        eprintln!("{} asks:", agent.agent_id);
        for line in answer.seen.asked.lines() {
            eprintln!("  {}", line.trim_end());
        }
        message.agent_id = None;
        message.command_id = Some(command);
        message.answer = Some(answer);
        message.submit = false;
        message.ttl_ms = None;
    }
    Ok(message)
}

/// The one prompt that is open on an agent, with its answer.
fn answer(
    agent: &AgentInfo,
    verdict: Verdict,
    asked: Option<&str>,
) -> Result<(CommandId, ApprovalAnswer), Failure> {
    let open = |command: &CommandSummary| {
        let approval = command.approval.clone()?;
        let fits = asked.is_none_or(|asked| approval.asked.contains(asked));
        (command.state == State::Running && fits).then_some((command.command_id, approval))
    };
    let mut found = agent.commands.iter().filter_map(open);
    match (found.next(), found.next()) {
        (Some((command_id, seen)), None) => Ok((command_id, ApprovalAnswer { verdict, seen })),
        (None, _) => Err(Failure::new(
            ExitCode::NotTyped,
            "no such approval prompt is open",
        )),
        (Some(_), Some(_)) => Err(Failure::new(
            ExitCode::NotTyped,
            "several approval prompts are open; --asked chooses one",
        )),
    }
}

/// Follows the agents, so that no word on their messages is missed.
async fn follow(
    context: &Context,
    client: &Client,
    events: &mut Events,
    agents: &[AgentInfo],
) -> Result<(), Failure> {
    for agent in agents {
        let subscribe = Subscribe {
            channel: Pattern::exactly(&Channel::Agent(agent.agent_id.clone())),
            since: None,
            lossless: false,
            no_output: true,
        };
        let subscribed = beside(events, client.subscribe(subscribe)).await;
        subscribed.map_err(|error| request_failure(context, error))?;
    }
    Ok(())
}

/// Messages that are asked for.
struct Asking<'a> {
    context: &'a Context,
    client: &'a Client,
    /// By agent.
    messages: Vec<(AgentId, TerminalType)>,
}

impl Asking<'_> {
    /// Asks for all that nothing is known of, or that wait; what is heard of them meanwhile counts.
    async fn ask(&self, events: &mut Events, outcomes: &mut BTreeMap<AgentId, Outcome>) {
        let mut asked = JoinSet::new();
        for (agent, message) in &self.messages {
            if outcomes.get(agent).is_none_or(waits) {
                let (client, agent, message) =
                    (self.client.clone(), agent.clone(), message.clone());
                asked.spawn(async move { (agent, client.request(message).await) });
            }
        }
        let mut answers = Vec::new();
        let mut told = Vec::new();
        while !asked.is_empty() {
            tokio::select! {
                biased;
                Some(answer) = asked.join_next() => {
                    // A task that was ended has no answer; what is known of its message stays.
                    answers.extend(answer.map(|(agent, answer)| (agent, self.outcome(answer))));
                }
                Some(event) = events.next() => told.extend(word(event)),
                else => break,
            }
        }
        outcomes.extend(answers);
        for typed in told {
            note(outcomes, typed);
        }
    }

    fn outcome(&self, answer: Result<ToDashboard, RequestError>) -> Outcome {
        match answer {
            Ok(ToDashboard::Typed(typed)) => Outcome::Told(typed),
            Ok(_) => Outcome::Failed(Failure::new(
                ExitCode::General,
                "the daemon answered a message with something else",
            )),
            Err(error) => Outcome::Failed(request_failure(self.context, error)),
        }
    }

    /// Waits until nothing more will become of any message.
    async fn wait(
        &self,
        events: &mut Events,
        outcomes: &mut BTreeMap<AgentId, Outcome>,
        json: bool,
    ) -> Result<(), Failure> {
        for (agent, outcome) in outcomes.iter().filter(|(_, outcome)| waits(outcome)) {
            if !json {
                eprintln!("{agent}: {}", line(outcome));
            }
        }
        while outcomes.values().any(waits) {
            match events.next().await {
                // What became of a message meanwhile is told to whoever asks again.
                Some(Event::Connected(_)) => self.ask(events, outcomes).await,
                Some(Event::State(state @ ConnState::Refused { .. })) => {
                    return Err(no_connection(self.context, state));
                }
                Some(event) => {
                    if let Some(typed) = word(event) {
                        note(outcomes, typed);
                    }
                }
                None => return Err(no_connection(self.context, ConnState::Closed)),
            }
        }
        Ok(())
    }
}

/// Whether something more will become of a message.
fn waits(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Told(typed) if !typed.state.is_final())
}

fn word(event: Event) -> Option<TerminalTyped> {
    match event {
        Event::Message(decoded) => match decoded.message {
            ToDashboard::Typed(typed) => Some(typed),
            _ => None,
        },
        _ => None,
    }
}

/// The last word on a message is what counts.
fn note(outcomes: &mut BTreeMap<AgentId, Outcome>, typed: TerminalTyped) {
    if let Some(Outcome::Told(known)) = outcomes.get_mut(&typed.agent_id)
        && known.key == typed.key
        && !known.state.is_final()
    {
        *known = typed;
    }
}

fn report(outcomes: &BTreeMap<AgentId, Outcome>, json: bool) -> Result<()> {
    if json {
        let shown: Vec<_> = outcomes
            .iter()
            .map(|(agent, outcome)| match outcome {
                Outcome::Told(typed) => json!(typed),
                Outcome::Failed(failure) => {
                    json!({ "agentId": agent, "state": "refused", "reason": failure.message })
                }
            })
            .collect();
        println!(
            "{}",
            serde_json::to_string_pretty(&json!({ "messages": shown }))?
        );
        return Ok(());
    }
    for (agent, outcome) in outcomes {
        println!("{agent}: {}", line(outcome));
    }
    Ok(())
}

/// What is said of one agent's message.
fn line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => format!("refused ({})", failure.message),
        Outcome::Told(typed) => typed.to_string(),
    }
}

fn code(outcome: &Outcome) -> u8 {
    let typed = match outcome {
        Outcome::Failed(failure) => return failure.code.into(),
        Outcome::Told(typed) => typed,
    };
    match typed.state {
        TypedState::Queued | TypedState::Typed | TypedState::Submitted => ExitCode::Ok,
        TypedState::Refused if typed.obstacle == Some(Obstacle::Offline) => ExitCode::AgentOffline,
        TypedState::Refused => ExitCode::NotTyped,
        TypedState::Expired => ExitCode::Expired,
        TypedState::Cancelled => ExitCode::NoStatus,
    }
    .into()
}
