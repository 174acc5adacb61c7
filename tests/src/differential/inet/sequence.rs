//! Sequences of calls, for sockets of one sort.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::prelude::*;
use tapsock::bsd::*;

use super::groups::{is_of_groups, with_header};
use super::payload::message;
use super::{Ip, Port, Sort, Stage, Target, World, draw};
use crate::differential::common::InStep;
use crate::differential::{CommonOp, Room, Sock, Waits};

/// Sockets that a sequence has open at most.
pub(super) const SOCKETS_MAX: usize = 8;
/// How often a sequence that fails is tried.
const TRIES: usize = 3;
/// Calls of a sequence at most.
const CALLS_MAX: usize = 50;
/// Level and type of IP_PKTINFO, as they stand in a control message.
const PACKET_INFO: [u8; 8] = [SOL_IP as u8, 0, 0, 0, IP_PKTINFO as u8, 0, 0, 0];

/// A sequence.
///
/// ```
/// use tapsock_tests::differential::{InetOp, InetPlan, Sort, Stage, run_inet_plan};
///
/// let Ok(stage) = Stage::new() else { return };
/// let send = InetOp::Send { at: 1, len: 3, flags: 0, to: None, control: Vec::new() };
/// let ops = vec![InetOp::Connection { which: 0 }, send];
/// assert_eq!(run_inet_plan(&stage, &InetPlan { sort: Sort::ALL[0], ops }), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct InetPlan {
    /// What it is about.
    pub sort: Sort,
    /// The calls.
    pub ops: Vec<InetOp>,
}

/// One call, or a few that belong together. `at` counts through the sockets that are open then; `which` through the
/// sort's domains and protocols.
///
/// ```
/// use tapsock_tests::differential::InetOp;
///
/// assert_eq!(format!("{:?}", InetOp::Close { at: 2 }), "Close { at: 2 }");
/// ```
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are the arguments of the calls")]
pub enum InetOp {
    /// socket(2)
    Socket { which: usize },
    /// socket(2), and close(2) where there are such sockets
    Triple { domain: i32, kind: i32, protocol: i32 },
    /// A socket that is bound to loopback, and listens where it is a stream
    Listener { which: usize },
    /// A connection over loopback: two sockets; of datagrams, each with the other's address
    Connection { which: usize },
    /// dup(2)
    Dup { at: usize },
    /// bind(2)
    Bind { at: usize, to: Target },
    /// listen(2)
    Listen { at: usize, backlog: i32 },
    /// accept4(2)
    Accept { at: usize, flags: i32 },
    /// connect(2)
    Connect { at: usize, to: Target },
    /// sendmsg(2), with control messages in bytes
    Send { at: usize, len: usize, flags: i32, to: Option<Target>, control: Vec<u8> },
    /// sendmmsg(2)
    SendMany { at: usize, lens: Vec<usize>, flags: i32, to: Option<Target> },
    /// recvmsg(2)
    Recv { at: usize, room: Room, flags: i32 },
    /// write(2) and writev(2)
    Write { at: usize, lens: Vec<usize> },
    /// read(2) and readv(2)
    Read { at: usize, sizes: Vec<usize> },
    /// recvmmsg(2)
    RecvMany { at: usize, rooms: Vec<Room>, flags: i32 },
    /// shutdown(2)
    Shutdown { at: usize, how: i32 },
    /// close(2)
    Close { at: usize },
    /// getsockname(2) and getpeername(2)
    Names { at: usize },
    /// setsockopt(2) and getsockopt(2)
    SetOption { at: usize, level: i32, name: i32, value: Vec<i32> },
    /// getsockopt(2) with room for an `int`
    Option { at: usize, level: i32, name: i32 },
    /// What reads the same for local sockets
    Common(CommonOp),
}

/// Sequences of that sort.
pub fn inet_plan(sort: Sort) -> impl Strategy<Value = InetPlan> {
    prop::collection::vec(draw::op(sort), 1..CALLS_MAX).prop_map(move |ops| InetPlan { sort, ops })
}

