//! An emulator's screen as an SVG: one `<text>` for each run of equal style, and rectangles below it.
//!
//! Whoever looks at it has another monospaced font than we, so that each run's width is given. Runs end where another font may
//! step in (ASCII, signs, wide characters), and borders are drawn as lines, since fonts leave gaps between them.

use std::fmt::Write;

use opsctl_terminal::{Attributes, Cell, Color, Row, Screen, Underline, Width};

/// A column's and a row's size, and the space around all, in pixels.
const COLUMN: f32 = 8.4;
/// See above.
const ROW: f32 = 18.0;
/// See above.
const MARGIN: f32 = 12.0;

/// From a row's top to its baseline.
const BASELINE: f32 = 13.5;

/// Blanks in a row from which on a run is cut into two.
const GAP: usize = 4;

/// The terminal's own colours, which the console leaves to it.
pub struct Terminal {
    text: u32,
    ground: u32,
    sixteen: [u32; 16],
}

/// A dark terminal.
pub const DARK: Terminal = Terminal {
    text: 0x00e6_edf3,
    ground: 0x000d_1117,
    sixteen: [
        0x0048_4f58,
        0x00ff_7b72,
        0x003f_b950,
        0x00d2_9922,
        0x0058_a6ff,
        0x00bc_8cff,
        0x0039_c5cf,
        0x00b1_bac4,
        0x006e_7681,
        0x00ff_a198,
        0x0056_d364,
        0x00e3_b341,
        0x0079_c0ff,
        0x00d2_a8ff,
        0x0056_d4dd,
        0x00ff_ffff,
    ],
};

/// A light terminal.
pub const LIGHT: Terminal = Terminal {
    text: 0x001f_2328,
    ground: 0x00ff_ffff,
    sixteen: [
        0x0024_292f,
        0x00cf_222e,
        0x0011_6329,
        0x004d_2d00,
        0x0009_69da,
        0x0082_50df,
        0x001b_7c83,
        0x006e_7781,
        0x0057_606a,
        0x00a4_0e26,
        0x001a_7f37,
        0x0063_3c01,
        0x0021_8bff,
        0x00a4_75f9,
        0x0031_92aa,
        0x008c_959f,
    ],
};

impl Terminal {
    fn color(&self, color: Color, default: u32) -> u32 {
        /// The levels of each channel in the cube of 6×6×6 colours.
        const LEVELS: [u32; 6] = [0, 95, 135, 175, 215, 255];
        match color {
            Color::Default => default,
            Color::Rgb(r, g, b) => u32::from_be_bytes([0, r, g, b]),
            Color::Indexed(index @ 0..16) => self.sixteen[usize::from(index)],
            Color::Indexed(index @ 16..232) => {
                let index = usize::from(index) - 16;
                LEVELS[index / 36] << 16 | LEVELS[index / 6 % 6] << 8 | LEVELS[index % 6]
            }
            Color::Indexed(grey) => (u32::from(grey) * 10 - 2312) * 0x0001_0101,
        }
    }
}

/// How a run of cells looks.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    fg: u32,
    bg: u32,
    attributes: Attributes,
}

/// Which font is likely to have a character.
#[derive(Clone, Copy, PartialEq)]
enum Font {
    Ascii,
    Sign,
    Wide,
    /// None: it is drawn.
    Border,
}

/// The cells of a row from one column on that are drawn at once.
struct Run {
    from: usize,
    /// In columns.
    len: usize,
    font: Font,
    look: Look,
    text: String,
}

/// Draws a screen.
pub fn draw(screen: &Screen, terminal: &Terminal) -> String {
    let (cols, rows) = screen.size();
    let (width, height) = (
        f32::from(cols) * COLUMN + 2.0 * MARGIN,
        f32::from(rows) * ROW + 2.0 * MARGIN,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xml:space=\"preserve\" viewBox=\"0 0 {width:.1} {height:.1}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <style>g{{font-size:14px;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Noto Sans Mono CJK SC',monospace}}\
         text{{white-space:pre}}path{{fill:none}}</style>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#{:06x}\"/>\n<g transform=\"translate({MARGIN} {MARGIN})\">\n",
        terminal.ground
    );
    for number in 0..rows {
        if let Some(row) = screen.row(number.into()) {
            draw_row(&mut svg, &row, f32::from(number) * ROW, terminal);
        }
    }
    draw_cursor(&mut svg, screen, terminal);
    svg.push_str("</g>\n</svg>\n");
    svg
}

