//! The end of connections: TIME-WAIT, resets, and links that go away.

use core::time::Duration;

use tapsock_stack::buf::Rope;
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::iface::RouteError;
use tapsock_stack::ports::{BindId, BindRequest, LocalAddr, Transport};
use tapsock_stack::stack::{ConnectError, Linger, PingError, SendError, SocketId, TcpId};
use tapsock_stack::tcp::connection::{ReadError, Shutdown, WriteError};
use tapsock_stack::tcp::{Options, State};
use tapsock_stack::udp::RecvError;
use tapsock_stack::wire::{TcpFlags, TcpHeader};

use crate::packets::{Path, tcp_of};
use crate::wire::{ETH, LINKS, PAIRS, Wire, at, family_of};

/// A port of host 0 that others may have too, but for one tuple.
fn shared_port(wire: &mut Wire, address: &str) -> BindId {
    let wildcard = if address.contains(':') { LocalAddr::AnyV6 { only_v6: true } } else { LocalAddr::AnyV4 };
    let request =
        BindRequest { port: 3000, reuse_address: true, ..BindRequest::new(Transport::Tcp, wildcard) };
    wire[0].bind(request).unwrap()
}

/// A connection from port 3000 of host 0 to port 2000 of host 1, closed by host 0 first.
fn closed_by_us(wire: &mut Wire, address: &str) -> (TcpId, TcpId) {
    let listener = wire.listen(1, address, 2000, 8);
    let bind = shared_port(wire, address);
    let (now, options) = (wire.now, wire[0].config().tcp_options());
    let active = wire[0].tcp_connect(now, Some(bind), at(address, 2000), options).unwrap();
    wire[0].unbind(bind);
    wire.settle();
    let passive = wire[1].tcp_accept(listener).unwrap();
    let now = wire.now;
    wire[0].tcp_shutdown(now, active, Shutdown::Write).unwrap();
    // A FIN without data is acknowledged at the next tick.
    wire.run_for(Duration::from_millis(5));
    assert_eq!(wire.state(0, active), State::FinWait2);
    assert_eq!(wire.state(1, passive), State::CloseWait);
    let now = wire.now;
    wire[1].tcp_close(now, passive, Linger::Background);
    wire.settle();
    assert_eq!(wire.state(0, active), State::TimeWait);
    (active, passive)
}

//= RFC 9293 MUST-13, type=test
#[test]
fn time_wait_holds_the_tuple_for_a_minute() {
    // With time stamps who binds to the port again would get it.
    let mut config = Config::default();
    config.set("net.ipv4.tcp_timestamps", "0").unwrap();
    for (_, address) in PAIRS {
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        let (active, passive) = closed_by_us(&mut wire, address);
        assert!(wire[1].tcp(passive).is_none(), "the passive side has nothing left");
        let now = wire.now;
        wire[0].tcp_close(now, active, Linger::Background);
        assert!(wire[0].tcp(active).is_none());
        let again = |wire: &mut Wire| {
            let bind = shared_port(wire, address);
            let (now, options) = (wire.now, wire[0].config().tcp_options());
            let outcome = wire[0].tcp_connect(now, Some(bind), at(address, 2000), options);
            wire[0].unbind(bind);
            outcome
        };
        wire.run_for(Duration::from_secs(59));
        assert_eq!(again(&mut wire), Err(ConnectError::AddressNotAvailable), "the tuple rests");
        wire.run_for(Duration::from_secs(2));
        assert_eq!(wire.counter(0, Counter::TcpExtTW), 1);
        assert!(again(&mut wire).is_ok());
    }
}

