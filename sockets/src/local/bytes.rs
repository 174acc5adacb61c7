//! Bytes in order: small writes in one ring, large ones by reference.

use std::collections::VecDeque;

use tapsock_stack::buf::Chunk;

use super::payload::{Payload, Sink};

/// A rope up to this length, in bytes, is copied into the ring, so that it pins no buffer of its own.
pub const SMALL_MAX: usize = 2048;
/// Bytes of an emptied ring's memory that are kept for the next writes.
const KEPT: usize = 16 * 1024;

/// A queue of bytes. Its bound is the sender's credit, which its owner keeps.
#[derive(Debug, Default)]
pub(crate) struct ByteQueue {
    pieces: VecDeque<Piece>,
    /// The bytes of all small pieces.
    ring: VecDeque<u8>,
    len: usize,
}

#[derive(Debug)]
enum Piece {
    /// So many bytes of the ring.
    Small(usize),
    Large(Chunk),
}

impl ByteQueue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes lie in one piece at the front.
    pub(crate) fn first_piece(&self) -> usize {
        match self.pieces.front() {
            None => 0,
            Some(Piece::Small(len)) => *len,
            Some(Piece::Large(chunk)) => chunk.len(),
        }
    }

    /// Takes the first `count` bytes of `payload`, which has as many.
    pub(crate) fn push(&mut self, payload: &mut Payload<'_>, count: usize) {
        self.len += count;
        match payload {
            Payload::Bytes(bytes) => {
                self.push_small(&bytes[..count]);
                *bytes = &bytes[count..];
            }
            Payload::Rope(rope) => {
                let mut taken = rope.split_to(count);
                while let Some(chunk) = taken.pop_front() {
                    if chunk.len() <= SMALL_MAX {
                        self.push_small(&chunk);
                    } else {
                        self.pieces.push_back(Piece::Large(chunk));
                    }
                }
            }
        }
    }

    /// Moves the first `count` bytes into `sink`; there are as many.
    pub(crate) fn take(&mut self, mut count: usize, sink: &mut impl Sink) {
        self.len -= count;
        while count > 0 {
            match self.pieces.front_mut() {
                None => return,
                Some(Piece::Small(len)) => {
                    let part = count.min(*len);
                    *len -= part;
                    if *len == 0 {
                        self.pieces.pop_front();
                    }
                    copy_ring(&self.ring, 0, part, sink);
                    self.drop_small(part);
                    count -= part;
                }
                Some(Piece::Large(chunk)) if chunk.len() > count => {
                    sink.chunk(chunk.split_to(count));
                    return;
                }
                Some(Piece::Large(_)) => {
                    if let Some(Piece::Large(chunk)) = self.pieces.pop_front() {
                        count -= chunk.len();
                        sink.chunk(chunk);
                    }
                }
            }
        }
    }

    /// Copies `count` bytes from `offset` on into `sink`; there are as many.
    pub(crate) fn peek(&self, offset: usize, count: usize, sink: &mut impl Sink) {
        let end = offset + count;
        let (mut at, mut ring_at) = (0, 0);
        for piece in &self.pieces {
            let len = match piece {
                Piece::Small(len) => *len,
                Piece::Large(chunk) => chunk.len(),
            };
            let (start, stop) = (offset.clamp(at, at + len) - at, end.clamp(at, at + len) - at);
            match piece {
                _ if start == stop => {}
                Piece::Small(_) => copy_ring(&self.ring, ring_at + start, stop - start, sink),
                Piece::Large(chunk) => sink.chunk(chunk.slice(start..stop)),
            }
            if let Piece::Small(len) = piece {
                ring_at += len;
            }
            at += len;
            if at >= end {
                return;
            }
        }
    }

    /// Drops the first `count` bytes; there are as many.
    pub(crate) fn skip(&mut self, count: usize) {
        self.take(count, &mut Nowhere);
    }

    fn push_small(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.ring.extend(bytes);
        match self.pieces.back_mut() {
            Some(Piece::Small(len)) => *len += bytes.len(),
            _ => self.pieces.push_back(Piece::Small(bytes.len())),
        }
    }

    fn drop_small(&mut self, count: usize) {
        if count < self.ring.len() {
            self.ring.drain(..count);
            return;
        }
        self.ring.clear();
        if self.ring.capacity() > KEPT {
            self.ring = VecDeque::new();
        }
    }
}

