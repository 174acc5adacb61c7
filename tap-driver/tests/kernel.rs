//! The kernel at the other end of a TAP device and of a veth pair, in a namespace of the test's own.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use tapsock_driver::{KernelEnd, Link, Namespace};
use tapsock_stack::buf::{Checksum, Rope};
use tapsock_stack::wire::{TcpFlags, TcpHeader, TcpOptions};

mod common;

use common::{
    KERNEL_V4, KERNEL_V6, OURS_V4, OURS_V6, Packet, Station, allowed, has_ip, kernel_end, namespace, pattern,
};

const MSS: u16 = 1400;

/// Runs `test` over both ways to the kernel, as far as they are open to us.
fn over_each_link(test: impl Fn(&Namespace, Station)) {
    let Some(over_tap) = namespace() else { return };
    if let Some(tap) = allowed(over_tap.open_tap(&kernel_end())) {
        let peer = over_tap.device(tap.name()).unwrap().hardware;
        test(&over_tap, Station::new(tap, peer));
    }
    let Some(over_veth) = namespace() else { return };
    if let Some(veth) = allowed(over_veth.open_veth(&kernel_end())) {
        let peer = over_veth.device("tap0").unwrap().hardware;
        test(&over_veth, Station::new(veth, peer));
    }
}

fn addresses() -> [(IpAddr, IpAddr); 2] {
    [(KERNEL_V4.into(), OURS_V4.into()), (KERNEL_V6.into(), OURS_V6.into())]
}

#[test]
fn datagrams_cross_both_ways_with_checksums_left_to_the_link() {
    over_each_link(|namespace, mut station| {
        for (kernel, ours) in addresses() {
            let socket = namespace.udp_bind(SocketAddr::new(kernel, 7000)).unwrap();
            socket.send_to(b"to the stack", SocketAddr::new(ours, 9)).unwrap();
            let (checksum, payload) = station.expect("a datagram", |frame, packet| match packet {
                Packet::Udp { to_port: 9, payload, .. } => Some((frame.checksum, payload.clone())),
                _ => None,
            });
            assert_eq!((checksum, &payload[..]), (Checksum::Valid, &b"to the stack"[..]));

            let to = SocketAddr::new(kernel, 7000);
            station.transmit(&station.udp(9, to, Rope::from(&b"to the kernel"[..]), None));
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut bytes = [0; 100];
            let (len, from) = socket.recv_from(&mut bytes).unwrap();
            assert_eq!((&bytes[..len], from), (&b"to the kernel"[..], SocketAddr::new(ours, 9)));
            assert_eq!(station.send.dropped(), 0);
        }
    });
}

#[test]
fn the_kernel_cuts_our_merged_datagrams() {
    over_each_link(|namespace, mut station| {
        for (kernel, _) in addresses() {
            let to = SocketAddr::new(kernel, 7001);
            let socket = namespace.udp_bind(to).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let payload = pattern(13_500);
            let merged = station.udp(9, to, Rope::from(payload.clone()), Some(MSS));
            station.transmit(&merged);
            let mut bytes = [0; 2000];
            for sent in payload.chunks(usize::from(MSS)) {
                let len = socket.recv(&mut bytes).unwrap();
                assert_eq!(&bytes[..len], sent);
            }
            assert_eq!(station.send.dropped(), 0);
        }
    });
}

/// Shakes hands with a kernel that connects to us; gives its port, and the numbers of the next bytes each way.
fn accept(station: &mut Station, kernel: IpAddr) -> (u16, u32, u32) {
    let (port, theirs) = station.expect("a SYN", |_, packet| match packet {
        Packet::Tcp { header, .. } if header.flags.contains(TcpFlags::SYN) => {
            Some((header.source_port, header.sequence.wrapping_add(1)))
        }
        _ => None,
    });
    let options = TcpOptions { mss: Some(MSS), window_scale: Some(4), ..TcpOptions::default() };
    let header = TcpHeader {
        source_port: 80,
        destination_port: port,
        sequence: 1000,
        acknowledgment: theirs,
        flags: TcpFlags::SYN | TcpFlags::ACK,
        window: 60_000,
        options,
        ..TcpHeader::default()
    };
    station.transmit(&station.tcp(&header, kernel, Rope::new(), MSS));
    (port, 1001, theirs)
}

#[test]
fn merged_segments_cross_whole_both_ways() {
    over_each_link(|namespace, mut station| {
        for (kernel, ours) in addresses() {
            let data = pattern(200_000);
            let peer = thread::spawn({
                let (namespace, data) = (namespace.clone(), data.clone());
                move || {
                    let mut stream = namespace.tcp_connect(SocketAddr::new(ours, 80)).unwrap();
                    stream.write_all(&data).unwrap();
                    let mut received = vec![0; 60_000];
                    stream.read_exact(&mut received).unwrap();
                    received
                }
            });
            let (port, sequence, mut next) = accept(&mut station, kernel);
            let ack = |acknowledgment| TcpHeader {
                source_port: 80,
                destination_port: port,
                sequence,
                acknowledgment,
                flags: TcpFlags::ACK,
                window: 60_000,
                ..TcpHeader::default()
            };
            let (mut received, mut largest) = (Vec::new(), 0);
            while received.len() < data.len() {
                let (gso_size, checksum, bytes) = station.expect("data", |frame, packet| match packet {
                    Packet::Tcp { header, payload, .. } if !payload.is_empty() && header.sequence == next => {
                        Some((frame.gso_size, frame.checksum, payload.clone()))
                    }
                    _ => None,
                });
                assert_eq!(checksum, Checksum::Valid);
                assert_eq!(gso_size.is_some(), bytes.len() > usize::from(MSS), "{} bytes", bytes.len());
                assert!(gso_size.is_none_or(|size| size <= MSS));
                largest = largest.max(bytes.len());
                next = next.wrapping_add(bytes.len() as u32);
                received.extend(bytes);
                station.transmit(&station.tcp(&ack(next), kernel, Rope::new(), MSS));
            }
            assert!(received == data, "the bytes are those that were sent");
            assert!(largest > 10_000, "largest frame: {largest} bytes");

            let reply = pattern(60_000);
            let header = TcpHeader { flags: TcpFlags::ACK | TcpFlags::PSH, ..ack(next) };
            station.transmit(&station.tcp(&header, kernel, Rope::from(reply.clone()), MSS));
            assert!(peer.join().unwrap() == reply);
        }
    });
}

