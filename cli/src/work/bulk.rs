//! Bytes in one direction, as fast as they go, compared by a checksum of the whole stream on both sides.
//!
//! Every 512 bytes the stream tells its own position, so no two of its parts are alike: a part that is missing,
//! doubled or out of place changes the checksum. CRC-32 with the processor's help takes a small part of the time that
//! the bytes take to come over, and is made within it, on both sides.

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use crc32fast::Hasher;

use super::Figures;
use crate::network::Stream;

/// Bytes from one stamp to the next.
const STRIDE: u64 = 512;
/// Bytes that one call writes or reads.
const TURN: usize = 256 * 1024;
const STAMP: usize = 8;

/// Told how many bytes have gone over.
pub type Watch = Arc<dyn Fn(u64) + Send + Sync>;

/// Sends `bytes` bytes to a [`sink`], and waits for its word on what came.
pub(super) fn upload(mut stream: impl Stream, bytes: u64, watch: &Watch) -> io::Result<Figures> {
    let begin = Instant::now();
    let mut buffer = vec![0xa5; TURN];
    let mut hasher = Hasher::new();
    let mut position = 0;
    while position < bytes {
        stamp(&mut buffer, position);
        let len = (bytes - position).min(TURN as u64);
        let part = &buffer[..len as usize];
        hasher.update(part);
        stream.write_all(part)?;
        position += len;
        watch(position);
    }
    stream.end(Shutdown::Write)?;
    let mut verdict = String::new();
    (&mut stream).take(256).read_to_string(&mut verdict)?;
    let crc32 = hasher.finalize();
    if verdict != told(bytes, crc32) {
        let sent = told(bytes, crc32);
        let reason = format!("sent {:?}, and the other end got {:?}", sent.trim_end(), verdict.trim_end());
        return Err(io::Error::new(ErrorKind::InvalidData, reason));
    }
    let seconds = begin.elapsed().as_secs_f64();
    let gbit_per_s = bytes as f64 * 8.0 / seconds / 1e9;
    Ok(Figures::Uploaded { bytes, crc32: format!("{crc32:08x}"), seconds, gbit_per_s })
}

/// Takes what an [`upload`] sends, and says what it was.
pub(super) fn sink(mut stream: impl Stream, watch: &Watch) -> io::Result<()> {
    let mut buffer = vec![0; TURN];
    let mut hasher = Hasher::new();
    let mut position = 0;
    loop {
        let len = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..len]);
        position += len as u64;
        watch(position);
    }
    stream.write_all(told(position, hasher.finalize()).as_bytes())
}

/// A stream in a line.
fn told(bytes: u64, crc32: u32) -> String {
    format!("{bytes} bytes, CRC-32 {crc32:08x}\n")
}

/// Writes the stamps of a buffer that begins at `position`, which is a multiple of the stride.
fn stamp(buffer: &mut [u8], position: u64) {
    for (index, stride) in buffer.chunks_mut(STRIDE as usize).enumerate() {
        let at = position + index as u64 * STRIDE;
        stride[..STAMP].copy_from_slice(&at.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;
    use std::thread;

    use tapsock::Host;
    use tapsock::net::{TcpListener, TcpStream};

    use super::*;

    /// What a [`sink`] tells of a stream that is spoilt by `spoil`, and what an honest sender expects.
    fn verdict(spoil: fn(Vec<u8>) -> Vec<u8>) -> (String, String) {
        let mut honest = vec![0xa5; 8192];
        stamp(&mut honest, 0);
        let expected = told(honest.len() as u64, crc32fast::hash(&honest));
        let host = Host::builder().start().unwrap();
        let listener = TcpListener::bind(&host, "127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(&host, listener.local_addr().unwrap()).unwrap();
        let (served, over) = mpsc::channel();
        thread::spawn(move || {
            let watch: Watch = Arc::new(|_| {});
            served.send(sink(listener.accept().unwrap().0, &watch)).unwrap();
        });
        sender.write_all(&spoil(honest)).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
        let mut verdict = String::new();
        sender.read_to_string(&mut verdict).unwrap();
        over.recv().unwrap().unwrap();
        (verdict, expected)
    }

    #[test]
    fn what_is_missing_doubled_or_elsewhere_is_noticed() {
        let (verdict_of_all, expected) = verdict(|stream| stream);
        assert_eq!(verdict_of_all, expected);
        for spoil in [
            (|mut stream| (stream[5000] ^= 1, stream).1) as fn(Vec<u8>) -> Vec<u8>,
            |mut stream| (drop(stream.drain(1000..2448)), stream).1,
            |stream| [&stream[..1000], &stream[..]].concat(),
            |stream| [&stream[..512], &stream[1024..1536], &stream[512..1024], &stream[1536..]].concat(),
        ] {
            let (verdict, expected) = verdict(spoil);
            assert_ne!(verdict, expected);
        }
    }
}