fn draw_cursor(svg: &mut String, screen: &Screen, terminal: &Terminal) {
    let cursor = screen.cursor();
    if cursor.visible {
        let (x, y) = (f32::from(cursor.col) * COLUMN, f32::from(cursor.row) * ROW);
        push(
            svg,
            format_args!(
                "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{COLUMN}\" height=\"{ROW}\" fill=\"#{:06x}\" fill-opacity=\".6\"/>",
                terminal.text
            ),
        );
    }
}

fn draw_row(svg: &mut String, row: &Row<'_>, top: f32, terminal: &Terminal) {
    let cells: Vec<Cell<'_>> = row.cells().collect();
    let looks: Vec<Look> = cells.iter().map(|cell| look(*cell, terminal)).collect();
    let mut from = 0;
    for run in looks.chunk_by(|a, b| a.bg == b.bg) {
        if run[0].bg != terminal.ground {
            // A hair wider, so that no ground shines through between two.
            let (x, width) = (from as f32 * COLUMN, run.len() as f32 * COLUMN + 0.3);
            push(
                svg,
                format_args!(
                    "<rect x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"#{:06x}\"/>",
                    ROW + 0.3,
                    run[0].bg
                ),
            );
        }
        from += run.len();
    }
    for run in runs(&cells, &looks) {
        draw_run(svg, &run, top);
    }
}

/// The look of a cell as it is seen, with inverse and dimmed colours made out.
fn look(cell: Cell<'_>, terminal: &Terminal) -> Look {
    let mut attributes = cell.attributes();
    let mut fg = terminal.color(cell.fg(), terminal.text);
    let mut bg = terminal.color(cell.bg(), terminal.ground);
    if attributes.inverse {
        (fg, bg) = (bg, fg);
    }
    if attributes.dim {
        fg = between(fg, bg);
    }
    if attributes.hidden {
        fg = bg;
    }
    (attributes.inverse, attributes.dim, attributes.hidden) = (false, false, false);
    Look { fg, bg, attributes }
}

/// Two thirds of the one colour and one of the other.
fn between(a: u32, b: u32) -> u32 {
    let channel = |shift: u32| ((((a >> shift) & 255) * 2 + ((b >> shift) & 255)) / 3) << shift;
    channel(16) | channel(8) | channel(0)
}

