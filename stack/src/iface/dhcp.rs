//! The DHCP client of one interface (RFC 2131 §4.4): who asks, how long it waits, and what it has been given.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::VecDeque;

use super::IpCidr;
use crate::random::Random;
use crate::time::Instant;
use crate::wire::EthernetAddress;
use crate::wire::dhcpv4::{Reply, ReplyKind, Request, RequestKind};

/// How long the first answer is waited for, give or take [`JITTER`]; each further one twice as long.
//= RFC 2131 §4.1
const FIRST_WAIT: Duration = Duration::from_secs(4);
/// The longest that an answer is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(64);
const JITTER: Duration = Duration::from_secs(1);
/// How often a server is asked for what it has offered, before all are asked again.
const MAX_REQUESTS: u32 = 4;
/// How long servers are left alone after an address proved to be another's.
//= RFC 2131 §3.1
const AFTER_DECLINE: Duration = Duration::from_secs(10);
/// The least time between two questions for more time.
//= RFC 2131 §4.4.5
const LEAST_RENEWAL: Duration = Duration::from_secs(60);
/// How often the network is asked whether somebody has the address already, and how long each time. Who shares a link
/// answers within a millisecond; RFC 5227 waits up to six seconds, for links of its day.
const PROBES: u8 = 2;
const PROBE_WAIT: Duration = Duration::from_millis(100);

/// What an interface has been given, and until when.
///
/// ```
/// use tapsock_stack::config::Config;
/// use tapsock_stack::stack::Stack;
/// use tapsock_stack::time::Instant;
/// use tapsock_stack::wire::EthernetAddress;
/// use tapsock_stack::wire::offload::{LinkCaps, Medium};
///
/// let mut stack = Stack::new(Config::default(), 1, Instant::ZERO);
/// let hardware = EthernetAddress([2, 0, 0, 0, 0, 1]);
/// let tap = stack.add_interface("tap0", hardware, LinkCaps::plain(Medium::Ethernet, 1500)).unwrap();
/// stack.start_dhcp(Instant::ZERO, tap, None).unwrap();
/// assert!(stack.lease(tap).is_none());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The address, and the length of its network's prefix.
    pub address: IpCidr,
    /// The server that gave it.
    pub server: Ipv4Addr,
    /// Routes, as networks and their routers; a router of all zeros says that the network is on the link.
    pub routes: Vec<(IpCidr, Ipv4Addr)>,
    /// Name servers, the best first.
    pub name_servers: Vec<Ipv4Addr>,
    /// The domain of names without one.
    pub domain: Option<String>,
    /// Largest packet of the network, in bytes.
    pub mtu: Option<u16>,
    /// When the server is asked for more time, when any server is, and when the lease ends; `None`: never.
    pub times: Option<LeaseTimes>,
}

/// The times of a lease that ends.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::iface::dhcp::LeaseTimes;
/// use tapsock_stack::time::Instant;
///
/// let times = LeaseTimes::new(Instant::ZERO, Duration::from_secs(800), None, None);
/// assert_eq!(times.renewal, Instant::ZERO + Duration::from_secs(400));
/// assert_eq!(times.rebinding, Instant::ZERO + Duration::from_secs(700));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct LeaseTimes {
    /// The server that gave it is asked for more (T1).
    pub renewal: Instant,
    /// Any server is asked (T2).
    pub rebinding: Instant,
    /// The address is gone.
    pub end: Instant,
}

impl LeaseTimes {
    /// The times of a lease of `lease`, asked for at `asked`. Without, or with senseless, times of the server's own, T1
    /// is half of it, and T2 seven eighths.
    //= RFC 2131 §4.4.5
    pub fn new(
        asked: Instant,
        lease: Duration,
        renewal: Option<Duration>,
        rebinding: Option<Duration>,
    ) -> LeaseTimes {
        let (t1, t2) = match (renewal.unwrap_or(lease / 2), rebinding.unwrap_or(lease * 7 / 8)) {
            //= RFC 2131 §4.4.5 MUST-1
            //= RFC 2131 §4.4.5 MUST-2
            (t1, t2) if t1 < t2 && t2 < lease => (t1, t2),
            _ => (lease / 2, lease * 7 / 8),
        };
        LeaseTimes { renewal: asked + t1, rebinding: asked + t2, end: asked + lease }
    }
}

