//! Options of sockets that something has become of: that are bound, listen, are connected, shut, or were connected once.

use State::*;
use tapsock::bsd::*;

use super::{Ip, Port, Stage, Target, World};
use crate::differential::Sock;
use crate::socket_options::Named;

/// What has become of a socket.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum State {
    Bound,
    /// Connected to where nobody is.
    Refused,
    Connected,
    /// Connected, and shut in both directions.
    Shut,
    /// Connected once.
    Dissolved,
    /// Of streams alone, as those behind.
    Listening,
    Accepted,
    /// Its peer has closed.
    Ended,
    /// Its peer has reset it.
    Reset,
}

/// Options that differ in some states, and why.
///
/// ```
/// use tapsock_tests::differential::UNLIKE_STATES;
///
/// assert!(UNLIKE_STATES.iter().all(|unlike| unlike.names.contains('_') && !unlike.reason.is_empty()));
/// ```
pub const UNLIKE_STATES: [UnlikeStates; 6] = [
    UnlikeStates {
        names: "SO_SNDBUF, SO_MEMINFO",
        states: &[Connected, Shut, Dissolved, Accepted, Ended, Reset],
        reason: "a send buffer that grows by itself has room for as many segments; the kernel charges each with its own buffers",
    },
    UnlikeStates {
        names: "TCP_INFO",
        states: &[Bound, Refused, Connected, Shut, Dissolved, Listening, Accepted, Ended, Reset],
        reason: "it shows times",
    },
    UnlikeStates {
        names: "TCP_MAXSEG, TCP_WINDOW_CLAMP",
        states: &[Refused, Connected, Shut, Dissolved, Reset],
        reason: "Linux has what is left of the last connection; and over lo, whose packets are half a window long, half of another one",
    },
    UnlikeStates {
        names: "IP_MTU, IPV6_MTU, IPV6_PATHMTU",
        states: &[Refused, Reset],
        reason: "Linux keeps the way of a connection that has failed",
    },
    UnlikeStates {
        names: "IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_IF",
        states: &[Accepted],
        reason: "a stream sends to no group; Linux keeps there what the SYN came with",
    },
    UnlikeStates {
        names: "TCP_QUICKACK, TCP_NOTSENT_LOWAT",
        states: &[Ended, Dissolved],
        reason: "nothing more comes to be acknowledged, or is left to be sent",
    },
];

/// Options that differ in some states.
///
/// ```
/// use tapsock_tests::differential::UNLIKE_STATES;
///
/// assert_eq!(UNLIKE_STATES[1].names, "TCP_INFO");
/// ```
#[derive(Copy, Clone, Debug)]
pub struct UnlikeStates {
    /// The options.
    pub names: &'static str,
    /// What has become of the sockets, all of TCP.
    states: &'static [State],
    /// Why that is right.
    pub reason: &'static str,
}

impl UnlikeStates {
    fn has(&self, name: &str, state: State) -> bool {
        self.states.contains(&state) && self.names.split(", ").any(|one| one == name)
    }
}

const OF_ALL: [State; 5] = [State::Bound, State::Refused, State::Connected, State::Shut, State::Dissolved];
const OF_STREAMS: [State; 4] = [State::Listening, State::Accepted, State::Ended, State::Reset];
/// The numbers that an option is set to in turn; the first is that of an interface too.
const NUMBERS: [i32; 4] = [1, 0, 100, -1];
/// The first of them that no interface has.
const NO_INTERFACE: i32 = 100;

/// What both stacks say to an option on a socket of each state, TCP's and UDP's: where they differ, but for what is known, and
/// in how many states that is.
pub fn differences_of_states(stage: &Stage, option: &Named) -> (Vec<String>, usize) {
    let (mut found, mut met) = (Vec::new(), 0);
    let domain = if option.level == SOL_IPV6 { AF_INET6 } else { AF_INET };
    for kind in [SOCK_STREAM, SOCK_DGRAM] {
        let mut world = World::new(stage);
        let fresh = world.socket(domain, kind, 0);
        if !world.is_there(fresh, (option.level, option.number)) {
            continue;
        }
        let of_streams = if kind == SOCK_STREAM { &OF_STREAMS[..] } else { &[] };
        for state in OF_ALL.iter().chain(of_streams) {
            let mut world = World::new(stage);
            let (socket, _others) = bring(&mut world, domain, kind, *state);
            world.option(socket, option.level, option.number, ROOM);
            for number in NUMBERS {
                // What is said of other interfaces is known.
                if option.name == "SO_BINDTOIFINDEX" && number == NO_INTERFACE {
                    continue;
                }
                world.set_option_that_is_there(socket, option.level, option.number, &number.to_ne_bytes());
                world.option(socket, option.level, option.number, ROOM);
            }
            let Some(difference) = world.difference() else { continue };
            if UNLIKE_STATES.iter().any(|unlike| kind == SOCK_STREAM && unlike.has(&option.name, *state)) {
                met += 1;
            } else {
                found.push(format!("{} of {domain}, {kind}, {state:?}: {difference}", option.name));
            }
        }
    }
    (found, met)
}

/// Room for every value.
const ROOM: usize = 200;

/// Makes a socket of that state, and what it needs beside it.
fn bring(world: &mut World, domain: i32, kind: i32, state: State) -> (Sock, Vec<Sock>) {
    let kind = kind | SOCK_NONBLOCK;
    let lo = if domain == AF_INET { Ip::Lo4 } else { Ip::Lo6 };
    let [here, there] = [Target::new(lo, Port::Slot(0)), Target::new(lo, Port::Slot(1))];
    let socket = world.socket(domain, kind, 0);
    if state == State::Bound || state == State::Listening {
        world.bind(socket, here);
        if state == State::Listening {
            world.listen(socket, 5);
        }
        return (socket, Vec::new());
    }
    if state == State::Refused {
        world.connect(socket, there);
        return (socket, Vec::new());
    }
    let other = world.socket(domain, kind, 0);
    world.bind(other, there);
    let is_stream = kind & SOCK_STREAM != 0 && kind & SOCK_DGRAM == 0;
    if is_stream {
        world.listen(other, 5);
    }
    world.connect(socket, there);
    let accepted = if is_stream { world.accept(other, SOCK_NONBLOCK) } else { other };
    match state {
        State::Accepted => return (accepted, vec![socket, other]),
        State::Shut => world.shutdown(socket, SHUT_RDWR),
        State::Dissolved => world.connect(socket, Target::UNSPEC),
        State::Ended => world.close(accepted),
        State::Reset => {
            let at_once = [1, 0].map(i32::to_ne_bytes).concat();
            world.set_option(accepted, SOL_SOCKET, SO_LINGER, &at_once);
            world.close(accepted);
        }
        _ => {}
    }
    (socket, vec![other])
}
