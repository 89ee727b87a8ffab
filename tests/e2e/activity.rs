//! What programs are doing, and how everybody learns of it.

use super::harness::{Pty, Sandbox, TestAgent, TestDaemon, has_program, wait_until};
use super::lists::wait_state;
use super::raw::Raw;

/// Starts a shell line in a terminal and leaves it; returns its id.
fn terminal(sandbox: &Sandbox, line: &str) -> String {
    let sent = sandbox
        .opsctl(["send", "a", "--detach", "--pty", "--shell", line])
        .run()
        .expect_code(0);
    sent.out().trim().to_owned()
}

/// The agent as `opsctl agents --json` shows it.
fn agent(sandbox: &Sandbox) -> serde_json::Value {
    let listed = sandbox.opsctl(["agents", "--json"]).run().expect_code(0);
    listed.json()["agents"][0].clone()
}

/// Waits until the agent does this, by this source.
#[track_caller]
fn wait_doing(sandbox: &Sandbox, activity: &str, source: &str) -> serde_json::Value {
    wait_until(&format!("the agent to be {activity} by {source}"), || {
        let agent = agent(sandbox);
        (agent["activity"] == activity && agent["activitySource"] == source).then_some(agent)
    })
}

/// The program under test, quoted for a shell.
fn opsctl() -> String {
    format!("'{}'", env!("CARGO_BIN_EXE_opsctl"))
}

#[test]
fn a_program_reports_and_everybody_sees_it() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let opsctl = opsctl();
    let line = format!(
        "{opsctl} report blocked --reason approval && echo asked && read go && {opsctl} report working && read go"
    );
    let id = terminal(&daemon, &line);
    let seen = wait_doing(&daemon, "blocked", "program");
    assert_eq!(seen["activityReason"], "approval");
    assert_eq!(seen["activityCommandId"], id.as_str());
    assert_eq!(seen["commands"][0]["activitySource"], "program");
    let table = daemon.opsctl(["agents"]).run().expect_code(0).out();
    assert!(table.contains("blocked: approval"), "{table}");
    let table = daemon.opsctl(["ps"]).run().expect_code(0).out();
    assert!(table.contains("blocked: approval"), "{table}");
    let attached = daemon.opsctl(["attach", &id]).pty(80, 24);
    attached.wait_text("asked");
    attached.send("\r");
    wait_doing(&daemon, "working", "program");
    attached.send("\r");
    let seen = wait_doing(&daemon, "done", "process");
    assert_eq!(seen["commands"], serde_json::json!([]));
}

#[test]
fn a_report_outlives_the_agent_and_the_daemon() {
    let mut daemon = TestDaemon::start();
    let mut one = TestAgent::start(&daemon, "a");
    let opsctl = opsctl();
    let mark = daemon.path("reported");
    let line = format!(
        "{opsctl} report working; while ! [ -e '{0}.go' ]; do read -t 0.05 x; done; \
         {opsctl} report blocked --reason approval && {opsctl} notify --title T 'while you were away' && {opsctl} task 42 'in review' && touch '{0}'; \
         exec sleep 1000",
        mark.display()
    );
    let bash = ["send", "a", "--detach", "--pty", "--", "bash", "-c", &line];
    daemon.opsctl(bash).run().expect_code(0);
    wait_doing(&daemon, "working", "program");
    one.kill();
    // The agent is dead: what the program says waits with its holder.
    std::fs::write(format!("{}.go", mark.display()), "").unwrap();
    wait_until("the program to have reported", || {
        mark.exists().then_some(())
    });
    let mut watching = Raw::dashboard(&daemon);
    watching.ask("subscribe", &serde_json::json!({ "channel": "*" }));
    one.start_again(&daemon);
    let told = watching.until("the notification", |message| {
        message["type"] == "notification"
    });
    assert_eq!(told["channel"], "agent:a");
    assert_eq!(told["payload"]["title"], "T");
    let told = watching.until("the task's status", |message| {
        message["type"] == "task_status"
    });
    assert_eq!(told["channel"], "task:42");
    assert_eq!(told["payload"]["status"], "in review");
    let seen = wait_doing(&daemon, "blocked", "program");
    assert_eq!(seen["activityReason"], "approval");
    let since = seen["activitySince"].clone();
    daemon.kill();
    daemon.start_again();
    one.wait_connected(&daemon);
    let seen = wait_doing(&daemon, "blocked", "program");
    assert_eq!(seen["activitySince"], since, "it is no younger");
}