/// What is to be drawn of a row, cut where its look or its font changes and at wide gaps.
fn runs(cells: &[Cell<'_>], looks: &[Look]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut blanks = 0;
    for (at, (cell, look)) in cells.iter().zip(looks).enumerate() {
        if cell.width() == Width::Spacer {
            continue;
        }
        let lined = look.attributes.underline != Underline::None || look.attributes.strikeout;
        if cell.ch() == ' ' && cell.marks().is_empty() && !lined {
            blanks += 1;
            continue;
        }
        let (font, width) = font(*cell);
        let joined = runs.last_mut().filter(|run| {
            let near = blanks == 0 || (blanks < GAP && font == Font::Ascii);
            run.look == *look && run.font == font && near && run.from + run.len + blanks == at
        });
        let run = if let Some(run) = joined {
            run
        } else {
            blanks = 0;
            runs.push(Run {
                from: at,
                len: 0,
                font,
                look: *look,
                text: String::new(),
            });
            runs.last_mut().expect("one was pushed")
        };
        run.text.extend(std::iter::repeat_n(' ', blanks));
        run.text.push(cell.ch());
        run.text.extend(cell.marks());
        run.len += blanks + width;
        blanks = 0;
    }
    runs
}

/// A character's font, and its width in columns.
fn font(cell: Cell<'_>) -> (Font, usize) {
    match (cell.width(), cell.ch()) {
        (Width::Wide, _) => (Font::Wide, 2),
        (_, ch) if arms(ch).is_some() => (Font::Border, 1),
        (_, ' '..='~') if cell.marks().is_empty() => (Font::Ascii, 1),
        _ => (Font::Sign, 1),
    }
}

/// The arms of a light border from its cell's middle: left, up, right, down.
fn arms(ch: char) -> Option<[bool; 4]> {
    let arms = match ch {
        '─' => 0b1010,
        '│' => 0b0101,
        '┌' | '╭' => 0b0011,
        '┐' | '╮' => 0b1001,
        '└' | '╰' => 0b0110,
        '┘' | '╯' => 0b1100,
        '├' => 0b0111,
        '┤' => 0b1101,
        '┬' => 0b1011,
        '┴' => 0b1110,
        '┼' => 0b1111,
        _ => return None,
    };
    Some([3, 2, 1, 0].map(|bit| arms >> bit & 1 == 1))
}

fn draw_run(svg: &mut String, run: &Run, top: f32) {
    let left = run.from as f32 * COLUMN;
    if run.font == Font::Border {
        return draw_borders(svg, run, left, top);
    }
    let attributes = run.look.attributes;
    let mut style = String::new();
    if attributes.bold {
        style.push_str(" font-weight=\"bold\"");
    }
    if attributes.italic {
        style.push_str(" font-style=\"italic\"");
    }
    match (
        attributes.underline != Underline::None,
        attributes.strikeout,
    ) {
        (true, false) => style.push_str(" text-decoration=\"underline\""),
        (false, true) => style.push_str(" text-decoration=\"line-through\""),
        (true, true) => style.push_str(" text-decoration=\"underline line-through\""),
        (false, false) => (),
    }
    let (y, width) = (top + BASELINE, run.len as f32 * COLUMN);
    push(
        svg,
        format_args!(
            "<text x=\"{left:.1}\" y=\"{y:.1}\" textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#{:06x}\"{style}>{}</text>",
            run.look.fg,
            escaped(&run.text)
        ),
    );
}

fn draw_borders(svg: &mut String, run: &Run, left: f32, top: f32) {
    let mut path = String::new();
    let middle = top + ROW / 2.0;
    if run.text.chars().all(|ch| ch == '─') {
        write!(
            path,
            "M{left:.1} {middle:.1}h{:.1}",
            run.len as f32 * COLUMN
        )
        .expect("texts take all");
    } else {
        for (at, ch) in run.text.chars().enumerate() {
            let x = left + (at as f32 + 0.5) * COLUMN;
            let ways = [
                (-COLUMN / 2.0, 0.0),
                (0.0, -ROW / 2.0),
                (COLUMN / 2.0, 0.0),
                (0.0, ROW / 2.0),
            ];
            let arms = arms(ch).unwrap_or_default();
            for ((dx, dy), _) in ways.into_iter().zip(arms).filter(|(_, is)| *is) {
                write!(path, "M{x:.1} {middle:.1}l{dx:.1} {dy:.1}").expect("texts take all");
            }
        }
    }
    push(
        svg,
        format_args!("<path d=\"{path}\" stroke=\"#{:06x}\"/>", run.look.fg),
    );
}

fn push(svg: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(svg, "{line}").expect("texts take all");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[test]
fn runs_are_cut_where_fonts_and_looks_change() {
    let mut screen = Screen::new(40, 2, 0);
    screen.feed("a<b \x1b[1;31mred\x1b[m 表示 ●x\r\n\x1b[7minverse\x1b[m    ──┐".as_bytes());
    let svg = draw(&screen, &DARK);
    for part in [
        ">a&lt;b<",
        "fill=\"#ff7b72\" font-weight=\"bold\">red<",
        "x=\"67.2\" y=\"13.5\" textLength=\"33.6\" lengthAdjust=\"spacingAndGlyphs\" fill=\"#e6edf3\">表示<",
        ">●<",
        ">x<",
        "fill=\"#0d1117\">inverse<",
        "width=\"59.1\" height=\"18.3\" fill=\"#e6edf3\"/>",
        "l0.0 9.0\"",
    ] {
        assert!(svg.contains(part), "{part} is missing:\n{svg}");
    }
}
