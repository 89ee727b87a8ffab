//! A TCP proxy between whoever dials and the daemon, that does to connections what networks do.
//!
//! Each connection has a [`Fate`], which the plan decides by the connection's number. Beside that, all of them can be cut
//! or stalled at once.

mod frames;
mod pump;

pub use frames::check as check_frames;

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The way that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From who dialed to the daemon.
    Up,
    /// From the daemon.
    Down,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing; it lives as long as its ends want.
    Pass,
    /// It is cut in the middle of the nth frame that goes this way; by a reset, or by an orderly end.
    CutAt(Way, u32, End),
    /// From the nth frame of this way on nothing gets through in either direction, and nobody is told.
    SilentAt(Way, u32),
    /// In the middle of the nth frame of this way its receiver sees the end of the stream, while the other way goes on.
    FinAt(Way, u32),
    /// So many bytes a second each way.
    Slow(u32),
    /// Every piece is late by so many ms.
    Late(u64),
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By a reset; what is under way is lost.
    Reset,
    /// By an end of the stream, after all that was sent before.
    Fin,
}

/// What is done to all connections at once.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Grows by one with each cut of all connections.
    cuts: u32,
    /// Nothing gets through for the moment.
    stalled: bool,
}

/// A proxy; ends with its runtime.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
}

impl Proxy {
    /// Listens on a free port, in front of the daemon's address.
    pub fn start(
        runtime: &tokio::runtime::Runtime,
        daemon: SocketAddr,
        fate: impl Fn(u32) -> Fate + Send + 'static,
    ) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, seen) = watch::channel(Weather::default());
        runtime.spawn(async move {
            let mut number = 0;
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(join(near, daemon, fate(number), seen.clone()));
                number += 1;
            }
        });
        Self { address, weather }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Lets nothing through, until it does again. Nobody is told.
    pub fn stall(&self, stalled: bool) {
        self.weather
            .send_modify(|weather| weather.stalled = stalled);
    }
}

/// Joins one connection to the daemon until its fate, the weather or one of its ends ends it.
async fn join(near: TcpStream, daemon: SocketAddr, fate: Fate, weather: watch::Receiver<Weather>) {
    let Ok(far) = TcpStream::connect(daemon).await else {
        // A daemon that is away refuses; to whoever dials, this looks the same.
        return;
    };
    // Small messages must not wait for one another here.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    pump::both_ways(near, far, fate, weather).await;
}
