//! Both stacks in step.

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::bsd::{
    AF_INET, FIONREAD, IPPROTO_ICMP, PollMask, SIOCOUTQ, SO_DOMAIN, SO_PROTOCOL, SO_TYPE, SOCK_DGRAM,
    SOCK_STREAM, SOL_SOCKET, SOL_TCP, TCP_INFO,
};
use tapsock::{Errno, SockAddr};

use super::masks::Nature;
use super::stage::{FIRST_PORT, SLOTS, Stage};
use super::text::Ports;
use super::{Port, Target};
use crate::differential::common::InStep;
use crate::differential::text::{Outcome, done, number as numbered, readiness, shown, text, value};
use crate::differential::{
    Difference, Incoming, KernelSockets, OurSockets, Outgoing, Room, Scope, Sock, SocketCalls, Sockets,
};

mod options;

/// How far a sequence's own identifiers are from those that the kernel gives out next, one after the other.
const FAR: u16 = 20_000;
/// Longer than the kernel delays an acknowledgement.
const DELAYED: Duration = Duration::from_millis(200);
/// TCP_FIN_WAIT1, TCP_LAST_ACK, TCP_CLOSING.
const FIN_UNDER_WAY: [u8; 3] = [4, 9, 11];

/// Both stacks, and what they answered. After the first difference nothing is called any more.
///
/// ```
/// use tapsock::bsd::{AF_INET, SOCK_STREAM};
/// use tapsock_tests::differential::{Ip, Port, Stage, Target, World};
///
/// let Ok(stage) = Stage::new() else { return };
/// let mut world = World::new(&stage);
/// let socket = world.socket(AF_INET, SOCK_STREAM, 0);
/// world.bind(socket, Target::new(Ip::Lo4, Port::Slot(0)));
/// assert_eq!(world.difference(), None);
/// assert_eq!(world.log().last().unwrap(), "bind(0, 127.0.0.1:P0) = ok [0 OUT HUP 0x100]");
/// ```
pub struct World {
    stacks: [Stack; 2],
    open: BTreeSet<Sock>,
    met: BTreeSet<&'static str>,
    log: Vec<String>,
    /// A difference that the next call must show.
    expected: Option<&'static Difference>,
    difference: Option<String>,
    /// Sockets that are in different states.
    apart: BTreeSet<Sock>,
    /// Whether a known difference has led the stacks apart.
    parted: bool,
    /// The domains that sockets were asked of.
    domains: BTreeSet<i32>,
    instances: [Option<i32>; 2],
    patience: Duration,
}

pub(super) struct Stack {
    pub(super) calls: Box<dyn SocketCalls>,
    pub(super) ports: Ports,
}

impl Stack {
    /// The bytes of an address on this stack.
    fn resolve(&mut self, target: &Target, open: &[Sock]) -> Vec<u8> {
        let port = match target.port {
            Port::Zero => 0,
            Port::Slot(slot) => self.ports.base + u16::from(slot) % SLOTS,
            Port::Of(at) if open.is_empty() => at as u16,
            Port::Of(at) => {
                let name = self.calls.local_address(open[at % open.len()]).unwrap_or_default();
                name.get(2..4).map_or(0, |port| u16::from_be_bytes([port[0], port[1]]))
            }
        };
        target.bytes(port)
    }

    /// An option that is an `int`.
    fn number(&mut self, socket: Sock, name: i32) -> i32 {
        let bytes = self.calls.option(socket, SOL_SOCKET, name, size_of::<i32>()).unwrap_or_default();
        bytes.try_into().map_or(-1, i32::from_ne_bytes)
    }

    /// What it receives.
    fn nature(&mut self, socket: Sock) -> Nature {
        let [domain, kind, protocol] =
            [SO_DOMAIN, SO_TYPE, SO_PROTOCOL].map(|name| self.number(socket, name));
        Nature::of(domain, kind, protocol)
    }

    fn is_stream_without_peer(&mut self, socket: Sock) -> bool {
        self.number(socket, SO_TYPE) == SOCK_STREAM && self.calls.peer_address(socket).is_err()
    }

