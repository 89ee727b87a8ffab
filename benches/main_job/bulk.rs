//! Large output and input, against ssh.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::options::Options;
use crate::peers::ssh::Ssh;
use crate::support::fleet::Fleet;
use crate::support::place::Place;
use crate::support::report::{Bar, Section};
use crate::support::samples::{Samples, shown};
use crate::support::turns::take_turns;

const RUNS: u32 = 7;

/// Measures `cat FILE` to a pipe and `sha256sum < FILE` from a file, through `opsctl send` and through ssh.
pub fn measure(options: &Options) -> Result<Section> {
    let payload = Payload::new(options.bulk_mb)?;
    let fleet = Fleet::start(1)?;
    let mut ssh = Ssh::start()?;
    let runs = options.runs(RUNS);
    let file = payload.file.to_str().context("a path in /tmp is UTF-8")?;
    let [out_ours, out_theirs] = take_turns(
        runs,
        [
            &mut || payload.pull(&mut fleet.opsctl(["send", "a1", "--", "cat", file])),
            &mut || payload.pull(&mut ssh.command(&format!("cat {file}"))?),
        ],
    )?;
    let [in_ours, in_theirs] = take_turns(
        runs,
        [
            &mut || payload.push(&mut fleet.opsctl(["send", "a1", "--", "sha256sum"])),
            &mut || payload.push(&mut ssh.command("sha256sum")?),
        ],
    )?;
    let row = |what: &str, samples: &Samples| {
        let (median, rate) = (samples.median(), payload.rate(samples));
        let runs = samples.count().to_string();
        vec![what.to_owned(), runs, shown(median), format!("{rate:.0}")]
    };
    Ok(Section {
        title: "Bulk",
        how: "Random bytes through the whole process, by turns; every byte that comes out is compared, sums of what goes in \
              too. ssh as above, with its default cipher. opsctl also writes all output to the daemon's log.",
        head: vec!["", "runs", "median", "MB/s"],
        bars: vec![
            Bar::new(
                "output at least as fast as ssh at the median",
                out_ours.median() <= out_theirs.median(),
            ),
            Bar::new(
                "input at least as fast as ssh at the median",
                in_ours.median() <= in_theirs.median(),
            ),
        ],
        rows: vec![
            row("`opsctl send A -- cat FILE`", &out_ours),
            row("`ssh HOST cat FILE`", &out_theirs),
            row("`opsctl send A -- sha256sum < FILE`", &in_ours),
            row("`ssh HOST sha256sum < FILE`", &in_theirs),
        ],
        notes: vec![format!("FILE has {} MB.", options.bulk_mb)],
        peers: vec![Ssh::version()?],
    })
}

/// Random bytes, in memory and in a file.
struct Payload {
    bytes: Vec<u8>,
    file: PathBuf,
    /// As sha256sum prints it.
    sum: String,
    /// Where the file is.
    _place: Place,
}

impl Payload {
    fn new(mb: usize) -> Result<Self> {
        let mut bytes = vec![0; mb * 1_000_000];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let place = Place::new()?;
        let file = place.write("payload", &bytes)?;
        let output = Command::new("sha256sum").arg(&file).output()?;
        let sum = String::from_utf8(output.stdout)?;
        let sum = sum.split(' ').next().unwrap_or_default().to_owned();
        ensure!(sum.len() == 64, "sha256sum printed something else");
        Ok(Self {
            bytes,
            file,
            sum,
            _place: place,
        })
    }

    /// MB/s (10^6 bytes) at the median.
    fn rate(&self, samples: &Samples) -> f64 {
        self.bytes.len() as f64 / 1e6 / samples.median().as_secs_f64()
    }

    /// Runs a program that writes the payload to a pipe.
    fn pull(&self, command: &mut Command) -> Result<Duration> {
        let mut buffer = vec![0; 256 * 1024];
        let mut left = &self.bytes[..];
        let start = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut output = child.stdout.take().context("its stdout is a pipe")?;
        loop {
            let read = output.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            // Comparing costs less than a sum would, and it finds more.
            let rest = left.strip_prefix(&buffer[..read]);
            left = rest.with_context(|| format!("{command:?} wrote other bytes"))?;
        }
        let status = child.wait()?;
        let took = start.elapsed();
        ensure!(status.success(), "{command:?} ended with {status}");
        let missing = left.len();
        ensure!(missing == 0, "{command:?} lacks the last {missing} bytes");
        Ok(took)
    }

    /// Runs a program that reads the payload and prints its sum.
    fn push(&self, command: &mut Command) -> Result<Duration> {
        let file = File::open(&self.file)?;
        let start = Instant::now();
        let output = command.stdin(file).output()?;
        let took = start.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?}: {said}");
        let right = output.stdout.starts_with(self.sum.as_bytes());
        ensure!(right, "{command:?} passed on other bytes");
        Ok(took)
    }
}
