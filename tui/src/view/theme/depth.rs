//! Colours as the terminal has them: the nearest of what there is.

use ratatui::style::{Color, Style};

/// How many colours a terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// None; bold, dim, underline and reverse remain.
    None,
    /// The sixteen of ECMA-48 and aixterm, whatever they look like there.
    Sixteen,
    /// Those and xterm's cube of 216 and 24 greys.
    Indexed,
    /// All.
    True,
}

/// The steps of red, green and blue in xterm's cube.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The sixteen as xterm has them by default; terminals differ, but not in which is the nearest to what.
const SIXTEEN: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (205, 0, 0),
    (0, 205, 0),
    (205, 205, 0),
    (0, 0, 238),
    (205, 0, 205),
    (0, 205, 205),
    (229, 229, 229),
    (127, 127, 127),
    (255, 0, 0),
    (0, 255, 0),
    (255, 255, 0),
    (92, 92, 255),
    (255, 0, 255),
    (0, 255, 255),
    (255, 255, 255),
];

/// The same by ratatui's names.
const NAMED: [Color; 16] = [
    Color::Black,
    Color::Red,
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::Cyan,
    Color::Gray,
    Color::DarkGray,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
    Color::White,
];

impl Depth {
    /// The colour here that is nearest to this one.
    pub fn color(self, color: Color) -> Color {
        match (self, color) {
            (Self::None, _) => Color::Reset,
            (Self::Indexed, Color::Rgb(r, g, b)) => Color::Indexed(nearest_of_256((r, g, b))),
            (Self::Sixteen, Color::Rgb(r, g, b)) => NAMED[nearest_of_16((r, g, b))],
            (Self::Sixteen, Color::Indexed(index @ 0..=15)) => NAMED[usize::from(index)],
            (Self::Sixteen, Color::Indexed(index)) => NAMED[nearest_of_16(indexed(index))],
            _ => color,
        }
    }

