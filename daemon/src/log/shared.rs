//! What the writer tells readers: which segments there are, and how far each may be read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use opsctl_protocol::CommandId;
use tokio::sync::watch;

use super::LogError;
use super::durable::{Durable, News};
use super::index::{self, Extent, Extents, IndexFile, Unusable};
use super::segment::{self, OnDamage};

/// Shared by the writer and all readers.
#[derive(Debug)]
pub(super) struct Shared {
    /// Where the files are.
    pub(super) dir: PathBuf,
    /// The segments; locked for moments only, never while a file is touched.
    segments: Mutex<Segments>,
    /// Why nothing can be written at present.
    failure: watch::Sender<Option<LogError>>,
    /// Changes whenever there is more to read.
    written: watch::Sender<()>,
    /// What has reached the disk.
    pub(super) news: Arc<News>,
    /// Held by who makes an index anew, so that others wait instead of doing the same.
    remaking: Mutex<()>,
}

/// Which segments there are.
#[derive(Debug)]
pub(super) struct Segments {
    /// Those that will not change any more, oldest first.
    pub(super) sealed: Vec<Sealed>,
    /// The one that is written.
    pub(super) active: Active,
}

/// A segment that will not change any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sealed {
    /// Its number, which is its file's name.
    pub(super) number: u64,
    /// Its length.
    pub(super) bytes: u64,
    /// When it was last written, by this host's clock.
    pub(super) written: SystemTime,
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Active {
    /// Its number, which is its file's name.
    pub(super) number: u64,
    /// How far it may be read.
    pub(super) bytes: u64,
    /// Where each command's records are; shared with nobody except while the segment is sealed.
    pub(super) extents: Arc<Extents>,
}

/// Where a command's output is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// In which segment.
    pub(super) segment: u64,
    /// Where in it.
    pub(super) extent: Extent,
    /// Whether the segment is still written, so that the extent may grow.
    pub(super) active: bool,
}

/// The answer to a search forwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located {
    /// The first place that was wanted.
    pub(super) place: Option<Place>,
    /// No segment before this one has it, now or later.
    pub(super) searched: u64,
}

impl Shared {
    pub(super) fn new(dir: PathBuf, sealed: Vec<Sealed>, active: Active) -> (Self, Durable) {
        let news = Arc::new(News::default());
        let durable = Durable {
            news: Arc::clone(&news),
        };
        let shared = Self {
            dir,
            segments: Mutex::new(Segments { sealed, active }),
            failure: watch::Sender::new(None),
            written: watch::Sender::new(()),
            news,
            remaking: Mutex::new(()),
        };
        (shared, durable)
    }

    /// The segments. A thread that panicked cannot have left them half changed: every change is one assignment.
    pub(super) fn segments(&self) -> MutexGuard<'_, Segments> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Err` while nothing can be written.
    pub(super) fn failure(&self) -> Result<(), LogError> {
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }

