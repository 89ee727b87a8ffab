//! Bytes for people.

use std::fmt;

/// Units, the largest first, with their bytes.
const UNITS: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

/// A number of bytes, shown with one digit behind the point of the largest unit that it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, bytes)| self.0 >= *bytes) {
            Some((unit, bytes)) => write!(f, "{:.1} {unit}", self.0 as f64 / *bytes as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Size;

    #[test]
    fn sizes_have_the_largest_unit_that_they_reach() {
        let texts =
            [0, 1023, 1024, 1_572_864, 10 << 30, 3 << 40].map(|size| Size(size).to_string());
        let expected = ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "10.0 GiB", "3.0 TiB"];
        assert_eq!(texts, expected);
    }
}
