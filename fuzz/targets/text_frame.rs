//! Envelopes from the network, in all four directions: what is understood means the same after it was written again.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use opsctl_protocol::message::Direction;
use opsctl_protocol::{AgentMessage, DashboardMessage, ToAgent, ToDashboard, decode, encode};

fn check<M: Direction + PartialEq + Debug>(text: &str) {
    let Ok(decoded) = decode::<M>(text) else {
        return;
    };
    // Whoever echoes a peer's message may find it longer than it came; that is an error and no defect.
    let Ok(again) = encode(&decoded.header, &decoded.message) else {
        return;
    };
    let reread = decode::<M>(&again).expect("what was written can be read");
    assert_eq!(reread.message, decoded.message);
    assert_eq!(reread.header.id, decoded.header.id);
}

fuzz_target!(|text: &str| {
    check::<AgentMessage>(text);
    check::<DashboardMessage>(text);
    check::<ToAgent>(text);
    check::<ToDashboard>(text);
});
