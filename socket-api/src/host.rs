//! A host: one stack with its links, its addresses and its sockets.

use core::fmt;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tapsock_driver::DropReason;
use tapsock_stack::counters::{Counter, Counters};
use tapsock_stack::iface::Interface;
use tapsock_stack::iface::dhcp::Lease;

#[cfg(feature = "control")]
use crate::control::Control;
use crate::description::Descriptors;
use crate::engine::event_loop::EventLoop;
use crate::engine::shutdown::ShutdownReport;
use crate::engine::stats::EngineStats;
use crate::engine::sync::lock;
use crate::engine::{Shard, clock};
use crate::local::Locals;
use crate::resolve::dns::{ResolvConf, Resolver};

mod builder;

pub use builder::Builder;

/// Who drives the stack while no thread blocks in one of its calls.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Driver {
    /// A thread of the host's own.
    #[default]
    Background,
    /// The program's event loop: it polls [`Host::as_fd`] and calls [`Host::turn`].
    External,
}

/// A host with its own addresses, ports and sockets. A process may have several.
///
/// Clones are handles of the same host, and so are its sockets in [`net`](crate::net). When the last of them is
/// dropped, the host is shut down as by [`shutdown`](Host::shutdown).
///
/// ```
/// use tapsock::Host;
/// use tapsock::net::{TcpListener, TcpStream};
/// use std::io::{Read, Write};
///
/// let host = Host::builder().setting("net.ipv4.tcp_sack", "0").start()?;
/// let listener = TcpListener::bind(&host, "127.0.0.1:0")?;
/// let mut client = TcpStream::connect(&host, listener.local_addr()?)?;
/// let (mut server, _) = listener.accept()?;
/// client.write_all(b"hello")?;
/// let mut bytes = [0; 5];
/// server.read_exact(&mut bytes)?;
/// assert_eq!(&bytes, b"hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    shard: Arc<Shard>,
    locals: Arc<Locals>,
    descriptors: Descriptors,
    resolv_conf: ResolvConf,
    resolver: Mutex<Resolver>,
    event_loop: Option<EventLoop>,
    /// Who answers other processes.
    #[cfg(feature = "control")]
    control: std::sync::OnceLock<Control>,
    background: Mutex<Option<JoinHandle<()>>>,
    shutdown_timeout: Duration,
}

