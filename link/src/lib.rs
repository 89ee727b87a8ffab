//! One end of a WebSocket, as agents and clients share it: where to dial, how to shake hands, how to send without bulk
//! delaying control, and how to notice that the other end is gone.
//!
//! - [`endpoint`]: a local socket or a URL.
//! - [`appear`]: a local socket that is there again.
//! - [`mod@dial`]: from an endpoint to an open WebSocket, or a reason that says whether to try again.
//! - [`tls`]: who is trusted at the other end of one that is encrypted.
//! - [`poll`]: the same socket over plain HTTP, where the network lets no WebSocket through.
//! - [`pulse`]: signs of life, byte by byte; deadlines for silence, for a message, for a write.
//! - [`meter`]: how much goes over it.
//! - [`read_ahead`]: large reads for those who stream, small buffers for those who idle.
//! - [`reader`]: frames from the peer, within those deadlines.
//! - [`sender`]: two lanes to the peer; one task owns the sink.

mod appear;
mod dial;
mod endpoint;
mod meter;
pub mod poll;
mod pulse;
mod read_ahead;
mod reader;
mod sender;
mod tls;

pub use appear::appears;
pub use dial::{DialError, Socket, Stream, Target, Transport, dial};
pub use endpoint::{BadEndpoint, Endpoint};
pub use pulse::{Metered, Patience, Pulse, Stalled};
pub use reader::{Frame, LinkError, Reader};
pub use sender::{SendError, Sender};

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use opsctl_protocol::limits::MAX_MESSAGE;

/// Bytes read at once. Every connection pays for this buffer, idle ones too, and it is wiped before each read; who streams
/// is read ahead under it, see [`read_ahead`].
const READ_BUFFER: usize = 2 * 1024;

/// Bytes gathered before the socket is written to without a flush.
const WRITE_BUFFER: usize = 64 * 1024;

/// Bytes that may wait for a socket that takes none: the gathered ones and two messages of the largest size.
const MAX_WRITE_BUFFER: usize = WRITE_BUFFER + 2 * MAX_MESSAGE;

/// The bounds of every WebSocket in this program; the library's own defaults have none that fit.
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// Bulk frames that may wait in an agent's or client's lane. Few: what waits here is what the effect of a Ctrl-C queues
/// behind.
const BULK_LANE: usize = 8;

/// Splits a dialed WebSocket into its frames and its lanes. Must be called within a tokio runtime: a task of its own
/// writes, and ends with the last [`Sender`].
pub fn split(socket: Socket) -> (Reader<Stream>, Sender) {
    split_with(socket.websocket, socket.pulse, BULK_LANE)
}

/// The same for any WebSocket over a [`Metered`] stream with this pulse, with room for `bulk_lane` frames in the bulk lane.
pub fn split_with<S>(
    websocket: WebSocketStream<S>,
    pulse: Arc<Pulse>,
    bulk_lane: usize,
) -> (Reader<S>, Sender)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sink, stream) = websocket.split();
    let (sender, ended) = Sender::spawn(sink, Arc::clone(&pulse), bulk_lane);
    (Reader::new(stream, pulse).with_writer(ended), sender)
}

#[cfg(test)]
mod tests;
