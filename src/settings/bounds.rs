//! Bounds of single settings: values that can be read and that nothing could work with.

use std::time::Duration;

use opsctl_protocol::limits::MAX_OUTPUT_PIECE;

use super::Settings;
use super::values::{Size, Time};

/// The least ring: two pieces of output, so that one can come while the other is looked at.
const MIN_RING: Size = Size(2 * MAX_OUTPUT_PIECE as u64);

/// The least output log: less would not hold one screenful of a busy command.
const MIN_LOG: Size = Size(1024 * 1024);

/// The longest that output may be held back: people watch it.
const LONGEST_BATCH: Duration = Duration::from_secs(1);

/// The least spool: four chunks, so that a flood and a quiet command have room.
const MIN_SPOOL: Size = Size(1024 * 1024);

/// A setting out of its bounds.
pub(super) struct OutOfBounds {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// What is expected.
    pub(super) expected: String,
}

/// The first setting that is out of its bounds.
pub(super) fn first_out_of_bounds(settings: &Settings) -> Option<OutOfBounds> {
    let Settings {
        daemon,
        agent,
        client,
        ..
    } = settings;
    let some_time = |time: Time| !time.0.is_zero();
    let time = "a time above zero, such as \"10s\"".to_owned();
    let number = "a number above zero".to_owned();
    let least = |size: Size| format!("at least \"{size}\"");
    [
        (
            "daemon",
            "hello_timeout",
            some_time(daemon.hello_timeout),
            time.clone(),
        ),
        (
            "daemon",
            "batch_limit",
            daemon.batch_limit.0 <= LONGEST_BATCH,
            "at most \"1s\"".to_owned(),
        ),
        (
            "daemon",
            "ring_lines",
            daemon.ring_lines > 0,
            number.clone(),
        ),
        (
            "daemon",
            "ring_bytes",
            daemon.ring_bytes.0 >= MIN_RING.0,
            least(MIN_RING),
        ),
        (
            "daemon",
            "log_max_bytes",
            daemon.log_max_bytes.0 >= MIN_LOG.0,
            least(MIN_LOG),
        ),
        ("agent", "max_commands", agent.max_commands > 0, number),
        (
            "agent",
            "spool_bytes",
            agent.spool_bytes.0 >= MIN_SPOOL.0,
            least(MIN_SPOOL),
        ),
        (
            "client",
            "connect_timeout",
            some_time(client.connect_timeout),
            time,
        ),
    ]
    .into_iter()
    .find(|(_, _, within, _)| !within)
    .map(|(section, key, _, expected)| OutOfBounds {
        section,
        key,
        expected,
    })
}
