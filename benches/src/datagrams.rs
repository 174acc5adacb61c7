//! Datagrams one way: how many arrive in a second.

use std::io;
use std::time::{Duration, Instant};

use crate::role::{Datagrams, Order, Outcome, Packaging};

/// Bytes that are sent or received together at the most.
const MERGED: usize = 60 * 1024;
/// Datagrams that are sent together at the most, as in Linux (`UDP_MAX_SEGMENTS`, before 6.9 half of that).
const MOST_MERGED: usize = 64;
/// Calls between two looks at the clock.
const CALLS: usize = 32;
/// How long the receiver waits for the first datagram, and for each that follows.
const FIRST: Duration = Duration::from_secs(5);
const NEXT: Duration = Duration::from_millis(200);

/// Sends as fast as it can.
pub(crate) fn spray(socket: &impl Datagrams, order: &Order) -> io::Result<Outcome> {
    let size = order.shape.message;
    let count = match order.shape.packaging {
        Packaging::Single => 1,
        Packaging::Merged => {
            socket.cut(size as u16)?;
            (MERGED / size).clamp(1, MOST_MERGED)
        }
    };
    let data = vec![0x5a; count * size];
    let (started, mut sent) = (Instant::now(), 0);
    while started.elapsed() < order.time {
        for _ in 0..CALLS {
            match socket.send(&data) {
                Ok(_) => sent += count as u64,
                // The other end is gone, or there is no room at the moment.
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused) => {}
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Outcome { count: sent, seconds: started.elapsed().as_secs_f64(), ..Outcome::default() })
}

/// No buffer space available.
const ENOBUFS: i32 = 105;

/// Counts what comes, from the first to the last.
pub(crate) fn catch(socket: &impl Datagrams, order: &Order, ready: impl FnOnce()) -> io::Result<Outcome> {
    if order.shape.packaging == Packaging::Merged {
        socket.merge()?;
    }
    socket.patience(FIRST)?;
    ready();
    let (size, mut into) = (order.shape.message as u64, vec![0; 64 * 1024]);
    let mut bytes = socket.receive(&mut into)? as u64;
    socket.patience(NEXT)?;
    let started = Instant::now();
    let mut last = started;
    loop {
        match socket.receive(&mut into) {
            Ok(count) => bytes += count as u64,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                break;
            }
            Err(error) => return Err(error),
        }
        last = Instant::now();
    }
    Ok(Outcome { bytes, count: bytes / size, seconds: (last - started).as_secs_f64(), ..Outcome::default() })
}
