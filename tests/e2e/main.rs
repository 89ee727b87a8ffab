//! End to end, over the real binary. One test binary holds all of it, since linking one for each file would cost more than
//! running them: a new file in this directory is a `mod` line here.
//!
//! [`harness`] gives each test a world of its own (directories, environment, sockets, port 0), so that all tests run at
//! once. Nothing sleeps to wait for something: everything waits for an event, with a deadline.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test binary exports nothing, and a test that cannot go on panics"
)]

mod harness;
mod raw;

mod activity;
mod attach;
mod bad_input;
mod console;
mod contract;
mod convergence;
mod daemon;
mod disk;
mod edges;
mod fidelity;
mod interrupts;
mod keys;
mod lists;
mod queue;
mod recordings;
mod restarts;
mod send;
mod settings;
mod spool;
mod typing;
mod up;
mod witness;
