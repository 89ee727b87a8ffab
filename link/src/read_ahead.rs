//! Large reads for those who stream, small buffers for those who idle. tungstenite keeps a read buffer for as long as a
//! connection lives and reads no more than that at once: large ones cost memory for each of ten thousand idle agents,
//! small ones a system call for each few bytes of a gigabyte.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at once while there is much to read: two pieces of output.
const AHEAD: usize = 64 * 1024;

/// A stream that is read ahead of its reader while the reader's own buffer is too small for what comes.
#[derive(Debug)]
pub struct ReadAhead<S> {
    stream: S,
    /// What was read and not yet taken: from `taken` to its end. Has no memory while little comes.
    ahead: Vec<u8>,
    taken: usize,
    /// Whether the last read filled all that it was given, so that more is probably there.
    more: bool,
}

impl<S> ReadAhead<S> {
    /// A stream of which nothing was read.
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
            taken: 0,
            more: false,
        }
    }

    /// Hands over what was read ahead.
    fn take(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = &self.ahead[self.taken..];
        let taken = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..taken]);
        self.taken += taken;
        if self.taken == self.ahead.len() && !self.more {
            self.ahead = Vec::new();
            self.taken = 0;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.taken < this.ahead.len() {
            this.take(buffer);
            return Poll::Ready(Ok(()));
        }
        if !this.more || buffer.remaining() >= AHEAD {
            let before = buffer.filled().len();
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, buffer));
            this.more = read.is_ok() && buffer.remaining() == 0 && buffer.filled().len() > before;
            return Poll::Ready(read);
        }
        this.ahead.resize(AHEAD, 0);
        let mut ahead = ReadBuf::new(&mut this.ahead);
        let read = Pin::new(&mut this.stream).poll_read(context, &mut ahead);
        let (filled, full) = (ahead.filled().len(), ahead.remaining() == 0);
        this.ahead.truncate(filled);
        this.taken = 0;
        this.more = full;
        if !full && filled == 0 {
            this.ahead = Vec::new();
        }
        ready!(read)?;
        this.take(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn an_idle_stream_holds_no_memory() {
        let (mut far, near) = tokio::io::duplex(1 << 20);
        let mut near = ReadAhead::new(near);
        let mut small = [0; 2048];
        far.write_all(&vec![1; 100_000]).await.unwrap();
        let mut left = 100_000;
        while left > 0 {
            left -= near.read(&mut small).await.unwrap();
        }
        far.write_all(b"a word").await.unwrap();
        assert_eq!(near.read(&mut small).await.unwrap(), 6);
        assert_eq!(near.ahead.capacity(), 0);
    }

    proptest! {
        #[test]
        fn every_byte_comes_in_its_place(
            pieces in prop::collection::vec(0_usize..200_000, 0..8),
            small in 1_usize..5000,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let total: usize = pieces.iter().sum();
                let sent: Vec<u8> = (0..total).map(|at| (at / 3) as u8).collect();
                let (mut far, near) = tokio::io::duplex(90_000);
                let mut near = ReadAhead::new(near);
                let expected = sent.clone();
                let write = async move {
                    let mut rest = &sent[..];
                    for piece in pieces {
                        let (now, later) = rest.split_at(piece);
                        far.write_all(now).await.unwrap();
                        rest = later;
                    }
                };
                let read = async {
                    let (mut got, mut buffer) = (Vec::new(), vec![0; small]);
                    loop {
                        match near.read(&mut buffer).await.unwrap() {
                            0 => return got,
                            read => got.extend_from_slice(&buffer[..read]),
                        }
                    }
                };
                let ((), got) = tokio::join!(write, read);
                assert!(got == expected, "{} of {total} bytes", got.len());
            });
        }
    }
}