/// Runs a sequence on both stacks: several times before it is said to fail, as a port that the kernel chooses may be one
/// that another sequence has left in TIME-WAIT. Each time after the first it is in a namespace of its own. The stage
/// counts those that are tried again with another outcome, and what differed at first is printed.
///
/// # Errors
/// The first difference, and the calls until then.
pub fn run_inet_plan(stage: &Stage, plan: &InetPlan) -> Result<(), String> {
    let mut outcome = run_once(stage, plan);
    for _ in 1..TRIES {
        let Err(difference) = outcome else { break };
        stage.renew();
        outcome = run_once(stage, plan);
        if outcome.is_ok() {
            // For who asks whether it was a port: neither stack's outcome may depend on luck otherwise.
            println!("it passed when it was tried again: {difference}");
            stage.on_retried();
        }
    }
    // What is told of its groups comes when they are left, and later: nobody else's raw socket is to hear it.
    if plan
        .ops
        .iter()
        .any(|op| matches!(op, InetOp::SetOption { level, name, .. } if is_of_groups(*level, *name)))
    {
        stage.renew();
    }
    outcome
}

fn run_once(stage: &Stage, plan: &InetPlan) -> Result<(), String> {
    let mut player = Player::new(stage, plan.sort);
    player.hurries =
        plan.ops.iter().any(|op| matches!(op, InetOp::Send { flags, .. } if flags & MSG_OOB != 0));
    player.holds = plan.ops.iter().any(|op| match op {
        InetOp::Send { flags, .. } | InetOp::SendMany { flags, .. } => flags & MSG_MORE != 0,
        InetOp::SetOption { level, name, .. } => (*level, *name) == (SOL_UDP, UDP_CORK),
        _ => false,
    });
    player.writes = plan.ops.iter().any(
        |op| matches!(op, InetOp::SetOption { level, name, .. } if (*level, *name) == (SOL_IP, IP_HDRINCL)),
    );
    for op in &plan.ops {
        player.apply(op);
        if let Some(difference) = player.world.difference() {
            let mut text = player.world.log().join("\n");
            let _ = write!(text, "\n{difference}");
            return Err(text);
        }
    }
    Ok(())
}

/// What a number stands for.
#[derive(Copy, Clone, Debug, Default)]
struct Object {
    /// Copies have the same.
    number: usize,
    domain: i32,
    protocol: i32,
}

struct Player {
    world: World,
    sort: Sort,
    /// Where the next data begin.
    next: u8,
    objects: BTreeMap<Sock, Object>,
    made: usize,
    /// Whether nothing waits for an acknowledgement: what comes behind an urgent byte is not seen to come.
    hurries: bool,
    /// Whether something is held back until there is more.
    holds: bool,
    /// Whether some write headers themselves, which name a host.
    writes: bool,
    /// Those that were connected to IPv4, and to IPv6.
    to_v4: BTreeSet<usize>,
    to_v6: BTreeSet<usize>,
    /// Those that have sent something.
    talked: BTreeSet<usize>,
    /// Those that write headers themselves.
    writers: BTreeSet<usize>,
    /// Those that were shut. A stream that then connects to itself is shut at once on Linux.
    shut: BTreeSet<usize>,
}

impl Player {
    fn new(stage: &Stage, sort: Sort) -> Player {
        Player {
            world: if sort.is_ping() { World::of_pings(stage) } else { World::new(stage) },
            sort,
            next: 0,
            objects: BTreeMap::new(),
            made: 0,
            hurries: false,
            holds: false,
            writes: false,
            to_v4: BTreeSet::new(),
            to_v6: BTreeSet::new(),
            talked: BTreeSet::new(),
            writers: BTreeSet::new(),
            shut: BTreeSet::new(),
        }
    }

    /// The socket at a place; a number that no socket has, where none is open.
    fn sock(&self, at: usize) -> Sock {
        let open = self.world.open();
        if open.is_empty() { 77 } else { open[at % open.len()] }
    }

    fn object(&self, socket: Sock) -> Object {
        self.objects.get(&socket).copied().unwrap_or_default()
    }

