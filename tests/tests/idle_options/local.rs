//! Local sockets: each option that one takes changes what comes of calls, or stands in the list; each that is only read shows
//! what calls have made of the socket.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tapsock::Errno;
use tapsock::bsd::*;
use tapsock_tests::differential::{Both, KernelSockets, Name, OurSockets, Sock, SocketCalls};
use tapsock_tests::socket_options::{Named, constants, idle};

use super::{LINGER_SECS, alone};

/// The kinds of sockets as `docs/sockets.md` calls them.
const KINDS: [(&str, i32); 3] = [
    ("unix", SOCK_STREAM | SOCK_NONBLOCK),
    ("unixgram", SOCK_DGRAM | SOCK_NONBLOCK),
    ("unixpacket", SOCK_SEQPACKET | SOCK_NONBLOCK),
];

/// How long a call waits that waits for good without the option, or comes back at once; and how often that is tried: a
/// thread that is held up for a while is not taken for one that waits.
const WAIT: Duration = Duration::from_millis(20);
const TRIES: usize = 3;

/// What an option is set to: other than at first, and so that it shows.
fn value_of(name: &str) -> Vec<u8> {
    let numbers: &[i32] = match name {
        "SO_LINGER" => &[1, LINGER_SECS],
        "SO_SNDBUF" => &[4_000],
        "SO_SNDBUFFORCE" => &[9_000_000],
        "SO_RCVLOWAT" => &[1_000],
        "SO_PEEK_OFF" => &[2],
        "SO_RCVTIMEO" | "SO_SNDTIMEO" => return timeval(WAIT),
        _ => &[1],
    };
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

fn timeval(time: Duration) -> Vec<u8> {
    let (secs, micros) = (time.as_secs() as i64, i64::from(time.subsec_micros()));
    [secs, micros].map(i64::to_ne_bytes).concat()
}

/// Names that are shared, queues that fill up, messages that are shorter than asked for, looks at what is there, urgent
/// bytes, and closes.
fn at_once(t: &mut Both, kind: i32, option: Option<&Named>) {
    let prepare = |t: &mut Both, socket: Sock| {
        if let Some(Named { name, level, number, .. }) = option {
            t.set_option_to(socket, *level, *number, &value_of(name));
        }
    };
    let [near, far] = t.pair(kind);
    let [first, second] = [t.socket(kind), t.socket(kind)];
    for socket in [near, far, first, second] {
        prepare(t, socket);
    }
    for name in [Name::Abstract("a"), Name::Path("a")] {
        t.bind(first, name);
        t.bind(second, name);
    }
    t.send(near, b"five!", 0);
    t.send(near, b"urgent", MSG_OOB);
    t.recv(far, 9, MSG_OOB);
    t.recv(far, 9, MSG_PEEK);
    t.recv(far, 3, 0);
    t.recv(far, 9, 0);
    t.send(near, b"direct", MSG_DONTROUTE);
    for _ in 0..300 {
        t.send(near, &[7; 2000], 0);
    }
    t.recv(far, 2000, 0);
    t.recv(far, 2000, 0);
    t.close(near);
    t.send(far, b"x", 0);
    t.close(far);
    t.close(first);
    let again = t.socket(kind);
    prepare(t, again);
    t.bind(again, Name::Path("a"));
}

/// What came of that, but for the options.
fn outcome(kind: i32, option: Option<&Named>) -> Vec<String> {
    let mut both = Both::new();
    at_once(&mut both, kind, option);
    assert_eq!(both.difference(), None, "{kind:#x} {option:?}");
    both.log().iter().filter(|line| !line.contains("etsockopt(")).cloned().collect()
}

/// Whether both stacks wait as the option says, where it is about that.
fn waits(kind: i32, option: &Named) -> bool {
    let waited = || {
        let mut t = Both::new();
        let [near, far] = t.pair(kind);
        let set = |t: &mut Both, socket| {
            t.set_option_to(socket, SOL_SOCKET, option.number, &value_of(&option.name))
        };
        let began = match option.number {
            SO_RCVTIMEO => {
                set(&mut t, far);
                t.set_nonblocking(far, false);
                let began = Instant::now();
                t.recv(far, 9, 0);
                began
            }
            SO_SNDTIMEO => {
                set(&mut t, near);
                while t.difference().is_none() && !t.log().last().is_some_and(|line| line.contains(FULL)) {
                    t.send(near, &[7; 2000], 0);
                }
                t.set_nonblocking(near, false);
                let began = Instant::now();
                t.send(near, &[7; 2000], 0);
                began
            }
            SO_RCVLOWAT => {
                set(&mut t, far);
                t.set_option_to(far, SOL_SOCKET, SO_RCVTIMEO, &timeval(WAIT));
                t.set_nonblocking(far, false);
                t.send(near, b"few", 0);
                let began = Instant::now();
                t.recv(far, 2000, 0);
                began
            }
            _ => return false,
        };
        let took = began.elapsed();
        assert_eq!(t.difference(), None, "{kind:#x} {option:?}");
        // One stack after the other.
        took >= 2 * WAIT - Duration::from_millis(1)
    };
    (0..TRIES).all(|_| waited())
}

/// What is said to who sends and would wait.
const FULL: &str = "temporarily unavailable";

/// What fresh sockets of a kind take, on both stacks, and what they show besides.
fn had(kind: i32) -> [Vec<Named>; 2] {
    let (mut kernel, mut ours) = (KernelSockets::local(), OurSockets::new());
    let source = fs::read_to_string(root().join("sockets/src/constants.rs")).unwrap();
    let [mut taken, mut shown] = [Vec::new(), Vec::new()];
    for option in constants(&source) {
        let Named { level, number, ref name, .. } = option;
        let socket = ours.socket(AF_UNIX, kind, 0).unwrap();
        let sets = ours.set_option(socket, level, number, &value_of(name));
        if sets.is_ok() {
            let socket = kernel.socket(AF_UNIX, kind, 0).unwrap();
            assert_eq!(kernel.set_option(socket, level, number, &value_of(name)), sets, "{name}");
            kernel.close(socket).unwrap();
            taken.push(option);
        } else if ours.option(socket, level, number, 64).is_ok() {
            shown.push(option);
        }
        ours.close(socket).unwrap();
    }
    [taken, shown]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn what_local_sockets_take_acts_or_is_known_not_to() {
    let _alone = alone();
    let (mut idle_here, mut acting) = (BTreeSet::new(), BTreeSet::new());
    for (name, kind) in KINDS {
        let without = outcome(kind, None);
        assert!(without.iter().any(|line| line.contains(FULL)), "it gets full: {without:#?}");
        let [taken, _] = had(kind);
        for option in &taken {
            let acts = outcome(kind, Some(option)) != without || waits(kind, option);
            let set = if acts { &mut acting } else { &mut idle_here };
            set.insert((option.name.clone(), name.to_owned()));
        }
    }
    let listed = idle(root()).unwrap().into_iter().filter(|(_, kind)| kind.starts_with("unix"));
    assert_eq!(idle_here, listed.collect(), "what changes nothing");
    let acting =
        |kind: &str| acting.iter().filter(|(_, of)| of == kind).map(|(name, _)| &**name).collect::<Vec<_>>();
    let all = ["SO_PASSCRED", "SO_PEEK_OFF", "SO_RCVTIMEO", "SO_SNDBUF", "SO_SNDBUFFORCE", "SO_SNDTIMEO"];
    let with_bounds = [&all[..], &["SO_TIMESTAMP", "SO_TIMESTAMPNS"]].concat();
    assert_eq!([acting("unixgram"), acting("unixpacket")], [&*with_bounds, &*with_bounds]);
    let streams = [&["SO_OOBINLINE"], &all[..2], &["SO_RCVLOWAT"], &all[2..]].concat();
    assert_eq!(acting("unix"), streams);
}

/// A socket that is made, connected, filled, left with something unread, and listens: what it shows each time.
fn changes(t: &mut Both, kind: i32) -> BTreeSet<(i32, String)> {
    let look = |t: &mut Both, socket: Sock| {
        for name in [SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ACCEPTCONN, SO_ERROR, SO_REUSEPORT, SO_ZEROCOPY] {
            t.option(socket, SOL_SOCKET, name);
        }
        t.option(socket, SOL_SOCKET, SO_SNDLOWAT);
        t.peer_credentials(socket);
        t.option_in(socket, SOL_SOCKET, SO_MEMINFO, 36);
    };
    let alone = t.socket(kind);
    look(t, alone);
    t.bind(alone, Name::Abstract("a"));
    t.listen(alone, 1);
    look(t, alone);
    let [near, far] = t.pair(kind);
    look(t, near);
    t.send(near, b"unread", 0);
    look(t, near);
    t.send(far, b"unread", 0);
    t.close(far);
    look(t, near);
    t.send(near, b"to nobody", 0);
    look(t, near);
    for name in [SO_REUSEPORT, SO_ZEROCOPY] {
        t.set_option(near, SOL_SOCKET, name, 1);
    }
    let seen = t.log().iter().filter_map(|line| {
        let (call, outcome) = line.split_once(") = ")?;
        let shown = outcome.rsplit_once(" [").map_or(outcome, |(shown, _)| shown).to_owned();
        let number = match call.split_once('(')? {
            ("getsockopt", arguments) => arguments.rsplit(", ").next()?.parse().ok()?,
            ("SO_PEERCRED", _) => SO_PEERCRED,
            _ => return None,
        };
        Some((number, shown))
    });
    seen.collect()
}

#[test]
fn what_local_sockets_only_show_follows_what_calls_make_of_them() {
    let _alone = alone();
    for (name, kind) in KINDS {
        let mut both = Both::new();
        let seen = changes(&mut both, kind);
        assert_eq!(both.difference(), None, "{name}: {}", both.log().join("\n"));
        let shown = |number| {
            seen.iter().filter(|(of, _)| *of == number).map(|(_, shown)| &**shown).collect::<Vec<_>>()
        };
        let of_type = (kind & !SOCK_NONBLOCK).to_string();
        assert_eq!([shown(SO_TYPE), shown(SO_DOMAIN), shown(SO_PROTOCOL)], [[&*of_type], ["1"], ["0"]]);
        assert_eq!([shown(SO_REUSEPORT), shown(SO_ZEROCOPY)], [["0"], ["0"]], "they are off for good");
        assert_eq!(shown(SO_SNDLOWAT), ["1"]);
        let listens: &[&str] = if name == "unixgram" { &["0"] } else { &["0", "1"] };
        assert_eq!(shown(SO_ACCEPTCONN), listens, "{name}");
        let errors = [0, Errno::CONNRESET.raw_os_error()].map(|number| number.to_string());
        let errors = if name == "unixgram" { &errors[..1] } else { &errors };
        assert_eq!(shown(SO_ERROR), errors, "{name}");
        assert_eq!(shown(SO_PEERCRED).len(), 2, "{name}: nobody, and who made the pair");
        assert!(shown(SO_MEMINFO).len() >= 2, "{name}: nothing, and what is under way");
        let [_, read] = had(kind);
        let mut read: Vec<_> = read.iter().map(|option| &*option.name).collect();
        read.sort_unstable();
        let tried = [
            "SO_ACCEPTCONN",
            "SO_COOKIE",
            "SO_DOMAIN",
            "SO_ERROR",
            "SO_MEMINFO",
            "SO_PEERCRED",
            "SO_PROTOCOL",
            "SO_REUSEPORT",
            "SO_SNDLOWAT",
            "SO_TYPE",
            "SO_ZEROCOPY",
        ];
        assert_eq!(read, tried, "{name}");
    }
}

#[test]
fn cookies_of_local_sockets_are_their_own_and_stay() {
    let _alone = alone();
    for mut calls in [Box::new(KernelSockets::local()) as Box<dyn SocketCalls>, Box::new(OurSockets::new())] {
        let mut seen = BTreeSet::new();
        for (_, kind) in KINDS {
            let [near, far] = calls.pair(AF_UNIX, kind, 0).unwrap();
            for socket in [near, far] {
                let mut cookie = || calls.option(socket, SOL_SOCKET, SO_COOKIE, 8).unwrap();
                assert_eq!((cookie().len(), cookie()), (8, cookie()));
                assert!(seen.insert(cookie()));
            }
            let shared = calls.dup(near).unwrap();
            assert!(
                !seen.insert(calls.option(shared, SOL_SOCKET, SO_COOKIE, 8).unwrap()),
                "it is the same socket"
            );
        }
    }
}
