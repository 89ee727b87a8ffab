//! Interrupts that an agent's connection loses: whoever asked is told that they may not have arrived, and may ask again.

use crate::harness::{Process, Proxy, Signal, TestAgent, TestDaemon, wait_until};

/// What `opsctl interrupt` exits with when the agent's connection has ended.
const AGENT_OFFLINE: i32 = 241;

/// Bytes of an interrupt on the wire, at least; more than a heartbeat has.
const MESSAGE: usize = 100;

/// A daemon, a way to it that can break, and an agent behind that whose main program marks each INT.
struct World {
    daemon: TestDaemon,
    proxy: Proxy,
    _agent: TestAgent,
    /// The program's command.
    id: String,
}

impl World {
    fn new() -> Self {
        let daemon = TestDaemon::start();
        let proxy = Proxy::start(daemon.address());
        let line = format!(
            "trap 'echo int >> {0}/marks' INT; : > {0}/marks; while :; do sleep 0.02; done",
            daemon.path("").display()
        );
        let agent = TestAgent::start_through(&daemon, &proxy, "a", &line);
        let id = wait_until("the program to run", || {
            let running = daemon.opsctl(["ps", "-q", "--state", "running"]).run();
            let id = running.out().trim().to_owned();
            (!id.is_empty() && daemon.path("marks").exists()).then_some(id)
        });
        Self {
            daemon,
            proxy,
            _agent: agent,
            id,
        }
    }

    fn interrupt(&self) -> Process {
        let args = ["interrupt", &self.id, "--signal", "INT"];
        self.daemon.opsctl(args).spawn()
    }

    /// How often the program was interrupted.
    fn marks(&self) -> usize {
        let marks = std::fs::read_to_string(self.daemon.path("marks"));
        marks.unwrap().lines().count()
    }

    fn wait_lost(&self, before: usize) {
        wait_until("the interrupt to be lost", || {
            (self.proxy.lost() >= before + MESSAGE).then_some(())
        });
    }

    fn wait_back(&self) {
        wait_until("the agent to be back", || {
            let listed = self.daemon.opsctl(["agents", "--json"]).run().json();
            (listed["agents"][0]["status"] == "connected").then_some(())
        });
    }
}

#[test]
fn an_interrupt_that_a_connection_takes_along_is_not_called_delivered() {
    let world = World::new();
    world.proxy.freeze();
    let before = world.proxy.lost();
    let interrupt = world.interrupt();
    world.wait_lost(before);
    world.proxy.cut();
    interrupt
        .wait()
        .expect_code(AGENT_OFFLINE)
        .expect_err(&["a", "may not have arrived"]);
    world.wait_back();
    assert_eq!(world.marks(), 0);
    world
        .interrupt()
        .wait()
        .expect_code(0)
        .expect_err(&["interrupted"]);
    wait_until("the program to be interrupted", || {
        (world.marks() == 1).then_some(())
    });
}

#[test]
fn an_interrupt_whose_receipt_is_lost_is_not_sent_again_by_itself() {
    let world = World::new();
    world.proxy.freeze_upwards();
    let interrupt = world.interrupt();
    wait_until("the program to be interrupted", || {
        (world.marks() == 1).then_some(())
    });
    world.proxy.cut();
    interrupt
        .wait()
        .expect_code(AGENT_OFFLINE)
        .expect_err(&["may not have arrived"]);
    world.wait_back();
    world.interrupt().wait().expect_code(0);
    wait_until("the second interrupt", || {
        (world.marks() == 2).then_some(())
    });
}

#[test]
fn ctrl_c_that_a_connection_takes_along_comes_when_the_agent_is_back() {
    let world = World::new();
    let line = "trap 'exit 9' INT; echo ready; while :; do sleep 0.02; done";
    let send = world.daemon.opsctl(["send", "a", "--shell", line]).spawn();
    send.wait_stdout("ready");
    world.proxy.freeze();
    let before = world.proxy.lost();
    send.signal(Signal::INT);
    world.wait_lost(before);
    world.proxy.cut();
    send.wait_stderr("a is back: its command is interrupted");
    send.wait().expect_code(9);
}