//= RFC 6191 §2, type=test
#[test]
fn a_port_that_rests_is_chosen_again_where_timestamps_allow_it() {
    for (reuse, timestamps, address, taken) in [
        ("1", "1", "10.0.0.2", true),
        ("1", "1", "fd00::2", true),
        ("1", "0", "10.0.0.2", false),
        ("2", "1", "10.0.0.2", false),
        ("2", "1", "127.0.0.1", true),
        ("0", "1", "127.0.0.1", false),
    ] {
        let mut config = Config::default();
        config.set("net.ipv4.tcp_tw_reuse", reuse).unwrap();
        config.set("net.ipv4.tcp_timestamps", timestamps).unwrap();
        config.set("net.ipv4.ip_local_port_range", "3000 3000").unwrap();
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        let server = if address == "127.0.0.1" { 0 } else { 1 };
        let listener = wire.listen(server, address, 2000, 8);
        let connect = |wire: &mut Wire| {
            let (now, options) = (wire.now, wire[0].config().tcp_options());
            let outcome = wire[0].tcp_connect(now, None, at(address, 2000), options);
            wire.settle();
            outcome
        };
        let active = connect(&mut wire).unwrap();
        let passive = wire[server].tcp_accept(listener).unwrap();
        for (host, id) in [(0, active), (server, passive)] {
            let now = wire.now;
            wire[host].tcp_close(now, id, Linger::Background);
            wire.settle();
        }
        wire.run_for(Duration::from_millis(900));
        assert_eq!(connect(&mut wire), Err(ConnectError::AddressNotAvailable), "not within a second");
        wire.run_for(Duration::from_millis(200));
        let again = connect(&mut wire);
        assert_eq!(again.is_ok(), taken, "tcp_tw_reuse {reuse}, tcp_timestamps {timestamps}, {address}");
        assert_eq!(wire.counter(0, Counter::TcpExtTWRecycled), u64::from(taken));
        if let Ok(again) = again {
            let passive = wire[server].tcp_accept(listener).expect("the peer takes it, too");
            let now = wire.now;
            wire[0].tcp_write(now, again, Rope::from(&b"anew"[..])).unwrap();
            wire.settle();
            let now = wire.now;
            assert_eq!(wire[server].tcp_read(now, passive, 9).unwrap().to_vec(), b"anew");
        }
    }
}

//= RFC 6191 §2, type=test
#[test]
fn who_binds_to_a_port_that_rests_gets_it_where_timestamps_allow_it() {
    for (timestamps, taken) in [("1", true), ("0", false)] {
        let mut config = Config::default();
        config.set("net.ipv4.tcp_tw_reuse", "0").unwrap();
        config.set("net.ipv4.tcp_timestamps", timestamps).unwrap();
        for (_, address) in PAIRS {
            let mut wire = Wire::with_config(2, LINKS[0], &config);
            let (active, _) = closed_by_us(&mut wire, address);
            let now = wire.now;
            wire[0].tcp_close(now, active, Linger::Background);
            let bind = shared_port(&mut wire, address);
            let options = wire[0].config().tcp_options();
            let again = wire[0].tcp_connect(now, Some(bind), at(address, 2000), options);
            assert_eq!(again.is_ok(), taken, "tcp_timestamps {timestamps}, {address}");
            assert_eq!(wire.counter(0, Counter::TcpExtTWRecycled), u64::from(taken));
        }
    }
}

