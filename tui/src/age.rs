//! How long ago something was, in a form that seldom changes.

use opsctl_protocol::Timestamp;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// How long ago `then` was: `<1m`, `5m`, `3h`, `2d`.
pub fn text(then: Timestamp, now: Timestamp) -> String {
    let ms = now.0.saturating_sub(then.0);
    match ms {
        ..MINUTE => "<1m".to_owned(),
        MINUTE..HOUR => format!("{}m", ms / MINUTE),
        HOUR..DAY => format!("{}h", ms / HOUR),
        _ => format!("{}d", ms / DAY),
    }
}

/// The same within a sentence: `for 5m`, `for under 1m`.
pub fn span(then: Timestamp, now: Timestamp) -> String {
    text(then, now).replace('<', "under ")
}

/// When [`text`] will read differently.
pub fn next_change(then: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let ms = now.0.saturating_sub(then.0);
    let unit = match ms {
        ..HOUR => MINUTE,
        HOUR..DAY => HOUR,
        _ => DAY,
    };
    Some(Timestamp(then.0 + (ms / unit + 1) * unit))
}

/// How long something took: `0.3s`, `12s`, `4m07s`, `2h05m`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{}s", ms / SECOND, ms % SECOND / 100),
        10_000..MINUTE => format!("{}s", ms / SECOND),
        MINUTE..HOUR => format!("{}m{:02}s", ms / MINUTE, ms % MINUTE / SECOND),
        _ => format!("{}h{:02}m", ms / HOUR, ms % HOUR / MINUTE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_changes_when_it_is_said_to() {
        let then = Timestamp(1000);
        for now in [1000, 61_000, 3_600_000, 3_601_000, 90_000_000] {
            let next = next_change(then, Timestamp(now)).unwrap();
            assert_ne!(text(then, next), text(then, Timestamp(now)));
            assert_eq!(
                text(then, Timestamp(next.0 - 1)),
                text(then, Timestamp(now))
            );
        }
    }
}
