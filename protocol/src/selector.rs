//! Which agents a person means: `web-*,db-1 and env=prod and not (canary=yes or web-7)`.
//!
//! ```text
//! or    = and { "or" and }
//! and   = not { "and" not }
//! not   = "not" not | "(" or ")" | list
//! list  = term { "," term }          any of them
//! term  = GLOB | KEY "=" GLOB | KEY "!=" GLOB
//! ```
//!
//! `*` in a glob matches any run of characters. A label that an agent doesn't have equals nothing, as with kubectl: `env=`
//! covers agents whose `env` is empty, `env=*` those that have one, `env!=*` those that don't, and `env!=prod` also these.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::ids::{AgentId, glob_matches};
use crate::limits::MAX_SELECTOR;

/// A parsed selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Agents whose name matches the glob.
    Name(String),
    /// Agents whose label has a value that matches the glob.
    Label(String, String),
    /// Agents that any of these covers.
    Any(Vec<Selector>),
    /// Agents that all of these cover.
    All(Vec<Selector>),
    /// Agents that this does not cover.
    Not(Box<Selector>),
}

/// Why a selector could not be read, with the position in bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Nothing was given.
    #[error(
        "the selector is empty; name an agent, a glob such as web-*, or a label such as env=prod"
    )]
    Empty,
    /// Longer than the limit.
    #[error("the selector has more than {MAX_SELECTOR} bytes")]
    TooLong,
    /// Parentheses or `not` deeper than any person writes.
    #[error("the selector is nested too deeply")]
    TooDeep,
    /// Something else stood where a term should.
    #[error("expected an agent, a glob, a label or '(' at column {column}, found {found}")]
    ExpectedTerm {
        /// Column from 1.
        column: usize,
        /// What stood there.
        found: String,
    },
    /// The text went on where it should have ended.
    #[error("expected 'and', 'or' or the end at column {column}, found {found}")]
    ExpectedEnd {
        /// Column from 1.
        column: usize,
        /// What stood there.
        found: String,
    },
    /// A parenthesis was left open.
    #[error("the '(' at column {0} is not closed")]
    Unclosed(usize),
}

/// Parentheses and `not`s within each other; each costs stack.
const MAX_DEPTH: usize = 64;

impl Selector {
    /// Whether this agent is meant.
    pub fn matches(&self, agent: &AgentId, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Name(glob) => glob_matches(glob, agent.as_str()),
            Self::Label(key, glob) => labels
                .get(key)
                .is_some_and(|value| glob_matches(glob, value)),
            Self::Any(of) => of.iter().any(|one| one.matches(agent, labels)),
            Self::All(of) => of.iter().all(|one| one.matches(agent, labels)),
            Self::Not(inner) => !inner.matches(agent, labels),
        }
    }

    /// The agent's name, when the selector can only mean that one.
    pub fn single(&self) -> Option<&str> {
        match self {
            Self::Name(name) if !name.contains('*') => Some(name),
            _ => None,
        }
    }

    /// Names that the selector spells out, so that a misspelt one can be reported.
    pub fn literal_names(&self) -> Vec<&str> {
        match self {
            Self::Name(name) if !name.contains('*') => vec![name],
            Self::Any(of) | Self::All(of) => of.iter().flat_map(Self::literal_names).collect(),
            _ => Vec::new(),
        }
    }

    /// The same without what `exclude` covers.
    #[must_use]
    pub fn without(self, exclude: Selector) -> Selector {
        Selector::All(vec![self, Selector::Not(Box::new(exclude))])
    }
}

impl fmt::Display for Selector {
    /// Text that reads as the same selector, with no more parentheses than that needs: each costs the reader depth.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Strength::Or)
    }
}

/// How tightly the place binds that a selector is written into; a looser one needs parentheses there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    Or,
    And,
    Not,
}