impl Host {
    /// A host yet to be started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What to poll for `POLLIN` before [`turn`](Self::turn).
    ///
    /// # Errors
    /// Unsupported (EOPNOTSUPP) where the host has a thread of its own.
    pub fn as_fd(&self) -> io::Result<BorrowedFd<'_>> {
        Ok(self.event_loop()?.as_fd())
    }

    /// Does what there is to be done, without sleeping: takes frames in, runs timers, sends.
    ///
    /// # Errors
    /// Unsupported (EOPNOTSUPP) where the host has a thread of its own; otherwise what epoll says (ENOMEM).
    pub fn turn(&self) -> io::Result<()> {
        self.event_loop()?.turn(&self.inner.shard)
    }

    /// Closes all sockets, waits up to the shutdown timeout until the peers have acknowledged what was sent to them,
    /// resets the connections that are left, and reports how many those were.
    ///
    /// Calls that block in other threads end with EBADF. A second call finds nothing to do.
    pub fn shutdown(&self) -> ShutdownReport {
        self.inner.shut_down()
    }

    /// What the stack and its links have counted, under nstat's names.
    pub fn counters(&self) -> Counters {
        let mut counters = self.shard().turn().state.sockets.stack().counters().clone();
        for reason in DropReason::ALL {
            counters[counter_of(reason)] +=
                self.shard().link_drops().map(|drops| drops.of(reason)).sum::<u64>();
        }
        #[cfg(feature = "control")]
        if let Some(control) = self.inner.control.get() {
            counters[Counter::TapsockControlRefused] += control.refused();
        }
        counters
    }

    /// The interfaces: `lo`, and those of links, in the order in which the builder was given them.
    pub fn interfaces(&self) -> Vec<Interface> {
        self.shard().turn().state.sockets.stack().interfaces().iter().cloned().collect()
    }

    /// What a link's interface has been given by DHCP, where it asks ([`Builder::dhcp`]): of several the first that has.
    pub fn lease(&self) -> Option<Lease> {
        self.shard().lease()
    }

    /// Waits until a link's interface has been given an address by DHCP, for `limit` at most.
    ///
    /// # Errors
    /// TimedOut (ETIMEDOUT) where no server has given one, NetworkDown (ENETDOWN) where all links are gone.
    pub fn wait_for_lease(&self, limit: Duration) -> io::Result<Lease> {
        Ok(self.shard().wait_for_lease(limit)?)
    }

    /// How names are looked up, as the builder was told.
    pub(crate) fn resolv_conf(&self) -> &ResolvConf {
        &self.inner.resolv_conf
    }

    pub(crate) fn resolver(&self) -> &Mutex<Resolver> {
        &self.inner.resolver
    }

    /// System calls and wake-ups of the engine.
    pub fn engine_stats(&self) -> EngineStats {
        EngineStats { local_parks: self.inner.locals.parks.read(), ..self.shard().stats().read() }
    }

    /// Removes a path name of PF_LOCAL from the host's name space; its socket goes on. See unlink(2).
    ///
    /// # Errors
    /// NotFound (ENOENT) where nothing has that name, ENOTDIR where a part of the path is a socket.
    pub fn unlink(&self, path: impl AsRef<Path>) -> io::Result<()> {
        Ok(self.inner.locals.unlink(path.as_ref().as_os_str().as_bytes())?)
    }

    pub(crate) fn shard(&self) -> &Shard {
        &self.inner.shard
    }

    pub(crate) fn shared_shard(&self) -> &Arc<Shard> {
        &self.inner.shard
    }

    pub(crate) fn descriptors(&self) -> &Descriptors {
        &self.inner.descriptors
    }

    /// Whether both are handles of one host.
    pub(crate) fn is(&self, other: &Host) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    pub(crate) fn locals(&self) -> &Arc<Locals> {
        &self.inner.locals
    }

    fn event_loop(&self) -> io::Result<&EventLoop> {
        self.inner.event_loop.as_ref().ok_or_else(|| rustix::io::Errno::OPNOTSUPP.into())
    }
}

/// A handle that does not keep the host.
#[cfg(feature = "control")]
#[derive(Clone)]
pub(crate) struct WeakHost(std::sync::Weak<Inner>);

#[cfg(feature = "control")]
impl WeakHost {
    pub(crate) fn upgrade(&self) -> Option<Host> {
        self.0.upgrade().map(|inner| Host { inner })
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let driver = if self.inner.event_loop.is_some() { Driver::External } else { Driver::Background };
        f.debug_struct("Host").field("driver", &driver).finish_non_exhaustive()
    }
}

impl Inner {
    fn shut_down(&self) -> ShutdownReport {
        drop(self.descriptors.take_all());
        self.locals.close_all();
        let report = self.shard.shut_down(clock::now() + self.shutdown_timeout);
        // What that thread wakes may own the last handle, and drop it there: then it ends when it is back in its loop.
        let background = lock(&self.background).take();
        if let Some(background) = background.filter(|thread| thread.thread().id() != thread::current().id()) {
            // It panics only by a fault of ours, which it has reported by then.
            let _ = background.join();
        }
        report
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// Under which name a link's drops are shown.
fn counter_of(reason: DropReason) -> Counter {
    match reason {
        DropReason::InTruncated => Counter::TapsockLinkInTruncated,
        DropReason::InTooShort => Counter::TapsockLinkInTooShort,
        DropReason::InRefused => Counter::TapsockLinkInRefused,
        DropReason::InMisdescribed => Counter::TapsockLinkInMisdescribed,
        DropReason::OutDown => Counter::TapsockLinkOutDown,
        DropReason::OutRefused => Counter::TapsockLinkOutRefused,
        DropReason::OutUnfinished => Counter::TapsockLinkOutUnfinished,
        DropReason::OutFull => Counter::TapsockLinkOutFull,
    }
}
