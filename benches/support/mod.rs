//! What the load programs behind docs/benchmarks.md share.
//!
//! - [`asked`], [`program`]: part by part, from what was asked for to what is reported.
//! - [`daemon`], [`fleet`]: a daemon of the program's own, and one with agents.
//! - [`place`], [`background`], [`processes`]: directories and processes of the program's own.
//! - [`terminal`]: a program in a terminal, with this program at the keys. [`typist`]: who types there. [`turns`]: several
//!   sides by turns.
//! - [`samples`]: what runs took. [`conditions`], [`report`]: on which machine, as Markdown; into the document.
//! - [`stop`]: an interrupted run still clears up.

pub mod asked;
pub mod program;

pub mod daemon;
pub mod fleet;

pub mod background;
pub mod place;
pub mod processes;

pub mod terminal;
pub mod turns;
pub mod typist;

pub mod conditions;
pub mod report;
pub mod samples;

pub mod stop;
