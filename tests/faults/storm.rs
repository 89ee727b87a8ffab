//! One plan, carried out: work and dashboards run, faults happen, and when all is calm again nothing is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use opsctl_protocol::CommandId;
use opsctl_protocol::message::{CommandStatus, CommandSummary, Kind as Output, State};

use crate::dashboard::{Dashboard, Manner, Over};
use crate::harness::Signal;
use crate::plan::{Part, Plan, Side, Step};
use crate::rng::Rng;
use crate::witness::{Seen, Witness};
use crate::work::Task;
use crate::world::{PATIENCE, World, agent_name, pause, tail};

/// What the daemon may hold after a storm, beside the rings of its commands.
const DAEMON_MEMORY: u64 = 64 * 1024 * 1024;

/// What the ring of one command holds at most, by default, with what surrounds it.
const RING_MEMORY: u64 = 5 * 1024 * 1024;

/// All that went wrong.
pub type Troubles = Vec<String>;

/// Carries the plan out.
pub fn run(plan: &Plan) -> Result<(), Troubles> {
    let world = Arc::new(World::start(plan));
    let tasks: Arc<Vec<Task>> = Arc::new(
        (0..plan.jobs.len())
            .map(|job| Task::new(plan, job, &world))
            .collect(),
    );
    let over = Arc::new(Over::new());
    let dashboards = dashboards(plan, &world, &over);
    let readers = readers(&world, &tasks);
    let mut troubles = Troubles::new();
    for step in &plan.steps {
        if let Err(trouble) = perform(step, &world, &tasks) {
            troubles.push(format!("{step:?}: {trouble}"));
        }
    }
    for reader in readers {
        note(&mut troubles, join(reader));
    }
    let commands = match all_ended(&world) {
        Ok(commands) => commands,
        Err(trouble) => {
            troubles.push(trouble);
            over.set(BTreeMap::new()).unwrap();
            return Err(with_logs(troubles, plan, &world));
        }
    };
    let agents = commands
        .iter()
        .map(|(id, command)| (*id, command.agent_id.clone()));
    over.set(agents.collect()).unwrap();
    let reference = reference(&world, &over);
    for dashboard in dashboards {
        match (join(dashboard), &reference) {
            (Ok(witness), Ok(reference)) => compare(&witness, reference, &mut troubles),
            (Ok(_), Err(_)) => {}
            (Err(trouble), _) => troubles.push(format!("a dashboard: {trouble}")),
        }
    }
    match &reference {
        Ok(reference) => check_commands(&commands, reference, &tasks, &mut troubles),
        Err(trouble) => troubles.push(format!("the log: {trouble}")),
    }
    check_world(plan, &world, &mut troubles);
    if troubles.is_empty() {
        Ok(())
    } else {
        Err(with_logs(troubles, plan, &world))
    }
}

fn dashboards(
    plan: &Plan,
    world: &Arc<World>,
    over: &Arc<Over>,
) -> Vec<JoinHandle<Result<Witness, String>>> {
    let start = |number: u64| {
        let rng = Rng::new(plan.seed).fork(100 + number);
        let address = world.client_side.address();
        let dashboard = Dashboard::new(address, world.token(), Manner::of(number), rng);
        let over = over.clone();
        thread::spawn(move || {
            dashboard
                .watch(&over)
                .map_err(|why| format!("{:?}: {why}", Manner::of(number)))
        })
    };
    (0..plan.dashboards).map(start).collect()
}

fn readers(world: &Arc<World>, tasks: &Arc<Vec<Task>>) -> Vec<JoinHandle<Result<(), String>>> {
    let start = |number: usize| {
        let (world, tasks) = (world.clone(), tasks.clone());
        thread::spawn(move || tasks[number].run(&world))
    };
    (0..tasks.len()).map(start).collect()
}

fn join<T>(thread: JoinHandle<Result<T, String>>) -> Result<T, String> {
    thread
        .join()
        .unwrap_or_else(|_| Err("panicked, see above".to_owned()))
}

fn note(troubles: &mut Troubles, result: Result<(), String>) {
    troubles.extend(result.err());
}

