//! The daemon's disk: what it keeps and for how long, when it is full, and when it is damaged.

mod damage;
mod full;
mod retention;

/// What `seq 1 LAST` prints.
fn numbers(last: u32) -> String {
    let line = |n: u32| [n.to_string(), "\n".to_owned()];
    (1..=last).flat_map(line).collect()
}
