//! PF_LOCAL beside the kernel's AF_UNIX: two threads of one process and a connected pair of streams.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream as KernelStream;
use std::thread;
use std::time::{Duration, Instant};

use tapsock::Host;
use tapsock::unix::UnixStream;

use crate::duel::Placement;
use crate::sys;

/// What goes through the pair.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Traffic {
    /// One byte there and back, again and again.
    RoundTrips,
    /// Writes of 64 KiB, one way.
    Bulk,
}

/// Bytes of a write in bulk.
const PIECE: usize = 64 * 1024;
/// Round trips between two looks at the clock.
const TRIPS: u32 = 64;

/// What one run of the kernel's pair gives: microseconds a round trip, or Gbit/s.
pub(crate) fn kernel(traffic: Traffic, placement: Placement, time: Duration) -> io::Result<f64> {
    let (near, far) = KernelStream::pair()?;
    run(near, far, traffic, placement, time)
}

/// The same of ours.
pub(crate) fn ours(host: &Host, traffic: Traffic, placement: Placement, time: Duration) -> io::Result<f64> {
    let (near, far) = UnixStream::pair(host)?;
    run(near, far, traffic, placement, time)
}

fn run<S: Read + Write + Send + 'static>(
    near: S,
    far: S,
    traffic: Traffic,
    placement: Placement,
    time: Duration,
) -> io::Result<f64> {
    let cpus = sys::cpus()?;
    let (here, there) = match placement {
        Placement::Same => (cpus.first().copied(), cpus.first().copied()),
        Placement::Across => (cpus.first().copied(), cpus.last().copied()),
        Placement::Unpinned => (None, None),
    };
    let peer = thread::spawn(move || {
        sys::pin(there)?;
        match traffic {
            Traffic::RoundTrips => echo(far),
            Traffic::Bulk => drain(far),
        }
    });
    let measured = thread::spawn(move || {
        sys::pin(here)?;
        match traffic {
            Traffic::RoundTrips => round_trips(near, time),
            Traffic::Bulk => fill(near, time),
        }
    });
    let figure = joined(measured)?;
    joined(peer)?;
    Ok(figure)
}

fn joined<T>(thread: thread::JoinHandle<io::Result<T>>) -> io::Result<T> {
    thread.join().map_err(|_| io::Error::other("a thread of the bench panicked"))?
}

fn echo(mut stream: impl Read + Write) -> io::Result<()> {
    let mut byte = [0];
    while stream.read(&mut byte)? > 0 {
        stream.write_all(&byte)?;
    }
    Ok(())
}

fn drain(mut stream: impl Read) -> io::Result<()> {
    let mut bytes = vec![0; PIECE];
    while stream.read(&mut bytes)? > 0 {}
    Ok(())
}

fn round_trips(mut stream: impl Read + Write, time: Duration) -> io::Result<f64> {
    let (start, mut trips, mut byte) = (Instant::now(), 0, [7]);
    while start.elapsed() < time {
        for _ in 0..TRIPS {
            stream.write_all(&byte)?;
            stream.read_exact(&mut byte)?;
        }
        trips += TRIPS;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(trips))
}

fn fill(mut stream: impl Write, time: Duration) -> io::Result<f64> {
    let piece = vec![7; PIECE];
    let (start, mut bytes) = (Instant::now(), 0u64);
    while start.elapsed() < time {
        stream.write_all(&piece)?;
        bytes += piece.len() as u64;
    }
    Ok(bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9)
}
