//! Any bytes as frames, to a stack with sockets in all states.
//!
//! An input is a row of records: a byte of flags, a length, and that many bytes of a frame. The frames come from host
//! 1; the stack is host 0.

mod host;
mod seeds;

use std::collections::BTreeSet;

use host::Host;
pub use seeds::seeds;

use crate::memory;

/// Bytes that the stack may hold at most besides what grows with the input.
const BASE_MEMORY: u64 = 8 << 20;

/// Bytes that the stack may hold for each byte that it was sent.
const MEMORY_PER_BYTE: u64 = 64;

/// Bytes that it may hold hours after the last frame, however many there were.
const MEMORY_AT_REST: u64 = 256 << 10;

/// Runs the frames in `data`.
///
/// Panics where the stack does, where it holds more memory than it should or some is left behind, where what it sends is not right, or where
/// its deadlines stand still.
pub fn run(data: &[u8]) {
    let held = memory::of(|| {
        let mut host = Host::new();
        Records { rest: data }.for_each(|record| host.take(&record));
        host.finish()
    });
    let most = BASE_MEMORY + MEMORY_PER_BYTE * data.len() as u64;
    assert!(held.worst <= most, "{} bytes of memory for {} bytes of input", held.worst, data.len());
    assert!(held.at_rest <= MEMORY_AT_REST, "{} bytes of memory at rest", held.at_rest);
}

/// The frames of the seeds, each once.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    let seeds = seeds();
    let frames = seeds.iter().flat_map(|seed| Records { rest: seed }).map(|record| record.bytes.to_vec());
    frames.collect::<BTreeSet<_>>().into_iter().collect()
}

/// One frame, and what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) flags: u8,
    pub(crate) gso_size: Option<u16>,
    pub(crate) bytes: &'a [u8],
}

/// What the flags of a record mean.
pub(crate) mod flag {
    /// The two lowest bits: the link vouches for the checksum (1, 3), or says that it is wrong (2).
    pub(crate) const CHECKSUM: u8 = 0b11;
    /// The IPv4 header's checksum is made right.
    pub(crate) const MEND: u8 = 1 << 2;
    /// How much time passes afterwards: none, 10 ms, 1 s, 70 s.
    pub(crate) const TIME_SHIFT: u8 = 3;
    /// The size of merged segments follows the length.
    pub(crate) const MERGED: u8 = 1 << 5;
    /// The application looks at its sockets afterwards.
    pub(crate) const APPLICATION: u8 = 1 << 6;
    /// The frame comes in at an interface of bare IP.
    pub(crate) const BARE_IP: u8 = 1 << 7;
}

/// The records of an input. The last may be cut short.
struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (&[flags, low, high], rest) = self.rest.split_first_chunk()?;
        let (gso_size, rest) = match rest.split_first_chunk() {
            Some((&size, rest)) if flags & flag::MERGED != 0 => (Some(u16::from_le_bytes(size)), rest),
            _ => (None, rest),
        };
        let len = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (bytes, rest) = rest.split_at(len);
        self.rest = rest;
        Some(Record { flags, gso_size, bytes })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_run() {
        super::seeds().iter().for_each(|seed| super::run(seed));
    }
}
