//! Cursor and modes, as an application has set them.

/// The form of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorShape {
    /// The whole cell.
    Block,
    /// A line under the character.
    Underline,
    /// A line before the character.
    Bar,
}

/// Where the cursor is and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Row on the screen, from 0 at the top.
    pub row: u16,
    /// Column, from 0.
    pub col: u16,
    /// Whether the next character starts a new line, because the last column was just written.
    pub wrap_pending: bool,
    /// Its form.
    pub shape: CursorShape,
    /// Whether it should blink.
    pub blinking: bool,
    /// Whether the application shows it (`CSI ? 25 h`).
    pub visible: bool,
}

/// Which mouse events the application asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mouse {
    /// None.
    #[default]
    Off,
    /// Presses and releases (1000).
    Click,
    /// Also motion with a button down (1002).
    Drag,
    /// Also motion without a button (1003).
    Motion,
}

/// How the application wants mouse events written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MouseEncoding {
    /// One byte a coordinate.
    #[default]
    Bytes,
    /// 1005.
    Utf8,
    /// 1006.
    Sgr,
}

/// The modes that the application has set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// The alternate screen is shown (1049).
    pub alternate_screen: bool,
    /// Arrow keys send SS3 forms (DECCKM).
    pub app_cursor: bool,
    /// The keypad sends its own codes (DECKPAM).
    pub app_keypad: bool,
    /// Pasted text is bracketed (2004).
    pub bracketed_paste: bool,
    /// Focus changes are reported (1004).
    pub focus_events: bool,
    /// Mouse events asked for.
    pub mouse: Mouse,
    /// How they are written.
    pub mouse_encoding: MouseEncoding,
    /// The wheel sends arrow keys on the alternate screen (1007).
    pub alternate_scroll: bool,
    /// Characters push the rest of the line to the right (IRM).
    pub insert: bool,
    /// Positions count from the scroll region (DECOM).
    pub origin: bool,
    /// Long lines wrap (DECAWM).
    pub autowrap: bool,
    /// A line feed also returns the carriage (LNM).
    pub newline: bool,
    /// The application is in the middle of a frame (2026): what is on the screen is half done.
    pub synchronized: bool,
    /// Flags of the kitty keyboard protocol.
    pub keyboard: u8,
}
