//! What is held back until a datagram is complete (MSG_MORE, UDP_CORK).

use tapsock_stack::buf::{Chunk, Rope};

/// Parts of a datagram that is not complete, and where and how it goes: that was said with the first part. The stack, which
/// charges them to the socket's send buffer, takes no more than one datagram holds, [`LENGTH_MAX`] bytes at most; no part
/// pins more than its own length and a fixed amount.
#[derive(Debug)]
pub(crate) struct Corked<D> {
    pub(crate) destination: D,
    /// Whether a message beside the first part named the hop limit.
    pub(crate) names_hop_limit: bool,
    /// The first and the last of its sends with MSG_ZEROCOPY: they are done when it has gone.
    pub(crate) zero_copies: Option<(u32, u32)>,
    parts: Rope,
    /// Small parts that came after those, copied together: each would keep a whole buffer to itself.
    joined: Vec<u8>,
}

impl<D> Corked<D> {
    /// Nothing yet, for `destination`.
    pub(crate) fn new(destination: D, names_hop_limit: bool) -> Self {
        Corked { destination, names_hop_limit, zero_copies: None, parts: Rope::new(), joined: Vec::new() }
    }

    /// How many bytes there are so far.
    pub(crate) fn len(&self) -> usize {
        self.parts.len() + self.joined.len()
    }

    /// Notes that a part is the send of that number with MSG_ZEROCOPY. Nobody else's come in between.
    pub(crate) fn note_zero_copy(&mut self, number: u32) {
        let first = self.zero_copies.map_or(number, |(first, _)| first);
        self.zero_copies = Some((first, number));
    }

    /// Takes another part.
    pub(crate) fn append(&mut self, part: Rope) {
        if part.len() < JOINED_BELOW {
            part.chunks().for_each(|chunk| self.joined.extend_from_slice(chunk));
        } else {
            self.parts.append(joined(core::mem::take(&mut self.joined).as_slice()));
            self.parts.append(part);
        }
    }

    /// All so far, and `last`.
    pub(crate) fn with(&self, last: Rope) -> Rope {
        let mut whole = self.parts.clone();
        whole.append(joined(&self.joined));
        whole.append(last);
        whole
    }
}

fn joined(bytes: &[u8]) -> Rope {
    let mut rope = Rope::new();
    if !bytes.is_empty() {
        rope.push_back(Chunk::copy_from(bytes));
    }
    rope
}

/// The largest length that Linux looks at, in bytes; what a datagram holds is less.
pub(crate) const LENGTH_MAX: usize = 0xffff;

/// Parts of fewer bytes are copied together, the others kept by reference. The copy is made under the caller's lock, so it
/// is to be a short one; a buffer holds some 2,048 bytes.
const JOINED_BELOW: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_share_a_buffer_and_large_ones_keep_theirs() {
        let mut corked = Corked::new((), false);
        let mut expected = Vec::new();
        for round in 0..60u8 {
            for byte in 0..100 {
                corked.append(Rope::from(vec![byte]));
                expected.push(byte);
            }
            corked.append(Rope::from(vec![round; 900]));
            expected.extend([round; 900]);
        }
        assert_eq!(corked.with(Rope::from(vec![7])).to_vec(), [&expected[..], &[7]].concat());
        assert_eq!(corked.with(Rope::new()).chunk_count(), 120);
        assert_eq!(corked.len(), 60_000);
    }

    #[test]
    fn many_parts_of_a_byte_are_one_piece() {
        let mut corked = Corked::new((), false);
        for _ in 0..LENGTH_MAX {
            corked.append(Rope::from(vec![1]));
        }
        assert_eq!(corked.len(), LENGTH_MAX);
        assert_eq!((corked.with(Rope::new()).chunk_count(), corked.parts.chunk_count()), (1, 0));
    }
}
