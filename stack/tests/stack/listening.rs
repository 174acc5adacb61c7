//! Listeners: their two queues, and what happens when one is full.

use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::stack::{Linger, TcpId};
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::connection::ReadError;
use tapsock_stack::wire::{TcpFlags, TcpHeader};

use crate::packets::{Path, tcp_of};
use crate::wire::{Fate, LINKS, Wire, at};

fn opened(wire: &mut Wire, count: usize) -> Vec<TcpId> {
    let ids: Vec<TcpId> = (0..count).map(|_| wire.connect(0, at("10.0.0.2", 2000))).collect();
    wire.settle();
    ids
}

#[test]
fn one_more_than_the_backlog_may_wait() {
    for backlog in [0, 1, 3] {
        let mut wire = Wire::new(2, LINKS[0]);
        let listener = wire.listen(1, "10.0.0.2", 2000, backlog);
        // One after the other, so that the SYN queue is not what is full.
        for _ in 0..backlog + 3 {
            opened(&mut wire, 1);
        }
        assert_eq!(wire[1].listener_ready(listener), backlog + 1);
        assert!(wire.counter(1, Counter::TcpExtListenOverflows) >= 2);
        assert!(wire.counter(1, Counter::TcpExtListenDrops) >= 2);
        // Once they are taken, those that were left out get through by their retransmissions.
        let mut accepted = 0;
        let end = wire.now + Duration::from_secs(20);
        wire.run_until(end, |wire| {
            while wire[1].tcp_accept(listener).is_some() {
                accepted += 1;
            }
            accepted == backlog + 3
        });
        assert_eq!(accepted, backlog + 3);
    }
}

#[test]
fn a_full_accept_queue_makes_the_peer_try_its_last_segment_again() {
    let mut wire = Wire::new(2, LINKS[0]);
    // Both SYNs arrive while there is room, one is left without it when the handshake is done.
    let listener = wire.listen(1, "10.0.0.2", 2000, 4);
    let mut held = Vec::new();
    wire.filter(move |from, frame| {
        let last = from == 0 && tcp_of(frame).is_some_and(|(header, _)| header.flags == TcpFlags::ACK);
        if last && held.len() < 4 {
            held.push(());
            return Fate::Lose;
        }
        Fate::Pass
    });
    let ids = [opened(&mut wire, 1)[0], opened(&mut wire, 1)[0]];
    for id in ids {
        assert_eq!(wire.state(0, id), State::Established, "the client sees its end of it");
    }
    wire[1].set_backlog(listener, 0);
    wire.pass_all();
    let now = wire.now;
    for id in ids {
        wire[0].tcp_write(now, id, Rope::from(&b"hello"[..])).unwrap();
    }
    wire.settle();
    assert_eq!(wire[1].listener_ready(listener), 1);
    assert!(wire.counter(1, Counter::TcpExtListenOverflows) > 0);
    let mut got = 0;
    let end = wire.now + Duration::from_secs(20);
    wire.run_until(end, |wire| {
        let now = wire.now;
        while let Some(id) = wire[1].tcp_accept(listener) {
            assert_eq!(wire[1].tcp_read(now, id, 9).unwrap().to_vec(), b"hello");
            got += 1;
        }
        got == 2
    });
    assert_eq!(got, 2);
}

#[test]
fn a_full_accept_queue_resets_where_it_is_told_to() {
    let mut config = Config::default();
    config.set("net.ipv4.tcp_abort_on_overflow", "1").unwrap();
    let mut wire = Wire::with_config(2, LINKS[0], &config);
    let listener = wire.listen(1, "10.0.0.2", 2000, 2);
    let mut lost = 0;
    wire.filter(move |from, frame| {
        let last = from == 0 && tcp_of(frame).is_some_and(|(header, _)| header.flags == TcpFlags::ACK);
        if last && lost < 2 {
            lost += 1;
            return Fate::Lose;
        }
        Fate::Pass
    });
    let ids = opened(&mut wire, 2);
    wire[1].set_backlog(listener, 0);
    let now = wire.now;
    for &id in &ids {
        wire[0].tcp_write(now, id, Rope::from(&b"hello"[..])).unwrap();
    }
    wire.settle();
    let states: Vec<State> = ids.iter().map(|id| wire.state(0, *id)).collect();
    assert_eq!(states, [State::Established, State::Closed]);
    assert_eq!(wire[0].tcp_take_error(ids[1]), Some(SocketError::ConnectionReset));
    assert_eq!(wire[1].listener_ready(listener), 1);
}