    /// What poll(2) says of all sockets, and FIONREAD of those that have something.
    fn rest(&mut self, open: &[Sock]) -> String {
        let mut shown = readiness(open, &self.calls.poll(open));
        for socket in open {
            if let Ok(unread @ 1..) = self.calls.ioctl(*socket, FIONREAD) {
                let _ = write!(shown, ", {socket} has {unread}");
            }
        }
        shown
    }
}

impl World {
    /// Fresh stacks.
    pub fn new(stage: &Stage) -> World {
        let kernel = KernelSockets::new(&stage.namespace());
        World::with(stage, kernel, Ports::new(stage.ports(), SLOTS))
    }

    /// The same for ping sockets: their ports are identifiers, which the kernel gives out one after the other.
    pub fn of_pings(stage: &Stage) -> World {
        let mut kernel = KernelSockets::new(&stage.namespace());
        let next = next_identifier(&mut kernel).unwrap_or(FIRST_PORT);
        let base = FIRST_PORT + next.wrapping_add(FAR) % (u16::MAX - FIRST_PORT - SLOTS);
        World::with(stage, kernel, Ports::new(base, SLOTS).all_chosen())
    }

    fn with(stage: &Stage, kernel: KernelSockets, ports: Ports) -> World {
        let stack = |calls| Stack { calls, ports: ports.clone() };
        World {
            stacks: [stack(Box::new(kernel)), stack(Box::new(OurSockets::new()))],
            open: BTreeSet::new(),
            met: BTreeSet::new(),
            log: Vec::new(),
            expected: None,
            difference: None,
            apart: BTreeSet::new(),
            parted: false,
            domains: BTreeSet::new(),
            instances: [None; 2],
            patience: stage.patience,
        }
    }

    /// All calls so far, each with its outcome and the readiness of every socket.
    pub fn log(&self) -> &[String] {
        &self.log
    }

    /// The first difference.
    pub fn difference(&self) -> Option<&str> {
        self.difference.as_deref()
    }

