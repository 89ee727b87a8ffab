//! The real terminal: taken for the console, and left as it was found, whatever happens.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write, stdout};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{SetCursorStyle, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange,
};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use rustix::process::{Pid, Signal, getpid, getppid, kill_current_process_group};

use crate::canvas::{Canvas, Frame};

/// Presses, releases, the wheel, and movement with a button down, in the form without a limit on columns.
/// Not every movement (1003), which would wake the console for nothing.
const MOUSE: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";

/// Kitty's flags while no program is attached: keys that can be told from each other
/// (<https://sw.kovidgoyal.net/kitty/keyboard-protocol/>).
pub const KEYBOARD: u8 = 1;

/// Pushes those flags. Terminals without the protocol ignore this, and a question whether they have it would keep the
/// first frame waiting for an answer that some never give.
const KEYBOARD_ON: &str = "\x1b[>1u";

/// Takes them off again; the stack belongs to the alternate screen, so that this comes before it is left.
const KEYBOARD_OFF: &str = "\x1b[<1u";

/// Whether the terminal is ours now, so that it is given back once and only when taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// What the console draws on.
pub trait Stage {
    /// Draws a frame and shows it whole. `cursor` is the form that the cursor has in it.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    fn draw(
        &mut self,
        cursor: SetCursorStyle,
        render: &mut dyn FnMut(&mut Frame<'_>),
    ) -> io::Result<()>;

    /// Forgets what was drawn, so that the next frame draws everything.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    fn clear(&mut self) -> io::Result<()>;

    /// Stops the program until the shell continues it. False where there is no shell that could.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    fn suspend(&mut self) -> io::Result<bool>;

    /// Sets kitty's flags for what is typed from now on.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    fn keyboard(&mut self, flags: u8) -> io::Result<()>;

    /// Puts a text into the clipboard by the terminal (OSC 52).
    ///
    /// # Errors
    /// When the terminal can't be written to.
    fn copy(&mut self, text: &str) -> io::Result<()>;

    /// Sends bytes that call the person, and draw nothing.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    fn alert(&mut self, bytes: &str) -> io::Result<()>;

    /// Takes the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    fn mouse(&mut self, ours: bool) -> io::Result<()>;

    /// Leaves the terminal to another program until the next [`Stage::clear`].
    fn give_back(&mut self);

    /// Columns and rows.
    fn size(&self) -> (u16, u16);
}

/// The terminal that the program was started on.
pub struct Tty {
    canvas: Canvas<CrosstermBackend<FrameBytes>>,
    /// The same as the canvas's.
    bytes: FrameBytes,
    /// The cursor's form as last set.
    cursor: Option<SetCursorStyle>,
    /// Whether the mouse is ours.
    mouse: bool,
    /// Kitty's flags as last set.
    keyboard: u8,
}

/// Collects a frame, which is then written at once. What a panic leaves in it is never written: it
/// would come after the terminal was given back.
#[derive(Clone, Default)]
struct FrameBytes(Rc<RefCell<Vec<u8>>>);

impl Write for FrameBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FrameBytes {
    /// Writes what was collected to the terminal.
    fn send(&self) -> io::Result<()> {
        let mut bytes = self.0.borrow_mut();
        let result = stdout().write_all(&bytes).and_then(|()| stdout().flush());
        bytes.clear();
        result
    }
}

impl Tty {
    /// Takes the terminal: raw mode, alternate screen, bracketed paste. It is given back when this is
    /// dropped, and on a panic before its message is printed.
    ///
    /// # Errors
    /// When there is no terminal, or it can't be set up.
    pub fn take() -> io::Result<Self> {
        if !stdout().is_terminal() || !io::stdin().is_terminal() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the console needs a terminal",
            ));
        }
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            previous(info);
        }));
        enter()?;
        let bytes = FrameBytes::default();
        Ok(Self {
            canvas: Canvas::new(CrosstermBackend::new(bytes.clone()), size()),
            bytes,
            cursor: None,
            mouse: false,
            keyboard: KEYBOARD,
        })
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        give_back();
    }
}

