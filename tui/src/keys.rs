//! The one key table: what each key does in each mode. Dispatch, hints, help, palette, docs/keys.md and the
//! configuration's `[tui.keys]` all come from it.
//!
//! - [`mode`]: what can have the keyboard.
//! - [`key`]: a key, as terminals report it and people write it.
//! - [`map`]: the table with the configuration's keys.
//! - [`doc`]: the table as a page.

pub mod doc;
pub mod key;
pub mod map;
pub mod mode;

use crossterm::event::{KeyCode, KeyModifiers};

pub use key::{Key, NoKey};
pub use map::{Keymap, KeysError, text};
pub use mode::{Mode, Modes};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the table says what each does")]
pub enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Left,
    Right,
    Open,
    OpenBeside,
    ShowFleet,
    ShowInbox,
    ShowCommands,
    ShowActivity,
    ShowConnections,
    Palette,
    Approve,
    Deny,
    Say,
    SayWhenIdle,
    Cancel,
    Again,
    Back,
    NextPane,
    PreviousPane,
    Zoom,
    Grid,
    ClosePane,
    Run,
    Interrupt,
    Kill,
    Attach,
    Detach,
    CommandLine,
    Filter,
    Search,
    NextMatch,
    PreviousMatch,
    PreviousPrompt,
    NextPrompt,
    CopyMode,
    SelectChar,
    SelectLine,
    SelectBlock,
    WordForward,
    WordBack,
    Yank,
    Edit,
    Clear,
    Times,
    Mark,
    Mirror,
    NextNeed,
    PreviousNeed,
    GroupBy,
    See,
    Mouse,
    NextTheme,
    Sort,
    Reconnect,
    Help,
    Suspend,
    Redraw,
    Quit,
    Accept,
    Yes,
    Complete,
    EraseLine,
    EraseWord,
    LineStart,
    LineEnd,
}

const fn plain(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::NONE)
}

const fn ctrl(c: char) -> Key {
    Key(KeyCode::Char(c), KeyModifiers::CONTROL)
}

const fn special(code: KeyCode) -> Key {
    Key(code, KeyModifiers::NONE)
}

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    /// Where it holds.
    pub modes: Modes,
    /// What the configuration calls it.
    pub name: &'static str,
    /// Its keys where the configuration says nothing, the one to show first.
    pub keys: &'static [Key],
    /// What they do.
    pub action: Action,
    /// A word or two for the line at the bottom, which has rows in the table's order as far as there is room;
    /// empty for what doesn't matter there.
    pub hint: &'static str,
    /// What they do, for people.
    pub help: &'static str,
}

use Mode::{
    Activity, Agents, AllCommands, Attached, Commands, Confirm, Connections, Copying, Help, Inbox,
    Palette, Pane, Prompt,
};

/// Only in these modes.
const fn of(modes: &[Mode]) -> Modes {
    Modes::of(modes)
}

const LISTS: Modes = of(&[Agents, Commands]);
const PANES: Modes = of(&[Pane, Copying]);
/// What is about agents, commands and their panes.
const FLEET: Modes = LISTS.and(&[Pane]);
/// The views other than the fleet.
const ROOMS: Modes = of(&[Inbox, AllCommands, Activity, Connections]);
/// Wherever no line is typed and no question asked.
const MAIN: Modes = ROOMS.and(&[Agents, Commands, Pane]);
/// What has a first line and a last one. Copy mode has keys of its own for them.
const ENDS: Modes = MAIN.and(&[Help]);
/// What moves through lines.
const LINES: Modes = ENDS.and(&[Copying]);
/// Where a command can be steered.
const COMMANDS: Modes = FLEET.and(&[AllCommands]);
/// Where something can be said to a program.
const TERMINALS: Modes = COMMANDS.and(&[Inbox]);
/// Where a line is typed.
const TYPED: Modes = of(&[Prompt, Palette]);

macro_rules! table {
    ($($modes:expr, $name:literal, [$($key:expr),+], $action:ident, $hint:literal, $help:literal;)+) => {
        &[$(Binding {
            modes: $modes, name: $name, keys: &[$($key),+], action: Action::$action, hint: $hint, help: $help,
        }),+]
    };
}

