//! The machine that tries to break it: faults that a seed decides, over the real binary, while work goes on whose every
//! byte is known beforehand.
//!
//! - [`plan`]: what is done to whom, and when; a pure function of a kind and a seed.
//! - [`program`]: what agents run. This very binary, started with another word.
//! - [`proxy`]: a network that misbehaves; [`tmpfs`]: a disk that fills.
//! - [`world`]: daemon and agents; [`storm`]: a plan carried out in it.
//! - [`work`]: commands and their readers; what [`lines`] of `send`, [`attached`] terminals and the [`console`] show.
//! - [`dashboard`], [`wire`]: dashboards that come and go.
//! - [`witness`]: what a dashboard has seen, held against the contract.
//!
//! `cargo test --test faults` runs a few fixed seeds, `-- --for 1h` random ones, `-- --seed N --kind K` one of them again.
//! It has a main function of its own, since it is also the program that agents run.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test binary exports nothing, and a test that cannot go on panics"
)]

#[path = "../e2e/harness/mod.rs"]
mod harness;

mod options;
mod plan;
mod program;
mod proxy;
mod rng;
mod tmpfs;
mod world;

mod attached;
mod console;
mod dashboard;
mod lines;
mod storm;
mod wire;
mod witness;
mod work;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use options::{Options, What};
use plan::{Kind, Plan};
use rng::Rng;

/// What runs as part of `cargo test`, longest first.
const SHORT: [(Kind, u64); 9] = [
    (Kind::HalfOpen, 1),
    (Kind::Network, 1),
    (Kind::Crashes, 1),
    (Kind::Everything, 1),
    (Kind::Freezes, 1),
    (Kind::Clock, 1),
    (Kind::Disk, 1),
    (Kind::Crashes, 2),
    (Kind::Network, 2),
];

/// Plans that are carried out at once: most of their time they wait.
const AT_ONCE: usize = 3;

/// How much is done in each plan of the long run, compared with the short one.
const LONG_SIZE: u32 = 3;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, _, script] = &args[..]
        && word == program::WORD
    {
        return program::main(script).into();
    }
    let options = Options::read(&args);
    plan::check();
    proxy::check_frames();
    attached::check_self();
    lines::check_self();
    let failed = match options.what {
        What::Short => {
            let wanted = SHORT.into_iter().filter(|(kind, seed)| {
                options.filters.is_empty()
                    || options
                        .filters
                        .iter()
                        .any(|filter| format!("{}-{seed}", kind.name()).contains(filter))
            });
            let mut wanted = wanted.map(|(kind, seed)| (kind, seed, 1));
            run_all(&Mutex::new(&mut wanted))
        }
        What::One(kind, seed, size) => {
            run_all(&Mutex::new(&mut std::iter::once((kind, seed, size))))
        }
        What::For(time, kind) => long(time, kind),
        What::Nothing => 0,
    };
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        println!("\n{failed} failed");
        ExitCode::FAILURE
    }
}

/// Random seeds until the time is over.
fn long(time: Duration, kind: Option<Kind>) -> u32 {
    let start = Instant::now();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut rng = Rng::new(now.unwrap().as_nanos() as u64);
    let mut plans = std::iter::from_fn(|| {
        let kind = kind.unwrap_or(*rng.pick(&Kind::ALL));
        // Short enough to be typed.
        (start.elapsed() < time).then(|| (kind, rng.within(1..1_000_000_000), LONG_SIZE))
    });
    run_all(&Mutex::new(&mut plans))
}

/// Carries out all of these, some at once; returns how many failed.
fn run_all(plans: &Mutex<&mut (dyn Iterator<Item = (Kind, u64, u32)> + Send)>) -> u32 {
    let worker = || {
        let mut failed = 0;
        loop {
            let Some((kind, seed, size)) = plans.lock().unwrap().next() else {
                return failed;
            };
            failed += u32::from(!run_one(kind, seed, size));
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or(1))
            .sum()
    })
}

/// Carries one plan out and says how it went.
fn run_one(kind: Kind, seed: u64, size: u32) -> bool {
    let plan = Plan::new(kind, seed, size);
    let start = Instant::now();
    let result = std::thread::scope(|scope| {
        let storm = scope.spawn(|| storm::run(&plan));
        storm
            .join()
            .unwrap_or_else(|_| Err(vec!["panicked, see above".to_owned()]))
    });
    let name = format!("{}-{seed}", kind.name());
    let seconds = start.elapsed().as_secs();
    match result {
        Ok(()) => {
            println!("storm {name} ... ok ({seconds} s)");
            true
        }
        Err(troubles) => {
            println!(
                "storm {name} ... FAILED ({seconds} s)\n  again: cargo test --test faults -- --kind {} --seed {seed} --size {size}\n{plan}",
                kind.name()
            );
            for trouble in troubles {
                println!("  * {}", trouble.replace('\n', "\n    "));
            }
            false
        }
    }
}
