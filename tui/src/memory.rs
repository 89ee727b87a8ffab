//! Where the console keeps what it remembers: a JSON file for each daemon, which every start reads and every console
//! replaces as a whole when it is left. So of several consoles at once the last to be left is remembered, none of them
//! changes while another does, and a new one never begins with what somebody is just doing.
//!
//! While it runs, a console keeps what it would leave in a draft of its own, which it has locked. A draft that nobody has
//! locked is of a console that died: the next start takes it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use opsctl_protocol::CommandId;

use crate::state::memory::{Remembered, Seen};

/// More than any console writes: ten thousand agents seen take less than 2 MB.
const MAX_BYTES: u64 = 4 << 20;

/// Bytes of a file's name that most file systems take, less those of a temporary one's ending.
const MAX_NAME: usize = 200;

/// How the name of a draft ends, behind a random id.
const DRAFT: &str = ".draft";

/// The file for one daemon, and this console's draft of it.
#[derive(Debug)]
pub(crate) struct Memory {
    dir: PathBuf,
    /// The file's name without its ending.
    name: String,
    endpoint: String,
    draft: Option<Draft>,
    /// What had been seen when this console began.
    seen: Vec<Seen>,
}

/// What a console that runs would leave.
#[derive(Debug)]
struct Draft {
    path: PathBuf,
    /// Locked for as long as it is open.
    file: File,
}

