//! The shipped rules against captures of the real programs, and what bad books answer.

use std::path::PathBuf;

use super::*;

fn argv(words: &[&str]) -> Program {
    Program::Argv(words.iter().map(|word| (*word).to_owned()).collect())
}

/// A capture without its first line, which says where it comes from.
macro_rules! screen {
    ($name:literal) => {{
        let (origin, screen) = include_str!(concat!("screens/", $name, ".txt"))
            .split_once('\n')
            .unwrap();
        assert!(
            origin.starts_with("# "),
            "a capture says where it comes from"
        );
        screen
    }};
}

fn judge(program: &str, screen: &str) -> Option<(Activity, Option<String>, Option<Approval>)> {
    let (rules, errors) = Rules::new(&[]);
    assert_eq!(errors, []);
    let found = rules.judge(&argv(&[program]), None, "", screen)?;
    Some((found.activity, found.reason, found.approval))
}

fn approval(asked: &str, approve: &str, deny: &str) -> Approval {
    Approval {
        asked: asked.to_owned(),
        approve: approve.to_owned(),
        deny: deny.to_owned(),
    }
}

#[test]
fn approval_prompts_are_read_with_what_they_ask() {
    let cases = [
        (
            "claude",
            screen!("claude-approve-command"),
            "approval",
            "Bash command\n\n  rm -rf build && make test\n  Clean and run the tests\n\nThis command requires approval\n\nDo you want to proceed?",
            ("1", "\u{1b}"),
        ),
        (
            "codex",
            screen!("codex-approve-command"),
            "approval",
            "Would you like to run the following command?\n\n  Environment: local\n\n  Reason: Clean and run the tests\n\n  $ rm -rf build && make test",
            ("y", "\u{1b}"),
        ),
        (
            "aider",
            screen!("aider-approve-create"),
            "approval",
            "hello.py\nCreate new file? (Y)es/(N)o [Yes]:",
            ("y\r", "n\r"),
        ),
        (
            "aider",
            screen!("aider-approve-shell"),
            "approval",
            "python hello.py\nRun shell command? (Y)es/(N)o/(D)on't ask again [Yes]:",
            ("y\r", "n\r"),
        ),
    ];
    for (program, screen, reason, asked, (approve, deny)) in cases {
        let wanted = (
            Activity::Blocked,
            Some(reason.to_owned()),
            Some(approval(asked, approve, deny)),
        );
        assert_eq!(judge(program, screen), Some(wanted), "{program}\n{screen}");
    }
    let (_, _, asked) = judge("claude", screen!("claude-approve-write")).unwrap();
    let asked = asked.unwrap().asked;
    assert!(asked.starts_with("Create file\n hello.txt\n"), "{asked}");
    assert!(
        asked.ends_with("Do you want to create hello.txt?"),
        "{asked}"
    );
    for (program, screen) in [
        ("claude", screen!("claude-trust")),
        ("codex", screen!("codex-trust")),
    ] {
        let (activity, reason, asked) = judge(program, screen).unwrap();
        assert_eq!(
            (activity, reason.as_deref()),
            (Activity::Blocked, Some("trust"))
        );
        let asked = asked.unwrap();
        assert!(
            asked.asked.contains("/tmp/act-tools/cap/proj"),
            "{}",
            asked.asked
        );
        assert_eq!(asked.approve, "\r");
    }
}

#[test]
fn every_other_screen_is_known_too() {
    let cases = [
        ("claude", screen!("claude-working"), Activity::Working),
        ("claude", screen!("claude-idle"), Activity::Idle),
        ("claude", screen!("claude-question"), Activity::Blocked),
        ("codex", screen!("codex-working"), Activity::Working),
        ("codex", screen!("codex-idle"), Activity::Idle),
        ("aider", screen!("aider-working"), Activity::Working),
        ("aider", screen!("aider-idle"), Activity::Idle),
        ("bash", screen!("shells-idle"), Activity::Idle),
    ];
    for (program, screen, activity) in cases {
        let (found, _, asked) =
            judge(program, screen).unwrap_or_else(|| panic!("{program}\n{screen}"));
        assert_eq!((found, asked), (activity, None), "{program}\n{screen}");
    }
}

#[test]
fn nothing_is_guessed() {
    for text in [
        "",
        "some output",
        "Do you want to proceed?",
        "cost: 5$",
        "45%",
        "(Y)es/(N)o [Yes]: ma",
    ] {
        for program in ["claude", "codex", "aider", "bash", "vim"] {
            assert_eq!(judge(program, text), None, "{program}: {text}");
        }
    }
    // The prompt was answered: it has moved up, and something else stands below.
    let answered = format!(
        "{}\n{}",
        screen!("claude-approve-command"),
        "line\n".repeat(50)
    );
    assert_eq!(judge("claude", &answered), None);
}

