//! Calls that read the same whatever the sockets are: waiting, flags, readiness of many, files.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use proptest::prelude::*;
use rustix::fs::MemfdFlags;
use tapsock::bsd::*;

use super::text::{Outcome, done, number, readiness, shown};
use super::{Sock, SocketCalls};

/// How long calls on a socket that waits do so, in microseconds: nothing that comes is still to come then.
const TIME_OUT_MICROS: i64 = 3_000;
/// Bytes of the file that is sent: more than a page.
const FILE_LEN: usize = 6_000;
/// Events that one call takes at most.
const EVENTS_MAX: usize = 64;
/// A request that no socket knows.
const STRANGE_REQUEST: i32 = 0x5460;
/// A number that no socket has.
const NOBODYS: i32 = 77;

/// A call that reads the same for all sockets. `at` counts through those that are open then.
///
/// ```
/// use tapsock_tests::differential::CommonOp;
///
/// assert_eq!(format!("{:?}", CommonOp::Flags { at: 2 }), "Flags { at: 2 }");
/// ```
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are the arguments of the calls")]
pub enum CommonOp {
    /// SO_RCVTIMEO, SO_SNDTIMEO, and O_NONBLOCK taken away, by fcntl(2) or FIONBIO; or set again
    Waits { at: usize, how: Waits, by: Switch },
    /// fcntl(2): the flags that all copies share
    Flags { at: usize },
    /// ioctl(2) of a request that gives an `int`
    Ioctl { at: usize, request: i32 },
    /// select(2); one in `strange` is of no socket
    Select { sets: [Vec<usize>; 3], strange: bool },
    /// sendfile(2)
    SendFile { at: usize, offset: i64, count: usize },
    /// epoll_ctl(2) of one of the two instances
    Watch { instance: usize, at: usize, operation: i32, events: u32 },
    /// epoll_ctl(2) of an instance on the other, or on itself
    Nest { outer: usize, inner: usize, operation: i32, events: u32 },
    /// epoll_wait(2)
    Events { instance: usize },
    /// poll(2) of an instance
    Ready { instance: usize },
}

/// Whether calls on a socket wait.
///
/// ```
/// use tapsock_tests::differential::Waits;
///
/// assert_ne!(Waits::Never, Waits::NoTime);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Waits {
    /// They don't: O_NONBLOCK.
    Never,
    /// For a moment.
    Moment,
    /// They may, and have a time-out below zero, which is no time at all.
    NoTime,
}

/// How O_NONBLOCK is set and taken away.
///
/// ```
/// use tapsock_tests::differential::Switch;
///
/// assert_ne!(Switch::Fcntl, Switch::Ioctl);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Switch {
    /// fcntl(2) with F_SETFL
    Fcntl,
    /// ioctl(2) with FIONBIO
    Ioctl,
}

/// What sequences avoid, since the table of differences knows it.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Avoided {
    /// To Linux each datagram that is gone makes room: edges of that.
    pub(super) edges_of_room: bool,
    /// Linux keeps the last piece back: sendfile(2) beyond the end of the file.
    pub(super) end_of_file: bool,
}

/// Such calls.
pub(super) fn common_op(sockets: usize, avoided: Avoided) -> BoxedStrategy<CommonOp> {
    let at = 0..sockets;
    let set = || prop::collection::vec(0..sockets, 0..4);
    let how =
        prop::sample::select(vec![Waits::Never, Waits::Never, Waits::Moment, Waits::Moment, Waits::NoTime]);
    let offset = prop_oneof![6 => 0i64..20, 1 => 5_990i64..6_010, 1 => Just(-1i64)];
    let count = prop_oneof![4 => 0usize..20, 1 => 0usize..1_400];
    let request = prop::sample::select(vec![FIONREAD, SIOCOUTQ, SIOCATMARK, STRANGE_REQUEST]);
    prop_oneof![
        2 => (at.clone(), request).prop_map(|(at, request)| CommonOp::Ioctl { at, request }),
        3 => (at.clone(), how, prop::sample::select(vec![Switch::Fcntl, Switch::Ioctl]))
            .prop_map(|(at, how, by)| CommonOp::Waits { at, how, by }),
        1 => at.clone().prop_map(|at| CommonOp::Flags { at }),
        4 => ([set(), set(), set()], prop::bool::weighted(0.03))
            .prop_map(|(sets, strange)| CommonOp::Select { sets, strange }),
        3 => (at.clone(), offset, count)
            .prop_map(move |(at, offset, count)| {
                let left = usize::try_from(FILE_LEN as i64 - offset).unwrap_or(0);
                let count = if avoided.end_of_file { count.min(left) } else { count };
                CommonOp::SendFile { at, offset, count }
            }),
        9 => watch(sockets, avoided.edges_of_room),
        2 => nest(),
        9 => (0usize..2).prop_map(|instance| CommonOp::Events { instance }),
        2 => (0usize..2).prop_map(|instance| CommonOp::Ready { instance }),
    ]
    .boxed()
}

