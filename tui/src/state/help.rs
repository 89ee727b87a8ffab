//! The help: scrolled and searched.

use super::{Overlay, Purpose, State};
use crate::keys::Action;

impl State {
    pub(super) fn open_help(&mut self) {
        self.help_filter.clear();
        self.overlay = Some(Overlay::Help(0));
    }

    pub(super) fn help_action(&mut self, action: Action) {
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
}
