//! Sequences of calls that are drawn at random, for sockets of one type.

use std::fmt::Write;

use proptest::prelude::*;
use tapsock::bsd::*;

use super::common::{Avoided, InStep, common_op};
use super::{Both, CommonOp, ControlMessage, Name, Room, Sock, Waits};

/// Sockets that a sequence has open at most.
const SOCKETS_MAX: usize = 8;
/// Calls of a sequence at most.
const CALLS_MAX: usize = 60;
/// Messages that one call sends or receives at most.
const MANY: usize = 4;

/// The names that sequences use: few, so that the calls meet.
const NAMES: [Name; 5] =
    [Name::Path("a"), Name::Path("b"), Name::Abstract("a"), Name::Abstract("b"), Name::Unnamed];
/// Of those, paths.
const PATHS: [&str; 2] = ["a", "b"];

/// A sequence, and the type of its sockets.
///
/// ```
/// use tapsock::bsd::SOCK_STREAM;
/// use tapsock_tests::differential::{Op, Plan, run_plan};
///
/// let ops = vec![Op::Pair, Op::SendMany { at: 1, lens: vec![3], flags: 0, to: None }];
/// assert_eq!(run_plan(&Plan { kind: SOCK_STREAM, ops }), Ok(()));
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    /// SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
    pub kind: i32,
    /// The calls.
    pub ops: Vec<Op>,
}

/// One call. `at` counts through the sockets that are open then.
///
/// ```
/// use tapsock_tests::differential::Op;
///
/// assert_eq!(format!("{:?}", Op::Close { at: 2 }), "Close { at: 2 }");
/// ```
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "they are the arguments of the calls")]
pub enum Op {
    /// socket(2); of another type than the sequence's where it says so
    Socket { other: Option<i32> },
    /// socketpair(2)
    Pair,
    /// dup(2)
    Dup { at: usize },
    /// bind(2)
    Bind { at: usize, name: usize },
    /// unlink(2)
    Unlink { path: usize },
    /// listen(2)
    Listen { at: usize, backlog: i32 },
    /// accept4(2)
    Accept { at: usize, flags: i32 },
    /// connect(2); with no name to AF_UNSPEC
    Connect { at: usize, name: Option<usize> },
    /// sendmsg(2), with control messages in bytes, and with sockets
    Send { at: usize, len: usize, flags: i32, to: Option<usize>, control: Vec<u8>, rights: Vec<Passed> },
    /// sendmmsg(2)
    SendMany { at: usize, lens: Vec<usize>, flags: i32, to: Option<usize> },
    /// recvmsg(2)
    Recv { at: usize, room: Room, flags: i32 },
    /// write(2) and writev(2)
    Write { at: usize, lens: Vec<usize> },
    /// read(2) and readv(2)
    Read { at: usize, sizes: Vec<usize> },
    /// recvmmsg(2)
    RecvMany { at: usize, sizes: Vec<usize>, flags: i32 },
    /// shutdown(2)
    Shutdown { at: usize, how: i32 },
    /// close(2)
    Close { at: usize },
    /// getsockname(2) and getpeername(2)
    Names { at: usize },
    /// setsockopt(2) of one of the options
    SetOption { at: usize, name: i32, value: i32 },
    /// getsockopt(2) of one of the options
    Option { at: usize, name: i32 },
    /// SO_PEERCRED
    PeerCredentials { at: usize },
    /// What reads the same for sockets of the internet
    Common(CommonOp),
}

/// What a message passes.
///
/// ```
/// use tapsock_tests::differential::Passed;
///
/// assert_ne!(Passed::Parcel, Passed::Own(0));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Passed {
    /// A socket that is good for nothing else.
    Parcel,
    /// One of the sequence's, so that sockets may lie in each other's queues, and in their own.
    Own(usize),
}

/// Sequences of sockets of type `kind`.
pub fn plan(kind: i32) -> impl Strategy<Value = Plan> {
    let ops = |passes| prop::collection::vec(op(kind, passes), 1..CALLS_MAX);
    prop_oneof![9 => ops(false), 1 => ops(true)].prop_map(move |ops| Plan { kind, ops })
}