fn operation() -> impl Strategy<Value = i32> {
    prop::sample::select(vec![EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL])
}

/// Level-triggered, edge-triggered, one-shot, and exclusive.
fn watch(sockets: usize, avoids_edges: bool) -> impl Strategy<Value = CommonOp> {
    let events =
        prop::sample::select(vec![EPOLLIN, EPOLLOUT, EPOLLIN | EPOLLOUT | EPOLLRDHUP, EPOLLIN | EPOLLOUT, 0]);
    let mode = prop::sample::select(vec![0, EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLEXCLUSIVE | EPOLLET]);
    (0usize..2, 0..sockets, operation(), events, mode).prop_map(
        move |(instance, at, operation, events, mode)| {
            let untold = if avoids_edges && mode & EPOLLET != 0 { EPOLLOUT } else { 0 };
            CommonOp::Watch { instance, at, operation, events: events & !untold | mode }
        },
    )
}

fn nest() -> impl Strategy<Value = CommonOp> {
    let events = prop::sample::select(vec![
        EPOLLIN,
        EPOLLIN | EPOLLET,
        EPOLLIN | EPOLLONESHOT,
        EPOLLIN | EPOLLEXCLUSIVE,
        0,
    ]);
    // Mostly the first watches the second.
    let which = prop_oneof![8 => Just((0usize, 1usize)), 1 => Just((1, 0)), 1 => Just((0, 0))];
    (which, operation(), events).prop_map(|((outer, inner), operation, events)| CommonOp::Nest {
        outer,
        inner,
        operation,
        events,
    })
}

/// Both stacks in step, whatever their sockets are.
pub(super) trait InStep {
    /// Makes a call on both, and compares. Gives the numbers that are new; none of them is a socket.
    fn both(&mut self, call: String, make: &dyn Fn(&mut dyn SocketCalls) -> Outcome) -> Vec<Sock>;

    /// The epoll instances that there are.
    fn instances(&mut self) -> &mut [Option<i32>; 2];

    /// Waits until nothing is under way that makes an edge.
    fn settle(&mut self) {}

    /// Makes a call of a sequence.
    fn apply_common(&mut self, op: &CommonOp, open: &[Sock]) {
        let sock = |at: &usize| if open.is_empty() { NOBODYS } else { open[at % open.len()] };
        match op {
            CommonOp::Waits { at, how, by } => self.set_waits_by(sock(at), *how, *by),
            CommonOp::Flags { at } => self.flags(sock(at)),
            CommonOp::Ioctl { at, request } => self.ioctl(sock(at), *request),
            CommonOp::Select { sets, strange } => {
                let mut sets = sets.each_ref().map(|set| set.iter().map(sock).collect::<Vec<_>>());
                if *strange {
                    sets[0].push(NOBODYS);
                }
                self.select(&sets);
            }
            CommonOp::SendFile { at, offset, count } => self.send_file(sock(at), *offset, *count),
            CommonOp::Watch { instance, at, operation, events } => {
                self.watch_by(*instance, sock(at), *operation, *events);
            }
            CommonOp::Nest { outer, inner, operation, events } => {
                let watched = self.instance(*inner);
                self.watch_by(*outer, watched, *operation, *events);
            }
            CommonOp::Events { instance } => self.events_of(*instance),
            CommonOp::Ready { instance } => {
                let epoll = self.instance(*instance);
                self.settle();
                self.both(format!("poll({epoll})"), &|calls| {
                    readiness(&[epoll], &calls.poll(&[epoll])).into()
                });
            }
        }
    }

    /// SO_RCVTIMEO and SO_SNDTIMEO, and O_NONBLOCK taken away, so that nothing waits for long; or O_NONBLOCK.
    fn set_waits(&mut self, socket: Sock, how: Waits) {
        self.set_waits_by(socket, how, Switch::Fcntl);
    }

