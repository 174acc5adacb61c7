//! Joining a connection with standard input and output.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::net::UdpSocket;

use super::text::{Before, Lines};
use crate::network::Duplex;

/// Bytes of standard input that are taken at once: the largest datagram that comes of them.
const PIECE: usize = 16 * 1024;
/// Larger than any datagram.
const BUFFER: usize = 65_536;

/// Who made the connection.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Side {
    /// We did: it is over when both directions are.
    Client,
    /// The peer did: it is over when the peer's direction is.
    Server,
}

/// How a connection is treated.
#[derive(Copy, Clone, Debug)]
pub struct Manner {
    /// Whose it is.
    pub side: Side,
    /// How long nothing may come and nothing may go.
    pub patience: Option<Duration>,
    /// Whether our direction ends with standard input.
    pub half_close: bool,
    /// How long after standard input the whole connection ends.
    pub quit: Option<Duration>,
    /// Whether standard input is left alone.
    pub deaf: bool,
    /// What becomes of lines.
    pub lines: Lines,
    /// How many pieces may come.
    pub limit: Option<u64>,
}

/// Standard input, for one connection after the other. Its thread sits in `read`, and outlives connections.
#[derive(Debug)]
pub struct Input<S> {
    manner: Manner,
    now: Mutex<Now<S>>,
    changed: Condvar,
}

#[derive(Debug)]
struct Now<S> {
    stream: Option<S>,
    /// Whether standard input has ended.
    ended: bool,
    /// Whether the connection takes no more.
    broken: bool,
    /// When something last came or went.
    active: Instant,
}

impl<S: Duplex> Input<S> {
    /// Starts to read.
    pub fn start(manner: Manner) -> Arc<Self> {
        let now = Now { stream: None, ended: manner.deaf, broken: false, active: Instant::now() };
        let input = Arc::new(Input { manner, now: Mutex::new(now), changed: Condvar::new() });
        if !manner.deaf {
            let feeding = input.clone();
            thread::spawn(move || feeding.feed());
        }
        input
    }

    /// Joins `stream` with standard input and output, until it is over as [`Manner`] says.
    ///
    /// # Errors
    /// What reading the connection says (ECONNRESET), or writing standard output.
    pub fn exchange(&self, stream: S) -> io::Result<()> {
        let mut downstream = stream.another()?;
        stream.write_patience(self.manner.patience)?;
        self.begin(stream)?;
        let ended = self.receive(&mut downstream).map(|heard| {
            if heard == Heard::End && self.manner.side == Side::Client {
                self.wait_for_input();
            }
        });
        self.lock().stream = None;
        self.changed.notify_all();
        ended
    }

    fn begin(&self, stream: S) -> io::Result<()> {
        let mut now = self.lock();
        if now.ended && self.manner.half_close {
            stream.end(Shutdown::Write)?;
        }
        (now.broken, now.active) = (false, Instant::now());
        now.stream = Some(stream);
        self.changed.notify_all();
        Ok(())
    }

