//! Agents with real holders and real programs against a daemon's end that only speaks the contract. (Against the real
//! daemon the whole is tested at the root.)
//!
//! The test binary is also the holder: agents start it again with `holder DIR`. Hence a `main` of its own, which runs
//! each test on a thread with a runtime of its own. The first argument that is no option filters by name.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod commands;
mod daemon;
mod figures;
mod recovery;
mod spool;
mod streams;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long one test may take, on a machine that is busy with others.
const LONGEST: Duration = Duration::from_mins(2);

/// A test's name and what it does.
type Test = (&'static str, fn() -> futures::BoxFuture);

mod futures {
    //! The one future type that the table of tests needs.

    /// A test that runs.
    pub(crate) type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()>>>;
}

/// Names async functions as tests.
macro_rules! tests {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), || Box::pin($module::$name())),)+]
    };
}

const TESTS: &[Test] = tests![
    commands::an_exit_code_comes_after_the_output,
    commands::signals_and_failures_have_names,
    commands::interrupts_reach_the_right_processes,
    commands::a_stubborn_program_is_killed,
    commands::time_runs_out,
    commands::further_commands_wait_and_can_be_cancelled,
    commands::a_known_command_is_not_started_again,
    commands::a_background_process_is_not_waited_for,
    commands::the_environment_is_clean,
    streams::a_terminal_has_a_size_and_changes_it,
    streams::a_terminal_outlasts_being_closed,
    streams::input_reaches_the_program_once,
    streams::a_terminals_input_ends_with_its_own_sign,
    streams::bulk_passes_byte_for_byte,
    streams::an_unread_flood_stays_bounded_and_can_be_stopped,
    recovery::a_lost_link_resumes_where_the_daemon_stands,
    recovery::a_killed_agents_programs_go_on,
    recovery::a_killed_holder_is_a_lost_command,
    recovery::an_end_outlives_its_holder,
    recovery::a_command_starts_once_however_often_its_agent_dies,
    recovery::a_journal_that_was_cut_short_is_good_up_to_there,
    recovery::programs_may_be_bound_to_their_agent,
    recovery::a_forgotten_holder_ends,
    recovery::an_agent_that_stops_waits_for_last_acks,
    recovery::a_warm_holder_that_died_costs_nothing,
    recovery::what_was_taken_back_meanwhile_does_not_start,
    recovery::a_second_agent_is_refused,
    recovery::close_codes_are_obeyed,
    recovery::the_main_program_lives_and_ends_with_the_agent,
    recovery::a_shutdown_leaves_programs_running,
    spool::output_outlives_agent,
    spool::output_outlives_holder,
    spool::output_outlives_agent_and_holder,
    spool::a_flood_is_cut_where_its_holder_was_killed,
    spool::a_full_spool_makes_the_program_wait,
    spool::a_full_spool_may_drop_the_oldest,
    spool::a_terminals_size_survives_a_gap,
    spool::a_full_disk_makes_the_program_wait,
    spool::a_full_disk_may_drop_the_oldest,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, dir] = &arguments[..]
        && word == "holder"
    {
        return opsctl_agent::holder_main(Path::new(dir));
    }
    if let [word, options] = &arguments[..]
        && word == "agent"
    {
        return recovery::agent_main(options);
    }
    if arguments.iter().any(|argument| argument == "figures") {
        run(|| Box::pin(figures::all()));
        return ExitCode::SUCCESS;
    }
    let filter = arguments
        .iter()
        .find(|argument| !argument.starts_with('-'))
        .map_or("", String::as_str);
    let chosen: Vec<&Test> = TESTS
        .iter()
        .filter(|(name, _)| name.contains(filter))
        .collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in chosen {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let failed = run_all(&chosen);
    println!(
        "\ntest result: {} passed; {} failed",
        chosen.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs tests on a few threads; returns the names of those that failed.
fn run_all(chosen: &[&Test]) -> Vec<&'static str> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, test)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let passed = catch_unwind(AssertUnwindSafe(|| run(*test))).is_ok();
                    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
                    if !passed {
                        failed.lock().unwrap().push(*name);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

fn run(test: fn() -> futures::BoxFuture) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(LONGEST, test())
            .await
            .expect("the test takes too long");
    });
    runtime.shutdown_background();
}
