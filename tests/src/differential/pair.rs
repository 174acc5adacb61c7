//! Both stacks in step: each call is made on one and on the other, and then they are compared.

use std::collections::BTreeSet;
use std::fmt::{self, Debug, Write};
use std::sync::{Arc, mpsc};
use std::thread;

use tapsock::bsd::{AF_UNIX, F_SETFL, O_NONBLOCK, O_RDWR, SO_PEERCRED, SOL_SOCKET};

use super::common::InStep;
use super::text::{
    Outcome, address, credentials, done, first, number, readiness, received, shown, text, value,
};
use super::{
    Difference, KERNEL_RELEASE, KernelSockets, Name, OurSockets, Outgoing, Place, Room, Shower, SocketCalls,
    Sockets, Waits,
};
use crate::sides::PATIENCE;

/// Room for all that may come with a message, in bytes.
const CONTROL_ROOM: usize = 4096;
/// `sizeof(struct ucred)`.
const UCRED: usize = 12;

/// A program of calls.
pub type Program = fn(&mut Both);

/// A socket of a program, by its number, the same on both stacks; -1 stands for one that could not be made.
pub type Sock = i32;

/// Runs programs, each on fresh stacks.
///
/// # Panics
/// Where the stacks' answers differ, or one gives none.
pub fn run(programs: &[(&str, Program)]) {
    let failures: Vec<_> = programs.iter().filter_map(|(name, program)| failure_of(name, *program)).collect();
    assert!(failures.is_empty(), "\n{}\n(ours follows {KERNEL_RELEASE})", failures.join("\n"));
}

fn failure_of(name: &str, program: Program) -> Option<String> {
    let (done, finished) = mpsc::channel();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let mut both = Both::new();
            program(&mut both);
            let failure = both.difference().map(|difference| both.log().join("\n") + "\n" + difference);
            // The directory goes before the process may.
            drop(both);
            // Nobody waits any more where it has taken too long.
            let _ = done.send(failure);
        })
        .expect("a thread");
    let outcome = finished.recv_timeout(PATIENCE);
    let failure = outcome.unwrap_or_else(|error| Some(format!("it came to no end ({error})")));
    failure.map(|failure| format!("{name}:\n{failure}"))
}

/// Both stacks, and what they answered. After the first difference nothing is called any more.
///
/// ```
/// use tapsock::bsd::{SOCK_NONBLOCK, SOCK_STREAM};
/// use tapsock_tests::differential::Both;
///
/// let mut both = Both::new();
/// let [near, far] = both.pair(SOCK_STREAM | SOCK_NONBLOCK);
/// both.send(near, b"hello", 0);
/// both.recv(far, 10, 0);
/// assert_eq!(both.difference(), None);
/// assert_eq!(both.log().last().unwrap(), "recv(1, 10, 0x0) = 5: \"hello\" [0 OUT, 1 OUT]");
/// ```
pub struct Both {
    place: Arc<Place>,
    stacks: [Stack; 2],
    open: BTreeSet<Sock>,
    /// A difference that the next call must show.
    expected: Option<&'static Difference>,
    met: BTreeSet<&'static str>,
    log: Vec<String>,
    difference: Option<String>,
    instances: [Option<i32>; 2],
    /// Whether sockets are passed that may come to lie in queues which nobody can read.
    passes: bool,
}

struct Stack {
    calls: Box<dyn SocketCalls>,
    shower: Shower,
}

impl Both {
    /// Fresh stacks, the kernel's with names of its own.
    #[expect(clippy::new_without_default, reason = "it makes a directory and threads")]
    pub fn new() -> Both {
        let place = Arc::new(Place::new());
        let stack = |calls| Stack { calls, shower: Shower::default() };
        let kernel = stack(Box::new(KernelSockets::local()));
        let ours = stack(Box::new(OurSockets::new()));
        Both {
            place,
            stacks: [kernel, ours],
            open: BTreeSet::new(),
            expected: None,
            met: BTreeSet::new(),
            log: Vec::new(),
            difference: None,
            instances: [None; 2],
            passes: false,
        }
    }

