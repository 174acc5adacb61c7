//! Orders that glibc 2.36 gave to lines of a hosts file.

use super::*;

/// On a host with 10.9.0.1/24, 2001:db8::99/64 and a route to everywhere.
#[rustfmt::skip]
const CONNECTED: &[(&str, &str)] = &[
    ("::1 2001:0:1::1 169.254.1.1 fec0::1 2001:db8:8000::1 fd00::1", "::1 2001:db8:8000::1 2001:0:1::1 fd00::1 169.254.1.1 fec0::1"),
    ("192.0.2.1 ff02::1 2001:db8:1::7 fec0::1 10.9.1.1 fd00::1", "2001:db8:1::7 192.0.2.1 10.9.1.1 fd00::1 fec0::1 ff02::1"),
    ("10.9.0.7 2001:db8:8000::1 10.9.0.200 2001:4000::1 169.254.1.1 2001:db8:1::7", "2001:db8:1::7 2001:db8:8000::1 2001:4000::1 10.9.0.7 10.9.0.200 169.254.1.1"),
    ("2001:db8:1::7 2001:db8::7 ::1 10.9.0.7 2002:c000:201::1 10.9.1.1", "::1 2001:db8::7 2001:db8:1::7 10.9.0.7 10.9.1.1 2002:c000:201::1"),
    ("192.0.2.1 2001:0:1::1 10.9.1.1 2001:db8::7 127.0.0.5 10.9.0.200", "2001:db8::7 127.0.0.5 10.9.0.200 192.0.2.1 10.9.1.1 2001:0:1::1"),
    ("fec0::1 10.9.0.200 2001:4000::1 ff02::1 10.9.0.7 2001:db8:8000::1", "2001:db8:8000::1 2001:4000::1 10.9.0.7 10.9.0.200 fec0::1 ff02::1"),
    ("2001:db8:8000::1 10.9.0.200 2001:4000::1 192.0.2.1 fec0::1 10.9.1.1", "2001:db8:8000::1 2001:4000::1 10.9.0.200 192.0.2.1 10.9.1.1 fec0::1"),
    ("2001:db8::7 10.9.0.200 ff02::1 2001:db8:8000::1 127.0.0.5 169.254.1.1", "2001:db8::7 2001:db8:8000::1 127.0.0.5 10.9.0.200 169.254.1.1 ff02::1"),
    ("2001:db8::7 ::1 fd00::1 ff02::1 10.9.1.1 10.9.0.200", "::1 2001:db8::7 10.9.0.200 10.9.1.1 fd00::1 ff02::1"),
    ("2001:db8::7 2001:db8:8000::1 2001:4000::1 127.0.0.5 192.0.2.1 169.254.1.1", "2001:db8::7 2001:db8:8000::1 2001:4000::1 127.0.0.5 192.0.2.1 169.254.1.1"),
    ("ff02::1 10.9.0.200 2001:db8:8000::1 127.0.0.5 10.9.0.7 169.254.1.1", "2001:db8:8000::1 127.0.0.5 10.9.0.7 10.9.0.200 169.254.1.1 ff02::1"),
    ("2002:c000:201::1 ff02::1 2001:4000::1 2001:db8:8000::1 192.0.2.1 fec0::1", "2001:db8:8000::1 2001:4000::1 192.0.2.1 2002:c000:201::1 fec0::1 ff02::1"),
];

/// On a host with `lo` alone.
#[rustfmt::skip]
const ALONE: &[(&str, &str)] = &[
    ("::1 2001:0:1::1 169.254.1.1 fec0::1 2001:db8:8000::1 fd00::1", "::1 fec0::1 2001:0:1::1 2001:db8:8000::1 fd00::1 169.254.1.1"),
    ("192.0.2.1 ff02::1 2001:db8:1::7 fec0::1 10.9.1.1 fd00::1", "ff02::1 fec0::1 2001:db8:1::7 fd00::1 192.0.2.1 10.9.1.1"),
    ("2001:db8:1::7 2001:db8::7 ::1 10.9.0.7 2002:c000:201::1 10.9.1.1", "::1 2001:db8:1::7 2001:db8::7 2002:c000:201::1 10.9.0.7 10.9.1.1"),
    ("192.0.2.1 2001:0:1::1 10.9.1.1 2001:db8::7 127.0.0.5 10.9.0.200", "127.0.0.5 2001:0:1::1 2001:db8::7 192.0.2.1 10.9.1.1 10.9.0.200"),
    ("2001:db8::7 10.9.0.200 ff02::1 2001:db8:8000::1 127.0.0.5 169.254.1.1", "127.0.0.5 ff02::1 2001:db8::7 2001:db8:8000::1 169.254.1.1 10.9.0.200"),
    ("2002:c000:201::1 ff02::1 2001:4000::1 2001:db8:8000::1 192.0.2.1 fec0::1", "ff02::1 fec0::1 2001:4000::1 2001:db8:8000::1 2002:c000:201::1 192.0.2.1"),
];

fn order(addresses: &str, source: impl Fn(SocketAddr) -> Option<Source>) -> String {
    let parse = |address: &str| SocketAddr::new(address.parse().unwrap(), 0);
    let mut addresses: Vec<SocketAddr> = addresses.split(' ').map(parse).collect();
    sort_destinations(&mut addresses, source);
    addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" ")
}

fn from(network: &str) -> Option<Source> {
    Some(Source { address: network.parse().unwrap(), deprecated: false })
}

fn loopback(destination: SocketAddr) -> Option<Source> {
    match destination.ip().is_loopback() {
        true => from(if destination.is_ipv4() { "127.0.0.1/8" } else { "::1/128" }),
        false => None,
    }
}

fn connected(destination: SocketAddr) -> Option<Source> {
    if destination.ip().is_multicast() {
        return None;
    }
    loopback(destination)
        .or_else(|| from(if destination.is_ipv4() { "10.9.0.1/24" } else { "2001:db8::99/64" }))
}

#[test]
fn connected_hosts_sort_as_glibc() {
    for (found, sorted) in CONNECTED {
        assert_eq!(order(found, connected), *sorted, "{found}");
    }
}

#[test]
fn lone_hosts_sort_as_glibc() {
    for (found, sorted) in ALONE {
        assert_eq!(order(found, loopback), *sorted, "{found}");
    }
}

#[test]
fn deprecated_sources_come_later() {
    let source = |destination: SocketAddr| {
        let deprecated = destination.ip() == "2001:db8::1".parse::<core::net::IpAddr>().unwrap();
        Some(Source { address: "2001:db8::99/64".parse().unwrap(), deprecated })
    };
    assert_eq!(order("2001:db8::1 2001:db8::2", source), "2001:db8::2 2001:db8::1");
}

#[test]
fn without_a_source_the_text_gives_the_order() {
    let hints = Hints { socket_type: 1, ..Hints::default() };
    let found = getaddrinfo(&names(), &LocalNet::none(), Some("one"), None, Some(&hints)).unwrap();
    let found: Vec<String> = found.iter().map(|info| info.address.ip().to_string()).collect();
    assert_eq!(found, ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
}
