//! The end of the control socket that is the host's.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType};
use serde::Serialize;
use tapsock_driver::pcapng::{Capture, LateCapture};
use tapsock_driver::with_signals_blocked;

use super::place::answers;
use super::report::Request;
use super::{PATIENCE, REQUEST_MAX, Refusal, gather};
use crate::engine::sync::lock;
use crate::host::{Host, WeakHost};

/// The most connections that are answered at a time; others are told so, closed and counted (`TapsockControlRefused`).
pub(super) const CONNECTIONS_MAX: usize = 16;
/// How many wait to be taken.
const BACKLOG: i32 = 16;
/// How long an accept that failed, for want of a descriptor say, is not tried again.
const RESPITE: Duration = Duration::from_millis(100);

/// The socket, while the host runs.
pub(crate) struct Control {
    path: PathBuf,
    listener: Arc<UnixListener>,
    connections: Arc<Connections>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Connections {
    /// Those that are being answered.
    open: Mutex<Vec<Arc<UnixStream>>>,
    /// How many were not, for there were too many.
    refused: AtomicU64,
}

impl Control {
    /// A socket at `path` that only this user may connect to. One that a host left behind which is gone is taken away.
    ///
    /// Errors: EADDRINUSE where something is there, and those of bind(2).
    pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() || answers(path) {
                return Err(Errno::ADDRINUSE.into());
            }
            fs::remove_file(path)?;
        }
        let flags = SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The name gets the mode that the socket has when it is bound, so at no time may others connect.
        rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(UnixListener::from(socket))
    }

    /// Answers in threads of its own for as long as this is there.
    ///
    /// Errors: EAGAIN where there can be no thread.
    pub(crate) fn start(
        path: PathBuf,
        listener: UnixListener,
        host: WeakHost,
        captures: LateCapture,
    ) -> io::Result<Control> {
        let listener = Arc::new(listener);
        let connections = Arc::<Connections>::default();
        let (accepting, taken) = (listener.clone(), connections.clone());
        let accept = move || accept(&accepting, &taken, &host, &captures);
        let thread = thread::Builder::new().name("tapsock-control".to_owned());
        let thread = with_signals_blocked(|| thread.spawn(accept))?;
        Ok(Control { path, listener, connections, thread: Some(thread) })
    }

    /// How many who asked were told to come again.
    pub(crate) fn refused(&self) -> u64 {
        self.connections.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Nobody finds it any more, and those that it waits for find that it has ended.
        let _ = fs::remove_file(&self.path);
        let _ = rustix::net::shutdown(&*self.listener, Shutdown::Both);
        for stream in lock(&self.connections.open).drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        if let Some(thread) = self.thread.take().filter(|it| it.thread().id() != thread::current().id()) {
            // It panics only by a fault of ours, which it has reported by then.
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, connections: &Arc<Connections>, host: &WeakHost, captures: &LateCapture) {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => Arc::new(stream),
            // The socket was shut down.
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => return,
            Err(error) => {
                warn!("control socket: {error}");
                await_end(listener, RESPITE);
                continue;
            }
        };
        let mut open = lock(&connections.open);
        if open.len() >= CONNECTIONS_MAX {
            drop(open);
            connections.refused.fetch_add(1, Ordering::Relaxed);
            // It is short, and what was sent before is nothing: there is room for it.
            let error = format!("{CONNECTIONS_MAX} others are being answered: ask again when one has ended");
            let _ = write(&stream, &Refusal { error });
            continue;
        }
        open.push(stream.clone());
        drop(open);
        let (connections, host, captures, its) =
            (connections.clone(), host.clone(), captures.clone(), stream.clone());
        let work = move || {
            // Whoever asks may be gone by now.
            let _ = answer(&its, &host, &captures);
            lock(&connections.open).retain(|other| !Arc::ptr_eq(other, &its));
        };
        let thread = thread::Builder::new().name("tapsock-asked".to_owned());
        if let Err(error) = with_signals_blocked(|| thread.spawn(work)) {
            warn!("control socket: {error}");
        }
    }
}

/// Waits until the listener is shut down, for `limit` at most: nothing tells when what an accept lacked is there again.
fn await_end(listener: &UnixListener, limit: Duration) {
    let limit = Timespec::try_from(limit).ok();
    // A signal ends it early, which costs one attempt more.
    let _ = poll(&mut [PollFd::new(listener, PollFlags::empty())], limit.as_ref());
}

fn answer(stream: &UnixStream, host: &WeakHost, captures: &LateCapture) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = Vec::new();
    BufReader::new(stream.take(REQUEST_MAX)).read_until(b'\n', &mut line)?;
    let request = match serde_json::from_slice(&line) {
        Ok(request) => request,
        Err(error) => return write(stream, &Refusal { error: format!("no request: {error}") }),
    };
    if request == Request::Capture {
        return capture(stream, captures);
    }
    let Some(host) = host.upgrade() else { return Ok(()) };
    let bytes = match request {
        Request::Links => serde_json::to_vec(&gather::links(&host)),
        Request::Routes => serde_json::to_vec(&gather::routes(&host)),
        Request::RouteTo { destination, from } => {
            serde_json::to_vec(&gather::route_to(&host, destination, from))
        }
        Request::Neighbors => serde_json::to_vec(&gather::neighbors(&host)),
        Request::Sockets(which) => serde_json::to_vec(&gather::sockets(&host, which)),
        Request::Counters | Request::Capture => serde_json::to_vec(&gather::counters(&host)),
    }?;
    // It may be the last handle; whoever reads slowly keeps no host.
    drop::<Host>(host);
    write_all(stream, &bytes)
}

fn write(stream: &UnixStream, answer: &impl Serialize) -> io::Result<()> {
    write_all(stream, &serde_json::to_vec(answer)?)
}

fn write_all(mut stream: &UnixStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.write_all(b"\n")
}

/// Sends what passes over the link until the other end closes.
fn capture(mut stream: &UnixStream, captures: &LateCapture) -> io::Result<()> {
    if !captures.has_link() {
        let error = "this host has no link: what passes lo is not captured".to_owned();
        return write(stream, &Refusal { error });
    }
    // A copy of its own, so that the writer ends with the capture.
    let out = UnixStream::from(OwnedFd::from(stream.try_clone()?));
    let capture = Capture::new(out)?;
    captures.begin(&capture);
    stream.set_read_timeout(None)?;
    let ended = stream.read(&mut [0; 1]);
    captures.end(&capture);
    // It has told the other end already whatever there was.
    let _ = capture.finish();
    ended.map(drop)
}
