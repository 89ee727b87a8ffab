//! Bounds of single settings: values that can be read and that nothing could work with.

use std::time::Duration;

use opsctl_protocol::limits::MAX_OUTPUT_PIECE;

use super::values::{Size, Time};
use super::{Daemon, Limits, Settings};

/// The least ring: two pieces of output, so that one can come while the other is looked at.
const MIN_RING: Size = Size(2 * MAX_OUTPUT_PIECE as u64);

/// The least output log: less would not hold one screenful of a busy command.
const MIN_LOG: Size = Size(1024 * 1024);

/// The longest that output may be held back: people watch it.
const LONGEST_BATCH: Time = Time(Duration::from_secs(1));

/// The least spool: four chunks, so that a flood and a quiet command have room.
const MIN_SPOOL: Size = Size(1024 * 1024);

/// The least heartbeat: one that a busy machine can keep.
const MIN_HEARTBEAT: Time = Time(Duration::from_millis(100));

/// A setting out of its bounds.
pub(super) struct OutOfBounds {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    /// What is expected.
    pub(super) expected: String,
}

/// Whether a setting is within its bounds: its section, its key, whether it is, and what is expected.
type Check = (&'static str, &'static str, bool, String);

/// The first setting that is out of its bounds.
pub(super) fn first_out_of_bounds(settings: &Settings) -> Option<OutOfBounds> {
    let Settings {
        daemon,
        limits,
        agent,
        client,
        ..
    } = settings;
    let max_commands = ("agent", "max_commands", agent.max_commands.into());
    let spool = at_least("agent", "spool_bytes", agent.spool_bytes, MIN_SPOOL);
    let connect_timeout = ("client", "connect_timeout", client.connect_timeout);
    let websocket_retry = ("client", "websocket_retry", client.websocket_retry);
    let times = [connect_timeout, websocket_retry].map(some_time);
    of_the_daemon(daemon)
        .into_iter()
        .chain(of_the_limits(limits))
        .chain([some(max_commands), spool])
        .chain(times)
        .find(|(_, _, within, _)| !within)
        .map(|(section, key, _, expected)| OutOfBounds {
            section,
            key,
            expected,
        })
}

fn of_the_daemon(daemon: &Daemon) -> [Check; 8] {
    let time = |key, value| some_time(("daemon", key, value));
    let heartbeat = daemon.heartbeat.0 >= MIN_HEARTBEAT.0;
    [
        time("hello_timeout", daemon.hello_timeout),
        (
            "daemon",
            "heartbeat",
            heartbeat,
            format!("at least \"{MIN_HEARTBEAT}\""),
        ),
        time("stall_timeout", daemon.stall_timeout),
        time("message_timeout", daemon.message_timeout),
        (
            "daemon",
            "batch_limit",
            daemon.batch_limit.0 <= LONGEST_BATCH.0,
            format!("at most \"{LONGEST_BATCH}\""),
        ),
        some(("daemon", "ring_lines", daemon.ring_lines)),
        at_least("daemon", "ring_bytes", daemon.ring_bytes, MIN_RING),
        at_least("daemon", "log_max_bytes", daemon.log_max_bytes, MIN_LOG),
    ]
}

fn of_the_limits(limits: &Limits) -> [Check; 8] {
    [
        ("connections", limits.connections),
        ("connections_per_address", limits.connections_per_address),
        ("agents", limits.agents),
        ("requests_per_second", limits.requests_per_second),
        ("queries_per_second", limits.queries_per_second),
        ("subscriptions_per_second", limits.subscriptions_per_second),
        ("events_per_second", limits.events_per_second),
        ("control_per_second", limits.control_per_second),
    ]
    .map(|(key, value)| some(("limits", key, value.into())))
}

fn at_least(section: &'static str, key: &'static str, value: Size, least: Size) -> Check {
    let expected = format!("at least \"{least}\"");
    (section, key, value.0 >= least.0, expected)
}

fn some((section, key, value): (&'static str, &'static str, u64)) -> Check {
    (section, key, value > 0, "a number above zero".to_owned())
}

fn some_time((section, key, value): (&'static str, &'static str, Time)) -> Check {
    let expected = "a time above zero, such as \"10s\"".to_owned();
    (section, key, !value.0.is_zero(), expected)
}
