//! Terminal emulation behind a small trait, screen snapshots as escape sequences.