impl Lease {
    fn new(reply: &Reply, asked: Instant) -> Lease {
        let prefix_len = reply.prefix_len.unwrap_or_else(|| prefix_len_of_class(reply.address));
        let any = IpCidr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        //= RFC 3442
        let routes = if reply.routes.is_empty() {
            reply.routers.first().map(|router| (any, *router)).into_iter().collect()
        } else {
            let cidr = |(network, prefix_len, router): &(Ipv4Addr, u8, Ipv4Addr)| {
                (IpCidr::new((*network).into(), *prefix_len), *router)
            };
            reply.routes.iter().map(cidr).collect()
        };
        Lease {
            address: IpCidr::new(reply.address.into(), prefix_len),
            server: reply.server,
            routes,
            name_servers: reply.name_servers.clone(),
            domain: reply.domain.clone(),
            mtu: reply.mtu,
            times: reply.lease.map(|lease| LeaseTimes::new(asked, lease, reply.renewal, reply.rebinding)),
        }
    }

    fn ip(&self) -> Ipv4Addr {
        match self.address.address {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// Whether the interface is set up the same by both.
    fn configures_as(&self, other: &Lease) -> bool {
        (self.address, &self.routes, self.mtu) == (other.address, &other.routes, other.mtu)
    }
}

/// The mask of networks before there were masks.
fn prefix_len_of_class(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..128 => 8,
        128..192 => 16,
        _ => 24,
    }
}

/// What the owner of a client is to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum DhcpAction {
    /// Send to all stations, from no address.
    Broadcast(Vec<u8>),
    /// Send from an address that was given to the server that gave it.
    Send { from: Ipv4Addr, to: Ipv4Addr, message: Vec<u8> },
    /// Ask by ARP whether somebody has the address.
    Probe(Ipv4Addr),
    /// Set the interface up.
    Configure(Lease),
    /// Take away what [`Configure`](DhcpAction::Configure) set up.
    Withdraw,
}

/// What a client has come to.
#[derive(Debug)]
enum State {
    /// All servers were asked, for the `tries`th time.
    Selecting { tries: u32 },
    /// One was asked for what it has offered.
    Requesting { tries: u32, offer: Reply },
    /// The network is asked whether somebody has the address already.
    Probing { left: u8, lease: Lease },
    /// The address is ours.
    Bound(Lease),
    /// The server, and from the time of rebinding on any, is asked for more.
    Renewing(Lease),
    /// Nobody is asked for a while.
    Resting,
}

/// The client of an interface.
#[derive(Debug)]
pub(crate) struct DhcpClient {
    hardware: EthernetAddress,
    host_name: Option<String>,
    state: State,
    transaction: u32,
    /// When the servers were asked first.
    began: Instant,
    /// How long they had been asked when the last question to all went out, in seconds: a request says the same.
    asking: u16,
    /// When the last request went out, from which a lease counts.
    asked: Instant,
    /// When there is something to be done.
    due: Option<Instant>,
    actions: VecDeque<DhcpAction>,
}

impl DhcpClient {
    /// A client that asks at once.
    pub(crate) fn new(
        now: Instant,
        hardware: EthernetAddress,
        host_name: Option<String>,
        random: &mut Random,
    ) -> Self {
        let mut client = DhcpClient {
            hardware,
            host_name,
            state: State::Resting,
            transaction: 0,
            began: now,
            asking: 0,
            asked: now,
            due: None,
            actions: VecDeque::new(),
        };
        client.begin(now, random);
        client
    }

    /// What it has been given.
    pub(crate) fn lease(&self) -> Option<&Lease> {
        match &self.state {
            State::Bound(lease) | State::Renewing(lease) => Some(lease),
            _ => None,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    pub(crate) fn poll_action(&mut self) -> Option<DhcpAction> {
        self.actions.pop_front()
    }

    /// Does what is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant, random: &mut Random) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        match core::mem::replace(&mut self.state, State::Resting) {
            State::Selecting { tries } => self.discover(now, tries + 1, random),
            State::Requesting { tries, offer } if tries < MAX_REQUESTS => {
                self.request(now, offer, tries + 1, random);
            }
            State::Requesting { .. } | State::Resting => self.begin(now, random),
            State::Probing { left: 0, lease } => self.bind(now, lease),
            State::Probing { left, lease } => self.probe(now, lease, left),
            State::Bound(lease) => self.renew(now, lease, random),
            State::Renewing(lease) => self.renew_again(now, lease, random),
        }
    }

    /// Whether a server's message answers this client.
    pub(crate) fn is_told_by(&self, reply: &Reply) -> bool {
        (reply.transaction, reply.hardware) == (self.transaction, self.hardware)
    }

