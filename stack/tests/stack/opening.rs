//! Connections opened, refused, and given up.

use core::cell::RefCell;
use core::time::Duration;
use std::rc::Rc;

use tapsock_stack::buf::Rope;
use tapsock_stack::counters::Counter;
use tapsock_stack::error::SocketError;
use tapsock_stack::iface::{Route, RouteKind};
use tapsock_stack::ports::{LocalAddr, Transport};
use tapsock_stack::stack::{ConnectError, Linger, ListenError, SocketId};
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::connection::{ReadError, WriteError};

use crate::wire::{ETH, Fate, LINKS, PAIRS, Wire, at};

#[test]
fn connect_and_accept() {
    for caps in LINKS {
        for (here, there) in PAIRS {
            let mut wire = Wire::new(2, caps);
            let listener = wire.listen(1, there, 2000, 4);
            let active = wire.connect(0, at(there, 2000));
            assert_eq!(wire.state(0, active), State::SynSent);
            let now = wire.now;
            assert_eq!(wire[0].tcp_write(now, active, Rope::from(vec![1])), Err(WriteError::NotConnected));
            assert_eq!(wire[0].tcp_read(now, active, 1).unwrap_err(), ReadError::WouldBlock);
            assert_eq!(wire[1].tcp_accept(listener), None);
            wire.settle();
            assert_eq!(wire[1].listener_ready(listener), 1);
            let passive = wire[1].tcp_accept(listener).unwrap();
            assert_eq!(wire.events(0), [SocketId::Tcp(active)]);
            assert!(wire.events(1).contains(&SocketId::Listener(listener)));
            let local = wire[0].tcp_local(active).unwrap();
            assert_eq!(local.ip(), here.parse::<core::net::IpAddr>().unwrap());
            assert_eq!(wire[0].tcp_remote(active), Some(at(there, 2000)));
            assert_eq!(wire[1].tcp_local(passive), Some(at(there, 2000)));
            assert_eq!(wire[1].tcp_remote(passive), Some(local));
            assert_eq!(wire.counter(0, Counter::TcpActiveOpens), 1);
            assert_eq!(wire.counter(1, Counter::TcpPassiveOpens), 1);
        }
    }
}

#[test]
fn link_local_addresses_work_with_their_scope() {
    let mut wire = Wire::new(2, LINKS[0]);
    let link_local = |wire: &Wire, host: usize| {
        let interface = wire[host].interfaces().interface(ETH).unwrap();
        interface.eui64_link_local().address
    };
    let there = link_local(&wire, 1);
    let listener = wire.listen(1, "::", 2000, 4);
    let core::net::IpAddr::V6(ip) = there else { panic!("it is IPv6") };
    let remote = core::net::SocketAddrV6::new(ip, 2000, 0, ETH.index());
    // The first SYN-ACK is lost: the listener sends it again, to the right link.
    let mut lost = false;
    wire.filter(move |from, frame| match crate::packets::tcp_of(frame) {
        Some(_) if from == 1 && !core::mem::replace(&mut lost, true) => Fate::Lose,
        Some((header, 0)) if from == 0 && lost && header.flags == tapsock_stack::wire::TcpFlags::SYN => {
            Fate::Lose
        }
        _ => Fate::Pass,
    });
    let active = wire.connect(0, remote.into());
    wire.run_for(Duration::from_millis(1500));
    assert_eq!(wire.state(0, active), State::Established);
    let passive = wire[1].tcp_accept(listener).unwrap();
    assert_eq!(wire[1].tcp_remote(passive).unwrap().ip(), link_local(&wire, 0));
    assert_eq!(
        wire[1].tcp_remote(passive),
        Some({
            let core::net::IpAddr::V6(ip) = link_local(&wire, 0) else { panic!("it is IPv6") };
            core::net::SocketAddrV6::new(ip, wire[0].tcp_local(active).unwrap().port(), 0, ETH.index()).into()
        })
    );
}

#[test]
fn a_closed_port_refuses_at_once() {
    for address in ["10.0.0.2", "fd00::2", "127.0.0.1", "::1"] {
        let mut wire = Wire::new(2, LINKS[0]);
        let start = wire.now;
        let id = wire.connect(0, at(address, 2000));
        wire.settle();
        assert!(wire.now.saturating_since(start) < Duration::from_millis(2));
        assert_eq!(wire.state(0, id), State::Closed);
        assert_eq!(wire.events(0), [SocketId::Tcp(id)]);
        assert_eq!(wire[0].tcp_take_error(id), Some(SocketError::ConnectionRefused));
        assert_eq!(wire[0].tcp_take_error(id), None, "told once");
        assert_eq!(wire.counter(0, Counter::TcpAttemptFails), 1);
        let there = if address.starts_with("127") || address == "::1" { 0 } else { 1 };
        assert_eq!(wire.counter(there, Counter::TcpOutRsts), 1);
        let now = wire.now;
        wire[0].tcp_close(now, id, Linger::Background);
        assert!(wire[0].tcp(id).is_none());
    }
}

