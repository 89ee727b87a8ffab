//! Names folded for people, in clush's form: `web-1,web-2,web-3` reads `web-[1-3]`.

use std::collections::BTreeMap;

/// Folds names that differ in one number only. Keeps leading zeros (`n[08-10]`), and names without a number as they are.
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut groups: BTreeMap<(String, String, usize), Vec<u64>> = BTreeMap::new();
    let mut plain = Vec::new();
    for name in names {
        match split(name) {
            Some((head, digits, tail)) => {
                // Numbers with leading zeros fold only with those of the same width.
                let width = if digits.starts_with('0') && digits.len() > 1 {
                    digits.len()
                } else {
                    0
                };
                let number = digits.parse().unwrap_or_default();
                groups
                    .entry((head.to_owned(), tail.to_owned(), width))
                    .or_default()
                    .push(number);
            }
            None => plain.push(name.to_owned()),
        }
    }
    merge_widths(&mut groups);
    let folded = groups.into_iter().map(|((head, tail, width), numbers)| {
        let ranges = ranges(numbers, width);
        let many = ranges.contains([',', '-']);
        if many {
            format!("{head}[{ranges}]{tail}")
        } else {
            format!("{head}{ranges}{tail}")
        }
    });
    let mut parts: Vec<String> = plain.into_iter().chain(folded).collect();
    parts.sort_unstable();
    parts.join(",")
}

/// A name around its last number, where that is not too long to be one.
fn split(name: &str) -> Option<(&str, &str, &str)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| {
            at + name[at..].chars().next().map_or(1, char::len_utf8)
        });
    (end - start <= 18).then_some((&name[..start], &name[start..end], &name[end..]))
}

/// `n08,n09,n10`: a number without a leading zero joins those with zeros when it is as wide.
fn merge_widths(groups: &mut BTreeMap<(String, String, usize), Vec<u64>>) {
    let padded: Vec<_> = groups.keys().filter(|key| key.2 > 0).cloned().collect();
    for key in padded {
        let plain = (key.0.clone(), key.1.clone(), 0);
        let Some(numbers) = groups.remove(&plain) else {
            continue;
        };
        let (same, other): (Vec<u64>, Vec<u64>) = numbers
            .into_iter()
            .partition(|number| number.to_string().len() == key.2);
        if let Some(group) = groups.get_mut(&key) {
            group.extend(same);
        }
        if !other.is_empty() {
            groups.insert(plain, other);
        }
    }
}

/// `1-3,7`
fn ranges(mut numbers: Vec<u64>, width: usize) -> String {
    numbers.sort_unstable();
    numbers.dedup();
    let runs = numbers.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => format!("{one:0width$}"),
        [first, .., last] => format!("{first:0width$}-{last:0width$}"),
        [] => String::new(),
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {

    #[test]
    fn folds_like_clush() {
        let fold = |names: &str| super::fold(names.split_whitespace());
        assert_eq!(fold("web-1 web-2 web-3"), "web-[1-3]");
        assert_eq!(fold("web-3 web-1 web-7 web-2"), "web-[1-3,7]");
        assert_eq!(fold("web-1"), "web-1");
        assert_eq!(fold("n08 n09 n10"), "n[08-10]");
        assert_eq!(fold("n1 n01"), "n01,n1");
        assert_eq!(fold("n8 n9 n10"), "n[8-10]");
        assert_eq!(fold("web-1.eu web-2.eu web-1.us"), "web-1.us,web-[1-2].eu");
        assert_eq!(fold("db lone"), "db,lone");
        assert_eq!(fold("é1 é2"), "é[1-2]");
        assert_eq!(
            fold(&format!("x{}", "9".repeat(40))),
            format!("x{}", "9".repeat(40))
        );
    }
}