fn perform(step: &Step, world: &World, tasks: &[Task]) -> Result<(), String> {
    match *step {
        Step::Calm(ms) => pause(ms),
        Step::Kill(part, down) => {
            world.check_alive(part)?;
            world.kill(part);
            pause(down);
            world.start_part(part);
        }
        Step::Restart(part, down) => {
            world.check_alive(part)?;
            if let Some(ended) = world.stop(part).filter(|ended| ended.code != 0) {
                return Err(format!("{}: {}", ended.code, tail(&ended.err())));
            }
            pause(down);
            world.start_part(part);
        }
        Step::KillHolder(job) => {
            // One that has ended, or has not begun, has no holder.
            let _ = world.kill_holder(tasks[job].word());
        }
        Step::KillReader(job) => world.kill_reader(job),
        Step::FreezeReader(job, ms) => world.freeze_reader(job, ms),
        Step::Freeze(part, ms) => {
            world.signal(part, Signal::STOP);
            pause(ms);
            world.signal(part, Signal::CONT);
        }
        Step::Cut(Side::Agents) => world.agent_side.cut_all(),
        Step::Cut(Side::Clients) => world.client_side.cut_all(),
        Step::Stall(side, ms) => {
            let proxy = match side {
                Side::Agents => &world.agent_side,
                Side::Clients => &world.client_side,
            };
            proxy.stall(true);
            pause(ms);
            proxy.stall(false);
        }
        Step::Fill(part, ms) => {
            if let Some(disk) = world.disk(part) {
                disk.fill();
                pause(ms);
                disk.free();
            }
        }
        Step::Clock(part, seconds) => {
            if world.has_clocks() {
                world.set_clock(part, seconds);
            }
        }
        Step::SecondDaemon => world.second_daemon()?,
    }
    Ok(())
}

/// Every command, once all have ended.
fn all_ended(world: &World) -> Result<BTreeMap<CommandId, CommandSummary>, String> {
    let start = std::time::Instant::now();
    loop {
        let listed = world
            .local(["ps", "--all", "--limit", "1000", "--json"])
            .run();
        let commands = serde_json::from_slice::<serde_json::Value>(&listed.stdout)
            .ok()
            .and_then(|list| {
                serde_json::from_value::<Vec<CommandSummary>>(list["commands"].clone()).ok()
            });
        if let Some(commands) = &commands
            && commands.iter().all(|command| command.state.is_final())
        {
            let by_id = commands
                .iter()
                .map(|command| (command.command_id, command.clone()));
            return Ok(by_id.collect());
        }
        if start.elapsed() > PATIENCE {
            return Err(format!(
                "not all commands end: {}{}",
                listed.out(),
                listed.err()
            ));
        }
        pause(200);
    }
}

/// Everything as it is in the log, read by a dashboard that no fault reaches.
fn reference(world: &World, over: &Over) -> Result<Witness, String> {
    let rng = Rng::new(0);
    Dashboard::new(world.address(), world.token(), Manner::reader(), rng).watch(over)
}

/// A command's output as one stream, with each byte's kind.
fn stream(seen: &Seen) -> Vec<(Output, u8)> {
    let bytes = |piece: &crate::witness::Piece| {
        let kind = piece.kind;
        piece
            .data
            .iter()
            .map(move |byte| (kind, *byte))
            .collect::<Vec<_>>()
    };
    seen.pieces.iter().flat_map(bytes).collect()
}

/// Whatever a dashboard has seen is what stands in the log.
fn compare(witness: &Witness, reference: &Witness, troubles: &mut Troubles) {
    for (id, seen) in &witness.commands {
        let Some(logged) = reference.commands.get(id) else {
            troubles.push(format!("{id} was seen and is not in the log"));
            continue;
        };
        let logged = stream(logged);
        for piece in &seen.pieces {
            let from = piece.offset as usize;
            let same = logged
                .get(from..from + piece.data.len())
                .is_some_and(|logged| {
                    logged
                        .iter()
                        .zip(&piece.data)
                        .all(|((kind, a), b)| a == b && *kind == piece.kind)
                });
            if !same {
                troubles.push(format!(
                    "{id}: a dashboard saw {} bytes at {from} that differ from the log's {}",
                    piece.data.len(),
                    logged.len()
                ));
                break;
            }
        }
    }
}

