//! A chunk of an agent's spool as a crash may have left it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|chunk: &[u8]| {
    opsctl_agent::fuzz::spool_chunk(chunk);
});
