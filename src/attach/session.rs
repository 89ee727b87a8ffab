//! The loop between this terminal and a remote one. Keys go out at once, whatever waits for the screen: the screen has a
//! thread of its own and a short queue, and when it is slow the daemon skips to the screen as it is.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use opsctl_client::{Client, ConnState, Event, Events, Lately, Lost, Typist};
use opsctl_protocol::limits::MAX_INPUT_PIECE;
use opsctl_protocol::message::{
    CommandInput, CommandInterrupt, CommandResize, CommandStatus, ErrorCode, Payload, Signal,
    Subscribe, ToDashboard,
};
use opsctl_protocol::{Channel, CommandId, Pattern};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::escape::{Escapes, HELP, Keys};
use super::modes::Modes;
use super::raw::Raw;
use super::replay::Replay;
use super::words;
use crate::ask::beside;
use crate::exit_code::{self, ExitCode, Failure};
use crate::input::read_stdin;
use crate::output::printer::{Piece, Printer, To};

/// Pieces that may wait for the screen. Few: what waits here is what a key's echo is behind.
const WAITING_PIECES: usize = 2;

/// A fresh screen with the cursor in its corner.
const CLEAR: &str = "\x1b[0m\x1b[r\x1b[H\x1b[2J";

/// How long the daemon may take to answer an interrupt when this process ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long is waited at the end for word of keys that are under way.
const LAST_RECEIPTS: Duration = Duration::from_millis(200);

/// At most one bell in this time: who holds a key down is told once.
const BELLS_APART: Duration = Duration::from_secs(1);

/// Ctrl-C, which leaves where no key goes anywhere.
const CTRL_C: u8 = 3;

/// What is looked at, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// The command whose terminal it is.
    pub(super) command: CommandId,
    /// No key goes there.
    pub(super) read_only: bool,
    /// The command was started just now, for this terminal: it is interrupted when this process is told to end.
    pub(super) owned: bool,
    /// Output before this offset is of the past.
    pub(super) past: u64,
}

/// Why the session ends.
#[derive(Debug)]
enum End {
    /// The command has ended.
    Ended(Box<CommandStatus>),
    /// A person left.
    Left,
    /// A signal to this process.
    Signal(u8),
    /// The screen is gone.
    ScreenGone,
    /// There is no connection and won't be one.
    Failed(Failure),
}

/// This terminal attached to a remote one.
pub(super) struct Session {
    client: Client,
    view: View,
    /// Output on its way to the printer.
    out: VecDeque<Piece>,
    modes: Modes,
    replay: Replay,
    escapes: Escapes,
    /// The next output is to stand on a fresh screen.
    clear: bool,
    /// Both ends of this process are terminals.
    interactive: bool,
    /// The connection was lost and that was said.
    lost: bool,
    /// The offset after the last byte of output that came.
    seen: u64,
    /// Sends keys, and knows which of them were lost.
    typist: Typist,
    /// The size last told.
    told_size: Option<(u16, u16)>,
    /// What is to be said of keys again once the screen has been drawn anew.
    unsent: Lately,
    /// The screen is being drawn anew: what there was before has not all come.
    redrawing: bool,
    /// When the bell rang last.
    rang: Option<Instant>,
}

impl Session {
    pub(super) fn new(client: Client, view: View) -> Self {
        let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        Self {
            typist: Typist::new(client.clone()),
            client,
            view,
            out: VecDeque::new(),
            modes: Modes::default(),
            replay: Replay::until(view.past),
            escapes: Escapes::new(),
            clear: interactive && !view.owned,
            interactive,
            lost: false,
            seen: 0,
            told_size: None,
            unsent: Lately::default(),
            redrawing: false,
            rang: None,
        }
    }

    /// Attaches until the command ends or somebody leaves; returns the exit code.
    pub(super) async fn run(mut self, mut events: Events) -> Result<u8> {
        let raw = if self.interactive {
            Raw::enter()?
        } else {
            None
        };
        let printer = Printer::new(WAITING_PIECES);
        let end = self.attached(&mut events, &printer).await;
        // What was drawn last goes with the terminal; what is said of keys stands below it.
        let untold = beside(&mut events, self.typist.rest(LAST_RECEIPTS)).await;
        if matches!(end, End::Left | End::Signal(_)) {
            printer.discard();
        }
        // A screen that takes nothing any more must not hold a person who wants to leave.
        let finishing = tokio::time::timeout(Duration::from_secs(1), printer.finish());
        let _ = finishing.await;
        if let Some(raw) = raw {
            raw.leave(&self.modes.leave());
        }
        for line in untold {
            eprintln!("[{line}]");
        }
        let code = self.tell(end)?;
        self.client.close().await;
        Ok(code)
    }

