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

/// For each rule two destinations with their sources, of which the first wins by that rule, though the second would win by
/// one that comes later. `!` stands behind a deprecated source, `-` for none.
#[rustfmt::skip]
const RULES: &[(&str, [&str; 2], [&str; 2])] = &[
    ("1: avoid what can't be used", ["192.0.2.1", "10.9.0.1/24"], ["2001:db8:1::7", "-"]),
    ("2: prefer a scope that matches", ["192.0.2.1", "10.9.0.1/24"], ["2001:db8:1::7", "fe80::9/64"]),
    ("3: avoid deprecated addresses", ["192.0.2.1", "10.9.0.1/24"], ["2001:db8:1::7", "2001:db8:1::9/64!"]),
    ("5: prefer a label that matches", ["192.0.2.1", "10.9.0.1/24"], ["2002:c000:201::1", "2001:db8::99/64"]),
    ("6: prefer the higher precedence", ["2001:db8:1::7", "2001:db8::99/64"], ["169.254.1.1", "169.254.1.2/16"]),
    ("8: prefer the smaller scope", ["fe80::8000:0:0:7", "fe80::9/64"], ["2001:db8::7", "2001:db8::99/64"]),
    ("9: use the longest matching prefix", ["2001:db8::7", "2001:db8::99/64"], ["2001:db8:1::7", "2001:db8::99/64"]),
];

//= RFC 6724 §6, type=test
//= RFC 6724 §6 MUST-1, type=test
//= RFC 6724 §6 MUST-2, type=test
//= RFC 6724 §6 MUST-3, type=test
//= RFC 6724 §3.2 MUST-1, type=test
#[test]
fn what_a_rule_decides_no_later_one_undoes() {
    for (rule, winner, loser) in RULES {
        let source = |destination: SocketAddr| {
            let pair = [winner, loser].into_iter().find(|pair| pair[0].parse() == Ok(destination.ip()));
            let source = pair.unwrap()[1];
            let deprecated = source.ends_with('!');
            Some(Source { address: source.trim_end_matches('!').parse().ok()?, deprecated })
        };
        let expected = format!("{} {}", winner[0], loser[0]);
        for found in [&expected, &format!("{} {}", loser[0], winner[0])] {
            assert_eq!(order(found, source), expected, "rule {rule}");
        }
    }
    // Rule 10: what no rule tells apart stays.
    let found = "192.0.2.7 192.0.2.1 192.0.2.9";
    assert_eq!(order(found, connected), found);
}

/// Whatever changes between two questions counts for the second.
//= RFC 6724 §8 MUST-1, type=test
#[test]
fn an_order_is_as_old_as_the_question() {
    let ipv6 = core::cell::Cell::new(true);
    let source =
        |destination: SocketAddr| connected(destination).filter(|_| destination.is_ipv4() || ipv6.get());
    let net = LocalNet { source: Some(&source), ..LocalNet::none() };
    let first = || {
        let hints = Hints { socket_type: 1, ..Hints::default() };
        getaddrinfo(&names(), &net, Some("one"), None, Some(&hints)).unwrap()[0].address
    };
    assert!(first().is_ipv6());
    ipv6.set(false);
    assert!(first().is_ipv4());
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