    fn socket(&mut self, which: usize) -> Sock {
        let (domain, protocol) = self.sort.socket(which);
        let socket = self.world.socket(domain, self.sort.kind | SOCK_NONBLOCK, protocol);
        if self.hurries && socket >= 0 {
            self.world.set_option(socket, SOL_TCP, TCP_NODELAY, &1i32.to_ne_bytes());
        }
        self.made(socket, domain, protocol)
    }

    fn made(&mut self, socket: Sock, domain: i32, protocol: i32) -> Sock {
        self.made += 1;
        self.objects.insert(socket, Object { number: self.made, domain, protocol });
        socket
    }

    fn accept(&mut self, listener: Sock, flags: i32) {
        let accepted = self.world.accept(listener, flags);
        let Object { domain, protocol, .. } = self.object(listener);
        self.made(accepted, domain, protocol);
        self.world.on_accepted(accepted);
        if accepted >= 0 && flags & SOCK_NONBLOCK == 0 {
            self.world.set_waits(accepted, Waits::Moment);
        }
    }

    fn dup(&mut self, socket: Sock) {
        let copy = self.world.dup(socket);
        if let Some(object) = self.objects.get(&socket) {
            self.objects.insert(copy, *object);
        }
    }

    /// Whether a socket may be connected there without meeting what the table of differences knows.
    fn leads_somewhere(&mut self, object: usize, to: Target) -> bool {
        let had = (self.to_v4.contains(&object), self.to_v6.contains(&object));
        let met = match (self.sort.kind, had) {
            _ if !self.sort.has_v6() && self.sort.is_stream() => false,
            (SOCK_STREAM, (true, _)) => to != Target::UNSPEC && !to.is_v4(),
            (SOCK_STREAM, _) | (_, (false, false)) => false,
            (_, (true, _)) if to == Target::UNSPEC => self.sort.has_v6(),
            (_, (_, to_v6)) => to.ip.is_foreign() || to_v6 && to.is_v4() && to != Target::UNSPEC,
        };
        if met {
            return false;
        }
        if to == Target::UNSPEC {
            self.to_v6.remove(&object);
        } else {
            let family = if to.is_v4() { &mut self.to_v4 } else { &mut self.to_v6 };
            family.insert(object);
        }
        true
    }

    fn connect(&mut self, socket: Sock, to: Target) {
        let Object { number: object, domain, .. } = self.object(socket);
        let is_mapped = domain == AF_INET6 && to.is_v4() && to != Target::UNSPEC;
        if self.sort.kind == SOCK_RAW && is_mapped || !self.leads_somewhere(object, to) {
            return;
        }
        // What may be held back keeps on Linux the names that the socket had, or takes on others': see the table.
        if self.holds && self.sort.is_udp() && self.talked.contains(&object) {
            return;
        }
        if to.ip == Ip::Group4 && self.world.is_unbound(socket) {
            return;
        }
        // By the way to a group Linux loses what parts, or a header, send to a host: see the table of differences.
        if (self.holds || self.writes) && self.sort.kind == SOCK_RAW && to.ip == Ip::Group4 {
            return;
        }
        let nowhere = self.sort.is_stream() && self.shut.contains(&object);
        self.world.connect(socket, if nowhere { Target { port: Port::Zero, ..to } } else { to });
    }

    /// A socket bound to loopback, and its own address as a target.
    fn bound(&mut self, which: usize) -> (Sock, Target) {
        let ip = if self.sort.socket(which).0 == AF_INET { Ip::Lo4 } else { Ip::Lo6 };
        let socket = self.socket(which);
        self.world.bind(socket, Target::new(ip, Port::Zero));
        (socket, self.again(socket, Target::new(ip, Port::Zero)))
    }

    fn connection(&mut self, which: usize) {
        let (here, at) = self.bound(which);
        if self.sort.is_stream() {
            self.world.listen(here, 1);
            let client = self.socket(which);
            let at = self.again(here, at);
            self.connect(client, at);
            self.accept(here, SOCK_NONBLOCK);
            return self.world.close(here);
        }
        let (there, to) = self.bound(which);
        let at = self.again(here, at);
        self.connect(there, at);
        self.connect(here, to);
    }

