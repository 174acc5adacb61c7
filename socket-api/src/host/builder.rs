//! What a host is to be.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

#[cfg(feature = "control")]
use tapsock_driver::pcapng::LateCapture;
use tapsock_driver::{Link, LinkDrops, RecvHalf, SendHalf};
use tapsock_sockets::{FD_LIMIT_DEFAULT, Permission, Sockets};
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, IpCidr, Route};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::LinkCaps;

#[cfg(feature = "control")]
use super::WeakHost;
use super::{Driver, Host, Inner};
use crate::bsd;
#[cfg(feature = "control")]
use crate::control::Control;
use crate::description::Descriptors;
use crate::engine::baton::Rest;
use crate::engine::event_loop::EventLoop;
use crate::engine::shard::Settings;
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
    links: Vec<Attachment>,
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
    /// A link. Without any, the host talks to itself. What is said of a link's interface is said of the link that was named
    /// last, or, before any, of the first.
    ///
    /// Of several links one that takes no frames holds up no other: what is beyond the 256 frames or the MiB that wait for it is dropped,
    /// and counted (`TapsockLinkOutFull`). With the settings `net.ipv4.ip_forward` and `net.ipv6.conf.all.forwarding` the
    /// host is a router between them.
    ///
    /// ```
    /// use tapsock::Host;
    /// use tapsock_driver::memory::{MemoryConfig, MemoryLink};
    ///
    /// let (left, _) = MemoryLink::pair(MemoryConfig::default())?;
    /// let (right, _) = MemoryLink::pair(MemoryConfig::default())?;
    /// let router = Host::builder()
    ///     .link(left)
    ///     .interface_name("left")
    ///     .address("10.0.1.1/24".parse().unwrap())
    ///     .link(right)
    ///     .interface_name("right")
    ///     .address("10.0.2.1/24".parse().unwrap())
    ///     .setting("net.ipv4.ip_forward", "1")
    ///     .start()?;
    /// let names: Vec<_> = router.interfaces().iter().map(|interface| interface.name().to_owned()).collect();
    /// assert_eq!(names, ["lo", "left", "right"]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn link(mut self, link: impl Link + 'static) -> Self {
        if self.links.last().is_none_or(|last| last.link.is_some()) {
            self.links.push(Attachment::default());
        }
        self.last().link = Some(Box::new(link));
        self
    }

    /// The name of the link's interface; unless set, it is the link's own. Two of one name can't be.
    pub fn interface_name(mut self, name: &str) -> Self {
        self.last().name = Some(name.to_owned());
        self
    }

    /// The Ethernet address of the link's interface; unless set, a random one of those administered locally.
    pub fn hardware_address(mut self, hardware: EthernetAddress) -> Self {
        self.last().hardware = Some(hardware);
        self
    }

    /// An address of the link's interface, with the length of its network's prefix; there may be several. An
    /// Ethernet link has its link-local IPv6 address besides.
    pub fn address(mut self, address: IpCidr) -> Self {
        self.last().addresses.push(address);
        self
    }

    /// Has the link's interface choose itself an IPv4 address of 169.254/16, which holds on the link alone, and keep one
    /// (RFC 3927). It is there when nobody else has it, after five to eight seconds.
    pub fn link_local(mut self) -> Self {
        self.last().link_local = true;
        self
    }

    /// Has the link's interface ask for an IPv4 address by DHCP, and keep it: [`Host::wait_for_lease`].
    pub fn dhcp(mut self) -> Self {
        self.last().dhcp = true;
        self
    }

    /// A network that is reached through `gateway`, or, where that is `None`, over the link itself.
    pub fn route(mut self, destination: IpCidr, gateway: impl Into<Option<IpAddr>>) -> Self {
        self.last().routes.push((destination, gateway.into()));
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
    /// route that the stack refuses, for one without a link, for a second link of one name, and for more than 63 links; otherwise
    /// what making the descriptors and the thread says (EMFILE, ENFILE, ENOMEM, EAGAIN).
    //= RFC 6528 §4 MUST-1
    pub fn start(mut self) -> io::Result<Host> {
        let seed = match self.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?,
        };
        let mut stack = Stack::new(self.config()?, seed, clock::now());
        stack.set_time_of_day(Instant::ZERO, clock::epoch());
        #[cfg(feature = "control")]
        let captures = LateCapture::default();
        #[cfg(feature = "control")]
        let control = self.control.take().map(listen).transpose()?;
        let mut links = Vec::new();
        for (place, mut attachment) in std::mem::take(&mut self.links).into_iter().enumerate() {
            let Some(link) = attachment.take_link()? else { continue };
            #[cfg(feature = "control")]
            let link = if control.is_some() { Box::new(captures.watch(link)) as Box<dyn Link> } else { link };
            let interface = attachment.attach(&mut stack, &*link, seed.wrapping_add(place as u64))?;
            links.push((interface, link));
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
        let shard = Arc::new(Shard::new(sockets, links, &settings)?);
        let (event_loop, background) = match self.driver {
            Driver::Background => (None, Some(spawn(&shard)?)),
            Driver::External => (Some(EventLoop::new(&shard)?), None),
        };
        let limit = self.descriptor_limit.unwrap_or(FD_LIMIT_DEFAULT);
        let inner = Inner {
            shard,
            locals,
            descriptors: Descriptors::new(limit, self.numbers.take()),
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

    fn last(&mut self) -> &mut Attachment {
        if self.links.is_empty() {
            self.links.push(Attachment::default());
        }
        let last = self.links.len() - 1;
        &mut self.links[last]
    }
}

/// A link, and what its interface is to have.
#[derive(Default)]
struct Attachment {
    link: Option<Box<dyn Link>>,
    name: Option<String>,
    hardware: Option<EthernetAddress>,
    addresses: Vec<IpCidr>,
    dhcp: bool,
    link_local: bool,
    routes: Vec<(IpCidr, Option<IpAddr>)>,
}

impl Attachment {
    /// The link, under the name that its interface is to have.
    fn take_link(&mut self) -> io::Result<Option<Box<dyn Link>>> {
        let mut named = |link| match self.name.take() {
            None => link,
            Some(name) => Box::new(Named { name, link }) as Box<dyn Link>,
        };
        match self.link.take() {
            Some(link) => Ok(Some(named(link))),
            None if self.dhcp
                || self.link_local
                || !(self.addresses.is_empty() && self.routes.is_empty()) =>
            {
                Err(invalid("an address or a route, but no link"))
            }
            None => Ok(None),
        }
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
            .field("links", &self.links)
            .field("settings", &self.settings)
            .field("driver", &self.driver)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link.as_ref().map(|link| link.name());
        f.debug_struct("Attachment")
            .field("link", &self.name.as_deref().or(link))
            .field("addresses", &self.addresses)
            .field("dhcp", &self.dhcp)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

/// A link under another name.
struct Named {
    name: String,
    link: Box<dyn Link>,
}

impl Link for Named {
    fn caps(&self) -> LinkCaps {
        self.link.caps()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn drops(&self) -> LinkDrops {
        self.link.drops()
    }

    fn split(self: Box<Self>) -> (Box<dyn RecvHalf>, Box<dyn SendHalf>) {
        self.link.split()
    }
}

/// The socket on which other processes ask.
#[cfg(feature = "control")]
fn listen(path: std::path::PathBuf) -> io::Result<(std::path::PathBuf, std::os::unix::net::UnixListener)> {
    let listener = Control::bind(&path).map_err(|error| {
        io::Error::new(error.kind(), format!("control socket {}: {error}", path.display()))
    })?;
    Ok((path, listener))
}

/// The thread that drives while nobody else does. It is born with all signals blocked, so that the program's handlers
/// run in the program's threads.
fn spawn(shard: &Arc<Shard>) -> io::Result<JoinHandle<()>> {
    let shard = shard.clone();
    let thread = thread::Builder::new().name("tapsock".to_owned());
    tapsock_driver::with_signals_blocked(|| thread.spawn(move || driver::background(&shard)))
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
