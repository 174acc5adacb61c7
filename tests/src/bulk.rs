//! Bytes that are all different, sent as fast as they go and checked by their hash.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::thread;

use sha2::{Digest, Sha256};

use crate::bench::{Bench, Family};
use crate::sides::{Side, Stream};

/// Bytes that one call writes or reads.
const TURN: usize = 256 * 1024;
const WORD: usize = 8;

/// How many bytes there were, and their SHA-256.
///
/// ```
/// use tapsock_tests::bulk::Fingerprint;
///
/// let empty = Fingerprint::of_stream(&mut &[][..]).unwrap();
/// assert!(empty.to_string().starts_with("0 bytes, sha256 e3b0c442"));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Fingerprint {
    len: u64,
    hash: [u8; 32],
}

impl Fingerprint {
    /// Reads `stream` to its end.
    ///
    /// # Errors
    /// Those of `stream`.
    pub fn of_stream(stream: &mut impl Read) -> io::Result<Fingerprint> {
        let (mut buffer, mut hash, mut len) = (vec![0; TURN], Sha256::new(), 0);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(Fingerprint { len, hash: hash.finalize().into() }),
                Ok(read) => {
                    hash.update(&buffer[..read]);
                    len += read as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(after(len, error)),
            }
        }
    }

    /// Writes the first `len` bytes of the endless stream that `seed` stands for.
    ///
    /// # Errors
    /// Those of `stream`.
    pub fn send(stream: &mut impl Write, seed: u64, len: u64) -> io::Result<Fingerprint> {
        let (mut buffer, mut hash, mut position) = (vec![0; TURN], Sha256::new(), 0);
        while position < len {
            fill(&mut buffer, seed, position);
            let turn = &buffer[..(len - position).min(TURN as u64) as usize];
            hash.update(turn);
            stream.write_all(turn).map_err(|error| after(position, error))?;
            position += turn.len() as u64;
        }
        Ok(Fingerprint { len, hash: hash.finalize().into() })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, sha256 ", self.len)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first `len` bytes of the endless stream that `seed` stands for.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len.next_multiple_of(WORD)];
    fill(&mut bytes, seed, 0);
    bytes.truncate(len);
    bytes
}

/// Sends `len` bytes over a connection that `connects` makes, from `sender`, and checks that they are what comes.
///
/// # Panics
/// Where they are not, or a call fails.
pub fn transfer(bench: &Bench, family: Family, sender: Side, connects: Side, len: u64) {
    let (client, server) = bench.pair(family, connects);
    let (from, to) = if sender == connects { (client, server) } else { (server, client) };
    one_way(from, to, len);
}

/// Sends `len` bytes each way at once over one connection, and checks that they are what comes.
///
/// # Panics
/// Where they are not, or a call fails.
pub fn exchange(bench: &Bench, family: Family, connects: Side, len: u64) {
    let (client, server) = bench.pair(family, connects);
    let again = |stream: &Stream| stream.try_clone().expect("another handle");
    let (client2, server2) = (again(&client), again(&server));
    thread::scope(|scope| {
        scope.spawn(|| one_way(client, server, len));
        one_way(server2, client2, len);
    });
}

/// Sends `len` bytes and their end, and checks that they are what comes.
///
/// # Panics
/// Where they are not, or a call fails.
pub fn one_way(mut from: Stream, mut to: Stream, len: u64) {
    let seed = from.local_addr().map_or(0, |address| address.port().into());
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let sent = Fingerprint::send(&mut from, seed, len).and_then(|sent| {
                from.shutdown(Shutdown::Write)?;
                Ok(sent)
            });
            (sent, from)
        });
        let received = Fingerprint::of_stream(&mut to);
        if received.is_err() {
            // The sender would find out only after its time.
            drop(to);
        }
        let (sent, _from) = sending.join().expect("the sender does not panic");
        match (sent, received) {
            (Ok(sent), Ok(received)) => assert_eq!(received, sent),
            (sent, received) => panic!("sent: {sent:?}; received: {received:?}"),
        }
    });
}

impl Bench {
    /// A connection that `connects` makes: its end, and that of the other side.
    ///
    /// # Panics
    /// Where there comes none.
    pub fn pair(&self, family: Family, connects: Side) -> (Stream, Stream) {
        let listener =
            self.listen(connects.other(), self.at(connects.other(), family, 0)).expect("it listens");
        let at = listener.local_addr().expect("it has an address");
        thread::scope(|scope| {
            let accepting = scope.spawn(|| listener.accept());
            let client = self.connect(connects, at).expect("it connects");
            let (server, _) = accepting.join().expect("accept does not panic").expect("it accepts");
            (client, server)
        })
    }
}

/// SplitMix64 over the numbers of the words: no word is like another, and any can be made without those before it.
fn fill(into: &mut [u8], seed: u64, position: u64) {
    debug_assert!(position.is_multiple_of(WORD as u64) && into.len().is_multiple_of(WORD));
    let first = seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(position / WORD as u64);
    for (index, word) in into.as_chunks_mut::<WORD>().0.iter_mut().enumerate() {
        let mixed = first.wrapping_add(index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *word = (mixed ^ (mixed >> 31)).to_le_bytes();
    }
}

fn after(position: u64, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("after {position} bytes: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_the_stream_of_its_seed() {
        let mut sent = Vec::new();
        let fingerprint = Fingerprint::send(&mut sent, 7, 600_001).unwrap();
        assert!(sent == bytes(7, 600_001));
        assert_ne!(bytes(7, 64), bytes(8, 64));
        assert_eq!(Fingerprint::of_stream(&mut &sent[..]).unwrap(), fingerprint);
        sent[500_000] ^= 1;
        assert_ne!(Fingerprint::of_stream(&mut &sent[..]).unwrap(), fingerprint);
    }
}
