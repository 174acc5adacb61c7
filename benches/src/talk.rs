//! What ends do with connections that are open: bulk, and messages there and back.

use std::io::{self, Read};
use std::thread;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::role::{Order, Outcome, Role, Stream, Waiting, Watch};
use crate::trips::Trips;

/// What one connection came to.
struct Share {
    bytes: u64,
    seconds: f64,
    trips: Option<Trips>,
}

/// Does as ordered on all of `streams` at a time: the only one here, several on a thread each.
pub(crate) fn converse<S: Stream>(mut streams: Vec<S>, order: &Order) -> io::Result<Outcome> {
    let (one, others) = parts(order.role);
    let shares = match (streams.pop(), streams.is_empty()) {
        (Some(only), true) => vec![talk(only, one, order)?],
        (last, _) => thread::scope(|scope| {
            let all = streams.into_iter().map(|stream| (stream, others)).chain(last.map(|last| (last, one)));
            let threads: Vec<_> =
                all.map(|(stream, role)| scope.spawn(move || talk(stream, role, order))).collect();
            let panicked = || Err(io::Error::other("a thread of an end panicked"));
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| panicked()))
                .collect::<io::Result<_>>()
        })?,
    };
    Ok(sum(shares))
}

/// What is done on the last connection, and on all others.
fn parts(role: Role) -> (Role, Role) {
    match role {
        Role::Answer => (Role::Echo, Role::Sink),
        Role::Press => (Role::PingPong, Role::Source),
        other => (other, other),
    }
}

fn sum(shares: Vec<Share>) -> Outcome {
    let bytes: Vec<f64> = shares.iter().map(|share| share.bytes as f64).collect();
    let mut outcome = Outcome { fairness: fairness(&bytes), ..Outcome::default() };
    let mut trips: Option<Trips> = None;
    for share in shares {
        outcome.bytes += share.bytes;
        outcome.seconds = outcome.seconds.max(share.seconds);
        match (&mut trips, share.trips) {
            (Some(all), Some(more)) => all.add(&more),
            (all, more) => *all = more,
        }
    }
    if let Some(trips) = trips {
        outcome = Outcome { bytes: outcome.bytes, seconds: outcome.seconds, ..trips.outcome() };
    }
    outcome
}

/// Jain's index: 1 where all are alike, and one part of their number where one has everything.
pub(crate) fn fairness(shares: &[f64]) -> f64 {
    let (sum, squares) =
        shares.iter().fold((0.0, 0.0), |(sum, squares), share| (sum + share, squares + share * share));
    if squares == 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

fn talk(stream: impl Stream, role: Role, order: &Order) -> io::Result<Share> {
    if let Role::Echo | Role::PingPong = role {
        stream.no_delay()?;
        if order.shape.waiting == Waiting::Spins {
            stream.spin()?;
        }
    }
    match (role, order.shape.waiting) {
        (Role::Source, _) => source(stream, order),
        (Role::Sink, _) => sink(stream, order),
        (Role::Echo, _) => echo(stream, order),
        (_, Waiting::Sleeps | Waiting::Spins) => ping_pong(stream, order, || Ok(())),
        (_, Waiting::Polls) => {
            let mut watch = stream.watch()?;
            ping_pong(stream, order, || watch.wait())
        }
        (_, Waiting::Tasks) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(async { ping_pong_as_task(stream.into_task()?, order).await })
        }
    }
}

fn source(mut stream: impl Stream, order: &Order) -> io::Result<Share> {
    let chunk = vec![0x5a; order.shape.chunk];
    let (started, mut bytes) = (Instant::now(), 0);
    while started.elapsed() < order.time {
        stream.write_all(&chunk)?;
        bytes += chunk.len() as u64;
    }
    stream.end()?;
    // The other end closes when it has read everything.
    let _ = stream.read(&mut [0])?;
    Ok(Share { bytes, seconds: started.elapsed().as_secs_f64(), trips: None })
}

fn sink(mut stream: impl Stream, order: &Order) -> io::Result<Share> {
    let mut buffer = vec![0; order.shape.chunk];
    let (started, mut bytes) = (Instant::now(), 0);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => bytes += count as u64,
        }
    }
    Ok(Share { bytes, seconds: started.elapsed().as_secs_f64(), trips: None })
}

fn echo(mut stream: impl Stream, order: &Order) -> io::Result<Share> {
    let mut message = vec![0; order.shape.message];
    let (started, mut bytes) = (Instant::now(), 0);
    while read_message(&mut stream, &mut message)? == message.len() {
        write_message(&mut stream, &message)?;
        bytes += message.len() as u64;
    }
    Ok(Share { bytes, seconds: started.elapsed().as_secs_f64(), trips: None })
}

/// Where reads do not wait, `wait` is called before each next look.
fn ping_pong(
    mut stream: impl Stream,
    order: &Order,
    mut wait: impl FnMut() -> io::Result<()>,
) -> io::Result<Share> {
    let mut message = vec![0x5a; order.shape.message];
    let mut trips = Trips::new();
    while trips.elapsed() < order.time {
        write_message(&mut stream, &message)?;
        if read_message_by(&mut stream, &mut message, &mut wait)? < message.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        trips.lap();
    }
    stream.end()?;
    Ok(Share { bytes: 0, seconds: trips.elapsed().as_secs_f64(), trips: Some(trips) })
}

async fn ping_pong_as_task(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    order: &Order,
) -> io::Result<Share> {
    let mut message = vec![0x5a; order.shape.message];
    let mut trips = Trips::new();
    while trips.elapsed() < order.time {
        stream.write_all(&message).await?;
        stream.read_exact(&mut message).await?;
        trips.lap();
    }
    stream.shutdown().await?;
    Ok(Share { bytes: 0, seconds: trips.elapsed().as_secs_f64(), trips: Some(trips) })
}

/// Reads a message; less than one at the end of the stream. Where the stream does not wait it looks again.
pub(crate) fn read_message(stream: &mut impl Read, message: &mut [u8]) -> io::Result<usize> {
    read_message_by(stream, message, || Ok(()))
}

fn read_message_by(
    stream: &mut impl Read,
    message: &mut [u8],
    mut wait: impl FnMut() -> io::Result<()>,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < message.len() {
        match stream.read(&mut message[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait()?,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn write_message(stream: &mut impl Stream, message: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < message.len() {
        match stream.write(&message[written..]) {
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fairness_is_one_where_all_are_alike() {
        assert_eq!(fairness(&[]), 1.0);
        assert_eq!(fairness(&[3.0, 3.0, 3.0, 3.0]), 1.0);
        assert_eq!(fairness(&[8.0, 0.0, 0.0, 0.0]), 0.25);
    }
}
