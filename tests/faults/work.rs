//! The work that goes on while faults happen: each job is started once, whatever happens to those who ask for it, and
//! everything that its reader prints is held against what its program prints.

use std::time::Instant;

use crate::attached;
use crate::console;
use crate::harness::{Finished, Opsctl};
use crate::lines;
use crate::plan::{Job, Mode, Plan};
use crate::program::Script;
use crate::rng::Rng;
use crate::world::{KILLED, PATIENCE, World, agent_name, pause, tail, words};

/// `opsctl`: no daemon answers.
const UNREACHABLE: i32 = 242;

/// `opsctl`: the command has no exit status.
pub const NO_STATUS: i32 = 244;

/// What `opsctl` says of a daemon without room on its disk.
const NO_ROOM: &str = "the command was not accepted: no room";

/// How long a job may wait in the queue of an agent that is away. Queues go by the wall clock, so it is longer than any jump
/// of a clock that a plan makes.
const TTL: &str = "30d";

/// A job of a plan, with all that follows from it.
pub struct Task {
    pub number: usize,
    pub job: Job,
    script: Script,
    /// What it is on each of its agents.
    pub runs: Vec<Run>,
}

/// A job on one agent.
pub struct Run {
    pub agent: String,
    pub script: Script,
    /// It may end as `lost`.
    pub may_be_lost: bool,
    /// It may end as `failed`, without having been started.
    pub may_fail: bool,
}

impl Task {
    /// The job with this number.
    pub fn new(plan: &Plan, number: usize, world: &World) -> Self {
        let job = plan.jobs[number].clone();
        let script = Script {
            id: format!("job-{number}"),
            seed: job.seed,
            lines: job.lines,
            burst: job.burst,
            pause_ms: job.pause,
            errors: 20,
            binary: job.binary,
            pty: matches!(job.mode, Mode::SendPty | Mode::Attach | Mode::Console),
            stdin: matches!(job.mode, Mode::SendInput(_)),
            code: job.code,
            everywhere: job.mode == Mode::SendAll,
            marks: world.marks(),
        };
        let run = |agent| Run {
            agent: agent_name(agent),
            script: script.on(&agent_name(agent)),
            may_be_lost: plan.may_be_lost(number, agent),
            may_fail: plan.may_fail(agent),
        };
        Self {
            number,
            runs: plan.agents_of(number).map(run).collect(),
            script,
            job,
        }
    }

    /// What it is on its only agent, or on the first.
    pub fn first(&self) -> &Run {
        &self.runs[0]
    }

    /// The word by which its program is found.
    pub fn word(&self) -> &str {
        &self.script.id
    }

    /// Does it, from the request to the last byte.
    pub fn run(&self, world: &World) -> Result<(), String> {
        pause(self.job.after);
        let done = match self.job.mode {
            Mode::Send | Mode::SendPty | Mode::SendLines | Mode::SendAll => self.send(world, None),
            Mode::SendInput(bytes) => self.send(world, Some(input(self.job.seed, bytes))),
            Mode::Follow => self.follow(world),
            Mode::Attach => self.attach(world),
            Mode::Console => console::watch(self, world),
        };
        done.map_err(|why| format!("job {} ({:?}): {why}", self.number, self.job.mode))
    }

    /// `opsctl send`, again with the same key when it was killed or found no daemon.
    fn send(&self, world: &World, input: Option<Vec<u8>>) -> Result<(), String> {
        let start = Instant::now();
        loop {
            let mut opsctl = self.request(world);
            if let Some(input) = &input {
                opsctl = opsctl.stdin(input.clone());
            }
            match world.read(self.number, opsctl)? {
                Some(ended) if is_refusal(&ended) => {}
                Some(ended) => {
                    self.check_end(&ended)?;
                    if let Some(sent) = input
                        && ended.code != NO_STATUS
                    {
                        self.check_input(&sent)?;
                    }
                    return Ok(());
                }
                None => {}
            }
            if start.elapsed() > PATIENCE {
                return Err("found no daemon for too long".to_owned());
            }
            pause(100);
        }
    }

