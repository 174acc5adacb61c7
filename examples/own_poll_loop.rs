//! The stack inside of somebody's own event loop: no thread is tapsock's.
//!
//! `Host::as_fd` is readable when the stack wants a turn: a frame has come, or a timer is due. `Host::turn` takes it,
//! without sleeping. The loop here has a second descriptor of its own, by which it is told to stop.
//!
//! ```sh
//! cargo run --example own_poll_loop
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use tapsock::net::{TcpListener, TcpStream};
use tapsock::{Driver, Host};
use tapsock_driver::memory::{MemoryConfig, MemoryLink};

/// Bytes that may wait to be sent back before no more are read.
const ROOM: usize = 64 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let (near, far) = MemoryLink::pair(MemoryConfig::default())?;
    let ours = Host::builder().link(near).address("10.7.0.2/24".parse()?).driver(Driver::External).start()?;
    let theirs = Host::builder().link(far).address("10.7.0.1/24".parse()?).start()?;

    let (stop, stopped) = UnixStream::pair()?;
    let clients = thread::spawn(move || {
        let echoed = talk(&theirs);
        drop(stop);
        echoed
    });

    let listener = TcpListener::bind(&ours, "10.7.0.2:7007")?;
    listener.set_nonblocking(true)?;
    let mut connections = HashMap::new();
    let mut turns = 0;
    loop {
        let stack = ours.as_fd()?;
        let mut fds = [PollFd::from_borrowed_fd(stack, PollFlags::IN), PollFd::new(&stopped, PollFlags::IN)];
        poll(&mut fds, None)?;
        if !fds[1].revents().is_empty() {
            break;
        }
        ours.turn()?;
        turns += 1;
        while let Some((stream, peer)) = would_block_is_none(listener.accept())? {
            stream.set_nonblocking(true)?;
            connections.insert(peer, Connection { stream, waiting: Vec::new(), ended: false });
        }
        connections.retain(|_, connection| connection.go_on().is_ok_and(|done| !done));
    }
    let echoed = clients.join().map_err(|_| "the client panicked")??;
    println!("{echoed} bytes came back over 20 connections; the loop went round {turns} times");
    Ok(())
}

/// A connection whose bytes go back where they came from.
struct Connection {
    stream: TcpStream,
    waiting: Vec<u8>,
    ended: bool,
}

impl Connection {
    /// Reads and writes as far as that goes without waiting; whether the connection is done.
    fn go_on(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 16 * 1024];
        while !self.ended && self.waiting.len() < ROOM {
            match would_block_is_none(self.stream.read(&mut bytes))? {
                Some(0) => self.ended = true,
                Some(len) => self.waiting.extend_from_slice(&bytes[..len]),
                None => break,
            }
        }
        while !self.waiting.is_empty() {
            match would_block_is_none(self.stream.write(&self.waiting))? {
                Some(len) => drop(self.waiting.drain(..len)),
                None => break,
            }
        }
        Ok(self.ended && self.waiting.is_empty())
    }
}

fn would_block_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Twenty clients at once, on a host that has a thread for its stack.
fn talk(host: &Host) -> io::Result<usize> {
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(TcpStream::connect(host, "10.7.0.2:7007")?);
    }
    let mut echoed = 0;
    for (index, stream) in streams.iter_mut().enumerate() {
        let message = vec![index as u8; 20_000];
        stream.write_all(&message)?;
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back)?;
        assert!(back == message, "connection {index} got something else back");
        echoed += back.len();
    }
    Ok(echoed)
}