    /// The target, now that there may be other sockets beside it.
    fn again(&self, socket: Sock, target: Target) -> Target {
        let at = self.world.open().iter().position(|open| *open == socket).unwrap_or(0);
        Target { port: Port::Of(at), ..target }
    }

    /// What a socket sends next.
    fn data(&mut self, socket: Sock, len: usize) -> Vec<u8> {
        let Object { domain, protocol, number } = self.object(socket);
        let data = message(domain, protocol, self.next, len);
        self.next = self.next.wrapping_add(37);
        // A few of their packets have none.
        let has_header = self.writers.contains(&number) && len > 0;
        if has_header { with_header(domain, protocol, &data) } else { data }
    }

    /// Whether a send there meets what the table of differences knows.
    fn is_known(&mut self, socket: Sock, to: Option<Target>, control: &[u8]) -> bool {
        let Some(to) = to else { return false };
        let object = self.object(socket).number;
        let names_interface = control.windows(8).any(|bytes| bytes == PACKET_INFO);
        match to.is_v4() {
            true if to.ip == Ip::Group4 && (names_interface || self.world.is_unbound(socket)) => true,
            true if to.ip.is_foreign() && names_interface => true,
            true => self.to_v6.contains(&object),
            false => self.to_v4.contains(&object) && !control.is_empty(),
        }
    }

    /// Of ICMPv6's packets Linux sums odd parts wrongly: see the table of differences.
    fn part_len(&mut self, socket: Sock, len: usize) -> usize {
        self.talked.insert(self.object(socket).number);
        let is_icmp6 = self.object(socket).protocol == IPPROTO_ICMPV6;
        if self.holds && self.sort.kind == SOCK_RAW && is_icmp6 { len & !1 } else { len }
    }

    /// Whether a part for there would lead all that Linux sends afterwards: see the table of differences.
    fn is_astray(&self, socket: Sock, to: Option<Target>) -> bool {
        let to_group = to.is_some_and(|to| to.ip == Ip::Group4);
        let leads_raw = (self.holds || self.writes) && self.sort.kind == SOCK_RAW && to_group;
        leads_raw
            || self.holds
                && to.is_some()
                && self.sort.is_udp()
                && self.to_v4.contains(&self.object(socket).number)
    }

    fn apply(&mut self, op: &InetOp) {
        let crowded = self.world.open().len() + 3 > SOCKETS_MAX;
        match op {
            InetOp::Socket { .. }
            | InetOp::Triple { .. }
            | InetOp::Listener { .. }
            | InetOp::Connection { .. }
            | InetOp::Dup { .. }
            | InetOp::Accept { .. }
                if crowded => {}
            InetOp::Socket { which } => drop(self.socket(*which)),
            InetOp::Triple { domain, kind, protocol } => {
                let made = self.world.socket(*domain, *kind, *protocol);
                if made >= 0 {
                    self.world.close(made);
                }
            }
            InetOp::Listener { which } => {
                let (socket, _) = self.bound(*which);
                if self.sort.is_stream() {
                    self.world.listen(socket, 2);
                }
            }
            InetOp::Connection { which } => self.connection(*which),
            InetOp::Dup { at } => self.dup(self.sock(*at)),
            InetOp::Bind { at, to } => self.world.bind(self.sock(*at), *to),
            InetOp::Listen { at, backlog } => self.world.listen(self.sock(*at), *backlog),
            InetOp::Accept { at, flags } => self.accept(self.sock(*at), *flags),
            InetOp::Connect { at, to } => self.connect(self.sock(*at), *to),
            other => self.transfer(other),
        }
    }

