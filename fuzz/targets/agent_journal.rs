//! The agent's journal as a crash may have left it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|journal: &[u8]| {
    opsctl_agent::fuzz::journal(journal);
});
