//! The built-in themes. Each is a palette of a dozen colours, and one mapping makes roles of them.

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

use super::own::Paint;
use super::role::Role;

/// The names of the built-in themes.
pub const BUILT_IN: [&str; 5] = ["dark", "light", "16", "contrast", "none"];

/// A theme's colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Palette {
    /// Everything that has no colour of its own.
    pub text: Color,
    /// What lies below everything but programs.
    pub ground: Color,
    /// What is less important; the terminal's own way of dimming where there is none.
    pub muted: Option<Color>,
    /// Keys, and the title of what has the focus.
    pub accent: Color,
    /// Text on the accent.
    pub on_accent: Color,
    /// Other titles.
    pub bar: Color,
    /// Text on those.
    pub on_bar: Color,
    /// Below the selected row; reversed where there is none.
    pub selection: Option<Color>,
    /// What a search found, and what gets all keys.
    pub highlight: Color,
    /// Text on that.
    pub on_highlight: Color,
    /// It is well.
    pub good: Color,
    /// It is news.
    pub news: Color,
    /// It wants attention.
    pub warning: Color,
    /// It went wrong.
    pub bad: Color,
    /// Text on that.
    pub on_bad: Color,
}

/// Some of a palette's colours, as a theme file gives them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Changes {
    text: Option<Paint>,
    ground: Option<Paint>,
    muted: Option<Paint>,
    accent: Option<Paint>,
    on_accent: Option<Paint>,
    bar: Option<Paint>,
    on_bar: Option<Paint>,
    selection: Option<Paint>,
    highlight: Option<Paint>,
    on_highlight: Option<Paint>,
    good: Option<Paint>,
    news: Option<Paint>,
    warning: Option<Paint>,
    bad: Option<Paint>,
    on_bad: Option<Paint>,
}

/// `0x00rr_ggbb`.
const fn hex(rgb: u32) -> Color {
    Color::Rgb((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
}

/// For dark backgrounds: at least 4.5:1 on #1e1e1e (WCAG 2 AA).
const DARK: Palette = Palette {
    text: Color::Reset,
    ground: Color::Reset,
    muted: Some(hex(0x009a_a4af)),
    accent: hex(0x0058_a6ff),
    on_accent: hex(0x000d_1117),
    bar: hex(0x0030_363d),
    on_bar: hex(0x00e6_edf3),
    selection: Some(hex(0x001f_2d42)),
    highlight: hex(0x00e3_b341),
    on_highlight: hex(0x000d_1117),
    good: hex(0x0056_d364),
    news: hex(0x0079_c0ff),
    warning: hex(0x00e3_b341),
    bad: hex(0x00ff_7b72),
    on_bad: hex(0x000d_1117),
};

/// For light backgrounds: at least 4.5:1 on white.
const LIGHT: Palette = Palette {
    text: Color::Reset,
    ground: Color::Reset,
    muted: Some(hex(0x0059_636e)),
    accent: hex(0x0008_60ca),
    on_accent: hex(0x00ff_ffff),
    bar: hex(0x00d1_d9e0),
    on_bar: hex(0x001f_2328),
    selection: Some(hex(0x00dd_eeff)),
    highlight: hex(0x00ff_df5d),
    on_highlight: hex(0x001f_2328),
    good: hex(0x0011_6329),
    news: hex(0x0005_50ae),
    warning: hex(0x007d_4e00),
    bad: hex(0x00b3_1d28),
    on_bad: hex(0x00ff_ffff),
};

/// The terminal's own sixteen, so that they are the person's and suit any background.
const SIXTEEN: Palette = Palette {
    text: Color::Reset,
    ground: Color::Reset,
    muted: None,
    accent: Color::Cyan,
    on_accent: Color::Black,
    bar: Color::DarkGray,
    on_bar: Color::White,
    selection: None,
    highlight: Color::Yellow,
    on_highlight: Color::Black,
    good: Color::Green,
    news: Color::Blue,
    warning: Color::Yellow,
    bad: Color::Red,
    on_bad: Color::White,
};

/// At least 7:1 everywhere (WCAG 2 AAA), on a ground of its own, nothing dimmed.
const CONTRAST: Palette = Palette {
    text: hex(0x00ff_ffff),
    ground: hex(0x0000_0000),
    muted: Some(hex(0x00d0_d0d0)),
    accent: hex(0x0000_ffff),
    on_accent: hex(0x0000_0000),
    bar: hex(0x00ff_ffff),
    on_bar: hex(0x0000_0000),
    selection: None,
    highlight: hex(0x00ff_ff00),
    on_highlight: hex(0x0000_0000),
    good: hex(0x0000_ff00),
    news: hex(0x0080_d0ff),
    warning: hex(0x00ff_ff00),
    bad: hex(0x00ff_a0a0),
    on_bad: hex(0x0000_0000),
};

impl Palette {
    /// The palette of a built-in theme; none for `none`, which has no colours, and for other names.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "dark" => Some(DARK),
            "light" => Some(LIGHT),
            "16" => Some(SIXTEEN),
            "contrast" => Some(CONTRAST),
            _ => None,
        }
    }

    /// With some colours changed.
    #[must_use]
    pub fn with(self, changes: &Changes) -> Self {
        let or = |paint: Option<Paint>, color| paint.map_or(color, |paint| paint.0);
        let some = |paint: Option<Paint>, color| paint.map(|paint| paint.0).or(color);
        Self {
            text: or(changes.text, self.text),
            ground: or(changes.ground, self.ground),
            muted: some(changes.muted, self.muted),
            accent: or(changes.accent, self.accent),
            on_accent: or(changes.on_accent, self.on_accent),
            bar: or(changes.bar, self.bar),
            on_bar: or(changes.on_bar, self.on_bar),
            selection: some(changes.selection, self.selection),
            highlight: or(changes.highlight, self.highlight),
            on_highlight: or(changes.on_highlight, self.on_highlight),
            good: or(changes.good, self.good),
            news: or(changes.news, self.news),
            warning: or(changes.warning, self.warning),
            bad: or(changes.bad, self.bad),
            on_bad: or(changes.on_bad, self.on_bad),
        }
    }

    /// A role's style in these colours.
    pub fn style(&self, role: Role) -> Style {
        let fg = |color: Color| Style::new().fg(color);
        let bold = |color: Color| fg(color).add_modifier(Modifier::BOLD);
        let on = |fg: Color, bg: Color| Style::new().fg(fg).bg(bg);
        let dim = self
            .muted
            .map_or(Style::new().add_modifier(Modifier::DIM), fg);
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        match role {
            Role::Text | Role::Overlay => on(self.text, self.ground),
            Role::Idle => Style::new(),
            Role::Dim | Role::Border | Role::Time | Role::Unknown => dim,
            Role::Strong => Style::new().add_modifier(Modifier::BOLD),
            Role::Key => bold(self.accent),
            Role::Bar => on(self.on_bar, self.bar),
            Role::FocusedBar => on(self.on_accent, self.accent),
            Role::AttachedBar => on(self.on_highlight, self.highlight).add_modifier(Modifier::BOLD),
            Role::Banner => on(self.on_bad, self.bad).add_modifier(Modifier::BOLD),
            Role::Selected => self
                .selection
                .map_or(reversed, |color| Style::new().bg(color))
                .add_modifier(Modifier::BOLD),
            Role::SelectedFar => self
                .selection
                .map_or(reversed.add_modifier(Modifier::DIM), |color| {
                    Style::new().bg(color)
                }),
            Role::Marked => fg(self.accent),
            Role::Found => on(self.on_highlight, self.highlight),
            Role::CurrentMatch => on(self.on_accent, self.accent).add_modifier(Modifier::BOLD),
            Role::Good | Role::Working => fg(self.good),
            Role::Warning | Role::Blocked => bold(self.warning),
            Role::Starting => fg(self.warning),
            Role::Error | Role::Failed => bold(self.bad),
            Role::Offline | Role::Stderr => fg(self.bad),
            Role::Done => fg(self.news),
            Role::Info => fg(self.news).add_modifier(Modifier::ITALIC),
        }
    }
}