#[test]
fn outside_of_a_terminal_it_says_what_to_do() {
    let sandbox = Sandbox::new();
    for args in [
        &["report", "idle"][..],
        &["notify", "hello"],
        &["task", "7", "done"],
    ] {
        let told = sandbox.opsctl(args).run().expect_code(249);
        assert!(told.err().contains("OPSCTL_REPORT"), "{}", told.err());
        assert!(told.err().contains("opsctl send"), "{}", told.err());
    }
    let gone = sandbox
        .opsctl(["report", "idle"])
        .env("OPSCTL_REPORT", "/nonexistent/report")
        .run()
        .expect_code(249);
    assert!(gone.err().contains("is gone"), "{}", gone.err());
    // A settings file that cannot be read is no hook's business.
    let bad = sandbox.path("bad.toml");
    std::fs::write(&bad, "not toml at all").unwrap();
    sandbox
        .opsctl(["report", "idle"])
        .env("OPSCTL_CONFIG", &bad)
        .run()
        .expect_code(249);
    sandbox.opsctl(["report", "busy"]).run().expect_code(2);
    sandbox.opsctl(["task", "a*", "x"]).run().expect_code(2);
}

#[test]
fn what_a_terminal_is_told_is_seen_however_it_is_cut() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    // Each piece is a write of its own.
    let line = r"for piece in '\033' ']13' '3;' 'C' '\007'; do printf $piece; done; echo first; read go;
        for piece in '\033]' '133;D;' '4' '\033' '\\'; do printf $piece; done; read go;
        printf '\033]133;C\007\033]9;4;1;42\033\\'; read go";
    let id = terminal(&daemon, line);
    wait_doing(&daemon, "working", "signal");
    let attached = daemon.opsctl(["attach", &id]).pty(80, 24);
    attached.wait_text("first");
    attached.send("\r");
    let seen = wait_doing(&daemon, "error", "signal");
    assert_eq!(seen["activityReason"], "exit 4");
    attached.send("\r");
    let seen = wait_doing(&daemon, "working", "signal");
    assert_eq!(seen["activityReason"], "42 %");
    attached.send("\r");
    wait_state(&daemon, &id, "exited");
    wait_doing(&daemon, "done", "process");
}

#[test]
fn how_a_terminal_ended_stays_until_the_next_starts() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    terminal(&daemon, "exit 7");
    let seen = wait_doing(&daemon, "error", "process");
    assert_eq!(seen["activityReason"], "exit 7");
    terminal(&daemon, "exec sleep 1000");
    wait_doing(&daemon, "starting", "process");
}

#[test]
fn an_agent_whose_main_program_failed_is_not_just_offline() {
    let daemon = TestDaemon::start();
    let main = |line| {
        let args = ["agent", "--name", "a", "--", "sh", "-c", line];
        daemon.opsctl(args).run()
    };
    main("exit 3").expect_code(3);
    let told = wait_until("the agent to have left", || {
        let agent = agent(&daemon);
        (agent["status"] == "disconnected").then_some(agent)
    });
    assert_eq!(told["failed"], true);
    let table = daemon.opsctl(["agents"]).run().expect_code(0).out();
    assert!(table.contains("error: exit 3"), "{table}");
    // What ended well, and what only lost its connection, are away.
    main("exit 0").expect_code(0);
    let table = daemon.opsctl(["agents"]).run().expect_code(0).out();
    assert!(table.contains("offline"), "{table}");
    let args = ["--", "sh", "-c", "echo up; exec sleep 1000"];
    let mut cut = TestAgent::start_with(&daemon, "a", args);
    wait_doing(&daemon, "working", "process");
    cut.kill();
    wait_until("the agent to be away", || {
        let table = daemon.opsctl(["agents"]).run().expect_code(0).out();
        table.contains("offline").then_some(())
    });
    cut.start_again(&daemon);
}

