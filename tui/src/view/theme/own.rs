//! A person's own theme: TOML that starts from a built-in one.
//!
//! ```toml
//! base = "dark"
//! [palette]
//! accent = "#88c0d0"
//! [roles.blocked]
//! fg = "black"
//! bg = 208
//! bold = true
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Deserializer, de};

use super::palette::{BUILT_IN, Changes, Palette, without_colours};
use super::role::Role;

/// What is wrong with a theme file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// A theme file that was read.
#[derive(Debug, Clone)]
pub struct Own {
    /// None without colours.
    palette: Option<Palette>,
    roles: BTreeMap<RoleName, Look>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    base: Base,
    palette: Changes,
    roles: BTreeMap<RoleName, Look>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            base: Base("dark".to_owned()),
            palette: Changes::default(),
            roles: BTreeMap::new(),
        }
    }
}

impl Own {
    /// Reads a theme file's text.
    ///
    /// # Errors
    /// Where it isn't one, and what is expected there.
    pub fn read(text: &str) -> Result<Self, Problem> {
        let file: File = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let before = text.get(..at).unwrap_or(text);
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Problem {
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                what: error.message().replace('\n', ": "),
            }
        })?;
        Ok(Self {
            palette: Palette::named(&file.base.0).map(|palette| palette.with(&file.palette)),
            roles: file.roles,
        })
    }

    /// A role's style in this theme.
    pub fn style(&self, role: Role) -> Style {
        let base = match &self.palette {
            Some(palette) => palette.style(role),
            None => without_colours(role),
        };
        self.roles
            .get(&RoleName(role.name()))
            .map_or(base, |look| look.over(base))
    }
}

/// What a file says about a role.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Look {
    fg: Option<Paint>,
    bg: Option<Paint>,
    bold: Option<bool>,
    dim: Option<bool>,
    italic: Option<bool>,
    underline: Option<bool>,
    reverse: Option<bool>,
}

impl Look {
    fn over(&self, mut style: Style) -> Style {
        style.fg = self.fg.map(|paint| paint.0).or(style.fg);
        style.bg = self.bg.map(|paint| paint.0).or(style.bg);
        for (wanted, modifier) in [
            (self.bold, Modifier::BOLD),
            (self.dim, Modifier::DIM),
            (self.italic, Modifier::ITALIC),
            (self.underline, Modifier::UNDERLINED),
            (self.reverse, Modifier::REVERSED),
        ] {
            if let Some(on) = wanted {
                style.add_modifier.set(modifier, on);
            }
        }
        style
    }
}

/// The built-in theme that a file starts from.
struct Base(String);

impl<'de> Deserialize<'de> for Base {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if BUILT_IN.contains(&name.as_str()) {
            return Ok(Self(name));
        }
        let all = BUILT_IN.join(", ");
        Err(de::Error::custom(format!(
            "{name:?} is no built-in theme: expected one of {all}"
        )))
    }
}

/// A role by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RoleName(&'static str);

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if let Some(role) = Role::named(&name) {
            return Ok(Self(role.name()));
        }
        let all = Role::ALL.map(Role::name).join(", ");
        Err(de::Error::custom(format!(
            "{name:?} is no role: expected one of {all}"
        )))
    }
}

/// A colour in a theme file: `"#rrggbb"`, a name of the sixteen, a number of the 256, or `"default"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paint(pub Color);

impl<'de> Deserialize<'de> for Paint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(i64),
            Text(String),
        }
        let refused = |given: String| {
            de::Error::custom(format!(
                "{given} is no colour: expected \"#rrggbb\", a name (\"red\", \"light-red\", …), a \
                 number from 0 to 255, or \"default\""
            ))
        };
        match Form::deserialize(deserializer) {
            Ok(Form::Number(number)) => u8::try_from(number)
                .map(|number| Self(Color::Indexed(number)))
                .map_err(|_| refused(number.to_string())),
            Ok(Form::Text(text)) if text == "default" => Ok(Self(Color::Reset)),
            Ok(Form::Text(text)) => Color::from_str(&text)
                .map(Self)
                .map_err(|_| refused(format!("{text:?}"))),
            Err(_) => Err(refused("this".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_changes_what_it_names_and_nothing_else() {
        let own = Own::read(
            "base = \"light\"\n[palette]\naccent = \"#88c0d0\"\n[roles]\nblocked = { bg = 208, \
             bold = false }\n",
        )
        .unwrap();
        let light = Palette::named("light").unwrap();
        assert_eq!(own.style(Role::Key).fg, Some(Color::Rgb(0x88, 0xc0, 0xd0)));
        assert_eq!(own.style(Role::Error), light.style(Role::Error));
        let blocked = own.style(Role::Blocked);
        assert_eq!(blocked.bg, Some(Color::Indexed(208)));
        assert_eq!(blocked.fg, light.style(Role::Blocked).fg);
        assert!(blocked.add_modifier.is_empty());
    }

    #[test]
    fn mistakes_are_named_with_their_place_and_what_is_expected() {
        for (text, line, expected) in [
            ("base = \"drak\"", 1, "dark, light, 16, contrast, none"),
            ("\n[palette]\nacent = \"red\"", 3, "`accent`"),
            ("[palette]\naccent = \"reddish\"", 2, "#rrggbb"),
            ("[palette]\naccent = 256", 2, "0 to 255"),
            ("[palette]\naccent = true", 2, "#rrggbb"),
            ("[roles.erorr]\nfg = 1", 1, "error"),
            ("[roles.error]\nfog = 1", 2, "`fg`"),
            ("[roles.error]\nbold = 1", 2, "boolean"),
            ("[roles", 1, ""),
        ] {
            let problem = Own::read(text).unwrap_err();
            assert_eq!(problem.line, line, "{text:?}: {problem}");
            assert!(problem.what.contains(expected), "{text:?}: {problem}");
        }
    }
}
