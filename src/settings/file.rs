//! The settings file: reading it, and naming the line and column of whatever is wrong in it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Settings;
use super::bounds::{OutOfBounds, first_out_of_bounds};
use crate::exit_code::{ExitCode, Failure};

/// A file that was read, for naming places in it later.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a key is set, as `FILE:LINE:COLUMN`.
    pub(super) fn position(&self, section: &str, key: &str) -> Option<String> {
        let table = toml::de::DeTable::parse(&self.text).ok()?;
        let span = table.get_ref().get(section)?.get_ref().get(key)?.span();
        Some(self.at(span))
    }

    fn at(&self, span: Range<usize>) -> String {
        let (line, column) = line_and_column(&self.text, span.start);
        format!("{}:{line}:{column}", self.path.display())
    }
}

/// Reads a file that must be there.
pub(super) fn read(path: &Path) -> Result<Settings, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the settings file {}: {error}", path.display());
        Failure::new(ExitCode::Usage, message)
    })?;
    parse(Source {
        path: path.to_owned(),
        text,
    })
}

fn parse(source: Source) -> Result<Settings, Failure> {
    match toml::from_str::<Settings>(&source.text) {
        Ok(mut settings) => {
            if let Some(OutOfBounds {
                section,
                key,
                expected,
            }) = first_out_of_bounds(&settings)
            {
                let place = source.position(section, key).unwrap_or_default();
                let message =
                    format!("{place}: {section}.{key} is out of its bounds: expected {expected}");
                return Err(Failure::new(ExitCode::Usage, message));
            }
            settings.source = Some(source);
            Ok(settings)
        }
        Err(error) => {
            let span = error.span().unwrap_or_default();
            let line = source.text[..span.start].matches('\n').count();
            let shown = source.text.lines().nth(line).unwrap_or_default();
            let what = error.message().replace('\n', ": ");
            // The only words that come from Rust rather than from TOML.
            let what = what.replace("expected u64", "expected a whole number");
            let what = what.replace("expected u32", "expected a whole number");
            let message = format!("{}: {what}", source.at(span));
            let failure = Failure::new(ExitCode::Usage, message);
            Err(failure.hint(format!(
                "{} | {shown}\nconfig.example.toml explains every setting",
                line + 1
            )))
        }
    }
}

/// Counted from 1, as editors do; columns in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let source = Source {
            path: "/c.toml".into(),
            text: text.to_owned(),
        };
        let failure = parse(source).unwrap_err();
        assert_eq!(failure.code, ExitCode::Usage);
        failure.message
    }

    #[test]
    fn mistakes_are_named_with_their_place_and_what_is_expected() {
        let value = refusal("[daemon]\nlisten = \"nonsense\"\n");
        assert!(
            value.starts_with("/c.toml:2:10: ") && value.contains("IP:PORT"),
            "{value}"
        );
        let key = refusal("[daemon]\n\n  lissten = 1\n");
        assert!(
            key.starts_with("/c.toml:3:3: ") && key.contains("`listen`"),
            "{key}"
        );
        let section = refusal("[demon]\n");
        assert!(
            section.starts_with("/c.toml:1:2: ") && section.contains("`daemon`"),
            "{section}"
        );
        let kind = refusal("[daemon]\nring_lines = \"many\"\n");
        assert!(
            kind.starts_with("/c.toml:2:14: ") && kind.contains("whole number"),
            "{kind}"
        );
        let choice = refusal("[log]\nformat = \"xml\"\n");
        assert!(
            choice.starts_with("/c.toml:2:10: ") && choice.contains("`json`"),
            "{choice}"
        );
        let label = refusal("[agent]\nlabels = { \"a b\" = \"x\" }\n");
        assert!(
            label.starts_with("/c.toml:2:10: ") && label.contains("\"a b\""),
            "{label}"
        );
        let none = refusal("[agent]\nmax_commands = 0\n");
        assert!(
            none.starts_with("/c.toml:2:16: ") && none.contains("above zero"),
            "{none}"
        );
        let small = refusal("[daemon]\nring_bytes = \"1KiB\"\n");
        assert!(
            small.starts_with("/c.toml:2:14: ") && small.contains("\"64KiB\""),
            "{small}"
        );
        let syntax = refusal("[daemon\n");
        assert!(syntax.starts_with("/c.toml:1:8: "), "{syntax}");
    }

    #[test]
    fn a_set_key_can_be_found_again() {
        let source = Source {
            path: "/c".into(),
            text: "[daemon]\nlisten = \"0.0.0.0:1\"\n".into(),
        };
        let settings = parse(source).unwrap();
        assert_eq!(
            settings.position("daemon", "listen").as_deref(),
            Some("/c:2:10")
        );
        assert_eq!(settings.position("daemon", "socket"), None);
    }
}
