//! Frames: when the next one is drawn, and its cursor.

use std::time::Duration;

use crossterm::cursor::SetCursorStyle;
use opsctl_terminal::CursorShape;
use tokio::time::{Instant, sleep_until};

use super::{Console, Error};
use crate::state::{Redraw, State};
use crate::tty::Stage;
use crate::view;

/// How long an application may hold back a frame of its own before what there is of it is shown.
const HELD: Duration = Duration::from_millis(100);

impl<S: Stage> Console<'_, S> {
    pub(super) fn draw(&mut self) -> Result<(), Error> {
        let changed = std::mem::take(&mut self.changed);
        self.held = None;
        self.pace.drawn(std::time::Instant::now());
        self.rests = self.state.away;
        let (state, theme, kept) = (&self.state, &self.theme, &mut self.kept);
        let cursor = cursor_style(state);
        self.stage.draw(cursor, &mut |frame| {
            view::draw(state, theme, kept, changed, frame);
        })?;
        Ok(())
    }

    /// When the next frame may be drawn.
    pub(super) fn draw_at(&mut self) -> Instant {
        let next = Instant::from_std(self.pace.next());
        if self.changed == Redraw::Nothing || !self.state.is_mid_frame() {
            self.held = None;
            return next;
        }
        let held = *self.held.get_or_insert_with(Instant::now);
        next.max(held + HELD)
    }
}

/// At this time, or now where it has passed: the timer alone would round it up to its next millisecond.
pub(super) async fn due(at: Instant) {
    if Instant::now() < at {
        sleep_until(at).await;
    }
}

/// The cursor's form: the program's own while attached to it.
fn cursor_style(state: &State) -> SetCursorStyle {
    let pane = state
        .panes
        .current()
        .filter(|_| state.attached && state.overlay.is_none());
    let Some(cursor) = pane.map(|pane| pane.screen.cursor()) else {
        return SetCursorStyle::DefaultUserShape;
    };
    let blinking = cursor.blinking && !state.still;
    match (cursor.shape, blinking) {
        (CursorShape::Block, false) => SetCursorStyle::DefaultUserShape,
        (CursorShape::Block, true) => SetCursorStyle::BlinkingBlock,
        (CursorShape::Underline, false) => SetCursorStyle::SteadyUnderScore,
        (CursorShape::Underline, true) => SetCursorStyle::BlinkingUnderScore,
        (CursorShape::Bar, false) => SetCursorStyle::SteadyBar,
        (CursorShape::Bar, true) => SetCursorStyle::BlinkingBar,
    }
}