    /// A foreground on a background. Where two that differ would become the same, the foreground
    /// becomes black or white, so that the text can still be read.
    pub fn pair(self, fg: Color, bg: Color) -> (Color, Color) {
        let (text, ground) = (self.color(fg), self.color(bg));
        if text != ground || fg == bg || ground == Color::Reset {
            return (text, ground);
        }
        let (r, g, b) = rgb(ground).unwrap_or_default();
        // Luma as in ITU-R BT.601.
        let light = (299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000 >= 128;
        (if light { Color::Black } else { Color::White }, ground)
    }

    /// A style in the colours that there are.
    pub fn style(self, style: Style) -> Style {
        let mut fitted = style;
        match (style.fg, style.bg) {
            (Some(fg), Some(bg)) => {
                let (fg, bg) = self.pair(fg, bg);
                fitted = fitted.fg(fg).bg(bg);
            }
            (fg, bg) => {
                fitted.fg = fg.map(|color| self.color(color));
                fitted.bg = bg.map(|color| self.color(color));
            }
        }
        fitted
    }
}

/// Red, green and blue of a colour, the sixteen as xterm has them; none for the terminal's own default.
pub fn rgb(color: Color) -> Option<(u8, u8, u8)> {
    match color {
        Color::Reset => None,
        Color::Rgb(r, g, b) => Some((r, g, b)),
        Color::Indexed(index) => Some(indexed(index)),
        named => NAMED
            .iter()
            .position(|known| *known == named)
            .map(|at| SIXTEEN[at]),
    }
}

fn indexed(index: u8) -> (u8, u8, u8) {
    match index {
        0..=15 => SIXTEEN[usize::from(index)],
        16..=231 => {
            let at = index - 16;
            let step = |n: u8| STEPS[usize::from(n % 6)];
            (step(at / 36), step(at / 6), step(at))
        }
        232..=255 => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
    }
}

fn nearest_of_256(wanted: (u8, u8, u8)) -> u8 {
    let step = |part: u8| {
        let nearest = (0..6).min_by_key(|at| STEPS[usize::from(*at)].abs_diff(part));
        nearest.unwrap_or(0)
    };
    let (r, g, b) = wanted;
    let cube = 16 + 36 * step(r) + 6 * step(g) + step(b);
    let mean = (u16::from(r) + u16::from(g) + u16::from(b)) / 3;
    let grey = 232 + (mean.saturating_sub(3) / 10).min(23) as u8;
    if distance(indexed(grey), wanted) < distance(indexed(cube), wanted) {
        grey
    } else {
        cube
    }
}

/// How far apart the parts of a colour must be for it to have a hue that is worth keeping.
const HUE: u8 = 64;

/// A pale green is nearer to grey than to any of the greens; but it is its being green that says something.
fn nearest_of_16(wanted: (u8, u8, u8)) -> usize {
    let spread = |(r, g, b): (u8, u8, u8)| r.max(g).max(b) - r.min(g).min(b);
    let hued = spread(wanted) >= HUE;
    let candidates = (0..16).filter(|at| !hued || spread(SIXTEEN[*at]) >= HUE);
    let nearest = candidates.min_by_key(|at| distance(SIXTEEN[*at], wanted));
    nearest.unwrap_or(0)
}

/// How different two colours look: Thiadmer Riemersma's weighting by the mean of red
/// (<https://www.compuphase.com/cmetric.htm>), which needs no floating point.
fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
    let red = u32::midpoint(u32::from(a.0), u32::from(b.0));
    (512 + red) * square(a.0, b.0) / 256
        + 4 * square(a.1, b.1)
        + (767 - red) * square(a.2, b.2) / 256
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_become_the_nearest() {
        let orange = Color::Rgb(255, 136, 0);
        assert_eq!(Depth::True.color(orange), orange);
        assert_eq!(Depth::Indexed.color(orange), Color::Indexed(208));
        assert_eq!(
            Depth::Sixteen.color(Color::Rgb(250, 20, 10)),
            Color::LightRed
        );
        assert_eq!(Depth::Sixteen.color(Color::Indexed(9)), Color::LightRed);
        let pale = Color::Rgb(0x56, 0xd3, 0x64);
        assert_eq!(Depth::Sixteen.color(pale), Color::Green);
        assert_eq!(Depth::Sixteen.color(Color::Indexed(196)), Color::LightRed);
        assert_eq!(
            Depth::Indexed.color(Color::Rgb(120, 121, 120)),
            Color::Indexed(243)
        );
        assert_eq!(Depth::None.color(orange), Color::Reset);
        assert_eq!(Depth::Sixteen.color(Color::Reset), Color::Reset);
    }

    #[test]
    fn text_never_vanishes() {
        let (fg, bg) = (Color::Rgb(10, 10, 10), Color::Rgb(0, 0, 0));
        assert_eq!(Depth::Sixteen.pair(fg, bg), (Color::White, Color::Black));
        let (fg, bg) = (Color::Rgb(250, 250, 250), Color::Rgb(255, 255, 255));
        assert_eq!(Depth::Sixteen.pair(fg, bg), (Color::Black, Color::White));
        assert_eq!(
            Depth::Sixteen.pair(bg, bg),
            (Color::White, Color::White),
            "what the program hides stays hidden"
        );
    }

    proptest! {
        #[test]
        fn what_is_in_the_cube_stays(index in 16_u8..) {
            let (r, g, b) = indexed(index);
            let Color::Indexed(near) = Depth::Indexed.color(Color::Rgb(r, g, b)) else {
                panic!("not indexed");
            };
            prop_assert_eq!(indexed(near), (r, g, b));
        }

        #[test]
        fn no_other_of_the_256_is_nearer_by_much(r: u8, g: u8, b: u8) {
            let near = nearest_of_256((r, g, b));
            let best = (16..=255).map(|at| distance(indexed(at), (r, g, b))).min().unwrap();
            // Each part has its nearest step; the weighting may prefer another grey by a little.
            prop_assert!(distance(indexed(near), (r, g, b)) <= best + 1500);
        }
    }
}
