//! Files of JSON lines, each with a checksum before it, as both the agent's journal and a holder's record are. No IO.
//!
//! ```text
//! 5d41402a {"record":"settled","commandId":"7b1f…"}
//! ```
//!
//! The eight hex digits are the CRC-32C of the JSON. Empty lines mean nothing.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Hex digits of a checksum, and the space behind it.
const HEAD: usize = 9;

/// A line, its end included.
pub(crate) fn line(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let json = serde_json::to_vec(value)?;
    let mut line = format!("{:08x} ", crc32c::crc32c(&json)).into_bytes();
    line.extend_from_slice(&json);
    line.push(b'\n');
    Ok(line)
}

/// What a file says.
#[derive(Debug)]
pub(crate) struct Lines<T> {
    /// The lines that can be read, in order.
    pub(crate) values: Vec<T>,
    /// Bytes up to the end of the last line that can be read.
    pub(crate) good: usize,
    /// Lines before that which cannot be read: damage, or a newer version's.
    pub(crate) damaged: usize,
    /// Bytes behind it, other than line ends: what a crash cut short.
    pub(crate) torn: usize,
}

/// Reads all lines. Those of versions that wrote no checksums are good too.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Lines<T> {
    let mut lines = Lines {
        values: Vec::new(),
        good: 0,
        damaged: 0,
        torn: 0,
    };
    let (mut at, mut unread) = (0, 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        if text.is_empty() {
            continue;
        }
        match value(text) {
            Some(value) => {
                lines.values.push(value);
                lines.damaged += std::mem::take(&mut unread);
                lines.good = at;
            }
            None => unread += 1,
        }
    }
    let rest = bytes[lines.good..].iter();
    lines.torn = rest.filter(|byte| **byte != b'\n').count();
    lines
}

fn value<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    if text.first() == Some(&b'{') {
        return serde_json::from_slice(text).ok();
    }
    let (head, json) = text.split_at_checked(HEAD)?;
    let crc = std::str::from_utf8(head.strip_suffix(b" ")?).ok()?;
    if u32::from_str_radix(crc, 16).ok()? != crc32c::crc32c(json) {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_without_checksums_are_read_too() {
        let lines = read::<serde_json::Value>(b"{\"a\":1}\n\n{\"b\":2}\n{\"c\"");
        assert_eq!((lines.values.len(), lines.torn), (2, 4));
    }

    proptest! {
        #[test]
        fn a_cut_costs_the_last_line_only(texts in prop::collection::vec(".{0,20}", 0..6), cut in 0_usize..200) {
            let whole: Vec<Vec<u8>> = texts.iter().map(|text| line(text).unwrap()).collect();
            let bytes = whole.concat();
            let cut = cut.min(bytes.len());
            let lines = read::<String>(&bytes[..cut]);
            let mut good = 0;
            let expected: Vec<_> = whole.iter().zip(&texts)
                .take_while(|(line, _)| { good += line.len(); good <= cut })
                .map(|(_, text)| text.clone())
                .collect();
            prop_assert_eq!(lines.values, expected);
            prop_assert_eq!(lines.good + lines.torn, cut);
            prop_assert_eq!(lines.damaged, 0);
        }

        #[test]
        fn damage_costs_what_it_hits(at in 0_usize..60, bit in 0_u8..8) {
            let bytes: Vec<u8> = ["one", "two", "three"].iter().flat_map(|text| line(text).unwrap()).collect();
            let mut damaged = bytes.clone();
            let at = at % bytes.len();
            damaged[at] ^= 1 << bit;
            let lines = read::<String>(&damaged);
            // A line end that is hit joins two lines.
            prop_assert!(!lines.values.is_empty());
            prop_assert!(lines.values.iter().all(|text| ["one", "two", "three"].contains(&text.as_str())));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            read::<serde_json::Value>(&bytes);
        }
    }
}