    /// Writes what comes to standard output.
    fn receive(&self, stream: &mut S) -> io::Result<Heard> {
        // Where standard input ends meanwhile, its thread sees to this.
        let quit = self.manner.quit.filter(|_| self.lock().ended).map(|quit| Instant::now() + quit);
        let (mut buffer, mut out) = (vec![0; BUFFER], io::stdout());
        let mut left_to_come = self.manner.limit;
        loop {
            let left = [quit, self.idle_end()].into_iter().flatten().min().map(left_until);
            if left == Some(Duration::ZERO) {
                return Ok(Heard::Enough);
            }
            stream.read_patience(left)?;
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(Heard::End),
                Ok(len) => {
                    self.manner.lines.each(&buffer[..len], |line| {
                        out.write_all(line)?;
                        out.flush()
                    })?;
                    self.lock().active = Instant::now();
                    if is_last(&mut left_to_come) {
                        return Ok(Heard::Enough);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The peer has ended its direction: ours goes on until standard input ends, or nobody takes it.
    fn wait_for_input(&self) {
        let mut now = self.lock();
        while !now.ended && !now.broken {
            let left = self.manner.patience.map(|patience| left_until(now.active + patience));
            now = match left {
                Some(Duration::ZERO) => return,
                Some(left) => self.changed.wait_timeout(now, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.changed.wait(now).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn feed(&self) {
        let (mut piece, mut before) = (vec![0; PIECE], Before::default());
        while let Ok(len @ 1..) = io::stdin().read(&mut piece) {
            let lines = self.manner.lines;
            let bytes = lines.translate(&piece[..len], &mut before);
            let waited = self.changed.wait_while(self.lock(), |now| now.stream.is_none());
            let stream = waited.unwrap_or_else(PoisonError::into_inner).stream.as_ref().map(S::another);
            let written = stream.map(|stream| {
                let mut stream = stream?;
                lines.each(&bytes, |line| stream.write_all(line))
            });
            let mut now = self.lock();
            now.active = Instant::now();
            // Where it can't be written, the other direction says why, if it is still there.
            now.broken |= matches!(written, Some(Err(_)));
            self.changed.notify_all();
        }
        let mut now = self.lock();
        now.ended = true;
        self.changed.notify_all();
        let Some(Ok(stream)) = now.stream.as_ref().map(S::another) else { return };
        if self.manner.half_close {
            // It fails where the connection has ended.
            let _ = stream.end(Shutdown::Write);
        }
        if let Some(quit) = self.manner.quit {
            let over = self.changed.wait_timeout_while(now, quit, |now| now.stream.is_some());
            if over.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
                let _ = stream.end(Shutdown::Read);
            }
        }
    }

    /// When the connection has been idle for too long.
    fn idle_end(&self) -> Option<Instant> {
        self.manner.patience.map(|patience| self.lock().active + patience)
    }

    fn lock(&self) -> MutexGuard<'_, Now<S>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How receiving ended.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Heard {
    /// The peer has ended its direction.
    End,
    /// It was long enough.
    Enough,
}

/// Sends each piece of standard input as a datagram, and prints what comes, for as long as [`Manner`] says.
///
/// # Errors
/// ECONNREFUSED, and what else the socket says, or standard output.
pub fn exchange_datagrams(socket: UdpSocket, manner: Manner) -> io::Result<()> {
    let active = Arc::new(Mutex::new(Instant::now()));
    let (tell, told) = mpsc::channel();
    if !manner.deaf {
        let (sender, active, tell) = (socket.try_clone()?, active.clone(), tell.clone());
        thread::spawn(move || {
            let (mut piece, mut before) = (vec![0; PIECE], Before::default());
            while let Ok(len @ 1..) = io::stdin().read(&mut piece) {
                let bytes = manner.lines.translate(&piece[..len], &mut before);
                if manner.lines.each(&bytes, |line| sender.send(line).map(drop)).is_err() {
                    return;
                }
                *active.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            if let Some(quit) = manner.quit {
                #[expect(clippy::disallowed_methods, reason = "-q asks for it")]
                thread::sleep(quit);
                let _ = tell.send(Ok(()));
            }
        });
    }
    // Nobody listens where it was long enough.
    thread::spawn(move || tell.send(receive_datagrams(&socket, manner, &active)));
    told.recv().unwrap_or(Ok(()))
}

fn receive_datagrams(socket: &UdpSocket, manner: Manner, active: &Mutex<Instant>) -> io::Result<()> {
    let mut left_to_come = manner.limit;
    let active = || active.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut bytes, mut out) = (vec![0; BUFFER], io::stdout());
    loop {
        let left = manner.patience.map(|patience| left_until(*active() + patience));
        if left == Some(Duration::ZERO) {
            return Ok(());
        }
        socket.set_read_timeout(left)?;
        match socket.recv(&mut bytes) {
            Ok(len) => {
                manner.lines.each(&bytes[..len], |line| {
                    out.write_all(line)?;
                    out.flush()
                })?;
                *active() = Instant::now();
                if is_last(&mut left_to_come) {
                    return Ok(());
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Counts a piece that has come.
fn is_last(left: &mut Option<u64>) -> bool {
    *left = left.map(|left| left.saturating_sub(1));
    *left == Some(0)
}

fn left_until(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}
