//! `opsctl up`: one command from nothing to a console with a live agent.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use opsctl_client::{Event, Events};
use opsctl_protocol::message::{Subscribe, ToDashboard};
use opsctl_protocol::{AgentId, Channel, Pattern};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use crate::background::Background;
use crate::connect::{Connection, connect, request_failure};
use crate::context::Context;
use crate::exit_code::{ExitCode, Failure};
use crate::{down, tui};

/// How long daemon or agent may take to start, each. A start takes a fraction of a second; a busy machine or the recovery
/// of a large log takes longer.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// How often the socket of a starting daemon is tried: there is nothing to wait for before it exists.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How long an agent that runs may take to come back to a daemon that was just started: its first attempts come within
/// this (R1: at once, then after 1, 2 and 4 s). A person waits no longer; it is started anew instead.
const RETURN: Duration = Duration::from_secs(8);

/// How long a waiting agent may take to end before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Start what isn't running here (a daemon, an agent for this host), then open the console
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Stop what this started when the console is left
    #[arg(long)]
    rm: bool,
}

/// What one `up` has started itself.
#[derive(Debug, Default)]
pub struct Started {
    /// Whether it started the daemon.
    pub daemon: bool,
    /// Whether it started the agent.
    pub agent: bool,
}

/// Starts what isn't running and opens the console.
pub async fn run(args: UpArgs, context: &Context) -> Result<u8> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if args.rm && !terminal {
        let message = "--rm stops everything when the console is left, and without a terminal there is no console";
        return Err(Failure::new(ExitCode::Usage, message).into());
    }
    let started = start(context).await?;
    if !terminal {
        return Ok(ExitCode::Ok.into());
    }
    let left = tui::open(context).await;
    if args.rm {
        down::stop(context, &started, false).await?;
    }
    left
}

async fn start(context: &Context) -> Result<Started> {
    let background = Background::open(&context.settings)?;
    let mut started = Started::default();
    // An endpoint that was chosen is somebody else's daemon; only the agent can be ours.
    if context.settings.client.url.0.is_none() {
        started.daemon = start_daemon(&background, context).await?;
    }
    started.agent = match start_agent(&background, context).await {
        Ok(started) => started,
        Err(error) if started.daemon => {
            return Err(
                error.context("the daemon runs (`opsctl down` stops it), but the agent does not")
            );
        }
        Err(error) => return Err(error),
    };
    Ok(started)
}

/// Starts the daemon when there is none; says whether it did.
async fn start_daemon(background: &Background, context: &Context) -> Result<bool> {
    let settings = &context.settings;
    let already = || println!("daemon  already running at {}", settings.endpoint());
    if answers(context).await? {
        already();
        return Ok(false);
    }
    let mut child = background.start("daemon", &[], settings, "")?;
    let ready = async {
        while !answers(context).await? {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    };
    match unless_it_ends(ready, &mut child, background, "daemon").await {
        Ok(()) => {}
        // Somebody else's daemon may have come up in the same moment, and then all is well.
        Err(Trouble { in_use: true, .. }) if answers(context).await? => {
            already();
            return Ok(false);
        }
        Err(trouble) => return Err(trouble.error),
    }
    println!("daemon  started at {}", settings.endpoint());
    Ok(true)
}

/// Whether a daemon answers. A socket alone says little: it is there before the daemon has all that it needs.
async fn answers(context: &Context) -> Result<bool> {
    match connect(context, "up").await {
        Ok(connection) => {
            connection.client.close().await;
            Ok(true)
        }
        Err(error) => match error.downcast_ref::<Failure>() {
            Some(failure) if failure.code == ExitCode::Unreachable => Ok(false),
            _ => Err(error),
        },
    }
}

/// Starts this host's agent when the daemon has none; says whether it did.
async fn start_agent(background: &Background, context: &Context) -> Result<bool> {
    let settings = &context.settings;
    let name = settings.agent_name()?;
    let mut connection = connect(context, "up").await?;
    let subscribe = Subscribe {
        channel: Pattern::exactly(&Channel::Agent(name.clone())),
        since: None,
        lossless: false,
        no_output: true,
    };
    let known = connection.agents().await?;
    if known
        .iter()
        .any(|agent| agent.agent_id == name && agent.is_connected())
    {
        println!("agent   {name} already running");
        return Ok(false);
    }
    let Connection {
        client, mut events, ..
    } = connection;
    let subscribed = client.subscribe(subscribe).await;
    subscribed.map_err(|error| request_failure(context, error))?;
    if let Some(running) = background.running("agent") {
        let returned = timeout(RETURN, until_connected(&mut events, &name));
        if running.record.name == name.as_str()
            && let Ok(returned) = returned.await
        {
            returned?;
            println!("agent   {name} already running");
            return Ok(false);
        }
        // It waits to reconnect, perhaps for half a minute. Its commands don't mind: they are under their holders.
        background.stop("agent", &running, STOP_GRACE).await?;
    }
    let args = ["--name", name.as_str()];
    let mut child = background.start("agent", &args, settings, name.as_str())?;
    let connected = until_connected(&mut events, &name);
    unless_it_ends(connected, &mut child, background, "agent")
        .await
        .map_err(|trouble| trouble.error)?;
    client.close().await;
    println!("agent   {name} started");
    Ok(true)
}

/// Waits until the daemon says that the agent is there.
async fn until_connected(events: &mut Events, name: &AgentId) -> Result<()> {
    loop {
        let event = events.next().await.context("the daemon went away")?;
        let Event::Message(message) = event else {
            continue;
        };
        let agents = match message.message {
            ToDashboard::AgentList(list) => list.agents,
            ToDashboard::AgentConnected(connected) => vec![connected.agent],
            ToDashboard::AgentStatus(agent) => vec![agent],
            _ => continue,
        };
        if agents
            .iter()
            .any(|agent| agent.agent_id == *name && agent.is_connected())
        {
            return Ok(());
        }
    }
}

/// Why something did not start.
struct Trouble {
    error: anyhow::Error,
    /// Something else already holds what it needs.
    in_use: bool,
}

/// Waits until a process that was started is ready, or ends, or takes too long; the latter two with its last words.
async fn unless_it_ends(
    ready: impl Future<Output = Result<()>>,
    child: &mut Child,
    background: &Background,
    part: &str,
) -> Result<(), Trouble> {
    let (what, code) = tokio::select! {
        ready = timeout(START_DEADLINE, ready) => match ready {
            Ok(ready) => return ready.map_err(|error| Trouble { error, in_use: false }),
            Err(_) => (format!("the {part} is not ready after {START_DEADLINE:?}"), None),
        },
        ended = child.wait() => {
            background.forget(part);
            (format!("the {part} did not start"), ended.ok().and_then(|status| status.code()))
        }
    };
    // The codes that a daemon or an agent fails with before it is ready.
    let known = [ExitCode::Usage, ExitCode::NotAllowed, ExitCode::InUse];
    let same = |known: &ExitCode| code == Some(i32::from(u8::from(*known)));
    let code = known.into_iter().find(same).unwrap_or(ExitCode::General);
    let said = background.last_lines(part);
    let logs = format!("more in {}", background.log_dir().display());
    let hint = [said, logs].join("\n");
    let error = Failure::new(code, what).hint(hint.trim_start()).into();
    Err(Trouble {
        error,
        in_use: code == ExitCode::InUse,
    })
}
