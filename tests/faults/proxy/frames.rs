//! WebSocket frames in a stream of bytes, as far as their headers (RFC 6455 §5.2): enough to say "at the nth frame".

/// Counts the frames of one direction, from the first byte of its HTTP handshake on.
#[derive(Debug, Default)]
pub struct Frames {
    /// How far the blank line after the handshake has been seen; 4 is all of it.
    blank: usize,
    /// The bytes of a header that is not whole yet.
    header: Vec<u8>,
    /// Payload bytes of the current frame that are still to come.
    payload: u64,
    /// Frames whose header has been seen.
    count: u32,
}

impl Frames {
    /// Takes the next bytes. Returns how many of them end within the `nth` frame (from 1): behind its header and half of
    /// what is here of its payload.
    pub fn feed(&mut self, bytes: &[u8], nth: Option<u32>) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.blank < 4 {
                self.blank = match (bytes[at], self.blank) {
                    (b'\r', 0 | 2) | (b'\n', 1 | 3) => self.blank + 1,
                    (b'\r', _) => 1,
                    _ => 0,
                };
                at += 1;
            } else if self.payload > 0 {
                let skipped = self.payload.min((bytes.len() - at) as u64);
                self.payload -= skipped;
                at += skipped as usize;
            } else {
                self.header.push(bytes[at]);
                at += 1;
                if let Some(payload) = payload_length(&self.header) {
                    self.header.clear();
                    self.payload = payload;
                    self.count += 1;
                    if nth == Some(self.count) {
                        let here = payload.min((bytes.len() - at) as u64) as usize;
                        return Some(at + here / 2);
                    }
                }
            }
        }
        None
    }

    /// How many frames have begun.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// The payload's length, with its mask, once the header is whole but for the mask.
fn payload_length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let length = match second & 0x7f {
        126 => u64::from(u16::from_be_bytes(header.get(2..4)?.try_into().ok()?)),
        127 => u64::from_be_bytes(header.get(2..10)?.try_into().ok()?),
        short => u64::from(short),
    };
    Some(length + mask)
}

/// What the counter must get right, whatever pieces the stream comes in.
pub fn check() {
    let mut stream = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec();
    let handshake = stream.len();
    // A text frame of 5 bytes with a mask, a binary one of 300 without, and a ping without payload.
    stream.extend_from_slice(b"\x81\x85MASKhello");
    stream.extend_from_slice(&[0x82, 126, 1, 44]);
    stream.extend(std::iter::repeat_n(0x81, 300));
    stream.extend_from_slice(&[0x89, 0]);
    for piece in [1, 2, 3, 7, 100, 1000] {
        let mut frames = Frames::default();
        for bytes in stream.chunks(piece) {
            assert_eq!(frames.feed(bytes, None), None);
        }
        assert_eq!(frames.count(), 3, "in pieces of {piece}");
    }
    let cut = Frames::default().feed(&stream, Some(2));
    assert_eq!(cut, Some(handshake + 11 + 4 + 150));
    assert_eq!(Frames::default().feed(&stream, Some(4)), None);
}