    /// The same, by either call.
    fn set_waits_by(&mut self, socket: Sock, how: Waits, by: Switch) {
        let time = match how {
            Waits::Never => None,
            Waits::Moment => Some([0, TIME_OUT_MICROS]),
            Waits::NoTime => Some([-1, 0]),
        };
        for name in time.iter().flat_map(|_| [SO_RCVTIMEO, SO_SNDTIMEO]) {
            let value = time.unwrap_or_default().map(i64::to_ne_bytes).concat();
            self.both(format!("setsockopt({socket}, {name}, {time:?})"), &|calls| {
                done(calls.set_option(socket, SOL_SOCKET, name, &value))
            });
        }
        if by == Switch::Ioctl {
            let on = time.is_none();
            self.both(format!("ioctl({socket}, FIONBIO, {on})"), &|calls| {
                done(calls.set_nonblocking(socket, on))
            });
            return;
        }
        let flags = if time.is_some() { O_RDWR } else { O_RDWR | O_NONBLOCK };
        self.both(format!("fcntl({socket}, F_SETFL, {flags:#x})"), &|calls| {
            shown(calls.fcntl(socket, F_SETFL, flags))
        });
    }

    /// ioctl(2) of a request that gives an `int`
    fn ioctl(&mut self, socket: Sock, request: i32) {
        self.both(format!("ioctl({socket}, {request:#x})"), &|calls| shown(calls.ioctl(socket, request)));
    }

    /// F_GETFL
    fn flags(&mut self, socket: Sock) {
        self.both(format!("fcntl({socket}, F_GETFL)"), &|calls| {
            shown(calls.fcntl(socket, F_GETFL, 0).map(|flags| flags & (O_RDWR | O_NONBLOCK)))
        });
    }

    /// What accept4(2) has made of its flags. Where it would wait, it gets time-outs.
    fn on_accepted(&mut self, accepted: Sock) {
        if accepted < 0 {
            return;
        }
        self.flags(accepted);
        self.is_closed_on_exec(accepted);
    }

    /// F_GETFD
    fn is_closed_on_exec(&mut self, socket: Sock) {
        self.both(format!("fcntl({socket}, F_GETFD)"), &|calls| shown(calls.fcntl(socket, F_GETFD, 0)));
    }

    /// select(2)
    fn select(&mut self, sets: &[Vec<Sock>; 3]) {
        self.both(format!("select({sets:?})"), &|calls| match calls.select(sets) {
            Ok(ready) => format!("{ready:?}").into(),
            Err(errno) => errno.to_string().into(),
        });
    }

    /// sendfile(2)
    fn send_file(&mut self, socket: Sock, offset: i64, count: usize) {
        self.both(format!("sendfile({socket}, from {offset}, {count})"), &|calls| match calls.send_file(
            socket,
            file().as_fd(),
            offset,
            count,
        ) {
            Ok((went, offset)) => format!("{went}, then at {offset}").into(),
            Err(errno) => errno.to_string().into(),
        });
    }

    /// The number of an instance, which is made where there is none yet.
    fn instance(&mut self, which: usize) -> Sock {
        if let Some(made) = self.instances()[which] {
            return made;
        }
        let new = self.both("epoll_create()".to_owned(), &|calls| number(calls.epoll()));
        let made = new.first().copied().unwrap_or(NOBODYS);
        self.instances()[which] = Some(made);
        made
    }

    /// epoll_ctl(2) with the number of what is watched as data
    fn watch_by(&mut self, instance: usize, watched: Sock, operation: i32, events: u32) {
        let epoll = self.instance(instance);
        self.both(format!("epoll_ctl({epoll}, {operation}, {watched}, {events:#x})"), &|calls| {
            done(calls.epoll_control(epoll, operation, watched, events))
        });
    }

    /// epoll_wait(2): all that there is to tell, in the order of the numbers
    fn events_of(&mut self, instance: usize) {
        let epoll = self.instance(instance);
        self.settle();
        self.both(format!("epoll_wait({epoll})"), &|calls| match calls.epoll_wait(epoll, EVENTS_MAX) {
            Ok(mut events) => {
                events.sort_unstable();
                let each = events.iter().map(|(watched, events)| format!("{watched}: {events:#x}"));
                each.collect::<Vec<_>>().join(", ").into()
            }
            Err(errno) => errno.to_string().into(),
        });
    }
}

/// What is sent by sendfile(2).
fn file() -> &'static File {
    static FILE: OnceLock<File> = OnceLock::new();
    FILE.get_or_init(|| {
        let made = rustix::fs::memfd_create("tapsock", MemfdFlags::CLOEXEC).expect("a file in memory");
        let mut file = File::from(made);
        let bytes: Vec<u8> = (0..FILE_LEN).map(|at| b'A' + (at % 23) as u8).collect();
        file.write_all(&bytes).expect("room in memory");
        file
    })
}
