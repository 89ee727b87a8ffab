//! Doors for fuzz targets: everything here that reads bytes which a crash, a full disk or another process may have cut or
//! changed. Pure functions, and none may panic. Built by cargo-fuzz and for tests only.

use bytes::BytesMut;

use crate::holder::record;
use crate::spool::record as chunk;
use crate::wire::{self, FromHolder, ToHolder};
use crate::{journal, lines};

/// Reads a journal as a crash may have left it.
pub fn journal(bytes: &[u8]) {
    journal::replay(bytes);
}

/// Reads what an agent and a holder send each other, until nothing more can be read.
pub fn holder_messages(stream: &[u8]) {
    let mut buffer = BytesMut::from(stream);
    while let Ok(Some(_)) = wire::take::<ToHolder>(&mut buffer) {}
    let mut buffer = BytesMut::from(stream);
    while let Ok(Some(_)) = wire::take::<FromHolder>(&mut buffer) {}
}

/// Reads a chunk file of the spool; and as records alone, since a fuzzer rarely meets a header's checksum.
pub fn spool_chunk(bytes: &[u8]) {
    if let Some(header) = chunk::ChunkHeader::decode(bytes) {
        chunk::walk(header.number, &bytes[chunk::CHUNK_HEADER..]).count();
    }
    chunk::walk(0, bytes).count();
}

/// Reads a holder's record, and any file of lines with checksums.
pub fn holder_record(bytes: &[u8]) {
    record::parse(bytes);
    lines::read::<serde_json::Value>(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            journal(&bytes);
            holder_messages(&bytes);
            spool_chunk(&bytes);
            holder_record(&bytes);
        }
    }
}
