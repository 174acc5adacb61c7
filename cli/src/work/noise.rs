//! Documents that no program can guess: the same bytes for the same length, everywhere.

use std::fmt::Write;
use std::io::{self, ErrorKind, Read};

use sha2::{Digest, Sha256};

use crate::http::{Body, Request, Response, Site};

/// The largest document, in bytes.
const MAX_LEN: u64 = 1 << 34;

/// A site that has every document `/noise/LENGTH`.
pub fn noise_site() -> impl Site {
    |request: &Request| {
        let len = request.path.strip_prefix("/noise/").and_then(|len| len.parse().ok());
        match len.filter(|len| *len <= MAX_LEN) {
            Some(len) => Response::ok("application/octet-stream", Body::stream(Noise::new(len), len)),
            None => Response::not_found(),
        }
    }
}

/// The hash of `/noise/LENGTH`, in hexadecimal.
pub fn document_sha256(len: u64) -> String {
    let (_, sha256) = hash(&mut Noise::new(len)).unwrap_or_default();
    sha256
}

/// Reads `from` to its end: how many bytes there were, and their hash in hexadecimal.
pub(super) fn hash(from: &mut impl Read) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => {
                hash.update(&buffer[..len]);
                bytes += len as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let hexadecimal = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok((bytes, hexadecimal))
}

/// Bytes of a generator (splitmix64), seeded with their number.
struct Noise {
    len: u64,
    position: u64,
}

impl Noise {
    fn new(len: u64) -> Self {
        Noise { len, position: 0 }
    }

    fn word(&self, index: u64) -> [u8; 8] {
        let mut word = (self.len ^ index).wrapping_add(index << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)).to_le_bytes()
    }
}

impl Read for Noise {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len - self.position).unwrap_or(usize::MAX);
        let read = left.min(into.len());
        let mut rest = &mut into[..read];
        while !rest.is_empty() {
            let word = self.word(self.position / 8);
            let from = &word[(self.position % 8) as usize..];
            let (now, later) = rest.split_at_mut(from.len().min(rest.len()));
            now.copy_from_slice(&from[..now.len()]);
            self.position += now.len() as u64;
            rest = later;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_the_same_however_it_is_read() {
        let mut whole = Vec::new();
        Noise::new(100_003).read_to_end(&mut whole).unwrap();
        assert_eq!(whole.len(), 100_003);
        let mut pieces = Vec::new();
        let mut noise = Noise::new(100_003);
        let mut buffer = [0; 1021];
        while let len @ 1.. = noise.read(&mut buffer).unwrap() {
            pieces.extend_from_slice(&buffer[..len]);
        }
        assert!(whole == pieces);
        assert_ne!(document_sha256(100_003), document_sha256(100_004));
    }

    #[test]
    fn the_hash_is_sha256() {
        let (len, sha256) = hash(&mut &b"abc"[..]).unwrap();
        assert_eq!((len, &sha256[..16]), (3, "ba7816bf8f01cfea"));
    }
}