    fn request(&self, world: &World) -> Opsctl {
        let agents: Vec<&str> = self.runs.iter().map(|run| &*run.agent).collect();
        let agents = agents.join(",");
        let mut opsctl = world.client(["send", &agents, "--ttl", TTL, "--key", &self.script.id]);
        opsctl = match self.job.mode {
            Mode::SendPty => opsctl.arg("--pty"),
            Mode::SendLines | Mode::SendAll => opsctl.arg("--jsonl"),
            Mode::Follow => opsctl.arg("--detach"),
            Mode::Attach | Mode::Console => opsctl.args(["--detach", "--pty"]),
            Mode::Send | Mode::SendInput(_) => opsctl,
        };
        opsctl.arg("--").args(self.script.argv())
    }

    /// `opsctl send --detach`, with the command's id.
    pub fn detach(&self, world: &World) -> Result<String, String> {
        let start = Instant::now();
        loop {
            let ended = self.request(world).spawn().wait_within(PATIENCE);
            let ended = ended.map_err(|_| "send --detach did not end".to_owned())?;
            if ended.code == 0 {
                return Ok(ended.out().trim().to_owned());
            }
            if !is_refusal(&ended) || start.elapsed() > PATIENCE {
                return Err(format!(
                    "send --detach ended with {}: {}",
                    ended.code,
                    ended.err()
                ));
            }
            pause(100);
        }
    }

    /// `opsctl logs -f`, again when it was killed or found no daemon.
    fn follow(&self, world: &World) -> Result<(), String> {
        let id = self.detach(world)?;
        let start = Instant::now();
        loop {
            let logs = world.client(["logs", "-f", &id]);
            match world.read(self.number, logs)? {
                Some(ended) if !is_refusal(&ended) => return self.check_end(&ended),
                _ if start.elapsed() > PATIENCE => {
                    return Err("found no daemon for too long".to_owned());
                }
                _ => pause(100),
            }
        }
    }

    /// `opsctl attach` in a terminal, again when it was killed or found no daemon.
    fn attach(&self, world: &World) -> Result<(), String> {
        let id = self.detach(world)?;
        let start = Instant::now();
        loop {
            let terminal = world.client(["attach", &id]).pty(100, 40);
            world.set_reader(self.number, Some(terminal.pid()));
            let code = terminal.wait_within(PATIENCE);
            world.set_reader(self.number, None);
            let screen = terminal.screen();
            let code = code.ok_or_else(|| format!("attach did not end; shows:\n{screen}"))?;
            let again = code == KILLED || code == UNREACHABLE && start.elapsed() < PATIENCE;
            let lost = self.first().may_have_no_end() && code == NO_STATUS;
            let partial = again || lost;
            self.check_attached(&terminal.raw(), &screen, partial)
                .and_then(|()| {
                    let right = partial || code == i32::from(self.script.code);
                    right.then_some(()).ok_or_else(|| "the code".to_owned())
                })
                .map_err(|why| {
                    format!("{why}; attach ended with {code}; shows:\n{}", tail(&screen))
                })?;
            if !again {
                return Ok(());
            }
            pause(100);
        }
    }

    /// What attach wrote, and what stands on the screen when it ended.
    fn check_attached(&self, written: &[u8], screen: &str, partial: bool) -> Result<(), String> {
        let [output, _] = self.script.expected();
        attached::check(written, &output, partial)?;
        // The checksum of the last line, which may be longer than the screen is wide.
        let last = String::from_utf8_lossy(&output[output.len() - 18..output.len() - 2]);
        let ends = partial || screen.replace('\n', "").contains(&*last);
        ends.then_some(())
            .ok_or_else(|| "the last line does not show".to_owned())
    }

