//! Windows that close, shrink and open.

use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::stack::TcpId;
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::connection::Shutdown;
use tapsock_stack::wire::{TcpFlags, TcpHeader};

use crate::packets::{Path, tcp_of};
use crate::transfer::{Flow, pattern};
use crate::wire::{Fate, LINKS, Wire};

/// What host `from` sent last over TCP, and how much data that held.
fn last_segment(wire: &Wire, from: usize) -> (TcpHeader, usize) {
    wire.seen
        .iter()
        .filter(|(host, _)| *host == from)
        .filter_map(|(_, frame)| tcp_of(frame))
        .next_back()
        .unwrap()
}

/// Fills the window of host 1, whose application does not read. Says how many bytes that took.
fn fill(wire: &mut Wire, id: TcpId) -> u64 {
    let mut total = 0;
    while wire[0].tcp_info(id).unwrap().notsent == 0 {
        let (now, len) = (wire.now, wire[0].tcp_free_space(id));
        wire[0].tcp_write(now, id, Rope::from(pattern(total, len))).unwrap();
        total += len as u64;
        assert!(total < 1 << 20, "the window closes");
        wire.run_for(Duration::from_secs(5));
    }
    total
}

#[test]
fn a_fin_waits_for_the_window_as_a_byte_does() {
    for caps in LINKS {
        let mut wire = Wire::new(2, caps);
        let (here, there) = wire.pair(1, "10.0.0.2");
        let total = fill(&mut wire, here);
        let now = wire.now;
        wire[0].tcp_shutdown(now, here, Shutdown::Write).unwrap();
        wire.sniffing = true;
        wire.run_for(Duration::from_secs(60));
        let fins = |wire: &Wire| {
            wire.seen
                .iter()
                .filter_map(|(_, frame)| tcp_of(frame))
                .any(|(h, _)| h.flags.contains(TcpFlags::FIN))
        };
        assert!(!fins(&wire), "the window is closed");
        let mut flow = Flow::resumed((0, here), (1, there), total);
        let end = wire.now + Duration::from_secs(30);
        assert!(wire.run_until(end, |wire| flow.turn(wire)), "{} of {total} bytes", flow.read());
        assert!(fins(&wire));
        // As Linux: the acknowledgement of a FIN may wait.
        wire.run_for(Duration::from_millis(250));
        assert_eq!(wire.state(0, here), State::FinWait2);
        assert_eq!(wire.counter(0, Counter::TcpExtTCPTimeouts), 0, "nothing was sent in vain");
    }
}

#[test]
fn windows_of_every_size_are_closed_by_data_and_fin() {
    // The FIN's number is the last that fits, or the first that doesn't.
    for extra in 0..4 {
        let mut wire = Wire::new(2, LINKS[0]);
        let (here, there) = wire.pair(1, "10.0.0.2");
        let space = wire[0].tcp_info(here).unwrap().snd_wnd as usize;
        let len = space - 2 + extra;
        let now = wire.now;
        wire[0].tcp_write(now, here, Rope::from(pattern(0, len))).unwrap();
        wire[0].tcp_shutdown(now, here, Shutdown::Write).unwrap();
        let mut flow = Flow::resumed((0, here), (1, there), len as u64);
        wire.run_for(Duration::from_secs(3));
        let end = wire.now + Duration::from_secs(30);
        assert!(wire.run_until(end, |wire| flow.turn(wire)), "{extra}: {} of {len} bytes", flow.read());
        assert_eq!(wire.counter(0, Counter::TcpExtTCPTimeouts), 0, "{extra}");
    }
}

#[test]
fn a_lone_fin_is_taken_into_a_closed_window() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.sniffing = true;
    let (here, there) = wire.pair(1, "10.0.0.2");
    fill(&mut wire, here);
    assert_eq!(wire[1].tcp_info(there).unwrap().rcv_wnd, 0);
    let expected = last_segment(&wire, 1).0;
    let fin = TcpHeader {
        flags: TcpFlags::FIN | TcpFlags::ACK,
        sequence: expected.acknowledgment,
        acknowledgment: expected.sequence,
        ..last_segment(&wire, 0).0
    };
    wire.filter(|_, _| Fate::Lose);
    wire.inject(1, Path::v4(0, 1).tcp(&fin, &[]));
    assert_eq!(wire.state(1, there), State::CloseWait);
    wire.run_for(Duration::from_millis(250));
    assert_eq!(last_segment(&wire, 1).0.acknowledgment, fin.sequence.wrapping_add(1));
}

//= RFC 9293 MUST-37, type=test
//= RFC 9293 SHLD-17, type=test
#[test]
fn a_peer_that_answers_with_a_closed_window_is_not_given_up() {
    for answers in [true, false] {
        let mut wire = Wire::new(2, LINKS[0]);
        wire.sniffing = true;
        let (here, _) = wire.pair(1, "10.0.0.2");
        let header = last_segment(&wire, 0).0;
        let shrunk = TcpHeader {
            source_port: header.destination_port,
            destination_port: header.source_port,
            sequence: header.acknowledgment,
            acknowledgment: header.sequence,
            flags: TcpFlags::ACK,
            window: 0,
            ..TcpHeader::default()
        };
        wire.filter(|_, frame| if tcp_of(frame).is_some() { Fate::Lose } else { Fate::Pass });
        let now = wire.now;
        wire[0].tcp_write(now, here, Rope::from(vec![1; 1000])).unwrap();
        for _ in 0..60 {
            wire.run_for(Duration::from_secs(60));
            if answers {
                wire.inject(0, Path::v4(1, 0).tcp(&shrunk, &[]));
            }
        }
        let state = wire.state(0, here);
        assert_eq!(state, if answers { State::Established } else { State::Closed });
        let error = wire[0].tcp_take_error(here);
        assert_eq!(error, (!answers).then_some(SocketError::TimedOut));
    }
}

#[test]
fn what_came_early_gives_way_to_what_is_due() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, there) = wire.pair(1, "10.0.0.2");
    // One segment is lost again and again, all behind it waits in the buffer, and the buffer shrinks.
    let mut lost = None;
    wire.filter(move |from, frame| match tcp_of(frame).filter(|(_, len)| from == 0 && *len > 0) {
        Some((header, _)) if header.sequence == *lost.get_or_insert(header.sequence) => Fate::Lose,
        _ => Fate::Pass,
    });
    let now = wire.now;
    wire[0].tcp_write(now, here, Rope::from(pattern(0, 60_000))).unwrap();
    wire[0].tcp_shutdown(now, here, Shutdown::Write).unwrap();
    wire.run_for(Duration::from_secs(1));
    let now = wire.now;
    wire[1].set_tcp_options(now, there, |options| options.receive_buffer = 8_000);
    wire.pass_all();
    let mut flow = Flow::resumed((0, here), (1, there), 60_000);
    let end = wire.now + Duration::from_secs(60);
    assert!(wire.run_until(end, |wire| flow.turn(wire)), "{} bytes", flow.read());
    assert_eq!(wire.counter(1, Counter::TcpExtOfoPruned), 1);
}
