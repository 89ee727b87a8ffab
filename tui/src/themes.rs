//! The themes that there are: the built-in ones, and the person's own in files.

use std::io;
use std::path::PathBuf;

use crate::view::theme::BUILT_IN;
use crate::view::theme::own::{Own, Problem};
use crate::view::theme::wishes::Choice;

/// What goes by the terminal rather than by a name.
const AUTO: &str = "auto";

/// Own themes that are listed; a file beyond them is found by its name all the same.
const LISTED: usize = 100;

/// Where themes come from.
#[derive(Debug, Clone, Default)]
pub struct Themes {
    /// The directory of the person's own; none where it isn't known.
    pub dir: Option<PathBuf>,
}

/// Why there is no such theme.
#[derive(Debug, thiserror::Error)]
pub enum NoTheme {
    /// It isn't a built-in one, and nobody knows where others would be.
    #[error("there is no theme {name:?}: expected auto or one of {}", BUILT_IN.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// Its file can't be read.
    #[error("there is no theme {name:?}: {} cannot be read: {why}", path.display())]
    Unread {
        /// What was asked for.
        name: String,
        /// The file.
        path: PathBuf,
        /// Why not.
        why: io::Error,
    },
    /// Its file is no theme.
    #[error("{}:{}:{}: {}", path.display(), problem.line, problem.column, problem.what)]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        problem: Problem,
    },
}

impl Themes {
    /// The theme of this name. A file is read each time, so that who writes one sees it by choosing it again.
    ///
    /// # Errors
    /// When there is none, or its file is wrong.
    pub fn choice(&self, name: &str) -> Result<Choice, NoTheme> {
        if name == AUTO {
            return Ok(Choice::Auto);
        }
        if let Some(name) = BUILT_IN.into_iter().find(|known| *known == name) {
            return Ok(Choice::BuiltIn(name));
        }
        let dir = self.dir.as_ref().filter(|_| is_name(name));
        let Some(path) = dir.map(|dir| dir.join(format!("{name}.toml"))) else {
            let name = name.to_owned();
            return Err(NoTheme::Unknown { name });
        };
        match std::fs::read_to_string(&path) {
            Err(why) => Err(NoTheme::Unread {
                name: name.to_owned(),
                path,
                why,
            }),
            Ok(text) => Own::read(&text)
                .map(|own| Choice::Own(Box::new(own)))
                .map_err(|problem| NoTheme::Wrong { path, problem }),
        }
    }

    /// The names of all, the built-in ones first.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = [AUTO]
            .into_iter()
            .chain(BUILT_IN)
            .map(str::to_owned)
            .collect();
        let files = self
            .dir
            .as_ref()
            .and_then(|dir| std::fs::read_dir(dir).ok());
        let own = files.into_iter().flatten().flatten().filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            name.strip_suffix(".toml").map(str::to_owned)
        });
        let fresh = |name: &String| is_name(name) && !names.contains(name);
        let mut own: Vec<String> = own.filter(fresh).collect();
        own.sort_unstable();
        own.truncate(LISTED);
        names.append(&mut own);
        names
    }
}

/// Whether it is a name and no path: themes are looked for in one place.
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || "-_".contains(c);
    !name.is_empty() && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_ones_come_first_and_own_ones_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("night.toml", "base = \"dark\""),
            ("day.toml", "base = \"light\""),
            ("broken.toml", "bass = 1"),
            ("dark.toml", ""),
            ("no theme.toml", ""),
            ("notes.txt", ""),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let themes = Themes {
            dir: Some(dir.path().to_owned()),
        };
        let names = themes.names();
        assert_eq!(names[..3], ["auto", "dark", "light"]);
        assert_eq!(names[names.len() - 3..], ["broken", "day", "night"]);
        assert!(matches!(themes.choice("night"), Ok(Choice::Own(_))));
        assert!(matches!(themes.choice("dark"), Ok(Choice::BuiltIn("dark"))));
        let told = |name| themes.choice(name).unwrap_err().to_string();
        assert!(
            told("broken").contains("broken.toml:1:1"),
            "{}",
            told("broken")
        );
        assert!(told("none-such").contains("cannot be read"));
        assert!(told("../dark").contains("expected auto or one of dark"));
    }
}