impl Selector {
    fn write(&self, f: &mut fmt::Formatter<'_>, place: Strength) -> fmt::Result {
        match self {
            Self::Name(glob) => f.write_str(glob),
            Self::Label(key, glob) => write!(f, "{key}={glob}"),
            Self::Any(of) if of.iter().all(Self::is_term) => {
                write_joined(f, of, ",", Strength::Not)
            }
            Self::Any(of) => in_parentheses(f, place > Strength::Or, |f| {
                write_joined(f, of, " or ", Strength::Or)
            }),
            Self::All(of) => in_parentheses(f, place > Strength::And, |f| {
                write_joined(f, of, " and ", Strength::And)
            }),
            Self::Not(inner) => match inner.as_ref() {
                Self::Label(key, glob) => write!(f, "{key}!={glob}"),
                other => {
                    f.write_str("not ")?;
                    other.write(f, Strength::Not)
                }
            },
        }
    }

    /// Whether the selector can stand in a list with commas.
    fn is_term(&self) -> bool {
        match self {
            Self::Name(_) | Self::Label(..) => true,
            Self::Not(inner) => matches!(inner.as_ref(), Self::Label(..)),
            Self::Any(_) | Self::All(_) => false,
        }
    }
}

fn write_joined(
    f: &mut fmt::Formatter<'_>,
    of: &[Selector],
    word: &str,
    place: Strength,
) -> fmt::Result {
    for (at, one) in of.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        one.write(f, place)?;
    }
    Ok(())
}

fn in_parentheses(
    f: &mut fmt::Formatter<'_>,
    needed: bool,
    write: impl FnOnce(&mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    if !needed {
        return write(f);
    }
    f.write_str("(")?;
    write(f)?;
    f.write_str(")")
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_SELECTOR {
            return Err(SelectorError::TooLong);
        }
        let mut parser = Parser {
            tokens: tokens(text),
            at: 0,
            end: text.len() + 1,
            depth: 0,
        };
        if parser.tokens.is_empty() {
            return Err(SelectorError::Empty);
        }
        let selector = parser.or()?;
        match parser.peek() {
            None => Ok(selector),
            Some(token) => Err(SelectorError::ExpectedEnd {
                column: token.column,
                found: format!("{:?}", token.text),
            }),
        }
    }
}

/// A word or one of `(`, `)`, `,`.
struct Token<'a> {
    column: usize,
    text: &'a str,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let punctuation = matches!(c, '(' | ')' | ',');
        if c.is_whitespace() || punctuation {
            if let Some(from) = start.take() {
                tokens.push(Token {
                    column: from + 1,
                    text: &text[from..at],
                });
            }
            if punctuation {
                tokens.push(Token {
                    column: at + 1,
                    text: &text[at..=at],
                });
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    end: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&Token<'a>> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.text == text);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Selector, SelectorError> {
        let mut of = vec![self.and()?];
        while self.take("or") {
            of.push(self.and()?);
        }
        Ok(one_or(of, Selector::Any))
    }

    fn and(&mut self) -> Result<Selector, SelectorError> {
        let mut of = vec![self.not()?];
        while self.take("and") {
            of.push(self.not()?);
        }
        Ok(one_or(of, Selector::All))
    }

    fn not(&mut self) -> Result<Selector, SelectorError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(SelectorError::TooDeep);
        }
        let column = self.peek().map_or(self.end, |token| token.column);
        let selector = if self.take("not") {
            Selector::Not(Box::new(self.not()?))
        } else if self.take("(") {
            let inner = self.or()?;
            if !self.take(")") {
                return Err(SelectorError::Unclosed(column));
            }
            inner
        } else {
            self.list()?
        };
        self.depth -= 1;
        Ok(selector)
    }

    fn list(&mut self) -> Result<Selector, SelectorError> {
        let mut of = vec![self.term()?];
        while self.take(",") {
            // A trailing comma is forgiven, as in clush.
            match self.peek() {
                Some(token) if !is_reserved(token.text) => of.push(self.term()?),
                _ => break,
            }
        }
        Ok(one_or(of, Selector::Any))
    }

    fn term(&mut self) -> Result<Selector, SelectorError> {
        let Some(token) = self.peek() else {
            return Err(SelectorError::ExpectedTerm {
                column: self.end,
                found: "the end".to_owned(),
            });
        };
        if is_reserved(token.text) {
            return Err(SelectorError::ExpectedTerm {
                column: token.column,
                found: format!("{:?}", token.text),
            });
        }
        let selector = match token.text.split_once('=') {
            None => Selector::Name(token.text.to_owned()),
            Some((key, value)) => match key.strip_suffix('!') {
                None => Selector::Label(key.to_owned(), value.to_owned()),
                Some(key) => {
                    Selector::Not(Box::new(Selector::Label(key.to_owned(), value.to_owned())))
                }
            },
        };
        self.at += 1;
        Ok(selector)
    }
}