/// Runs a sequence on both stacks.
///
/// # Errors
/// The first difference, and the calls until then.
pub fn run_plan(plan: &Plan) -> Result<(), String> {
    let mut both = Both::new();
    // What is sent with messages. It takes no part otherwise.
    let parcel = both.socket(SOCK_STREAM);
    let mut next = 0u8;
    let passes = |op: &Op| matches!(op, Op::Send { rights, .. } if rights.iter().any(|right| *right != Passed::Parcel));
    if plan.ops.iter().any(passes) {
        both.collect_at_once();
    }
    for op in &plan.ops {
        apply(&mut both, plan.kind, op, parcel, &mut next);
        if let Some(difference) = both.difference() {
            let mut text = both.log().join("\n");
            let _ = write!(text, "\n{difference}");
            return Err(text);
        }
    }
    Ok(())
}

fn apply(both: &mut Both, kind: i32, op: &Op, parcel: Sock, next: &mut u8) {
    let open: Vec<Sock> = both.open().into_iter().filter(|socket| *socket != parcel).collect();
    // A number that no socket has, where none is open.
    let sock = |at: &usize| if open.is_empty() { 77 } else { open[at % open.len()] };
    let crowded = open.len() + 2 > SOCKETS_MAX;
    match op {
        Op::Socket { .. } | Op::Pair | Op::Dup { .. } | Op::Accept { .. } if crowded => {}
        Op::Socket { other } => drop(both.socket(other.unwrap_or(kind) | SOCK_NONBLOCK)),
        Op::Pair => drop(both.pair(kind | SOCK_NONBLOCK)),
        Op::Dup { at } => drop(both.dup(sock(at))),
        Op::Bind { at, name } => both.bind(sock(at), NAMES[name % NAMES.len()]),
        Op::Unlink { path } => both.unlink(PATHS[path % PATHS.len()]),
        Op::Listen { at, backlog } => both.listen(sock(at), *backlog),
        Op::Accept { at, flags } => {
            let accepted = both.accept(sock(at), *flags);
            both.on_accepted(accepted);
            if accepted >= 0 && flags & SOCK_NONBLOCK == 0 {
                both.set_waits(accepted, Waits::Moment);
            }
        }
        Op::Connect { at, name } => {
            both.connect(sock(at), name.map_or(Name::Unspec, |name| NAMES[name % NAMES.len()]));
        }
        Op::Common(op) => both.apply_common(op, &open),
        Op::Send { .. }
        | Op::SendMany { .. }
        | Op::Write { .. }
        | Op::Read { .. }
        | Op::Recv { .. }
        | Op::RecvMany { .. } => {
            transfer(both, op, sock, parcel, next);
        }
        Op::Shutdown { at, how } => both.shutdown(sock(at), *how),
        Op::Close { at } => both.close(sock(at)),
        Op::Names { at } => {
            both.local(sock(at));
            both.peer(sock(at));
        }
        Op::SetOption { at, name, value } => both.set_option(sock(at), SOL_SOCKET, *name, *value),
        Op::Option { at, name } => both.option(sock(at), SOL_SOCKET, *name),
        Op::PeerCredentials { at } => both.peer_credentials(sock(at)),
    }
}

/// The calls that send and receive.
fn transfer(both: &mut Both, op: &Op, sock: impl Fn(&usize) -> Sock, parcel: Sock, next: &mut u8) {
    let mut data = |len: usize| -> Vec<u8> {
        let first = *next;
        *next = next.wrapping_add(37);
        (0..len).map(|at| b'a' + first.wrapping_add((at % 251) as u8) % 26).collect()
    };
    let named = |to: &Option<usize>| to.map(|to| NAMES[to % NAMES.len()]);
    let rights = match op {
        Op::Send { at, len, flags, to, control, rights } => {
            let passed = rights.iter().map(|right| match right {
                Passed::Parcel => parcel,
                Passed::Own(at) => sock(at),
            });
            let passed: Vec<_> = passed.collect();
            both.send_beside(sock(at), &data(*len), *flags, named(to), control, &passed);
            Vec::new()
        }
        Op::SendMany { at, lens, flags, to } => {
            let messages: Vec<_> = lens.iter().map(|len| data(*len)).collect();
            both.send_many(sock(at), &messages, *flags, named(to));
            Vec::new()
        }
        Op::Write { at, lens } => {
            let parts: Vec<_> = lens.iter().map(|len| data(*len)).collect();
            both.write(sock(at), &parts);
            Vec::new()
        }
        Op::Read { at, sizes } => {
            both.read(sock(at), sizes);
            Vec::new()
        }
        Op::Recv { at, room, flags } => both.recv_into(sock(at), *room, *flags),
        Op::RecvMany { at, sizes, flags } => both.recv_many(sock(at), sizes, *flags),
        _ => unreachable!("the others have been made"),
    };
    for right in rights {
        both.is_closed_on_exec(right);
        both.close(right);
    }
}

