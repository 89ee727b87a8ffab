//! A TCP proxy that can lose its connections in the worst way: they stay open, and nothing passes any more.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A way to a daemon.
pub struct Proxy {
    address: SocketAddr,
    /// Those that were opened since the last freeze.
    connections: Arc<Mutex<Vec<Connection>>>,
    /// Bytes from the daemon that were lost.
    lost: Arc<AtomicUsize>,
}

/// Both sockets of a connection.
struct Connection {
    near: TcpStream,
    far: TcpStream,
    /// Nothing passes any more: from who dialed, and to him.
    frozen: [Arc<AtomicBool>; 2],
    /// Bytes to who dialed that were lost.
    lost: Arc<AtomicUsize>,
}

impl Proxy {
    /// A proxy before this address.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let opened = Arc::clone(&connections);
        let lost = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&lost);
        thread::spawn(move || {
            for near in listener.incoming() {
                // Whoever dials while the daemon is away is hung up on.
                let Ok(near) = near else { return };
                let Ok(far) = TcpStream::connect(target) else {
                    continue;
                };
                let connection = Connection {
                    near,
                    far,
                    frozen: Default::default(),
                    lost: Arc::clone(&counter),
                };
                connection.forward();
                opened.lock().unwrap().push(connection);
            }
        });
        Self {
            address,
            connections,
            lost,
        }
    }

    /// Where it is dialed.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// From now on nothing passes over the connections that there are, in either direction, and neither end is told. Those
    /// that are opened later are well.
    pub fn freeze(&self) {
        for connection in self.connections.lock().unwrap().iter() {
            for frozen in &connection.frozen {
                frozen.store(true, Ordering::SeqCst);
            }
        }
    }

    /// The same for what goes to the daemon alone: it is heard, and its peers seem to be silent.
    pub fn freeze_upwards(&self) {
        for connection in self.connections.lock().unwrap().iter() {
            connection.frozen[0].store(true, Ordering::SeqCst);
        }
    }

    /// Bytes from the daemon that were lost.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }

    /// Ends the connections that there are, and tells both ends.
    pub fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.near.shutdown(Shutdown::Both);
            let _ = connection.far.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        for connection in self.connections.lock().unwrap().iter() {
            let _ = connection.near.shutdown(Shutdown::Both);
            let _ = connection.far.shutdown(Shutdown::Both);
        }
    }
}

impl Connection {
    fn forward(&self) {
        let ways = [(&self.near, &self.far), (&self.far, &self.near)];
        for (way, (from, to)) in ways.into_iter().enumerate() {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let frozen = Arc::clone(&self.frozen[way]);
            let lost = (way == 1).then(|| Arc::clone(&self.lost));
            thread::spawn(move || {
                let mut bytes = [0; 16 * 1024];
                while let Ok(read @ 1..) = from.read(&mut bytes) {
                    // What comes now is lost, and so is the end.
                    if frozen.load(Ordering::SeqCst) {
                        if let Some(lost) = &lost {
                            lost.fetch_add(read, Ordering::SeqCst);
                        }
                        continue;
                    }
                    if to.write_all(&bytes[..read]).is_err() {
                        break;
                    }
                }
                if !frozen.load(Ordering::SeqCst) {
                    let _ = to.shutdown(Shutdown::Write);
                }
            });
        }
    }
}