#[test]
fn the_kernel_does_not_answer_for_us() {
    over_each_link(|namespace, mut station| {
        // Even where it forwards packets.
        namespace.set_sysctl("net.ipv4.ip_forward", "1").unwrap();
        let _ = namespace.set_sysctl("net.ipv6.conf.all.forwarding", "1");
        for (kernel, ours) in addresses() {
            let socket = namespace.udp_bind(SocketAddr::new(kernel, 7002)).unwrap();
            socket.connect(SocketAddr::new(ours, 9)).unwrap();
            for tag in 0..3 {
                socket.send(&[tag]).unwrap();
                station.expect("a datagram", |_, packet| match packet {
                    Packet::Udp { to_port: 9, payload, .. } => (payload[..] == [tag]).then_some(()),
                    _ => None,
                });
            }
            // Were one of its ends to take our frames for its own, it would say that nobody listens there.
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            assert_eq!(socket.recv(&mut [0; 10]).unwrap_err().kind(), ErrorKind::WouldBlock);
            let deadline = Instant::now() + Duration::from_millis(100);
            while let Some(frame) = station.next(deadline) {
                let packet = Packet::parse(&frame.bytes);
                assert!(!matches!(packet, Packet::Udp { .. }), "forwarded back: {packet:?}");
            }
        }
    });
}

#[test]
fn the_kernels_end_is_as_it_was_asked_for() {
    if !has_ip() {
        return;
    }
    let Some(namespace) = namespace() else { return };
    for link in ["tap", "veth"] {
        let dns = "10.9.0.0/16".parse().unwrap();
        let wanted = KernelEnd::new("other0")
            .mtu(9000)
            .address("10.8.0.1/24".parse().unwrap())
            .address("fd08::1/64".parse().unwrap())
            .route(dns, "10.8.0.2".parse().ok())
            .route("fd09::/48".parse().unwrap(), "fd08::2".parse().ok())
            .sysctl("net.ipv4.tcp_sack", "0");
        let opened: Option<Box<dyn Link>> = match link {
            "tap" => allowed(namespace.open_tap(&wanted)).map(|tap| Box::new(tap) as _),
            _ => allowed(namespace.open_veth(&wanted)).map(|veth| Box::new(veth) as _),
        };
        let Some(opened) = opened else { continue };
        assert_eq!(opened.caps().mtu, 9000, "{link}");
        assert_eq!(namespace.device("other0").unwrap().mtu, 9000);
        assert_eq!(namespace.sysctl("net.ipv4.tcp_sack").unwrap(), "0");
        let shown = |args: &[&str]| {
            let output = namespace.command("ip").args(args).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let addresses = shown(&["address", "show", "dev", "other0"]);
        assert!(addresses.contains("10.8.0.1/24 brd 10.8.0.255") && addresses.contains("fd08::1/64"));
        let ours = addresses.lines().find(|line| line.contains("fd08::1"));
        assert!(!ours.unwrap().contains("tentative"), "{addresses}");
        assert!(addresses.contains("qlen 10000"), "{addresses}");
        let routes = shown(&["route"]);
        assert!(routes.contains("10.9.0.0/16 via 10.8.0.2 dev other0"));
        let default = namespace.sysctl("net.ipv4.tcp_congestion_control").unwrap();
        let over_the_link =
            ["10.8.0.2", "10.9.0.1", "fd08::2", "fd09::1"].map(|to| shown(&["route", "get", to]));
        let by_route = over_the_link.iter().all(|route| route.contains("congctl cubic"));
        assert!(default == "cubic" || by_route, "{default}: {over_the_link:?}");
        assert!(shown(&["-6", "route"]).contains("fd09::/48 via fd08::2 dev other0"));
        assert!(namespace.tcp_listen("[fd08::1]:80".parse().unwrap()).is_ok(), "usable at once");
    }
}

/// The device gives no push-back: what its queue does not hold is lost.
#[test]
fn the_device_has_a_long_queue() {
    if !has_ip() {
        return;
    }
    over_each_link(|namespace, _station| {
        let output = namespace.command("ip").args(["link", "show", "dev", "tap0"]).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("qlen 10000"), "{shown}");
    });
}

#[test]
fn a_device_that_goes_away_ends_the_link() {
    if !has_ip() {
        return;
    }
    over_each_link(|namespace, mut station| {
        let name = "tap0";
        assert!(namespace.command("ip").args(["link", "delete", name]).status().unwrap().success());
        let mut slot = tapsock_driver::RecvSlot::new();
        let gone = (0..100).find_map(|_| {
            let error = station.receive.receive(&mut slot).err()?;
            (error.kind() != ErrorKind::WouldBlock).then_some(error)
        });
        assert!(gone.is_some(), "receiving tells");
        let to = SocketAddr::new(KERNEL_V4.into(), 7);
        let frame = station.udp(9, to, Rope::from(&b"x"[..]), None);
        let error = station.send.transmit(&frame).unwrap_err();
        assert_ne!(error.kind(), ErrorKind::WouldBlock, "sending tells");
    });
}