impl Memory {
    /// The file in `dir` for the daemon at `endpoint`.
    pub(crate) fn new(dir: &Path, endpoint: &str) -> Self {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let name = endpoint.replace(|c| !safe(c), "_");
        // The end of an address tells more than its start. That another one has the same name is seen inside.
        let name = &name[name.len().saturating_sub(MAX_NAME)..];
        Self {
            dir: dir.to_owned(),
            name: name.to_owned(),
            endpoint: endpoint.to_owned(),
            draft: None,
            seen: Vec::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.json", self.name))
    }

    /// Reads what was left last; none at the first start.
    ///
    /// # Errors
    /// What is wrong with the file, for people.
    pub(crate) fn load(&mut self) -> Result<Option<Remembered>, String> {
        // What can't be taken of those that died is no loss that a person could do something about.
        let _ = self.take_orphan();
        let path = self.path();
        let read = read(&path).map_err(|why| {
            let path = path.display();
            format!("this console starts as new: {path}: {why}")
        })?;
        let remembered = read.filter(|remembered| remembered.endpoint == self.endpoint);
        self.seen = remembered.iter().flat_map(|r| r.seen.clone()).collect();
        Ok(remembered)
    }

    /// Keeps what this console would leave.
    ///
    /// # Errors
    /// Why that failed, for people.
    pub(crate) fn save(&mut self, remembered: &Remembered) -> Result<(), String> {
        let wrong = |error| wrong(&self.dir, &error);
        let draft = match self.draft.take() {
            Some(draft) => Ok(draft),
            None => self.begin_draft(),
        };
        let mut draft = draft.map_err(wrong)?;
        draft.write(remembered).map_err(wrong)?;
        self.draft = Some(draft);
        Ok(())
    }

    /// Replaces what was left before: this console is left. What other consoles have seen meanwhile stays seen.
    ///
    /// # Errors
    /// Why that failed, for people.
    pub(crate) fn leave(&mut self, mut remembered: Remembered) -> Result<(), String> {
        let left = read(&self.path()).ok().flatten();
        let left = left.filter(|left| left.endpoint == self.endpoint);
        let by_others = left.into_iter().flat_map(|left| left.seen);
        let by_others = by_others.filter(|seen| !self.seen.contains(seen));
        for seen in by_others.collect::<Vec<_>>() {
            if remembered.seen.iter().all(|own| own.agent != seen.agent) {
                remembered.seen.push(seen);
            }
        }
        self.replace(&remembered)
            .map_err(|error| wrong(&self.dir, &error))?;
        if let Some(draft) = self.draft.take() {
            // One that stays is older than what was just left, and is cleared away by the next start.
            let _ = fs::remove_file(draft.path);
        }
        Ok(())
    }

    fn replace(&self, remembered: &Remembered) -> io::Result<()> {
        self.make_dir()?;
        let aside = self
            .dir
            .join(format!("{}.{}", self.name, CommandId::random()));
        let written = write(&mut new_file(&aside)?, remembered);
        let written = written.and_then(|()| fs::rename(&aside, self.path()));
        written.inspect_err(|_| drop(fs::remove_file(&aside)))
    }

    fn make_dir(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
    }

    /// A draft, locked before it has a name by which others would look at it.
    fn begin_draft(&self) -> io::Result<Draft> {
        self.make_dir()?;
        let aside = self
            .dir
            .join(format!("{}.{}", self.name, CommandId::random()));
        let path = aside.with_added_extension(&DRAFT[1..]);
        let file = new_file(&aside)?;
        let named = file.lock().and_then(|()| fs::rename(&aside, &path));
        named.inspect_err(|_| drop(fs::remove_file(&aside)))?;
        Ok(Draft { path, file })
    }

    /// Makes the newest draft of consoles that died what was left, if it is newer, and clears the others away.
    fn take_orphan(&self) -> io::Result<()> {
        let mut newest = changed(&self.path());
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let path = entry.path();
            if !self.is_draft(&entry.file_name()) || !is_orphan(&path)? {
                continue;
            }
            let is_ours = match read(&path) {
                Ok(Some(draft)) if draft.endpoint != self.endpoint => continue,
                Ok(draft) => draft.is_some(),
                Err(_) => false,
            };
            let at = changed(&path);
            if is_ours && at > newest {
                newest = at;
                fs::rename(&path, self.path())?;
            } else {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn is_draft(&self, name: &OsStr) -> bool {
        let name = name.to_str().and_then(|name| name.strip_prefix(&self.name));
        let id = name.and_then(|name| name.strip_prefix('.')?.strip_suffix(DRAFT));
        id.is_some_and(|id| id.parse::<CommandId>().is_ok())
    }
}

impl Draft {
    /// Writes into the file that is locked, so that it stays locked: where a crash comes in between, what was left before
    /// is taken instead.
    fn write(&mut self, remembered: &Remembered) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        write(&mut self.file, remembered)
    }
}

fn wrong(dir: &Path, error: &io::Error) -> String {
    format!("{}: {error}", dir.display())
}

/// When a file was changed last; none where it isn't there.
fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

/// Whether nobody has a draft locked.
fn is_orphan(path: &Path) -> io::Result<bool> {
    match File::open(path)?.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What a file has; none where there is no file.
fn read(path: &Path) -> Result<Option<Remembered>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = String::new();
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let remembered = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Ok(Some(remembered))
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn write(file: &mut File, remembered: &Remembered) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(remembered)?;
    text.push(b'\n');
    file.write_all(&text)?;
    // A rename may come to the disk before what it renames.
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use opsctl_protocol::AgentId;
    use opsctl_protocol::message::Activity;

    use super::*;

    fn remembered(endpoint: &str, filter: &str) -> Remembered {
        Remembered {
            endpoint: endpoint.to_owned(),
            filter: filter.to_owned(),
            ..Remembered::default()
        }
    }

    fn seen(agent: &str) -> Seen {
        Seen {
            agent: AgentId::new(agent).unwrap(),
            activity: Activity::Done,
            command: None,
            since: None,
        }
    }

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    /// The filter that a new start has.
    fn left(dir: &Path) -> String {
        let loaded = Memory::new(dir, "unix:/x").load().unwrap();
        loaded.map_or_else(String::new, |loaded| loaded.filter)
    }

    #[test]
    fn each_daemon_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("made");
        let [mut one, mut other] = ["unix:/run/a/b.sock", "unix:/run/a_b.sock"]
            .map(|endpoint| Memory::new(&dir, endpoint));
        assert_eq!(one.path(), other.path(), "the names are alike");
        assert_eq!(one.load(), Ok(None));
        one.leave(remembered(&one.endpoint, "prod")).unwrap();
        assert_eq!(one.load(), Ok(Some(remembered(&one.endpoint, "prod"))));
        assert_eq!(
            other.load(),
            Ok(None),
            "what belongs to another isn't taken"
        );
        assert_eq!(files(&dir), 1);
    }

    #[test]
    fn what_is_damaged_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut memory = Memory::new(dir.path(), "unix:/x");
        for text in ["", "{\"endpoint\":", "7", "{\"marks\":[\"no name!\"]}"] {
            fs::write(memory.path(), text).unwrap();
            let why = memory.load().unwrap_err();
            assert!(why.contains("starts as new"), "{why}");
        }
        memory.leave(remembered("unix:/x", "")).unwrap();
        assert!(memory.load().is_ok());
    }

