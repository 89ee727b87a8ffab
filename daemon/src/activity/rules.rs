//! Rules on the text of a program's screen: which program, what stands there, and what that means. Pure.
//!
//! A rule book is a TOML file; those for known programs are part of this binary, and a user's own go before them. A book of
//! the same name takes the place of a shipped one. Within a book the first rule that fits counts.

use std::fmt;
use std::path::{Path, PathBuf};

use opsctl_protocol::message::{Activity, Approval, Foreground, Program};
use regex::Regex;
use serde::Deserialize;
use toml::Spanned;

use super::front;

/// The version of the form of rule books that is read here.
const VERSION: u32 = 1;

/// How many of the screen's last lines a rule looks at when it doesn't say.
const LINES: usize = 24;

/// The longest text of what is asked, in bytes; the rest is cut off.
const MAX_ASKED: usize = 4096;

/// Words of a command that may name its program: `env -i sudo node /usr/bin/claude` is one.
const WORDS: usize = 8;

/// The books that are part of the binary.
const SHIPPED: [(&str, &str); 4] = [
    ("claude", include_str!("rules/claude.toml")),
    ("codex", include_str!("rules/codex.toml")),
    ("aider", include_str!("rules/aider.toml")),
    ("shells", include_str!("rules/shells.toml")),
];

/// All books, the first that fits a program first.
#[derive(Debug, Default)]
pub struct Rules {
    books: Vec<Book>,
}

/// The rules for one program.
#[derive(Debug)]
pub struct Book {
    name: String,
    programs: Vec<String>,
    titles: Vec<Regex>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    activity: Activity,
    reason: Option<String>,
    lines: usize,
    screen: Vec<Regex>,
    unless: Vec<Regex>,
    title: Option<Regex>,
    keys: Option<Keys>,
}

/// How an approval prompt is read and answered.
#[derive(Debug)]
struct Keys {
    asked: Regex,
    approve: String,
    deny: String,
}

/// What a rule makes of a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What the program is doing.
    pub activity: Activity,
    /// Why.
    pub reason: Option<String>,
    /// What it asks, where the rule knows the keys that answer it.
    pub approval: Option<Approval>,
}

/// Why a rule book cannot be used. The others are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// What is wrong, and what to do.
    pub why: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(
            f,
            ": {}; mend it or remove the file, then restart the daemon",
            self.why
        )
    }
}

impl std::error::Error for RuleError {}

/// A book as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: Spanned<u32>,
    name: String,
    #[serde(rename = "match")]
    matches: Matches,
    #[serde(default)]
    rule: Vec<WrittenRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Matches {
    #[serde(default)]
    programs: Vec<String>,
    #[serde(default)]
    titles: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    state: Spanned<String>,
    reason: Option<String>,
    lines: Option<usize>,
    #[serde(default)]
    screen: Vec<Spanned<String>>,
    #[serde(default)]
    unless: Vec<Spanned<String>>,
    title: Option<Spanned<String>>,
    asked: Option<Spanned<String>>,
    approve: Option<String>,
    deny: Option<String>,
}

impl Rules {
    /// The shipped books behind the user's own `files`, and why some of those cannot be used.
    pub fn new(files: &[(PathBuf, String)]) -> (Self, Vec<RuleError>) {
        let mut books: Vec<Book> = Vec::new();
        let mut errors = Vec::new();
        for (file, text) in files {
            match Book::parse(file, text) {
                Ok(book) => books.push(book),
                Err(error) => errors.push(error),
            }
        }
        for (name, text) in SHIPPED {
            if books.iter().any(|book| book.name == name) {
                continue;
            }
            match Book::parse(Path::new(name), text) {
                Ok(book) => books.push(book),
                Err(error) => errors.push(error),
            }
        }
        (Self { books }, errors)
    }

    /// The book for what runs in a command's terminal. What is in front there is the surest sign, then the title, as a
    /// program that was started from another is the one that is seen, then what the command was started with.
    pub fn book(
        &self,
        program: &Program,
        front: Option<&Foreground>,
        title: &str,
    ) -> Option<&Book> {
        let titled = || {
            let fits = |book: &&Book| book.titles.iter().any(|known| known.is_match(title));
            self.books.iter().find(fits)
        };
        let named = |program: &Program| {
            let knows = |book: &&Book, name: &str| book.programs.iter().any(|known| known == name);
            let fits = |book: &&Book| names(program).any(|name| knows(book, name));
            self.books.iter().find(fits)
        };
        front
            .and_then(|front| named(&front::program(front)))
            .or_else(titled)
            .or_else(|| named(program))
    }

    /// What is made of the screen of a command, whose lines are separated by line feeds.
    pub fn judge(
        &self,
        program: &Program,
        front: Option<&Foreground>,
        title: &str,
        screen: &str,
    ) -> Option<Finding> {
        self.book(program, front, title)?.judge(title, screen)
    }
}

/// The names that a command's program may have.
pub(super) fn names(program: &Program) -> impl Iterator<Item = &str> {
    let texts = match program {
        Program::Argv(argv) => &argv[..argv.len().min(WORDS)],
        Program::Shell(line) => std::slice::from_ref(line),
    };
    // A word may be a whole line for a shell.
    let words = texts
        .iter()
        .flat_map(|text| text.split(|char: char| char.is_whitespace() || ";|&()".contains(char)));
    words.map(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        // `node cli/codex.js`, `python aider.py`
        [".js", ".py", ".mjs", ".exe"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name)
    })
}

