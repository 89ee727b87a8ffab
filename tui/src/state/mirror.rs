//! What is typed goes to several terminals at once: begun after a question, seen everywhere, ended by the key that leaves a
//! terminal (every other key belongs to the programs).
//!
//! Only to terminals that are open in panes, of which there are at most [`MAX_PANES`](super::MAX_PANES): each gets its keys
//! in the form that its own program asked for, and nobody types into what he can't look at.

use opsctl_protocol::CommandId;
use opsctl_protocol::limits::MAX_INPUT_PIECE;
use opsctl_terminal::Modes;

use super::{Effect, Focus, Overlay, State};

/// Text that is pasted at once, in bytes: as much as may be on its way to a program.
pub(super) const LARGEST_PASTE: usize = opsctl_protocol::limits::INPUT_WINDOW as usize;

impl State {
    /// Asks whether to type into the terminals of all marked agents, or into all that are open.
    pub(super) fn ask_mirror(&mut self) -> Vec<Effect> {
        if let Err(why) = self.may_operate() {
            self.notify(why, true);
            return Vec::new();
        }
        let effects = if self.focus == Focus::List && !self.list.marks.is_empty() {
            self.open_chosen()
        } else {
            Vec::new()
        };
        let takers: Vec<CommandId> = self.takers().collect();
        if takers.len() < 2 {
            let text =
                "typing to many takes two terminals that run: mark agents, or open more panes";
            self.notify(text, true);
        } else {
            self.overlay = Some(Overlay::ConfirmMirror(takers));
        }
        effects
    }

    /// Open terminals that take input: those of the marked agents, or all where none is marked.
    fn takers(&self) -> impl Iterator<Item = CommandId> {
        let marks = &self.list.marks;
        let panes = self.panes.list.iter();
        let meant = panes.filter(|pane| marks.is_empty() || marks.contains(&pane.agent));
        let running = meant.filter(|pane| pane.pty && self.runs(&pane.command));
        running.map(|pane| pane.command)
    }

    /// Types into all of these from now on, beginning where the focus is if that is one of them.
    pub(super) fn start_mirror(&mut self, commands: Vec<CommandId>) {
        let focused = self.panes.current().map(|pane| pane.command);
        let first = focused.filter(|command| commands.contains(command));
        let Some((index, pane)) = first
            .or(commands.first().copied())
            .and_then(|command| self.panes.of(command))
        else {
            return;
        };
        pane.follow();
        pane.screen.take_replies();
        self.panes.focused = index;
        (self.panes.grid, self.panes.zoomed) = (true, false);
        self.focus = Focus::Pane;
        self.attached = true;
        self.mirrored = commands;
    }

    /// Takes a command that has ended off those that are typed to, and names it. Where it was the attached one, the next
    /// takes its place, since what the person is typing is meant for that one too. False where nobody is left.
    pub(super) fn goes_on_without(&mut self, ended: CommandId) -> bool {
        if !self.mirrored.contains(&ended) {
            return false;
        }
        self.mirrored.retain(|command| *command != ended);
        let name = self
            .summary(&ended)
            .map(|summary| summary.agent_id.to_string());
        let name = name.unwrap_or_else(|| ended.short());
        self.notify(
            format!("no longer typed to, its command ended: {name}"),
            true,
        );
        let next = self.mirrored.first().copied();
        let Some((index, pane)) = next.and_then(|command| self.panes.of(command)) else {
            return false;
        };
        pane.follow();
        if self.panes.list[self.panes.focused].command == ended {
            self.panes.focused = index;
        }
        true
    }

    /// Who gets what is typed now, with the modes of each: the attached terminal first, then those that it is mirrored to.
    fn typed_to(&self) -> Vec<(CommandId, Modes)> {
        let focused = self.panes.current().map(|pane| pane.command);
        let others = self.mirrored.iter().copied();
        let others = others.filter(|command| Some(*command) != focused);
        let all = focused.into_iter().chain(others);
        all.filter_map(|command| Some((command, self.panes.find(command)?.screen.modes())))
            .collect()
    }

    /// Types into the attached terminal, and into those that it is mirrored to; `bytes` are those of one in these modes.
    pub(super) fn type_to_all(&mut self, bytes: impl Fn(&Modes) -> Vec<u8>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (command, modes) in self.typed_to() {
            effects.extend(input(command, &bytes(&modes)));
        }
        // Who types has seen what there is: what comes now is asked of this terminal.
        self.answers |= !effects.is_empty();
        effects
    }
}

/// Input in pieces as large as the daemon takes them.
pub(super) fn input(command: CommandId, bytes: &[u8]) -> impl Iterator<Item = Effect> {
    let piece = move |piece: &[u8]| Effect::Input(command, bytes::Bytes::copy_from_slice(piece));
    bytes.chunks(MAX_INPUT_PIECE).map(piece)
}
