//! Salt from `PyPI`: a master and minions on this host, each with its own directories.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::support::background::Background;
use crate::support::place::{Place, cache, free_port};
use crate::support::stop::wait_until;

/// What is installed, so that runs can be compared with each other.
const PACKAGE: &str = "salt==3008.3";

/// Ten minions starting at once on two cores take most of a minute.
const DEADLINE: Duration = Duration::from_mins(5);

/// A master, and minions that it knows and that answer.
pub struct Salt {
    _minions: Vec<Background>,
    _master: Background,
    install: PathBuf,
    place: Place,
    /// How many answers make an answer.
    count: usize,
}

impl Salt {
    /// Installs Salt where it isn't, and starts it; returns when all minions answer.
    pub fn start(count: usize) -> Result<Self> {
        let install = install()?;
        let place = Place::new()?;
        let (publish, answers) = (free_port()?, free_port()?);
        let ports = format!("publish_port: {publish}\n");
        let own = format!("interface: 127.0.0.1\nret_port: {answers}\nauto_accept: True\n");
        let mut master = start(&place, &install, "master", &(ports.clone() + &own))?;
        let minion = |number| {
            let name = format!("m{number}");
            let own = format!(
                "id: {name}\nmaster: 127.0.0.1\nmaster_port: {answers}\nacceptance_wait_time: 1\n"
            );
            start(&place, &install, &name, &(ports.clone() + &own))
        };
        let mut minions = (1..=count).map(minion).collect::<Result<Vec<_>>>()?;
        wait_until("the minions", DEADLINE, || {
            master.check()?;
            minions.iter_mut().try_for_each(Background::check)?;
            Ok(answers_to(&mut client(&place, &install, &["*", "test.ping"]))? == count)
        })?;
        Ok(Self {
            _minions: minions,
            _master: master,
            install,
            place,
            count,
        })
    }

    /// Runs `salt '*' cmd.run /bin/true` from its start to its end. Not `true`: Salt reads arguments as YAML, and would look
    /// for a program named `True`.
    ///
    /// # Errors
    /// When not all minions have answered.
    pub fn run_true(&self) -> Result<Duration> {
        let mut command = client(&self.place, &self.install, &["*", "cmd.run", "/bin/true"]);
        let start = Instant::now();
        let answers = answers_to(&mut command)?;
        let took = start.elapsed();
        let count = self.count;
        ensure!(answers == count, "{answers} of {count} minions answered");
        Ok(took)
    }

    /// What `salt --version` says.
    pub fn version(&self) -> Result<String> {
        let output = Command::new(self.install.join("salt"))
            .arg("--version")
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// The directory with Salt's programs: in the user's cache, since it takes a minute and 300 MB to install.
fn install() -> Result<PathBuf> {
    let dir = cache("salt")?;
    let bin = dir.join("bin");
    if bin.join("salt-master").is_file() {
        return Ok(bin);
    }
    eprintln!("main_job: installing {PACKAGE} into {}", dir.display());
    let python = if Command::new("python3.11").arg("-V").output().is_ok() {
        "python3.11"
    } else {
        "python3"
    };
    let mut venv = Command::new(python);
    let mut pip = Command::new(bin.join("pip"));
    for step in [
        venv.args(["-m", "venv"]).arg(&dir),
        pip.args(["install", "--quiet", PACKAGE]),
    ] {
        let output = step
            .output()
            .with_context(|| format!("cannot start {step:?}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{step:?}: {}", said.trim());
    }
    Ok(bin)
}

/// Starts the master or a minion, as is its name.
fn start(place: &Place, install: &Path, name: &str, own: &str) -> Result<Background> {
    let kind = if name == "master" { "master" } else { "minion" };
    let dir = place.path(name);
    let root = dir.display();
    let mut config = format!("{own}root_dir: {root}\nlog_level: error\n");
    for (setting, path) in [
        ("pki_dir", "pki"),
        ("cachedir", "cache"),
        ("sock_dir", "run"),
        ("log_file", "log"),
        ("pidfile", "pid"),
    ] {
        let _ = writeln!(config, "{setting}: {root}/{path}");
    }
    place.write(&format!("{name}/{kind}"), config)?;
    let mut command = place.command(install.join(format!("salt-{kind}")));
    Background::start(place, name, command.arg("-c").arg(&dir))
}

fn client(place: &Place, install: &Path, args: &[&str]) -> Command {
    let mut command = place.command(install.join("salt"));
    command.arg("-c").arg(place.path("master")).args(args);
    command
}

/// How many minions answered: each has a line with its name and a colon. None count when Salt says that something failed.
fn answers_to(command: &mut Command) -> Result<usize> {
    let output = command.output().context("cannot start salt")?;
    if !output.status.success() {
        return Ok(0);
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let named = |line: &&str| line.starts_with('m') && line.ends_with(':');
    Ok(said.lines().filter(named).count())
}