/// All keys. What matters most in a mode comes first.
pub const TABLE: &[Binding] = table! {
    of(&[Agents]), "open-agent", [special(KeyCode::Enter), plain('o')], Open, "commands", "the agent's commands; of a group, fold or unfold it";
    of(&[Agents]), "next-need", [plain('n')], NextNeed, "needs you", "the next that needs you: blocked, failed or done";
    of(&[Agents]), "previous-need", [plain('N')], PreviousNeed, "", "the one before that needs you";
    of(&[Agents]), "mark", [plain(' ')], Mark, "mark", "mark for run, interrupt, kill and open, or no longer; of a group, all in it";
    of(&[Agents]), "unmark", [special(KeyCode::Esc)], Back, "", "take the filter away, or else the marks";
    of(&[Agents]), "open-terminals", [plain('+')], OpenBeside, "", "show the terminals of the marked agents, or the selected one's, in further panes";
    of(&[Agents]), "seen", [plain('s')], See, "", "seen: it no longer needs you";
    of(&[Agents]), "group", [plain('b')], GroupBy, "", "group by host, state, each label, or not at all";
    of(&[Agents]), "fold", [special(KeyCode::Left), plain('h')], Left, "", "fold the group";
    of(&[Agents]), "unfold", [special(KeyCode::Right), plain('l')], Right, "", "unfold the group";
    of(&[Commands]), "open", [special(KeyCode::Enter), plain('o')], Open, "show", "show the command in the pane";
    of(&[Commands]), "open-beside", [plain('+'), plain(' ')], OpenBeside, "show beside", "show the command in a further pane";
    of(&[Inbox]), "item.open", [special(KeyCode::Enter), plain('o')], Open, "open", "open the terminal in a pane";
    of(&[Inbox]), "item.approve", [plain('a')], Approve, "approve", "approve what its program asks; shows that and the keys, and asks first";
    of(&[Inbox]), "item.deny", [plain('d')], Deny, "deny", "deny what its program asks; shows that and the keys, and asks first";
    of(&[Inbox]), "item.seen", [plain('x')], See, "seen", "seen: it no longer needs you";
    of(&[Inbox]), "item.interrupt", [plain('i'), ctrl('c')], Interrupt, "interrupt", "interrupt its command";
    of(&[AllCommands]), "output", [special(KeyCode::Enter), plain('o')], Open, "output", "show the command's output in a pane";
    of(&[AllCommands]), "again", [plain('r')], Again, "run again", "run the command once more; asks first";
    of(&[AllCommands]), "cancel", [plain('d'), special(KeyCode::Delete)], Cancel, "cancel", "take a waiting command out of its queue; asks first";
    of(&[Activity]), "go-to-agent", [special(KeyCode::Enter), plain('o')], Open, "go there", "go to the agent that the line is of";
    COMMANDS, "attach", [plain('a')], Attach, "attach", "attach: every key goes to the terminal";
    FLEET, "mirror", [plain('M')], Mirror, "", "type into all marked agents' terminals at once, or into all panes";
    FLEET, "run", [plain('r')], Run, "run", "run a command on the agent";
    COMMANDS, "interrupt", [plain('x'), ctrl('c')], Interrupt, "interrupt", "interrupt the command";
    COMMANDS, "kill", [plain('K')], Kill, "", "kill the command";
    TERMINALS, "say", [plain('S')], Say, "say", "type a message into the terminal, or into all marked agents'";
    TERMINALS, "say-when-idle", [plain('I')], SayWhenIdle, "", "the same once its program is idle; it waits in the daemon";
    LISTS, "filter", [plain('/')], Filter, "filter", "filter the list";
    of(&[Activity]), "narrow-activity", [plain('/')], Filter, "filter", "filter by words, level:error, from:web-*";
    of(&[AllCommands]), "narrow", [plain('/')], Filter, "filter", "filter by words, state:failed, agent:web-*, exit:!0, by:alice";
    PANES, "search", [plain('/')], Search, "search", "search for a regular expression, upwards";
    of(&[Pane]), "copy-mode", [plain('v')], CopyMode, "copy", "copy mode: select text by keys";
    FLEET, "next-pane", [special(KeyCode::Tab)], NextPane, "next", "the next pane, or the list";
    FLEET, "previous-pane", [special(KeyCode::BackTab)], PreviousPane, "", "the previous pane, or the list";
    FLEET, "zoom", [plain('z')], Zoom, "zoom", "one pane on the whole screen, and back";
    FLEET, "grid", [plain('g')], Grid, "", "all panes at once, or one";
    FLEET, "close-pane", [plain('w')], ClosePane, "", "close the pane";
    of(&[Commands]), "back-to-agents", [special(KeyCode::Esc), special(KeyCode::Left)], Back, "agents", "take the filter away, or back to the agents";
    of(&[Pane]), "back-to-list", [special(KeyCode::Esc)], Back, "list", "back to the list";
    ROOMS, "back-to-fleet", [special(KeyCode::Esc)], Back, "fleet", "take the filter away, or back to the fleet";
    of(&[Connections]), "sort", [plain('s')], Sort, "sort", "sort by time, latency, rate, name or address";
    of(&[Connections]), "reconnect-now", [special(KeyCode::Enter)], Reconnect, "reconnect", "connect again now";
    LINES, "up", [special(KeyCode::Up), plain('k')], Up, "", "up, or scroll up by a line";
    LINES, "down", [special(KeyCode::Down), plain('j')], Down, "", "down, or scroll down by a line";
    LINES, "page-up", [special(KeyCode::PageUp), ctrl('b')], PageUp, "", "a page up";
    LINES, "page-down", [special(KeyCode::PageDown), ctrl('f')], PageDown, "", "a page down";
    ENDS, "first", [special(KeyCode::Home), plain('0')], First, "", "the first, or the oldest line";
    ENDS, "last", [special(KeyCode::End), plain('G')], Last, "", "the last; in a pane, follow the output again";
    of(&[Pane]), "left", [special(KeyCode::Left), plain('h')], Left, "", "look further left in a wide terminal";
    of(&[Pane]), "right", [special(KeyCode::Right), plain('l')], Right, "", "look further right in a wide terminal";
    PANES, "next-match", [plain('n')], NextMatch, "", "the next match, further up";
    PANES, "previous-match", [plain('N')], PreviousMatch, "", "the match before, further down";
    PANES, "previous-prompt", [plain('{')], PreviousPrompt, "", "the prompt before (of shells that mark it)";
    PANES, "next-prompt", [plain('}')], NextPrompt, "", "the next prompt";
    of(&[Pane]), "edit", [plain('e')], Edit, "", "open all lines in $EDITOR";
    of(&[Pane]), "times", [plain('t')], Times, "", "show when each line arrived, or no longer";
    of(&[Pane]), "clear", [plain('c')], Clear, "", "forget the lines above the screen";
    of(&[Copying]), "copy.select", [plain('v'), plain(' ')], SelectChar, "select", "select characters, or nothing again";
    of(&[Copying]), "copy.select-lines", [plain('V')], SelectLine, "lines", "select lines";
    of(&[Copying]), "copy.select-block", [ctrl('v')], SelectBlock, "block", "select a block";
    of(&[Copying]), "copy.yank", [plain('y'), special(KeyCode::Enter)], Yank, "copy", "copy what is selected, else the link or the line";
    of(&[Copying]), "copy.left", [special(KeyCode::Left), plain('h')], Left, "", "left";
    of(&[Copying]), "copy.right", [special(KeyCode::Right), plain('l')], Right, "", "right";
    of(&[Copying]), "copy.word-forward", [plain('w')], WordForward, "", "to the next word";
    of(&[Copying]), "copy.word-back", [plain('b')], WordBack, "", "to the word before";
    of(&[Copying]), "copy.line-start", [special(KeyCode::Home), plain('0')], LineStart, "", "to the start of the line";
    of(&[Copying]), "copy.line-end", [special(KeyCode::End), plain('$')], LineEnd, "", "to the end of the line";
    of(&[Copying]), "copy.first", [plain('g')], First, "", "to the oldest line";
    of(&[Copying]), "copy.last", [plain('G')], Last, "", "to the newest line";
    of(&[Copying]), "copy.leave", [special(KeyCode::Esc), plain('q'), ctrl('c')], Back, "leave", "leave copy mode";
    of(&[Attached]), "detach", [ctrl(']'), ctrl('5')], Detach, "leaves; all other keys go to the terminal", "leave the terminal";
    MAIN, "view-fleet", [plain('1')], ShowFleet, "", "the fleet: agents and panes";
    MAIN, "view-inbox", [plain('2')], ShowInbox, "", "the inbox: what needs you, with its screen";
    MAIN, "view-commands", [plain('3')], ShowCommands, "", "commands: the queue and the history of the whole fleet";
    MAIN, "view-activity", [plain('4')], ShowActivity, "", "activity: notifications, tasks, logs and trouble";
    MAIN, "view-connections", [plain('5')], ShowConnections, "", "the connection to the daemon, and who else is connected";
    MAIN, "palette", [ctrl('k')], Palette, "palette", "palette: find actions, agents, panes and commands by a few letters";
    MAIN, "command-line", [plain(':')], CommandLine, "command line", "command line";
    MAIN, "help", [plain('?'), special(KeyCode::F(1))], Help, "help", "this help";
    MAIN, "quit", [plain('q')], Quit, "quit", "quit; commands go on";
    MAIN, "reconnect", [plain('R')], Reconnect, "", "connect again now";
    MAIN, "mouse", [plain('m')], Mouse, "", "the mouse to the terminal, or back to opsctl";
    MAIN, "theme", [plain('T')], NextTheme, "", "the next theme; it is remembered";
    MAIN, "redraw", [ctrl('l')], Redraw, "", "draw everything anew";
    MAIN, "suspend", [ctrl('z')], Suspend, "", "suspend the console";
    of(&[Help]), "help.search", [plain('/')], Filter, "search", "show only the lines that have these words";
    of(&[Help]), "help.close", [special(KeyCode::Esc), plain('q'), plain('?')], Back, "close", "close the help";
    of(&[Prompt]), "line.accept", [special(KeyCode::Enter)], Accept, "", "do it";
    of(&[Prompt]), "line.leave", [special(KeyCode::Esc), ctrl('c')], Back, "", "leave the line";
    of(&[Prompt]), "line.older", [special(KeyCode::Up), ctrl('p')], Up, "", "the line before";
    of(&[Prompt]), "line.newer", [special(KeyCode::Down), ctrl('n')], Down, "", "the line after";
    of(&[Prompt]), "line.complete", [special(KeyCode::Tab)], Complete, "", "complete the word";
    of(&[Palette]), "palette.choose", [special(KeyCode::Enter)], Accept, "choose", "do it, or go there";
    of(&[Palette]), "palette.up", [special(KeyCode::Up), ctrl('p')], Up, "", "up";
    of(&[Palette]), "palette.down", [special(KeyCode::Down), ctrl('n')], Down, "", "down";
    of(&[Palette]), "palette.page-up", [special(KeyCode::PageUp)], PageUp, "", "a page up";
    of(&[Palette]), "palette.page-down", [special(KeyCode::PageDown)], PageDown, "", "a page down";
    of(&[Palette]), "palette.close", [special(KeyCode::Esc), ctrl('k'), ctrl('c')], Back, "close", "close the palette";
    TYPED, "line.start", [special(KeyCode::Home), ctrl('a')], LineStart, "", "to the start";
    TYPED, "line.end", [special(KeyCode::End), ctrl('e')], LineEnd, "", "to the end";
    TYPED, "line.erase", [ctrl('u')], EraseLine, "", "erase up to the start";
    TYPED, "line.erase-word", [ctrl('w')], EraseWord, "", "erase a word";
    of(&[Confirm]), "question.up", [special(KeyCode::Up), plain('k')], Up, "", "earlier lines of what is asked, where it has more than fit";
    of(&[Confirm]), "question.down", [special(KeyCode::Down), plain('j')], Down, "", "later lines";
    of(&[Confirm]), "yes", [plain('y'), plain('Y')], Yes, "", "yes";
    of(&[Confirm]), "no", [special(KeyCode::Esc), special(KeyCode::Enter), plain('n'), plain('q'), ctrl('c')], Back, "", "no";
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_has_two_meanings_in_a_mode() {
        let mut seen = HashSet::new();
        for binding in TABLE {
            for mode in binding.modes.each() {
                for key in binding.keys {
                    assert!(seen.insert((mode, *key)), "{key} twice in {mode:?}");
                }
            }
        }
    }

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let mut seen = HashSet::new();
        assert!(TABLE.iter().all(|row| seen.insert(row.name)));
    }

    #[test]
    fn every_key_can_be_written() {
        for key in TABLE.iter().flat_map(|row| row.keys) {
            assert_eq!(key.name().parse(), Ok(*key));
        }
    }

    #[test]
    fn attached_leaves_only_one_chord() {
        let chords = TABLE
            .iter()
            .filter(|binding| binding.modes.contains(Attached));
        assert_eq!(chords.count(), 1);
    }
}
