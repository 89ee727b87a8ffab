//! The one owner of an agent's state. Events come in from the daemon, from holders, from the journal and from the clock;
//! nothing here waits.
//!
//! - [`recover`]: what an earlier agent left.
//! - [`daemon`]: what the daemon says.
//! - [`commands`]: from `command:execute` to a holder with its job, and what holders say.
//! - [`main_program`]: the agent's main terminal.

mod commands;
mod daemon;
mod main_program;
mod recover;

use std::collections::BTreeMap;
use std::io;

use opsctl_link::{Frame, Sender};
use opsctl_protocol::CommandId;
use opsctl_protocol::message::AgentMessage;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::attach::{Attachment, HolderKey, News, send_now};
use crate::command::{Command, Held, Phase};
use crate::journal::Journal;
use crate::pool::{Fresh, Launcher, Pool};
use crate::queue::Queue;
use crate::state_dir::StateDir;
use crate::uplink::{Happened, Uplink};
use crate::{AgentError, AgentOptions, Ended};
use main_program::Main;

/// Events that may wait; their senders wait when there are more.
const EVENTS: usize = 1024;

/// What comes from this agent's own parts.
enum Event {
    /// A start is on disk, or couldn't be written.
    Journaled(CommandId, io::Result<()>),
    /// A holder was started, or couldn't be.
    Started(io::Result<Fresh>),
}

/// A running agent.
pub(crate) struct Agent {
    options: AgentOptions,
    /// Keeps other agents of this name out.
    _state_dir: StateDir,
    journal: Journal,
    launcher: Launcher,
    pool: Pool<Fresh>,
    queue: Queue,
    /// Every command that isn't settled.
    commands: BTreeMap<CommandId, Command>,
    /// Which command each connected holder has.
    holders: BTreeMap<HolderKey, CommandId>,
    /// Holders of an earlier agent that haven't said yet what they have.
    silent: BTreeMap<HolderKey, Attachment>,
    /// When a holder is started in the place of one that was taken.
    refill: Option<Instant>,
    /// The next holder's key.
    next_key: u64,
    /// Names the runs of output streams.
    generation: u64,
    /// The connection, once the daemon has answered `agent:connect`.
    link: Option<Sender>,
    /// The connection before that.
    greeting: Option<Sender>,
    /// Commands that were reported over this connection.
    reported: Vec<CommandId>,
    /// The main program.
    main: Main,
    events: mpsc::Sender<Event>,
    inbox: mpsc::Receiver<Event>,
    news: mpsc::Sender<(HolderKey, News)>,
    holder_inbox: mpsc::Receiver<(HolderKey, News)>,
}

impl Agent {
    /// Locks the state directory and finds what an earlier agent left.
    pub(crate) async fn open(options: AgentOptions) -> Result<Self, AgentError> {
        let state_dir = StateDir::open(&options.state_dir, options.name.as_str())?;
        let (journal, known) =
            Journal::open(state_dir.path()).map_err(|source| AgentError::State {
                path: state_dir.path().to_owned(),
                source,
            })?;
        let (events, inbox) = mpsc::channel(EVENTS);
        let (news, holder_inbox) = mpsc::channel(EVENTS);
        let launcher = Launcher {
            program: options.holder_program.clone(),
            holders: state_dir.holders(),
            log: state_dir.path().join("holder.log"),
        };
        let mut agent = Self {
            queue: Queue::new(options.max_commands),
            options,
            _state_dir: state_dir,
            journal,
            launcher,
            pool: Pool::default(),
            commands: BTreeMap::new(),
            holders: BTreeMap::new(),
            silent: BTreeMap::new(),
            refill: None,
            next_key: 0,
            generation: 0,
            link: None,
            greeting: None,
            reported: Vec::new(),
            main: Main::default(),
            events,
            inbox,
            news,
            holder_inbox,
        };
        agent.recover(known).await;
        agent.start_main();
        agent.start_holders();
        Ok(agent)
    }

    /// Lives until shutdown, the main program's end, or a refusal.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<Ended, AgentError> {
        let mut uplink = Uplink::new(self.options.target.clone());
        let ended = loop {
            if let Some(ended) = self.main.ended() {
                break ended;
            }
            let deadline = self.main.deadline();
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(Ended::Shutdown),
                Some((key, news)) = self.holder_inbox.recv() => self.holder_news(key, news),
                Some(event) = self.inbox.recv() => self.event(event),
                happened = uplink.next() => {
                    if let Err(error) = self.uplink_news(happened, &mut uplink) {
                        break Err(error);
                    }
                }
                () = until(deadline) => self.main.deadline_reached(self.link.is_some()),
                () = until(self.refill) => self.start_holders(),
            }
        };
        self.say_what_goes_on();
        uplink.close("the agent stops").await;
        ended
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Journaled(id, written) => self.journaled(id, written),
            Event::Started(started) => self.holder_started(started),
        }
    }

    fn uplink_news(&mut self, happened: Happened, uplink: &mut Uplink) -> Result<(), AgentError> {
        match happened {
            Happened::Opened(sender) => self.introduce(sender),
            Happened::Frame(Frame::Text(text)) => self.daemon_text(&text, uplink),
            Happened::Frame(Frame::Binary(frame)) => self.daemon_binary(&frame, uplink),
            Happened::Frame(_) => {}
            Happened::Lost => self.disconnected(),
            Happened::Refused(error) => {
                self.disconnected();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Tells the daemon something, if it is there. A lane that takes nothing belongs to a link that is about to end.
    fn send(&self, message: impl Into<AgentMessage>) {
        if let Some(link) = &self.link
            && let Err(error) = send_now(link, message)
        {
            tracing::debug!(%error, "a message to the daemon was not taken");
        }
    }

    /// Takes a connection to a holder into use.
    fn attach(&mut self, socket: tokio::net::UnixStream) -> (HolderKey, Attachment) {
        let key = HolderKey(self.next_key);
        self.next_key += 1;
        (key, Attachment::new(key, socket, self.news.clone()))
    }

    fn held(&self, id: CommandId) -> Option<&Held> {
        match &self.commands.get(&id)?.phase {
            Phase::Held(held) => Some(held),
            _ => None,
        }
    }

    fn say_what_goes_on(&self) {
        let alive = |command: &&Command| matches!(&command.phase, Phase::Held(held) if held.progress.end.is_none());
        let running = self.commands.values().filter(alive).count();
        if running > 0 {
            tracing::info!(
                running,
                "the agent ends; its programs go on and wait for the next agent of this name"
            );
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
