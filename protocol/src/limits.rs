//! Bounds that both ends of a connection must agree on. Sizes are in bytes.

use std::time::Duration;

/// The largest message, before and after decompression (contract: "1 MiB is the limit").
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// JSON values in what an event or a log line carries along, lists and objects among them: as a tree these take some 5 MB.
pub const MAX_VALUES: usize = 16_384;

/// Payloads whose JSON is larger than this travel gzipped (requirement C8).
pub const COMPRESS_ABOVE: usize = 10 * 1024;

/// The largest piece of output in one message. 32 KiB fills a pipe read twice over and still lets a control message
/// pass within a millisecond on a slow link.
pub const MAX_OUTPUT_PIECE: usize = 32 * 1024;

/// The largest piece of input in one message.
pub const MAX_INPUT_PIECE: usize = 32 * 1024;

/// How much input a client may have under way beyond the last `inputOffset` that the agent reported.
pub const INPUT_WINDOW: u64 = 1024 * 1024;

/// How often the reader of a program's input reports its `inputOffset`.
pub const INPUT_REPORT_EVERY: u64 = 256 * 1024;

/// Messages that cannot be parsed and are answered before the next one closes the connection (within a minute).
pub const MAX_BAD_MESSAGES: u32 = 2;

/// The largest offset, number or time in a message: what JSON readers in any language hold exactly.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Channel patterns that one connection may hold.
pub const MAX_SUBSCRIPTIONS: usize = 1024;

/// The longest agent name, selector, key, label key or label value.
pub const MAX_NAME: usize = 128;

/// Labels that an agent may have, and facts.
pub const MAX_ATTRIBUTES: usize = 64;

/// Keys and values of an agent's labels, all together; the same for its facts. Every dashboard gets them.
pub const MAX_ATTRIBUTE_BYTES: usize = 16 * 1024;

/// The longest selector.
pub const MAX_SELECTOR: usize = 4096;

/// Arguments and environment variables of one command, all together.
pub const MAX_COMMAND_BYTES: usize = 256 * 1024;

/// How long a fresh connection may take to say who it is.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// How often each side pings when nothing else was sent.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// A peer that was silent this long is gone, with the usual [`HEARTBEAT`].
pub const HEARTBEAT_DEADLINE: Duration = silence(HEARTBEAT);

/// How long a peer may be silent that should be heard every `heartbeat`: twice as long, and a third for the way.
pub const fn silence(heartbeat: Duration) -> Duration {
    Duration::from_millis(heartbeat.as_millis() as u64 * 7 / 3)
}

/// How long a message may take from its first byte to its last: one of the largest size at 17 KB/s.
pub const MESSAGE_DEADLINE: Duration = Duration::from_mins(1);

/// How long a socket may take nothing before its connection is closed with 4008: shorter than the heartbeat's deadline, so
/// that a peer which stopped reading is named for that, and not taken for a silent one.
pub const FLUSH_STALL: Duration = Duration::from_secs(10);

/// The largest terminal in columns or rows. An emulator allocates all of it.
pub const MAX_TERMINAL_SIDE: u16 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_as_the_contract_says() {
        assert_eq!(HEARTBEAT_DEADLINE, Duration::from_secs(35));
    }
}
