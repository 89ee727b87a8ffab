//! This process's stdin, read by a thread of its own: a read that blocks for ever must not hold anything else, nor the
//! end of the process.

use std::io::Read;

use bytes::Bytes;
use opsctl_protocol::limits::MAX_INPUT_PIECE;
use tokio::sync::mpsc;

/// Pieces that may wait. Few: what is read here is lost to whoever has the same stdin after this process.
const WAITING_PIECES: usize = 4;

/// Starts to read stdin; its end, or an error, ends the pieces.
pub fn read_stdin() -> mpsc::Receiver<Bytes> {
    let (pieces, out) = mpsc::channel(WAITING_PIECES);
    let reader = std::thread::Builder::new().name("stdin".to_owned());
    // Without a thread there is no input, which is how a closed stdin looks.
    let _ = reader.spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = vec![0; MAX_INPUT_PIECE];
        loop {
            match stdin.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    if pieces
                        .blocking_send(Bytes::copy_from_slice(&buffer[..count]))
                        .is_err()
                    {
                        return;
                    }
                }
            }
        }
    });
    out
}