    async fn attached(&mut self, events: &mut Events, printer: &Printer) -> End {
        let signals = (|| {
            let resized = signal(SignalKind::window_change())?;
            let term = signal(SignalKind::terminate())?;
            Ok::<_, std::io::Error>((resized, term, signal(SignalKind::hangup())?))
        })();
        let Ok((mut resized, mut term, mut hup)) = signals else {
            return End::Failed(Failure::new(ExitCode::General, "cannot listen for signals"));
        };
        let mut keys = if self.reads_keys() {
            Some(read_stdin())
        } else {
            None
        };
        let (refused, mut refusals) = mpsc::channel(1);
        self.subscribe(refused);
        self.tell_size();
        loop {
            tokio::select! {
                biased;
                _ = term.recv() => {
                    self.interrupt_own().await;
                    return End::Signal(15);
                }
                _ = hup.recv() => return End::Signal(1),
                _ = resized.recv() => self.tell_size(),
                typed = next_keys(&mut keys) => match typed {
                    Some(typed) => if let Some(end) = self.typed(&typed).await {
                        return end;
                    },
                    None => keys = None,
                },
                handed = printer.print_first(&mut self.out), if !self.out.is_empty() => {
                    if handed.is_err() {
                        return End::ScreenGone;
                    }
                }
                Some(failure) = refusals.recv() => return End::Failed(failure),
                lost = self.typist.lost() => self.tell_lost(lost),
                event = events.next(), if self.out.is_empty() => match event {
                    Some(event) => if let Some(end) = self.event(event) {
                        self.last_receipts().await;
                        if !self.drain(printer).await {
                            return End::ScreenGone;
                        }
                        return end;
                    },
                    None => return End::Failed(Failure::new(ExitCode::Unreachable, "the connection was closed")),
                },
            }
        }
    }

    /// Keys are read to be sent, or to leave with.
    fn reads_keys(&self) -> bool {
        self.interactive || !self.view.read_only
    }

    /// Hands what waits to the printer. `false` when the screen is gone.
    async fn drain(&mut self, printer: &Printer) -> bool {
        while !self.out.is_empty() {
            if printer.print_first(&mut self.out).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Asks for the screen and what comes after it. Beside the events, which the answer may be behind. A terminal is drawn
    /// anew with each connection, since notices stand in its picture; elsewhere output goes on where it stood.
    fn subscribe(&self, refused: mpsc::Sender<Failure>) {
        let command = self.view.command;
        let interactive = self.interactive;
        let client = self.client.clone();
        tokio::spawn(async move {
            let subscribed = if interactive {
                client.screen(command).await
            } else {
                let subscribe = Subscribe {
                    channel: Pattern::exactly(&Channel::Command(command)),
                    since: None,
                    lossless: false,
                    no_output: false,
                };
                client.subscribe(subscribe).await
            };
            if let Err(opsctl_client::RequestError::Refused(error)) = subscribed {
                let failure = Failure::new(ExitCode::of_refusal(error.code), error.message);
                // A session that has ended needs no reason to.
                let _ = refused.send(failure).await;
            }
        });
    }

    /// How large this terminal is, where it has a say.
    fn size(&self) -> Option<(u16, u16)> {
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
        let has_say = !self.view.read_only && self.interactive;
        (has_say && size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
    }

    /// Says how large this terminal is, which makes it the remote one's size.
    fn tell_size(&mut self) {
        if let Some((cols, rows)) = self.size() {
            self.told_size = Some((cols, rows));
            // Without a connection it is said when there is one again.
            let _ = self.client.post(CommandResize {
                command_id: self.view.command,
                cols,
                rows,
            });
        }
    }

    async fn typed(&mut self, typed: &[u8]) -> Option<End> {
        if !self.interactive {
            self.send(Bytes::copy_from_slice(typed)).await;
            return None;
        }
        // The signal for a new size may come behind the first key that was typed at it.
        if self.size() != self.told_size {
            self.tell_size();
        }
        for keys in self.escapes.feed(typed) {
            match keys {
                Keys::Leave => return Some(End::Left),
                Keys::Help => self.put(Bytes::from_static(HELP.as_bytes())),
                Keys::Send(bytes) if self.view.read_only => {
                    if bytes.contains(&CTRL_C) {
                        return Some(End::Left);
                    }
                }
                Keys::Send(bytes) => self.send(bytes).await,
            }
        }
        None
    }

    /// Sends keys. Those that do not arrive are named, so that a person can type them again: on their own they must not
    /// come later, where they might mean something else.
    async fn send(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(MAX_INPUT_PIECE));
            let input = CommandInput {
                command_id: self.view.command,
                data: Payload(piece),
                offset: None,
                eof: false,
            };
            self.typist.send(input).await;
        }
    }

    /// Says what became of keys that did not surely arrive.
    fn tell_lost(&mut self, lost: Vec<Lost>) {
        for lost in lost {
            self.ring();
            let words = lost.to_string();
            self.out.push_back(words::notice(&words, self.interactive));
            self.unsent.note(lost, Instant::now());
        }
    }

    /// Says of all keys what became of them; the daemon has said it before the end, but it may not have been heard.
    async fn last_receipts(&mut self) {
        let lost = self.typist.rest(LAST_RECEIPTS).await;
        self.tell_lost(lost);
    }

    /// Interrupts the command that was started for this terminal; a daemon that does not answer is not waited for.
    async fn interrupt_own(&self) {
        if !self.view.owned {
            return;
        }
        let interrupt = CommandInterrupt {
            command_id: Some(self.view.command),
            agent_id: None,
            signal: Signal::Int,
            escalate: true,
        };
        let _ = tokio::time::timeout(FAREWELL, self.client.request(interrupt)).await;
    }

    fn event(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Output(frame) if frame.command_id == self.view.command => {
                self.seen = frame.end();
                let data = self.replay.pass(frame.offset, frame.data);
                self.show(data);
                if self.replay.is_over(self.seen) {
                    self.is_drawn();
                }
            }
            Event::Message(decoded) => return self.message(decoded.message),
            Event::Connected(_) => {
                if std::mem::take(&mut self.lost) && self.interactive {
                    // What comes now begins with the screen; what was shown before is of the past.
                    self.clear = true;
                    self.replay = Replay::until(self.seen);
                }
                self.tell_size();
            }
            Event::State(ConnState::Waiting { reason, .. }) if !self.lost => {
                self.lost = true;
                let leaves = if self.interactive {
                    "; Ctrl-] leaves"
                } else {
                    ""
                };
                let words = format!(
                    "the connection to the daemon was lost ({reason}); reconnecting{leaves}"
                );
                self.out.push_back(words::notice(&words, self.interactive));
            }
            Event::State(ConnState::Refused { code, message }) => {
                let code = code.map_or(ExitCode::NotAllowed, ExitCode::of_refusal);
                return Some(End::Failed(Failure::new(code, message)));
            }
            Event::Dropped { error, .. } => {
                let failure = Failure::new(ExitCode::of_refusal(error.code), error.message);
                return Some(End::Failed(failure));
            }
            Event::Output(_) | Event::State(_) | Event::Transport(_) => {}
        }
        None
    }

