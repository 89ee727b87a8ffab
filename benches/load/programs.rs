//! What agents run: this program itself, under another name.

use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::wire::record::{Clock, Record};

/// How the program is asked to be one of these.
pub const EMIT: &str = "emit";
/// See above.
pub const FLOOD: &str = "flood";

/// Bytes written at once in a flood.
const PIECE: usize = 64 * 1024;

/// A program that an agent runs.
#[derive(Clone, Copy, Debug)]
pub enum Program {
    /// Prints records by a timetable.
    Emit {
        /// Who it says it is.
        source: usize,
        /// Records a second.
        rate: f64,
        /// How many.
        count: u64,
    },
    /// Prints lines as fast as they are taken.
    Flood {
        /// How much.
        bytes: usize,
    },
}

impl Program {
    /// The program that this process was asked to be, if any.
    pub fn asked() -> Option<Result<Self>> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            [EMIT, source, rate, count] => Some(Self::emit(source, rate, count)),
            [FLOOD, bytes] => {
                let bytes = bytes.parse().context("a number of bytes");
                Some(bytes.map(|bytes| Self::Flood { bytes }))
            }
            _ => None,
        }
    }

    fn emit(source: &str, rate: &str, count: &str) -> Result<Self> {
        Ok(Self::Emit {
            source: source.parse()?,
            rate: rate.parse()?,
            count: count.parse()?,
        })
    }

    /// The words that start it.
    pub fn argv(self) -> Result<Vec<String>> {
        let own = std::env::current_exe()?;
        let own = own.into_os_string().into_string().ok();
        let mut argv = vec![own.context("a path that is UTF-8")?];
        match self {
            Self::Emit {
                source,
                rate,
                count,
            } => argv.extend([
                EMIT.to_owned(),
                source.to_string(),
                rate.to_string(),
                count.to_string(),
            ]),
            Self::Flood { bytes } => argv.extend([FLOOD.to_owned(), bytes.to_string()]),
        }
        Ok(argv)
    }

    /// Does what it is for.
    pub fn run(self) -> Result<()> {
        let mut out = io::stdout().lock();
        match self {
            Self::Emit {
                source,
                rate,
                count,
            } => {
                let (clock, start) = (Clock::new(), Instant::now());
                for number in 0..count {
                    let due = start + Duration::from_secs_f64(number as f64 / rate);
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let record = Record {
                        source,
                        number,
                        due: clock.at(due),
                    };
                    out.write_all(&record.write())?;
                }
            }
            Self::Flood { bytes } => {
                let lines = b"All work and no play makes Jack a dull boy, line after line.\n";
                let piece: Vec<u8> = lines.iter().copied().cycle().take(PIECE).collect();
                let mut left = bytes;
                while left > 0 {
                    let next = &piece[..left.min(PIECE)];
                    out.write_all(next)?;
                    left -= next.len();
                }
            }
        }
        Ok(out.flush()?)
    }
}
