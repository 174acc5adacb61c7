//! Bytes that anybody can check who knows the seed.

use tapsock_stack::buf::Chunk;

/// An endless stream of bytes of which every part is known from its position.
///
/// No part repeats another: a byte lost, doubled or out of place shows.
///
/// ```
/// use tapsock_sim::app::Pattern;
///
/// let pattern = Pattern::new(7);
/// let middle = pattern.chunk(1000, 50);
/// assert!(pattern.check(1000, &middle).is_ok());
/// assert!(pattern.check(1001, &middle).is_err());
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Pattern {
    seed: u64,
}

impl Pattern {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Pattern { seed }
    }

    /// `len` bytes from `offset` on.
    pub fn chunk(&self, offset: u64, len: usize) -> Chunk {
        let mut bytes = vec![0; len];
        self.fill(offset, &mut bytes);
        Chunk::from(bytes)
    }

    /// Whether `bytes` stand at `offset`; the error names the first position that differs.
    pub fn check(&self, offset: u64, bytes: &[u8]) -> Result<(), String> {
        let mut expected = vec![0; bytes.len()];
        self.fill(offset, &mut expected);
        match bytes.iter().zip(&expected).position(|(a, b)| a != b) {
            None => Ok(()),
            Some(at) => Err(format!(
                "byte {} of the stream is {:#04x}, not {:#04x}",
                offset + at as u64,
                bytes[at],
                expected[at]
            )),
        }
    }

    fn fill(&self, offset: u64, bytes: &mut [u8]) {
        let skip = (offset % 8) as usize;
        let mut word = offset / 8;
        let (head, rest) = bytes.split_at_mut(bytes.len().min((8 - skip) % 8));
        if !head.is_empty() {
            head.copy_from_slice(&self.word(word)[skip..skip + head.len()]);
            word += 1;
        }
        for chunk in rest.chunks_mut(8) {
            chunk.copy_from_slice(&self.word(word)[..chunk.len()]);
            word += 1;
        }
    }

    fn word(&self, index: u64) -> [u8; 8] {
        let mut z = (self.seed ^ index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (z ^ (z >> 32)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_agree_with_the_whole() {
        let pattern = Pattern::new(3);
        let whole = pattern.chunk(0, 100);
        for start in 0..40 {
            for len in 0..60 {
                assert_eq!(&pattern.chunk(start as u64, len)[..], &whole[start..start + len]);
            }
        }
    }
}
