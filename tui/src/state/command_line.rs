//! The `:` command line.

use super::View;
use super::roster::Grouping;
use crate::export::Form;

/// A command of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// `run CMD`: on the selected agent.
    Run(String),
    /// `send SELECT -- CMD`: on all that the selector covers.
    Send {
        /// Whom.
        selector: String,
        /// What, as a line for the shell.
        command: String,
    },
    /// `say TEXT` and `say-idle TEXT`: into the selected agent's terminal.
    Say {
        /// What.
        text: String,
        /// Whether it waits until the program is idle.
        when_idle: bool,
    },
    /// `interrupt`
    Interrupt,
    /// `kill`
    Kill,
    /// `filter TEXT`; without a text, none.
    Filter(String),
    /// `group KEY`
    Group(Grouping),
    /// `theme NAME`
    Theme(String),
    /// `grid` and `one`.
    Grid(bool),
    /// `zoom`
    Zoom,
    /// `close`
    Close,
    /// `attach`
    Attach,
    /// `logs ID`: a command by its id or the id's start.
    Logs(String),
    /// `export text|ansi|cast FILE`
    Export {
        /// As what.
        form: Form,
        /// Where to.
        path: String,
    },
    /// `fleet`, `commands`, `activity`, `connections`
    Show(View),
    /// `agents`
    Agents,
    /// `reconnect`
    Reconnect,
    /// `help`
    Help,
    /// `quit`
    Quit,
}

/// Every command with its arguments and what it does, for help and completion.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    ("run", "CMD", "run a command on the selected agent"),
    (
        "send",
        "SELECT -- CMD",
        "run a command on all that the selector covers",
    ),
    (
        "say",
        "TEXT",
        "type a message into the terminal of the selected agent",
    ),
    (
        "say-idle",
        "TEXT",
        "the same once its program is idle; it waits in the daemon",
    ),
    ("interrupt", "", "interrupt the command"),
    ("kill", "", "kill the command"),
    ("attach", "", "attach to the pane's terminal"),
    (
        "logs",
        "ID",
        "show a command's output; the start of the id is enough",
    ),
    (
        "export",
        "text|ansi|cast FILE",
        "write the pane to a file; cast: all output, for asciinema",
    ),
    ("filter", "TEXT", "show only what has these words"),
    (
        "group",
        "KEY",
        "group agents by a label's key, or by host, state, none",
    ),
    (
        "theme",
        "NAME",
        "show another theme: auto, dark, light, 16, contrast, none, or your own",
    ),
    ("grid", "", "all panes at once"),
    ("one", "", "one pane"),
    ("zoom", "", "one pane on the whole screen"),
    ("close", "", "close the pane"),
    ("agents", "", "back to the list of agents"),
    ("fleet", "", "the view Fleet"),
    ("inbox", "", "the view Inbox: what needs you"),
    ("commands", "", "the view Commands"),
    ("activity", "", "the view Activity"),
    ("connections", "", "the view Connections"),
    ("reconnect", "", "connect again now"),
    ("help", "", "keys and commands"),
    ("quit", "", "quit"),
];