//= RFC 9293 SHLD-4, type=test
#[test]
fn time_wait_gives_way_to_a_newer_syn() {
    for (timestamps, sequence_step, taken) in
        [(true, 0, true), (false, 1_000_000, true), (false, -1_000_000, false)]
    {
        let mut wire = Wire::new(2, LINKS[0]);
        let options = Options { timestamps, ..wire[0].config().tcp_options() };
        wire.sniffing = true;
        // Host 1 closes first: TIME-WAIT is on the side that listens.
        let listener = wire.listen(1, "10.0.0.2", 2000, 8);
        let bind = wire.bind(0, Transport::Tcp, "10.0.0.1", 3000);
        let now = wire.now;
        let active = wire[0].tcp_connect(now, Some(bind), at("10.0.0.2", 2000), options).unwrap();
        wire.settle();
        let passive = wire[1].tcp_accept(listener).unwrap();
        let now = wire.now;
        wire[1].tcp_close(now, passive, Linger::Background);
        wire.settle();
        let now = wire.now;
        wire[0].tcp_close(now, active, Linger::Background);
        wire.settle();
        let (fin, len) = wire
            .seen
            .iter()
            .filter(|(from, _)| *from == 0)
            .filter_map(|(_, frame)| tcp_of(frame))
            .rfind(|(header, _)| header.flags.contains(TcpFlags::FIN))
            .unwrap();
        let last = fin.sequence.wrapping_add(len as u32 + 1);
        wire.run_for(Duration::from_secs(3));
        let mut syn = TcpHeader {
            source_port: 3000,
            destination_port: 2000,
            sequence: last.wrapping_add_signed(sequence_step),
            flags: TcpFlags::SYN,
            window: 1000,
            ..TcpHeader::default()
        };
        syn.options.timestamps = fin.options.timestamps.map(|mut stamp| {
            stamp.value = stamp.value.wrapping_add(2000);
            stamp.echo = 0;
            stamp
        });
        wire.seen.clear();
        wire.inject(1, Path::v4(0, 1).tcp(&syn, &[]));
        let answer = wire.seen.iter().find_map(|(_, frame)| tcp_of(frame)).expect("it is answered").0;
        let accepted = answer.flags == TcpFlags::SYN | TcpFlags::ACK;
        assert_eq!(accepted, taken, "{timestamps} {sequence_step}: {answer:?}");
        assert_eq!(wire.counter(1, Counter::TcpExtTWRecycled), 0, "as Linux, only what we open is counted");
        if taken {
            assert_eq!(answer.acknowledgment, syn.sequence.wrapping_add(1));
        } else {
            assert_eq!(answer.acknowledgment, last, "what the old connection expected");
        }
    }
}

#[test]
fn the_peers_fin_begins_time_wait_anew_and_no_more() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.sniffing = true;
    let (active, _) = closed_by_us(&mut wire, "10.0.0.2");
    let now = wire.now;
    wire[0].tcp_close(now, active, Linger::Background);
    let fin = wire.seen.iter().rfind(|(from, _)| *from == 1).unwrap().1.clone();
    wire.sniffing = false;
    assert!(tcp_of(&fin).unwrap().0.flags.contains(TcpFlags::FIN));
    wire.run_for(Duration::from_secs(30));
    let now = wire.now;
    let growth = allocation_counter::measure(|| {
        for _ in 0..10_000 {
            wire[0].receive(now, ETH, fin.clone());
            while wire[0].poll_transmit(now).is_some() {}
        }
    });
    assert!(
        growth.bytes_current < 4096,
        "{} bytes for a FIN that comes again and again",
        growth.bytes_current
    );
    wire.run_for(Duration::from_secs(59));
    assert_eq!(wire.counter(0, Counter::TcpExtTW), 0, "the minute began anew");
    wire.run_for(Duration::from_secs(2));
    assert_eq!(wire.counter(0, Counter::TcpExtTW), 1);
}

/// The link goes while a connection in TIME-WAIT still owns its tuple: the minute counts from then.
#[test]
fn a_link_that_goes_does_not_cut_time_wait_short() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.run_for(Duration::from_secs(1000));
    let (active, passive) = wire.pair(1, "10.0.0.2");
    let now = wire.now;
    wire[0].tcp_shutdown(now, active, Shutdown::Write).unwrap();
    wire.settle();
    // The peer's FIN comes, and its acknowledgement leaves; then the link is gone before anything else happens.
    let now = wire.now;
    wire[1].tcp_shutdown(now, passive, Shutdown::Write).unwrap();
    let (_, fin) = wire[1].poll_transmit(now).expect("a FIN");
    let mut fin = fin;
    fin.complete_checksum();
    wire[0].receive(now, ETH, fin.to_frame());
    assert!(wire[0].poll_transmit(now).is_some());
    assert_eq!(wire.state(0, active), State::TimeWait);
    wire[0].set_link_down(now, ETH);
    wire.run_for(Duration::from_secs(59));
    assert_eq!(wire.counter(0, Counter::TcpExtTW), 0);
    wire.run_for(Duration::from_secs(2));
    assert_eq!(wire.counter(0, Counter::TcpExtTW), 1);
}

