//! Channels and patterns from the network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opsctl_protocol::{Channel, Pattern};

fuzz_target!(|input: (&str, &str)| {
    let (pattern, channel) = input;
    let channel = channel.parse::<Channel>();
    if let Ok(channel) = &channel {
        assert_eq!(channel.to_string().parse::<Channel>().as_ref(), Ok(channel));
        assert!(Pattern::exactly(channel).matches(channel));
    }
    if let (Ok(pattern), Ok(channel)) = (Pattern::new(pattern), &channel) {
        let matches = pattern.matches(channel);
        if let Some(concrete) = pattern.concrete() {
            assert_eq!(matches, concrete == *channel);
        }
    }
});
