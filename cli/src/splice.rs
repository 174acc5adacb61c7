//! Joining two connections, or two UDP sockets: what comes from one goes to the other.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::network::{Datagrams, Listener, Stream};

/// Connections that are joined at once; further ones are closed.
const MAX_CONNECTIONS: usize = 256;
/// Bytes that are copied in one go.
const TURN: usize = 64 * 1024;

/// Copies both ways until both have ended. An end of one is an end for the other; an error closes both.
pub fn streams(here: impl Stream, there: impl Stream) -> io::Result<()> {
    let (other_here, other_there) = (here.another()?, there.another()?);
    let forth =
        thread::Builder::new().name("splice".to_owned()).spawn(move || one_way(other_here, other_there))?;
    let back = one_way(there, here);
    back.and(forth.join().unwrap_or(Ok(())))
}

fn one_way(mut from: impl Stream, mut to: impl Stream) -> io::Result<()> {
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

/// Joins each connection that comes to `listener` with one that `connect` makes, in threads of their own.
pub fn listen<L: Listener, S: Stream>(
    listener: L,
    connect: impl Fn() -> io::Result<S> + Send + Sync + 'static,
) -> io::Result<()> {
    let connect = Arc::new(connect);
    let work = move || {
        let slots = Arc::new(());
        loop {
            let stream = match listener.next() {
                Ok(stream) => stream,
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) =>
                {
                    continue;
                }
                Err(_) => return,
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
    };
    thread::Builder::new().name("splice".to_owned()).spawn(work).map(drop)
}

/// Joins two UDP sockets in threads of their own: what comes to `front` goes to `target` from `back`, and what comes
/// back there to whoever sent to `front` last.
pub fn datagrams<F: Datagrams + Sync, B: Datagrams + Sync>(
    front: F,
    back: B,
    target: SocketAddr,
) -> io::Result<()> {
    let client = Arc::new(Mutex::new(None));
    let (other_front, other_back) = (front.another()?, back.another()?);
    let clients = client.clone();
    let forth = move || {
        pump(&other_front, |bytes, from| {
            *clients.lock().unwrap_or_else(PoisonError::into_inner) = Some(from);
            other_back.send(bytes, target)
        });
    };
    let back = move || {
        pump(&back, |bytes, _| match *client.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(client) => front.send(bytes, client),
            None => Ok(()),
        });
    };
    thread::Builder::new().name("splice".to_owned()).spawn(forth)?;
    thread::Builder::new().name("splice".to_owned()).spawn(back).map(drop)
}

fn pump(from: &impl Datagrams, mut deliver: impl FnMut(&[u8], SocketAddr) -> io::Result<()>) {
    let mut buffer = vec![0; TURN];
    loop {
        match from.receive(&mut buffer) {
            // One that can't be sent is lost, as it would be in a network.
            Ok((len, sender)) => drop(deliver(&buffer[..len], sender)),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}
