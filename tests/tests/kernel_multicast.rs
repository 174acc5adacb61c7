//! Groups between us and the kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock::SockAddr;
use tapsock::bsd::{
    self, AF_INET, AF_INET6, IP_ADD_MEMBERSHIP, IP_MULTICAST_IF, IPV6_ADD_MEMBERSHIP, IPV6_MULTICAST_IF,
    MSG_DONTWAIT, SO_RCVTIMEO, SO_REUSEADDR, SOCK_DGRAM, SOL_IP, SOL_IPV6, SOL_SOCKET,
};
use tapsock_tests::bench::{Bench, DEVICE, Family, KERNEL_V4, Setup};
use tapsock_tests::sides::{PATIENCE, Side};

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 7, 7, 7);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 7, 7);
const PORT: u16 = 5007;
/// The index of our interface, behind `lo`.
const OURS: i32 = 2;

fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => GROUP_V4.into(),
        Family::V6 => GROUP_V6.into(),
    }
}

/// One of our sockets, which sends to groups by the link.
fn ours(bench: &Bench, family: Family) -> i32 {
    let (domain, level, name) = match family {
        Family::V4 => (AF_INET, SOL_IP, IP_MULTICAST_IF),
        Family::V6 => (AF_INET6, SOL_IPV6, IPV6_MULTICAST_IF),
    };
    let socket = bsd::socket(&bench.host, domain, SOCK_DGRAM, 0).unwrap();
    let patience = [PATIENCE.as_secs().to_ne_bytes(), 0u64.to_ne_bytes()].concat();
    bsd::setsockopt(&bench.host, socket, SOL_SOCKET, SO_RCVTIMEO, &patience).unwrap();
    bsd::setsockopt(&bench.host, socket, SOL_SOCKET, SO_REUSEADDR, &1i32.to_ne_bytes()).unwrap();
    let value = match family {
        Family::V4 => [[0; 4], [0; 4], OURS.to_ne_bytes()].concat(),
        Family::V6 => OURS.to_ne_bytes().to_vec(),
    };
    bsd::setsockopt(&bench.host, socket, level, name, &value).unwrap();
    socket
}

/// The same in the group, at its port.
fn member(bench: &Bench, family: Family) -> i32 {
    let socket = ours(bench, family);
    let any = match family {
        Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    bsd::bind(&bench.host, socket, &SockAddr::from(SocketAddr::new(any, PORT))).unwrap();
    let (level, name, value) = match family {
        Family::V4 => {
            let value = [&GROUP_V4.octets()[..], &[0; 4], &OURS.to_ne_bytes()].concat();
            (SOL_IP, IP_ADD_MEMBERSHIP, value)
        }
        Family::V6 => {
            let value = [&GROUP_V6.octets()[..], &OURS.to_ne_bytes()].concat();
            (SOL_IPV6, IPV6_ADD_MEMBERSHIP, value)
        }
    };
    bsd::setsockopt(&bench.host, socket, level, name, &value).unwrap();
    socket
}

/// A socket of the kernel's in the group, which sends by the link.
fn kernels(bench: &Bench, family: Family) -> std::net::UdpSocket {
    let socket = bench.namespace.udp_bind(SocketAddr::new(
        match family {
            Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
        },
        PORT,
    ));
    let socket = socket.unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    match family {
        Family::V4 => {
            socket.join_multicast_v4(&GROUP_V4, &KERNEL_V4).unwrap();
            let by = rustix::net::sockopt::set_ip_multicast_if(&socket, &KERNEL_V4);
            by.unwrap();
        }
        Family::V6 => {
            let text = bench.run("cat", &[&format!("/proc/net/dev_snmp6/{DEVICE}")]);
            let index = text.split_whitespace().nth(1).unwrap().parse().unwrap();
            socket.join_multicast_v6(&GROUP_V6, index).unwrap();
            rustix::net::sockopt::set_ipv6_multicast_if(&socket, index).unwrap();
        }
    }
    socket
}

fn receive(bench: &Bench, socket: i32, flags: i32) -> Option<(Vec<u8>, IpAddr)> {
    let mut buffer = [0; 64];
    let (len, from) = bsd::recvfrom(&bench.host, socket, &mut buffer, flags).ok()?;
    let from = from.and_then(|from| from.to_inet()).map(|from| from.ip())?;
    Some((buffer[..len].to_vec(), from))
}

//= RFC 1112 §7.2, type=test
//= RFC 9776 §5.1, type=test
//= RFC 1122 §3.3.7 SHLD-1, type=test
#[test]
fn one_sends_and_all_members_hear() {
    let Some(bench) = Setup::new().open() else { return };
    for family in Family::ALL {
        let members = [member(&bench, family), member(&bench, family), member(&bench, family)];
        let kernel = kernels(&bench, family);
        let to = SocketAddr::new(group(family), PORT);

        kernel.send_to(b"from the kernel", to).unwrap();
        for socket in members {
            let expected = (b"from the kernel".to_vec(), bench.address(Side::Kernel, family));
            assert_eq!(receive(&bench, socket, 0), Some(expected));
        }
        // Its own copy.
        let mut buffer = [0; 64];
        let (len, _) = kernel.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"from the kernel");

        let sender = ours(&bench, family);
        let to = SockAddr::from(to);
        assert_eq!(bsd::sendto(&bench.host, sender, b"from us", 0, Some(&to)).unwrap(), 7);
        let (len, from) = kernel.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from.ip()), (&b"from us"[..], bench.address(Side::Ours, family)));
        for socket in members {
            let expected = (b"from us".to_vec(), bench.address(Side::Ours, family));
            assert_eq!(receive(&bench, socket, 0), Some(expected));
            assert_eq!(receive(&bench, socket, MSG_DONTWAIT), None, "once");
            bsd::close(&bench.host, socket).unwrap();
        }
    }
}