impl Line {
    /// Reads a line. A command may be shortened to any start that only it has.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn read(line: &str) -> Result<Self, String> {
        let (word, rest) = line
            .trim()
            .split_once(char::is_whitespace)
            .unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        let name = full_name(word)?;
        let needs = |what: &str| {
            if rest.is_empty() {
                Err(format!("{name} needs {what}"))
            } else {
                Ok(rest.to_owned())
            }
        };
        Ok(match name {
            "run" => Self::Run(needs("a command")?),
            "send" => {
                let usage = || "send SELECT -- CMD".to_owned();
                let (selector, command) = rest.split_once(" -- ").ok_or_else(usage)?;
                let (selector, command) = (selector.trim().to_owned(), command.trim().to_owned());
                if selector.is_empty() || command.is_empty() {
                    return Err(usage());
                }
                Self::Send { selector, command }
            }
            "say" | "say-idle" => Self::Say {
                text: needs("a text")?,
                when_idle: name == "say-idle",
            },
            "export" => {
                let usage = || "export text|ansi|cast FILE".to_owned();
                let (form, path) = rest.split_once(char::is_whitespace).ok_or_else(usage)?;
                Self::Export {
                    form: Form::named(form).ok_or_else(usage)?,
                    path: path.trim().to_owned(),
                }
            }
            "logs" => Self::Logs(needs("a command's id")?),
            "group" => Self::Group(Grouping::named(&needs(
                "a label's key, host, state or none",
            )?)),
            "filter" => Self::Filter(rest.to_owned()),
            "theme" => Self::Theme(needs("a theme's name")?),
            "interrupt" => Self::Interrupt,
            "kill" => Self::Kill,
            "attach" => Self::Attach,
            "grid" => Self::Grid(true),
            "one" => Self::Grid(false),
            "zoom" => Self::Zoom,
            "close" => Self::Close,
            "agents" => Self::Agents,
            "fleet" => Self::Show(View::Fleet),
            "inbox" => Self::Show(View::Inbox),
            "commands" => Self::Show(View::Commands),
            "activity" => Self::Show(View::Activity),
            "connections" => Self::Show(View::Connections),
            "reconnect" => Self::Reconnect,
            "quit" => Self::Quit,
            _ => Self::Help,
        })
    }
}

/// What may follow what is typed so far: the commands that begin so, or of the only one what it takes and does.
pub fn offered(typed: &str) -> String {
    let (word, rest) = typed.split_once(char::is_whitespace).unwrap_or((typed, ""));
    let begun = typed.len() > word.len();
    let is_meant = |name: &&str| {
        if begun {
            *name == word
        } else {
            name.starts_with(word)
        }
    };
    let names = || COMMANDS.iter().map(|(name, ..)| *name).filter(is_meant);
    let mut fitting = COMMANDS.iter().filter(|(name, ..)| is_meant(name));
    match (fitting.next(), fitting.next()) {
        (Some((_, takes, help)), None) if rest.is_empty() => format!("{takes}  {help}"),
        (Some(_), Some(_)) => names().collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

fn full_name(word: &str) -> Result<&'static str, String> {
    let names = || COMMANDS.iter().map(|(name, ..)| *name);
    if let Some(name) = names().find(|name| *name == word) {
        return Ok(name);
    }
    let fitting: Vec<&str> = names().filter(|name| name.starts_with(word)).collect();
    match fitting.as_slice() {
        [name] => Ok(name),
        [] => Err(format!("{word:?} is not a command; :help lists them")),
        several => Err(format!("{word:?} may be {}", several.join(" or "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let send = Line::Send {
            selector: "web-* and env=prod".into(),
            command: "ls -l | wc".into(),
        };
        for (line, expected) in [
            ("run ls -l", Line::Run("ls -l".into())),
            ("  send web-* and env=prod -- ls -l | wc", send),
            ("q", Line::Quit),
            ("inter", Line::Interrupt),
            ("logs 12ab", Line::Logs("12ab".into())),
            ("filter", Line::Filter(String::new())),
        ] {
            assert_eq!(Line::read(line), Ok(expected), "{line}");
        }
        for line in [
            "nonsense",
            "r ls",
            "run",
            "send web-1 ls",
            "send  -- ls",
            "logs",
        ] {
            assert!(Line::read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn what_fits_is_offered() {
        for (typed, expected) in [
            ("ex", "text|ansi|cast FILE  write the pane"),
            ("export ", "text|ansi|cast FILE  write the pane"),
            ("gr", "group grid"),
            ("", "run send say"),
        ] {
            assert!(
                offered(typed).starts_with(expected),
                "{typed}: {}",
                offered(typed)
            );
        }
        for typed in ["export cast x", "nonsense", "r x"] {
            assert_eq!(offered(typed), "", "{typed}");
        }
    }

    #[test]
    fn every_command_listed_is_known() {
        for (name, arguments, _) in COMMANDS {
            let line = format!(
                "{name} {}",
                arguments
                    .replace("SELECT", "web-1")
                    .replace("text|ansi|cast", "cast")
            );
            assert!(Line::read(&line).is_ok(), "{line}");
        }
    }
}