    fn message(&mut self, message: ToDashboard) -> Option<End> {
        match message {
            ToDashboard::Snapshot(snapshot) if snapshot.command_id == self.view.command => {
                self.clear = self.interactive;
                self.show(snapshot.data.0);
                self.is_drawn();
            }
            ToDashboard::Status(status)
                if status.command_id == self.view.command && status.state.is_final() =>
            {
                return Some(End::Ended(Box::new(status)));
            }
            ToDashboard::Error(error) => match error.code {
                // The key was not taken; a bell says so as a terminal would.
                ErrorCode::InputRejected | ErrorCode::AgentOffline => {
                    self.ring();
                }
                ErrorCode::Forbidden => {
                    return Some(End::Failed(Failure::new(
                        ExitCode::NotAllowed,
                        error.message,
                    )));
                }
                _ => {}
            },
            _ => {}
        }
        None
    }

    fn show(&mut self, data: Bytes) {
        if std::mem::take(&mut self.clear) {
            self.put(Bytes::from(format!("{}{CLEAR}", self.modes.reset())));
            self.redrawing = true;
        }
        if !data.is_empty() {
            self.put(data);
        }
    }

    /// The screen is as it was. What was said of keys is no longer on it; so again, in a corner.
    fn is_drawn(&mut self) {
        let lines = self.unsent.lines(Instant::now());
        if std::mem::take(&mut self.redrawing) && !lines.is_empty() {
            let words = words::in_corner(lines);
            self.put(words);
        }
    }

    /// A bell, where somebody hears it.
    fn ring(&mut self) {
        let now = Instant::now();
        let rests = self.rang.is_none_or(|rang| now >= rang + BELLS_APART);
        if self.interactive && rests {
            self.rang = Some(now);
            self.put(Bytes::from_static(b"\x07"));
        }
    }

    fn put(&mut self, data: Bytes) {
        self.modes.watch(&data);
        self.out.push_back((To::Stdout, data));
    }

    /// Says how it ended; returns the exit code.
    fn tell(&self, end: End) -> Result<u8> {
        let id = self.view.command.short();
        match end {
            End::Ended(status) => {
                eprintln!("[{}]", words::verdict(&status));
                Ok(exit_code::of_status(&status))
            }
            End::Left => {
                eprintln!("[left; the program goes on: opsctl attach {id}]");
                Ok(ExitCode::Ok.into())
            }
            End::ScreenGone => Ok(ExitCode::Ok.into()),
            End::Signal(number) => Ok(128 + number),
            End::Failed(failure) => Err(failure.into()),
        }
    }
}

/// The next keys, while there can be any.
async fn next_keys(keys: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match keys {
        Some(keys) => keys.recv().await,
        None => std::future::pending().await,
    }
}
