//! A TCP proxy that can lose its connections in the worst way: they stay open, and nothing passes any more.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A way to a daemon.
pub struct Proxy {
    address: SocketAddr,
    /// Those that were opened since the last freeze.
    connections: Arc<Mutex<Vec<Connection>>>,
}

/// Both sockets of a connection.
struct Connection {
    near: TcpStream,
    far: TcpStream,
    frozen: Arc<AtomicBool>,
}

impl Proxy {
    /// A proxy before this address.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let opened = Arc::clone(&connections);
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
                    frozen: Arc::default(),
                };
                connection.forward();
                opened.lock().unwrap().push(connection);
            }
        });
        Self {
            address,
            connections,
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
            connection.frozen.store(true, Ordering::SeqCst);
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
        for (from, to) in [(&self.near, &self.far), (&self.far, &self.near)] {
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let frozen = Arc::clone(&self.frozen);
            thread::spawn(move || {
                let mut bytes = [0; 16 * 1024];
                while let Ok(read @ 1..) = from.read(&mut bytes) {
                    // What comes now is lost, and so is the end.
                    if frozen.load(Ordering::SeqCst) {
                        return;
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
