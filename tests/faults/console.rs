//! `opsctl tui` over a program: killed and started again while it runs; in the end its pane shows what a terminal shows
//! that got every byte.

use std::time::{Duration, Instant};

use opsctl_protocol::message::{CommandSummary, State};
use opsctl_terminal::Screen;

use crate::harness::{Pty, Signal};
use crate::rng::Rng;
use crate::work::Task;
use crate::world::{KILLED, PATIENCE, World, pause};

/// Room for a pane as wide as the program's terminal, beside the list.
const SIZE: (u16, u16) = (160, 50);

/// The program's terminal where nobody says otherwise.
const TERMINAL: (u16, u16) = (80, 24);

/// Lines at the end of the output that must stand in the pane.
const LAST: usize = 12;

/// What the console shows while it is connected; the other one after it often was not.
const CONNECTED: [&str; 2] = ["● connected", "▲ degraded"];

/// How often the console is killed while the program runs.
const KILLS: u32 = 3;

/// How long a console may take to show that it is connected, or to open the pane, before its keys are typed again: a fault
/// may have taken what they asked for.
const AGAIN: Duration = Duration::from_secs(5);

/// Starts it, and kills it now and then, until the program has ended and the pane shows its end.
pub fn watch(task: &Task, world: &World) -> Result<(), String> {
    let id = task.detach(world)?;
    let mut rng = Rng::new(task.job.seed).fork(99);
    for _ in 0..KILLS {
        let console = open(task, world);
        let until = Instant::now() + Duration::from_millis(rng.within(500..4_000));
        look(&console, &id, until, |_| false);
        console.signal(Signal::KILL);
        closed(task, world, &console)?;
        if ended(world, &id).is_some() {
            break;
        }
    }
    let start = Instant::now();
    let command = loop {
        match ended(world, &id) {
            Some(command) => break command,
            None if start.elapsed() > PATIENCE => return Err("it does not end".to_owned()),
            None => pause(200),
        }
    };
    let wanted = last_lines(task, world, &command)?;
    let start = Instant::now();
    loop {
        let console = open(task, world);
        let until = Instant::now() + PATIENCE;
        let found = look(&console, &id, until, |pane| {
            wanted.is_empty() || pane.windows(wanted.len()).any(|lines| lines == wanted)
        });
        if found {
            return leave(task, world, &console);
        }
        let screen = console.screen();
        let code = closed(task, world, &console)?;
        // The plan may kill it too.
        if code != KILLED || start.elapsed() > PATIENCE {
            return Err(format!(
                "the console ended with {code}, without {wanted:#?}; shows:\n{screen}"
            ));
        }
    }
}

/// A console whose end the plan may bring.
fn open(task: &Task, world: &World) -> Pty {
    let console = world.client(["tui"]).pty(SIZE.0, SIZE.1);
    world.set_reader(task.number, Some(console.pid()));
    console
}

/// Its exit code, once it has ended.
fn closed(task: &Task, world: &World, console: &Pty) -> Result<i32, String> {
    let code = console.wait_within(PATIENCE);
    world.set_reader(task.number, None);
    code.ok_or_else(|| format!("the console did not end; shows:\n{}", console.screen()))
}

fn leave(task: &Task, world: &World, console: &Pty) -> Result<(), String> {
    console.send("q");
    let code = closed(task, world, console)?;
    let as_before = console.look(|screen| !screen.modes().alternate_screen);
    match code {
        // The plan may kill it even now.
        0 if as_before => Ok(()),
        KILLED => Ok(()),
        _ => Err(format!(
            "the console ended with {code}; shows:\n{}",
            console.screen()
        )),
    }
}

/// Opens the command's pane, and looks at it until it is as wanted. `false` when the time is over or the console ended.
fn look(console: &Pty, id: &str, until: Instant, wanted: impl Fn(&[String]) -> bool) -> bool {
    let mut asked: Option<Instant> = None;
    while Instant::now() < until && !console.has_ended() {
        let screen = console.screen();
        let pane: Vec<String> = screen.lines().filter_map(pane_line).collect();
        if wanted(&pane) {
            return true;
        }
        let again = asked.is_none_or(|asked| asked.elapsed() > AGAIN);
        let connected = CONNECTED.iter().any(|words| screen.contains(words));
        if again && connected {
            console.send(format!(":logs {id}\r"));
            asked = Some(Instant::now());
        }
        pause(50);
    }
    false
}

/// What stands in the pane beside the list, as far as the program's terminal is wide.
fn pane_line(line: &str) -> Option<String> {
    let (_, pane) = line.split_once('│')?;
    let pane: String = pane.chars().take(TERMINAL.0.into()).collect();
    Some(pane.trim_end().to_owned())
}

/// The command, once it has ended.
fn ended(world: &World, id: &str) -> Option<CommandSummary> {
    let listed = world.local(["ps", "--all", "--limit", "1000", "--json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.run().stdout).ok()?;
    let commands: Vec<CommandSummary> = serde_json::from_value(listed["commands"].clone()).ok()?;
    let command = commands
        .into_iter()
        .find(|command| command.command_id.to_string() == id)?;
    command.state.is_final().then_some(command)
}

/// What a terminal shows at the end that got all that the program printed; of one that was lost, all that is in the log.
fn last_lines(task: &Task, world: &World, command: &CommandSummary) -> Result<Vec<String>, String> {
    let [output, _] = if command.state == State::Exited {
        task.first().script.expected()
    } else {
        [logged(world, command)?, Vec::new()]
    };
    let mut screen = Screen::new(TERMINAL.0, TERMINAL.1, 0);
    screen.feed(&output);
    let text = screen.text();
    let lines: Vec<String> = text
        .trim_end()
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    Ok(lines[lines.len().saturating_sub(LAST)..].to_vec())
}

fn logged(world: &World, command: &CommandSummary) -> Result<Vec<u8>, String> {
    let id = command.command_id.to_string();
    let start = Instant::now();
    loop {
        let logs = world.local(["logs", &id]).run();
        if logs.stdout.len() as u64 == command.output_bytes {
            return Ok(logs.stdout);
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("logs: {}", logs.err()));
        }
        pause(200);
    }
}