#[test]
fn silence_is_a_time_out() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.filter(|_, frame| if crate::packets::tcp_of(frame).is_some() { Fate::Lose } else { Fate::Pass });
    let id = wire.connect(0, at("10.0.0.2", 2000));
    wire.run_for(Duration::from_secs(130));
    assert_eq!(wire.state(0, id), State::SynSent);
    wire.run_for(Duration::from_secs(2));
    // 4 times 1, and 1 + 2 + 4 + 8 + 16 + 32 + 64 seconds, as Linux with six retries.
    assert_eq!(wire.state(0, id), State::Closed);
    assert_eq!(wire[0].tcp_take_error(id), Some(SocketError::TimedOut));
    assert_eq!(wire.counter(0, Counter::TcpRetransSegs), 10);
}

/// A path that swallows what it is given may not be the only one: routers that go by the label take another.
//= RFC 6437 §3, type=test
#[test]
fn each_time_out_changes_the_flow_label() {
    let mut wire = Wire::new(2, LINKS[0]);
    let labels = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&labels);
    wire.filter(move |_, frame| {
        if crate::packets::tcp_of(frame).is_none() {
            return Fate::Pass;
        }
        // Behind the header of Ethernet and the first byte of the next.
        seen.borrow_mut().push(crate::packets::bytes_of(frame)[15..18].to_vec());
        Fate::Lose
    });
    wire.connect(0, at("fd00::2", 2000));
    wire.run_for(Duration::from_millis(2500));
    let labels = labels.borrow();
    assert_eq!(labels.len(), 3);
    assert!(labels[0] != labels[1] && labels[1] != labels[2] && labels[2] != labels[0], "{labels:x?}");
    assert_eq!(wire.counter(0, Counter::TcpExtTcpTimeoutRehash), 2);
}

//= RFC 9293 MUST-46, type=test
#[test]
fn where_no_route_leads_nothing_begins() {
    let mut wire = Wire::new(1, LINKS[0]);
    let now = wire.now;
    for (to, error) in [
        ("192.0.2.1", ConnectError::NoRoute),
        ("2001:db8::1", ConnectError::NoRoute),
        ("10.0.0.255", ConnectError::NoRoute),
        ("224.0.0.1", ConnectError::NoRoute),
        ("255.255.255.255", ConnectError::NoRoute),
    ] {
        let options = wire[0].config().tcp_options();
        assert_eq!(wire[0].tcp_connect(now, None, at(to, 2000), options), Err(error), "{to}");
    }
    assert_eq!(wire.counter(0, Counter::TcpActiveOpens), 0);
    // Two groups have no route either.
    assert_eq!(wire.counter(0, Counter::IpOutNoRoutes), 3);
    assert_eq!(wire.counter(0, Counter::Ip6OutNoRoutes), 1);
}

/// Linux 6.18 says EINVAL, EHOSTUNREACH and EACCES, and ENETUNREACH where a table is left.
#[test]
fn routes_that_refuse_say_how() {
    let mut wire = Wire::new(1, LINKS[0]);
    let now = wire.now;
    for (number, kind, error) in [
        (1, RouteKind::Blackhole, ConnectError::Blackhole),
        (2, RouteKind::Unreachable, ConnectError::Unreachable),
        (3, RouteKind::Prohibited, ConnectError::Prohibited),
        (4, RouteKind::Throw, ConnectError::NoRoute),
    ] {
        for (network, to) in [
            (format!("10.{number}.0.0/16"), format!("10.{number}.0.1")),
            (format!("fd0{number}::/64"), format!("fd0{number}::1")),
        ] {
            wire[0].add_route(Route::refusing(network.parse().unwrap(), kind)).unwrap();
            let options = wire[0].config().tcp_options();
            assert_eq!(wire[0].tcp_connect(now, None, at(&to, 2000), options), Err(error), "{to}");
        }
    }
}

#[test]
fn a_route_says_what_is_announced() {
    let mut wire = Wire::new(2, LINKS[0]);
    let route = Route { advmss: Some(900), ..Route::direct("10.0.0.2/32".parse().unwrap(), ETH) };
    wire[0].add_route(route).unwrap();
    let (_, there) = wire.pair(1, "10.0.0.2");
    assert_eq!(wire[1].tcp(there).unwrap().mss(), 900 - 12);
}

