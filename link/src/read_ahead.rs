//! Large reads for those who stream, small buffers for those who idle. tungstenite keeps a read buffer for as long as a
//! connection lives and reads no more than that at once: large ones cost memory for each of ten thousand idle agents,
//! small ones a system call for each few bytes of a gigabyte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// Bytes read at once while there is much to read: two pieces of output.
const AHEAD: usize = 64 * 1024;

/// What was read of a stream ahead of its reader, while the reader's own buffer is too small for what comes.
#[derive(Debug, Default)]
pub(crate) struct ReadAhead {
    /// What was read and not yet taken: from `taken` to its end. Has no memory while little comes.
    ahead: Vec<u8>,
    taken: usize,
    /// Whether the last read filled all that it was given, so that more is probably there.
    more: bool,
}

impl ReadAhead {
    /// Reads on in `stream`, which must always be the same one.
    pub(crate) fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.taken < self.ahead.len() {
            self.take(buffer);
            return Poll::Ready(Ok(()));
        }
        if !self.more || buffer.remaining() >= AHEAD {
            let before = buffer.filled().len();
            let read = ready!(Pin::new(stream).poll_read(context, buffer));
            self.more = read.is_ok() && buffer.remaining() == 0 && buffer.filled().len() > before;
            return Poll::Ready(read);
        }
        self.ahead.resize(AHEAD, 0);
        let mut ahead = ReadBuf::new(&mut self.ahead);
        let read = Pin::new(stream).poll_read(context, &mut ahead);
        let (filled, full) = (ahead.filled().len(), ahead.remaining() == 0);
        self.ahead.truncate(filled);
        self.taken = 0;
        self.more = full;
        if !full && filled == 0 {
            self.ahead = Vec::new();
        }
        ready!(read)?;
        self.take(buffer);
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A stream that is read ahead.
    struct Ahead<S>(S, ReadAhead);

    impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let Self(stream, ahead) = &mut *self;
            ahead.poll_read(stream, context, buffer)
        }
    }

    #[tokio::test]
    async fn an_idle_stream_holds_no_memory() {
        let (mut far, near) = tokio::io::duplex(1 << 20);
        let mut near = Ahead(near, ReadAhead::default());
        let mut small = [0; 2048];
        far.write_all(&vec![1; 100_000]).await.unwrap();
        let mut left = 100_000;
        while left > 0 {
            left -= near.read(&mut small).await.unwrap();
        }
        far.write_all(b"a word").await.unwrap();
        assert_eq!(near.read(&mut small).await.unwrap(), 6);
        assert_eq!(near.1.ahead.capacity(), 0);
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
                let mut near = Ahead(near, ReadAhead::default());
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