/// Every command ended as its program did, and its log holds what its program printed.
fn check_commands(
    commands: &BTreeMap<CommandId, CommandSummary>,
    reference: &Witness,
    tasks: &[Task],
    troubles: &mut Troubles,
) {
    let runs = || {
        tasks
            .iter()
            .flat_map(|task| task.runs.iter().map(move |run| (task, run)))
    };
    let wanted = runs().count();
    if commands.len() != wanted {
        troubles.push(format!("{} commands instead of {wanted}", commands.len()));
    }
    for (task, run) in runs() {
        let (name, word) = (&run.script.id, format!(" {} ", task.word()));
        let command = commands.values().find(|command| {
            command.agent_id.as_str() == run.agent && command.program.to_string().contains(&word)
        });
        let Some(command) = command else {
            troubles.push(format!("{name} is not listed"));
            continue;
        };
        let Some(seen) = reference.commands.get(&command.command_id) else {
            continue;
        };
        let no_room = command.state == State::Failed && run.may_fail;
        let lost = command.state == State::Lost && run.may_be_lost;
        note(troubles, run.check_marks(lost || no_room));
        let as_asked =
            command.state == State::Exited && command.exit_code == Some(run.script.code.into());
        let permitted = as_asked || no_room || lost;
        if !permitted {
            troubles.push(format!("{name} ended as {:?}", CommandStatus::of(command)));
            continue;
        }
        let mut outputs = [Vec::new(), Vec::new()];
        for (kind, byte) in stream(seen) {
            outputs[usize::from(kind == Output::Error)].push(byte);
        }
        if let Err(trouble) = run.check_output(&outputs, lost || no_room) {
            troubles.push(format!("the log of {name}: {trouble}"));
        }
    }
}

/// All parts live, use no more memory than they should, end when asked to, and leave nothing behind.
fn check_world(plan: &Plan, world: &World, troubles: &mut Troubles) {
    let parts: Vec<Part> = (0..plan.agents)
        .map(Part::Agent)
        .chain([Part::Daemon])
        .collect();
    for part in &parts {
        note(troubles, world.check_alive(*part));
    }
    // An agent that is still on its way back has not told its programs' holders yet that all of them is in the log.
    for agent in (0..plan.agents).map(agent_name) {
        let asked = world.local(["send", &agent, "--ttl", "30d", "--", "true"]);
        match asked.spawn().wait_within(PATIENCE) {
            Ok(ended) if ended.code == 0 => {}
            Ok(ended) => troubles.push(format!("{agent} runs nothing more: {}", ended.err())),
            Err(_) => troubles.push(format!("{agent} does not come back")),
        }
    }
    let bound = DAEMON_MEMORY + plan.jobs.len() as u64 * RING_MEMORY;
    if let Some(memory) = world.memory(Part::Daemon).filter(|bytes| *bytes > bound) {
        troubles.push(format!("the daemon holds {} MiB", memory >> 20));
    }
    for part in parts {
        if let Some(ended) = world.stop(part).filter(|ended| ended.code != 0) {
            troubles.push(format!(
                "{part:?} ended with {}: {}",
                ended.code,
                tail(&ended.err())
            ));
        }
    }
    let start = std::time::Instant::now();
    while !world.processes().is_empty() {
        if start.elapsed().as_secs() > 20 {
            troubles.push(format!("left running: {:#?}", world.processes()));
            return;
        }
        pause(20);
    }
}

/// Adds what daemon and agents have written, where somebody wants to read that.
fn with_logs(mut troubles: Troubles, plan: &Plan, world: &World) -> Troubles {
    let Some(dir) = std::env::var_os("OPSCTL_FAULTS_LOGS") else {
        troubles.push("OPSCTL_FAULTS_LOGS=DIR keeps the logs of daemon and agents".to_owned());
        return troubles;
    };
    for part in (0..plan.agents).map(Part::Agent).chain([Part::Daemon]) {
        let name = format!("{}-{}-{part:?}.log", plan.kind.name(), plan.seed);
        let _ = std::fs::write(std::path::Path::new(&dir).join(name), world.log(part));
    }
    troubles
}
