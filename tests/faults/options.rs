//! The command line. What `cargo test` hands to every test binary is understood; what only the usual harness knows is not
//! in the way.

use std::time::Duration;

use crate::plan::Kind;

/// What to run.
pub enum What {
    /// The fixed seeds.
    Short,
    /// One plan: kind, seed and size.
    One(Kind, u64, u32),
    /// Random seeds for so long, of one kind or of all.
    For(Duration, Option<Kind>),
    /// Nothing: only a list was asked for.
    Nothing,
}

/// All of it.
pub struct Options {
    pub what: What,
    /// Of the fixed seeds only those whose name holds one of these.
    pub filters: Vec<String>,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Panics
    /// When they make no sense.
    pub fn read(args: &[String]) -> Self {
        let (mut kind, mut seed, mut size, mut time) = (None, None, 1, None);
        let (mut filters, mut list) = (Vec::new(), false);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_else(|| panic!("{arg} needs a value"));
            match arg.as_str() {
                "--kind" => {
                    let name = value();
                    kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
                    assert!(kind.is_some(), "no kind is named {name}");
                }
                "--seed" => seed = Some(value().parse().expect("--seed N")),
                "--size" => size = value().parse().expect("--size N"),
                "--for" => time = Some(span(value())),
                "--list" => list = true,
                // With a value, in the usual harness.
                "--test-threads" | "--format" | "--color" | "--skip" | "--logfile" => {
                    value();
                }
                flag if flag.starts_with('-') => {}
                filter => filters.push(filter.to_owned()),
            }
        }
        let what = match (time, seed) {
            _ if list => What::Nothing,
            (Some(time), _) => What::For(time, kind),
            (None, Some(seed)) => What::One(kind.unwrap_or(Kind::Everything), seed, size),
            (None, None) => What::Short,
        };
        Self { what, filters }
    }
}

/// `90s`, `5m`, `1h`.
fn span(text: &str) -> Duration {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().expect("--for 90s, 5m or 1h");
    match unit {
        "s" => Duration::from_secs(number),
        "m" => Duration::from_mins(number),
        "h" => Duration::from_hours(number),
        _ => panic!("--for 90s, 5m or 1h"),
    }
}
