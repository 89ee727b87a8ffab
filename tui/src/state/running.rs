//! Commands are run, interrupted and killed, on one agent or many.

use opsctl_protocol::message::{Program, Signal, Target};
use opsctl_protocol::{AgentId, CommandId};

use super::prompt::remember;
use super::{Effect, Many, Overlay, Purpose, State};
use crate::layout::Layout;

impl State {
    pub(super) fn ask_run(&mut self) {
        let agents = self.chosen_agents();
        match self.may_operate() {
            Err(why) => self.notify(why, true),
            Ok(()) if agents.is_empty() => self.notify("no agent is selected", true),
            Ok(()) => self.ask(Purpose::Run(agents), ""),
        }
    }

    pub(super) fn ask_kill(&mut self) {
        let commands = self.chosen_commands();
        match self.may_operate() {
            Err(why) => self.notify(why, true),
            Ok(()) if commands.is_empty() => self.notify("nothing runs there", false),
            Ok(()) => self.overlay = Some(Overlay::ConfirmKill { commands, line: 0 }),
        }
    }

    pub(super) fn signal(&mut self, signal: Signal) -> Vec<Effect> {
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

    /// Tells what has become of a signal, and whom it was for: a key may have met another than was meant.
    pub(super) fn signalled(&mut self, signal: Signal, command: CommandId, reached: bool) {
        let (signal, whom) = (signal.as_str(), self.in_words(&command));
        let text = if reached {
            format!("{signal} sent to {whom}")
        } else {
            format!("{signal}: it no longer runs: {whom}")
        };
        self.notify(text, false);
    }

    /// A command as people know it: its agent and what it runs, in one line.
    pub fn in_words(&self, command: &CommandId) -> String {
        self.summary(command).map_or_else(
            || command.short(),
            |summary| format!("{}: `{}`", summary.agent_id, summary.program),
        )
    }

    /// Runs something on each of these agents.
    pub(super) fn run_on(&mut self, agents: Vec<AgentId>, command: &str) -> Vec<Effect> {
        // Their terminals belong side by side.
        self.panes.grid |= agents.len() > 1;
        let targets = agents.iter().cloned().map(Target::Agent).collect();
        self.run_in(targets, agents, command)
    }

    /// Runs a line, after a question where that is on more than one agent.
    pub(super) fn run_in(
        &mut self,
        targets: Vec<Target>,
        agents: Vec<AgentId>,
        command: &str,
    ) -> Vec<Effect> {
        if let Err(why) = self.may_operate() {
            self.notify(why, true);
        } else if agents.len() > 1 {
            self.overlay = Some(Overlay::ConfirmRun(Many {
                targets,
                agents,
                command: command.to_owned(),
                line: 0,
            }));
        } else {
            let targets = targets.into_iter();
            return targets
                .flat_map(|target| self.run(target, command.to_owned()))
                .collect();
        }
        Vec::new()
    }

    pub(super) fn run(&mut self, target: Target, command: String) -> Vec<Effect> {
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
}