    /// From now on both stacks collect what nobody can reach before the next call: the kernel does it when it sees fit.
    pub fn collect_at_once(&mut self) {
        self.passes = true;
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

    /// The next call differs as the table of differences says. It must leave both stacks in the same state.
    pub fn known(&mut self, what: &str) {
        self.expected = Some(Difference::named(what));
    }

    /// socket(2)
    pub fn socket(&mut self, kind: i32) -> Sock {
        self.socket_of(kind, 0)
    }

    /// socket(2) with a protocol
    pub fn socket_of(&mut self, kind: i32, protocol: i32) -> Sock {
        let call = format!("socket({kind:#x}, {protocol})");
        first(&self.step(call, |stack, _| number(stack.calls.socket(AF_UNIX, kind, protocol))))
    }

    /// socketpair(2)
    pub fn pair(&mut self, kind: i32) -> [Sock; 2] {
        self.pair_of(kind, 0)
    }

    /// socketpair(2) with a protocol
    pub fn pair_of(&mut self, kind: i32, protocol: i32) -> [Sock; 2] {
        let new = self.step(format!("socketpair({kind:#x}, {protocol})"), |stack, _| {
            match stack.calls.pair(AF_UNIX, kind, protocol) {
                Ok(pair) => Outcome { text: format!("{pair:?}"), new: pair.to_vec() },
                Err(errno) => errno.to_string().into(),
            }
        });
        [first(&new), new.get(1).copied().unwrap_or(-1)]
    }

    /// dup(2)
    pub fn dup(&mut self, socket: Sock) -> Sock {
        first(&self.step(format!("dup({socket})"), |stack, _| number(stack.calls.dup(socket))))
    }

    /// bind(2)
    pub fn bind(&mut self, socket: Sock, name: Name) {
        self.step(format!("bind({socket}, {name})"), |stack, place| {
            done(stack.calls.bind(socket, &place.bytes(&name)))
        });
    }

    /// unlink(2)
    pub fn unlink(&mut self, path: &str) {
        self.step(format!("unlink({path})"), |stack, place| done(stack.calls.unlink(&place.path(path))));
    }

    /// listen(2)
    pub fn listen(&mut self, socket: Sock, backlog: i32) {
        let call = format!("listen({socket}, {backlog})");
        self.step(call, |stack, _| done(stack.calls.listen(socket, backlog)));
    }

    /// accept4(2)
    pub fn accept(&mut self, socket: Sock, flags: i32) -> Sock {
        let new = self.step(format!("accept({socket}, {flags:#x})"), |stack, place| {
            match stack.calls.accept(socket, flags) {
                Ok((new, peer)) => {
                    let text = format!("{new} from {}", stack.shower.show(place, &peer));
                    Outcome { text, new: vec![new] }
                }
                Err(errno) => errno.to_string().into(),
            }
        });
        first(&new)
    }

    /// connect(2)
    pub fn connect(&mut self, socket: Sock, name: Name) {
        self.step(format!("connect({socket}, {name})"), |stack, place| {
            done(stack.calls.connect(socket, &place.bytes(&name)))
        });
    }

    /// send(2) with MSG_NOSIGNAL
    pub fn send(&mut self, socket: Sock, data: &[u8], flags: i32) {
        self.send_message(socket, data, flags, None, &[]);
    }

    /// sendto(2)
    pub fn send_to(&mut self, socket: Sock, data: &[u8], to: Name) {
        self.send_message(socket, data, 0, Some(to), &[]);
    }

    /// sendmsg(2) with sockets
    pub fn send_message(&mut self, socket: Sock, data: &[u8], flags: i32, to: Option<Name>, rights: &[Sock]) {
        self.send_beside(socket, data, flags, to, &[], rights);
    }

    /// sendmsg(2) with control messages, and with sockets
    pub fn send_beside(
        &mut self,
        socket: Sock,
        data: &[u8],
        flags: i32,
        to: Option<Name>,
        control: &[u8],
        rights: &[Sock],
    ) {
        let mut call = format!("send({socket}, {}, {flags:#x}", text(data));
        if let Some(to) = to {
            let _ = write!(call, ", to {to}");
        }
        if !control.is_empty() {
            let _ = write!(call, ", beside {control:?}");
        }
        if !rights.is_empty() {
            let _ = write!(call, ", with {rights:?}");
        }
        self.step(call + ")", |stack, place| {
            let to = to.map(|to| place.bytes(&to));
            let message = Outgoing { data, control, rights, to: to.as_deref() };
            shown(stack.calls.send(socket, &message, flags))
        });
    }

    /// sendmmsg(2)
    pub fn send_many(&mut self, socket: Sock, messages: &[Vec<u8>], flags: i32, to: Option<Name>) {
        let mut call = format!("sendmmsg({socket}, {:?}, {flags:#x}", messages.iter().map(|one| text(one)));
        if let Some(to) = to {
            let _ = write!(call, ", to {to}");
        }
        self.step(call + ")", |stack, place| {
            let to = to.map(|to| place.bytes(&to));
            let each = messages.iter().map(|data| Outgoing { to: to.as_deref(), ..Outgoing::of(data) });
            let sent = stack.calls.send_many(socket, &each.collect::<Vec<_>>(), flags);
            sent.map_or_else(|errno| errno.to_string(), |sent| format!("{sent:?}")).into()
        });
    }

    /// recvmsg(2) with room for all that may come along; the sockets that did.
    pub fn recv(&mut self, socket: Sock, max: usize, flags: i32) -> Vec<Sock> {
        self.recv_into(socket, Room { data: max, control: CONTROL_ROOM }, flags)
    }

    /// recvmsg(2); the sockets that came along.
    pub fn recv_into(&mut self, socket: Sock, room: Room, flags: i32) -> Vec<Sock> {
        let beside = match room.control {
            CONTROL_ROOM => String::new(),
            room => format!(", {room} bytes beside"),
        };
        self.step(format!("recv({socket}, {}{beside}, {flags:#x})", room.data), |stack, place| {
            match stack.calls.recv(socket, room, flags) {
                Ok(taken) => received(taken, &mut stack.shower, place),
                Err(errno) => errno.to_string().into(),
            }
        })
    }

    /// write(2), or writev(2) of several parts
    pub fn write(&mut self, socket: Sock, parts: &[Vec<u8>]) {
        let shown_parts: Vec<_> = parts.iter().map(|part| text(part)).collect();
        self.step(format!("write({socket}, {shown_parts:?})"), |stack, _| {
            shown(stack.calls.write(socket, parts))
        });
    }

    /// read(2), or readv(2) into several parts of these sizes
    pub fn read(&mut self, socket: Sock, sizes: &[usize]) {
        self.step(format!("read({socket}, {sizes:?})"), |stack, _| match stack.calls.read(socket, sizes) {
            Ok(data) => format!("{}: {}", data.len(), text(&data)).into(),
            Err(errno) => errno.to_string().into(),
        });
    }

    /// recvmmsg(2); the sockets that came along.
    pub fn recv_many(&mut self, socket: Sock, sizes: &[usize], flags: i32) -> Vec<Sock> {
        let rooms: Vec<_> = sizes.iter().map(|data| Room { data: *data, control: CONTROL_ROOM }).collect();
        self.step(format!("recvmmsg({socket}, {sizes:?}, {flags:#x})"), |stack, place| {
            let taken = match stack.calls.recv_many(socket, &rooms, flags) {
                Ok(taken) => taken,
                Err(errno) => return errno.to_string().into(),
            };
            let each = taken.into_iter().map(|one| received(one, &mut stack.shower, place));
            let (texts, new): (Vec<_>, Vec<_>) = each.map(|one| (one.text, one.new)).unzip();
            Outcome { text: texts.join("; "), new: new.concat() }
        })
    }

    /// shutdown(2)
    pub fn shutdown(&mut self, socket: Sock, how: i32) {
        self.step(format!("shutdown({socket}, {how})"), |stack, _| done(stack.calls.shutdown(socket, how)));
    }

    /// close(2)
    pub fn close(&mut self, socket: Sock) {
        self.open.remove(&socket);
        self.step(format!("close({socket})"), |stack, _| done(stack.calls.close(socket)));
    }

    /// getsockname(2)
    pub fn local(&mut self, socket: Sock) {
        self.step(format!("getsockname({socket})"), |stack, place| {
            let name = stack.calls.local_address(socket);
            address(name, &mut stack.shower, place)
        });
    }

    /// getpeername(2)
    pub fn peer(&mut self, socket: Sock) {
        self.step(format!("getpeername({socket})"), |stack, place| {
            let name = stack.calls.peer_address(socket);
            address(name, &mut stack.shower, place)
        });
    }

    /// getsockopt(2) of an `int`
    pub fn option(&mut self, socket: Sock, level: i32, name: i32) {
        self.option_in(socket, level, name, size_of::<i32>());
    }

    /// getsockopt(2) into so many bytes
    pub fn option_in(&mut self, socket: Sock, level: i32, name: i32, room: usize) {
        let call = format!("getsockopt({socket}, {level}, {name})");
        self.step(call, |stack, _| match stack.calls.option(socket, level, name, room) {
            Ok(bytes) => value(&bytes).into(),
            Err(errno) => errno.to_string().into(),
        });
    }

    /// setsockopt(2), and what getsockopt(2) says then, which is what a known difference stands for
    pub fn set_option(&mut self, socket: Sock, level: i32, name: i32, value: i32) {
        let call = format!("setsockopt({socket}, {level}, {name}, {value})");
        let expected = self.expected.take();
        let bytes = value.to_ne_bytes();
        self.step(call, |stack, _| done(stack.calls.set_option(socket, level, name, &bytes)));
        self.expected = expected;
        self.option(socket, level, name);
    }

    /// setsockopt(2) to any bytes
    pub fn set_option_to(&mut self, socket: Sock, level: i32, name: i32, value: &[u8]) {
        let call = format!("setsockopt({socket}, {level}, {name}, {value:?})");
        self.step(call, |stack, _| done(stack.calls.set_option(socket, level, name, value)));
    }

    /// SO_PEERCRED
    pub fn peer_credentials(&mut self, socket: Sock) {
        self.step(format!("SO_PEERCRED({socket})"), |stack, _| {
            match stack.calls.option(socket, SOL_SOCKET, SO_PEERCRED, UCRED) {
                Ok(bytes) => credentials(&bytes).unwrap_or_else(|| format!("{bytes:?}")).into(),
                Err(errno) => errno.to_string().into(),
            }
        });
    }

    /// O_NONBLOCK
    pub fn set_nonblocking(&mut self, socket: Sock, on: bool) {
        let flags = if on { O_RDWR | O_NONBLOCK } else { O_RDWR };
        let call = format!("O_NONBLOCK({socket}, {on})");
        self.step(call, |stack, _| shown(stack.calls.fcntl(socket, F_SETFL, flags)));
    }

    /// Whether calls on it wait, and for how long (SO_RCVTIMEO, SO_SNDTIMEO).
    pub fn set_waits(&mut self, socket: Sock, how: Waits) {
        InStep::set_waits(self, socket, how);
    }

    /// A listener at `name`.
    pub fn listener(&mut self, kind: i32, name: Name, backlog: i32) -> Sock {
        let listener = self.socket(kind);
        self.bind(listener, name);
        self.listen(listener, backlog);
        listener
    }

    /// Makes `call` on both and compares. Gives the new sockets.
    fn step(&mut self, call: String, make: impl Fn(&mut Stack, &Place) -> Outcome) -> Vec<Sock> {
        if self.difference.is_some() {
            return Vec::new();
        }
        let expected = self.expected.take();
        let [kernel, ours] = &mut self.stacks;
        let [kernels, ours] = [make(kernel, &self.place), make(ours, &self.place)];
        let known = expected.or_else(|| Difference::anywhere(Sockets::Local, &kernels.text, &ours.text));
        let as_expected = match known {
            Some(known) => known.is(&kernels.text, &ours.text),
            None => kernels.text == ours.text,
        };
        self.met.extend(known.filter(|_| as_expected).map(|known| known.what));
        if !as_expected {
            let known = expected.map_or(String::new(), |known| format!(", known {:?}", known.what));
            let (kernels, ours) = (kernels.text, ours.text);
            self.difference = Some(format!("{call}{known}:\n  ! kernel {kernels}\n  ! ours   {ours}"));
            return Vec::new();
        }
        self.open.extend(&kernels.new);
        // What can take the last share of a socket that others can reach.
        let lets_go = ["close", "recv", "read", "connect"].iter().any(|name| call.starts_with(name));
        if self.passes && lets_go {
            self.stacks.iter_mut().for_each(|stack| stack.calls.collect());
        }
        self.compare_readiness(&call, &kernels.text);
        kernels.new
    }

    fn compare_readiness(&mut self, call: &str, outcome: &str) {
        let open = self.open();
        let [kernels, ours] = self.stacks.each_mut().map(|stack| readiness(&open, &stack.calls.poll(&open)));
        if kernels != ours {
            self.difference =
                Some(format!("{call} = {outcome}, and then poll:\n  ! kernel {kernels}\n  ! ours   {ours}"));
            return;
        }
        self.log.push(format!("{call} = {outcome} [{kernels}]"));
    }
}

impl InStep for Both {
    fn both(&mut self, call: String, make: &dyn Fn(&mut dyn SocketCalls) -> Outcome) -> Vec<Sock> {
        let new = self.step(call, |stack, _| make(&mut *stack.calls));
        new.iter().for_each(|number| _ = self.open.remove(number));
        new
    }

    fn instances(&mut self) -> &mut [Option<i32>; 2] {
        &mut self.instances
    }
}

impl Debug for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Both").field("open", &self.open).finish_non_exhaustive()
    }
}
