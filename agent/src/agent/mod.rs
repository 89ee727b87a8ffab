//! The one owner of an agent's state. Events come in from the daemon, from holders, from the journal and from the clock;
//! nothing here waits.
//!
//! - [`recover`]: what an earlier agent left.
//! - [`daemon`]: what the daemon says.
//! - [`commands`]: from `command:execute` to a holder with its job, and what holders say.
//! - [`reports`]: what programs tell of themselves.
//! - [`main_program`]: the agent's main terminal.

mod commands;
mod daemon;
mod main_program;
mod recover;
mod reports;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use opsctl_link::{Frame, Sender};
use opsctl_protocol::message::AgentMessage;
use opsctl_protocol::{CommandId, Header};
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

/// How long an agent that stops waits for the daemon to take the ends that it was told, so that the next agent need not
/// tell them again.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Events that may wait; their senders wait when there are more.
const EVENTS: usize = 1024;

/// What comes from this agent's own parts.
enum Event {
    /// A start is on disk, or couldn't be written.
    Journaled(CommandId, io::Result<()>),
    /// A holder was started, or couldn't be.
    Started(io::Result<Fresh>),
    /// An heir was started in this directory, or couldn't be.
    Heir(PathBuf, io::Result<Fresh>),
    /// The holder in this directory is to be looked for again.
    Seek(PathBuf),
}

/// A connected holder that hasn't said yet what it has.
struct Silent {
    holder: Attachment,
    /// Its directory.
    dir: PathBuf,
}

/// A running agent.
pub(crate) struct Agent {
    options: AgentOptions,
    /// Keeps other agents of this name out.
    _state_dir: StateDir,
    /// Where output waits for the daemon.
    spool: PathBuf,
    journal: Journal,
    launcher: Launcher,
    pool: Pool<Fresh>,
    queue: Queue,
    /// Every command that isn't settled.
    commands: BTreeMap<CommandId, Command>,
    /// Which command each connected holder has.
    holders: BTreeMap<HolderKey, CommandId>,
    /// Holders that this agent gave no job to, and that haven't said yet what they have.
    silent: BTreeMap<HolderKey, Silent>,
    /// Holders' directories of which it isn't known yet what is in them.
    sought: BTreeSet<PathBuf>,
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
    /// Nothing is started any more.
    stopping: bool,
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
            spool: state_dir.spool(),
            queue: Queue::new(options.max_commands),
            options,
            _state_dir: state_dir,
            journal,
            launcher,
            pool: Pool::default(),
            commands: BTreeMap::new(),
            holders: BTreeMap::new(),
            silent: BTreeMap::new(),
            sought: BTreeSet::new(),
            refill: None,
            next_key: 0,
            generation: 0,
            link: None,
            greeting: None,
            reported: Vec::new(),
            stopping: false,
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
        if matches!(ended, Ok(Ended::Shutdown)) {
            self.last_words(&mut uplink).await;
        }
        self.say_what_goes_on();
        for fresh in self.pool.drain() {
            // It has no job and ends with its connection.
            let _ = std::fs::remove_dir_all(&fresh.dir);
        }
        uplink.close("the agent stops").await;
        ended
    }

    /// Waits, for a while, until the daemon has all of the commands that have ended.
    async fn last_words(&mut self, uplink: &mut Uplink) {
        self.stopping = true;
        let deadline = Instant::now() + LAST_WORDS;
        while self.link.is_some() && self.commands.values().any(Command::has_ended) {
            tokio::select! {
                biased;
                Some((key, news)) = self.holder_inbox.recv() => self.holder_news(key, news),
                Some(event) = self.inbox.recv() => self.event(event),
                happened = uplink.next() => {
                    if self.uplink_news(happened, uplink).is_err() {
                        return;
                    }
                }
                () = sleep_until(deadline) => return,
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Journaled(id, written) => self.journaled(id, written),
            Event::Started(started) => self.holder_started(started),
            Event::Heir(dir, started) => self.heir_started(dir, started),
            Event::Seek(dir) => self.seek(dir),
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
        self.answer(None, message);
    }

    /// The same as the answer to a message with this `id`.
    fn answer(&self, re: Option<String>, message: impl Into<AgentMessage>) {
        if let Some(link) = &self.link
            && let Err(error) = send_now(link, &Header::answering(re), message)
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
