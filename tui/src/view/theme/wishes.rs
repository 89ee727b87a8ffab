//! What the settings ask for, and what the environment says where they leave it open.

use serde::{Deserialize, Serialize};

use super::own::Own;
use super::palette::{Palette, without_colours};
use super::{Depth, Theme};

/// What the person wants it to look like.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Which theme.
    pub theme: Choice,
    /// How many colours there are.
    pub colors: Colors,
    /// Whether only ASCII is drawn.
    pub ascii: Ascii,
}

/// Which theme.
#[derive(Debug, Clone, Default)]
pub enum Choice {
    /// `dark` or `light` where the terminal says which background it has (`COLORFGBG`), else `16`, which
    /// suits both.
    #[default]
    Auto,
    /// A built-in one.
    BuiltIn(&'static str),
    /// The person's own.
    Own(Box<Own>),
}

/// How many colours there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Colors {
    /// By `NO_COLOR`, `COLORTERM` and `TERM`; all others are taken at their word, also against `NO_COLOR`.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// All.
    #[serde(rename = "truecolor")]
    True,
    /// xterm's 256.
    #[serde(rename = "256")]
    Indexed,
    /// Sixteen.
    #[serde(rename = "16")]
    Sixteen,
    /// None.
    #[serde(rename = "none")]
    None,
}

/// Whether only ASCII is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ascii {
    /// Where the locale has another character set than UTF-8, and on terminals that lack the signs.
    #[default]
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

/// Terminals that have all colours, and whose descriptions don't say so.
const TRUE_COLOR: [&str; 7] = [
    "xterm-kitty",
    "xterm-ghostty",
    "alacritty",
    "foot",
    "wezterm",
    "contour",
    "iterm",
];

impl Wishes {
    /// The same with another theme.
    #[must_use]
    pub fn with(&self, theme: Choice) -> Self {
        Self {
            theme,
            ..self.clone()
        }
    }

    /// The theme for a terminal with this environment.
    pub fn theme(&self, env: impl Fn(&str) -> Option<String>) -> Theme {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let depth = match self.colors {
            Colors::Auto => depth(&env),
            Colors::True => Depth::True,
            Colors::Indexed => Depth::Indexed,
            Colors::Sixteen => Depth::Sixteen,
            Colors::None => Depth::None,
        };
        let ascii = match self.ascii {
            Ascii::Always => true,
            Ascii::Never => false,
            Ascii::Auto => lacks_unicode(&env),
        };
        let built_in = |name| match Palette::named(name) {
            Some(palette) => Theme::new(|role| palette.style(role), depth, ascii),
            None => Theme::new(without_colours, Depth::None, ascii),
        };
        match &self.theme {
            Choice::Auto => built_in(by_background(&env)),
            Choice::BuiltIn(name) => built_in(name),
            Choice::Own(own) => Theme::new(|role| own.style(role), depth, ascii),
        }
    }
}

/// The colours of the terminal, as the environment says.
fn depth(env: &impl Fn(&str) -> Option<String>) -> Depth {
    if env("NO_COLOR").is_some() {
        return Depth::None;
    }
    let term = env("TERM").unwrap_or_default();
    let color_term = env("COLORTERM").unwrap_or_default();
    if matches!(term.as_str(), "" | "dumb") || term.starts_with("vt") {
        Depth::None
    } else if matches!(color_term.as_str(), "truecolor" | "24bit")
        || term.ends_with("-direct")
        || TRUE_COLOR.iter().any(|known| term.starts_with(known))
    {
        Depth::True
    } else if term.contains("256color") || !color_term.is_empty() {
        Depth::Indexed
    } else {
        Depth::Sixteen
    }
}

/// Whether the terminal can't be trusted with more than ASCII. Without any locale it can: today that is a
/// container or a unit, seen on a terminal that has UTF-8.
fn lacks_unicode(env: &impl Fn(&str) -> Option<String>) -> bool {
    let term = env("TERM").unwrap_or_default();
    // The Linux console has 256 or 512 characters, and most signs aren't among them.
    if matches!(term.as_str(), "linux" | "dumb") || term.starts_with("vt") {
        return true;
    }
    let locale = env("LC_ALL").or(env("LC_CTYPE")).or(env("LANG"));
    locale.is_some_and(|locale| {
        let locale = locale.to_lowercase();
        !locale.contains("utf-8") && !locale.contains("utf8")
    })
}

/// `COLORFGBG` is `foreground;background` (rxvt, Konsole, iTerm), perhaps with something between; from 7
/// on, but for 8, the background is light.
fn by_background(env: &impl Fn(&str) -> Option<String>) -> &'static str {
    let said = env("COLORFGBG").unwrap_or_default();
    let background = said.rsplit(';').next().and_then(|text| text.parse().ok());
    match background {
        Some(0..=6 | 8_u8) => "dark",
        Some(7 | 9..=15) => "light",
        _ => "16",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(given: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| {
            let found = given.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        }
    }

    #[test]
    fn the_environment_says_how_many_colours_there_are() {
        for (given, expected) in [
            (
                &[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")][..],
                Depth::True,
            ),
            (&[("TERM", "xterm-direct")], Depth::True),
            (&[("TERM", "xterm-kitty")], Depth::True),
            (&[("TERM", "screen-256color")], Depth::Indexed),
            (&[("TERM", "rxvt"), ("COLORTERM", "rxvt")], Depth::Indexed),
            (&[("TERM", "linux")], Depth::Sixteen),
            (&[("TERM", "xterm")], Depth::Sixteen),
            (&[("TERM", "vt220")], Depth::None),
            (&[("TERM", "dumb")], Depth::None),
            (&[], Depth::None),
            (&[("TERM", "xterm-kitty"), ("NO_COLOR", "1")], Depth::None),
            (&[("TERM", "xterm-kitty"), ("NO_COLOR", "")], Depth::True),
        ] {
            let theme = Wishes::default().theme(env(given));
            assert_eq!(theme.depth(), expected, "{given:?}");
        }
    }

    #[test]
    fn a_setting_wins_over_no_color() {
        let wishes = Wishes {
            colors: Colors::Indexed,
            ..Wishes::default()
        };
        assert_eq!(
            wishes.theme(env(&[("NO_COLOR", "1")])).depth(),
            Depth::Indexed
        );
    }

    #[test]
    fn the_locale_says_whether_there_is_more_than_ascii() {
        for (given, ascii) in [
            (&[][..], false),
            (&[("LANG", "C.UTF-8")], false),
            (&[("LANG", "de_DE.utf8")], false),
            (&[("LANG", "C")], true),
            (
                &[("LANG", "de_DE.UTF-8"), ("LC_ALL", "de_DE.ISO-8859-1")],
                true,
            ),
            (&[("LANG", "de_DE.UTF-8"), ("TERM", "linux")], true),
        ] {
            assert_eq!(lacks_unicode(&env(given)), ascii, "{given:?}");
        }
    }

    #[test]
    fn the_background_chooses_the_theme() {
        for (said, expected) in [
            ("15;0", "dark"),
            ("0;default;15", "light"),
            ("x", "16"),
            ("", "16"),
        ] {
            assert_eq!(by_background(&env(&[("COLORFGBG", said)])), expected);
        }
    }
}