impl Book {
    /// Reads a book.
    pub fn parse(file: &Path, text: &str) -> Result<Self, RuleError> {
        let reader = Reader { file, text };
        let written: Written = toml::from_str(text).map_err(|error| {
            reader.error(
                error.span().map(|span| span.start),
                error.message().to_owned(),
            )
        })?;
        let version = *written.version.get_ref();
        if version != VERSION {
            let at = Some(written.version.span().start);
            let why =
                format!("version {version} is not known here; this opsctl reads version {VERSION}");
            return Err(reader.error(at, why));
        }
        Ok(Self {
            name: written.name,
            programs: written.matches.programs,
            titles: reader.regexes(&written.matches.titles)?,
            rules: written
                .rule
                .into_iter()
                .map(|rule| reader.rule(rule))
                .collect::<Result<_, _>>()?,
        })
    }

    /// What the first rule that fits makes of a screen.
    pub fn judge(&self, title: &str, screen: &str) -> Option<Finding> {
        let lines: Vec<&str> = screen.trim_end().lines().collect();
        self.rules.iter().find_map(|rule| {
            let from = lines.len().saturating_sub(rule.lines);
            rule.judge(title, &lines[from..].join("\n"))
        })
    }
}

impl Rule {
    fn judge(&self, title: &str, last: &str) -> Option<Finding> {
        let fits = self.screen.iter().all(|wanted| wanted.is_match(last))
            && !self.unless.iter().any(|unwanted| unwanted.is_match(last))
            && self
                .title
                .as_ref()
                .is_none_or(|wanted| wanted.is_match(title));
        // Keys are only told together with what they answer.
        let approval = self.keys.as_ref().map(|keys| keys.read(last));
        (fits && approval != Some(None)).then(|| Finding {
            activity: self.activity,
            reason: self.reason.clone(),
            approval: approval.flatten(),
        })
    }
}

impl Keys {
    fn read(&self, screen: &str) -> Option<Approval> {
        let found = self.asked.captures(screen)?;
        let whole = found.get(1).or_else(|| found.get(0))?.as_str();
        let lines: Vec<&str> = whole.lines().map(str::trim_end).collect();
        let indent = lines
            .iter()
            .filter(|line| !line.is_empty())
            .map(|line| line.len() - line.trim_start_matches(' ').len())
            .min()
            .unwrap_or(0);
        let shown: Vec<&str> = lines
            .iter()
            .map(|line| line.get(indent..).unwrap_or(""))
            .collect();
        let mut asked = shown.join("\n").trim().to_owned();
        asked.truncate(asked.floor_char_boundary(MAX_ASKED));
        (!asked.is_empty()).then(|| Approval {
            asked,
            approve: self.approve.clone(),
            deny: self.deny.clone(),
        })
    }
}

/// What is being read, to say where something is wrong.
struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn error(&self, at: Option<usize>, why: String) -> RuleError {
        let line = |at: usize| self.text[..at.min(self.text.len())].matches('\n').count() + 1;
        RuleError {
            file: self.file.to_owned(),
            line: at.map(line),
            why,
        }
    }

    fn regex(&self, written: &Spanned<String>) -> Result<Regex, RuleError> {
        Regex::new(written.get_ref()).map_err(|error| {
            let why = error.to_string();
            let last = why.lines().last().unwrap_or_default().to_owned();
            let why = format!("{:?} is no regular expression ({last})", written.get_ref());
            self.error(Some(written.span().start), why)
        })
    }

    fn regexes(&self, written: &[Spanned<String>]) -> Result<Vec<Regex>, RuleError> {
        written.iter().map(|one| self.regex(one)).collect()
    }

    fn rule(&self, written: WrittenRule) -> Result<Rule, RuleError> {
        let at = Some(written.state.span().start);
        let activity = match written.state.get_ref().as_str() {
            "working" => Activity::Working,
            "blocked" => Activity::Blocked,
            "idle" => Activity::Idle,
            "done" => Activity::Done,
            "error" => Activity::Error,
            other => {
                let why = format!("{other:?} is no state: working, blocked, idle, done, error");
                return Err(self.error(at, why));
            }
        };
        if written.screen.is_empty() && written.title.is_none() {
            let why = "a rule needs `screen` or `title`: it would fit everything".to_owned();
            return Err(self.error(at, why));
        }
        let keys = match (&written.asked, written.approve, written.deny) {
            (Some(asked), Some(approve), Some(deny)) => Some(Keys {
                asked: self.regex(asked)?,
                approve,
                deny,
            }),
            (None, None, None) => None,
            _ => {
                let why = "`asked`, `approve` and `deny` stand together or not at all: nobody answers what he cannot see";
                return Err(self.error(at, why.to_owned()));
            }
        };
        Ok(Rule {
            activity,
            reason: written.reason,
            lines: written.lines.unwrap_or(LINES),
            screen: self.regexes(&written.screen)?,
            unless: self.regexes(&written.unless)?,
            title: written
                .title
                .as_ref()
                .map(|title| self.regex(title))
                .transpose()?,
            keys,
        })
    }
}

#[cfg(test)]
mod tests;
