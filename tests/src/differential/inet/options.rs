//! Every option of the table, with values at the edges of its type and of all lengths.

use tapsock::bsd::*;

use super::{Stage, World};
use crate::socket_options::Named;

/// Options whose values differ, and why.
///
/// ```
/// use tapsock_tests::differential::UNLIKE_OPTIONS;
///
/// assert!(UNLIKE_OPTIONS.iter().all(|(name, why)| name.contains('_') && !why.is_empty()));
/// ```
pub const UNLIKE_OPTIONS: [(&str, &str); 11] = [
    ("SO_SNDBUF", "a fresh stream has room for what it will need; Linux's grows when it is connected"),
    ("SO_RCVLOWAT", "at most half of the largest buffer, which is smaller here"),
    ("SO_TIMESTAMPING", "no hardware stamps anything, and who asks for all is told EINVAL"),
    ("SO_MAX_PACING_RATE", "a rate of eight bytes is read as four where it is shown"),
    ("SO_COOKIE", "a cookie is cut to the room that there is; Linux says EINVAL"),
    ("SO_BINDTOIFINDEX", "an interface that there is not is ENODEV"),
    ("IPV6_PATHMTU", "that there is no peer is said before that there is no room"),
    ("IPV6_DONTFRAG", "a value that is too short is refused; Linux takes it for 0"),
    ("IPV6_AUTOFLOWLABEL", "the same"),
    ("TCP_INFO", "what is measured, and what Linux keeps beside"),
    ("TCP_CONGESTION", "the machine's default"),
];

/// The numbers that an `int` is set to.
const VALUES: [i32; 9] = [-1, 0, 1, 2, 255, 256, 65_535, i32::MIN, i32::MAX];
/// Lengths of other values, and the rooms that are read into.
const LENGTHS: [usize; 4] = [0, 1, 2, 8];
const ROOMS: [usize; 5] = [4, 0, 1, 2, 8];
/// The kinds of sockets.
const KINDS: [(i32, i32); 4] =
    [(AF_INET, SOCK_STREAM), (AF_INET6, SOCK_STREAM), (AF_INET, SOCK_DGRAM), (AF_INET6, SOCK_DGRAM)];

/// What both stacks say to all values of an option, on a fresh socket of each kind that has it here.
pub fn differences_of_option(stage: &Stage, option: &Named) -> Vec<String> {
    let mut found = Vec::new();
    let numbers = VALUES.iter().map(|number| number.to_ne_bytes().to_vec());
    let values: Vec<Vec<u8>> = numbers.chain(LENGTHS.iter().map(|len| vec![1; *len])).collect();
    let mut world = World::new(stage);
    for (domain, kind) in KINDS {
        for value in &values {
            let socket = world.socket(domain, kind | SOCK_NONBLOCK, 0);
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
