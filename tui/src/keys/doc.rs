//! The key table as a page for people; docs/keys.md is exactly this.

use super::{Mode, TABLE};
use crate::state::command_line::COMMANDS;

const INTRODUCTION: &str = "# The console's keys

Generated from the key table (`tui/src/keys.rs`) by `INSTA_UPDATE=always cargo test -p opsctl-tui --test keys`;
a test compares. `?` in the console shows the same, with the keys as they are configured.

The configuration changes them by the names here: `[tui.keys]` takes for each action a list of keys, which replaces
those below; `[]` leaves it without. Keys are characters and names, with `ctrl-`, `alt-` and `shift-` before them:

```toml
[tui.keys]
zoom = [\"f5\", \"alt-z\"]
interrupt = [\"x\"]
```

An unknown action or key, or a key that would do two things in one place, is an error at the start that says what to do.
";

/// The heading of what the mouse does.
pub const MOUSE_HEADING: &str = "Mouse in a pane";

/// What the mouse does in a pane, for people; the page and the help in the console tell it.
pub const MOUSE: [(&str, &str); 5] = [
    ("drag", "select characters; letting go copies them"),
    ("double click", "select a word, or words with a drag"),
    ("triple click", "select a line, or lines with a drag"),
    ("alt-drag, ctrl-drag", "select a block"),
    ("wheel", "scroll"),
];

const COMMAND_LINE: &str = "
## The command line

`:` takes one of these; any start that only one has is enough, and Tab completes it. What fits is shown behind what is
typed. Those that take something are in the palette too.

| line | |
|---|---|
";

/// The page.
pub fn page() -> String {
    let mut page = vec![INTRODUCTION.to_owned()];
    let mut told: Vec<&str> = Vec::new();
    for mode in Mode::ALL {
        let rows = TABLE.iter().filter(|row| row.modes.contains(mode));
        let (shared, own): (Vec<_>, Vec<_>) = rows.partition(|row| told.contains(&row.name));
        page.push(format!("\n## {}\n\n", mode.heading()));
        if !own.is_empty() {
            page.push("| keys | action | |\n|---|---|---|\n".to_owned());
        }
        for row in own {
            let keys = each(row.keys.iter().map(|key| key.name()));
            page.push(format!("| {keys} | `{}` | {} |\n", row.name, row.help));
            told.push(row.name);
        }
        if !shared.is_empty() {
            let shared = each(shared.iter().map(|row| row.name.to_owned()));
            page.push(format!("\nAlso here, as above: {shared}.\n"));
        }
    }
    page.push(format!("\n## {MOUSE_HEADING}\n\n| mouse | |\n|---|---|\n"));
    for (gesture, help) in MOUSE {
        page.push(format!("| {gesture} | {help} |\n"));
    }
    page.push(COMMAND_LINE.to_owned());
    for (name, arguments, help) in COMMANDS {
        let line = format!(":{name} {arguments}").replace('|', "\\|");
        page.push(format!("| `{}` | {help} |\n", line.trim_end()));
    }
    page.concat()
}

/// Names as code, one after the other.
fn each(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    names.join(" ")
}