#[test]
fn programs_are_known_by_their_words_and_by_their_title() {
    let (rules, _) = Rules::new(&[]);
    let name = |program: &Program, title: &str| {
        let book = rules.book(program, None, title);
        book.map(|book| book.name.clone())
    };
    let claude = Some("claude".to_owned());
    assert_eq!(name(&argv(&["/usr/bin/claude", "-c"]), ""), claude);
    assert_eq!(
        name(&argv(&["env", "A=1", "node", "/opt/claude.js"]), ""),
        claude
    );
    assert_eq!(
        name(&Program::Shell("cd /x && claude --resume".to_owned()), ""),
        claude
    );
    assert_eq!(name(&argv(&["bash"]), ""), Some("shells".to_owned()));
    assert_eq!(name(&argv(&["bash"]), "✳ Claude Code"), claude);
    assert_eq!(name(&argv(&["vim", "claude-notes"]), "vim"), None);
    let line = argv(&["bash", "-lc", "cd /x; claude; exec bash"]);
    assert_eq!(name(&line, ""), claude);
}

#[test]
fn what_is_in_front_counts_before_a_title_and_what_was_started() {
    let (rules, _) = Rules::new(&[]);
    let name = |program: &str, front: &str, title: &str| {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        let front = Foreground {
            argv: words(front),
            ..Foreground::default()
        };
        let program = Program::Argv(words(program));
        let book = rules.book(&program, Some(&front), title);
        book.map(|book| book.name.as_str())
    };
    for (program, front, title, book) in [
        // What was started, what is in front, the title, and whose rules count.
        ("bash", "bash", "", Some("shells")),
        ("bash", "node /usr/bin/codex", "", Some("codex")),
        ("bash", "/bin/sh ./claude -c", "", Some("claude")),
        ("bash", "bash", "✳ Claude Code", Some("shells")),
        ("bash", "ssh far", "✳ Claude Code", Some("claude")),
        ("bash", "ssh far", "", Some("shells")),
        ("bash", "sh ./wrap", "✳ Claude Code", Some("claude")),
        ("sh -c claude;bash", "sh -c claude;bash", "", Some("claude")),
        ("sh -c claude;bash", "bash", "", Some("shells")),
        ("claude", "", "", Some("claude")),
        ("top", "top", "", None),
    ] {
        assert_eq!(
            name(program, front, title),
            book,
            "{program:?} {front:?} {title}"
        );
    }
}

#[test]
fn a_users_book_goes_first_and_a_bad_one_says_where() {
    let file = |name: &str, text: &str| (PathBuf::from(name), text.to_owned());
    let own = "version = 1\nname = \"claude\"\n[match]\nprograms = [\"claude\"]\n[[rule]]\nstate = \"done\"\nscreen = ['fin']\n";
    let bad = [
        ("no.toml", "version = 1\nname = \n", 2, "string"),
        (
            "version.toml",
            "version = 7\nname = \"x\"\n[match]\n",
            1,
            "version 7",
        ),
        (
            "regex.toml",
            "version = 1\nname = \"x\"\n[match]\n[[rule]]\nstate = \"idle\"\nscreen = [\n'(',\n]\n",
            7,
            "regular expression",
        ),
        (
            "state.toml",
            "version = 1\nname = \"x\"\n[match]\n[[rule]]\nstate = \"busy\"\nscreen = ['x']\n",
            5,
            "\"busy\"",
        ),
        (
            "keys.toml",
            "version = 1\nname = \"x\"\n[match]\n[[rule]]\nstate = \"blocked\"\nscreen = ['x']\napprove = \"y\"\n",
            5,
            "`asked`",
        ),
        (
            "typo.toml",
            "version = 1\nname = \"x\"\n[match]\nprogram = [\"x\"]\n",
            4,
            "program",
        ),
        (
            "all.toml",
            "version = 1\nname = \"x\"\n[match]\n[[rule]]\nstate = \"idle\"\n",
            5,
            "everything",
        ),
    ];
    let mut files = vec![file("own.toml", own)];
    files.extend(bad.iter().map(|(name, text, ..)| file(name, text)));
    let (rules, errors) = Rules::new(&files);
    assert_eq!(errors.len(), bad.len());
    for (error, (name, _, line, part)) in errors.iter().zip(&bad) {
        let told = error.to_string();
        assert!(told.starts_with(&format!("{name}:{line}: ")), "{told}");
        assert!(
            told.contains(part) && told.contains("remove the file"),
            "{told}"
        );
    }
    let found = rules.judge(&argv(&["claude"]), None, "", "fin").unwrap();
    assert_eq!(found.activity, Activity::Done);
    assert!(
        rules
            .judge(&argv(&["claude"]), None, "", screen!("claude-idle"))
            .is_none()
    );
    assert!(
        rules
            .judge(&argv(&["codex"]), None, "", screen!("codex-idle"))
            .is_some()
    );
}