    /// The known differences that have shown.
    pub fn met(&self) -> &BTreeSet<&'static str> {
        &self.met
    }

    /// The open sockets.
    pub fn open(&self) -> Vec<Sock> {
        self.open.iter().copied().collect()
    }

    /// From now on the readiness of this socket differs, and is not compared.
    pub fn apart(&mut self, socket: Sock) {
        self.apart.insert(socket);
    }

    /// The next call differs as the table of differences says.
    pub fn known(&mut self, what: &str) {
        self.expected = Some(Difference::named(what));
    }

    /// Whether something waits to be received.
    pub fn is_readable(&mut self, socket: Sock) -> bool {
        let [_, ours] = &mut self.stacks;
        let is_in = |events: &u16| events & PollMask::IN.bits() != 0;
        self.open.contains(&socket) && ours.calls.poll(&[socket]).first().is_some_and(is_in)
    }

    /// Whether it has no address to send from.
    pub fn is_unbound(&mut self, socket: Sock) -> bool {
        let [_, ours] = &mut self.stacks;
        let name = ours.calls.local_address(socket).map(|bytes| SockAddr::from_bytes(&bytes));
        let ip =
            name.ok().and_then(Result::ok).and_then(|name| name.to_inet()).map(|at| at.ip().to_canonical());
        ip.is_none_or(|ip| ip.is_unspecified())
    }

    /// socket(2)
    pub fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Sock {
        let call = format!("socket({domain}, {kind:#x}, {protocol})");
        self.domains.insert(domain);
        self.made(call, |stack, _| numbered(stack.calls.socket(domain, kind, protocol)))
    }

    /// dup(2)
    pub fn dup(&mut self, socket: Sock) -> Sock {
        self.made(format!("dup({socket})"), |stack, _| numbered(stack.calls.dup(socket)))
    }

    /// bind(2)
    pub fn bind(&mut self, socket: Sock, to: Target) {
        self.call(format!("bind({socket}, {to})"), |stack, open| {
            let address = stack.resolve(&to, open);
            did(stack.calls.bind(socket, &address))
        });
    }

    /// listen(2)
    pub fn listen(&mut self, socket: Sock, backlog: i32) {
        let call = format!("listen({socket}, {backlog})");
        self.call(call, |stack, _| did(stack.calls.listen(socket, backlog)));
    }

    /// accept4(2)
    pub fn accept(&mut self, socket: Sock, flags: i32) -> Sock {
        self.made(format!("accept({socket}, {flags:#x})"), |stack, _| {
            match stack.calls.accept(socket, flags) {
                Ok((new, peer)) => {
                    Outcome { text: format!("{new} from {}", stack.ports.address(&peer)), new: vec![new] }
                }
                Err(errno) => errno.to_string().into(),
            }
        })
    }

    /// connect(2)
    pub fn connect(&mut self, socket: Sock, to: Target) {
        self.call(format!("connect({socket}, {to})"), |stack, open| {
            let address = stack.resolve(&to, open);
            did(stack.calls.connect(socket, &address))
        });
    }

    /// sendto(2) with MSG_NOSIGNAL
    pub fn send(&mut self, socket: Sock, data: &[u8], flags: i32, to: Option<Target>) {
        self.send_beside(socket, data, flags, to, &[]);
    }

    /// sendmsg(2) with control messages
    pub fn send_beside(&mut self, socket: Sock, data: &[u8], flags: i32, to: Option<Target>, control: &[u8]) {
        let mut call = format!("send({socket}, {}, {flags:#x}", text(data));
        if let Some(to) = to {
            let _ = write!(call, ", to {to}");
        }
        if !control.is_empty() {
            let _ = write!(call, ", beside {control:?}");
        }
        self.call(call + ")", |stack, open| {
            let to = to.map(|to| stack.resolve(&to, open));
            let message = Outgoing { data, control, to: to.as_deref(), ..Outgoing::default() };
            said(stack.calls.send(socket, &message, flags))
        });
    }

    /// sendmmsg(2)
    pub fn send_many(&mut self, socket: Sock, messages: &[Vec<u8>], flags: i32, to: Option<Target>) {
        let shown: Vec<_> = messages.iter().map(|one| text(one)).collect();
        let mut call = format!("sendmmsg({socket}, {shown:?}, {flags:#x}");
        if let Some(to) = to {
            let _ = write!(call, ", to {to}");
        }
        self.call(call + ")", |stack, open| {
            let to = to.map(|to| stack.resolve(&to, open));
            let each = messages.iter().map(|data| Outgoing { to: to.as_deref(), ..Outgoing::of(data) });
            let sent = stack.calls.send_many(socket, &each.collect::<Vec<_>>(), flags);
            sent.map_or_else(|errno| errno.to_string(), |sent| format!("{sent:?}"))
        });
    }

    /// recvmsg(2)
    pub fn recv(&mut self, socket: Sock, max: usize, flags: i32) {
        self.recv_into(socket, Room { data: max, control: 0 }, flags);
    }

    /// recvmsg(2) with room for control messages
    pub fn recv_into(&mut self, socket: Sock, room: Room, flags: i32) {
        let Room { data, control } = room;
        self.call(format!("recv({socket}, {data} and {control}, {flags:#x})"), |stack, _| {
            match stack.calls.recv(socket, room, flags) {
                Ok(taken) => {
                    let nature = stack.nature(socket);
                    stack.ports.received(taken, nature)
                }
                Err(errno) => errno.to_string(),
            }
        });
    }

    /// write(2), or writev(2) of several parts
    pub fn write(&mut self, socket: Sock, parts: &[Vec<u8>]) {
        let shown: Vec<_> = parts.iter().map(|part| text(part)).collect();
        self.call(format!("write({socket}, {shown:?})"), |stack, _| said(stack.calls.write(socket, parts)));
    }

    /// read(2), or readv(2) into several parts of these sizes
    pub fn read(&mut self, socket: Sock, sizes: &[usize]) {
        self.call(format!("read({socket}, {sizes:?})"), |stack, _| match stack.calls.read(socket, sizes) {
            Ok(data) => {
                let nature = stack.nature(socket);
                stack.ports.received(Incoming { len: data.len(), data, ..Incoming::default() }, nature)
            }
            Err(errno) => errno.to_string(),
        });
    }

    /// recvmmsg(2)
    pub fn recv_many(&mut self, socket: Sock, rooms: &[Room], flags: i32) {
        let shown: Vec<_> = rooms.iter().map(|room| (room.data, room.control)).collect();
        self.call(format!("recvmmsg({socket}, {shown:?}, {flags:#x})"), |stack, _| {
            let taken = match stack.calls.recv_many(socket, rooms, flags) {
                Ok(taken) => taken,
                Err(errno) => return errno.to_string(),
            };
            let nature = stack.nature(socket);
            let each = taken.into_iter().map(|one| stack.ports.received(one, nature));
            each.collect::<Vec<_>>().join("; ")
        });
    }

    /// shutdown(2)
    pub fn shutdown(&mut self, socket: Sock, how: i32) {
        let call = format!("shutdown({socket}, {how})");
        self.call(call, |stack, _| did(stack.calls.shutdown(socket, how)));
    }

    /// close(2)
    pub fn close(&mut self, socket: Sock) {
        self.open.remove(&socket);
        self.apart.remove(&socket);
        self.call(format!("close({socket})"), |stack, _| did(stack.calls.close(socket)));
    }

    /// getsockname(2)
    pub fn local(&mut self, socket: Sock) {
        self.call(format!("getsockname({socket})"), |stack, _| {
            let name = stack.calls.local_address(socket);
            stack.ports.named(name)
        });
    }

    /// getpeername(2)
    pub fn peer(&mut self, socket: Sock) {
        self.call(format!("getpeername({socket})"), |stack, _| {
            let name = stack.calls.peer_address(socket);
            stack.ports.named(name)
        });
    }

    /// ioctl(2) of a request that gives an `int`. What SIOCOUTQ says of a stream without a connection is not compared:
    /// see the table of differences.
    pub fn ioctl(&mut self, socket: Sock, request: i32) {
        InStep::ioctl(self, socket, request);
    }

    /// The same, where whatever both say is compared.
    pub fn ioctl_of_any(&mut self, socket: Sock, request: i32) {
        let call = format!("ioctl({socket}, {request:#x})");
        self.call(call, |stack, _| said(stack.calls.ioctl(socket, request)));
    }

    /// The known difference after which the stacks are no longer in the same state.
    fn parting(&self, call: &str, kernel: &str, ours: &str) -> Option<&'static Difference> {
        let mixed = self.domains.len() > 1;
        Difference::parting(call, kernel, ours).filter(|_| mixed)
    }

    /// epoll_ctl(2) of the first instance, with the socket's number as data
    pub fn watch(&mut self, socket: Sock, operation: i32, events: u32) {
        self.watch_by(0, socket, operation, events);
    }

    /// sendfile(2) of a file of 6,000 bytes
    pub fn send_file(&mut self, socket: Sock, offset: i64, count: usize) {
        InStep::send_file(self, socket, offset, count);
    }

    /// epoll_wait(2) of that: all that there is to tell, in the order of the sockets
    pub fn events(&mut self) {
        self.events_of(0);
    }

    fn call(&mut self, call: String, make: impl Fn(&mut Stack, &[Sock]) -> String) {
        self.step(call, |stack, open| make(stack, open).into());
    }

    /// A call that makes a socket: its number, or -1.
    fn made(&mut self, call: String, make: impl Fn(&mut Stack, &[Sock]) -> Outcome) -> Sock {
        self.step(call, make).first().copied().unwrap_or(-1)
    }

    /// Makes `call` on both and compares. Gives the new sockets.
    fn step(&mut self, call: String, make: impl Fn(&mut Stack, &[Sock]) -> Outcome) -> Vec<Sock> {
        if self.difference.is_some() || self.parted {
            return Vec::new();
        }
        let expected = self.expected.take();
        let open = self.open();
        let [kernels, ours] = self.stacks.each_mut().map(|stack| make(stack, &open));
        let [k, o] = [&kernels.text, &ours.text];
        let known = expected
            .or_else(|| Difference::anywhere(Sockets::Internet, k, o))
            .or_else(|| self.parting(&call, k, o));
        let as_expected = match known {
            Some(known) => known.is(&kernels.text, &ours.text),
            None => kernels.text == ours.text,
        };
        if !as_expected {
            let known = expected.map_or(String::new(), |known| format!(", known {:?}", known.what));
            let (kernels, ours) = (kernels.text, ours.text);
            self.difference = Some(format!("{call}{known}:\n  ! kernel {kernels}\n  ! ours   {ours}"));
            return Vec::new();
        }
        self.met.extend(known.map(|known| known.what));
        self.parted |= known.is_some_and(|known| matches!(known.scope, Scope::Parts { .. }));
        self.open.extend(&kernels.new);
        self.compare_rest(&call, &kernels.text);
        kernels.new
    }

    /// Waits until both have come to the same rest.
    fn compare_rest(&mut self, call: &str, outcome: &str) {
        let open: Vec<_> = self.open.difference(&self.apart).copied().collect();
        let began = Instant::now();
        loop {
            let [kernels, ours] = self.stacks.each_mut().map(|stack| stack.rest(&open));
            if kernels == ours {
                self.log.push(format!("{call} = {outcome} [{kernels}]"));
                return;
            }
            if began.elapsed() > self.patience {
                let difference =
                    format!("{call} = {outcome}, and then:\n  ! kernel {kernels}\n  ! ours   {ours}");
                self.difference = Some(difference);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl InStep for World {
    fn both(&mut self, call: String, make: &dyn Fn(&mut dyn SocketCalls) -> Outcome) -> Vec<Sock> {
        let new = self.step(call, |stack, _| make(&mut *stack.calls));
        new.iter().for_each(|number| _ = self.open.remove(number));
        new
    }

    fn instances(&mut self) -> &mut [Option<i32>; 2] {
        &mut self.instances
    }

    fn ioctl(&mut self, socket: Sock, request: i32) {
        let call = format!("ioctl({socket}, {request:#x})");
        let ask = |stack: &mut Stack| {
            let asked = stack.calls.ioctl(socket, request);
            if request == SIOCOUTQ && asked.is_ok() && stack.is_stream_without_peer(socket) {
                return "what is left over".to_owned();
            }
            // What is held back is charged with the buffers that the kernel has put it into.
            if request == SIOCOUTQ
                && asked.is_ok_and(|held| held > 0)
                && stack.number(socket, SO_TYPE) != SOCK_STREAM
            {
                return "some".to_owned();
            }
            said(asked)
        };
        // Acknowledgements may be under way.
        let began = Instant::now();
        while self.difference.is_none() && began.elapsed() < self.patience {
            let [kernels, ours] = self.stacks.each_mut().map(ask);
            if kernels == ours {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.call(call, |stack, _| ask(stack));
    }

    /// Waits until no FIN of the kernel's is under way: it delays the acknowledgement of one, and that is an edge.
    fn settle(&mut self) {
        let open = self.open();
        let began = Instant::now();
        let under_way = |stack: &mut Stack| {
            let state = |socket: &Sock| stack.calls.option(*socket, SOL_TCP, TCP_INFO, 1);
            open.iter().map(state).any(|state| state.is_ok_and(|state| FIN_UNDER_WAY.contains(&state[0])))
        };
        let [kernel, _] = &mut self.stacks;
        while self.difference.is_none() && began.elapsed() < DELAYED && under_way(kernel) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("open", &self.open).finish_non_exhaustive()
    }
}

/// The identifier that the kernel has given out last.
fn next_identifier(kernel: &mut KernelSockets) -> Result<u16, Errno> {
    let socket = kernel.socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)?;
    kernel.bind(socket, &SockAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).as_bytes())?;
    let name = kernel.local_address(socket)?;
    kernel.close(socket)?;
    Ok(u16::from_be_bytes([name[2], name[3]]))
}

fn did(result: Result<(), Errno>) -> String {
    done(result).text
}

fn said<T: fmt::Display>(result: Result<T, Errno>) -> String {
    shown(result).text
}