/// How much is sent at first, and how much is offered, is said by the route of each end; what is set later leaves it.
#[test]
fn a_route_says_how_much_goes_at_first() {
    let mut wire = Wire::new(2, LINKS[0]);
    for (host, to) in [(0, "10.0.0.2/32"), (1, "10.0.0.1/32")] {
        let route = Route::direct(to.parse().unwrap(), ETH);
        let route = Route { initcwnd: Some(3), initrwnd: Some(4), ..route };
        wire[host].add_route(route).unwrap();
    }
    wire.sniffing = true;
    let ends = wire.pair(1, "10.0.0.2");
    let windows: Vec<u16> =
        wire.seen.iter().filter_map(|(_, frame)| Some(crate::packets::tcp_of(frame)?.0.window)).collect();
    // The SYN does not know yet whether there are time stamps.
    assert_eq!(windows[..2], [4 * 1460, 4 * 1448]);
    for (host, id) in [(0, ends.0), (1, ends.1)] {
        assert_eq!(wire[host].tcp_info(id).unwrap().snd_cwnd, 3);
        let (now, mut options) = (wire.now, wire[host].config().tcp_options());
        options.no_delay = true;
        wire[host].replace_tcp_options(now, id, options.into());
        assert_eq!(wire[host].tcp(id).unwrap().options().rare().initial_window(), 3);
    }
    // Ten, where it says nothing.
    let mut wire = Wire::new(2, LINKS[0]);
    let (here, _) = wire.pair(1, "10.0.0.2");
    assert_eq!(wire[0].tcp_info(here).unwrap().snd_cwnd, 10);
}

#[test]
fn both_ends_open_at_once() {
    let mut wire = Wire::new(2, LINKS[0]);
    // Neighbours are known first, so that the two SYNs pass each other.
    wire.connect(0, at("10.0.0.2", 9));
    wire.settle();
    wire.events(0);
    let now = wire.now;
    let ids: Vec<_> = [("10.0.0.1", "10.0.0.2"), ("10.0.0.2", "10.0.0.1")]
        .into_iter()
        .enumerate()
        .map(|(host, (own, other))| {
            let bind = wire.bind(host, Transport::Tcp, own, 3000);
            let options = wire[host].config().tcp_options();
            wire[host].tcp_connect(now, Some(bind), at(other, 3000), options).unwrap()
        })
        .collect();
    wire.settle();
    for (host, id) in ids.iter().enumerate() {
        assert_eq!(wire.state(host, *id), State::Established);
    }
    let mut flows = crate::transfer::Flow::both((ids[0], ids[1]), 1, 200_000);
    crate::transfer::finish(&mut wire, &mut flows, Duration::from_secs(5));
}

#[test]
fn a_socket_connects_to_itself() {
    let mut wire = Wire::new(1, LINKS[0]);
    let (now, options) = (wire.now, wire[0].config().tcp_options());
    let bind = wire.bind(0, Transport::Tcp, "127.0.0.1", 3000);
    let id = wire[0].tcp_connect(now, Some(bind), at("127.0.0.1", 3000), options).unwrap();
    wire.settle();
    assert_eq!(wire.state(0, id), State::Established, "as on Linux: a simultaneous open with itself");
    wire[0].tcp_write(now, id, Rope::from(&b"echo"[..])).unwrap();
    wire.settle();
    assert_eq!(wire[0].tcp_read(now, id, 9).unwrap().to_vec(), b"echo");
}

#[test]
fn one_tuple_holds_one_connection() {
    let mut wire = Wire::new(2, LINKS[0]);
    wire.listen(1, "10.0.0.2", 2000, 4);
    let (now, options) = (wire.now, wire[0].config().tcp_options());
    let bind = wire.bind(0, Transport::Tcp, "10.0.0.1", 3000);
    let first = wire[0].tcp_connect(now, Some(bind), at("10.0.0.2", 2000), options.clone()).unwrap();
    let again = wire[0].tcp_connect(now, Some(bind), at("10.0.0.2", 2000), options.clone());
    assert_eq!(again, Err(ConnectError::AddressNotAvailable));
    wire[0].tcp_close(now, first, Linger::Abort);
    wire.settle();
    assert!(wire[0].tcp_connect(now, Some(bind), at("10.0.0.2", 2000), options).is_ok());
}

#[test]
fn two_listeners_at_one_address_are_refused() {
    let mut wire = Wire::new(1, LINKS[0]);
    let options = wire[0].config().tcp_options();
    let request = tapsock_stack::ports::BindRequest {
        port: 2000,
        reuse_address: true,
        ..tapsock_stack::ports::BindRequest::new(Transport::Tcp, LocalAddr::AnyV4)
    };
    let (one, two) = (wire[0].bind(request).unwrap(), wire[0].bind(request).unwrap());
    let listener = wire[0].tcp_listen(one, 1, options.clone()).unwrap();
    assert_eq!(wire[0].tcp_listen(two, 1, options.clone()), Err(ListenError::AddressInUse));
    let now = wire.now;
    wire[0].close_listener(now, listener);
    assert!(wire[0].tcp_listen(two, 1, options).is_ok());
}
