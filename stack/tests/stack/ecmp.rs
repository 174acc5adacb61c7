//! Flows of the host's own are shared among equal ways.

use core::net::IpAddr;
use core::num::NonZeroU8;

use tapsock_stack::buf::{Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::iface::Route;
use tapsock_stack::stack::{Family, SendError, Stack, UdpSendOptions};
use tapsock_stack::tcp::Options;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;

use crate::path_mtu::{UNCUT, too_big};
use crate::wire::{ETH, LINKS, at, station};

/// The routers, by their stations.
const ROUTERS: [usize; 2] = [3, 4];

/// A host with two equal ways to everywhere.
fn host(policy: &str) -> Stack {
    host_with(policy, [None; 2])
}

/// The same where each way takes packets of so many bytes.
fn host_with(policy: &str, mtus: [Option<u16>; 2]) -> Stack {
    let mut config = Config::default();
    for family in ["ipv4", "ipv6"] {
        config.set(&format!("net.{family}.fib_multipath_hash_policy"), policy).unwrap();
    }
    let now = Instant::ZERO;
    let mut stack = Stack::new(config, 7, now);
    assert_eq!(stack.add_interface("eth0", station(0), LINKS[0]), Ok(ETH));
    for (address, network, gateway) in
        [("10.0.0.1/24", "0.0.0.0/0", "10.0.0."), ("fd00::1/64", "::/0", "fd00::")]
    {
        stack.add_address(ETH, address.parse().unwrap()).unwrap();
        for (router, mtu) in ROUTERS.into_iter().zip(mtus) {
            let gateway: IpAddr = format!("{gateway}{router}").parse().unwrap();
            let route = Route::via(network.parse().unwrap(), gateway, ETH);
            stack.add_route(Route { weight: NonZeroU8::new(1), mtu, ..route }).unwrap();
            stack.add_neighbor(now, ETH, gateway, station(router)).unwrap();
        }
    }
    while stack.poll_transmit(now).is_some() {}
    stack
}

/// The one frame that is sent.
fn frame_of(stack: &mut Stack) -> Frame {
    let (_, frame) = stack.poll_transmit(Instant::ZERO).expect("it is sent");
    assert!(stack.poll_transmit(Instant::ZERO).is_none(), "at once");
    frame.to_frame()
}

/// The station that a frame goes to.
fn receiver(frame: &Frame) -> EthernetAddress {
    EthernetAddress(*frame.bytes.first_chunk().unwrap())
}

/// The station that the one frame goes to.
fn station_of(stack: &mut Stack) -> EthernetAddress {
    receiver(&frame_of(stack))
}

/// How many of the flows go by either router.
fn shares(flows: impl IntoIterator<Item = EthernetAddress>) -> [usize; 2] {
    let mut shares = [0; 2];
    for to in flows {
        shares[ROUTERS.iter().position(|router| station(*router) == to).expect("a router's")] += 1;
    }
    shares
}

const FAR: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

#[test]
fn datagrams_of_several_sockets_go_several_ways() {
    for (policy, shared) in [("0", false), ("1", true)] {
        for far in FAR {
            let mut stack = host(policy);
            let family = if far.contains(':') { Family::V6 } else { Family::V4 };
            let ways = (0..200).map(|_| {
                let socket = stack.udp_open(family);
                stack.udp_autobind(socket).unwrap();
                let [first, second] = [0, 1].map(|_| {
                    let (data, options) = (Rope::from(&b"x"[..]), UdpSendOptions::default());
                    stack.udp_send(Instant::ZERO, socket, data, Some(at(far, 9)), options).unwrap();
                    station_of(&mut stack)
                });
                assert_eq!(first, second, "a flow keeps its way");
                first
            });
            let shares = shares(ways);
            assert_eq!(shares.iter().all(|share| *share > 60), shared, "{far}, policy {policy}: {shares:?}");
        }
    }
}

/// What a socket takes for the path's MTU is that of the way that its flow goes, and what a router there says is less is
/// learned, though packets without a flow may go the narrower way.
#[test]
fn a_flow_learns_what_its_own_way_takes() {
    const NARROW: usize = 1400;
    for (policy, far) in [("0", FAR[0]), ("1", FAR[0]), ("1", FAR[1])] {
        let (mut wide, header) = (0, if far.contains(':') { 48 } else { 28 });
        for number in 1..100 {
            let mut stack = host_with(policy, [Some(NARROW as u16), Some(1500)]);
            let to = at(&format!("{}{number}", &far[..far.len() - 1]), 9);
            let socket = stack.udp_open(if to.is_ipv6() { Family::V6 } else { Family::V4 });
            stack.udp_mut(socket).unwrap().discovery = UNCUT;
            stack.udp_connect(socket, Some(to)).unwrap();
            let send = |stack: &mut Stack, packet: usize| {
                let (data, options) = (Rope::from(vec![7; packet - header]), UdpSendOptions::default());
                stack.udp_send(Instant::ZERO, socket, data, None, options)
            };
            send(&mut stack, NARROW).unwrap();
            let is_wide = station_of(&mut stack) == station(ROUTERS[1]);
            let mtu = stack.udp_path_mtu(Instant::ZERO, socket);
            assert_eq!(mtu, Some(if is_wide { 1500 } else { NARROW }), "{to}, policy {policy}");
            if is_wide {
                wide += 1;
                send(&mut stack, 1500).unwrap();
                let complaint = too_big(&frame_of(&mut stack), NARROW as u16);
                stack.receive(Instant::ZERO, ETH, complaint);
                stack.udp_take_error(socket);
                assert_eq!(stack.udp_path_mtu(Instant::ZERO, socket), Some(NARROW), "{to}, policy {policy}");
                assert_eq!(send(&mut stack, NARROW + 1), Err(SendError::TooLong), "{to}, policy {policy}");
                assert_eq!(send(&mut stack, NARROW), Ok(()), "{to}, policy {policy}");
            }
        }
        assert!((20..80).contains(&wide), "{far}, policy {policy}: {wide} of 99 go the wide way");
    }
}

#[test]
fn connections_go_several_ways() {
    for (policy, shared) in [("0", false), ("1", true)] {
        for far in FAR {
            let mut stack = host(policy);
            let ways = (0..200).map(|_| {
                let id = stack.tcp_connect(Instant::ZERO, None, at(far, 80), Options::default()).unwrap();
                let way = station_of(&mut stack);
                stack.tcp_close(Instant::ZERO, id, tapsock_stack::stack::Linger::Abort);
                way
            });
            let shares = shares(ways);
            assert_eq!(shares.iter().all(|share| *share > 60), shared, "{far}, policy {policy}: {shares:?}");
        }
    }
}
