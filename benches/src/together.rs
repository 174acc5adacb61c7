//! What an end does with many connections in one thread, which epoll tells of them.

use std::io;
use std::time::Instant;

use crate::role::{Interest, Order, Role, Stream, Watch};
use crate::talk::{Share, read_message, write_message};
use crate::trips::Trips;

/// Does as ordered on all of `streams`.
pub(crate) fn talk<S: Stream>(streams: Vec<S>, order: &Order) -> io::Result<Vec<Share>> {
    match order.role {
        Role::Scatter => scatter(streams, order),
        Role::Volley => volley(streams, order),
        _ => gather(streams, order),
    }
}

/// Reads all to the end.
fn gather<S: Stream>(mut streams: Vec<S>, order: &Order) -> io::Result<Vec<Share>> {
    let started = Instant::now();
    let mut bytes = vec![0; streams.len()];
    to_the_end(&mut streams, order, &mut bytes)?;
    Ok(shares(&bytes, started))
}

/// Reads what each says until it says no more; `bytes` is what has been read of each.
fn to_the_end<S: Stream>(streams: &mut [S], order: &Order, bytes: &mut [u64]) -> io::Result<()> {
    let (mut watch, mut ready) = (S::watch(streams, Interest::Arrivals)?, Vec::new());
    let mut buffer = vec![0; order.shape.chunk];
    let mut open = vec![true; streams.len()];
    while open.contains(&true) {
        watch.wait(&mut ready)?;
        for place in &ready {
            match streams[*place].read(&mut buffer) {
                Ok(0) => open[*place] = false,
                Ok(count) => bytes[*place] += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Writes to whichever has room for a time, and then ends all.
fn scatter<S: Stream>(mut streams: Vec<S>, order: &Order) -> io::Result<Vec<Share>> {
    let (mut watch, mut ready) = (S::watch(&streams, Interest::Room)?, Vec::new());
    let chunk = vec![0x5a; order.shape.chunk];
    let (started, mut bytes) = (Instant::now(), vec![0; streams.len()]);
    while started.elapsed() < order.time {
        watch.wait(&mut ready)?;
        for place in &ready {
            match streams[*place].write(&chunk) {
                Ok(count) => bytes[*place] += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    streams.iter().try_for_each(Stream::end)?;
    // The other end closes when it has read everything.
    to_the_end(&mut streams, order, &mut vec![0; bytes.len()])?;
    Ok(shares(&bytes, started))
}

/// Has a message of each under way at all times.
fn volley<S: Stream>(mut streams: Vec<S>, order: &Order) -> io::Result<Vec<Share>> {
    let (mut watch, mut ready) = (S::watch(&streams, Interest::Arrivals)?, Vec::new());
    let mut message = vec![0x5a; order.shape.message];
    let mut trips = Vec::new();
    for stream in &mut streams {
        stream.no_delay()?;
        trips.push(Trips::new());
        write_message(stream, &message)?;
    }
    let mut under_way = streams.len();
    while under_way > 0 {
        watch.wait(&mut ready)?;
        for place in &ready {
            let stream = &mut streams[*place];
            if trips[*place].elapsed() >= order.time {
                // It has been told that nothing more comes, and ends as well.
                continue;
            }
            if read_message(stream, &mut message)? < message.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            trips[*place].lap();
            if trips[*place].elapsed() < order.time {
                write_message(stream, &message)?;
            } else {
                stream.end()?;
                under_way -= 1;
            }
        }
    }
    let share = |trips: Trips| Share { bytes: 0, seconds: trips.elapsed().as_secs_f64(), trips: Some(trips) };
    Ok(trips.into_iter().map(share).collect())
}

fn shares(bytes: &[u64], started: Instant) -> Vec<Share> {
    let seconds = started.elapsed().as_secs_f64();
    bytes.iter().map(|bytes| Share { bytes: *bytes, seconds, trips: None }).collect()
}
