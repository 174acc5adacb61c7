//! Joining two connections: what comes from one goes to the other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::accepting::Accepting;
use crate::network::{Duplex, Listener, Stream};

pub use datagrams::{Senders, join_datagrams};

mod datagrams;

/// Connections that are joined at once; further ones are closed.
const MAX_CONNECTIONS: usize = 256;
/// Bytes that are copied in one go.
const TURN: usize = 64 * 1024;

/// Copies both ways until both have ended. An end of one is an end for the other; an error closes both.
pub fn streams(here: impl Duplex, there: impl Duplex) -> io::Result<()> {
    let (other_here, other_there) = (here.another()?, there.another()?);
    let forth =
        thread::Builder::new().name("splice".to_owned()).spawn(move || one_way(other_here, other_there))?;
    let back = one_way(there, here);
    back.and(forth.join().unwrap_or(Ok(())))
}

/// Two connections that threads of their own join.
#[derive(Debug)]
pub struct Joined {
    forth: mpsc::Receiver<()>,
}

impl Joined {
    /// Joins `here` with `there`, as [`streams`].
    ///
    /// # Errors
    /// Where no descriptor or no thread is to be had.
    pub fn start(here: impl Duplex, there: impl Duplex) -> io::Result<Joined> {
        let (other_here, other_there) = (here.another()?, there.another()?);
        let (tell, forth) = mpsc::channel();
        let spawn = |work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name("splice".to_owned()).spawn(work).map(drop)
        };
        spawn(Box::new(move || {
            // Whose connection it is hears of an error itself, and may have gone.
            let _ = one_way(other_here, other_there);
            let _ = tell.send(());
        }))?;
        spawn(Box::new(move || drop(one_way(there, here))))?;
        Ok(Joined { forth })
    }

    /// Waits until all that came from `here` has been written to `there`, for `limit` at most.
    pub fn wait_until_written(&self, limit: Duration) {
        let _ = self.forth.recv_timeout(limit);
    }
}

fn one_way(mut from: impl Duplex, mut to: impl Duplex) -> io::Result<()> {
    let copied = copy(&mut from, &mut to);
    // Where it fails, the connection has ended already.
    let _ = match copied {
        Ok(_) => to.end(Shutdown::Write),
        Err(_) => from.end(Shutdown::Both).and(to.end(Shutdown::Both)),
    };
    copied.map(drop)
}

/// Which side of a copy has failed.
#[derive(Debug)]
pub enum CopyError {
    /// The one that is read.
    Read(io::Error),
    /// The one that is written.
    Write(io::Error),
}

impl From<CopyError> for io::Error {
    fn from(error: CopyError) -> io::Error {
        let (CopyError::Read(error) | CopyError::Write(error)) = error;
        error
    }
}

/// Copies until `from` ends, and writes what comes at once. Returns how many bytes that were.
pub fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    Ok(copy_by_side(from, to)?)
}

/// As [`copy`]; the error tells which side it is of.
pub fn copy_by_side(from: &mut impl Read, to: &mut impl Write) -> Result<u64, CopyError> {
    let mut buffer = vec![0; TURN];
    let mut copied = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(len) => {
                to.write_all(&buffer[..len]).and_then(|()| to.flush()).map_err(CopyError::Write)?;
                copied += len as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(CopyError::Read(error)),
        }
    }
}

/// Joins each connection that comes to `listener` with one that `connect` makes, in threads of their own, until the
/// listener ends. Returns why it did.
pub fn each<L: Listener, S: Stream>(
    listener: L,
    connect: impl Fn() -> io::Result<S> + Send + Sync + 'static,
) -> io::Error {
    let connect = Arc::new(connect);
    let slots = Arc::new(());
    let mut accepting = Accepting::new(listener);
    loop {
        let stream = match accepting.next() {
            Ok(stream) => stream,
            Err(error) => return error,
        };
        if Arc::strong_count(&slots) > MAX_CONNECTIONS {
            continue;
        }
        let (connect, slot) = (connect.clone(), slots.clone());
        // Where it can't be made, or there is no thread for it, dropping the connection says so.
        let _ = thread::Builder::new().name("splice".to_owned()).spawn(move || {
            let _slot = slot;
            connect().and_then(|other| streams(stream, other))
        });
    }
}
