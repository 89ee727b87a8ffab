//! What is done here of effects: to the terminal, the editor, the theme, and what is remembered.

use opsctl_protocol::Timestamp;
use tokio::sync::mpsc;

use super::{Console, Error};
use crate::hand_over;
use crate::state::{Effect, Input, Message};
use crate::tty::Stage;

impl<S: Stage> Console<'_, S> {
    pub(super) fn perform(&mut self, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Quit => self.left = true,
            Effect::Mouse(ours) => self.stage.mouse(ours)?,
            Effect::Edit(text) => self.edit = Some(text),
            Effect::Copy(text) => match self.copy_command.clone() {
                Some(command) => self.conn.copy_by(command, text),
                None => self.stage.copy(&text)?,
            },
            Effect::Alert(text) => self.stage.alert(&self.alert.bytes(&text))?,
            Effect::Remember(remembered) => {
                let kept = self.memory.as_mut().map(|memory| memory.save(&remembered));
                if let Some(Err(why)) = kept {
                    // Once is enough.
                    self.memory = None;
                    self.message(Message::Error(format!("nothing is remembered: {why}")))?;
                }
            }
            Effect::Theme(name) => {
                let message = match self.change_theme(&name) {
                    Ok(()) => Message::Themed(name),
                    Err(why) => Message::Error(why.to_string()),
                };
                self.message(message)?;
            }
            Effect::Redraw => self.redraw()?,
            Effect::Suspend => self.suspend()?,
            other => {
                if let Some(message) = self.conn.perform(other) {
                    self.message(message)?;
                }
            }
        }
        Ok(())
    }

    /// Gives the terminal to the editor until it ends; what the daemon says is taken meanwhile.
    pub(super) async fn edit(
        &mut self,
        text: &str,
        events: &mut opsctl_client::Events,
        answers: &mut mpsc::Receiver<Message>,
    ) -> Result<(), Error> {
        self.stage.give_back();
        let ended = match hand_over::Editor::open(text) {
            Err(error) => Err(error),
            Ok(mut editor) => loop {
                tokio::select! {
                    status = editor.child.wait() => break status,
                    Some(answer) = answers.recv() => self.message(answer)?,
                    Some(event) = events.next() => self.event(event)?,
                }
            },
        };
        self.redraw()?;
        let problem = match ended {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => format!("the editor ended with {status}"),
            Err(error) => format!("the editor could not be opened: {error}"),
        };
        self.message(Message::Error(problem))
    }

    /// Stops until the shell continues this program.
    pub(super) fn suspend(&mut self) -> Result<(), Error> {
        if self.stage.suspend()? {
            return self.redraw();
        }
        let text = "nothing could continue the console here: no shell started it";
        self.message(Message::News(text.to_owned()))
    }

    /// Draws everything with the next frame, at the size that the terminal has now.
    pub(super) fn redraw(&mut self) -> Result<(), Error> {
        self.rests = false;
        self.stage.clear()?;
        self.stage.keyboard(self.state.keyboard())?;
        let (cols, rows) = self.stage.size();
        let outcome = self
            .state
            .input(Input::Resize(cols, rows), Timestamp::now());
        self.apply(outcome)
    }
}
