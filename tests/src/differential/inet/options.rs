//! Every option of the table, with values at the edges of its type and of all lengths.

use tapsock::bsd::*;

use super::{Stage, World};
use crate::socket_options::Named;

/// An option whose values differ.
///
/// ```
/// use tapsock_tests::differential::UNLIKE_OPTIONS;
///
/// assert!(UNLIKE_OPTIONS.iter().all(|unlike| unlike.name.contains('_') && !unlike.reason.is_empty()));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct UnlikeOption {
    /// The option.
    pub name: &'static str,
    /// What the kernel says.
    pub kernel: &'static str,
    /// What is said here.
    pub ours: &'static str,
    /// Why that is right.
    pub reason: &'static str,
}

const fn unlike(
    name: &'static str,
    kernel: &'static str,
    ours: &'static str,
    reason: &'static str,
) -> UnlikeOption {
    UnlikeOption { name, kernel, ours, reason }
}

/// Options whose values differ, and why.
pub const UNLIKE_OPTIONS: [UnlikeOption; 11] = [
    unlike(
        "SO_PEEK_OFF",
        "of a local socket, shows the number below zero that was set",
        "shows -1",
        "they all mean the same",
    ),
    unlike(
        "SO_RCVLOWAT",
        "at most half of tcp_rmem's maximum",
        "the same, which is less here",
        "buffers are smaller",
    ),
    unlike(
        "SO_TIMESTAMPING",
        "EOPNOTSUPP for all flags at once",
        "EINVAL",
        "the first that is not there is what is wrong",
    ),
    unlike(
        "SO_MAX_PACING_RATE",
        "a rate of eight bytes, read into four, is cut at the largest that they hold",
        "its low four bytes",
        "a value is cut to the room that there is, as others are",
    ),
    unlike(
        "SO_COOKIE",
        "EINVAL for less room than it takes",
        "cut to the room that there is",
        "as others are",
    ),
    unlike(
        "SO_BINDTOIFINDEX",
        "a number that no interface has is taken",
        "ENODEV",
        "nothing could ever be sent",
    ),
    unlike(
        "IPV6_PATHMTU",
        "EINVAL for too little room, before ENOTCONN",
        "ENOTCONN first",
        "without a peer there is nothing to make room for",
    ),
    unlike("IPV6_DONTFRAG", "a value of less than four bytes is 0", "EINVAL", "nobody can have meant it"),
    unlike(
        "IPV6_AUTOFLOWLABEL",
        "a value of less than four bytes is 0",
        "EINVAL",
        "nobody can have meant it",
    ),
    unlike("TCP_CC_INFO", "what the machine's default tells", "nothing", "it is a setting of the machine"),
    unlike("TCP_CONGESTION", "the machine's default", "cubic", "it is a setting of the machine"),
];

/// The numbers that an `int` is set to.
const VALUES: [i32; 9] = [-1, 0, 1, 2, 255, 256, 65_535, i32::MIN, i32::MAX];
/// Lengths of other values, and the rooms that are read into.
const LENGTHS: [usize; 4] = [0, 1, 2, 8];
const ROOMS: [usize; 5] = [4, 0, 1, 2, 8];
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

/// What both stacks say to all values of an option, on a fresh socket of each kind that has it here.
pub fn differences_of_option(stage: &Stage, option: &Named) -> Vec<String> {
    let mut found = Vec::new();
    let numbers = VALUES.iter().map(|number| number.to_ne_bytes().to_vec());
    let values: Vec<Vec<u8>> = numbers.chain(LENGTHS.iter().map(|len| vec![1; *len])).collect();
    let mut world = World::new(stage);
    for (domain, kind, protocol) in KINDS {
        for value in &values {
            let socket = world.socket(domain, kind | SOCK_NONBLOCK, protocol);
            world.set_option_that_is_there(socket, option.level, option.number, value);
            for room in ROOMS {
                // To IP, a small number in a small room is a byte.
                if option.level != SOL_IP || room == 0 || room >= 4 {
                    world.option_that_is_there(socket, option.level, option.number, room);
                }
            }
            world.close(socket);
            if let Some(difference) = world.difference() {
                found.push(format!("{} of {domain}, {kind}, {value:?}: {difference}", option.name));
                world = World::new(stage);
            }
        }
    }
    found
}
