//! This process's stdin to every command; the slowest one sets the pace.

use std::rc::Rc;

use opsctl_client::InputPump;

use crate::input::read_stdin;

/// Reads stdin to its end and hands it to all that still take it.
pub(super) async fn feed(pumps: Vec<Rc<InputPump>>) {
    let mut pieces = read_stdin();
    let mut open = pumps;
    while let Some(piece) = pieces.recv().await {
        let mut at = 0;
        while at < open.len() {
            if open[at].send(piece.clone()).await.is_ok() {
                at += 1;
            } else {
                open.remove(at);
            }
        }
        if open.is_empty() {
            return;
        }
    }
    for pump in open {
        // A command that has ended meanwhile needs no end of its input.
        let _ = pump.finish().await;
    }
}
