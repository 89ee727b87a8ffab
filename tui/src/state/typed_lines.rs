//! What becomes of a line that was typed.

use opsctl_protocol::message::Target;
use opsctl_protocol::selector::Selector;

use super::command_line::Line;
use super::prompt::remember;
use super::{Effect, Overlay, Purpose, State, View};
use crate::keys::Action;

impl State {
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
                let agents = meant.map(|agent| agent.agent_id.clone()).collect();
                return self.run_in(vec![Target::Selector(selector)], agents, &command);
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
}