    /// Takes a server's message; whether it was waited for.
    pub(crate) fn on_reply(&mut self, now: Instant, reply: Reply, random: &mut Random) -> bool {
        if !self.is_told_by(&reply) {
            return false;
        }
        match (&self.state, reply.kind) {
            (State::Selecting { .. }, ReplyKind::Offer) => self.request(now, reply, 1, random),
            (State::Requesting { offer, .. }, ReplyKind::Ack) if offer.server == reply.server => {
                let lease = Lease::new(&reply, self.asked);
                self.probe(now, lease, PROBES);
            }
            (State::Requesting { offer, .. }, ReplyKind::Nak) if offer.server == reply.server => {
                self.begin(now, random);
            }
            (State::Renewing(held), ReplyKind::Ack) => {
                let (held, lease) = (held.clone(), Lease::new(&reply, self.asked));
                self.bind_in_place_of(now, held, lease);
            }
            (State::Renewing(_), ReplyKind::Nak) => self.lose(now, random),
            _ => return false,
        }
        true
    }

    /// Somebody uses `address`, as an ARP packet from `hardware` tells.
    //= RFC 2131 §4.4.1
    //= RFC 5227 §2.1.1
    //= RFC 2131 §3.1 MUST-4
    //= RFC 2131 §4.4.1 MUST-3
    //= RFC 2131 §4.4.1 MUST-10
    //= RFC 5227 §1 MUST-1
    //= RFC 5227 §2.1.1 MUST-4
    pub(crate) fn on_arp(&mut self, now: Instant, address: Ipv4Addr, hardware: EthernetAddress) {
        let State::Probing { lease, .. } = &self.state else { return };
        if lease.ip() != address || hardware == self.hardware {
            return;
        }
        let server = lease.server;
        self.decline(now, address, server);
    }

    /// Somebody insists on the address that we have: the server is told, and another one asked for after a while.
    //= RFC 5227 §2.4
    pub(crate) fn on_conflict(&mut self, now: Instant, address: Ipv4Addr) {
        let Some(lease) = self.lease().filter(|lease| lease.ip() == address) else { return };
        let server = lease.server;
        self.actions.push_back(DhcpAction::Withdraw);
        self.decline(now, address, server);
    }

    fn decline(&mut self, now: Instant, address: Ipv4Addr, server: Ipv4Addr) {
        let (wanted, server) = (Some(address), Some(server));
        let decline = Request { wanted, server, seconds: 0, ..self.message(now, RequestKind::Decline) };
        self.actions.push_back(DhcpAction::Broadcast(decline.to_bytes()));
        self.state = State::Resting;
        self.due = Some(now + AFTER_DECLINE);
    }

    /// Gives back what was given, and ends.
    pub(crate) fn release(&mut self, now: Instant, random: &mut Random) {
        if self.give_back(now, random) {
            self.actions.push_back(DhcpAction::Withdraw);
        }
    }

    /// Tells the server that what was given is free, and asks no more. Returns whether anything was given.
    //= RFC 2131 §4.4.6
    //= RFC 2131 §3.1 MUST-5
    //= RFC 2131 §4.4.1 MUST-4
    //= RFC 2131 §4.4.1 MUST-8
    pub(crate) fn give_back(&mut self, now: Instant, random: &mut Random) -> bool {
        let lease = self.lease().cloned();
        if let Some(lease) = &lease {
            self.transaction = random.next_u32();
            let message = Request {
                client: lease.ip(),
                server: Some(lease.server),
                seconds: 0,
                ..self.message(now, RequestKind::Release)
            };
            let (from, to) = (lease.ip(), lease.server);
            self.actions.push_back(DhcpAction::Send { from, to, message: message.to_bytes() });
        }
        self.state = State::Resting;
        self.due = None;
        lease.is_some()
    }

    /// Asks nobody any more; what was given stays.
    pub(crate) fn rest(&mut self) {
        self.due = None;
    }

    /// Asks all servers, as if for the first time.
    //= RFC 2131 §4.1 MUST-11
    fn begin(&mut self, now: Instant, random: &mut Random) {
        self.transaction = random.next_u32();
        self.began = now;
        self.discover(now, 1, random);
    }

    //= RFC 2131 §4.4.1 MUST-7
    fn discover(&mut self, now: Instant, tries: u32, random: &mut Random) {
        let discover = self.message(now, RequestKind::Discover);
        self.asking = discover.seconds;
        self.actions.push_back(DhcpAction::Broadcast(discover.to_bytes()));
        self.state = State::Selecting { tries };
        self.due = Some(now + wait(tries, random));
    }