#[test]
fn a_full_syn_queue_drops_syns() {
    let config = Config { tcp_syncookies: 0, ..Config::default() };
    let mut wire = Wire::with_config(2, LINKS[0], &config);
    wire.listen(1, "10.0.0.2", 2000, 16);
    // Peers that never answer the SYN-ACK, from one address that exists.
    opened(&mut wire, 1);
    let path = Path::v4(0, 1);
    for port in 0..100 {
        let header = TcpHeader {
            source_port: 10_000 + port,
            destination_port: 2000,
            flags: TcpFlags::SYN,
            window: 1000,
            ..TcpHeader::default()
        };
        wire.filter(|_, frame| if tcp_of(frame).is_some() { Fate::Lose } else { Fate::Pass });
        wire.inject(1, path.tcp(&header, &[]));
    }
    assert_eq!(wire.counter(1, Counter::TcpExtTCPReqQFullDrop), 100 - 17);
    assert_eq!(wire.counter(1, Counter::TcpExtListenDrops), 100 - 17);
    // The half-open ones are given up after 1 + 2 + 4 + 8 + 16 + 32 seconds, and make room.
    wire.run_for(Duration::from_secs(62));
    let header = TcpHeader {
        source_port: 20_000,
        destination_port: 2000,
        flags: TcpFlags::SYN,
        window: 1000,
        ..TcpHeader::default()
    };
    wire.inject(1, path.tcp(&header, &[]));
    assert_eq!(wire.counter(1, Counter::TcpExtTCPReqQFullDrop), 100 - 17 + 1);
    wire.run_for(Duration::from_secs(2));
    wire.inject(1, path.tcp(&header, &[]));
    assert_eq!(wire.counter(1, Counter::TcpExtTCPReqQFullDrop), 100 - 17 + 1);
    assert_eq!(wire.counter(1, Counter::TcpRetransSegs), 17 * 5);
}

#[test]
fn closing_a_listener_resets_those_that_wait() {
    let mut wire = Wire::new(2, LINKS[0]);
    let listener = wire.listen(1, "10.0.0.2", 2000, 4);
    let ids = opened(&mut wire, 2);
    let now = wire.now;
    wire[1].close_listener(now, listener);
    wire.settle();
    for id in ids {
        assert_eq!(wire.state(0, id), State::Closed);
        assert_eq!(
            wire[0].tcp_read(now, id, 1).unwrap_err(),
            ReadError::Socket(SocketError::ConnectionReset)
        );
    }
    let refused = opened(&mut wire, 1)[0];
    assert_eq!(wire[0].tcp_take_error(refused), Some(SocketError::ConnectionRefused));
}

#[test]
fn a_connection_that_was_reset_before_accept_is_accepted() {
    let mut wire = Wire::new(2, LINKS[0]);
    let listener = wire.listen(1, "10.0.0.2", 2000, 4);
    let id = opened(&mut wire, 1)[0];
    let now = wire.now;
    wire[0].tcp_close(now, id, Linger::Abort);
    wire.settle();
    let dead = wire[1].tcp_accept(listener).expect("as on Linux");
    assert_eq!(wire.state(1, dead), State::Closed);
    assert_eq!(wire[1].tcp_read(now, dead, 1).unwrap_err(), ReadError::Socket(SocketError::ConnectionReset));
}

//= RFC 9293 MUST-11, type=test
#[test]
fn half_open_connections_vanish_with_the_peers_reset() {
    let mut wire = Wire::new(2, LINKS[0]);
    let listener = wire.listen(1, "10.0.0.2", 2000, 1);
    opened(&mut wire, 1);
    wire[1].tcp_accept(listener).unwrap();
    let path = Path::v4(0, 1);
    let syn = TcpHeader {
        source_port: 10_000,
        destination_port: 2000,
        sequence: 77,
        flags: TcpFlags::SYN,
        window: 1000,
        ..TcpHeader::default()
    };
    for _ in 0..3 {
        wire.inject(1, path.tcp(&syn, &[]));
        // Host 0 knows nothing of it and resets.
        wire.settle();
    }
    assert_eq!(wire.counter(1, Counter::TcpExtTCPReqQFullDrop), 0);
    assert_eq!(wire.counter(1, Counter::TcpAttemptFails), 3);
}

#[test]
fn peers_that_open_and_reset_leave_nothing_behind() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.listen(1, "10.0.0.2", 2000, 4);
    opened(&mut wire, 1);
    wire.filter(|_, _| Fate::Lose);
    let path = Path::v4(0, 1);
    let header = |flags, sequence| TcpHeader {
        source_port: 10_000,
        destination_port: 2000,
        sequence,
        flags,
        window: 1000,
        ..TcpHeader::default()
    };
    let (syn, rst) = (path.tcp(&header(TcpFlags::SYN, 7), &[]), path.tcp(&header(TcpFlags::RST, 8), &[]));
    let growth = allocation_counter::measure(|| {
        for _ in 0..10_000 {
            wire.inject(1, syn.clone());
            wire.inject(1, rst.clone());
        }
    });
    assert_eq!(wire.counter(1, Counter::TcpAttemptFails), 10_000);
    assert!(growth.bytes_current < 64 * 1024, "{} bytes after 10,000 resets", growth.bytes_current);
}
