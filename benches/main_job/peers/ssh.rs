//! OpenSSH: an sshd of the program's own on a free port of 127.0.0.1, and a `ControlMaster` connection to it.

use std::fs;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::support::background::Background;
use crate::support::place::{Place, free_port};
use crate::support::stop::wait_until;

/// How long sshd and the master connection may take to get ready.
const DEADLINE: Duration = Duration::from_secs(30);

/// An sshd without PAM, DNS or anything to print, and an open connection to it.
pub struct Ssh {
    // Dropped in this order: a user with processes cannot be removed.
    master: Background,
    _sshd: Background,
    _user: User,
    place: Place,
}

impl Ssh {
    /// Starts it; returns when the connection is open.
    pub fn start() -> Result<Self> {
        let place = Place::new()?;
        let user = User::new(&place)?;
        for key in ["host_key", "user_key"] {
            let mut keygen = place.command("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", key]);
            succeed(&mut keygen)?;
        }
        let port = free_port()?;
        let mut sshd = sshd(&place, port)?;
        let config = client_config(&place, port, &user.name);
        place.write("ssh_config", config)?;
        wait_until("sshd", DEADLINE, || {
            sshd.check()?;
            Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        })?;
        let mut open = ssh(&place);
        let mut master = Background::start(&place, "ssh", open.args(["-M", "-N", "bench"]))?;
        wait_until("the ssh connection", DEADLINE, || {
            master.check()?;
            let mut check = ssh(&place);
            check.args(["-O", "check", "bench"]).stderr(Stdio::null());
            Ok(check.status()?.success())
        })?;
        Ok(Self {
            master,
            _sshd: sshd,
            _user: user,
            place,
        })
    }

    /// `ssh HOST COMMAND` over the open connection.
    pub fn command(&mut self, command: &str) -> Result<Command> {
        // Without the master ssh would quietly connect anew, which is another measurement.
        self.master.check()?;
        let mut ssh = ssh(&self.place);
        ssh.args(["bench", command]);
        Ok(ssh)
    }

    /// `ssh -tt HOST COMMAND` over the open connection: with a terminal there.
    pub fn terminal(&mut self, command: &str) -> Result<Command> {
        self.master.check()?;
        let mut ssh = ssh(&self.place);
        ssh.args(["-tt", "bench", command]);
        Ok(ssh)
    }

    /// What `ssh -V` says.
    pub fn version() -> Result<String> {
        let output = Command::new("ssh").arg("-V").output().context("ssh")?;
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn ssh(place: &Place) -> Command {
    let mut command = place.command("ssh");
    command.arg("-F").arg(place.path("ssh_config"));
    command
}

fn client_config(place: &Place, port: u16, user: &str) -> String {
    format!(
        "Host bench
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {}
  IdentitiesOnly yes
  ControlPath {}
  StrictHostKeyChecking no
  UserKnownHostsFile {}
  LogLevel ERROR
",
        place.path("user_key").display(),
        place.path("control").display(),
        place.path("known_hosts").display(),
    )
}

fn sshd(place: &Place, port: u16) -> Result<Background> {
    // sshd wants an absolute path, and a directory that the distribution's unit would make.
    let path = ["/usr/sbin/sshd", "/usr/bin/sshd", "/sbin/sshd"]
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .context("sshd is not installed")?;
    if rustix::process::geteuid().is_root() {
        fs::create_dir_all("/run/sshd").context("cannot make /run/sshd")?;
    }
    let config = format!(
        "ListenAddress 127.0.0.1:{port}
HostKey {}
AuthorizedKeysFile {}
StrictModes no
PidFile none
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel ERROR
",
        place.path("host_key").display(),
        place.path("user_key.pub").display(),
    );
    let config = place.write("sshd_config", config)?;
    let mut command = place.command(path);
    Background::start(
        place,
        "sshd",
        command.arg("-D").arg("-e").arg("-f").arg(config),
    )
}

/// Whom ssh logs in.
struct User {
    name: String,
    /// Whether it was made for this, and goes at the end.
    own: bool,
}

impl User {
    /// As root a new user with /bin/sh and an empty home; else this user, whose own shell and files then take part.
    fn new(place: &Place) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            let output = Command::new("id").arg("-un").output().context("id")?;
            let name = String::from_utf8(output.stdout)?.trim().to_owned();
            return Ok(Self { name, own: false });
        }
        let name = format!("opsctl-bench-{}", process::id());
        fs::create_dir(place.path("home"))?;
        let mut add = Command::new("useradd");
        // The password `*` fits nothing, but unlike the default `!` it doesn't lock the account.
        add.args(["--no-create-home", "--no-user-group", "--shell", "/bin/sh"])
            .args(["--password", "*", "--home-dir"])
            .arg(place.path("home"))
            .arg(&name);
        succeed(&mut add)?;
        Ok(Self { name, own: true })
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if self.own
            && let Err(error) = succeed(Command::new("userdel").args(["--force", &self.name]))
        {
            eprintln!("main_job: the user {} is left behind: {error:#}", self.name);
        }
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {}", said.trim());
    Ok(())
}
