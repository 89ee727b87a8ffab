//! Doors for the fuzz targets into parsers that are nobody else's business. Built by cargo-fuzz only.

use bytes::BytesMut;

use crate::journal;
use crate::wire::{FromHolder, ToHolder, take};

/// Reads a journal as a crash may have left it.
pub fn journal(bytes: &[u8]) {
    let _ = journal::replay(&String::from_utf8_lossy(bytes));
}

/// Takes messages out of a stream between agent and holder, in both directions.
pub fn holder_messages(stream: &[u8]) {
    let mut buffer = BytesMut::from(stream);
    while let Ok(Some(_)) = take::<ToHolder>(&mut buffer) {}
    let mut buffer = BytesMut::from(stream);
    while let Ok(Some(_)) = take::<FromHolder>(&mut buffer) {}
}
