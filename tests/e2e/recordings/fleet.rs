//! The fleet in the pictures: two projects, one agent in each state.

use std::path::Path;

use crate::harness::{TestAgent, TestDaemon, wait_until};

/// A build as cargo shows it, the last line of which comes at the end.
const BUILD: &str = r"printf '\033[1;32m%12s\033[m %s\n' Compiling 'shop-types v0.4.0' Compiling 'shop-store v0.4.0' Compiling 'shop v0.4.0'
printf '\033[1;33mwarning\033[m\033[1m: unused variable: `limit`\033[m\n'
printf '  \033[1;34m-->\033[m src/orders.rs:42:9\n   \033[1;34m|\033[m\n'
printf '\033[1;34m42 |\033[m     let limit = 20;\n   \033[1;34m|\033[m         \033[1;33m^^^^^\033[m \033[1;33mhelp: prefix it with an underscore\033[m\n\n'
for t in orders::totals orders::empty store::reopens types::money; do printf 'test %-28s ... \033[32mok\033[m\n' $t; done
printf '\n\033[1;32m%12s\033[m %s\n' Finished '`test` profile [unoptimized] target(s) in 6.31s'
read go";

/// The monitor of some processes only: a picture tells nothing of the machine that it was made on.
pub const HTOP: &str = "for n in 1 2 3 4 5 6; do bash -c \"exec -a 'postgres: worker $n' sleep 1000\" & all=$all,$!; done; exec htop --no-mouse -p $$$all";

/// An editor.
pub const VIM: &str =
    "exec vim -u NONE -i NONE -n -N +'set number background=dark ft=markdown' +'syntax on' \"$@\"";

const GUIDE: &str = "# Guide\n\nThe shop takes *orders*, keeps them in `store`, and tells the warehouse.\n\n## Start\n\n\
    ```sh\nshop serve --port 8080   # answers when it is ready\n```\n\n- Prices are in cents: `1299` is 12.99 €.\n\
    - Names are any text, 日本語 too.\n- See [orders](orders.md) for **totals**.\n";

/// Columns of the agents' terminals.
const COLUMNS: usize = 80;

/// A daemon and a fleet that does something.
pub struct Shop {
    /// Dropped before the sandbox that they run in.
    agents: Vec<TestAgent>,
    pub daemon: TestDaemon,
}

impl Shop {
    /// Returns when everyone is in the state that the pictures show.
    pub fn open() -> Self {
        let daemon = TestDaemon::start();
        daemon.file("guide.md", GUIDE);
        let mut shop = Self {
            agents: Vec::new(),
            daemon,
        };
        for (name, project) in [
            ("api-1", "shop"),
            ("build-1", "shop"),
            ("web-1", "shop"),
            ("web-2", "shop"),
            ("db-1", "shop"),
            ("docs-1", "site"),
            ("docs-2", "site"),
            ("mail-1", "site"),
            ("mail-2", "site"),
        ] {
            let label = format!("project={project}");
            let agent = TestAgent::start_with(&shop.daemon, name, ["--label", &label]);
            shop.agents.push(agent);
        }
        shop.screen("api-1", "claude", "claude-approve-command");
        shop.screen("web-1", "claude", "claude-working");
        shop.screen("docs-2", "codex", "codex-idle");
        let opsctl = env!("CARGO_BIN_EXE_opsctl");
        let build = format!("'{opsctl}' report working --reason tests\n{BUILD}");
        shop.run("build-1", "cargo", &build, &["test"]);
        shop.ends("web-2", "echo 'deployed 0.4.0'");
        shop.ends("mail-1", "echo 'no route to mail.example'; exit 1");
        for (agent, activity) in [
            ("api-1", "blocked"),
            ("web-1", "working"),
            ("build-1", "working"),
            ("web-2", "done"),
            ("mail-1", "error"),
        ] {
            wait_until(&format!("{agent} to be {activity}"), || {
                shop.does(agent, activity)
            });
        }
        let mut last = shop.agents.pop().expect("some were started");
        last.kill();
        shop
    }

    fn does(&self, name: &str, activity: &str) -> Option<()> {
        let listed = self
            .daemon
            .opsctl(["agents", "--json"])
            .run()
            .expect_code(0)
            .json();
        let agents = listed["agents"].as_array()?;
        let is =
            |agent: &serde_json::Value| agent["agentId"] == name && agent["activity"] == activity;
        agents.iter().any(is).then_some(())
    }

    /// Runs a script in a terminal of the agent, below a program's name, and leaves it.
    pub fn run(&self, agent: &str, name: &str, script: &str, args: &[&str]) {
        let bin = self.daemon.path(format!("bin-{agent}"));
        std::fs::create_dir_all(&bin).unwrap();
        let usual = std::env::var("PATH").unwrap();
        // The script itself finds the real program of its name.
        let script = format!("#!/bin/bash\nPATH='{usual}'\n{script}\n");
        let file = self.daemon.file(&format!("bin-{agent}/{name}"), &script);
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(file, executable).unwrap();
        let path = format!("PATH={}:{usual}", bin.display());
        let sent = [
            "send", agent, "--detach", "--pty", "--env", &path, "--", name,
        ];
        self.daemon.opsctl(sent).args(args).run().expect_code(0);
    }

    fn ends(&self, agent: &str, line: &str) {
        let sent = ["send", agent, "--pty", "--", "sh", "-c", line];
        // Its exit code is the scene's.
        let _ = self.daemon.opsctl(sent).run();
    }

    /// Shows a captured screen of a program, below that program's name.
    fn screen(&self, agent: &str, program: &str, capture: &str) {
        let captures =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("daemon/src/activity/rules/screens");
        let text = std::fs::read_to_string(captures.join(capture).with_extension("txt")).unwrap();
        // The first line tells where it is from.
        let (_, text) = text.split_once('\n').unwrap();
        // As a terminal of these columns shows it, which has no room for the rest.
        let cut = |line: &str| line.chars().take(COLUMNS).collect::<String>();
        let lines: Vec<String> = text.lines().map(cut).collect();
        let file = self.daemon.file(capture, &lines.join("\n"));
        let script = format!("stty -echo; cat '{}'; read go", file.display());
        self.run(agent, program, &script, &[]);
    }
}
