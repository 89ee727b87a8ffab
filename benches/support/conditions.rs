//! Where and when something was measured.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result};

/// What a measurement starts under.
pub struct Conditions {
    date: String,
    commit: String,
    load: String,
}

impl Conditions {
    /// Notes them now.
    pub fn start() -> Result<Self> {
        Ok(Self {
            date: said(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]))?,
            commit: commit(),
            load: load()?,
        })
    }

    /// A sentence, once the measurement is over.
    pub fn end(&self) -> Result<String> {
        let (date, commit, before, after) = (&self.date, &self.commit, &self.load, load()?);
        Ok(format!(
            "{date}, {commit}; load average {before} before, {after} after"
        ))
    }
}

/// The machine, in a line.
pub fn machine() -> Result<String> {
    let cores = available_parallelism().context("the number of cores")?;
    let cpu = line("/proc/cpuinfo", "model name")?;
    let memory = line("/proc/meminfo", "MemTotal")?;
    let kibibytes: u64 = memory.trim_end_matches(" kB").parse()?;
    let gigabytes = kibibytes as f64 * 1024.0 / 1e9;
    let kernel = said(Command::new("uname").arg("-sr"))?;
    Ok(format!(
        "Machine: {cores} × {cpu}, {gigabytes:.1} GB of memory, {kernel}.\n"
    ))
}

/// What was measured: the commit, and whether the checkout has changes beyond it.
fn commit() -> String {
    let git = |args: &[&str]| said(Command::new("git").args(args));
    let Ok(id) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "outside of a checkout".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Ok(changes) if changes.is_empty() => format!("commit {id}"),
        _ => format!("commit {id} with changes"),
    }
}

/// Load average over 1, 5 and 15 minutes.
fn load() -> Result<String> {
    let loads = fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    let loads: Vec<&str> = loads.split(' ').take(3).collect();
    Ok(loads.join(" "))
}

/// The first value of a field in a file of `name: value` lines.
fn line(file: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| file.to_owned())?;
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
        .with_context(|| format!("no {name:?} in {file}"))
}

fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
