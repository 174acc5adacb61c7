//! Bytes in one direction, as fast as they go, checked for gaps and repetitions.
//!
//! Every 512 bytes the stream tells its own position. That is less than any segment's payload, so one that is
//! missing, doubled or out of place is noticed, and it costs the measurement next to nothing; hashes are for the
//! documents that [`super::fetch`] gets.

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Instant;

use super::Figures;
use crate::network::Stream;

/// Bytes from one stamp to the next.
const STRIDE: u64 = 512;
/// Bytes that one call writes or reads.
const TURN: usize = 256 * 1024;
const STAMP: usize = 8;

/// Told how many bytes have gone over.
pub type Watch = Arc<dyn Fn(u64) + Send + Sync>;

/// Sends `bytes` bytes to a [`sink`], and waits for its word that all came.
pub(super) fn upload(mut stream: impl Stream, bytes: u64, watch: &Watch) -> io::Result<Figures> {
    let begin = Instant::now();
    let mut buffer = vec![0xa5; TURN];
    let mut position = 0;
    while position < bytes {
        stamp(&mut buffer, position);
        let len = (bytes - position).min(TURN as u64);
        stream.write_all(&buffer[..len as usize])?;
        position += len;
        watch(position);
    }
    stream.end(Shutdown::Write)?;
    let mut verdict = String::new();
    (&mut stream).take(256).read_to_string(&mut verdict)?;
    if verdict != format!("ok {bytes}\n") {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("the other end says {verdict:?}")));
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Figures::Uploaded { bytes, seconds, gbit_per_s: bytes as f64 * 8.0 / seconds / 1e9 })
}

/// Takes what an [`upload`] sends, and says whether it was all right.
pub(super) fn sink(mut stream: impl Stream, watch: &Watch) -> io::Result<()> {
    let mut buffer = vec![0; TURN];
    let mut position = 0;
    let mut wrong = None;
    loop {
        let len = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        wrong = wrong.or_else(|| first_wrong_stamp(&buffer[..len], position));
        position += len as u64;
        watch(position);
    }
    match wrong {
        None => writeln!(stream, "ok {position}"),
        Some(at) => writeln!(stream, "wrong bytes at {at}"),
    }
}

/// Writes the stamps of a buffer that begins at `position`, which is a multiple of the stride.
fn stamp(buffer: &mut [u8], position: u64) {
    for (index, stride) in buffer.chunks_mut(STRIDE as usize).enumerate() {
        let at = position + index as u64 * STRIDE;
        stride[..STAMP].copy_from_slice(&at.to_le_bytes());
    }
}

/// Where the first stamp is that tells another position. One that two reads have cut in two is passed over.
fn first_wrong_stamp(bytes: &[u8], position: u64) -> Option<u64> {
    let mut at = position.next_multiple_of(STRIDE);
    while let Some(stamp) = bytes.get((at - position) as usize..).and_then(|rest| rest.first_chunk::<STAMP>())
    {
        if u64::from_le_bytes(*stamp) != at {
            return Some(at);
        }
        at += STRIDE;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_doubled_is_noticed() {
        let mut stream = vec![0; 8192];
        stamp(&mut stream, 0);
        assert_eq!(first_wrong_stamp(&stream, 0), None);
        assert_eq!(first_wrong_stamp(&stream[700..], 700), None);
        let (mut missing, mut doubled) = (stream.clone(), stream.clone());
        missing.drain(1000..2448);
        assert_eq!(first_wrong_stamp(&missing, 0), Some(1024));
        doubled.splice(1000..1000, stream[0..1000].iter().copied());
        assert_eq!(first_wrong_stamp(&doubled, 0), Some(1024));
    }
}
