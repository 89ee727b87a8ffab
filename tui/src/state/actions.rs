//! What the actions of the key table do: which part of the reducer each is for.

use opsctl_protocol::message::Signal;

use super::{Effect, Overlay, Prompt, Purpose, State};
use crate::keys::{Action, Mode};

impl State {
    /// Does what a key stands for, outside of prompts and attached terminals.
    pub(super) fn act(&mut self, mode: Mode, action: Action) -> Vec<Effect> {
        if let Some(effects) = self.cancel_work(mode, action) {
            return effects;
        }
        if let Some(effects) = self.room_action(mode, action) {
            return effects;
        }
        match (mode, action) {
            (Mode::Help, _) => self.help_action(action),
            (Mode::Confirm, Action::Up) => self.step_question(-1),
            (Mode::Confirm, Action::Down) => self.step_question(1),
            (Mode::Confirm, _) => return self.confirmed(action == Action::Yes),
            (Mode::Copying, _) => return self.copy_action(action),
            (Mode::Pane, Action::Back) => self.leave_pane(),
            (Mode::Agents | Mode::Commands, Action::Back) => self.leave_list(),
            (Mode::Agents, Action::Open) if self.is_at_heading() => self.toggle_group(),
            (Mode::Agents, Action::Open) => return self.open_agent(),
            (Mode::Agents, Action::OpenBeside) => return self.open_chosen(),
            (Mode::Agents, Action::Left) => self.fold(true),
            (Mode::Agents, Action::Right) => self.fold(false),
            (_, Action::Mark) => self.mark(),
            (_, Action::NextNeed) => self.next_need(true),
            (_, Action::PreviousNeed) => self.next_need(false),
            (_, Action::GroupBy) => self.next_grouping(),
            (_, Action::See) => self.see_chosen(),
            (Mode::Commands, Action::Open) => return self.open_selected(false),
            (_, Action::OpenBeside) => return self.open_selected(true),
            (_, Action::Up) => self.step(-1),
            (_, Action::Down) => self.step(1),
            (_, Action::PageUp) => self.step(-self.page()),
            (_, Action::PageDown) => self.step(self.page()),
            (_, Action::First) => self.step(i64::from(i32::MIN)),
            (_, Action::Last) => self.step(i64::from(i32::MAX)),
            (_, Action::Left) => self.pan(-8),
            (_, Action::Right) => self.pan(8),
            (_, Action::NextPane) => self.cycle(true),
            (_, Action::PreviousPane) => self.cycle(false),
            (_, Action::Zoom) => self.zoom(),
            (_, Action::Grid) => self.panes.grid = !self.panes.grid,
            (_, Action::ClosePane) => return self.close_pane(),
            (_, Action::Run) => self.ask_run(),
            (_, Action::Say) => self.ask_say(false),
            (_, Action::SayWhenIdle) => self.ask_say(true),
            (_, Action::Interrupt) => return self.signal(Signal::Int),
            (_, Action::Kill) => self.ask_kill(),
            (_, Action::Attach) => return self.attach(),
            (_, Action::Mirror) => return self.ask_mirror(),
            (_, Action::CommandLine) => self.ask(Purpose::Command, ""),
            (_, Action::Filter) => self.ask_filter(),
            (_, Action::Search) => self.ask_search(),
            (_, Action::NextMatch) => self.next_match(true),
            (_, Action::PreviousMatch) => self.next_match(false),
            (_, Action::PreviousPrompt) => self.next_prompt(true),
            (_, Action::NextPrompt) => self.next_prompt(false),
            (_, Action::CopyMode) => self.copy_mode(),
            (_, Action::Edit) => return self.edit(),
            (_, Action::Clear) => self.clear_pane(),
            (_, Action::Times) => self.toggle_times(),
            (_, Action::Mouse) => return self.toggle_mouse(),
            (_, Action::NextTheme) => return self.next_theme(),
            (_, Action::Sort) => self.connections.order = self.connections.order.next(),
            (_, Action::Reconnect) => return vec![Effect::Reconnect],
            (_, Action::Help) => self.open_help(),
            (_, Action::Redraw) => return vec![Effect::Redraw],
            (_, Action::Suspend) => return vec![Effect::Suspend],
            (_, Action::Quit) => return vec![Effect::Quit],
            _ => {}
        }
        Vec::new()
    }

    fn toggle_mouse(&mut self) -> Vec<Effect> {
        self.mouse = !self.mouse;
        let text = if self.mouse {
            "the mouse is opsctl's: it points, scrolls and selects"
        } else {
            "the mouse is your terminal's; m takes it back"
        };
        self.notify(text, false);
        vec![Effect::Mouse(self.mouse)]
    }

    pub(super) fn ask(&mut self, purpose: Purpose, text: &str) {
        self.overlay = Some(Overlay::Prompt(Prompt::new(purpose, text)));
    }

    fn confirmed(&mut self, yes: bool) -> Vec<Effect> {
        match self.overlay.take() {
            Some(Overlay::ConfirmKill { commands, .. }) if yes => {
                let kill = |command| Effect::Signal(command, Signal::Kill);
                commands.into_iter().map(kill).collect()
            }
            Some(Overlay::ConfirmCancel(command)) if yes => vec![Effect::Cancel(command)],
            Some(Overlay::ConfirmSay(question)) if yes => {
                self.say_now(question.to, &question.words)
            }
            Some(Overlay::ConfirmAgain(again)) if yes => vec![Effect::Again(again)],
            Some(Overlay::ConfirmRun(many)) if yes => {
                let targets = many.targets.into_iter();
                targets
                    .flat_map(|target| self.run(target, many.command.clone()))
                    .collect()
            }
            Some(Overlay::ConfirmMirror(commands)) if yes => {
                self.start_mirror(commands);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}
