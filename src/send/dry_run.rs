//! `--dry-run`: whom a selection would reach, without sending anything.

use anyhow::Result;
use opsctl_client::Options;
use opsctl_protocol::AgentId;
use opsctl_protocol::message::AgentInfo;
use opsctl_protocol::selector::Selector;

use super::{SendArgs, json};
use crate::agents::{Fleet, fleet};
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::output::printer::print_once;

/// Prints the names of the agents that would be reached; those that are offline on stderr.
pub(super) async fn run(
    args: &SendArgs,
    selector: &Selector,
    context: &Context,
    options: Options,
) -> Result<u8> {
    let Fleet { agents, .. } = fleet(context, options).await?;
    let covered = agents
        .iter()
        .filter(|agent| selector.matches(&agent.agent_id, &agent.labels));
    let waits = args.ttl.is_some();
    let (online, offline): (Vec<&AgentInfo>, Vec<&AgentInfo>) =
        covered.partition(|agent| waits || agent.is_connected());
    let limit = args.limit.map_or(usize::MAX, |limit| limit as usize);
    let name = |agent: &&'_ AgentInfo| agent.agent_id.clone();
    let reached: Vec<AgentId> = online.iter().take(limit).map(name).collect();
    let left_out = offline.iter().take(limit - online.len().min(limit));
    let left_out: Vec<AgentId> = left_out.map(name).collect();
    print_once(&if args.json || args.jsonl {
        json::reach(&reached, &left_out, args.json)
    } else {
        let line = |name: &AgentId| [name.to_string(), "\n".to_owned()];
        reached.iter().flat_map(line).collect()
    })?;
    for name in &left_out {
        eprintln!("opsctl: {name} is offline");
    }
    if online.is_empty() && offline.is_empty() {
        let message = format!("no agent matches {:?}", args.select.join(" "));
        return Err(Failure::new(ExitCode::NoMatch, message)
            .hint("`opsctl agents` lists them")
            .into());
    }
    Ok(if left_out.is_empty() {
        ExitCode::Ok
    } else {
        ExitCode::AgentOffline
    }
    .into())
}