fn is_reserved(text: &str) -> bool {
    matches!(text, "and" | "or" | "not" | "(" | ")" | ",")
}

fn one_or(mut of: Vec<Selector>, many: impl FnOnce(Vec<Selector>) -> Selector) -> Selector {
    if of.len() == 1 {
        of.remove(0)
    } else {
        many(of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fleet(selector: &str) -> Vec<&'static str> {
        let selector: Selector = selector.parse().unwrap();
        [
            ("web-1", "prod"),
            ("web-2", "test"),
            ("db-1", "prod"),
            ("lone", ""),
        ]
        .into_iter()
        .filter(|(name, env)| {
            let labels = if env.is_empty() {
                BTreeMap::new()
            } else {
                BTreeMap::from([("env".to_owned(), (*env).to_owned())])
            };
            selector.matches(&AgentId::new(*name).unwrap(), &labels)
        })
        .map(|(name, _)| name)
        .collect()
    }

    #[test]
    fn selects() {
        assert_eq!(fleet("*"), ["web-1", "web-2", "db-1", "lone"]);
        assert_eq!(fleet("web-*"), ["web-1", "web-2"]);
        assert_eq!(fleet("web-1,db-*"), ["web-1", "db-1"]);
        assert_eq!(fleet("web-1, lone,"), ["web-1", "lone"]);
        assert_eq!(fleet("env=prod and web-*"), ["web-1"]);
        assert_eq!(fleet("not env=prod"), ["web-2", "lone"]);
        assert_eq!(fleet("env!=prod"), ["web-2", "lone"]);
        assert_eq!(fleet("env=*prod or lone"), ["web-1", "db-1", "lone"]);
        assert_eq!(fleet("web-* and not (web-2 or lone)"), ["web-1"]);
        assert_eq!(fleet("lone or web-1 and env=test"), ["lone"]);
        assert_eq!(fleet("web-1,db-1 and env=prod"), ["web-1", "db-1"]);
    }

    #[test]
    fn a_label_that_is_missing_equals_nothing() {
        let covers = |selector: &str| -> Vec<&str> {
            let selector: Selector = selector.parse().unwrap();
            let labels = [("prod", Some("prod")), ("blank", Some("")), ("none", None)];
            let covered = labels.into_iter().filter(|(name, env)| {
                let labels = env.map(|env| ("env".to_owned(), env.to_owned()));
                selector.matches(&AgentId::new(*name).unwrap(), &labels.into_iter().collect())
            });
            covered.map(|(name, _)| name).collect()
        };
        assert_eq!(covers("env="), ["blank"]);
        assert_eq!(covers("env=*"), ["prod", "blank"]);
        assert_eq!(covers("env!=*"), ["none"]);
        assert_eq!(covers("env!="), ["prod", "none"]);
        assert_eq!(covers("env!=prod"), ["blank", "none"]);
    }

    #[test]
    fn errors_say_where() {
        let error = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
        assert!(error("").contains("empty"));
        assert!(error("web and").contains("column 8, found the end"));
        assert!(error("web db").contains("column 5, found \"db\""));
        assert!(error("(web or db").contains("'(' at column 1"));
        assert!(error(&"(".repeat(5000)).contains("more than"));
        assert!(error(&"not ".repeat(1000)).contains("deeply"));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_value_or_an_error(text in "[a-z*=!,() ]{0,60}|\\PC{0,40}") {
            if let Ok(selector) = text.parse::<Selector>() {
                let again: Selector = selector.to_string().parse().unwrap();
                prop_assert_eq!(again.to_string(), selector.to_string());
            }
        }
    }
}
