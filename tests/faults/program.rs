//! The program that agents run, and what it will print: both follow from the same [`Script`], so that whoever reads its
//! output knows each byte beforehand.
//!
//! A line is `NUMBER KIND PAYLOAD CHECKSUM`; number and checksum are there for the reader of a failure. At its start the
//! program makes a mark that can be made only once, at its end another one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::rng::{Rng, checksum};

/// The word that makes the test's own binary this program.
pub const WORD: &str = "program";

/// The code of a program that found its mark: it was started a second time.
const AGAIN: u8 = 97;

/// The code of a program whose output nobody takes any more.
const NO_READER: u8 = 98;

/// What the program does, and therefore all that it prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Tells its marks from those of others.
    pub id: String,
    /// Decides lengths, payloads and which lines go to stderr.
    pub seed: u64,
    /// How many lines it prints.
    pub lines: u32,
    /// How many lines it prints without a pause.
    pub burst: u32,
    /// The pause after each burst, in ms.
    pub pause_ms: u64,
    /// How many lines in a hundred go to stderr.
    pub errors: u64,
    /// Payloads are any bytes but line ends.
    pub binary: bool,
    /// It has a terminal: all lines come in order, and the terminal writes `\r\n` for `\n`.
    pub pty: bool,
    /// It keeps its standard input in a file, and ends only after that has.
    pub stdin: bool,
    /// Its exit code.
    pub code: u8,
    /// Several agents run it, and on each it does something else.
    pub everywhere: bool,
    /// Where its marks are.
    pub marks: PathBuf,
}

impl Script {
    /// The arguments with which the test's own binary is this program.
    pub fn argv(&self) -> Vec<String> {
        let program = std::env::current_exe().unwrap();
        vec![
            program.to_str().unwrap().to_owned(),
            WORD.to_owned(),
            self.id.clone(),
            serde_json::to_string(self).unwrap(),
        ]
    }

    /// What it does on this agent.
    pub fn on(&self, agent: &str) -> Self {
        if !self.everywhere {
            return self.clone();
        }
        let mut rng = Rng::new(self.seed).fork(checksum(agent.as_bytes()));
        Self {
            id: format!("{}-{agent}", self.id),
            seed: rng.next(),
            code: *rng.pick(&[0, self.code]),
            everywhere: false,
            ..self.clone()
        }
    }

    /// One line, and whether it goes to stderr.
    fn line(&self, number: u32) -> (bool, Vec<u8>) {
        let mut rng = Rng::new(self.seed).fork(u64::from(number));
        let error = rng.percent(self.errors);
        let length = match rng.within(0..100) {
            0..2 => rng.within(2_000..9_000),
            2..20 => 0,
            _ => rng.within(1..160),
        };
        let mut line = format!("{number:08} {} ", if error { 'e' } else { 'o' }).into_bytes();
        line.extend((0..length).map(|_| {
            let byte = rng.next() as u8;
            match byte {
                b'\n' => b' ',
                byte if self.binary => byte,
                byte => b' ' + byte % 95,
            }
        }));
        let sum = format!(" {:016x}\n", checksum(&line));
        line.extend_from_slice(sum.as_bytes());
        (error, line)
    }

    /// Everything on stdout, and everything on stderr.
    pub fn expected(&self) -> [Vec<u8>; 2] {
        let mut outputs = [Vec::new(), Vec::new()];
        for number in 0..self.lines {
            let (error, line) = self.line(number);
            if self.pty {
                let (end, text) = line.split_last().unwrap();
                outputs[0].extend_from_slice(text);
                outputs[0].extend_from_slice(&[b'\r', *end]);
            } else {
                outputs[usize::from(error)].extend_from_slice(&line);
            }
        }
        outputs
    }

    /// Made at its start.
    pub fn started(&self) -> PathBuf {
        self.marks.join(format!("{}.started", self.id))
    }

    /// Made at a second start.
    pub fn again(&self) -> PathBuf {
        self.marks.join(format!("{}.again", self.id))
    }

    /// What came on its standard input.
    pub fn input(&self) -> PathBuf {
        self.marks.join(format!("{}.input", self.id))
    }
}

/// The program itself. Returns its exit code.
pub fn main(script: &str) -> u8 {
    let script: Script = serde_json::from_str(script).unwrap();
    let script = script.on(&std::env::var("OPSCTL_AGENT").unwrap_or_default());
    let first = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(script.started());
    if first.is_err() {
        let again = OpenOptions::new()
            .append(true)
            .create(true)
            .open(script.again());
        let _ = again.map(|mut file| file.write_all(b"x"));
        return AGAIN;
    }
    match run(&script) {
        Ok(()) => script.code,
        Err(_) => NO_READER,
    }
}

fn run(script: &Script) -> io::Result<()> {
    let input = script.stdin.then(|| {
        let to = script.input();
        std::thread::spawn(move || keep_input(&to))
    });
    let mut pending = [Vec::new(), Vec::new()];
    for number in 0..script.lines {
        let (error, line) = script.line(number);
        pending[usize::from(error && !script.pty)].extend_from_slice(&line);
        if (number + 1) % script.burst == 0 || number + 1 == script.lines {
            flush(&mut pending)?;
            std::thread::sleep(Duration::from_millis(script.pause_ms));
        }
    }
    if let Some(input) = input {
        input
            .join()
            .map_err(|_| io::Error::other("the reader of stdin"))??;
    }
    Ok(())
}

fn flush(pending: &mut [Vec<u8>; 2]) -> io::Result<()> {
    let [out, err] = pending;
    io::stdout().lock().write_all(out)?;
    io::stdout().lock().flush()?;
    io::stderr().lock().write_all(err)?;
    out.clear();
    err.clear();
    Ok(())
}

/// Appends, so that a second program that took part of the input would show.
fn keep_input(to: &Path) -> io::Result<()> {
    let mut file: File = OpenOptions::new().append(true).create(true).open(to)?;
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = io::stdin().read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..read])?;
    }
}
