//! Settings from file, environment and flags; what wrong ones answer.

use crate::harness::Sandbox;

#[test]
fn a_wrong_setting_names_file_line_and_what_is_expected() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("wrong.toml", "[daemon]\n# where\nlisten = \"nonsense\"\n");
    let place = format!("{}:3:10", file.display());
    let refused = sandbox.opsctl(["daemon", "--config"]).arg(&file).run();
    refused
        .expect_code(2)
        .expect_err(&[&place, "IP:PORT", "listen = \"nonsense\""]);
    let refused = sandbox.opsctl(["status"]).env("OPSCTL_CONFIG", &file).run();
    refused.expect_code(2).expect_err(&[&place]);
}

#[test]
fn an_unknown_key_is_told_the_known_ones() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("wrong.toml", "[daemon]\nlisten_on = \"127.0.0.1:1\"\n");
    let refused = sandbox.opsctl(["status", "--config"]).arg(&file).run();
    refused
        .expect_code(2)
        .expect_err(&[":2:1", "`listen_on`", "`listen`"]);
}

#[test]
fn a_chosen_file_must_be_there() {
    let sandbox = Sandbox::new();
    let refused = sandbox
        .opsctl(["status", "--config", "/nowhere/opsctl.toml"])
        .run();
    refused.expect_code(2).expect_err(&["/nowhere/opsctl.toml"]);
}

#[test]
fn a_wrong_variable_is_named() {
    let sandbox = Sandbox::new();
    for (name, value) in [
        ("OPSCTL_LISTEN", "nonsense"),
        ("OPSCTL_URL", "ftp://x"),
        ("OPSCTL_LOG", "loud"),
    ] {
        let refused = sandbox.opsctl(["status"]).env(name, value).run();
        refused
            .expect_code(2)
            .expect_err(&[name, value, "expected"]);
    }
}

#[test]
fn without_a_daemon_the_answer_says_what_to_do() {
    let sandbox = Sandbox::new();
    let refused = sandbox.opsctl(["status"]).run();
    refused
        .expect_code(242)
        .expect_err(&["opsctl up", &sandbox.socket().display().to_string()]);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let sandbox = Sandbox::new();
    sandbox.file("config.toml", "[client]\nurl = \"ws://127.0.0.1:1\"\n");
    sandbox
        .opsctl(["status"])
        .run()
        .expect_code(242)
        .expect_err(&["ws://127.0.0.1:1"]);
    let status = || {
        sandbox
            .opsctl(["status"])
            .env("OPSCTL_URL", "ws://127.0.0.1:2")
    };
    status()
        .run()
        .expect_code(242)
        .expect_err(&["ws://127.0.0.1:2"]);
    status()
        .args(["--url", "ws://127.0.0.1:3"])
        .run()
        .expect_code(242)
        .expect_err(&["ws://127.0.0.1:3"]);
    status()
        .args(["--socket", "/tmp/none.sock"])
        .run()
        .expect_code(242)
        .expect_err(&["/tmp/none.sock"]);
}

#[test]
fn usage_errors_exit_with_2_and_help_with_0() {
    let sandbox = Sandbox::new();
    sandbox
        .opsctl(["frobnicate"])
        .run()
        .expect_code(2)
        .expect_err(&["frobnicate"]);
    sandbox.opsctl::<[&str; 0]>([]).run().expect_code(2);
    let help = sandbox.opsctl(["--help"]).run().expect_code(0).out();
    assert!(
        help.contains("Exit codes:") && help.contains("242"),
        "{help}"
    );
    let version = sandbox.opsctl(["--version"]).run().expect_code(0).out();
    assert_eq!(
        version.trim(),
        format!("opsctl {}", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn the_schema_is_json_with_every_direction() {
    let schema = Sandbox::new()
        .opsctl(["schema"])
        .run()
        .expect_code(0)
        .json();
    for direction in [
        "dashboardToDaemon",
        "daemonToDashboard",
        "agentToDaemon",
        "daemonToAgent",
    ] {
        assert!(schema["properties"][direction].is_object(), "{direction}");
    }
}

#[test]
fn a_wrong_theme_is_told_what_there_is_and_where() {
    let sandbox = Sandbox::new();
    let settings = sandbox.file("config.toml", "[tui]\ntheme = \"mine\"\n");
    let refused = sandbox.opsctl(["tui", "--config"]).arg(&settings).run();
    refused
        .expect_code(2)
        .expect_err(&["themes/mine.toml", "cannot be read", "contrast"]);
    std::fs::create_dir(sandbox.path("themes")).unwrap();
    sandbox.file("themes/mine.toml", "[roles.error]\nfg = \"reddish\"\n");
    let refused = sandbox.opsctl(["tui", "--config"]).arg(&settings).run();
    refused
        .expect_code(2)
        .expect_err(&["themes/mine.toml:2:6", "#rrggbb"]);
    let refused = sandbox.opsctl(["tui", "--theme", "a/b"]).run();
    refused.expect_code(2).expect_err(&["a/b", "contrast"]);
    let settings = sandbox.file("config.toml", "[tui]\ncolors = \"8\"\n");
    let refused = sandbox.opsctl(["status", "--config"]).arg(&settings).run();
    refused.expect_code(2).expect_err(&[":2:10", "truecolor"]);
}

#[test]
fn keys_that_cannot_be_are_refused_at_the_start() {
    let sandbox = Sandbox::new();
    for (keys, expected) in [
        ("zoon = [\"f5\"]", "\"zoon\" is no action"),
        ("zoom = [\"hyper-x\"]", "\"hyper-x\" names no key"),
        ("zoom = [\"q\"]", "q would be both zoom and quit"),
    ] {
        let settings = sandbox.file("config.toml", &format!("[tui.keys]\n{keys}\n"));
        let refused = sandbox.opsctl(["tui", "--config"]).arg(&settings).run();
        refused
            .expect_code(2)
            .expect_err(&[expected, "docs/keys.md"]);
    }
}