/// Those in which sockets pass each other take long: the kernel is waited for, as it collects them.
fn op(kind: i32, passes: bool) -> BoxedStrategy<Op> {
    let avoided = Avoided { edges_of_room: kind != SOCK_STREAM, end_of_file: false };
    prop_oneof![
        10 => beginnings(kind),
        9 => transfers(passes),
        3 => endings(),
        3 => options(),
        4 => common_op(SOCKETS_MAX, avoided).prop_map(Op::Common),
    ]
    .boxed()
}

/// Calls that make sockets and connect them.
fn beginnings(kind: i32) -> impl Strategy<Value = Op> {
    let at = 0..SOCKETS_MAX;
    let name = 0..NAMES.len();
    let kinds = [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET].map(Just).to_vec();
    let other = prop_oneof![6 => Just(kind), 1 => prop::sample::select(
        kinds.iter().map(|kind| kind.0).collect::<Vec<_>>()
    )];
    let to = prop_oneof![1 => Just(None), 6 => name.clone().prop_map(Some)];
    let flags = prop_oneof![
        8 => Just(SOCK_NONBLOCK),
        1 => Just(SOCK_NONBLOCK | SOCK_CLOEXEC),
        1 => Just(SOCK_CLOEXEC),
        1 => Just(0),
        1 => Just(1),
    ];
    prop_oneof![
        5 => other.prop_map(|other| Op::Socket { other: Some(other) }),
        2 => Just(Op::Pair),
        1 => at.clone().prop_map(|at| Op::Dup { at }),
        6 => (at.clone(), name).prop_map(|(at, name)| Op::Bind { at, name }),
        1 => (0..PATHS.len()).prop_map(|path| Op::Unlink { path }),
        6 => (at.clone(), -1i32..4).prop_map(|(at, backlog)| Op::Listen { at, backlog }),
        6 => (at.clone(), flags).prop_map(|(at, flags)| Op::Accept { at, flags }),
        10 => (at.clone(), to).prop_map(|(at, name)| Op::Connect { at, name }),
        2 => at.prop_map(|at| Op::Names { at }),
    ]
}

/// Calls that send and receive.
fn transfers(passes: bool) -> impl Strategy<Value = Op> {
    let at = 0..SOCKETS_MAX;
    let name = 0..NAMES.len();
    let len = prop_oneof![8 => 0usize..9, 2 => 0usize..9000, 1 => 0usize..250_000];
    let max = prop_oneof![6 => 0usize..12, 1 => 0usize..250_000];
    let to = prop_oneof![4 => Just(None), 1 => name.prop_map(Some)];
    let send_flags = flags(&[
        (MSG_DONTWAIT, 0.2),
        (MSG_EOR, 0.1),
        (MSG_OOB, 0.1),
        (MSG_MORE, 0.1),
        (MSG_CONFIRM, 0.1),
        (MSG_ZEROCOPY, 0.1),
    ]);
    let recv_flags = flags(&[
        (MSG_DONTWAIT, 0.2),
        (MSG_PEEK, 0.3),
        (MSG_WAITALL, 0.1),
        (MSG_TRUNC, 0.2),
        (MSG_OOB, 0.1),
        (MSG_ERRQUEUE, 0.05),
        (MSG_CMSG_CLOEXEC, 0.1),
    ]);
    let own = if passes { 3 } else { 0 };
    let passed = prop_oneof![1 => Just(Passed::Parcel), own => (0..SOCKETS_MAX).prop_map(Passed::Own)];
    let rights = prop_oneof![4 => Just(Vec::new()), 1 => prop::collection::vec(passed, 1..5)];
    let control = prop_oneof![9 => Just(Vec::new()), 1 => control()];
    // For all that may come, and for less.
    let room = prop_oneof![4 => Just(4096usize), 1 => 0usize..60];
    let lens = || prop::collection::vec(prop_oneof![8 => 0usize..9, 2 => 0usize..9000], 0..MANY);
    let parts = || prop::collection::vec(prop_oneof![8 => 0usize..9, 2 => 0usize..9000], 1..MANY);
    let many_flags = flags(&[(MSG_DONTWAIT, 0.2), (MSG_EOR, 0.1)]);
    let many_recv_flags =
        flags(&[(MSG_DONTWAIT, 0.2), (MSG_WAITFORONE, 0.3), (MSG_PEEK, 0.1), (MSG_TRUNC, 0.2)]);
    prop_oneof![
        6 => (at.clone(), len, send_flags, to.clone(), control, rights).prop_map(
            |(at, len, flags, to, control, rights)| Op::Send { at, len, flags, to, control, rights }
        ),
        1 => (at.clone(), parts()).prop_map(|(at, lens)| Op::Write { at, lens }),
        2 => (at.clone(), parts()).prop_map(|(at, sizes)| Op::Read { at, sizes }),
        1 => (at.clone(), lens(), many_flags, to)
            .prop_map(|(at, lens, flags, to)| Op::SendMany { at, lens, flags, to }),
        6 => (at.clone(), max, room, recv_flags).prop_map(|(at, data, control, flags)| Op::Recv {
            at,
            room: Room { data, control },
            flags
        }),
        1 => (at, lens(), many_recv_flags).prop_map(|(at, sizes, flags)| Op::RecvMany { at, sizes, flags }),
    ]
}