/// A capture of a real program's screen, without the line that says where it comes from.
fn capture(name: &str) -> String {
    let file = format!(
        "{}/daemon/src/activity/rules/screens/{name}.txt",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(file).unwrap();
    text.split_once('\n').unwrap().1.to_owned()
}

/// Makes a program of this name that shows these screens, one after each line that it reads.
fn showing(sandbox: &Sandbox, name: &str, screens: &[&str]) -> String {
    let mut script = "#!/bin/sh\nstty -echo\n".to_owned();
    for (number, screen) in screens.iter().enumerate() {
        let file = sandbox.file(&format!("{name}-{number}"), &capture(screen));
        let show = format!(
            "printf '\\033[2J\\033[H'; cat '{}'; read go\n",
            file.display()
        );
        script.push_str(&show);
    }
    let program = sandbox.file(name, &script);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    program.display().to_string()
}

#[test]
fn a_screen_shows_what_a_program_asks() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let screens = ["claude-approve-command", "claude-working", "claude-idle"];
    let program = showing(&daemon, "claude", &screens);
    let attached = daemon
        .opsctl(["send", "a", "--pty", "--", &program])
        .pty(100, 40);
    let seen = wait_doing(&daemon, "blocked", "rule");
    assert_eq!(seen["activityReason"], "approval");
    let approval = &seen["commands"][0]["approval"];
    assert_eq!(approval["approve"], "1");
    assert_eq!(approval["deny"], "\u{1b}");
    let asked = approval["asked"].as_str().unwrap();
    assert!(asked.contains("rm -rf build && make test"), "{asked}");
    attached.send("\r");
    let seen = wait_doing(&daemon, "working", "rule");
    assert_eq!(seen["commands"][0].get("approval"), None, "it was answered");
    attached.send("\r");
    wait_doing(&daemon, "idle", "rule");
    attached.send("\r");
    assert_eq!(attached.wait(), 0);
    wait_doing(&daemon, "done", "process");
}

/// A shell on the agent, at a prompt that no rule knows.
fn at_a_prompt(daemon: &TestDaemon) -> Pty {
    let rc = daemon.file("rc", "PS1='next, please: '\n");
    let shell = daemon
        .opsctl(["send", "a", "--pty", "--", "bash", "--rcfile"])
        .arg(&rc)
        .pty(100, 40);
    shell.wait_text("next, please:");
    wait_doing(daemon, "idle", "process");
    shell
}

#[test]
fn a_program_within_a_shell_counts_as_itself_and_the_prompt_is_idle() {
    let mut daemon = TestDaemon::start();
    let mut one = TestAgent::start(&daemon, "a");
    let screens = ["claude-approve-command", "claude-working"];
    let program = showing(&daemon, "claude", &screens);
    let shell = at_a_prompt(&daemon);
    shell.send(format!("{program}\r"));
    let seen = wait_doing(&daemon, "blocked", "rule");
    assert_eq!(seen["activityReason"], "approval");
    assert_eq!(seen["commands"][0]["approval"]["approve"], "1");
    // Both learn it anew.
    daemon.kill();
    one.kill();
    daemon.start_again();
    one.start_again(&daemon);
    wait_doing(&daemon, "blocked", "rule");
    // It doesn't get as far as to say that it has ended, and its screen stays where it is.
    let id = agent(&daemon)["commands"][0]["commandId"].clone();
    daemon
        .opsctl(["interrupt", id.as_str().unwrap()])
        .run()
        .expect_code(0);
    let seen = wait_doing(&daemon, "idle", "process");
    assert_eq!(seen["commands"][0].get("approval"), None);
    // What is typed at the prompt doesn't make the shell work.
    let sent = daemon
        .opsctl(["send", "a", "--type", "echo $((40 + 2))"])
        .args(["--when-idle", "--wait"])
        .run()
        .expect_code(0);
    assert_eq!(sent.out(), "a: submitted\n");
    wait_doing(&daemon, "idle", "process");
}

#[test]
fn what_a_program_within_a_shell_said_goes_with_it() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let shell = at_a_prompt(&daemon);
    let reporting = daemon.file(
        "reporting",
        &format!("read a; {} report working; read b\n", opsctl()),
    );
    shell.send(format!("sh '{}'\r", reporting.display()));
    wait_doing(&daemon, "working", "process");
    shell.send("\r");
    wait_doing(&daemon, "working", "program");
    shell.send("\r");
    wait_doing(&daemon, "idle", "process");
    // A person's own word, typed at the prompt, holds.
    shell.send(format!("{} report blocked --reason lunch\r", opsctl()));
    wait_doing(&daemon, "blocked", "program");
    shell.send("echo $((40 + 2))\r");
    shell.wait_text("42");
    wait_doing(&daemon, "blocked", "program");
}