impl Stage for Tty {
    fn draw(
        &mut self,
        cursor: SetCursorStyle,
        render: &mut dyn FnMut(&mut Frame<'_>),
    ) -> io::Result<()> {
        queue!(self.canvas.backend_mut(), BeginSynchronizedUpdate)?;
        if self.cursor.replace(cursor) != Some(cursor) {
            queue!(self.canvas.backend_mut(), cursor)?;
        }
        self.canvas.resize(size())?;
        self.canvas.draw(|frame| render(frame))?;
        queue!(self.canvas.backend_mut(), EndSynchronizedUpdate)?;
        self.bytes.send()
    }

    fn clear(&mut self) -> io::Result<()> {
        // Another program may have changed anything in the meantime.
        TAKEN.store(false, Ordering::SeqCst);
        enter()?;
        self.mouse(self.mouse)?;
        self.cursor = None;
        self.keyboard = KEYBOARD;
        // A new one compares with a blank screen.
        self.canvas = Canvas::new(CrosstermBackend::new(self.bytes.clone()), size());
        queue!(self.canvas.backend_mut(), Clear(ClearType::All))?;
        self.bytes.send()
    }

    fn suspend(&mut self) -> io::Result<bool> {
        if !has_shell() {
            return Ok(false);
        }
        give_back();
        // The whole group, so that the shell also gets the terminal back from what it started us by. Not SIGTSTP,
        // which this program catches.
        kill_current_process_group(Signal::STOP)?;
        // Here the shell has continued this program.
        self.clear()?;
        Ok(true)
    }

    fn keyboard(&mut self, flags: u8) -> io::Result<()> {
        if std::mem::replace(&mut self.keyboard, flags) == flags {
            return Ok(());
        }
        write!(stdout(), "\x1b[={flags};1u")?;
        stdout().flush()
    }

    fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(stdout(), CopyToClipboard::to_clipboard_from(text))
    }

    fn alert(&mut self, bytes: &str) -> io::Result<()> {
        stdout().write_all(bytes.as_bytes())?;
        stdout().flush()
    }

    fn mouse(&mut self, ours: bool) -> io::Result<()> {
        self.mouse = ours;
        if ours {
            write!(stdout(), "{MOUSE}")?;
            stdout().flush()
        } else {
            execute!(stdout(), DisableMouseCapture)
        }
    }

    fn give_back(&mut self) {
        give_back();
    }

    fn size(&self) -> (u16, u16) {
        size()
    }
}

/// Columns and rows of the terminal.
fn size() -> (u16, u16) {
    let told = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let told = told.map(|size| (size.ws_col, size.ws_row));
    told.filter(|(cols, rows)| *cols > 0 && *rows > 0)
        .or_else(|| crossterm::terminal::size().ok())
        .unwrap_or((80, 24))
}

/// Whether somebody in this session could continue this program when it stops. There is nobody where it is all that runs
/// in its terminal.
fn has_shell() -> bool {
    let session =
        |pid: Pid| session_in(&std::fs::read(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?);
    let parent = getppid().and_then(session);
    parent.is_some() && parent == session(getpid())
}

/// The session in a `/proc/PID/stat` (proc(5)), behind the name, which may hold anything. It is not asked for by getsid(2):
/// where the session began outside of this container it is 0, which [`Pid`] cannot hold.
fn session_in(stat: &[u8]) -> Option<i32> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let words = std::str::from_utf8(&stat[name_end + 1..]).ok()?;
    words.split_ascii_whitespace().nth(3)?.parse().ok()
}

fn enter() -> io::Result<()> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    enable_raw_mode()?;
    execute!(
        stdout(),
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableFocusChange,
        Print(KEYBOARD_ON)
    )
}

/// Leaves everything that the console or a program shown in it may have switched on. Errors have
/// nobody to be told to: the terminal is gone, or as it was.
fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(
        stdout(),
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        SetCursorStyle::DefaultUserShape,
        Print(KEYBOARD_OFF),
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}
