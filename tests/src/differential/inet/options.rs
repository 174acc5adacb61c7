//! Every option of the table, with values at the edges of its type and of all lengths.

use tapsock::Errno;
use tapsock::bsd::*;

use super::{Stage, World};
use crate::differential::Sock;
use crate::socket_options::Named;

/// An option whose values differ, and where.
///
/// ```
/// use tapsock_tests::differential::UNLIKE_OPTIONS;
///
/// assert!(UNLIKE_OPTIONS.iter().all(|unlike| unlike.name.contains('_') && !unlike.reason.is_empty()));
/// ```
#[derive(Copy, Clone, Debug)]
pub struct UnlikeOption {
    /// The option.
    pub name: &'static str,
    /// Where they differ.
    pub of: &'static str,
    /// What the kernel says.
    pub kernel: &'static str,
    /// What is said here.
    pub ours: &'static str,
    /// Why that is right.
    pub reason: &'static str,
    /// Whether a call is one of these.
    is: fn(&Call<'_>) -> bool,
}

/// A call on a fresh socket.
enum Call<'a> {
    /// setsockopt(2) to these bytes
    Set(&'a [u8]),
    /// getsockopt(2) into so many bytes
    Get(usize),
}

/// Options whose values differ, and why. All that is not of these is the same, and these are as it says.
pub const UNLIKE_OPTIONS: [UnlikeOption; 2] = [
    UnlikeOption {
        name: "SO_BINDTOIFINDEX",
        of: "a number that no interface has",
        kernel: "ok",
        ours: "No such device (os error 19)",
        reason: "nothing could ever be sent",
        is: |call| match call {
            Call::Set(value) => value.first_chunk().is_some_and(|number| i32::from_ne_bytes(*number) > LO),
            Call::Get(_) => false,
        },
    },
    UnlikeOption {
        name: "IPV6_PATHMTU",
        of: "too little room, without a peer",
        kernel: "Invalid argument (os error 22)",
        ours: "Transport endpoint is not connected (os error 107)",
        reason: "without a peer there is nothing to make room for",
        is: |call| matches!(call, Call::Get(room) if *room < MTUINFO_LEN),
    },
];

/// The number of the only interface.
const LO: i32 = 1;
/// `sizeof(struct ip6_mtuinfo)`
const MTUINFO_LEN: usize = 32;
/// The numbers that an `int` is set to.
const VALUES: [i32; 9] = [-1, 0, 1, 2, 255, 256, 65_535, i32::MIN, i32::MAX];
/// Lengths of other values, and the rooms that are read into.
const LENGTHS: [usize; 6] = [0, 1, 2, 8, 16, 200];
const ROOMS: [usize; 8] = [4, 0, 1, 2, 3, 8, 16, 200];
/// Values that are names: of an interface, and of an algorithm.
const NAMES: [&[u8]; 3] = [b"lo\0", b"lo", b"reno"];
/// A number that no protocol has.
const NOBODYS: i32 = 200;
/// The kinds of sockets, with their protocols.
const KINDS: [(i32, i32, i32); 11] = [
    (AF_INET, SOCK_STREAM, 0),
    (AF_INET6, SOCK_STREAM, 0),
    (AF_INET, SOCK_DGRAM, 0),
    (AF_INET6, SOCK_DGRAM, 0),
    (AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
    (AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
    (AF_INET, SOCK_RAW, NOBODYS),
    (AF_INET6, SOCK_RAW, NOBODYS),
    (AF_UNIX, SOCK_STREAM, 0),
    (AF_UNIX, SOCK_DGRAM, 0),
    (AF_UNIX, SOCK_SEQPACKET, 0),
];

/// What both stacks say to all values of an option, on a fresh socket of each kind that has it here: where they differ, but
/// for what is known, and how often that is met.
pub fn differences_of_option(stage: &Stage, option: &Named) -> (Vec<String>, usize) {
    let (mut found, mut met) = (Vec::new(), 0);
    let numbers = VALUES.iter().map(|number| number.to_ne_bytes().to_vec());
    let lengths = LENGTHS.iter().map(|len| vec![1; *len]);
    let values: Vec<Vec<u8>> = numbers.chain(lengths).chain(NAMES.map(<[u8]>::to_vec)).collect();
    let unlike = UNLIKE_OPTIONS.iter().find(|unlike| unlike.name == option.name);
    let mut world = World::new(stage);
    for (domain, kind, protocol) in KINDS {
        for value in &values {
            let socket = world.socket(domain, kind | SOCK_NONBLOCK, protocol);
            let calls = core::iter::once(Call::Set(value)).chain(ROOMS.map(Call::Get));
            for call in calls {
                let Some(unlike) = unlike.filter(|unlike| (unlike.is)(&call)) else {
                    call.compare(&mut world, socket, option);
                    continue;
                };
                match call.answers(&mut world, socket, option) {
                    // Kinds of sockets that do not have it are not asked.
                    [kernel, ours] if kernel == ours || ours == Errno::NOPROTOOPT.to_string() => {}
                    [kernel, ours] if kernel == unlike.kernel && ours == unlike.ours => met += 1,
                    [kernel, ours] => {
                        found.push(format!("{} of {domain}, {kind}: {kernel}, {ours}", option.name))
                    }
                }
                // It is set on one of them.
                if let Call::Set(_) = call {
                    break;
                }
            }
            world.close(socket);
            if let Some(difference) = world.difference() {
                found.push(format!("{} of {domain}, {kind}, {value:?}: {difference}", option.name));
                world = World::new(stage);
            }
        }
    }
    (found, met)
}

impl Call<'_> {
    fn compare(&self, world: &mut World, socket: Sock, option: &Named) {
        match self {
            Call::Set(value) => world.set_option_that_is_there(socket, option.level, option.number, value),
            Call::Get(room) => world.option_that_is_there(socket, option.level, option.number, *room),
        }
    }

    fn answers(&self, world: &mut World, socket: Sock, option: &Named) -> [String; 2] {
        let named = (option.level, option.number);
        match self {
            Call::Set(value) => world.answers(socket, named, Some(value), 0),
            Call::Get(room) => world.answers(socket, named, None, *room),
        }
    }
}
