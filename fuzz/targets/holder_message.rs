//! What an agent and a holder, perhaps of another version, send each other.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    opsctl_agent::fuzz::holder_messages(stream);
});