/// Credentials, true and false, and what no socket knows.
fn control() -> impl Strategy<Value = Vec<u8>> {
    let credentials = |pid: i32, uid: u32, gid: u32| {
        let data = [pid.to_ne_bytes(), uid.to_ne_bytes(), gid.to_ne_bytes()].concat();
        ControlMessage { level: SOL_SOCKET, kind: SCM_CREDENTIALS, data }
    };
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let own = credentials(std::process::id() as i32, uid, gid);
    let unknown = |level, kind| ControlMessage { level, kind, data: vec![0; 4] };
    let messages = vec![
        own.clone(),
        own.clone(),
        // No such process, and no process at all.
        credentials(i32::MAX, uid, gid),
        credentials(0, uid, gid),
        ControlMessage { data: own.data[..8].to_vec(), ..own },
        unknown(SOL_SOCKET, 999),
        unknown(99, 1),
    ];
    let claims = prop_oneof![10 => Just(None), 1 => (0u8..40).prop_map(Some)];
    (prop::sample::select(messages), claims).prop_map(|(message, claims)| {
        let mut bytes = message.bytes();
        if let Some(claim) = claims {
            bytes[0] = claim;
        }
        bytes
    })
}

fn flags(each: &[(i32, f64)]) -> BoxedStrategy<i32> {
    let none = Just(0).boxed();
    each.iter().fold(none, |others, (flag, often)| {
        let flag = *flag;
        (others, prop::bool::weighted(*often))
            .prop_map(move |(others, set)| if set { others | flag } else { others })
            .boxed()
    })
}

/// Calls that end something.
fn endings() -> impl Strategy<Value = Op> {
    let at = 0..SOCKETS_MAX;
    prop_oneof![
        1 => (at.clone(), 0i32..3).prop_map(|(at, how)| Op::Shutdown { at, how }),
        3 => at.prop_map(|at| Op::Close { at }),
    ]
}

fn options() -> impl Strategy<Value = Op> {
    const READ: [i32; 11] = [
        SO_TYPE,
        SO_ACCEPTCONN,
        SO_ERROR,
        SO_ERROR,
        SO_SNDBUF,
        SO_PASSCRED,
        SO_PEEK_OFF,
        SO_RCVLOWAT,
        SO_OOBINLINE,
        SO_TIMESTAMP,
        SO_TIMESTAMPNS,
    ];
    let at = 0..SOCKETS_MAX;
    let set = prop_oneof![
        (Just(SO_SNDBUF), 1i32..60_000),
        (Just(SO_PASSCRED), 0i32..2),
        (Just(SO_PEEK_OFF), -1i32..12),
        (Just(SO_RCVLOWAT), -1i32..9),
        (Just(SO_OOBINLINE), 0i32..2),
        (Just(SO_TIMESTAMP), 0i32..2),
        (Just(SO_TIMESTAMPNS), 0i32..2),
    ];
    prop_oneof![
        2 => (at.clone(), prop::sample::select(READ.to_vec())).prop_map(|(at, name)| Op::Option { at, name }),
        3 => (at.clone(), set).prop_map(|(at, (name, value))| Op::SetOption { at, name, value }),
        1 => at.prop_map(|at| Op::PeerCredentials { at }),
    ]
}