#[test]
fn nothing_is_left_of_a_connection_after_its_end() {
    let mut wire = Wire::new(2, LINKS[0]);
    let listener = wire.listen(1, "10.0.0.2", 2000, 8);
    // Who closes first, and when each descriptor is let go.
    let life = |wire: &mut Wire, order: u32| {
        let active = wire.connect(0, at("10.0.0.2", 2000));
        wire.settle();
        let passive = wire[1].tcp_accept(listener).unwrap();
        let ends = [(0, active), (1, passive)];
        let (first, second) = if order & 1 == 0 { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
        let close = |wire: &mut Wire, (host, id): (usize, TcpId)| {
            let now = wire.now;
            wire[host].tcp_close(now, id, Linger::Background);
        };
        if order & 2 == 0 {
            close(wire, first);
            wire.settle();
            close(wire, second);
        } else {
            // The descriptor outlives TIME-WAIT's beginning.
            for (host, id) in [first, second] {
                let now = wire.now;
                wire[host].tcp_shutdown(now, id, Shutdown::Write).unwrap();
                wire.settle();
            }
            close(wire, first);
            close(wire, second);
        }
        wire.settle();
        wire.run_for(Duration::from_secs(61));
        wire.events(0);
        wire.events(1);
    };
    for order in 0..8 {
        life(&mut wire, order & 3);
    }
    let growth = allocation_counter::measure(|| {
        for order in 0..100 {
            life(&mut wire, order & 3);
        }
    });
    assert!(growth.bytes_current < 2048, "{} bytes after 100 connections", growth.bytes_current);
}

#[test]
fn a_link_that_goes_down_fails_its_sockets() {
    for (_, address) in PAIRS {
        let mut wire = Wire::new(2, LINKS[0]);
        let (active, _) = wire.pair(1, address);
        let local = wire.pair(0, "127.0.0.1");
        let opening = wire.connect(0, at(address, 9999));
        let udp = wire[0].udp_open(family_of(address));
        wire[0].udp_connect(udp, Some(at(address, 5000))).unwrap();
        let ping = wire[0].ping_open(family_of(address)).unwrap();
        wire[0].ping_connect(ping, Some(at(address, 0))).unwrap();
        let asking = wire[0].ping_open(family_of(address)).unwrap();
        wire[0].ping_bind(asking, None, 4711).unwrap();
        // Bound, without a peer: to an address of the link, to any, and to one of lo.
        let (own, any) = if address.contains(':') { ("fd00::1", "::") } else { ("10.0.0.1", "0.0.0.0") };
        let [there, anywhere, here] = [(own, 7000), (any, 7001), ("127.0.0.1", 7002)].map(|(bound, port)| {
            let waiting = wire[0].udp_open(family_of(bound));
            let bind = wire.bind(0, Transport::Udp, bound, port);
            wire[0].udp_bind(waiting, bind);
            (wire.listen(0, bound, port, 8), waiting)
        });
        wire.flush();
        wire.events(0);
        let now = wire.now;
        wire[0].set_link_down(now, ETH);
        wire.flush();
        let events = wire.events(0);
        for id in [
            SocketId::Tcp(active),
            SocketId::Tcp(opening),
            SocketId::Udp(udp),
            SocketId::Ping(ping),
            SocketId::Ping(asking),
        ] {
            assert!(events.contains(&id), "{id:?} is told");
        }
        let down = SocketError::NetworkDown;
        for (listener, waiting) in [there, anywhere] {
            assert!(
                events.contains(&SocketId::Listener(listener)) && events.contains(&SocketId::Udp(waiting))
            );
            assert_eq!(wire[0].listener_take_error(listener), Some(down));
            assert!(!wire[0].listener_has_error(listener), "told once");
            assert_eq!(wire[0].udp_recv(waiting).unwrap_err(), RecvError::Error(down));
        }
        assert!(!wire[0].listener_has_error(here.0), "lo is still there");
        assert_eq!(wire[0].udp_recv(here.1).unwrap_err(), RecvError::WouldBlock);
        assert_eq!(wire[0].tcp_read(now, active, 1).unwrap_err(), ReadError::Socket(down));
        let write = wire[0].tcp_write(now, active, Rope::from(vec![1]));
        assert_eq!(write, Err(WriteError::BrokenPipe), "told once");
        assert_eq!(wire[0].tcp_take_error(opening), Some(down));
        let sent = wire[0].udp_send(now, udp, Rope::from(vec![1]), None, Default::default());
        assert_eq!(sent, Err(SendError::Route(RouteError::Down)), "as Linux, it looks for the way first");
        for ping in [ping, asking] {
            assert!(matches!(wire[0].ping_recv(ping), Err(PingError::Socket(error)) if error == down));
        }
        let options = wire[0].config().tcp_options();
        let connect = wire[0].tcp_connect(now, None, at(address, 2000), options);
        assert_eq!(connect, Err(ConnectError::NetworkDown));
        wire[0].tcp_close(now, active, Linger::Background);
        wire.settle();
        assert!(wire[0].tcp(active).is_none(), "close does not hang");
        assert_eq!(wire.state(0, local.0), State::Established, "lo is not concerned");
    }
}

#[test]
fn abort_resets_and_unread_data_does_too() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (active, passive) = wire.pair(1, "10.0.0.2");
    let now = wire.now;
    wire[0].tcp_close(now, active, Linger::Abort);
    wire.settle();
    assert_eq!(wire[1].tcp_take_error(passive), Some(SocketError::ConnectionReset));
    assert!(wire[0].tcp(active).is_none());
    let (active, passive) = wire.pair(1, "10.0.0.2");
    let now = wire.now;
    wire[0].tcp_write(now, active, Rope::from(vec![1; 100])).unwrap();
    wire.settle();
    let now = wire.now;
    wire[1].tcp_close(now, passive, Linger::Background);
    wire.settle();
    assert_eq!(wire[0].tcp_take_error(active), Some(SocketError::ConnectionReset));
    assert_eq!(wire.counter(1, Counter::TcpExtTCPAbortOnClose), 1);
    assert!(wire[1].tcp(passive).is_none());
}

