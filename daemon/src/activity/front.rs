//! What it means that something is in front in a terminal: which program runs there, and whether it is a shell that waits for
//! a command. Pure.

use opsctl_protocol::message::{Foreground, Program};

use super::rules::names;

/// Programs that read commands from a person, by their names.
const SHELLS: [&str; 15] = [
    "ash", "bash", "csh", "dash", "elvish", "fish", "ksh", "ksh93", "mksh", "nu", "rbash", "sh",
    "tcsh", "yash", "zsh",
];

/// Long options of shells that take the next word.
const WITH_VALUE: [&str; 4] = ["--rcfile", "--init-file", "--init-command", "--features"];

/// Long options that make a shell run a command and end.
const RUNS_COMMAND: [&str; 2] = ["--command", "--commands"];

/// Whether it is a shell at its prompt: it was started to read commands, is in front itself, and waits for input.
pub fn is_prompt(front: &Foreground) -> bool {
    front.reads && is_shell(&front.argv) && takes_commands(&front.argv[1..])
}

/// The program that is in front. Of a shell that runs a script or a line, what it runs.
pub(super) fn program(front: &Foreground) -> Program {
    let argv = &front.argv;
    let runs_script = is_shell(argv) && !takes_commands(&argv[1..]);
    Program::Argv(argv[usize::from(runs_script)..].to_vec())
}

/// Whether it is opsctl itself, with a word of the person who typed it.
pub fn is_opsctl(front: &Foreground) -> bool {
    names(&Program::Argv(front.argv.clone())).any(|name| name == "opsctl")
}

fn is_shell(argv: &[String]) -> bool {
    let Some(word) = argv.first() else {
        return false;
    };
    // A login shell's name begins with a dash.
    let word = word.strip_prefix('-').unwrap_or(word);
    SHELLS.contains(&word.rsplit('/').next().unwrap_or(word))
}

/// Whether a shell with these arguments reads commands from its terminal: none of them is a script or a line to run.
fn takes_commands(arguments: &[String]) -> bool {
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let takes_value = if let Some(long) = word.strip_prefix("--") {
            if RUNS_COMMAND.contains(&word) || word.starts_with("--command=") {
                return false;
            }
            // What follows the end of the options is a script.
            if long.is_empty() {
                return words.next().is_none();
            }
            WITH_VALUE.contains(&word)
        } else if let Some(letters) = word.strip_prefix(['-', '+']) {
            if letters.contains('c') {
                return false;
            }
            // What follows are arguments for commands that are read from standard input.
            if letters.contains('s') {
                return true;
            }
            letters.ends_with(['o', 'O', 'C'])
        } else {
            return false;
        };
        if takes_value {
            words.next();
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(line: &str) -> Foreground {
        Foreground {
            argv: line.split_whitespace().map(str::to_owned).collect(),
            own: true,
            reads: true,
        }
    }

    #[test]
    fn a_shell_that_reads_commands_is_at_its_prompt() {
        for line in [
            "bash",
            "-bash",
            "/bin/zsh -i",
            "sh",
            "bash --rcfile rc -i",
            "bash -o vi +O extglob",
            "fish -C date",
            "bash -s one two",
            "bash --",
        ] {
            assert!(is_prompt(&front(line)), "{line}");
            let busy = Foreground {
                reads: false,
                ..front(line)
            };
            assert!(!is_prompt(&busy), "{line}");
            assert_eq!(program(&busy), Program::Argv(busy.argv), "{line}");
        }
    }

    #[test]
    fn one_that_runs_something_is_not() {
        for line in [
            "bash script",
            "sh -c claude",
            "bash -lc claude",
            "zsh -o vi script",
            "bash -- script",
            "fish --command=date",
            "/bin/sh ./deploy.sh",
        ] {
            let front = front(line);
            assert!(!is_prompt(&front), "{line}");
            assert_eq!(program(&front), Program::Argv(front.argv[1..].to_vec()));
        }
        for line in ["", "claude", "vim", "node /usr/bin/codex", "bashful"] {
            let front = front(line);
            assert!(!is_prompt(&front), "{line}");
            assert_eq!(program(&front), Program::Argv(front.argv), "{line}");
        }
    }

    #[test]
    fn opsctl_is_known_under_what_starts_it() {
        assert!(is_opsctl(&front("/usr/bin/opsctl report blocked")));
        assert!(is_opsctl(&front("timeout 5 opsctl report idle")));
        assert!(!is_opsctl(&front("claude")));
    }
}
