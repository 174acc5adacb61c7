//! Connections that are made, used once and closed. Each client has a listener of its own, on ports that follow one
//! another, so that TIME-WAIT exhausts none.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

use std::io::{Read, Write};

use crate::memory::MESSAGE;
use crate::role::{Closer, Net, Order, Outcome, Stream};
use crate::talk::read_message;
use crate::trips::Trips;

/// The first byte of a client's last request.
const LAST: u8 = 0xff;

/// Connections of a client to one port at the most: fewer than there are ports of its own.
const MOST: u64 = 25_000;

pub(crate) fn serve<N: Net>(net: &N, order: &Order, ready: impl FnOnce()) -> io::Result<Outcome> {
    let listeners = (0..order.shape.streams).map(|index| net.listen(order.place.at(index)));
    let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
    ready();
    at_a_time(listeners, |listener| serve_one(net, &listener, order.shape.closer))
}

pub(crate) fn request<N: Net>(net: &N, order: &Order) -> io::Result<Outcome> {
    let servers = (0..order.shape.streams).map(|index| order.place.at(index)).collect();
    at_a_time(servers, |server| request_one(net, server, order))
}

/// Does `work` for each of `all` at the same time, and sums up.
fn at_a_time<T: Send>(mut all: Vec<T>, work: impl Fn(T) -> io::Result<Trips> + Sync) -> io::Result<Outcome> {
    let last = all.pop().ok_or(io::ErrorKind::InvalidInput)?;
    let trips = thread::scope(|scope| {
        let others: Vec<_> = all.into_iter().map(|one| scope.spawn(|| work(one))).collect();
        let mut trips = work(last)?;
        for other in others {
            trips.add(&other.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked")))?);
        }
        io::Result::Ok(trips)
    })?;
    Ok(trips.outcome())
}

fn serve_one<N: Net>(net: &N, listener: &N::Listener, closer: Closer) -> io::Result<Trips> {
    let mut message = [0; MESSAGE];
    let mut trips = Trips::new();
    loop {
        let mut stream = net.accept(listener)?;
        if read_message(&mut stream, &mut message)? == MESSAGE {
            stream.write_all(&message)?;
        }
        if closer == Closer::Client && stream.read(&mut [0])? != 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        drop(stream);
        trips.lap();
        if message[0] == LAST {
            return Ok(trips);
        }
    }
}

fn request_one<N: Net>(net: &N, to: SocketAddr, order: &Order) -> io::Result<Trips> {
    let mut trips = Trips::new();
    let started = Instant::now();
    let mut message = [0x5a; MESSAGE];
    for number in 1.. {
        let last = started.elapsed() >= order.time || number >= MOST;
        if last {
            message[0] = LAST;
        }
        let mut stream = net.connect(to)?;
        stream.write_all(&message)?;
        if read_message(&mut stream, &mut message)? < MESSAGE {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match order.shape.closer {
            Closer::Server if stream.read(&mut [0])? != 0 => return Err(io::ErrorKind::InvalidData.into()),
            Closer::Server => {}
            Closer::Client => stream.end()?,
        }
        drop(stream);
        trips.lap();
        if last {
            break;
        }
    }
    Ok(trips)
}