/// A table that is full takes no more: those that would rest there are over at once, and their ports free.
#[test]
fn time_wait_is_bounded() {
    let mut config = Config::default();
    config.set("net.ipv4.tcp_max_tw_buckets", "3").unwrap();
    for (_, address) in PAIRS {
        let mut wire = Wire::with_config(2, LINKS[0], &config);
        let listener = wire.listen(1, address, 2000, 8);
        for _ in 0..5 {
            let active = wire.connect(0, at(address, 2000));
            wire.settle();
            let passive = wire[1].tcp_accept(listener).unwrap();
            for (host, id) in [(0, active), (1, passive)] {
                let now = wire.now;
                wire[host].tcp_close(now, id, Linger::Background);
                wire.settle();
            }
        }
        assert_eq!(wire[0].tcp_census().time_wait, 3, "{address}");
        assert_eq!(wire.counter(0, Counter::TcpExtTCPTimeWaitOverflow), 2);
        assert_eq!(wire.counter(0, Counter::TcpExtTW), 0, "none has rested for its minute");
        wire.run_for(Duration::from_secs(61));
        assert_eq!((wire[0].tcp_census().time_wait, wire.counter(0, Counter::TcpExtTW)), (0, 3));
    }
}

#[test]
fn a_vanished_peer_is_given_up() {
    let mut wire = Wire::new(2, LINKS[0]);
    let (active, _) = wire.pair(1, "10.0.0.2");
    wire.filter(
        |_, frame| {
            if tcp_of(frame).is_some() { crate::wire::Fate::Lose } else { crate::wire::Fate::Pass }
        },
    );
    let now = wire.now;
    wire[0].tcp_write(now, active, Rope::from(vec![1; 100])).unwrap();
    wire.run_for(Duration::from_secs(900));
    assert_eq!(wire.state(0, active), State::Established);
    // 924.6 s is what Linux's manual says of tcp_retries2.
    wire.run_for(Duration::from_secs(150));
    assert_eq!(wire[0].tcp_take_error(active), Some(SocketError::TimedOut));
}
