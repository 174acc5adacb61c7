//! Groups between us and the kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tapsock::SockAddr;
use tapsock::bsd::{
    self, AF_INET, AF_INET6, IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, IP_MULTICAST_IF, IPV6_ADD_MEMBERSHIP,
    IPV6_DROP_MEMBERSHIP, IPV6_MULTICAST_IF, MSG_DONTWAIT, SO_RCVTIMEO, SO_REUSEADDR, SOCK_DGRAM, SOL_IP,
    SOL_IPV6, SOL_SOCKET,
};
use tapsock_driver::Namespace;
use tapsock_tests::bench::{Bench, DEVICE, Family, KERNEL_V4, Setup};
use tapsock_tests::far;
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
    change(bench, socket, family, IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP);
    socket
}

/// Joins or leaves the group.
fn change(bench: &Bench, socket: i32, family: Family, v4: i32, v6: i32) {
    let (level, name, value) = match family {
        Family::V4 => (SOL_IP, v4, [&GROUP_V4.octets()[..], &[0; 4], &OURS.to_ne_bytes()].concat()),
        Family::V6 => (SOL_IPV6, v6, [&GROUP_V6.octets()[..], &OURS.to_ne_bytes()].concat()),
    };
    bsd::setsockopt(&bench.host, socket, level, name, &value).unwrap();
}

/// A socket of the kernel's in the group, which sends by that device of that address.
fn kernels(namespace: &Namespace, (device, own): (&str, Ipv4Addr), family: Family) -> std::net::UdpSocket {
    let any = match family {
        Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = namespace.udp_bind(SocketAddr::new(any, PORT)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    match family {
        Family::V4 => {
            socket.join_multicast_v4(&GROUP_V4, &own).unwrap();
            rustix::net::sockopt::set_ip_multicast_if(&socket, &own).unwrap();
        }
        Family::V6 => {
            let index = index_of(namespace, device);
            socket.join_multicast_v6(&GROUP_V6, index).unwrap();
            rustix::net::sockopt::set_ipv6_multicast_if(&socket, index).unwrap();
        }
    }
    socket
}

fn index_of(namespace: &Namespace, device: &str) -> u32 {
    let path = format!("/proc/net/dev_snmp6/{device}");
    let text = namespace.command("cat").arg(path).output().unwrap().stdout;
    String::from_utf8(text).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
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
        let kernel = kernels(&bench.namespace, (DEVICE, KERNEL_V4), family);
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

/// Our host and two networks of the kernel's at one bridge: what one sends comes to each member once, and to who has left no
/// more.
//= RFC 1112 §7.2, type=test
//= RFC 9776 §3.2, type=test
#[test]
fn hosts_at_a_bridge_hear_what_the_group_is_sent_until_they_leave() {
    let Some(bench) = Setup::new().open() else { return };
    let Some(hosts) = far::at_bridge(&bench, 2) else { return };
    let own = [0, 1].map(|number| match far::addresses_at_bridge(number)[0] {
        IpAddr::V4(own) => own,
        IpAddr::V6(_) => unreachable!("IPv4 comes first"),
    });
    for (index, family) in Family::ALL.into_iter().enumerate() {
        let sender = kernels(&bench.namespace, (far::BRIDGE, KERNEL_V4), family);
        let member = member(&bench, family);
        let theirs = [0, 1].map(|at| kernels(&hosts[at], ("near0", own[at]), family));
        let to = SocketAddr::new(group(family), PORT);
        let mut buffer = [0; 64];
        let mut heard = |socket: &std::net::UdpSocket| {
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            (buffer[..len].to_vec(), from.ip())
        };
        let (kernel, ours) = (bench.address(Side::Kernel, family), bench.address(Side::Ours, family));

        sender.send_to(b"to three", to).unwrap();
        let expected = (b"to three".to_vec(), kernel);
        assert_eq!(receive(&bench, member, 0).as_ref(), Some(&expected));
        theirs.iter().for_each(|socket| assert_eq!(heard(socket), expected));
        assert_eq!(heard(&sender), expected);
        bsd::sendto(&bench.host, member, b"from us", 0, Some(&SockAddr::from(to))).unwrap();
        let expected = (b"from us".to_vec(), ours);
        theirs.iter().chain([&sender]).for_each(|socket| assert_eq!(heard(socket), expected));
        assert_eq!(receive(&bench, member, 0), Some(expected));

        // Who has left hears the next one that is for it alone.
        change(&bench, member, family, IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP);
        match family {
            Family::V4 => theirs[0].leave_multicast_v4(&GROUP_V4, &own[0]).unwrap(),
            Family::V6 => theirs[0].leave_multicast_v6(&GROUP_V6, 0).unwrap(),
        }
        sender.send_to(b"to the rest", to).unwrap();
        for address in [ours, far::addresses_at_bridge(0)[index]] {
            sender.send_to(b"alone", SocketAddr::new(address, PORT)).unwrap();
        }
        assert_eq!(heard(&theirs[1]), (b"to the rest".to_vec(), kernel));
        assert_eq!(heard(&theirs[0]), (b"alone".to_vec(), kernel));
        assert_eq!(receive(&bench, member, 0), Some((b"alone".to_vec(), kernel)));
        bsd::close(&bench.host, member).unwrap();
    }
}
