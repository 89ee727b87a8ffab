//! What is sent: 256 bytes of text that say who sent them, which of the sender's they are, and when they were due.

use std::io::Write as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Bytes in a record, its newline included.
pub const BYTES: usize = 256;

/// How a record begins. Neither JSON nor any protocol here writes this of its own.
const MARK: &[u8] = b"@@";

const SOURCE_DIGITS: usize = 2;
const NUMBER_DIGITS: usize = 10;
const TIME_DIGITS: usize = 19;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who sent it, below 100.
    pub source: usize,
    /// Which of the sender's records, from 0.
    pub number: u64,
    /// When it was due, by [`Clock::nanos`].
    pub due: u64,
}

impl Record {
    /// Writes it as a line.
    pub fn write(self) -> [u8; BYTES] {
        let mut bytes = [b'x'; BYTES];
        let mut rest = &mut bytes[..];
        let Self {
            source,
            number,
            due,
        } = self;
        // It fits: the digits are fewer than the bytes.
        let _ = write!(rest, "@@{source:02}{number:010}{due:019}");
        bytes[BYTES - 1] = b'\n';
        bytes
    }

    /// Reads the record that begins at `at`.
    pub fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let digits = bytes.get(at..)?.strip_prefix(MARK)?;
        let (source, digits) = digits.split_at_checked(SOURCE_DIGITS)?;
        let (number, digits) = digits.split_at_checked(NUMBER_DIGITS)?;
        let due = digits.get(..TIME_DIGITS)?;
        Some(Self {
            source: decimal(source)? as usize,
            number: decimal(number)?,
            due: decimal(due)?,
        })
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}

/// Finds records in messages. What stands before the first hardly changes its length from one message to the next, so
/// the place where the last one was is looked at first.
#[derive(Debug, Default)]
pub struct Finder {
    last: usize,
}

impl Finder {
    /// Calls `found` with each record in a message; false when there is none.
    pub fn each(&mut self, message: &[u8], mut found: impl FnMut(Record)) -> bool {
        let mut at = match Record::read(message, self.last) {
            Some(_) => self.last,
            None => match position(message, 0) {
                Some(at) => at,
                None => return false,
            },
        };
        self.last = at;
        while let Some(record) = Record::read(message, at) {
            found(record);
            match position(message, at + BYTES) {
                Some(next) => at = next,
                None => break,
            }
        }
        true
    }
}

fn position(message: &[u8], from: usize) -> Option<usize> {
    let rest = message.get(from..)?;
    let at = rest.windows(MARK.len()).position(|two| two == MARK)?;
    Some(from + at)
}

/// Time in nanoseconds since the epoch that never goes back, and the same in every process of this host but for what the
/// system's clock is set by meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The moment that both clocks were read at.
    start: Instant,
    /// What the system's clock said then.
    nanos: u64,
}

impl Clock {
    /// Reads both clocks.
    pub fn new() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            start: Instant::now(),
            nanos: nanos.map_or(0, |since| since.as_nanos() as u64),
        }
    }

    /// The time now.
    pub fn nanos(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The time at a moment.
    pub fn at(&self, moment: Instant) -> u64 {
        self.nanos + moment.saturating_duration_since(self.start).as_nanos() as u64
    }
}