struct Nowhere;

impl Sink for Nowhere {
    fn bytes(&mut self, _: &[u8]) {}
    fn chunk(&mut self, _: Chunk) {}
}

fn copy_ring(ring: &VecDeque<u8>, start: usize, count: usize, sink: &mut impl Sink) {
    let (front, back) = ring.as_slices();
    let end = start + count;
    let head = &front[start.min(front.len())..end.min(front.len())];
    let tail = &back[start.saturating_sub(front.len())..end.saturating_sub(front.len())];
    for part in [head, tail] {
        if !part.is_empty() {
            sink.bytes(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::payload::Filling;
    use proptest::prelude::*;
    use tapsock_stack::buf::Rope;

    #[derive(Clone, Debug)]
    enum Op {
        Bytes(Vec<u8>),
        Rope(Vec<(usize, u8)>, usize),
        Take(usize),
        Peek(usize, usize),
        Skip(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        let len = prop_oneof![1usize..20, SMALL_MAX - 1..SMALL_MAX + 3, 9000usize..9003];
        prop_oneof![
            3 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Op::Bytes),
            2 => (proptest::collection::vec((len, any::<u8>()), 0..6), 0usize..30_000)
                .prop_map(|(pieces, count)| Op::Rope(pieces, count)),
            3 => (0usize..12_000).prop_map(Op::Take),
            3 => (0usize..30).prop_map(Op::Take),
            2 => (0usize..12_000, 0usize..12_000).prop_map(|(offset, count)| Op::Peek(offset, count)),
            1 => (0usize..6000).prop_map(Op::Skip),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_queue_of_bytes(ops in proptest::collection::vec(op(), 0..40)) {
            let mut queue = ByteQueue::default();
            let mut model: Vec<u8> = Vec::new();
            for op in ops {
                match op {
                    Op::Bytes(bytes) => {
                        queue.push(&mut Payload::from(&bytes[..]), bytes.len());
                        model.extend(bytes);
                    }
                    Op::Rope(pieces, count) => {
                        let mut rope = Rope::new();
                        pieces.iter().for_each(|(len, fill)| rope.push_back(vec![*fill; *len].into()));
                        let whole = rope.to_vec();
                        let count = count.min(whole.len());
                        queue.push(&mut Payload::from(&mut rope), count);
                        prop_assert_eq!(rope.to_vec(), &whole[count..]);
                        model.extend(&whole[..count]);
                    }
                    Op::Take(count) => {
                        let count = count.min(model.len());
                        let head: Vec<u8> = model.drain(..count).collect();
                        let mut into = vec![0; count];
                        let mut filling = Filling::new(&mut into);
                        queue.take(count, &mut filling);
                        prop_assert_eq!(filling.finish(), count);
                        prop_assert_eq!(into, head);
                    }
                    Op::Peek(offset, count) => {
                        let offset = offset.min(model.len());
                        let count = count.min(model.len() - offset);
                        let mut rope = Rope::new();
                        queue.peek(offset, count, &mut rope);
                        prop_assert_eq!(rope.to_vec(), &model[offset..offset + count]);
                    }
                    Op::Skip(count) => {
                        let count = count.min(model.len());
                        model.drain(..count);
                        queue.skip(count);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }

    #[test]
    fn an_emptied_ring_keeps_little() {
        let mut queue = ByteQueue::default();
        queue.push(&mut Payload::from(&[0; 100_000][..]), 100_000);
        queue.skip(99_999);
        assert!(queue.ring.capacity() >= 100_000);
        queue.skip(1);
        assert!(queue.ring.capacity() <= KEPT);
    }

    #[test]
    fn large_writes_are_not_copied() {
        let chunk = Chunk::from(vec![7; SMALL_MAX + 1]);
        let mut queue = ByteQueue::default();
        queue.push(&mut Payload::from(&mut Rope::from(chunk.clone())), chunk.len());
        let mut out = Rope::new();
        queue.take(chunk.len(), &mut out);
        assert_eq!(out.chunks().next().map(|out| out.as_ptr()), Some(chunk.as_ptr()));
    }
}
