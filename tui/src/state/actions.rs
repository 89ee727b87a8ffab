//! What the actions of the key table and the command line do.

use opsctl_protocol::message::{CommandQuery, Program, Signal, Target};
use opsctl_protocol::selector::Selector;
use opsctl_protocol::{AgentId, CommandId};

use super::command_line::Line;
use super::messages::commands_of;
use super::prompt::remember;
use super::{Effect, Focus, Many, Overlay, Prompt, Purpose, State, View, channel, moved};
use crate::keys::{Action, Mode};
use crate::layout::Layout;

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

    /// Goes back to where the pane was opened from.
    fn leave_pane(&mut self) {
        match self.came_from {
            Some(view) => self.show(view),
            None => self.focus = Focus::List,
        }
    }

    /// Undoes what was last narrowed down: the filter, then the agent or the marks.
    fn leave_list(&mut self) {
        if !self.current_filter().is_empty() {
            self.filter(String::new());
        } else if self.list.commands {
            self.list_agents();
        } else {
            self.list.marks.clear();
        }
    }

    fn ask_filter(&mut self) {
        let filter = self.current_filter().clone();
        self.ask(Purpose::Filter, &filter);
    }

    fn open_help(&mut self) {
        self.help_filter.clear();
        self.overlay = Some(Overlay::Help(0));
    }

    fn help_action(&mut self, action: Action) {
        if action == Action::Filter {
            let filter = self.help_filter.clone();
            return self.ask(Purpose::Help, &filter);
        }
        let Some(Overlay::Help(line)) = &mut self.overlay else {
            return;
        };
        match action {
            Action::Up => *line = line.saturating_sub(1),
            Action::Down => *line = line.saturating_add(1),
            Action::PageUp => *line = line.saturating_sub(10),
            Action::PageDown => *line = line.saturating_add(10),
            Action::First => *line = 0,
            Action::Last => *line = u16::MAX,
            _ => self.overlay = None,
        }
        // Not beyond the last line, so that the way back isn't longer than what is seen.
        let most = crate::view::help_scroll(self);
        if let Some(Overlay::Help(line)) = &mut self.overlay {
            *line = (*line).min(most);
        }
    }

    /// Lines of a page in what has the focus.
    pub(super) fn page(&self) -> i64 {
        let layout = Layout::of(self);
        if let Some(room) = layout.room {
            // Title and headings take some.
            return i64::from(room.height.max(6) - 5);
        }
        let rows = match self.focus {
            Focus::Pane => layout.inner(self.panes.focused).1,
            Focus::List => layout.list.map_or(1, |list| list.height / 2),
        };
        i64::from(rows.max(2) - 1)
    }

    /// Moves the selection, or scrolls the pane.
    pub(super) fn step(&mut self, by: i64) {
        match self.view {
            View::Fleet => self.step_fleet(by),
            View::Inbox => self.step_item(by),
            View::Commands => self.step_command(by),
            View::Activity => self.step_activity(by),
            View::Connections => {
                let most = crate::view::connections_scroll(self);
                let line = (self.connections.line as i64).saturating_add(by);
                self.connections.line = line.clamp(0, most as i64) as usize;
            }
        }
    }

    fn step_fleet(&mut self, by: i64) {
        if self.focus == Focus::Pane {
            let size = Layout::of(self).inner(self.panes.focused);
            if let Some(pane) = self.panes.list.get_mut(self.panes.focused) {
                pane.scroll(by, pane.size_beside_times(size));
            }
        } else {
            self.step_list(by);
        }
    }

    /// Moves the selection in the list at the side.
    pub(super) fn step_list(&mut self, by: i64) {
        if self.list.commands {
            let ids: Vec<CommandId> = self
                .listed_commands()
                .iter()
                .map(|c| c.command_id)
                .collect();
            self.list.command = moved(&ids, self.list.command.as_ref(), by);
        } else {
            self.step_agents(by);
        }
    }

    /// The filter of what is listed.
    fn current_filter(&mut self) -> &mut String {
        if self.list.commands {
            &mut self.list.command_filter
        } else {
            &mut self.list.filter
        }
    }

    /// Lists only what has these words.
    pub(super) fn filter(&mut self, text: String) {
        *self.current_filter() = text;
        self.keep_selection();
    }

    fn pan(&mut self, cols: i32) {
        let size = Layout::of(self).inner(self.panes.focused);
        if let Some(pane) = self.panes.list.get_mut(self.panes.focused) {
            pane.pan(cols, pane.size_beside_times(size));
        }
    }

    /// Moves the focus through list and panes.
    fn cycle(&mut self, forward: bool) {
        let places = self.panes.len() + 1;
        let now = if self.focus == Focus::Pane {
            self.panes.focused + 1
        } else {
            0
        };
        let next = (now + if forward { 1 } else { places - 1 }) % places;
        // A zoomed pane hides the list: the round then goes through the panes only.
        let next = match next {
            0 if self.panes.zoomed && !self.panes.is_empty() => {
                if forward {
                    1
                } else {
                    places - 1
                }
            }
            next => next,
        };
        if next == 0 {
            self.focus = Focus::List;
        } else {
            self.focus = Focus::Pane;
            self.panes.focused = next - 1;
        }
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

    fn zoom(&mut self) {
        if self.panes.is_empty() {
            self.notify("no pane is open: select a command and press Enter", false);
            return;
        }
        self.panes.zoomed = !self.panes.zoomed;
        if self.panes.zoomed {
            self.focus = Focus::Pane;
        }
    }

    pub(super) fn list_agents(&mut self) {
        self.focus = Focus::List;
        self.list.commands = false;
        self.keep_selection();
    }

    /// Lists the selected agent's commands, and shows the current one where there is room anyway.
    fn open_agent(&mut self) -> Vec<Effect> {
        let Some(agent) = self.list.agent.clone() else {
            return Vec::new();
        };
        let current = self.target_command();
        self.list.commands = true;
        self.list.command_filter.clear();
        self.list.command = current;
        self.keep_selection();
        let mut effects = vec![commands_of(&agent)];
        if let Some(command) = current.filter(|_| self.panes.is_empty()) {
            effects.extend(self.open(command, false));
        }
        effects
    }

    fn open_selected(&mut self, beside: bool) -> Vec<Effect> {
        let Some(command) = self.list.command else {
            return Vec::new();
        };
        if beside && self.panes.len() == super::MAX_PANES {
            self.notify(format!("{} panes are open already", super::MAX_PANES), true);
            return Vec::new();
        }
        if beside {
            self.panes.grid = true;
        } else {
            self.focus = Focus::Pane;
        }
        self.open(command, beside)
    }

    fn close_pane(&mut self) -> Vec<Effect> {
        if self.panes.is_empty() {
            return Vec::new();
        }
        let pane = self.panes.list.remove(self.panes.focused);
        self.attached = false;
        self.panes.focused = self.panes.focused.min(self.panes.len().saturating_sub(1));
        if self.panes.is_empty() {
            self.panes.zoomed = false;
            self.focus = Focus::List;
        }
        vec![Effect::Unsubscribe(channel(pane.command))]
    }

    pub(super) fn ask(&mut self, purpose: Purpose, text: &str) {
        self.overlay = Some(Overlay::Prompt(Prompt::new(purpose, text)));
    }

    fn ask_run(&mut self) {
        let agents = self.chosen_agents();
        match self.may_operate() {
            Err(why) => self.notify(why, true),
            Ok(()) if agents.is_empty() => self.notify("no agent is selected", true),
            Ok(()) => self.ask(Purpose::Run(agents), ""),
        }
    }

    fn ask_kill(&mut self) {
        let commands = self.chosen_commands();
        match self.may_operate() {
            Err(why) => self.notify(why, true),
            Ok(()) if commands.is_empty() => self.notify("nothing runs there", false),
            Ok(()) => self.overlay = Some(Overlay::ConfirmKill(commands)),
        }
    }

    fn confirmed(&mut self, yes: bool) -> Vec<Effect> {
        match self.overlay.take() {
            Some(Overlay::ConfirmKill(commands)) if yes => {
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

    fn signal(&mut self, signal: Signal) -> Vec<Effect> {
        if let Err(why) = self.may_operate() {
            self.notify(why, true);
            return Vec::new();
        }
        let commands = self.chosen_commands();
        if commands.is_empty() {
            self.notify("nothing runs there", false);
        }
        let send = |command| Effect::Signal(command, signal);
        commands.into_iter().map(send).collect()
    }

    /// Attaches to the pane's command; from a list, to the selected one, which is shown first.
    fn attach(&mut self) -> Vec<Effect> {
        if let Err(why) = self.may_operate() {
            self.notify(why, true);
            return Vec::new();
        }
        let Some(command) = self.target_command().filter(|command| self.runs(command)) else {
            self.notify("nothing runs there to attach to", false);
            return Vec::new();
        };
        self.answers = self.panes.of(command).is_some();
        if self.view != View::Fleet {
            self.came_from = Some(self.view);
            self.view = View::Fleet;
        }
        let effects = self.open(command, false);
        let Some((_, pane)) = self.panes.of(command) else {
            return effects;
        };
        if !pane.pty {
            self.notify("this command has no terminal to attach to", true);
            return effects;
        }
        pane.follow();
        // Questions in output that came before are not asked of this terminal.
        pane.screen.take_replies();
        self.focus = Focus::Pane;
        self.attached = true;
        effects
    }

    /// Runs something on each of these agents.
    fn run_on(&mut self, agents: Vec<AgentId>, command: &str) -> Vec<Effect> {
        // Their terminals belong side by side.
        self.panes.grid |= agents.len() > 1;
        let count = agents.len();
        let targets = agents.into_iter().map(Target::Agent).collect();
        self.run_in(targets, count, command)
    }

    /// Runs a line, after a question where that is on more than one agent.
    fn run_in(&mut self, targets: Vec<Target>, agents: usize, command: &str) -> Vec<Effect> {
        if let Err(why) = self.may_operate() {
            self.notify(why, true);
        } else if agents > 1 {
            self.overlay = Some(Overlay::ConfirmRun(Many {
                targets,
                agents,
                command: command.to_owned(),
            }));
        } else {
            let targets = targets.into_iter();
            return targets
                .flat_map(|target| self.run(target, command.to_owned()))
                .collect();
        }
        Vec::new()
    }

    fn run(&mut self, target: Target, command: String) -> Vec<Effect> {
        if let Err(why) = self.may_operate() {
            self.notify(why, true);
            return Vec::new();
        }
        remember(&mut self.run_history, &command);
        let (cols, rows) = Layout::of(self).inner(self.panes.focused);
        let size = (cols.max(1), rows.max(1));
        vec![Effect::Run {
            target,
            program: Program::Shell(command),
            size,
        }]
    }

    /// Does what a prompt's line says.
    pub(super) fn accept_line(&mut self) -> Vec<Effect> {
        let Some(Overlay::Prompt(prompt)) = self.overlay.take() else {
            return Vec::new();
        };
        let text = prompt.text.trim().to_owned();
        match prompt.purpose {
            Purpose::Filter => self.keep_selection(),
            Purpose::Help => self.overlay = Some(Overlay::Help(0)),
            Purpose::Narrow | Purpose::Palette => {}
            Purpose::Search => self.search(&text),
            _ if text.is_empty() => {}
            Purpose::Run(agents) => return self.run_on(agents, &text),
            Purpose::Say { to, when_idle } => return self.say(to, text, when_idle),
            Purpose::Command => {
                remember(&mut self.line_history, &text);
                match Line::read(&text) {
                    Ok(line) => return self.line(line),
                    Err(why) => self.notify(why, true),
                }
            }
        }
        Vec::new()
    }

    fn line(&mut self, line: Line) -> Vec<Effect> {
        let mode = self.mode();
        match line {
            Line::Run(command) => match self.chosen_agents() {
                agents if agents.is_empty() => self.notify("no agent is selected", true),
                agents => return self.run_on(agents, &command),
            },
            Line::Send { selector, command } => {
                // One that can't be read matches nobody here: the daemon says what is wrong with it.
                let read = selector.parse::<Selector>().ok();
                let meant = self.fleet.agents().filter(|agent| {
                    let read = read.as_ref();
                    read.is_some_and(|read| read.matches(&agent.agent_id, &agent.labels))
                });
                let count = meant.count();
                return self.run_in(vec![Target::Selector(selector)], count, &command);
            }
            Line::Say { text, when_idle } => return self.say_chosen(text, when_idle),
            Line::Export { form, path } => return self.export(form, &path),
            Line::Logs(id) => return self.logs(id.to_lowercase()),
            Line::Filter(text) => self.filter(text),
            Line::Group(by) => self.group_by(by),
            Line::Theme(name) => return vec![Effect::Theme(name)],
            Line::Grid(grid) => self.panes.grid = grid,
            Line::Show(view) => self.show(view),
            Line::Agents => {
                self.show(View::Fleet);
                self.list_agents();
            }
            Line::Interrupt => return self.act(mode, Action::Interrupt),
            Line::Kill => return self.act(mode, Action::Kill),
            Line::Zoom => return self.act(mode, Action::Zoom),
            Line::Close => return self.act(mode, Action::ClosePane),
            Line::Attach => return self.act(mode, Action::Attach),
            Line::Reconnect => return self.act(mode, Action::Reconnect),
            Line::Help => return self.act(mode, Action::Help),
            Line::Quit => return self.act(mode, Action::Quit),
        }
        Vec::new()
    }

    fn logs(&mut self, id: String) -> Vec<Effect> {
        if let [command] = self.fleet.find_commands(&id)[..] {
            self.show(View::Fleet);
            self.focus = Focus::Pane;
            return self.open(command, false);
        }
        let query = CommandQuery {
            id_prefix: Some(id),
            ..CommandQuery::default()
        };
        vec![Effect::Query(query)]
    }
}