    #[test]
    fn of_several_consoles_the_last_to_be_left_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut consoles = [(); 2].map(|()| Memory::new(dir, "unix:/x"));
        for (console, filter) in consoles.iter_mut().zip(["one", "two"]) {
            console.load().unwrap();
            console.save(&remembered("unix:/x", filter)).unwrap();
            console.save(&remembered("unix:/x", filter)).unwrap();
            assert_eq!(left(dir), "", "what runs is nobody else's");
        }
        assert_eq!(files(dir), 2);
        let [mut one, mut two] = consoles;
        two.leave(remembered("unix:/x", "two")).unwrap();
        assert_eq!(left(dir), "two");
        one.save(&remembered("unix:/x", "one and more")).unwrap();
        assert_eq!(left(dir), "two");
        one.leave(remembered("unix:/x", "one and more")).unwrap();
        assert_eq!((left(dir).as_str(), files(dir)), ("one and more", 1));
    }

    #[test]
    fn what_others_have_seen_stays_seen() {
        let dir = tempfile::tempdir().unwrap();
        let with = |agents: &[&str]| Remembered {
            seen: agents.iter().map(|agent| seen(agent)).collect(),
            ..remembered("unix:/x", "")
        };
        let memory = || Memory::new(dir.path(), "unix:/x");
        memory().leave(with(&["old"])).unwrap();
        let [mut one, mut two] = [memory(), memory()];
        one.load().unwrap();
        two.load().unwrap();
        one.leave(with(&["old", "a"])).unwrap();
        // What was news here again is not brought back by the file that this console began with.
        two.leave(with(&["b"])).unwrap();
        let loaded = memory().load().unwrap().unwrap();
        assert_eq!(loaded.seen, [seen("b"), seen("a")]);
    }

    #[test]
    fn a_console_that_died_is_remembered_where_none_was_left_since() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let memory = || Memory::new(dir, "unix:/x");
        memory().leave(remembered("unix:/x", "left")).unwrap();
        let mut died = memory();
        died.save(&remembered("unix:/x", "died")).unwrap();
        drop(died);
        let alive = {
            let mut alive = memory();
            alive.save(&remembered("unix:/x", "alive")).unwrap();
            alive
        };
        assert_eq!((left(dir).as_str(), files(dir)), ("died", 2));
        drop(alive);
        memory().leave(remembered("unix:/x", "left again")).unwrap();
        assert_eq!((left(dir).as_str(), files(dir)), ("left again", 1));
        // Half of a draft is none.
        let mut died = memory();
        died.save(&remembered("unix:/x", "died")).unwrap();
        let path = died.draft.take().unwrap().path;
        fs::write(path, "{\"endpoint\":\"unix:/x\",\"fil").unwrap();
        assert_eq!((left(dir).as_str(), files(dir)), ("left again", 1));
    }

    #[test]
    fn two_consoles_at_once_leave_a_whole_file() {
        let dir = tempfile::tempdir().unwrap();
        let write = |filter: &str| {
            for _ in 0..20 {
                let mut memory = Memory::new(dir.path(), "unix:/x");
                memory.save(&remembered("unix:/x", filter)).unwrap();
                memory.leave(remembered("unix:/x", filter)).unwrap();
                assert!(memory.load().unwrap().is_some());
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| write(&"one ".repeat(1000)));
            scope.spawn(|| write("two"));
        });
        assert_eq!(files(dir.path()), 1);
    }
}
