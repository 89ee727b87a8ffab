//! Keys that an agent's connection loses: each is typed once, or whoever typed it is told.

use crate::harness::{Proxy, Pty, TestAgent, TestDaemon, wait_until};

/// A frame of input with a short line in it, at least.
const FRAME: usize = 50;

/// A daemon, a way to it that can break, and an agent behind that whose main terminal answers each line that it reads, once,
/// and writes it down.
struct World {
    daemon: TestDaemon,
    proxy: Proxy,
    agent: TestAgent,
}

impl World {
    fn new() -> Self {
        let daemon = TestDaemon::start();
        let proxy = Proxy::start(daemon.address());
        let line = format!(
            "stty -echo; echo $$ > {0}/pid; : > {0}/typed; echo ready; \
            while read line; do echo \"$line\" >> {0}/typed; echo \"<$line>\"; done",
            daemon.path("").display()
        );
        let agent = TestAgent::start_through(&daemon, &proxy, "a", &line);
        wait_until("the program to run", || {
            let running = daemon.opsctl(["ps", "-q", "--state", "running"]).run();
            (!running.stdout.is_empty()).then_some(())
        });
        Self {
            daemon,
            proxy,
            agent,
        }
    }

    fn attach(&self) -> Pty {
        let terminal = self.daemon.opsctl(["attach", "a"]).pty(120, 40);
        terminal.wait_text("ready");
        say(&terminal, "one");
        terminal
    }

    /// Types a line that is lost on its way to the agent.
    fn loses(&self, terminal: &Pty, line: &str) {
        let before = self.proxy.lost();
        terminal.send(format!("{line}\r"));
        wait_until("the keys to be lost", || {
            (self.proxy.lost() >= before + FRAME).then_some(())
        });
    }

    /// What the program has read.
    fn typed(&self) -> String {
        std::fs::read_to_string(self.daemon.path("typed")).unwrap()
    }
}

/// Types a line that is answered.
fn say(terminal: &Pty, line: &str) {
    terminal.send(format!("{line}\r"));
    terminal.wait_text(&format!("<{line}>"));
}

#[test]
fn keys_that_never_came_to_the_agent_come_when_it_is_back() {
    let world = World::new();
    let terminal = world.attach();
    world.proxy.freeze();
    world.loses(&terminal, "two");
    world.loses(&terminal, "three");
    world.proxy.cut();
    let screen = terminal.wait_text("<three>");
    say(&terminal, "four");
    assert_eq!(world.typed(), "one\ntwo\nthree\nfour\n");
    assert!(!screen.contains("arrived"), "{screen}");
}

#[test]
fn keys_whose_receipt_was_lost_are_not_typed_again() {
    let world = World::new();
    let terminal = world.attach();
    world.proxy.freeze_upwards();
    terminal.send("two\r");
    wait_until("the program to read it", || {
        world.typed().contains("two").then_some(())
    });
    world.proxy.cut();
    terminal.wait_text("<two>");
    say(&terminal, "three");
    assert_eq!(world.typed(), "one\ntwo\nthree\n");
}

#[test]
fn keys_survive_an_agent_that_is_killed_and_started_again() {
    let mut world = World::new();
    let terminal = world.attach();
    world.proxy.freeze();
    world.loses(&terminal, "two");
    world.agent.kill();
    world.agent.start_again(&world.daemon);
    terminal.wait_text("<two>");
    say(&terminal, "three");
    assert_eq!(world.typed(), "one\ntwo\nthree\n");
}

/// Loses a line and then the program, and waits until that is told.
fn lose_for_good(world: &World, terminal: &Pty) {
    world.proxy.freeze();
    world.loses(terminal, "two");
    let pid = std::fs::read_to_string(world.daemon.path("pid")).unwrap();
    world
        .daemon
        .command("kill", ["-9", pid.trim()])
        .run()
        .expect_code(0);
    world.proxy.cut();
    terminal.wait_text("may not have arrived");
    assert_eq!(world.typed(), "one\n");
}

#[test]
fn attach_names_keys_that_cannot_come_any_more() {
    let world = World::new();
    let terminal = world.attach();
    lose_for_good(&world, &terminal);
    assert_eq!(terminal.wait(), 137);
    assert!(terminal.screen().contains("two"), "{}", terminal.screen());
}

#[test]
fn the_console_names_keys_that_cannot_come_any_more() {
    let world = World::new();
    let console = attached_console(&world);
    lose_for_good(&world, &console);
}

/// A console whose keys go to the program.
fn attached_console(world: &World) -> Pty {
    let console = world.daemon.opsctl(["tui"]).pty(140, 40);
    console.wait_text("$ sh -c");
    console.send("a");
    console.wait_text("ATTACHED");
    console.wait_text("ready");
    say(&console, "one");
    console
}

/// Kills the agent and waits until the daemon knows.
fn goes_away(world: &mut World) {
    world.agent.kill();
    world.proxy.cut();
    wait_until("the agent to be known as away", || {
        let status = world.daemon.opsctl(["status", "--json"]).run().json();
        let agents = status["agents"].as_array()?;
        agents
            .iter()
            .all(|agent| agent["connected"] == false)
            .then_some(())
    });
}

/// Loses a line on its way to an agent that is killed then, and types another one while it is known to be away; the first
/// comes when the agent is back, and of the second is said that it does not.
fn lose_while_away(world: &mut World, terminal: &Pty) {
    world.proxy.freeze();
    world.loses(terminal, "two");
    goes_away(world);
    // A key at a time, so that each is refused by itself.
    for key in ["t", "h", "r", "e", "e", "\r"] {
        terminal.send(key);
    }
    terminal.wait_text("\\r\": a is not connected; nothing was sent");
    world.agent.start_again(&world.daemon);
    terminal.wait_text("<two>");
    say(terminal, "four");
    assert_eq!(world.typed(), "one\ntwo\nfour\n");
}

#[test]
fn attach_names_keys_that_were_typed_behind_others_while_the_agent_was_away() {
    let mut world = World::new();
    let terminal = world.attach();
    lose_while_away(&mut world, &terminal);
    assert!(terminal.raw().contains(&7), "it is heard too");
    let screen = terminal.screen();
    assert!(!screen.contains("may not have"), "{screen}");
}

#[test]
fn the_console_names_keys_that_were_typed_behind_others_while_the_agent_was_away() {
    let mut world = World::new();
    let console = attached_console(&world);
    lose_while_away(&mut world, &console);
}

#[test]
fn keys_without_end_that_go_nowhere_are_told_in_few_lines() {
    let mut world = World::new();
    let terminal = world.attach();
    goes_away(&mut world);
    for number in 0..500 {
        terminal.send(format!("{number:04},"));
    }
    terminal.wait_text("…\" and ");
    terminal.wait_text(" more: a is not connected; nothing was sent");
}

#[test]
fn who_leaves_hears_which_keys_are_still_under_way() {
    let world = World::new();
    let terminal = world.attach();
    world.proxy.freeze();
    world.loses(&terminal, "two");
    // Ctrl-] leaves.
    terminal.send("\x1d");
    assert_eq!(terminal.wait(), 0);
    let screen = terminal.screen();
    // What was answered before may have lost its receipt.
    assert!(
        screen.contains(r#"two\r": was still under way]"#),
        "{screen}"
    );
}
