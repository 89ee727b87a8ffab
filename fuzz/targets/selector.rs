//! Selectors from people and from the network: what is understood is written so that it means the same.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use opsctl_protocol::AgentId;
use opsctl_protocol::selector::Selector;

fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (text, name, key, value) = input;
    let Ok(selector) = text.parse::<Selector>() else {
        return;
    };
    let again: Selector = selector
        .to_string()
        .parse()
        .expect("what was written can be read");
    let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
    if let Ok(agent) = AgentId::new(name) {
        assert_eq!(
            selector.matches(&agent, &labels),
            again.matches(&agent, &labels)
        );
    }
});
