//! What runs in the panes: this program itself, under another name.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

/// How the program is asked to be one of these.
const PAINT: &str = "paint";
/// See above.
const FLOOD: &str = "flood";
/// See above.
const FILL: &str = "fill";

/// Bytes of a flood that are written at once, under one time.
const PIECE: usize = 16 * 1024;

/// A program that runs in a pane.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// Prints so many coloured lines each period, by a timetable.
    Paint {
        /// Lines of each time.
        lines: u32,
        /// From one time to the next.
        period: Duration,
    },
    /// Prints lines as fast as they are taken; each tells the time and how many bytes came before it.
    Flood,
    /// Prints so many lines of 200 columns, then waits.
    Fill(usize),
}

impl Program {
    /// The program that this process was asked to be, if any.
    pub fn asked() -> Option<Result<Self>> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            [PAINT, lines, period] => Some(Self::paint(lines, period)),
            [FLOOD] => Some(Ok(Self::Flood)),
            [FILL, lines] => Some(lines.parse().map(Self::Fill).context("a number of lines")),
            _ => None,
        }
    }

    fn paint(lines: &str, period: &str) -> Result<Self> {
        Ok(Self::Paint {
            lines: lines.parse()?,
            period: Duration::from_millis(period.parse()?),
        })
    }

    /// The line for /bin/sh that becomes it.
    pub fn line(self) -> Result<String> {
        let own = std::env::current_exe()?;
        let own = own.into_os_string().into_string().ok();
        let own = own.context("a path that is UTF-8")?;
        Ok(match self {
            Self::Paint { lines, period } => {
                format!("exec '{own}' {PAINT} {lines} {}", period.as_millis())
            }
            Self::Flood => format!("exec '{own}' {FLOOD}"),
            Self::Fill(lines) => format!("exec '{own}' {FILL} {lines}"),
        })
    }

    /// Is it, until its terminal is gone.
    pub fn run(self) -> Result<()> {
        let mut out = io::stdout().lock();
        match self {
            Self::Paint { lines, period } => {
                let start = Instant::now();
                for round in 0_u32.. {
                    let text = (0..lines).map(|line| coloured((round * lines + line) as usize));
                    out.write_all(text.collect::<String>().as_bytes())?;
                    out.flush()?;
                    thread::sleep((period * (round + 1)).saturating_sub(start.elapsed()));
                }
            }
            Self::Flood => {
                let (mut written, mut number) = (0, 0);
                loop {
                    let mut piece = String::with_capacity(PIECE + 256);
                    let now = nanos();
                    while piece.len() < PIECE {
                        let at = written + piece.len();
                        let text = coloured(number);
                        // Writing to a String can't fail.
                        let _ = write!(piece, "@{at} T{now} {text}");
                        number += 1;
                    }
                    out.write_all(piece.as_bytes())?;
                    written += piece.len();
                }
            }
            Self::Fill(lines) => {
                for number in 0..lines {
                    out.write_all(wide(number).as_bytes())?;
                }
                out.write_all(b"FILLED")?;
                out.flush()?;
                thread::sleep(Duration::from_hours(1));
            }
        }
        Ok(())
    }
}

/// Nanoseconds that processes of one machine agree about.
pub fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// A line of a build's log, with colours. In capitals, so that a key that is typed is told from it.
pub fn coloured(number: usize) -> String {
    format!(
        "\x1b[1;32m   COMPILING\x1b[0m CRATE-{number} V0.{}.{} (\x1b[36m/SRC/CRATE-{number}\x1b[0m) \x1b[33mWARNING\x1b[0m: \
         UNUSED VARIABLE X{} IN A LINE AS LONG AS THEY ARE\r\n",
        number % 10,
        number % 7,
        number % 100,
    )
}

/// A line without any look.
pub fn plain(number: usize) -> String {
    format!(
        "{number:>10} A LINE OF A LOG WITHOUT COLOURS, AS MOST PROGRAMS WRITE WHEN NOBODY LOOKS AT THEM\r\n"
    )
}

/// A line of 200 columns, with a colour that changes ten times.
pub fn wide(number: usize) -> String {
    const WORDS: &str = "WARNING UNUSED VARIABLE IN A LONG LINE OF TEXT THAT GOES ON AND ON AND NEVER SEEMS TO END ";
    let mut line = String::with_capacity(300);
    for part in 0..10 {
        let start = (number * 7 + part * 13) % (WORDS.len() - 20);
        let words = &WORDS[start..start + 20];
        // Writing to a String can't fail.
        let _ = write!(line, "\x1b[3{}m{words}", part % 8);
    }
    line.push_str("\x1b[m\r\n");
    line
}
