//! `opsctl forget`: agents that will not come back leave the list.

use anyhow::Result;
use clap::Args;
use opsctl_protocol::AgentId;
use opsctl_protocol::message::AgentForget;

use crate::ask::ask;
use crate::context::Context;
use crate::exit_code::ExitCode;

/// Forget agents that will not come back
///
/// They leave the list; what waits for them is cancelled, what they ran is lost. An agent that is connected is left alone.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The agents' names
    #[arg(value_name = "AGENT", required = true)]
    agents: Vec<AgentId>,
}

/// Forgets, and says whom.
pub async fn run(args: ForgetArgs, context: &Context) -> Result<u8> {
    let (client, events) = opsctl_client::start(context.client("forget")?);
    // Only answers are wanted.
    drop(events);
    let several = args.agents.len() > 1;
    let mut worst = ExitCode::Ok;
    for agent_id in args.agents {
        let forget = AgentForget {
            agent_id: agent_id.clone(),
        };
        match ask(context, &client, forget).await {
            Ok(_) => eprintln!("forgot {agent_id}"),
            Err(failure) if several => {
                eprintln!("opsctl: {failure}");
                worst = failure.code;
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(worst.into())
}
