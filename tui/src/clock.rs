//! The time of day where the person is.

use opsctl_protocol::Timestamp;
use tz::TimeZone;

/// Columns of a time of day.
pub const COLUMNS: u16 = 8;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A time zone: the person's, else UTC.
#[derive(Debug, Default)]
pub struct Zone(Option<TimeZone>);

impl Zone {
    /// The one that `TZ` names, else that of the machine.
    pub fn local() -> Self {
        Self(TimeZone::local().ok())
    }

    /// A zone by its name or rule, as `TZ` has it; UTC where there is none of that name.
    pub fn named(name: &str) -> Self {
        Self(TimeZone::from_posix_tz(name).ok())
    }

    /// Whether the person's zone isn't known, which must be said where times are shown.
    pub fn is_unknown(&self) -> bool {
        self.0.is_none()
    }

    /// The time of day, `14:03:07`.
    pub fn time_of_day(&self, time: Timestamp) -> String {
        let seconds = (time.0 / 1000).cast_signed();
        let local = self.0.as_ref();
        let local = local.and_then(|zone| zone.find_local_time_type(seconds).ok());
        let offset = local.map_or(0, |local| i64::from(local.ut_offset()));
        let of_day = (seconds + offset).rem_euclid(DAY);
        let (hour, minute) = (of_day / HOUR, of_day % HOUR / MINUTE);
        format!("{hour:02}:{minute:02}:{:02}", of_day % MINUTE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_its_own_time_of_day_in_summer_and_winter() {
        let winter = Timestamp(1_700_000_000_000);
        let summer = Timestamp(1_689_000_000_000);
        let berlin = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(Zone::default().time_of_day(winter), "22:13:20");
        assert_eq!(berlin.time_of_day(winter), "23:13:20");
        assert_eq!(Zone::default().time_of_day(summer), "14:40:00");
        assert_eq!(berlin.time_of_day(summer), "16:40:00");
        assert!(Zone::default().is_unknown() && !berlin.is_unknown());
        assert!(Zone::named("no such zone").is_unknown());
    }
}