    /// How `send` or `logs -f` ended, and what it printed.
    fn check_end(&self, ended: &Finished) -> Result<(), String> {
        let checked = match self.job.mode {
            Mode::SendLines | Mode::SendAll => lines::check(&ended.stdout, &self.runs),
            _ => {
                let printed = [ended.stdout.clone(), without_words(&ended.stderr)];
                let run = self.first();
                let lost = run.may_have_no_end() && ended.code == NO_STATUS;
                let code = if lost {
                    NO_STATUS
                } else {
                    run.script.code.into()
                };
                run.check_output(&printed, lost).map(|()| code)
            }
        };
        checked
            .and_then(|code| {
                let right = ended.code == code;
                right.then_some(()).ok_or_else(|| format!("not {code}"))
            })
            .map_err(|why| {
                format!(
                    "{why}; ended with {}, said: {}",
                    ended.code,
                    words(&ended.err())
                )
            })
    }

    /// Its input arrived whole, once.
    fn check_input(&self, sent: &[u8]) -> Result<(), String> {
        let got = std::fs::read(self.script.input()).unwrap_or_default();
        if got == sent {
            return Ok(());
        }
        Err(format!("stdin: {}", first_difference(&got, sent)))
    }
}

impl Run {
    /// Whether it may end without an exit code.
    pub fn may_have_no_end(&self) -> bool {
        self.may_be_lost || self.may_fail
    }

    /// Output as it should be: all of it, or, of a command that was lost, what came before.
    pub fn check_output(&self, got: &[Vec<u8>; 2], lost: bool) -> Result<(), String> {
        let names = ["stdout", "stderr"];
        for ((got, wanted), name) in got.iter().zip(&self.script.expected()).zip(names) {
            let same = if lost {
                wanted.starts_with(got)
            } else {
                got == wanted
            };
            if !same {
                let agent = &self.agent;
                return Err(format!(
                    "{agent}: {name}: {}",
                    first_difference(got, wanted)
                ));
            }
        }
        Ok(())
    }

    /// It was started once; one that was lost perhaps never.
    pub fn check_marks(&self, lost: bool) -> Result<(), String> {
        let id = &self.script.id;
        if self.script.again().exists() {
            return Err(format!("{id} was started twice"));
        }
        if !lost && !self.script.started().exists() {
            return Err(format!("{id} never started"));
        }
        Ok(())
    }
}

/// No daemon answered, or it had no room to take the command, and nothing was printed: as good as not having asked.
fn is_refusal(ended: &Finished) -> bool {
    let refused = ended.code == UNREACHABLE || ended.code == 1 && ended.err().contains(NO_ROOM);
    refused && ended.stdout.is_empty()
}

fn input(seed: u64, bytes: usize) -> Vec<u8> {
    let mut rng = Rng::new(seed).fork(77);
    (0..bytes.div_ceil(8))
        .flat_map(|_| rng.next().to_le_bytes())
        .collect()
}

/// stderr without what opsctl itself says there, which may stand in the middle of a program's line.
fn without_words(stderr: &[u8]) -> Vec<u8> {
    let mut rest = stderr;
    let mut kept = Vec::new();
    let mut line_start = true;
    while let Some(first) = rest.first() {
        let word = rest.starts_with(b"opsctl: ") || line_start && is_word(rest);
        let taken = if word {
            rest.iter()
                .position(|byte| *byte == b'\n')
                .map_or(rest.len(), |at| at + 1)
        } else {
            kept.push(*first);
            1
        };
        line_start = rest[taken - 1] == b'\n';
        rest = &rest[taken..];
    }
    kept
}

/// A line of `send` about an agent.
fn is_word(line: &[u8]) -> bool {
    line.starts_with(b"agent-") && line.iter().take(10).any(|byte| *byte == b':')
}

/// Where two streams differ, with the lines that are there.
pub fn first_difference(got: &[u8], wanted: &[u8]) -> String {
    let at = got.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let near = |bytes: &[u8]| {
        let from = bytes[..at]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let to = bytes.len().min(at + 60);
        String::from_utf8_lossy(&bytes[from..to]).into_owned()
    };
    format!(
        "{} bytes instead of {}, different from byte {at}: {:?} instead of {:?}",
        got.len(),
        wanted.len(),
        near(got),
        near(wanted)
    )
}