#[test]
fn who_subscribes_to_a_command_is_told_what_it_does_now() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let program = showing(&daemon, "codex", &["codex-approve-command"]);
    let sized = ["send", "a", "--detach", "--pty", "--", &program];
    let id = daemon.opsctl(sized).run().expect_code(0).out();
    let channel = format!("command:{}", id.trim());
    wait_doing(&daemon, "blocked", "rule");
    let mut watching = Raw::dashboard(&daemon);
    watching.ask("subscribe", &serde_json::json!({ "channel": channel }));
    // What was told before may come first, as it was told.
    let told = watching.until("how it stands now", |message| {
        message["payload"]["command"]["activity"] == "blocked"
    });
    assert_eq!(told["type"], "command:status");
    assert_eq!(told["channel"], channel.as_str());
    assert_eq!(told["payload"]["command"]["approval"]["approve"], "y");
}

#[test]
fn what_a_screen_shows_is_known_again_after_a_restart() {
    let mut daemon = TestDaemon::start();
    let one = TestAgent::start(&daemon, "a");
    let program = showing(&daemon, "codex", &["codex-approve-command"]);
    let sized = ["send", "a", "--detach", "--pty", "--", &program];
    daemon.opsctl(sized).run().expect_code(0);
    wait_doing(&daemon, "blocked", "rule");
    daemon.kill();
    daemon.start_again();
    one.wait_connected(&daemon);
    wait_doing(&daemon, "blocked", "rule");
}

#[test]
fn what_a_program_told_its_terminal_is_the_same_occurrence_after_a_restart() {
    let mut daemon = TestDaemon::start();
    let one = TestAgent::start(&daemon, "a");
    let mark = daemon.path("told");
    let line = format!(
        r"while ! [ -e '{0}.go' ]; do sleep 0.05; done; printf '\033]133;D;4\007'; touch '{0}'; exec sleep 1000",
        mark.display()
    );
    terminal(&daemon, &line);
    wait_until("the program to run", || {
        let agent = agent(&daemon);
        (agent["commands"][0]["state"] == "running").then_some(())
    });
    // The daemon hears of it later than it is told.
    daemon.kill();
    std::fs::write(format!("{}.go", mark.display()), "").unwrap();
    wait_until("the program to have told", || mark.exists().then_some(()));
    daemon.start_again();
    one.wait_connected(&daemon);
    let before = wait_doing(&daemon, "error", "signal");
    daemon.kill();
    daemon.start_again();
    one.wait_connected(&daemon);
    let after = wait_doing(&daemon, "error", "signal");
    assert_eq!(after["activitySince"], before["activitySince"]);
    assert_eq!(after["activityCommandId"], before["activityCommandId"]);
}

#[test]
fn own_rules_count_and_bad_ones_are_told() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("rules")).unwrap();
    sandbox.file("config.toml", "");
    sandbox.file(
        "rules/bad.toml",
        "version = 1\nname = \"bad\"\n[match]\n[[rule]]\nstate = \"busy\"\nscreen = ['x']\n",
    );
    sandbox.file("rules/own.toml", "version = 1\nname = \"own\"\n[match]\nprograms = [\"sleeper\"]\n[[rule]]\nstate = \"idle\"\nreason = \"asleep\"\nscreen = ['zzz']\n");
    let config = sandbox.path("config.toml").display().to_string();
    let daemon = TestDaemon::start_in(sandbox, ["--config", &config]);
    let told = daemon.process().stderr();
    assert!(
        told.contains("bad.toml:5: ") && told.contains("is no state") && told.contains("mend it"),
        "{told}"
    );
    let _agent = TestAgent::start(&daemon, "a");
    let program = daemon.file("sleeper", "#!/bin/sh\necho zzz; exec sleep 1000\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    daemon
        .opsctl(["send", "a", "--detach", "--pty", "--"])
        .arg(&program)
        .run()
        .expect_code(0);
    let seen = wait_doing(&daemon, "idle", "rule");
    assert_eq!(seen["activityReason"], "asleep");
}

