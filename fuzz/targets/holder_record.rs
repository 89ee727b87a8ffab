//! What a holder wrote down of its program, as a crash may have left it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|record: &[u8]| {
    opsctl_agent::fuzz::holder_record(record);
});
