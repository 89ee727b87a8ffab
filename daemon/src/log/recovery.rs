//! What a former run left in the directory.
//!
//! Sealed segments are taken as they are, their indexes are checked when they are used. The last segment is read whole,
//! and cut where the first bad record starts: what follows it was never acknowledged, its agents still have it. Unless
//! that lies further from the end than anything unsynced can: then it is damage like that in any other segment, and only
//! what is damaged is missing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::LogError;
use super::index;
use super::segment::{self, FIRST_RECORD, FIRST_SEGMENT, MAGIC, OnDamage};
use super::shared::{Active, Sealed};

/// More than the writer ever has unsynced, in bytes: a megabyte that forces a sync, and the largest record on top.
const UNSYNCED: u64 = 4 << 20;

/// What was cut away from the end of the last segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub path: PathBuf,
    /// Its length now.
    pub at: u64,
    /// Bytes removed.
    pub bytes: u64,
}

/// The log as it stands.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Segments that will not change any more.
    pub(super) sealed: Vec<Sealed>,
    /// The segment to go on with.
    pub(super) active: Active,
    /// Its file.
    pub(super) file: File,
    /// What was cut away.
    pub(super) cut: Option<Cut>,
}

/// Takes stock of a directory, which is made where it is missing.
pub(super) fn recover(dir: &Path) -> Result<Recovered, LogError> {
    let failed = |error: io::Error| LogError::io("open", dir, &error);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed)?;
    let mut numbers = segment::list(dir, "seg").map_err(failed)?;
    remove_strays(dir, &numbers).map_err(failed)?;
    let last = numbers.pop();
    let mut sealed = Vec::with_capacity(numbers.len());
    for number in numbers {
        let file = segment::path(dir, number).metadata().map_err(failed)?;
        sealed.push(Sealed {
            number,
            bytes: file.len(),
            written: file.modified().map_err(failed)?,
        });
    }
    let Some(number) = last else {
        let file = segment::create(dir, 1).map_err(failed)?;
        let active = Active {
            number: FIRST_SEGMENT,
            bytes: FIRST_RECORD,
            extents: Arc::default(),
        };
        return Ok(Recovered {
            sealed,
            active,
            file,
            cut: None,
        });
    };
    let (active, file, cut) = recover_last(dir, number)?;
    Ok(Recovered {
        sealed,
        active,
        file,
        cut,
    })
}

/// Reads the last segment and cuts it where it is bad.
fn recover_last(dir: &Path, number: u64) -> Result<(Active, File, Option<Cut>), LogError> {
    let failed = |error: io::Error| LogError::io("recover", dir, &error);
    let path = segment::path(dir, number);
    let mut scan = segment::scan(&path, OnDamage::Stop).map_err(failed)?;
    if scan.good == 0
        && scan.length >= MAGIC.len() as u64
        && !starts_with_zeroes(&path).map_err(failed)?
    {
        return Err(LogError::Foreign { path });
    }
    if scan.good > 0 && scan.length - scan.good > UNSYNCED {
        tracing::error!(segment = %path.display(), at = scan.good, "the output log is damaged here; what follows is kept");
        scan = segment::scan(&path, OnDamage::Skip).map_err(failed)?;
        scan.good = scan.last;
    }
    let active = Active {
        number,
        bytes: scan.good.max(FIRST_RECORD),
        extents: Arc::new(scan.extents),
    };
    if scan.good == 0 {
        let file = segment::create(dir, number).map_err(failed)?;
        return Ok((active, file, None));
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    let cut = (scan.good < scan.length).then(|| Cut {
        path,
        at: scan.good,
        bytes: scan.length - scan.good,
    });
    if let Some(cut) = &cut {
        file.set_len(cut.at).map_err(failed)?;
    }
    // A former run may have ended before it synced.
    file.sync_all().map_err(failed)?;
    Ok((active, file, cut))
}

/// Whether a power cut took the first bytes, rather than that another program wrote the file.
fn starts_with_zeroes(path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::FileExt;
    let mut magic = [0; MAGIC.len()];
    File::open(path)?.read_exact_at(&mut magic, 0)?;
    Ok(magic == [0; MAGIC.len()])
}

/// Removes indexes whose segment is gone or will be written again, and files that were never finished.
fn remove_strays(dir: &Path, segments: &[u64]) -> io::Result<()> {
    for number in segment::list(dir, "new")? {
        std::fs::remove_file(dir.join(format!("{number:08}.new")))?;
    }
    for number in segment::list(dir, "idx")? {
        if segments.binary_search(&number).is_err() || segments.last() == Some(&number) {
            std::fs::remove_file(index::path(dir, number))?;
        }
    }
    Ok(())
}