    //= RFC 2131 §3.1 MUST-1
    //= RFC 2131 §3.1 MUST-2
    //= RFC 2131 §3.1 MUST-3
    //= RFC 2131 §4.3.2 MUST-1
    //= RFC 2131 §4.4.1 MUST-3
    //= RFC 2131 §4.4.1 MUST-8
    fn request(&mut self, now: Instant, offer: Reply, tries: u32, random: &mut Random) {
        let (wanted, server) = (Some(offer.address), Some(offer.server));
        let seconds = self.asking;
        let request = Request { wanted, server, seconds, ..self.message(now, RequestKind::Request) };
        self.actions.push_back(DhcpAction::Broadcast(request.to_bytes()));
        self.asked = now;
        self.state = State::Requesting { tries, offer };
        self.due = Some(now + wait(tries, random));
    }

    fn probe(&mut self, now: Instant, lease: Lease, left: u8) {
        self.actions.push_back(DhcpAction::Probe(lease.ip()));
        self.state = State::Probing { left: left - 1, lease };
        self.due = Some(now + PROBE_WAIT);
    }

    fn bind(&mut self, now: Instant, lease: Lease) {
        self.actions.push_back(DhcpAction::Configure(lease.clone()));
        self.hold(now, lease);
    }

    /// The lease of an address that we have, or, where a server was of another mind, of another.
    //= RFC 2131 §4.4.5 MUST-6
    fn bind_in_place_of(&mut self, now: Instant, held: Lease, lease: Lease) {
        if held.configures_as(&lease) {
            return self.hold(now, lease);
        }
        self.actions.push_back(DhcpAction::Withdraw);
        self.bind(now, lease);
    }

    fn hold(&mut self, now: Instant, lease: Lease) {
        self.due = lease.times.map(|times| times.renewal.max(now));
        self.state = State::Bound(lease);
    }

    //= RFC 2131 §4.4.5
    fn renew(&mut self, now: Instant, lease: Lease, random: &mut Random) {
        self.transaction = random.next_u32();
        self.began = now;
        self.renew_again(now, lease, random);
    }

    /// Asks for more time: the server, or from the time of rebinding on all; at the end of the lease the address is gone.
    //= RFC 2131 §4.1 MUST-1
    //= RFC 2131 §4.3.2 MUST-3
    //= RFC 2131 §4.3.2 MUST-4
    //= RFC 2131 §4.4.1 MUST-4
    //= RFC 2131 §4.4.1 MUST-7
    //= RFC 2131 §4.4.5 MUST-3
    //= RFC 2131 §4.4.5 MUST-4
    fn renew_again(&mut self, now: Instant, lease: Lease, random: &mut Random) {
        // What has no end is not asked for.
        let Some(times) = lease.times else { return self.hold(now, lease) };
        if now >= times.end {
            self.state = State::Renewing(lease);
            return self.lose(now, random);
        }
        let request = Request { client: lease.ip(), ..self.message(now, RequestKind::Request) };
        let (from, message) = (lease.ip(), request.to_bytes());
        let (to, until) = if now < times.rebinding {
            (lease.server, times.rebinding)
        } else {
            (Ipv4Addr::BROADCAST, times.end)
        };
        self.actions.push_back(DhcpAction::Send { from, to, message });
        self.asked = now;
        self.due = Some((now + (until.saturating_since(now) / 2).max(LEAST_RENEWAL)).min(until));
        self.state = State::Renewing(lease);
    }

    /// The address is gone: all servers are asked for another.
    //= RFC 2131 §4.4.5 MUST-5
    fn lose(&mut self, now: Instant, random: &mut Random) {
        if self.lease().is_some() {
            self.actions.push_back(DhcpAction::Withdraw);
        }
        self.begin(now, random);
    }

    //= RFC 2131 §2 MUST-1
    //= RFC 2131 §2 MUST-2
    //= RFC 2131 §4.2 MUST-1
    fn message(&self, now: Instant, kind: RequestKind) -> Request {
        let seconds = now.saturating_since(self.began).as_secs();
        Request {
            seconds: u16::try_from(seconds).unwrap_or(u16::MAX),
            host_name: self.host_name.clone(),
            ..Request::new(kind, self.transaction, self.hardware)
        }
    }
}

/// How long the answer to the `tries`th question is waited for.
//= RFC 2131 §4.1
//= RFC 2131 §4.1 MUST-10
fn wait(tries: u32, random: &mut Random) -> Duration {
    let doubled = FIRST_WAIT * 2u32.pow((tries - 1).min(4));
    let jitter = random.below(2 * JITTER.as_millis() as u64 + 1);
    doubled.min(LONGEST_WAIT) + Duration::from_millis(jitter) - JITTER
}

#[cfg(test)]
mod tests;
