//! Datagrams there and back.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::echo::histogram;
use super::{Figures, MAX_LOST, microseconds};
use crate::network::Datagrams;

/// How long a datagram may take there and back.
const PATIENCE: Duration = Duration::from_secs(1);
/// Larger than any datagram.
const BUFFER: usize = 65_536;

/// Sends every datagram back to where it came from, until the socket's network ends.
pub(super) fn echo(socket: &impl Datagrams) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match socket.receive(&mut buffer) {
            // Where it can't be sent, it counts as lost, as it would in a network.
            Ok((len, from)) => drop(socket.send(&buffer[..len], from)),
            // An earlier one was refused, or a signal came.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

/// Sends `count` datagrams of 1 to `largest` bytes, each when the one before is back.
pub(super) fn measure(
    socket: &impl Datagrams,
    to: SocketAddr,
    count: u32,
    largest: usize,
) -> io::Result<Figures> {
    socket.patience(PATIENCE)?;
    let mut times = histogram()?;
    let mut buffer = vec![0; BUFFER];
    let (mut sent, mut returned) = (0, 0);
    while sent < count && sent - returned < MAX_LOST as u32 {
        let message = message(sent, largest);
        let begin = Instant::now();
        socket.send(&message, to)?;
        sent += 1;
        if comes_back(socket, &message, to, &mut buffer)? {
            returned += 1;
            times.saturating_record(begin.elapsed().as_nanos() as u64);
        }
    }
    let p50_us = microseconds(Duration::from_nanos(times.value_at_quantile(0.5)));
    Ok(Figures::Datagrams { sent, returned, largest_bytes: largest, p50_us })
}

fn comes_back(
    socket: &impl Datagrams,
    message: &[u8],
    to: SocketAddr,
    buffer: &mut [u8],
) -> io::Result<bool> {
    loop {
        match socket.receive(buffer) {
            Ok((len, from)) if from == to && &buffer[..len] == message => return Ok(true),
            // One that was given up for lost.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Datagram number `index`: sizes go up and down through all from 1 to `largest` bytes.
fn message(index: u32, largest: usize) -> Vec<u8> {
    let len = 1 + (index as usize * 641) % largest.max(1);
    let mut bytes = vec![index as u8; len];
    let number = index.to_be_bytes();
    for (byte, number) in bytes.iter_mut().zip(number) {
        *byte = number;
    }
    bytes
}