    /// The calls that send and receive.
    fn transfer(&mut self, op: &InetOp) {
        match op {
            InetOp::Send { at, len, flags, to, control } => {
                let socket = self.sock(*at);
                let len = self.part_len(socket, *len);
                let data = self.data(socket, len);
                if !self.is_known(socket, *to, control) && !self.is_astray(socket, *to) {
                    self.world.send_beside(socket, &data, *flags, *to, control);
                }
            }
            InetOp::SendMany { at, lens, flags, to } => {
                let socket = self.sock(*at);
                let mut messages = Vec::with_capacity(lens.len());
                for len in lens {
                    let len = self.part_len(socket, *len);
                    messages.push(self.data(socket, len));
                }
                if !self.is_known(socket, *to, &[]) && !self.is_astray(socket, *to) {
                    self.world.send_many(socket, &messages, *flags, *to);
                }
            }
            InetOp::Recv { at, room, flags } => self.world.recv_into(self.sock(*at), *room, *flags),
            InetOp::Write { at, lens } => {
                let socket = self.sock(*at);
                let whole = self.data(socket, lens.iter().sum());
                let mut rest = &whole[..];
                let mut parts = Vec::with_capacity(lens.len());
                for len in lens {
                    let (part, left) = rest.split_at(*len);
                    parts.push(part.to_vec());
                    rest = left;
                }
                self.world.write(socket, &parts);
            }
            InetOp::Read { at, sizes } => self.world.read(self.sock(*at), sizes),
            InetOp::RecvMany { at, rooms, flags } => self.world.recv_many(self.sock(*at), rooms, *flags),
            other => self.apply_to_one(other),
        }
    }

    /// The calls that neither make nor connect sockets, nor send or receive.
    fn apply_to_one(&mut self, op: &InetOp) {
        match op {
            InetOp::Shutdown { at, how } => {
                let socket = self.sock(*at);
                self.shut.insert(self.object(socket).number);
                self.world.shutdown(socket, *how);
            }
            InetOp::Close { at } => self.world.close(self.sock(*at)),
            InetOp::Names { at } => {
                self.world.local(self.sock(*at));
                self.world.peer(self.sock(*at));
            }
            InetOp::SetOption { name: TCP_NODELAY, level: SOL_TCP, .. } if self.hurries => {}
            // Linux notes the way of a datagram when it comes, and only where it is asked to.
            InetOp::SetOption { at, name: IP_PKTINFO | IPV6_RECVPKTINFO, .. }
                if !self.sort.is_stream() && self.world.is_readable(self.sock(*at)) => {}
            // And the time of data of a stream, where anybody has asked for that of anything.
            InetOp::SetOption { at, level: SOL_SOCKET, name: SO_TIMESTAMP, .. }
                if self.sort.is_stream() && self.world.is_readable(self.sock(*at)) => {}
            InetOp::SetOption { at, level, name, value } => {
                let socket = self.sock(*at);
                let bytes: Vec<u8> = value.iter().flat_map(|part| part.to_ne_bytes()).collect();
                if is_of_groups(*level, *name) {
                    // Twice it says something else.
                    return self.world.set_option(socket, *level, *name, &bytes);
                }
                self.world.set_option_that_is_there(socket, *level, *name, &bytes);
                if let (SOL_IP, IP_HDRINCL) | (SOL_IPV6, IPV6_HDRINCL) = (*level, *name) {
                    let number = self.object(socket).number;
                    let writes = value[0] != 0 && self.sort.kind == SOCK_RAW;
                    if writes {
                        self.writers.insert(number)
                    } else {
                        self.writers.remove(&number)
                    };
                }
                if let (SOL_TCP, TCP_MAXSEG | TCP_WINDOW_CLAMP) = (*level, *name) {
                    // Of a connection they show how it cuts segments, which windows bound, and how far its buffer lets
                    // a window open.
                    return;
                }
                self.world.option_that_is_there(socket, *level, *name, bytes.len());
            }
            InetOp::Option { at, level, name } => self.world.option(self.sock(*at), *level, *name, 4),
            InetOp::Common(op) => {
                let open = self.world.open();
                self.world.apply_common(op, &open);
            }
            _ => unreachable!("the others have been made"),
        }
    }
}
