//! A look at the write-ahead log before `SQLite` takes it up.
//!
//! `SQLite` recovers what comes before the first bad frame, and says nothing of what comes after it. After a crash that
//! is right: what was being written was never acknowledged. When whole transactions stand behind the bad frame, though,
//! something has changed what was on the disk, and whoever runs the daemon has to know. The format is that of
//! <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;

const FRAME_HEADER_BYTES: usize = 24;

/// The magic number's last bit says in which order the checksum takes the bytes.
const MAGIC: u32 = 0x377f_0682;

/// Committed transactions that cannot be recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Damage {
    /// The first bad frame, from 1; 0 for the header.
    pub(super) frame: u64,
    /// Transactions that end behind it.
    pub(super) transactions: u64,
}

/// The running checksum of a WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    pair: (u32, u32),
    big_endian: bool,
}

impl Sum {
    fn add(mut self, bytes: &[u8]) -> Self {
        let word = |bytes: &[u8]| {
            let word = [bytes[0], bytes[1], bytes[2], bytes[3]];
            if self.big_endian {
                u32::from_be_bytes(word)
            } else {
                u32::from_le_bytes(word)
            }
        };
        let (mut first, mut second) = self.pair;
        for words in bytes.chunks_exact(8) {
            first = first.wrapping_add(word(&words[..4])).wrapping_add(second);
            second = second.wrapping_add(word(&words[4..])).wrapping_add(first);
        }
        self.pair = (first, second);
        self
    }
}

/// What a WAL has lost; nothing where there is none, or where it ends as a crash leaves it.
pub(super) fn damage(path: &Path) -> io::Result<Option<Damage>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut file = BufReader::new(file);
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut file, &mut header)? {
        return Ok(None);
    }
    let sum = Sum {
        pair: (0, 0),
        big_endian: number(&header, 0) & 1 == 1,
    };
    let mut sum = sum.add(&header[..24]);
    let header_is_good = number(&header, 0) & !1 == MAGIC && sum.pair == stored(&header, 24);
    let page_bytes = number(&header, 8) as usize;
    if !(512..=65_536).contains(&page_bytes) || !page_bytes.is_power_of_two() {
        // Nothing can be told of what follows.
        let transactions = u64::from(file.read(&mut [0])? > 0);
        return Ok((transactions > 0).then_some(Damage {
            frame: 0,
            transactions,
        }));
    }
    let mut found = (!header_is_good).then_some(Damage {
        frame: 0,
        transactions: 0,
    });
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    let mut count = 0;
    while fill(&mut file, &mut frame)? {
        count += 1;
        let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
        let good = head[8..16] == header[16..24] && {
            let with = sum.add(&head[..8]).add(page);
            with.pair == stored(head, 16)
        };
        // The next frame's sum goes on from what this one says, be that right or not.
        sum.pair = stored(head, 16);
        match &mut found {
            None if !good => {
                found = Some(Damage {
                    frame: count,
                    transactions: 0,
                });
            }
            Some(damage) if good && number(head, 4) != 0 => damage.transactions += 1,
            _ => {}
        }
    }
    Ok(found.filter(|damage| damage.transactions > 0))
}

/// Whether the whole buffer could be filled.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn stored(bytes: &[u8], at: usize) -> (u32, u32) {
    (number(bytes, at), number(bytes, at + 4))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::Connection;

    use super::*;

    /// A database with `rows` transactions in its WAL, copied as a crash would leave it.
    fn crashed(rows: u32) -> (tempfile::TempDir, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("live.db");
        let connection = Connection::open(&live).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        connection.execute_batch("CREATE TABLE t (n)").unwrap();
        for n in 0..rows {
            connection
                .execute("INSERT INTO t VALUES ($1)", [n])
                .unwrap();
        }
        std::fs::copy(&live, dir.path().join("copy.db")).unwrap();
        let wal = std::fs::read(dir.path().join("live.db-wal")).unwrap();
        (dir, wal)
    }

    /// What `SQLite` makes of it.
    fn rows(dir: &Path) -> i64 {
        let connection = Connection::open(dir.join("copy.db")).unwrap();
        connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap_or(0)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]

        #[test]
        fn what_sqlite_drops_is_said(at in 0_f64..1.0, bit in 0_u8..8) {
            let (dir, mut wal) = crashed(12);
            let at = (at * wal.len() as f64) as usize;
            wal[at] ^= 1 << bit;
            let path = dir.path().join("copy.db-wal");
            std::fs::write(&path, &wal).unwrap();
            let damage = damage(&path).unwrap();
            let missing = 12 - rows(dir.path());
            // The last transaction may look like one that was being written.
            prop_assert!(missing <= 1 || damage.is_some(), "{missing} rows are missing");
            prop_assert!(damage.is_none() || missing > 0, "{damage:?} and nothing is missing");
        }

        #[test]
        fn a_cut_is_what_a_crash_leaves(at in 0_f64..1.0) {
            let (dir, wal) = crashed(12);
            let path = dir.path().join("copy.db-wal");
            std::fs::write(&path, &wal[..(at * wal.len() as f64) as usize]).unwrap();
            prop_assert_eq!(damage(&path).unwrap(), None);
        }
    }
}
