//! Tokens from the network: none that the daemon didn't sign is good.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|token: &str| {
    assert!(!opsctl_daemon::fuzz::token_is_good(token));
});
