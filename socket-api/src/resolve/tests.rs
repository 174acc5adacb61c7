use super::*;
use core::net::SocketAddr;
use tapsock_sockets::SockAddr;
use tapsock_stack::iface::IpCidr;

use rustix::io::Errno;

mod glibc;
mod servers;
mod sorting;

const HOSTS: &str = "\
# comment
127.0.0.1\tlocalhost  # tail www
::1 localhost ip6-localhost
192.0.2.1 one one.example.org Uno
192.0.2.2 dos one
2001:db8::1 one six
::ffff:192.0.2.9 mapped
fe80::1%lo scoped
192.0.2.300 bad
192.0.2.7
  192.0.2.8   indented.example.org indented
2001:db8::2 only6
2001:db8::3 only6b only6
192.0.2.1 again
10.1 short
127.0.0.1 later
192.0.2.50 multi
192.0.2.51 multi
192.0.2.50 multi dup
";

const SERVICES: &str = "\
http 80/tcp www
http 80/sctp
http 81/udp
syslog 514/udp
shell 514/tcp cmd
scp-only 99/sctp
dccp-only 98/dccp
lite 97/udplite
UPPER 7/tcp
123abc 12/tcp
";

fn names() -> Names {
    Names { hosts: HostsFile::parse(HOSTS), services: Services::parse(SERVICES), ..Names::builtin() }
}

fn lo() -> Interface {
    let addresses = vec!["127.0.0.1/8".parse().unwrap(), "::1/128".parse().unwrap()];
    Interface { index: 1, name: "lo".to_owned(), addresses }
}

fn families(interfaces: &[Interface], flags: i32, family: i32) -> Result<Vec<bool>, EaiError> {
    let net = LocalNet { interfaces, source: None, dns: None };
    let hints = Hints { flags, family, socket_type: 1, ..Hints::default() };
    let found = getaddrinfo(&names(), &net, Some("localhost"), None, Some(&hints))?;
    let mut families: Vec<bool> = found.iter().map(|info| info.address.is_ipv4()).collect();
    families.dedup();
    Ok(families)
}

#[test]
fn unconfigured_families_are_left_out() {
    let tap = |address: &str| {
        [lo(), Interface { index: 2, name: "tap0".to_owned(), addresses: vec![address.parse().unwrap()] }]
    };
    assert_eq!(families(&[lo()], AI_ADDRCONFIG, 0), Ok(vec![true, false]), "of neither both");
    for (address, family, answer) in [
        ("10.0.0.1/24", 0, Ok(vec![true])),
        ("fe80::1/64", 0, Ok(vec![false])),
        ("10.0.0.1/24", 2, Ok(vec![true])),
        ("10.0.0.1/24", 10, Err(EaiError::NoName)),
        ("fe80::1/64", 2, Err(EaiError::NoName)),
    ] {
        assert_eq!(families(&tap(address), AI_ADDRCONFIG, family), answer, "{address} {family}");
    }
    assert_eq!(families(&tap("10.0.0.1/24"), 0, 10), Ok(vec![false]), "without the flag");
}

#[test]
fn no_hints_are_those_of_glibc() {
    let tap =
        Interface { index: 2, name: "tap0".to_owned(), addresses: vec!["10.0.0.1/24".parse().unwrap()] };
    let net = LocalNet { interfaces: &[lo(), tap], source: None, dns: None };
    let found = getaddrinfo(&names(), &net, Some("one"), Some("80"), None).unwrap();
    assert!(found.iter().all(|info| info.address.is_ipv4()));
    assert_eq!(found.iter().map(|info| info.socket_type).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3]);
}

#[test]
fn unknown_flags_are_refused() {
    for bit in 0..31 {
        let hints = Hints { flags: 1 << bit, family: 2, socket_type: 1, protocol: 0 };
        let found = getaddrinfo(&names(), &LocalNet::none(), Some("10.0.0.1"), None, Some(&hints));
        let address = SockAddr::V4("127.0.0.1:80".parse().unwrap());
        let name = getnameinfo(&names(), &LocalNet::none(), &address, Room::default(), 1 << bit);
        // Without an address of its own, the host has no family to ask for.
        assert_eq!(found.err() == Some(EaiError::BadFlags), bit > 10, "{bit}");
        assert_eq!(name.err() == Some(EaiError::BadFlags), bit > 7, "{bit}");
    }
}

/// Room in bytes against what glibc 2.36 said.
#[test]
fn names_need_room_for_their_zero() {
    let give = |address: &str, host, service, flags| {
        let address = SockAddr::from(address.parse::<SocketAddr>().unwrap());
        let net = LocalNet { interfaces: &[lo()], source: None, dns: None };
        getnameinfo(&names(), &net, &address, Room { host, service }, flags)
            .map(|name| (name.host.is_some(), name.service.is_some()))
    };
    let (v4, v6) = ("127.0.0.1:80", "[fe80::1%1]:80");
    for (address, host, service, flags, answer) in [
        (v4, None, Some(32), 0, Ok((false, true))),
        (v4, Some(0), Some(32), 0, Ok((false, true))),
        (v4, Some(9), Some(32), 0, Err(EaiError::Overflow)),
        (v4, Some(10), Some(32), 0, Ok((true, true))),
        (v4, Some(100), Some(4), 0, Err(EaiError::Overflow)),
        (v4, Some(100), Some(5), 0, Ok((true, true))),
        (v4, Some(100), None, 0, Ok((true, false))),
        (v4, Some(9), Some(32), NI_NUMERICHOST, Err(EaiError::Overflow)),
        (v4, Some(100), Some(2), NI_NUMERICSERV, Err(EaiError::Overflow)),
        (v4, Some(100), Some(3), NI_NUMERICSERV, Ok((true, true))),
        (v6, Some(10), Some(32), NI_NUMERICHOST, Err(EaiError::Overflow)),
        (v6, Some(11), Some(32), NI_NUMERICHOST, Ok((true, true))),
        (v4, None, None, 0, Ok((false, false))),
        (v4, None, None, NI_NAMEREQD, Err(EaiError::NoName)),
        (v4, Some(0), Some(0), NI_NAMEREQD, Ok((false, false))),
    ] {
        assert_eq!(give(address, host, service, flags), answer, "{address} {host:?} {service:?} {flags}");
    }
}