/// A file of docs/hooks.
fn hook_file(name: &str) -> String {
    let file = format!("{}/docs/hooks/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(file).unwrap()
}

/// The shell commands of the hooks for Claude Code, by event.
fn claude_hooks() -> Vec<(String, String)> {
    let settings: serde_json::Value =
        serde_json::from_str(&hook_file("claude-settings.json")).unwrap();
    let mut hooks = Vec::new();
    for (event, groups) in settings["hooks"].as_object().unwrap() {
        for hook in groups[0]["hooks"].as_array().unwrap() {
            assert_eq!(hook["type"], "command");
            hooks.push((event.clone(), hook["command"].as_str().unwrap().to_owned()));
        }
    }
    hooks
}

#[test]
fn the_ready_hooks_report() {
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_opsctl"));
    let path = format!("PATH='{}':$PATH", bin.parent().unwrap().display());
    let hooks = claude_hooks();
    let hook = |event: &str| {
        let found = hooks.iter().find(|(name, _)| name == event);
        let command = &found.unwrap_or_else(|| panic!("no hook {event}")).1;
        // A hook gets JSON on its standard input, and what it prints goes into the conversation.
        format!("printf '%s' '{{\"hook_event_name\":\"{event}\"}}' | sh -c '{command}'")
    };
    for (event, activity) in [
        ("UserPromptSubmit", "working"),
        ("PermissionRequest", "blocked"),
        ("Notification", "blocked"),
        ("Stop", "done"),
    ] {
        let line = format!(
            "{path}; said=$({}); [ -z \"$said\" ] || exit 9; exec sleep 1000",
            hook(event)
        );
        let id = terminal(&daemon, &line);
        let seen = wait_doing(&daemon, activity, "program");
        assert_eq!(seen["activityCommandId"], id.as_str(), "{event}");
        daemon
            .opsctl(["interrupt", "-s", "KILL", &id])
            .run()
            .expect_code(0);
        wait_doing(&daemon, "error", "process");
    }
    let config: toml::Table = hook_file("codex-config.toml").parse().unwrap();
    let notify: Vec<String> = config["notify"].clone().try_into().unwrap();
    let line = format!(
        "{path} '{}' '{{\"type\":\"agent-turn-complete\"}}'; exec sleep 1000",
        notify.join("' '")
    );
    terminal(&daemon, &line);
    wait_doing(&daemon, "done", "program");
}

/// A shell that marks its prompts with a file of docs/hooks tells by them what it does, and puts nothing else out.
fn tells_by_its_marks(daemon: &TestDaemon, shell: &[&str]) {
    let shell = daemon
        .opsctl(["send", "a", "--pty", "--"])
        .args(shell)
        .pty(80, 24);
    shell.wait_text("ready>");
    wait_doing(daemon, "idle", "signal");
    shell.send("read x\r");
    wait_doing(daemon, "working", "signal");
    shell.send("x\r");
    wait_doing(daemon, "idle", "signal");
    shell.send("(exit 3)\r");
    let seen = wait_doing(daemon, "error", "signal");
    assert_eq!(seen["activityReason"], "exit 3");
    shell.send("true\r");
    let seen = wait_doing(daemon, "idle", "signal");
    let id = seen["commands"][0]["commandId"].as_str().unwrap();
    let log = daemon.opsctl(["logs", id]).run().expect_code(0);
    let stray = |byte: &&u8| matches!(byte, 1 | 2);
    assert_eq!(log.stdout.iter().find(stray), None, "{}", log.out());
}

#[test]
fn a_bash_with_prompt_marks_tells_what_it_does() {
    if !has_program("bash") {
        return;
    }
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    let rc = format!("PS1='ready> '\n{}", hook_file("osc133.bash"));
    let rc = daemon.file("rc", &rc).display().to_string();
    tells_by_its_marks(&daemon, &["bash", "--rcfile", &rc]);
}

#[test]
fn a_zsh_with_prompt_marks_tells_what_it_does() {
    if !has_program("zsh") {
        return;
    }
    let daemon = TestDaemon::start();
    let _agent = TestAgent::start(&daemon, "a");
    std::fs::create_dir(daemon.path("zsh")).unwrap();
    let rc = format!("PS1='ready> '\n{}", hook_file("osc133.zsh"));
    daemon.file("zsh/.zshrc", &rc);
    let home = format!("ZDOTDIR={}", daemon.path("zsh").display());
    tells_by_its_marks(&daemon, &["env", &home, "zsh"]);
}
