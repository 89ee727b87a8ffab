//! Times for people and programs.

use std::time::Duration;

use opsctl_protocol::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A span as kubectl writes it: `12s`, `5m`, `3h`, `2d`; the two largest units where the first is small.
pub fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0 => format!("{}ms", span.as_millis()),
        1..120 => format!("{seconds}s"),
        120..600 => two(seconds, MINUTE, "m", 1, "s"),
        600..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..36_000 => two(seconds, HOUR, "h", MINUTE, "m"),
        36_000..172_800 => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

fn two(seconds: u64, large: u64, large_unit: &str, small: u64, small_unit: &str) -> String {
    match seconds % large / small {
        0 => format!("{}{large_unit}", seconds / large),
        rest => format!("{}{large_unit}{rest}{small_unit}", seconds / large),
    }
}

/// How long ago it was; a time to come, by a clock that differs, is now.
pub fn age(then: Timestamp, now: Timestamp) -> String {
    match now.0.saturating_sub(then.0) {
        0..1000 => "now".to_owned(),
        ms => span(Duration::from_millis(ms)),
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-21T01:31:24.120Z`.
pub fn rfc3339(time: Timestamp) -> String {
    let (seconds, ms) = (time.0 / 1000, time.0 % 1000);
    let (year, month, day) = civil((seconds / DAY).cast_signed());
    let of_day = seconds % DAY;
    let (hour, minute, second) = (of_day / HOUR, of_day % HOUR / MINUTE, of_day % MINUTE);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// A moment in the past: RFC 3339 (`2026-11-21T01:31:24Z`, with an offset, or a date alone), or a span before `now`
/// (`10m`).
///
/// # Errors
/// What was expected.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(span) = crate::settings::values::duration(text) {
        return Ok(Timestamp(now.0.saturating_sub(span.as_millis() as u64)));
    }
    read_rfc3339(text).ok_or_else(|| {
        format!("{text:?} is no time: expected a span such as 10m, or RFC 3339 such as 2026-11-21T01:31:24Z")
    })
}

fn read_rfc3339(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = text.get(range)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())?
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let dashes = text.get(4..5)? == "-" && text.get(7..8)? == "-";
    if !dashes || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let midnight = days(year.cast_signed(), month, day) * DAY.cast_signed();
    let Some(clock) = text.get(10..).filter(|rest| !rest.is_empty()) else {
        return in_epoch(midnight, 0);
    };
    let separated =
        clock.starts_with(['T', 't', ' ']) && text.get(13..14)? == ":" && text.get(16..17)? == ":";
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !separated || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let digits = rest.strip_prefix('.').map_or(0, |rest| {
        rest.bytes().take_while(u8::is_ascii_digit).count()
    });
    let ms = if digits == 0 {
        0
    } else {
        format!("{:0<3}", &rest[1..=digits])[..3].parse().ok()?
    };
    let zone = &rest[if digits == 0 { 0 } else { digits + 1 }..];
    let east = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = zone.strip_prefix(['+', '-'])?.split_once(':')?;
            sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60)
        }
    };
    in_epoch(
        midnight + (hour * HOUR + minute * MINUTE + second).cast_signed() - east,
        ms,
    )
}

fn in_epoch(seconds: i64, ms: u64) -> Option<Timestamp> {
    u64::try_from(seconds)
        .ok()
        .map(|seconds| Timestamp(seconds * 1000 + ms))
}

/// Days since 1970-01-01 of a date, by Howard Hinnant's `days_from_civil`.
fn days(year: i64, month: u64, day: u64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month.cast_signed() + 9) % 12) + 2) / 5 + day.cast_signed() - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of a day since 1970-01-01, by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_like_kubectl() {
        let span = |seconds| super::span(Duration::from_secs(seconds));
        assert_eq!(
            [span(1), span(119), span(125), span(120)],
            ["1s", "119s", "2m5s", "2m"]
        );
        assert_eq!(
            [span(660), span(3700), span(90_000), span(864_000)],
            ["11m", "1h1m", "25h", "10d"]
        );
        assert_eq!(super::span(Duration::from_millis(70)), "70ms");
    }

    #[test]
    fn times_survive_text() {
        let now = Timestamp(1_763_680_000_123);
        assert_eq!(rfc3339(now), "2025-11-20T23:06:40.123Z");
        assert_eq!(moment(&rfc3339(now), now), Ok(now));
        assert_eq!(moment("2025-11-21T01:06:40.123+02:00", now), Ok(now));
        assert_eq!(
            moment("2024-02-29", now).map(rfc3339),
            Ok("2024-02-29T00:00:00.000Z".into())
        );
        assert_eq!(moment("10m", now), Ok(Timestamp(now.0 - 600_000)));
        for bad in [
            "yesterday",
            "2024-13-01",
            "2024-02-29T25:00:00Z",
            "2024-02-29T20:00:00",
            "",
            "2024-02-29Tx",
        ] {
            assert!(moment(bad, now).is_err(), "{bad}");
        }
    }
}
