//! `--dry-run`: whom a selection would reach, without sending anything.

use anyhow::Result;
use opsctl_client::Options;
use opsctl_protocol::message::AgentInfo;
use opsctl_protocol::selector::Selector;

use super::SendArgs;
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
    let mut reached = String::new();
    for agent in online.iter().take(limit) {
        reached.push_str(agent.agent_id.as_str());
        reached.push('\n');
    }
    print_once(&reached)?;
    let left_out = offline.iter().take(limit - online.len().min(limit));
    for agent in left_out.clone() {
        eprintln!("opsctl: {} is offline", agent.agent_id);
    }
    if online.is_empty() && offline.is_empty() {
        let message = format!("no agent matches {:?}", args.select.join(" "));
        return Err(Failure::new(ExitCode::NoMatch, message)
            .hint("`opsctl agents` lists them")
            .into());
    }
    let all_reached = left_out.count() == 0;
    Ok(if all_reached {
        ExitCode::Ok
    } else {
        ExitCode::AgentOffline
    }
    .into())
}
