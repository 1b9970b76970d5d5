//! Follows the frames that are written to an HTTP/2 connection (RFC 9113 section 4.1).

/// Length of a frame's header.
const HEADER: usize = 9;
/// Types of the frames that carry a response.
const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// Where in the sequence of frames the connection is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER],
    /// How much of the header is known.
    known: usize,
    /// How much is left of the frame's payload.
    left: usize,
}

impl Frames {
    /// Follows bytes that were written. Whether a part of a response was among them: answers to pings and settings, which
    /// a client can ask for at any time, are none.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let mut responds = false;
        while !bytes.is_empty() {
            if self.known < HEADER {
                let taken = bytes.len().min(HEADER - self.known);
                self.header[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
                self.known += taken;
                bytes = &bytes[taken..];
                let [a, b, c, ..] = self.header;
                self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            } else {
                let taken = bytes.len().min(self.left);
                self.left -= taken;
                bytes = &bytes[taken..];
            }
            if self.known == HEADER {
                responds |= matches!(self.header[3], DATA | HEADERS);
                if self.left == 0 {
                    self.known = 0;
                }
            }
        }
        responds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        let mut frame = vec![0, high, low, kind, 0, 0, 0, 0, 1];
        frame.resize(HEADER + usize::from(length), 7);
        frame
    }

    #[test]
    fn parts_of_responses_are_told_from_the_rest_however_they_are_cut() {
        let (settings, ping, data) = (frame(4, 0), frame(6, 8), frame(DATA, 300));
        let all = [settings.clone(), ping.clone(), data.clone(), ping.clone()].concat();
        for piece in [1, 2, 7, 9, 10, 1000] {
            let mut frames = Frames::default();
            let responds: Vec<_> = all.chunks(piece).map(|piece| frames.follow(piece)).collect();
            assert!(responds.contains(&true), "{piece}");
            assert!(!frames.follow(&ping), "{piece}");
            assert!(frames.follow(&frame(HEADERS, 5)), "{piece}");
        }
        let mut frames = Frames::default();
        assert!(!frames.follow(&[settings, ping].concat()));
    }
}
