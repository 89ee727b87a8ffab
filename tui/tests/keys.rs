//! The key table and its page.

use std::path::Path;

use opsctl_tui::keys::doc;

#[test]
fn the_page_is_the_table() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/keys.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        std::fs::write(&file, doc::page()).expect("docs can be written");
    }
    let page = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        page == doc::page(),
        "docs/keys.md differs from the key table: INSTA_UPDATE=always cargo test -p opsctl-tui --test keys writes it"
    );
}