    /// Waits until nothing can be written.
    pub(super) async fn failed(&self) -> LogError {
        let mut failure = self.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(failure) => failure.clone().unwrap_or(LogError::Closed),
            Err(_) => LogError::Closed,
        }
    }

    /// Waits until something can be written.
    pub(super) async fn recovered(&self) {
        let mut failure = self.failure.subscribe();
        // The sender lives as long as `self`.
        let _ = failure.wait_for(Option::is_none).await;
    }

    /// Says why nothing can be written, or that something can again; returns whether that is new.
    pub(super) fn set_failure(&self, failure: Option<LogError>) -> bool {
        self.failure.send_if_modified(|current| {
            let changed = *current != failure;
            *current = failure;
            changed
        })
    }

    /// Says that there is more to read.
    pub(super) fn tell_written(&self) {
        self.written.send_replace(());
    }

    /// Follows [`Shared::tell_written`].
    pub(super) fn written(&self) -> watch::Receiver<()> {
        self.written.subscribe()
    }

    /// The first place, from a segment on, with a command's output at or after an offset.
    pub(super) fn locate(
        &self,
        command: CommandId,
        from_segment: u64,
        offset: u64,
    ) -> Result<Located, LogError> {
        let (sealed, active) = self.view(command);
        for segment in sealed
            .iter()
            .filter(|segment| segment.number >= from_segment)
        {
            if let Some(extent) = self.find(*segment, command)?
                && extent.to >= offset
            {
                let place = Place {
                    segment: segment.number,
                    extent,
                    active: false,
                };
                return Ok(Located {
                    place: Some(place),
                    searched: segment.number,
                });
            }
        }
        let searched = active.0;
        let place = active.1.filter(|extent| extent.to >= offset);
        Ok(Located {
            place: place.map(|extent| Place {
                segment: searched,
                extent,
                active: true,
            }),
            searched,
        })
    }

    /// The last place with a command's output before a segment.
    pub(super) fn newest(
        &self,
        command: CommandId,
        before: u64,
    ) -> Result<Option<Place>, LogError> {
        let (sealed, active) = self.view(command);
        if let (number, Some(extent)) = active
            && number < before
        {
            return Ok(Some(Place {
                segment: number,
                extent,
                active: true,
            }));
        }
        for segment in sealed
            .iter()
            .rev()
            .filter(|segment| segment.number < before)
        {
            if let Some(extent) = self.find(*segment, command)? {
                return Ok(Some(Place {
                    segment: segment.number,
                    extent,
                    active: false,
                }));
            }
        }
        Ok(None)
    }

    /// A command's extent in one segment as it is now, and whether it may still grow; `None` when the segment is gone.
    pub(super) fn place(
        &self,
        command: CommandId,
        segment: u64,
    ) -> Result<Option<Place>, LogError> {
        let sealed = {
            let segments = self.segments();
            if segments.active.number == segment {
                let extent = segments.active.extents.get(command);
                return Ok(extent.map(|extent| Place {
                    segment,
                    extent,
                    active: true,
                }));
            }
            segments
                .sealed
                .iter()
                .find(|sealed| sealed.number == segment)
                .copied()
        };
        let Some(sealed) = sealed else {
            return Ok(None);
        };
        Ok(self.find(sealed, command)?.map(|extent| Place {
            segment,
            extent,
            active: false,
        }))
    }

    /// All that a search needs, as of one moment.
    fn view(&self, command: CommandId) -> (Vec<Sealed>, (u64, Option<Extent>)) {
        let segments = self.segments();
        let active = &segments.active;
        (
            segments.sealed.clone(),
            (active.number, active.extents.get(command)),
        )
    }

    /// Looks a command up in a sealed segment's index, which is made anew from the segment where it is of no use.
    fn find(&self, sealed: Sealed, command: CommandId) -> Result<Option<Extent>, LogError> {
        match self.look_up(sealed, command) {
            Err(Unusable::Damaged) => {}
            found => return found.map_err(|error| self.explain(error)),
        }
        let _remaking = self.remaking.lock().unwrap_or_else(PoisonError::into_inner);
        match self.look_up(sealed, command) {
            Err(Unusable::Damaged) => self.remake(sealed, command),
            found => found.map_err(|error| self.explain(error)),
        }
    }

    fn look_up(&self, sealed: Sealed, command: CommandId) -> Result<Option<Extent>, Unusable> {
        IndexFile::open(&self.dir, sealed.number, sealed.bytes)?.find(command)
    }

    fn explain(&self, error: Unusable) -> LogError {
        let error = match error {
            Unusable::Io(error) => error,
            Unusable::Damaged => std::io::ErrorKind::InvalidData.into(),
        };
        LogError::io("read an index of", &self.dir, &error)
    }

    /// Makes an index from its segment, and looks a command up.
    fn remake(&self, sealed: Sealed, command: CommandId) -> Result<Option<Extent>, LogError> {
        let Sealed { number, bytes, .. } = sealed;
        let scan = match segment::scan(&segment::path(&self.dir, number), OnDamage::Skip) {
            Ok(scan) => scan,
            // Retention was faster.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::io("read", &self.dir, &error)),
        };
        tracing::warn!(
            segment = number,
            bytes,
            "made an index of the output log anew"
        );
        if let Err(error) = index::write(&self.dir, number, bytes, &scan.extents) {
            // The answer is right all the same; the next search tries again.
            tracing::warn!(segment = number, %error, "cannot keep the new index");
        }
        Ok(scan.extents.get(command))
    }
}
