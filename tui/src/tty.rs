//! The real terminal: taken for the console, and left as it was found, whatever happens.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{SetCursorStyle, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

/// A frame is written at once; 200 by 60 cells of changing colours take about this many bytes.
const FRAME_BYTES: usize = 256 * 1024;

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

    /// Stops the program until the shell continues it.
    ///
    /// # Errors
    /// When the terminal can't be written to.
    fn suspend(&mut self) -> io::Result<()>;

    /// Columns and rows.
    fn size(&self) -> (u16, u16);
}

/// The terminal that the program was started on.
pub struct Tty {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    cursor: Option<SetCursorStyle>,
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
        let writer = BufWriter::with_capacity(FRAME_BYTES, stdout());
        let terminal = Terminal::new(CrosstermBackend::new(writer)).inspect_err(|_| give_back())?;
        Ok(Self {
            terminal,
            cursor: None,
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
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        if self.cursor.replace(cursor) != Some(cursor) {
            queue!(self.terminal.backend_mut(), cursor)?;
        }
        self.terminal.draw(|frame| render(frame))?;
        queue!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        Write::flush(self.terminal.backend_mut())
    }

    fn clear(&mut self) -> io::Result<()> {
        // Another program may have changed anything in the meantime.
        TAKEN.store(false, Ordering::SeqCst);
        enter()?;
        self.cursor = None;
        self.terminal.clear()
    }

    fn suspend(&mut self) -> io::Result<()> {
        give_back();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
        // Here the shell has continued this program.
        self.clear()
    }

    fn size(&self) -> (u16, u16) {
        crossterm::terminal::size().unwrap_or((80, 24))
    }
}

fn enter() -> io::Result<()> {
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)
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
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}
