//! Joining a connection with standard input and output.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tapsock::net::{TcpStream, UdpSocket};

use crate::splice;

/// Bytes of standard input that are taken at once: the largest datagram that comes of them.
const PIECE: usize = 16 * 1024;
/// Larger than any datagram.
const BUFFER: usize = 65_536;

/// Standard input, for one connection after the other. Its thread sits in `read`, and outlives connections.
#[derive(Debug)]
pub struct Input {
    now: Mutex<Now>,
    changed: Condvar,
}

#[derive(Debug)]
struct Now {
    stream: Option<TcpStream>,
    ended: bool,
}

impl Input {
    /// Starts to read.
    pub fn start() -> Arc<Input> {
        let now = Mutex::new(Now { stream: None, ended: false });
        let input = Arc::new(Input { now, changed: Condvar::new() });
        let feeding = input.clone();
        thread::spawn(move || feeding.feed());
        input
    }

    /// Joins `stream` with standard input and output until its peer has ended, or nothing comes for `patience`.
    pub fn exchange(&self, stream: TcpStream, patience: Option<Duration>) -> io::Result<()> {
        stream.set_read_timeout(patience)?;
        let mut downstream = stream.try_clone()?;
        self.set(Some(stream))?;
        let copied = splice::copy(&mut downstream, &mut io::stdout());
        self.set(None)?;
        match copied {
            // Nothing more came in time: that is what was asked for.
            Err(error) if error.kind() == ErrorKind::WouldBlock && patience.is_some() => Ok(()),
            copied => copied.map(drop),
        }
    }

    fn set(&self, stream: Option<TcpStream>) -> io::Result<()> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = stream.as_ref().filter(|_| now.ended) {
            stream.shutdown(Shutdown::Write)?;
        }
        now.stream = stream;
        self.changed.notify_one();
        Ok(())
    }

    fn feed(&self) {
        let mut piece = vec![0; PIECE];
        while let Ok(len @ 1..) = io::stdin().read(&mut piece) {
            let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.changed.wait_while(now, |now| now.stream.is_none());
            let stream =
                waited.unwrap_or_else(PoisonError::into_inner).stream.as_ref().map(TcpStream::try_clone);
            // Where it can't be written, the other direction says why.
            let _ = stream.map(|stream| stream.and_then(|mut stream| stream.write_all(&piece[..len])));
        }
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.ended = true;
        let _ = now.stream.as_ref().map(|stream| stream.shutdown(Shutdown::Write));
    }
}

/// Sends each piece of standard input as a datagram, and prints what comes, for as long as something comes.
pub fn exchange_datagrams(socket: UdpSocket, patience: Option<Duration>) -> io::Result<()> {
    socket.set_read_timeout(patience)?;
    let sender = socket.try_clone()?;
    thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(len @ 1..) = io::stdin().read(&mut piece) {
            if sender.send(&piece[..len]).is_err() {
                return;
            }
        }
    });
    let mut bytes = vec![0; BUFFER];
    let mut out = io::stdout();
    loop {
        match socket.recv(&mut bytes) {
            Ok(len) => {
                out.write_all(&bytes[..len])?;
                out.flush()?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
