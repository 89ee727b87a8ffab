//! Index files of the output log, with checksums as they are and mended.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|index: &[u8]| {
    opsctl_daemon::fuzz::log_index(index);
});
