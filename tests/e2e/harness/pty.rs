//! A program in a terminal of its own, seen through an emulator.

use std::io::{Read, Write};
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opsctl_terminal::Screen;
use pty_process::Size;
use pty_process::blocking::{Command, Pty as Master, open};
use rustix::process::{Pid, Signal, kill_process};

use super::DEADLINE;
use super::process::code_of;
use super::sandbox::{Opsctl, shown};
use super::watched::Watched;

/// Lines above the screen that a test may look at.
const SCROLLBACK: usize = 1000;

struct State {
    screen: Screen,
    raw: Vec<u8>,
    /// Whether the terminal may still show more.
    open: bool,
    ended: Option<ExitStatus>,
}

impl State {
    /// Whether this is what a person gets to see: a terminal shows nothing of a synchronized frame before its end, and
    /// what is read of one at once may end anywhere in it.
    fn is_whole(&self) -> bool {
        !self.open || !self.screen.modes().synchronized
    }
}

/// A program in a terminal. Killed when dropped.
pub struct Pty {
    name: String,
    pid: Pid,
    master: Arc<Master>,
    state: Arc<Watched<State>>,
}

impl Pty {
    #[track_caller]
    pub(super) fn spawn(opsctl: Opsctl, cols: u16, rows: u16) -> Self {
        let name = shown(&opsctl.program, &opsctl.args);
        let (master, slave) = open().unwrap();
        master.resize(Size::new(rows, cols)).unwrap();
        let child = Command::new(&opsctl.program)
            .args(&opsctl.args)
            .env_clear()
            .envs(opsctl.env)
            .current_dir(&opsctl.dir)
            .spawn(slave)
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let pid = Pid::from_child(&child);
        let state = Watched::new(State {
            screen: Screen::new(cols, rows, SCROLLBACK),
            raw: Vec::new(),
            open: true,
            ended: None,
        });
        let master = Arc::new(master);
        emulate(Arc::clone(&state), Arc::clone(&master));
        state.await_end(child, |state, status| state.ended = Some(status));
        Self {
            name,
            pid,
            master,
            state,
        }
    }

    /// Types keys, as the bytes that a terminal sends for them.
    #[track_caller]
    pub fn send(&self, keys: impl AsRef<[u8]>) {
        (&*self.master)
            .write_all(keys.as_ref())
            .unwrap_or_else(|error| self.fail(&format!("typed: {error}")));
    }

    /// Gives the terminal another size, as a person does who drags the window's corner.
    pub fn resize(&self, cols: u16, rows: u16) {
        self.state.change(|state| state.screen.resize(cols, rows));
        self.master.resize(Size::new(rows, cols)).unwrap();
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
    }

    /// The screen as text now.
    pub fn screen(&self) -> String {
        self.look(Screen::text)
    }

    /// Everything that was written to the terminal.
    pub fn raw(&self) -> Vec<u8> {
        self.state.look(|state| state.raw.clone())
    }

    /// Looks at the emulator, say for its modes or its cursor: at a whole frame, as a person would.
    pub fn look<T>(&self, look: impl FnOnce(&Screen) -> T) -> T {
        let mut look = Some(look);
        let seen = self.state.wait_within(DEADLINE, |state| {
            let look = look.take_if(|_| state.is_whole())?;
            Some(look(&state.screen))
        });
        seen.unwrap_or_else(|| panic!("{}: waited for the end of a frame", self.name))
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub fn wait_text(&self, text: &str) -> String {
        self.wait_screen(text, |screen| screen.contains(text))
    }

    /// Waits until the screen's text is as wanted; returns the text that is.
    ///
    /// # Panics
    /// After the deadline, or when the program ends without having shown it.
    #[track_caller]
    pub fn wait_screen(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        self.wait_seen(what, |screen| {
            Some(screen.text()).filter(|text| wanted(text))
        })
    }

    /// Waits until the emulator is as wanted, say in its modes.
    ///
    /// # Panics
    /// After the deadline, or when the program ends without having got there.
    #[track_caller]
    pub fn wait_look(&self, what: &str, wanted: impl Fn(&Screen) -> bool) {
        self.wait_seen(what, |screen| wanted(screen).then_some(()));
    }

    #[track_caller]
    fn wait_seen<T>(&self, what: &str, seen: impl Fn(&Screen) -> Option<T>) -> T {
        let found = self.state.wait_within(DEADLINE, |state| {
            if !state.is_whole() {
                return None;
            }
            let ended = state.ended.is_some() && !state.open;
            seen(&state.screen)
                .map(Ok)
                .or(ended.then_some(Err("it ended")))
        });
        match found.unwrap_or(Err("the deadline passed")) {
            Ok(seen) => seen,
            Err(why) => self.fail(&format!("waited for {what:?} on the screen; {why}")),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Whether the program has ended.
    pub fn has_ended(&self) -> bool {
        self.state.look(|state| state.ended.is_some())
    }

    /// Waits so long for the program's end; returns its exit code.
    pub fn wait_within(&self, deadline: Duration) -> Option<i32> {
        let ended = |state: &State| state.ended.filter(|_| !state.open);
        self.state.wait_within(deadline, ended).map(code_of)
    }

    /// Waits for the program's end; returns its exit code, 128+n for a signal.
    #[track_caller]
    pub fn wait(&self) -> i32 {
        match self.wait_within(DEADLINE) {
            Some(code) => code,
            None => self.fail("waited for its end"),
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let screen = self.state.look(|state| state.screen.text());
        panic!("{}: {what}\n--- screen\n{screen}\n---", self.name);
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if self.state.look(|state| state.ended.is_none()) {
            self.signal(Signal::KILL);
        }
    }
}

/// Feeds the emulator with what the program writes, and answers the program's questions as a terminal does.
fn emulate(state: Arc<Watched<State>>, master: Arc<Master>) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            // EIO, once nobody has the terminal open any more.
            let read = (&*master).read(&mut buffer).unwrap_or(0);
            let replies = state.change(|state| {
                state.screen.feed(&buffer[..read]);
                state.raw.extend_from_slice(&buffer[..read]);
                state.open = read > 0;
                state.screen.take_replies()
            });
            if read == 0 {
                return;
            }
            let _ = (&*master).write_all(&replies);
        }
    });
}
