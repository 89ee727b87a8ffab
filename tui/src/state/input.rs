//! What the person's keys change.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};
use opsctl_protocol::Timestamp;

use super::mirror::LARGEST_PASTE;
use super::saying::LONGEST;
use super::{Effect, Input, Outcome, Overlay, Purpose, Redraw, State};
use crate::encode;
use crate::keys::{Action, Mode};

impl State {
    /// Takes what the person did, or that time has passed.
    pub fn input(&mut self, input: Input, now: Timestamp) -> Outcome {
        self.now = now;
        let typed = matches!(input, Input::Key(_) | Input::Paste(_));
        if typed {
            // What a key has changed is not what the first of two clicks was on.
            self.click = None;
        }
        let passes_on = typed && !self.away && self.mode() == Mode::Attached;
        // Who does something here looks here, whatever the terminal says of its focus.
        self.away &= matches!(input, Input::Tick | Input::Resize(..) | Input::Focus(_));
        let mut effects = match input {
            Input::Tick => {
                self.turn_notices();
                self.activity.expire(now);
                self.connections.turn(now);
                let mut effects = self.rest();
                effects.extend(self.remember_due());
                effects.extend(self.glance());
                effects.extend(self.ask_connections());
                return Outcome::doing(effects);
            }
            Input::Resize(cols, rows) => {
                self.size = (cols, rows);
                Vec::new()
            }
            Input::Paste(text) => self.paste(&text),
            Input::Mouse(event) => self.mouse(event),
            Input::Focus(focused) => self.look(focused),
            Input::Key(event) if event.kind == KeyEventKind::Release && !self.attached => {
                return Outcome::default();
            }
            Input::Key(event) => self.key(event),
        };
        effects.extend(self.fit());
        effects.extend(self.load_older());
        effects.extend(self.more_history());
        effects.extend(self.ask_connections());
        self.may_remember();
        let effects = self.permitted(effects);
        // What the program makes of it comes back as output. A frame of the same as before would only
        // delay the key on its way there, and its echo.
        let unseen = passes_on && self.attached && only_input(&effects);
        if unseen && self.connection.is_connected() {
            self.get_over();
        }
        Outcome {
            effects,
            redraw: if unseen {
                Redraw::Nothing
            } else {
                Redraw::Everything
            },
        }
    }

    /// The terminal's window got the focus, or lost it; a program that asked for it is told.
    fn look(&mut self, focused: bool) -> Vec<Effect> {
        self.away = !focused && !self.always_drawn;
        let pane = self.panes.current().filter(|_| self.attached);
        if !pane.is_some_and(|pane| pane.screen.modes().focus_events) {
            return Vec::new();
        }
        self.type_bytes(if focused { b"\x1b[I" } else { b"\x1b[O" })
    }

    fn key(&mut self, event: KeyEvent) -> Vec<Effect> {
        let mode = self.mode();
        let action = self.keys.action(mode, event.into());
        match mode {
            Mode::Attached => match action {
                Some(Action::Detach) if event.kind != KeyEventKind::Release => {
                    self.attached = false;
                    Vec::new()
                }
                _ => self.type_to_all(|modes| encode::key(event, modes)),
            },
            Mode::Prompt => self.prompt_key(event, action),
            Mode::Palette => self.palette_key(event, action),
            _ => action.map_or_else(Vec::new, |action| self.act(mode, action)),
        }
    }

    pub(super) fn type_bytes(&mut self, bytes: &[u8]) -> Vec<Effect> {
        let Some(pane) = self.panes.current().filter(|_| !bytes.is_empty()) else {
            return Vec::new();
        };
        let command = pane.command;
        // Who types has seen what there is: what comes now is asked of this terminal.
        self.answers = true;
        super::mirror::input(command, bytes).collect()
    }

    fn paste(&mut self, text: &str) -> Vec<Effect> {
        match self.mode() {
            Mode::Attached if text.len() > LARGEST_PASTE => {
                let megabytes = LARGEST_PASTE >> 20;
                let text = format!(
                    "more than {megabytes} MiB is not pasted: `opsctl send AGENT -- … < FILE` takes any amount"
                );
                self.notify(text, true);
                Vec::new()
            }
            Mode::Attached => self.type_to_all(|modes| encode::paste(text, modes)),
            Mode::Prompt if text.len() > LONGEST => {
                let kilobytes = LONGEST >> 10;
                let text = format!("more than {kilobytes} KiB is not pasted into a line");
                self.notify(text, true);
                Vec::new()
            }
            Mode::Prompt => {
                if let Some(Overlay::Prompt(prompt)) = &mut self.overlay {
                    prompt.insert(text);
                }
                self.filter_as_typed();
                Vec::new()
            }
            Mode::Palette => {
                if let Some(Overlay::Palette(palette)) = &mut self.overlay {
                    palette.line.insert(text);
                }
                self.find_again();
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn prompt_key(&mut self, event: KeyEvent, action: Option<Action>) -> Vec<Effect> {
        let Some(Overlay::Prompt(prompt)) = &mut self.overlay else {
            return Vec::new();
        };
        match action {
            Some(Action::Accept) => return self.accept_line(),
            Some(Action::Back) => return self.leave_line(),
            Some(action @ (Action::Up | Action::Down)) => {
                let history = match prompt.purpose {
                    Purpose::Run(_) => &self.run_history,
                    Purpose::Say { .. } => &self.say_history,
                    _ => &self.line_history,
                };
                prompt.recall(history, action == Action::Up);
            }
            Some(Action::Complete) => {
                let commands = super::command_line::COMMANDS.iter().map(|(name, ..)| *name);
                let agents = self.fleet.agents().map(|agent| agent.agent_id.as_str());
                if prompt.purpose == Purpose::Command && !prompt.text.contains(' ') {
                    prompt.complete(commands);
                } else {
                    prompt.complete(agents);
                }
            }
            Some(action) => prompt.edit(action),
            None => {
                if event.code == KeyCode::Backspace && prompt.text.is_empty() {
                    return self.leave_line();
                }
                prompt.typed(event);
            }
        }
        self.filter_as_typed();
        Vec::new()
    }

    /// The filter shows its effect while it is typed.
    fn filter_as_typed(&mut self) {
        if let Some(Overlay::Prompt(prompt)) = &self.overlay
            && prompt.purpose == Purpose::Filter
        {
            let text = prompt.text.clone();
            self.filter(text);
        }
        if let Some(Overlay::Prompt(prompt)) = &self.overlay
            && prompt.purpose == Purpose::Narrow
        {
            let text = prompt.text.clone();
            self.narrow(&text);
        }
        if let Some(Overlay::Prompt(prompt)) = &self.overlay
            && prompt.purpose == Purpose::Help
        {
            self.help_filter.clone_from(&prompt.text);
        }
    }

    fn leave_line(&mut self) -> Vec<Effect> {
        let Some(Overlay::Prompt(prompt)) = self.overlay.take() else {
            return Vec::new();
        };
        match prompt.purpose {
            Purpose::Filter => {
                self.filter(String::new());
            }
            Purpose::Help => {
                self.help_filter.clear();
                self.overlay = Some(Overlay::Help(0));
            }
            Purpose::Narrow => self.narrow(""),
            _ => {}
        }
        Vec::new()
    }
}

/// Whether bytes for programs are all that comes of something.
fn only_input(effects: &[Effect]) -> bool {
    let is_input = |effect: &Effect| matches!(effect, Effect::Input(..));
    !effects.is_empty() && effects.iter().all(is_input)
}
