//! Sequences of calls that are drawn at random, for sockets of one sort.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use proptest::prelude::*;
use tapsock::bsd::*;

use super::{Ip, Port, Shape, Stage, Target, World};

/// Sockets that a sequence has open at most.
const SOCKETS_MAX: usize = 8;
/// How often a sequence that fails is tried.
const TRIES: usize = 3;
/// A family that is none of the internet's.
const AF_NETLINK: u16 = 16;
/// Calls of a sequence at most.
const CALLS_MAX: usize = 50;

/// What a sequence is about.
///
/// ```
/// use tapsock::bsd::SOCK_STREAM;
/// use tapsock_tests::differential::Sort;
///
/// assert_eq!(Sort::ALL.iter().filter(|sort| sort.kind == SOCK_STREAM).count(), 3);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Sort {
    /// Of which domains the sockets are.
    pub domains: &'static [i32],
    /// SOCK_STREAM or SOCK_DGRAM.
    pub kind: i32,
}

impl Sort {
    /// TCP and UDP in IPv4, in IPv6, and in both at once.
    pub const ALL: [Sort; 6] = [
        Sort { domains: &[AF_INET], kind: SOCK_STREAM },
        Sort { domains: &[AF_INET6], kind: SOCK_STREAM },
        Sort { domains: &[AF_INET, AF_INET6], kind: SOCK_STREAM },
        Sort { domains: &[AF_INET], kind: SOCK_DGRAM },
        Sort { domains: &[AF_INET6], kind: SOCK_DGRAM },
        Sort { domains: &[AF_INET, AF_INET6], kind: SOCK_DGRAM },
    ];
}

impl Sort {
    fn has_v6(self) -> bool {
        self.domains.contains(&AF_INET6)
    }
}

/// A sequence.
///
/// ```
/// use tapsock_tests::differential::{InetOp, InetPlan, Sort, Stage, run_inet_plan};
///
/// let Ok(stage) = Stage::new() else { return };
/// let ops = vec![InetOp::Connection { domain: 0 }, InetOp::Send { at: 1, len: 3, flags: 0, to: None }];
/// assert_eq!(run_inet_plan(&stage, &InetPlan { sort: Sort::ALL[0], ops }), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct InetPlan {
    /// What it is about.
    pub sort: Sort,
    /// The calls.
    pub ops: Vec<InetOp>,
}

/// One call, or a few that belong together. `at` counts through the sockets that are open then.
///
/// ```
/// use tapsock_tests::differential::InetOp;
///
/// assert_eq!(format!("{:?}", InetOp::Close { at: 2 }), "Close { at: 2 }");
/// ```
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are the arguments of the calls")]
pub enum InetOp {
    /// socket(2) of one of the sort's domains
    Socket { domain: usize },
    /// socket(2), and close(2) where there are such sockets
    Triple { domain: i32, kind: i32, protocol: i32 },
    /// A socket that is bound to loopback, and listens where it is a stream
    Listener { domain: usize },
    /// A connection over loopback: two sockets; of datagrams, each with the other's address
    Connection { domain: usize },
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
    /// sendto(2)
    Send { at: usize, len: usize, flags: i32, to: Option<Target> },
    /// recvmsg(2)
    Recv { at: usize, max: usize, flags: i32 },
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
    /// ioctl(2)
    Ioctl { at: usize, request: i32 },
    /// epoll_ctl(2) of the sequence's one instance
    Watch { at: usize, operation: i32, events: u32 },
    /// epoll_wait(2)
    Events,
}

/// Sequences of that sort.
pub fn inet_plan(sort: Sort) -> impl Strategy<Value = InetPlan> {
    prop::collection::vec(op(sort), 1..CALLS_MAX).prop_map(move |ops| InetPlan { sort, ops })
}

/// Runs a sequence on both stacks: several times before it is said to fail, as a port that the kernel chooses may be one
/// that another sequence has left in TIME-WAIT. The stage counts those that are tried again with another outcome.
///
/// # Errors
/// The first difference, and the calls until then.
pub fn run_inet_plan(stage: &Stage, plan: &InetPlan) -> Result<(), String> {
    let mut outcome = run_once(stage, plan);
    for _ in 1..TRIES {
        if outcome.is_ok() {
            break;
        }
        outcome = run_once(stage, plan);
        if outcome.is_ok() {
            stage.on_retried();
        }
    }
    outcome
}