/// A role's style where there are no colours: bold, dim, underline and reverse remain.
pub fn without_colours(role: Role) -> Style {
    Style::new().add_modifier(match role {
        Role::Text
        | Role::Overlay
        | Role::Idle
        | Role::Good
        | Role::Working
        | Role::Done
        | Role::Starting
        | Role::Offline
        | Role::Unknown => Modifier::empty(),
        Role::Dim | Role::Border | Role::Time => Modifier::DIM,
        Role::Strong
        | Role::Key
        | Role::Warning
        | Role::Error
        | Role::Blocked
        | Role::Failed
        | Role::Stderr
        | Role::Marked => Modifier::BOLD,
        Role::Info => Modifier::ITALIC,
        Role::Bar | Role::Found => Modifier::UNDERLINED,
        Role::FocusedBar | Role::Selected => Modifier::REVERSED,
        Role::SelectedFar => Modifier::REVERSED.union(Modifier::DIM),
        Role::AttachedBar | Role::Banner => Modifier::REVERSED.union(Modifier::BOLD),
        Role::CurrentMatch => Modifier::REVERSED.union(Modifier::UNDERLINED),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::theme::depth::rgb;

    /// WCAG 2's contrast of two colours.
    fn contrast(a: Color, b: Color) -> f64 {
        let luminance = |color: Color| {
            let (r, g, b) = rgb(color).unwrap();
            let linear = |part: u8| {
                let part = f64::from(part) / 255.0;
                if part <= 0.04045 {
                    part / 12.92
                } else {
                    ((part + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
        };
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_role_can_be_read() {
        for (palette, text, ground, least) in [
            (DARK, hex(0x00d0_d0d0), hex(0x001e_1e1e), 4.5),
            (LIGHT, hex(0x001f_2328), hex(0x00ff_ffff), 4.5),
            (CONTRAST, hex(0x00ff_ffff), hex(0), 7.0),
        ] {
            let or =
                |color: Option<Color>, own| color.filter(|c| *c != Color::Reset).unwrap_or(own);
            let selection = palette.selection.unwrap_or(ground);
            for role in Role::ALL {
                let style = palette.style(role);
                let (fg, bg) = (or(style.fg, text), or(style.bg, ground));
                let found = contrast(fg, bg);
                assert!(found >= least, "{role:?} has {found:.1}:1 in {palette:?}");
                if style.bg.is_none() {
                    // The selected row keeps the colours of what stands in it.
                    let found = contrast(fg, selection);
                    assert!(found >= least, "{role:?} selected has {found:.1}:1");
                }
            }
        }
    }

    #[test]
    fn the_names_are_those_of_palettes() {
        for name in BUILT_IN {
            assert_eq!(Palette::named(name).is_some(), name != "none", "{name}");
        }
    }
}
