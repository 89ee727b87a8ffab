//! What was found, as Markdown, and its place in docs/benchmarks.md.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::samples::{Samples, shown};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/benchmarks.md");

/// What one part found.
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// What was measured, for somebody who wants to know what the figures mean.
    pub how: &'static str,
    /// The table's columns; the first holds names, the others figures.
    pub head: Vec<&'static str>,
    /// The table's lines.
    pub rows: Vec<Vec<String>>,
    /// What had to hold.
    pub bars: Vec<Bar>,
    /// What else a reader must know.
    pub notes: Vec<String>,
    /// The peers with their versions.
    pub peers: Vec<String>,
}

/// Something that has to hold, and whether it did.
pub struct Bar {
    what: String,
    held: bool,
}

impl Bar {
    /// `what` is shown with the verdict.
    pub fn new(what: impl Into<String>, held: bool) -> Self {
        let what = what.into();
        Self { what, held }
    }
}

impl Section {
    /// The section under its heading; `conditions` as from [`super::conditions::Conditions::end`].
    pub fn markdown(&self, conditions: &str) -> String {
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.how);
        let mut line = |cells: &[&str]| {
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        };
        line(&self.head);
        let rule = ["---"].into_iter().chain(["---:"].into_iter().cycle());
        line(&rule.take(self.head.len()).collect::<Vec<_>>());
        for row in &self.rows {
            line(&row.iter().map(String::as_str).collect::<Vec<_>>());
        }
        text.push('\n');
        for bar in &self.bars {
            let verdict = if bar.held { "held" } else { "**missed**" };
            let _ = writeln!(text, "- {} — {verdict}", bar.what);
        }
        if !self.bars.is_empty() {
            text.push('\n');
        }
        let sources: Vec<&str> = std::iter::once(conditions)
            .chain(self.peers.iter().map(String::as_str))
            .collect();
        for note in &self.notes {
            let _ = write!(text, "{note} ");
        }
        let _ = writeln!(text, "Taken {}.", sources.join("; "));
        text
    }
}

/// A line of a table with times: name, runs, median, p99.
pub fn times(name: &str, samples: &Samples) -> Vec<String> {
    vec![
        name.to_owned(),
        samples.count().to_string(),
        shown(samples.median()),
        shown(samples.p99()),
    ]
}

/// Puts a text between its two markers in the document, in place of what was there; at the end, with new markers, when
/// there are none.
pub fn write_block(name: &str, text: &str) -> Result<()> {
    let (begin, end) = (
        format!("<!-- begin {name} -->"),
        format!("<!-- end {name} -->"),
    );
    let block = format!("{begin}\n{text}{end}");
    let document =
        fs::read_to_string(DOCUMENT).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let old = document
        .split_once(&begin)
        .and_then(|(_, rest)| Some(rest.split_once(&end)?.0));
    let document = match old {
        Some(old) => document.replacen(&format!("{begin}{old}{end}"), &block, 1),
        None => format!("{}\n\n{block}\n", document.trim_end()),
    };
    fs::write(DOCUMENT, document).with_context(|| format!("cannot write {DOCUMENT}"))
}