#[test]
fn local_addresses_have_names_too() {
    let give = |flags| {
        let address = SockAddr::Unix(tapsock_sockets::UnixAddr::path(b"/tmp/x").unwrap());
        let names = Names { host_name: "box.example.org".to_owned(), ..names() };
        getnameinfo(&names, &LocalNet::none(), &address, Room::default(), flags)
            .map(|name| (name.host.unwrap(), name.service.unwrap()))
    };
    let path = "/tmp/x".to_owned();
    assert_eq!(give(0), Ok(("box.example.org".to_owned(), path.clone())));
    assert_eq!(give(NI_NUMERICHOST), Ok(("localhost".to_owned(), path)));
    assert_eq!(give(NI_NUMERICHOST | NI_NAMEREQD), Err(EaiError::NoName));
    let other = SockAddr::Other { family: 99, len: 16, as_v4: None };
    let name = getnameinfo(&names(), &LocalNet::none(), &other, Room::default(), 0);
    assert_eq!(name, Err(EaiError::Family));
}

#[test]
fn our_own_domain_is_left_off() {
    let give = |host_name: &str, flags| {
        let names = Names { host_name: host_name.to_owned(), ..names() };
        let address = SockAddr::V4("192.0.2.8:1".parse().unwrap());
        getnameinfo(&names, &LocalNet::none(), &address, Room::default(), flags).unwrap().host.unwrap()
    };
    assert_eq!(give("box.example.org", NI_NOFQDN), "indented");
    assert_eq!(give("box.example.org", 0), "indented.example.org");
    assert_eq!(give("box.example.com", NI_NOFQDN), "indented.example.org");
    assert_eq!(give("box", NI_NOFQDN), "indented.example.org");
}

#[test]
fn interfaces_by_name_and_index() {
    let interfaces = [lo(), Interface { index: 7, name: "tap0".to_owned(), addresses: vec![] }];
    assert_eq!(if_nametoindex(&interfaces, "tap0"), Ok(7));
    assert_eq!(if_nametoindex(&interfaces, "tap"), Err(Errno::NODEV));
    assert_eq!(if_indextoname(&interfaces, 1), Ok("lo"));
    assert_eq!(if_indextoname(&interfaces, 0), Err(Errno::NXIO));
}

#[test]
fn protocols_by_name_and_number() {
    let protocols = Protocols::parse("# c\nip 0 IP # pseudo\nbad x\nlone\ntcp 6 TCP Transmission\nsix 6\n");
    for (name, number) in [("tcp", Some(6)), ("TCP", Some(6)), ("Tcp", None), ("bad", None), ("6", None)] {
        assert_eq!(protocols.by_name(name).map(Protocol::number), number, "{name}");
    }
    let six = protocols.by_number(6).unwrap();
    assert_eq!((six.name(), six.aliases().collect::<Vec<_>>()), ("tcp", vec!["TCP", "Transmission"]));
    assert_eq!(protocols.by_number(7), None);
}

/// What stands behind the last line that there is room for is passed over.
#[test]
fn the_tables_are_bounded() {
    let protocols = |others| Protocols::parse(&("x 1\n".repeat(others) + "y 2\n"));
    assert!(protocols(PROTOCOLS_MAX - 1).by_name("y").is_some());
    assert_eq!(protocols(PROTOCOLS_MAX).by_name("y"), None);
    let hosts = |others| HostsFile::parse(&("::1 x\n".repeat(others) + "::2 y\n"));
    assert!(hosts(HOSTS_MAX - 1).by_name("y", Family::Any).is_some());
    assert_eq!(hosts(HOSTS_MAX).by_name("y", Family::Any), None);
}

#[test]
fn of_a_file_so_many_bytes_are_read_and_no_more() {
    let path = std::env::temp_dir().join(format!("tapsock-names-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    // A hole: it takes no room.
    file.set_len(FILE_MAX + 100).unwrap();
    let text = read(path.to_str().unwrap()).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(text.len() as u64, FILE_MAX);
}

/// What a program on any Linux finds.
#[test]
fn the_system_has_names() {
    let names = Names::system();
    assert!(names.services.by_name("http", Some("tcp")).is_some_and(|http| http.port() == 80));
    assert!(names.protocols.by_name("tcp").is_some_and(|tcp| tcp.number() == 6));
}

#[test]
fn errors_have_the_numbers_of_glibc() {
    for (error, code) in [
        (EaiError::BadFlags, -1),
        (EaiError::NoName, -2),
        (EaiError::Again, -3),
        (EaiError::Fail, -4),
        (EaiError::NoData, -5),
        (EaiError::Family, -6),
        (EaiError::SocketType, -7),
        (EaiError::Service, -8),
        (EaiError::AddressFamily, -9),
        (EaiError::Overflow, -12),
    ] {
        assert_eq!(error.code(), code, "{error}");
    }
}
