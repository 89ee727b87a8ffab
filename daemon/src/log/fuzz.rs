//! The log's parsers on bytes of any kind. Built by cargo-fuzz only.

use opsctl_protocol::CommandId;

use super::index::{self, IndexFile};
use super::record::{Parsed, parse};

/// Where a record's checksum stands, and what it covers.
const RECORD_CRC: usize = 4;
const RECORD_BODY: usize = 8;

/// Reads record after record, once as the bytes are and once with each record's checksum mended.
pub(crate) fn records(segment: &[u8]) {
    walk(segment);
    let mut mended = segment.to_vec();
    walk_mending(&mut mended);
}

fn walk(mut rest: &[u8]) {
    loop {
        let taken = match parse(rest) {
            Parsed::Whole(_, total) => total,
            Parsed::Damaged(Some(skip)) => skip,
            Parsed::Damaged(None) => return,
            Parsed::Short(needed) => {
                assert!(needed > rest.len());
                return;
            }
        };
        assert!(taken > 0, "a walk must get on");
        rest = &rest[taken..];
    }
}

fn walk_mending(segment: &mut [u8]) {
    let mut at = 0;
    loop {
        let rest = &mut segment[at..];
        match parse(rest) {
            Parsed::Damaged(Some(total)) => {
                let crc = crc32c::crc32c(&rest[RECORD_BODY..total]);
                rest[RECORD_CRC..RECORD_BODY].copy_from_slice(&crc.to_be_bytes());
                assert!(matches!(parse(rest), Parsed::Whole(..)));
                at += total;
            }
            Parsed::Whole(_, total) => at += total,
            Parsed::Damaged(None) | Parsed::Short(_) => return,
        }
    }
}

/// Opens the bytes as an index and looks for commands in it, once as they are and once with the checksums mended.
pub(crate) fn index(bytes: &[u8]) {
    let dir = std::env::temp_dir().join(format!("opsctl-fuzz-index-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("the temporary directory takes a directory");
    search(&dir, bytes);
    let mut mended = bytes.to_vec();
    index::mend(&mut mended);
    search(&dir, &mended);
}

fn search(dir: &std::path::Path, bytes: &[u8]) {
    std::fs::write(index::path(dir, 1), bytes).expect("the temporary directory takes a file");
    for segment_bytes in [0, 4096] {
        if let Ok(file) = IndexFile::open(dir, 1, segment_bytes) {
            for byte in [0, 1, 128, 255] {
                let _ = file.find(CommandId([byte; 16]));
            }
        }
    }
}
