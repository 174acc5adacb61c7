//! What ends do with connections that are open: bulk, and messages there and back.

use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::pin;
use std::slice;
use std::task::Poll;
use std::thread;
use std::time::Instant;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::role::{Interest, Order, Outcome, Ownership, Role, Stream, Waiting, Watch};
use crate::together;
use crate::trips::Trips;

/// What one connection came to.
pub(crate) struct Share {
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    pub(crate) trips: Option<Trips>,
}

/// Does as ordered on all of `streams` at a time: the only one here, several on a thread each.
pub(crate) fn converse<S: Stream>(mut streams: Vec<S>, order: &Order) -> io::Result<Outcome> {
    if let Role::Scatter | Role::Gather | Role::Volley = order.role {
        return Ok(sum(together::talk(streams, order)?));
    }
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

fn talk<S: Stream>(stream: S, role: Role, order: &Order) -> io::Result<Share> {
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
        (_, Waiting::Polls | Waiting::Turns) => {
            let (mut watch, mut ready) =
                (S::watch(slice::from_ref(&stream), Interest::Arrivals)?, Vec::new());
            ping_pong(stream, order, || watch.wait(&mut ready))
        }
        (_, Waiting::Tasks | Waiting::TurnsOfTasks) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            runtime.block_on(async {
                let beside = stream.beside()?;
                first_of(ping_pong_as_task(stream.into_task()?, order), beside).await
            })
        }
    }
}

fn source(mut stream: impl Stream, order: &Order) -> io::Result<Share> {
    let chunk = Bytes::from(vec![0x5a; order.shape.chunk]);
    let (started, mut bytes) = (Instant::now(), 0);
    while started.elapsed() < order.time {
        match order.shape.ownership {
            Ownership::Copied => stream.write_all(&chunk)?,
            Ownership::Owned => {
                let mut rest = chunk.clone();
                while !rest.is_empty() {
                    rest.advance(stream.send_owned(&rest)?);
                }
            }
        }
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
        let count = match order.shape.ownership {
            Ownership::Copied => stream.read(&mut buffer)?,
            Ownership::Owned => stream.receive_owned(&mut buffer)?,
        };
        if count == 0 {
            break;
        }
        bytes += count as u64;
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

/// What `main` comes to, or the error that what goes on beside it ends by.
async fn first_of<T>(
    main: impl Future<Output = io::Result<T>>,
    beside: impl Future<Output = io::Error>,
) -> io::Result<T> {
    let (mut main, mut beside) = (pin!(main), pin!(beside));
    poll_fn(|context| match beside.as_mut().poll(context) {
        Poll::Ready(error) => Poll::Ready(Err(error)),
        Poll::Pending => main.as_mut().poll(context),
    })
    .await
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

pub(crate) fn write_message(stream: &mut impl Stream, message: &[u8]) -> io::Result<()> {
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