fn run_once(stage: &Stage, plan: &InetPlan) -> Result<(), String> {
    let mut player = Player::new(stage, plan.sort);
    player.hurries =
        plan.ops.iter().any(|op| matches!(op, InetOp::Send { flags, .. } if flags & MSG_OOB != 0));
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

struct Player {
    world: World,
    sort: Sort,
    /// Where the next data begin.
    next: u8,
    /// What each number stands for: copies stand for the same.
    objects: BTreeMap<i32, usize>,
    made: usize,
    /// Whether nothing waits for an acknowledgement: what comes behind an urgent byte is not seen to come.
    hurries: bool,
    /// Those that were connected to IPv4, and to IPv6.
    to_v4: BTreeSet<usize>,
    to_v6: BTreeSet<usize>,
    /// Those that were shut. A stream that then connects to itself is shut at once on Linux.
    shut: BTreeSet<usize>,
}

impl Player {
    fn new(stage: &Stage, sort: Sort) -> Player {
        Player {
            world: World::new(stage),
            sort,
            next: 0,
            objects: BTreeMap::new(),
            made: 0,
            hurries: false,
            to_v4: BTreeSet::new(),
            to_v6: BTreeSet::new(),
            shut: BTreeSet::new(),
        }
    }

    fn domain(&self, index: usize) -> i32 {
        self.sort.domains[index % self.sort.domains.len()]
    }

    /// The socket at a place; a number that no socket has, where none is open.
    fn sock(&self, at: usize) -> i32 {
        let open = self.world.open();
        if open.is_empty() { 77 } else { open[at % open.len()] }
    }

    fn socket(&mut self, domain: i32) -> i32 {
        let socket = self.world.socket(domain, self.sort.kind | SOCK_NONBLOCK, 0);
        if self.hurries && socket >= 0 {
            self.world.set_option(socket, SOL_TCP, TCP_NODELAY, &1i32.to_ne_bytes());
        }
        self.made(socket)
    }

    fn made(&mut self, socket: i32) -> i32 {
        self.made += 1;
        self.objects.insert(socket, self.made);
        socket
    }

    fn accept(&mut self, listener: i32, flags: i32) {
        let accepted = self.world.accept(listener, flags);
        self.made(accepted);
    }

    fn dup(&mut self, socket: i32) {
        let copy = self.world.dup(socket);
        if let Some(object) = self.objects.get(&socket) {
            self.objects.insert(copy, *object);
        }
    }

    /// Whether a socket may be connected there without meeting what the table of differences knows.
    fn leads_somewhere(&mut self, object: usize, to: Target) -> bool {
        let had = (self.to_v4.contains(&object), self.to_v6.contains(&object));
        let met = match (self.sort.kind, had) {
            _ if !self.sort.has_v6() && self.sort.kind == SOCK_STREAM => false,
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

    fn connect(&mut self, socket: i32, to: Target) {
        let object = self.objects.get(&socket).copied().unwrap_or(0);
        if !self.leads_somewhere(object, to) {
            return;
        }
        let nowhere = self.sort.kind == SOCK_STREAM && self.shut.contains(&object);
        self.world.connect(socket, if nowhere { Target { port: Port::Zero, ..to } } else { to });
    }

    /// A socket bound to loopback, and its own address as a target.
    fn bound(&mut self, domain: i32) -> (i32, Target) {
        let ip = if domain == AF_INET { Ip::Lo4 } else { Ip::Lo6 };
        let socket = self.socket(domain);
        self.world.bind(socket, Target::new(ip, Port::Zero));
        let at = self.world.open().iter().position(|open| *open == socket).unwrap_or(0);
        (socket, Target::new(ip, Port::Of(at)))
    }

    fn connection(&mut self, domain: i32) {
        let (here, at) = self.bound(domain);
        if self.sort.kind == SOCK_STREAM {
            self.world.listen(here, 1);
            let client = self.socket(domain);
            let at = self.again(here, at);
            self.connect(client, at);
            self.accept(here, SOCK_NONBLOCK);
            return self.world.close(here);
        }
        let (there, to) = self.bound(domain);
        let at = self.again(here, at);
        self.connect(there, at);
        self.connect(here, to);
    }

    /// The target, now that there may be other sockets beside it.
    fn again(&self, socket: i32, target: Target) -> Target {
        let at = self.world.open().iter().position(|open| *open == socket).unwrap_or(0);
        Target { port: Port::Of(at), ..target }
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
            InetOp::Socket { domain } => drop(self.socket(self.domain(*domain))),
            InetOp::Triple { domain, kind, protocol } => {
                let made = self.world.socket(*domain, *kind, *protocol);
                if made >= 0 {
                    self.world.close(made);
                }
            }
            InetOp::Listener { domain } => {
                let (socket, _) = self.bound(self.domain(*domain));
                if self.sort.kind == SOCK_STREAM {
                    self.world.listen(socket, 2);
                }
            }
            InetOp::Connection { domain } => self.connection(self.domain(*domain)),
            InetOp::Dup { at } => self.dup(self.sock(*at)),
            InetOp::Bind { at, to } => self.world.bind(self.sock(*at), *to),
            InetOp::Listen { at, backlog } => self.world.listen(self.sock(*at), *backlog),
            InetOp::Accept { at, flags } => self.accept(self.sock(*at), *flags),
            InetOp::Connect { at, to } => self.connect(self.sock(*at), *to),
            other => self.apply_to_one(other),
        }
    }

    /// The calls that neither make nor connect sockets.
    fn apply_to_one(&mut self, op: &InetOp) {
        match op {
            InetOp::Send { at, len, flags, to } => {
                let next = self.next;
                let byte = |at: usize| b'a' + next.wrapping_add((at % 251) as u8) % 26;
                let data: Vec<u8> = (0..*len).map(byte).collect();
                self.next = next.wrapping_add(37);
                let object = self.objects.get(&self.sock(*at)).copied().unwrap_or(0);
                if to.is_some_and(|to| to.is_v4()) && self.to_v6.contains(&object) {
                    return;
                }
                self.world.send(self.sock(*at), &data, *flags, *to);
            }
            InetOp::Recv { at, max, flags } => self.world.recv(self.sock(*at), *max, *flags),
            InetOp::Shutdown { at, how } => {
                let socket = self.sock(*at);
                self.shut.extend(self.objects.get(&socket));
                self.world.shutdown(socket, *how);
            }
            InetOp::Close { at } => self.world.close(self.sock(*at)),
            InetOp::Names { at } => {
                self.world.local(self.sock(*at));
                self.world.peer(self.sock(*at));
            }
            InetOp::SetOption { name: TCP_NODELAY, level: SOL_TCP, .. } if self.hurries => {}
            InetOp::SetOption { at, level, name, value } => {
                let bytes: Vec<u8> = value.iter().flat_map(|part| part.to_ne_bytes()).collect();
                self.world.set_option(self.sock(*at), *level, *name, &bytes);
                self.world.option(self.sock(*at), *level, *name, bytes.len());
            }
            InetOp::Option { at, level, name } => self.world.option(self.sock(*at), *level, *name, 4),
            InetOp::Ioctl { at, request } => self.world.ioctl(self.sock(*at), *request),
            InetOp::Watch { at, operation, events } => {
                self.world.watch(self.sock(*at), *operation, *events);
            }
            InetOp::Events => self.world.events(),
            _ => unreachable!("the others have been made"),
        }
    }
}

fn op(sort: Sort) -> BoxedStrategy<InetOp> {
    prop_oneof![
        12 => beginnings(sort),
        9 => transfers(sort),
        3 => endings(),
        3 => options(sort),
        4 => watches(sort),
    ]
    .boxed()
}

fn target(sort: Sort) -> impl Strategy<Value = Target> + Clone {
    let v4 = [(Ip::Any4, 4), (Ip::Lo4, 8), (Ip::Second4, 2), (Ip::Foreign4, 1)];
    let v6 = [(Ip::Any6, 4), (Ip::Lo6, 8), (Ip::Foreign6, 1)];
    let mapped = [(Ip::MappedAny, 1), (Ip::MappedLo, 3), (Ip::MappedForeign, 1)];
    let (has4, has6) = (sort.domains.contains(&AF_INET), sort.has_v6());
    let weighted = |ips: &[(Ip, u32)], factor: u32| -> Vec<(u32, Just<Ip>)> {
        ips.iter().map(|(ip, weight)| (weight * factor, Just(*ip))).collect()
    };
    // A few of the other family, where it has no sockets.
    let all = [
        weighted(&v4, if has4 { 8 } else { 1 }),
        weighted(&v6, if has6 { 8 } else { 1 }),
        weighted(&mapped, if has4 && has6 { 8 } else { 2 }),
    ];
    let ip = prop::strategy::Union::new_weighted(all.concat());
    let port = prop_oneof![
        1 => Just(Port::Zero),
        4 => (0u8..4).prop_map(Port::Slot),
        6 => (0..SOCKETS_MAX).prop_map(Port::Of),
    ];
    let shape = prop_oneof![
        30 => Just(Shape::Whole),
        1 => prop::sample::select(vec![0, 1, 2, 4, 8, 15, 16, 23, 24, 27]).prop_map(Shape::Cut),
        1 => prop::sample::select(vec![28, 32, 128, 129]).prop_map(Shape::Padded),
        1 => prop::sample::select(vec![AF_INET6 as u16, AF_NETLINK, 99]).prop_map(Shape::Family),
    ];
    (ip, port, shape).prop_map(move |(ip, port, shape)| match shape {
        // An IPv6 socket is told of `sockaddr_in` only that it is one: see the table of differences.
        Shape::Padded(_) if has6 && ip.address().is_ipv4() => Target::new(ip, port),
        shape => Target { ip, port, shape },
    })
}

/// Calls that make sockets and connect them.
fn beginnings(sort: Sort) -> impl Strategy<Value = InetOp> {
    let at = 0..SOCKETS_MAX;
    let domain = 0usize..2;
    let flags = prop_oneof![12 => Just(SOCK_NONBLOCK), 1 => Just(SOCK_NONBLOCK | SOCK_CLOEXEC), 1 => Just(1)];
    let to = prop_oneof![1 => Just(Target::UNSPEC), 9 => target(sort)];
    let triple = (
        prop::sample::select(vec![AF_INET, AF_INET6, AF_UNSPEC, 45, 99, -1]),
        prop::sample::select(vec![SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_RDM, 0, 7, 11, -1]),
        prop::sample::select(vec![0, IPPROTO_TCP, IPPROTO_UDP, 255, 256, 263, -1]),
    );
    prop_oneof![
        4 => domain.clone().prop_map(|domain| InetOp::Socket { domain }),
        1 => triple.prop_map(|(domain, kind, protocol)| InetOp::Triple { domain, kind, protocol }),
        3 => domain.clone().prop_map(|domain| InetOp::Listener { domain }),
        4 => domain.prop_map(|domain| InetOp::Connection { domain }),
        1 => at.clone().prop_map(|at| InetOp::Dup { at }),
        5 => (at.clone(), target(sort)).prop_map(|(at, to)| InetOp::Bind { at, to }),
        4 => (at.clone(), -1i32..4).prop_map(|(at, backlog)| InetOp::Listen { at, backlog }),
        7 => (at.clone(), flags).prop_map(|(at, flags)| InetOp::Accept { at, flags }),
        9 => (at.clone(), to).prop_map(|(at, to)| InetOp::Connect { at, to }),
        2 => at.prop_map(|at| InetOp::Names { at }),
    ]
}

/// Calls that send and receive.
fn transfers(sort: Sort) -> impl Strategy<Value = InetOp> {
    let at = 0..SOCKETS_MAX;
    let len = prop_oneof![8 => 0usize..9, 2 => 0usize..1500];
    let max = prop_oneof![8 => 0usize..12, 1 => 0usize..4000];
    let often = if sort.kind == SOCK_STREAM { 1 } else { 8 };
    let to = prop_oneof![6 => Just(None), often => target(sort).prop_map(Some)];
    let urgent = if sort.kind == SOCK_STREAM { 0.15 } else { 0.0 };
    let send_flags = flags(&[(MSG_DONTWAIT, 0.2), (MSG_EOR, 0.1), (MSG_OOB, urgent)]);
    let recv_flags = flags(&[
        (MSG_DONTWAIT, 0.2),
        (MSG_PEEK, 0.3),
        (MSG_WAITALL, 0.1),
        (MSG_TRUNC, 0.2),
        (MSG_OOB, urgent),
    ]);
    let request = prop::sample::select(vec![FIONREAD, SIOCOUTQ, SIOCATMARK]);
    prop_oneof![
        5 => (at.clone(), len, send_flags, to)
            .prop_map(|(at, len, flags, to)| InetOp::Send { at, len, flags, to }),
        6 => (at.clone(), max, recv_flags).prop_map(|(at, max, flags)| InetOp::Recv { at, max, flags }),
        1 => (at, request).prop_map(|(at, request)| InetOp::Ioctl { at, request }),
    ]
}

fn flags(each: &[(i32, f64)]) -> BoxedStrategy<i32> {
    each.iter().fold(Just(0).boxed(), |others, (flag, often)| {
        let flag = *flag;
        (others, prop::bool::weighted(*often))
            .prop_map(move |(others, set)| if set { others | flag } else { others })
            .boxed()
    })
}

/// Calls that end something.
fn endings() -> impl Strategy<Value = InetOp> {
    let at = 0..SOCKETS_MAX;
    prop_oneof![
        2 => (at.clone(), -1i32..4).prop_map(|(at, how)| InetOp::Shutdown { at, how }),
        3 => at.prop_map(|at| InetOp::Close { at }),
    ]
}

/// Level-triggered, edge-triggered and one-shot.
fn watches(sort: Sort) -> impl Strategy<Value = InetOp> {
    let operation = prop::sample::select(vec![EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL]);
    let events = prop::sample::select(vec![EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 0]);
    let mode = prop::sample::select(vec![0, EPOLLET, EPOLLONESHOT]);
    prop_oneof![
        (0..SOCKETS_MAX, operation, events, mode).prop_map(move |(at, operation, events, mode)| {
            // To Linux each datagram that is gone makes room.
            let untold = if sort.kind == SOCK_DGRAM && mode == EPOLLET { EPOLLOUT } else { 0 };
            InetOp::Watch { at, operation, events: events & !untold | mode }
        }),
        Just(InetOp::Events),
    ]
}

fn options(sort: Sort) -> impl Strategy<Value = InetOp> {
    let at = 0..SOCKETS_MAX;
    // Without it again, an address of IPv6 that is left would be an invented one of IPv4 to Linux.
    let mut set: Vec<(i32, i32, Vec<i32>)> = vec![(SOL_IPV6, IPV6_V6ONLY, vec![1])];
    for value in 0..2 {
        set.push((SOL_SOCKET, SO_REUSEADDR, vec![value]));
        set.push((SOL_SOCKET, SO_REUSEPORT, vec![value]));
        set.push((SOL_IP, IP_BIND_ADDRESS_NO_PORT, vec![value]));
        if sort.kind == SOCK_STREAM {
            set.push((SOL_SOCKET, SO_LINGER, vec![value, 0]));
            set.push((SOL_SOCKET, SO_RCVLOWAT, vec![1 + 3 * value]));
            set.push((SOL_TCP, TCP_NODELAY, vec![value]));
            set.push((SOL_SOCKET, SO_OOBINLINE, vec![value]));
        }
        set.push((SOL_SOCKET, SO_PEEK_OFF, vec![4 * value - 1]));
    }
    let get = vec![
        (SOL_SOCKET, SO_ERROR),
        (SOL_SOCKET, SO_ERROR),
        (SOL_SOCKET, SO_ACCEPTCONN),
        (SOL_SOCKET, SO_TYPE),
        (SOL_SOCKET, SO_DOMAIN),
        (SOL_SOCKET, SO_PROTOCOL),
        (SOL_SOCKET, SO_PEEK_OFF),
    ];
    prop_oneof![
        3 => (at.clone(), prop::sample::select(set))
            .prop_map(|(at, (level, name, value))| InetOp::SetOption { at, level, name, value }),
        3 => (at, prop::sample::select(get)).prop_map(|(at, (level, name))| InetOp::Option { at, level, name }),
    ]
}
