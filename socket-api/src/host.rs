//! A host: one stack with its link, its addresses and its sockets.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

#[cfg(feature = "control")]
use tapsock_driver::pcapng::LateCapture;
use tapsock_driver::{DropReason, Link, LinkDrops};
use tapsock_sockets::{FD_LIMIT_DEFAULT, Permission, Sockets};
use tapsock_stack::config::Config;
use tapsock_stack::counters::{Counter, Counters};
use tapsock_stack::iface::dhcp::Lease;
use tapsock_stack::iface::{Interface, InterfaceId, IpCidr, Route};
use tapsock_stack::stack::Stack;
use tapsock_stack::wire::EthernetAddress;

use crate::bsd;
#[cfg(feature = "control")]
use crate::control::Control;
use crate::description::Descriptors;
use crate::engine::baton::Rest;
use crate::engine::event_loop::EventLoop;
use crate::engine::shard::Settings;
use crate::engine::shutdown::ShutdownReport;
use crate::engine::stats::EngineStats;
use crate::engine::sync::lock;
use crate::engine::{Shard, clock, driver};
use crate::local::Locals;
use crate::numbers::Numbers;
use crate::resolve::dns::{ResolvConf, Resolver};

/// How long the baton lies before the background thread takes it, unless set.
const GRACE: Duration = Duration::from_micros(500);
/// How long a caller looks at the link before it sleeps, unless set.
const SPIN: Duration = Duration::from_micros(50);
/// How long a host that is shut down waits for its peers, unless set.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// What the link loses; its halves are where frames go, and out of reach.
    link_drops: LinkDrops,
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

    /// What the stack and its link have counted, under nstat's names.
    pub fn counters(&self) -> Counters {
        let mut counters = self.shard().turn().state.sockets.stack().counters().clone();
        for reason in DropReason::ALL {
            counters[counter_of(reason)] += self.inner.link_drops.of(reason);
        }
        counters
    }

    /// The interfaces: `lo`, and the link's.
    pub fn interfaces(&self) -> Vec<Interface> {
        self.shard().turn().state.sockets.stack().interfaces().iter().cloned().collect()
    }

    /// What the link's interface has been given by DHCP, where it asks ([`Builder::dhcp`]).
    pub fn lease(&self) -> Option<Lease> {
        self.shard().lease()
    }

    /// Waits until the link's interface has been given an address by DHCP, for `limit` at most.
    ///
    /// # Errors
    /// TimedOut (ETIMEDOUT) where no server has given one, NetworkDown (ENETDOWN) where the link is gone.
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

    #[cfg(feature = "control")]
    pub(crate) fn link_drops(&self) -> &LinkDrops {
        &self.inner.link_drops
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

/// What a host is to be: made by [`Host::builder`], ended by [`start`](Builder::start).
///
/// ```
/// use tapsock::{Driver, Host};
///
/// let host = Host::builder().driver(Driver::External).seed(7).privileged().start()?;
/// host.turn()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a host runs when it is started"]
#[derive(Default)]
pub struct Builder {
    links: Vec<Box<dyn Link>>,
    hardware: Option<EthernetAddress>,
    addresses: Vec<IpCidr>,
    dhcp: bool,
    link_local: bool,
    routes: Vec<(IpCidr, Option<IpAddr>)>,
    name_servers: Vec<SocketAddr>,
    resolv_conf: String,
    #[cfg(feature = "control")]
    control: Option<std::path::PathBuf>,
    settings: Vec<(String, String)>,
    privileged: bool,
    driver: Driver,
    seed: Option<u64>,
    grace: Option<Duration>,
    spin: Option<Duration>,
    shutdown_timeout: Option<Duration>,
    descriptor_limit: Option<usize>,
    numbers: Option<Box<dyn Numbers>>,
}

impl Builder {
    /// The link, of which there is one. Without it, the host talks to itself.
    pub fn link(mut self, link: impl Link + 'static) -> Self {
        self.links.push(Box::new(link));
        self
    }

    /// The Ethernet address of the link's interface; unless set, a random one of those administered locally.
    pub fn hardware_address(mut self, hardware: EthernetAddress) -> Self {
        self.hardware = Some(hardware);
        self
    }

    /// An address of the link's interface, with the length of its network's prefix; there may be several. An
    /// Ethernet link has its link-local IPv6 address besides.
    pub fn address(mut self, address: IpCidr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Has the link's interface choose itself an IPv4 address of 169.254/16, which holds on the link alone, and keep one
    /// (RFC 3927). It is there when nobody else has it, after five to eight seconds.
    pub fn link_local(mut self) -> Self {
        self.link_local = true;
        self
    }

    /// Has the link's interface ask for an IPv4 address by DHCP, and keep it: [`Host::wait_for_lease`].
    pub fn dhcp(mut self) -> Self {
        self.dhcp = true;
        self
    }

    /// A network that is reached through `gateway`, or, where that is `None`, over the link itself.
    pub fn route(mut self, destination: IpCidr, gateway: impl Into<Option<IpAddr>>) -> Self {
        self.routes.push((destination, gateway.into()));
        self
    }

    /// Everything of `gateway`'s family that nothing else says how to reach is reached through it.
    pub fn gateway(self, gateway: IpAddr) -> Self {
        let any = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        self.route(IpCidr::new(any, 0), gateway)
    }

    /// A name server, asked for what the hosts file does not have; the first three are. Without any, those that
    /// [`resolv_conf`](Self::resolv_conf) names are asked; without those, the ones that DHCP and routers tell of.
    pub fn name_server(mut self, server: SocketAddr) -> Self {
        self.name_servers.push(server);
        self
    }

    /// How names are looked up, as the text of resolv.conf(5) says it.
    pub fn resolv_conf(mut self, text: &str) -> Self {
        self.resolv_conf = text.to_owned();
        self
    }

    /// Answers questions of this user's other processes at this path, such as `tapsock ss --control PATH`: see
    /// [`control`](crate::control), whose `default_path` is where they look. Feature `control`.
    #[cfg(feature = "control")]
    pub fn control(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.control = Some(path.into());
        self
    }

    /// A setting by Linux's sysctl name: `("net.ipv4.tcp_sack", "0")`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets sockets do what Linux keeps for the privileged: bind to reserved ports, be raw, and have buffers beyond the
    /// host's limits.
    pub fn privileged(mut self) -> Self {
        self.privileged = true;
        self
    }

    /// Who drives while no thread blocks.
    pub fn driver(mut self, driver: Driver) -> Self {
        self.driver = driver;
        self
    }

    /// What everything random follows from, so that a run can be repeated; unless set, the system's randomness.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// How long frames and timers may wait after a call that blocked has returned, before the background thread sees
    /// to them (500 µs). A caller that is back sooner costs no wake-up. Beside one that comes back again and again it
    /// grows to eight times as much.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// How long at most a call that blocks looks at the link before it sleeps, where that has proved worth while
    /// (50 µs); zero: never.
    pub fn spin(mut self, spin: Duration) -> Self {
        self.spin = Some(spin);
        self
    }

    /// How long [`Host::shutdown`] waits (2 s).
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = Some(timeout);
        self
    }

    /// How many socket ids there are at most (1,048,576); one more says EMFILE. They are below that number, as with
    /// RLIMIT_NOFILE.
    pub fn descriptor_limit(mut self, limit: usize) -> Self {
        self.descriptor_limit = Some(limit);
        self
    }

    /// Who gives out the numbers of socket ids; unless set, they are the lowest free ones from 0 on.
    pub fn numbers(mut self, numbers: impl Numbers + 'static) -> Self {
        self.numbers = Some(Box::new(numbers));
        self
    }

    /// Starts the host.
    ///
    /// # Errors
    /// InvalidInput (EINVAL) for a setting that does not exist or a value that it can't have, for an address or a
    /// route that the stack refuses, for one without a link, and for a second link; otherwise what making the descriptors and the
    /// thread says (EMFILE, ENFILE, ENOMEM, EAGAIN).
    //= RFC 6528 §4 MUST-1
    pub fn start(mut self) -> io::Result<Host> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?,
        };
        let mut stack = Stack::new(self.config()?, seed, clock::now());
        let link = self.links.pop();
        if !self.links.is_empty() {
            return Err(invalid("more than one link"));
        }
        #[cfg(feature = "control")]
        let captures = LateCapture::default();
        #[cfg(feature = "control")]
        let (control, link) = match self.control.take() {
            None => (None, link),
            Some(path) => {
                let listener = Control::bind(&path).map_err(|error| {
                    io::Error::new(error.kind(), format!("control socket {}: {error}", path.display()))
                })?;
                let link = link.map(|link| Box::new(captures.watch(link)) as Box<dyn Link>);
                (Some((path, listener)), link)
            }
        };
        let link_drops = link.as_ref().map(|link| link.drops()).unwrap_or_default();
        let interface = link.as_ref().map(|link| self.attach(&mut stack, link.as_ref(), seed)).transpose()?;
        if interface.is_none()
            && (self.dhcp || self.link_local || !(self.addresses.is_empty() && self.routes.is_empty()))
        {
            return Err(invalid("an address or a route, but no link"));
        }
        let rest = match self.driver {
            Driver::Background => Rest::Grace(self.grace.unwrap_or(GRACE)),
            Driver::External => Rest::EventLoop,
        };
        let interfaces: Vec<_> = stack.interfaces().iter().map(bsd::told).collect();
        let mut resolv_conf = ResolvConf::parse(&self.resolv_conf, &interfaces);
        if !self.name_servers.is_empty() {
            resolv_conf.servers.clone_from(&self.name_servers);
        }
        let settings = Settings { rest, spin: self.spin.unwrap_or(SPIN) };
        let permission = if self.privileged { Permission::Privileged } else { Permission::Ordinary };
        let locals = Locals::new(settings.spin, stack.config().somaxconn, permission);
        let sockets = Sockets::new(stack, permission);
        let shard = Arc::new(Shard::new(sockets, interface.zip(link), &settings)?);
        let (event_loop, background) = match self.driver {
            Driver::Background => (None, Some(spawn(&shard)?)),
            Driver::External => (Some(EventLoop::new(&shard)?), None),
        };
        let limit = self.descriptor_limit.unwrap_or(FD_LIMIT_DEFAULT);
        let inner = Inner {
            shard,
            locals,
            descriptors: Descriptors::new(limit, self.numbers.take()),
            link_drops,
            resolver: Mutex::new(Resolver::new(resolv_conf.clone(), mixed(!seed))),
            resolv_conf,
            event_loop,
            #[cfg(feature = "control")]
            control: std::sync::OnceLock::new(),
            background: Mutex::new(background),
            shutdown_timeout: self.shutdown_timeout.unwrap_or(SHUTDOWN_TIMEOUT),
        };
        let host = Host { inner: Arc::new(inner) };
        #[cfg(feature = "control")]
        if let Some((path, listener)) = control {
            let weak = WeakHost(Arc::downgrade(&host.inner));
            // Nobody else sets it.
            let _ = host.inner.control.set(Control::start(path, listener, weak, captures)?);
        }
        Ok(host)
    }

    fn config(&self) -> io::Result<Config> {
        let mut config = Config::default();
        for (name, value) in &self.settings {
            config.set(name, value).map_err(|error| invalid(format!("{name} = {value}: {error}")))?;
        }
        Ok(config)
    }

    fn attach(&self, stack: &mut Stack, link: &dyn Link, seed: u64) -> io::Result<InterfaceId> {
        let hardware = self.hardware.unwrap_or_else(|| local_hardware(seed));
        let id = stack
            .add_interface(link.name(), hardware, link.caps())
            .map_err(|error| invalid(format!("interface {}: {error}", link.name())))?;
        for address in &self.addresses {
            stack.add_address(id, *address).map_err(|error| invalid(format!("{address}: {error}")))?;
        }
        for (destination, gateway) in &self.routes {
            let route = Route { gateway: *gateway, ..Route::direct(*destination, id) };
            stack.add_route(route).map_err(|error| invalid(format!("{route}: {error}")))?;
        }
        if self.dhcp {
            let started = stack.start_dhcp(clock::now(), id, None);
            started.map_err(|error| invalid(format!("DHCP on {}: {error}", link.name())))?;
        }
        if self.link_local {
            let started = stack.start_link_local(id);
            started.map_err(|error| invalid(format!("a link-local address of {}: {error}", link.name())))?;
        }
        Ok(id)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("links", &self.links.iter().map(|link| link.name().to_owned()).collect::<Vec<_>>())
            .field("addresses", &self.addresses)
            .field("dhcp", &self.dhcp)
            .field("routes", &self.routes)
            .field("settings", &self.settings)
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

/// The thread that drives while nobody else does. It is born with all signals blocked, so that the program's handlers
/// run in the program's threads.
fn spawn(shard: &Arc<Shard>) -> io::Result<JoinHandle<()>> {
    let shard = shard.clone();
    let thread = thread::Builder::new().name("tapsock".to_owned());
    tapsock_driver::with_signals_blocked(|| thread.spawn(move || driver::background(&shard)))
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
    }
}

/// A unicast address that is administered locally.
fn local_hardware(seed: u64) -> EthernetAddress {
    let [_, a, b, c, d, e, ..] = mixed(seed).to_be_bytes();
    EthernetAddress([0x02, a, b, c, d, e])
}

/// The seed's own bits would make hosts with the seeds 1 and 2 near neighbours.
fn mixed(seed: u64) -> u64 {
    (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}
