//! Resets of connections that are closing.

use core::time::Duration;

use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::stack::TcpId;
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::connection::Shutdown;
use tapsock_stack::wire::{TcpFlags, TcpHeader};

use crate::packets::{Path, tcp_of};
use crate::wire::{Fate, LINKS, PAIRS, Wire};

/// Whose FIN is sent, in order; `Lost` after it: host 0's segments are lost from there on.
#[derive(Copy, Clone, Debug)]
enum Do {
    Ours,
    Theirs,
    Lose,
}

/// How to bring host 0's end into a state.
const WAYS: [(State, &[Do]); 6] = [
    (State::Established, &[]),
    (State::FinWait1, &[Do::Lose, Do::Ours]),
    (State::FinWait2, &[Do::Ours]),
    (State::CloseWait, &[Do::Theirs]),
    (State::Closing, &[Do::Lose, Do::Ours, Do::Theirs]),
    (State::LastAck, &[Do::Theirs, Do::Lose, Do::Ours]),
];

/// A connection of host 0 in `state`, and the header of a reset that its peer could send: at what host 0 expects.
fn closing(address: &str, (state, way): (State, &[Do])) -> (Wire, TcpId, TcpHeader) {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.sniffing = true;
    let (here, there) = wire.pair(1, address);
    for step in way {
        let now = wire.now;
        match step {
            Do::Ours => wire[0].tcp_shutdown(now, here, Shutdown::Write).unwrap(),
            Do::Theirs => wire[1].tcp_shutdown(now, there, Shutdown::Write).unwrap(),
            Do::Lose => {
                wire.filter(|from, _| if from == 0 { Fate::Lose } else { Fate::Pass });
            }
        }
        // A FIN without data is acknowledged at the next tick.
        wire.run_for(Duration::from_millis(5));
    }
    assert_eq!(wire.state(0, here), state);
    let (last, _) =
        wire.seen.iter().rev().find_map(|(from, frame)| tcp_of(frame).filter(|_| *from == 0)).unwrap();
    let reset = TcpHeader {
        source_port: last.destination_port,
        destination_port: last.source_port,
        sequence: last.acknowledgment,
        flags: TcpFlags::RST,
        ..TcpHeader::default()
    };
    (wire, here, reset)
}

/// As Linux: EPIPE in CLOSE-WAIT, ECONNRESET elsewhere; nothing rests, and the tuple is free.
//= RFC 9293 §3.10.7.4, type=test
//= RFC 5961 §3.2 MUST-1, type=test
#[test]
fn a_reset_ends_a_connection_in_every_state() {
    for (_, address) in PAIRS {
        for way in WAYS {
            let (mut wire, here, reset) = closing(address, way);
            wire.events(0);
            wire.inject(0, Path::of_family(address, 1, 0).tcp(&reset, &[]));
            assert_eq!(wire.state(0, here), State::Closed, "{way:?}");
            assert!(!wire.events(0).is_empty(), "its owner is told");
            let error = match way.0 {
                State::CloseWait => SocketError::BrokenPipe,
                _ => SocketError::ConnectionReset,
            };
            assert_eq!(wire[0].tcp_take_error(here), Some(error), "{way:?}");
            // The tuple belongs to nobody: a segment of it is answered by a reset, and no timer is left.
            let stray = TcpHeader { flags: TcpFlags::ACK, ..reset };
            let before = wire.counter(0, Counter::TcpOutRsts);
            wire.inject(0, Path::of_family(address, 1, 0).tcp(&stray, &[]));
            assert_eq!(wire.counter(0, Counter::TcpOutRsts), before + 1, "{way:?}");
            wire.run_for(Duration::from_secs(120));
            assert_eq!(wire.counter(0, Counter::TcpExtTW), 0, "{way:?}");
        }
    }
}

//= RFC 5961 §3.2, type=test
//= RFC 5961 §3.2 MUST-2, type=test
//= RFC 5961 §3.2 MUST-3, type=test
//= RFC 5961 §3.2 MUST-4, type=test
#[test]
fn a_reset_elsewhere_in_the_window_is_challenged_in_every_state() {
    for way in WAYS {
        for (offset, challenged) in [(1, 1), (1000, 1), (-2, 0), (1 << 24, 0)] {
            let (mut wire, here, mut reset) = closing("10.0.0.2", way);
            // Two sides that were silent for a while: no answer was sent of late.
            wire.run_for(Duration::from_secs(1));
            reset.sequence = reset.sequence.wrapping_add_signed(offset);
            let before = wire.counter(0, Counter::TcpExtTCPChallengeACK);
            wire.inject(0, Path::v4(1, 0).tcp(&reset, &[]));
            assert_eq!(wire.state(0, here), way.0, "{way:?} {offset}");
            let after = wire.counter(0, Counter::TcpExtTCPChallengeACK);
            assert_eq!(after - before, challenged, "{way:?} {offset}");
        }
    }
}
