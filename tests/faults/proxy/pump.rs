//! The two directions of one connection.

use std::future::pending;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::frames::Frames;
use super::{End, Fate, Way, Weather};

/// Bytes that are read at once; few, so that a cut leaves much behind.
const PIECE: usize = 4096;

/// Carries bytes both ways until the end.
pub(super) async fn both_ways(
    mut near: TcpStream,
    mut far: TcpStream,
    fate: Fate,
    weather: watch::Receiver<Weather>,
) {
    let end = {
        let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
        let gate = Gate::new(fate, weather);
        let mut up = Box::pin(pump(Way::Up, from_near, to_far, gate.clone()));
        let mut down = Box::pin(pump(Way::Down, from_far, to_near, gate.clone()));
        let (mut up_runs, mut down_runs) = (true, true);
        loop {
            let ended = tokio::select! {
                () = gate.cut() => Some(End::Reset),
                end = &mut up, if up_runs => { up_runs = false; end }
                end = &mut down, if down_runs => { down_runs = false; end }
            };
            match ended {
                Some(end) => break end,
                None if !up_runs && !down_runs => break End::Fin,
                None => {}
            }
        }
    };
    if end == End::Reset {
        let _ = (near.set_zero_linger(), far.set_zero_linger());
    }
}

/// What holds bytes back, for both directions of one connection.
#[derive(Clone)]
struct Gate {
    fate: Fate,
    weather: watch::Receiver<Weather>,
    /// How many cuts there had been when this connection began.
    cuts: u32,
    /// Nothing gets through any more, and nobody is told.
    silent: watch::Sender<bool>,
}

impl Gate {
    fn new(fate: Fate, weather: watch::Receiver<Weather>) -> Self {
        let cuts = weather.borrow().cuts;
        Self {
            fate,
            weather,
            cuts,
            silent: watch::Sender::new(false),
        }
    }

    /// Waits until all connections are cut.
    async fn cut(&self) {
        let (mut weather, cuts) = (self.weather.clone(), self.cuts);
        // The proxy itself is gone: there is nobody left to cut anything.
        if weather
            .wait_for(|weather| weather.cuts != cuts)
            .await
            .is_err()
        {
            pending::<()>().await;
        }
    }

    /// Waits until a piece of so many bytes may pass.
    async fn open(&mut self, bytes: usize) {
        match self.fate {
            Fate::Slow(rate) => sleep(Duration::from_secs(bytes as u64) / rate).await,
            Fate::Late(ms) => sleep(Duration::from_millis(ms)).await,
            _ => {}
        }
        let _ = self.weather.wait_for(|weather| !weather.stalled).await;
        let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
    }

    /// The frame of this direction in whose middle the fate comes.
    fn nth(&self, way: Way) -> Option<u32> {
        match self.fate {
            Fate::CutAt(at, nth, _) | Fate::SilentAt(at, nth) | Fate::FinAt(at, nth)
                if at == way =>
            {
                Some(nth)
            }
            _ => None,
        }
    }
}

/// Carries bytes one way. Returns how the whole connection ends; nothing when only this way has.
async fn pump(
    way: Way,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut gate: Gate,
) -> Option<End> {
    let nth = gate.nth(way);
    let mut frames = Frames::default();
    let mut buffer = vec![0; PIECE];
    // The receiver has been told of an end that the sender doesn't know of.
    let mut deaf = false;
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) => {
                let _ = to.shutdown().await;
                return None;
            }
            Ok(read) => read,
            Err(_) => return Some(End::Reset),
        };
        if deaf {
            continue;
        }
        let cut = frames.feed(&buffer[..read], nth);
        let passes = cut.unwrap_or(read);
        gate.open(passes).await;
        if to.write_all(&buffer[..passes]).await.is_err() {
            return Some(End::Reset);
        }
        match (cut, gate.fate) {
            (None, _) => {}
            (Some(_), Fate::CutAt(_, _, end)) => return Some(end),
            (Some(_), Fate::SilentAt(..)) => {
                gate.silent.send_replace(true);
                pending::<()>().await;
            }
            (Some(_), _) => {
                let _ = to.shutdown().await;
                deaf = true;
            }
        }
    }
}
