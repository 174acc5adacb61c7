//! ip(8)'s lines.

use std::fmt::Write;
use std::net::IpAddr;

use tapsock::control::{Address, Link, Neighbor, RouteEntry, RouteTaken};

use super::Shown;

/// The flags of a link, as ip(8) has them.
pub fn flags(link: &Link) -> Vec<&'static str> {
    let mut flags = match link.kind.as_str() {
        "loopback" => vec!["LOOPBACK"],
        "none" => vec!["POINTOPOINT", "NOARP"],
        _ => vec!["BROADCAST", "MULTICAST"],
    };
    if link.up {
        flags.extend(["UP", "LOWER_UP"]);
    }
    flags
}

/// `operstate`.
pub fn state(link: &Link) -> &'static str {
    match (link.up, link.kind.as_str()) {
        (false, _) => "DOWN",
        (true, "ether") => "UP",
        _ => "UNKNOWN",
    }
}

/// The station address, and that of all stations.
pub fn stations(link: &Link) -> Option<(String, &'static str)> {
    match link.kind.as_str() {
        "loopback" => Some(("00:00:00:00:00:00".to_owned(), "00:00:00:00:00:00")),
        _ => link.hardware.clone().map(|hardware| (hardware, "ff:ff:ff:ff:ff:ff")),
    }
}

/// How far an address is known.
pub fn scope(address: IpAddr) -> &'static str {
    match address {
        _ if address.is_loopback() => "host",
        IpAddr::V4(v4) if v4.is_link_local() => "link",
        IpAddr::V6(v6) if v6.is_unicast_link_local() => "link",
        _ => "global",
    }
}

/// What is said of an address besides.
pub fn marks(own: &Address) -> Vec<&'static str> {
    let marks = [
        (own.temporary, "temporary"),
        (own.deprecated, "deprecated"),
        (own.tentative, "tentative"),
        (own.dynamic, "dynamic"),
    ];
    marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark).collect()
}

/// A link, with its addresses and statistics where they are shown.
pub fn link(link: &Link, shown: Shown) -> String {
    let mut text = format!(
        "{}: {}: <{}> mtu {} state {}\n",
        link.index,
        link.name,
        flags(link).join(","),
        link.mtu,
        state(link)
    );
    if shown.stations {
        text += &match stations(link) {
            Some((own, all)) => format!("    link/{} {own} brd {all}\n", link.kind),
            None => format!("    link/{}\n", link.kind),
        };
    }
    if shown.addresses {
        link.addresses.iter().for_each(|own| address(&mut text, link, own));
    }
    if shown.statistics {
        let row = |text: &mut String, values: [u64; 6]| {
            let [bytes, packets, errors, dropped, fourth, fifth] = values;
            // A string takes all there is.
            let _ = writeln!(
                text,
                "    {bytes:>10} {packets:>7} {errors:>6} {dropped:>7} {fourth:>7} {fifth:>7} "
            );
        };
        text += "    RX:  bytes packets errors dropped  missed   mcast           \n";
        row(&mut text, [link.rx_bytes, link.rx_packets, 0, link.rx_dropped, 0, link.multicast]);
        text += "    TX:  bytes packets errors dropped carrier collsns           \n";
        row(&mut text, [link.tx_bytes, link.tx_packets, 0, link.tx_dropped, 0, 0]);
    }
    text
}

fn address(text: &mut String, link: &Link, own: &Address) {
    let family = if own.address.is_ipv4() { "inet" } else { "inet6" };
    let brd = own.broadcast.map_or(String::new(), |brd| format!(" brd {brd}"));
    let marks: String = marks(own).into_iter().map(|mark| format!(" {mark}")).collect();
    // IPv4 addresses bear their interface's name.
    let label = if own.address.is_ipv4() { format!(" {}", link.name) } else { " ".to_owned() };
    let scope = scope(own.address);
    // A string takes all there is.
    let _ =
        writeln!(text, "    {family} {}/{}{brd} scope {scope}{marks}{label}", own.address, own.prefix_len);
    let time = |seconds: Option<u64>| seconds.map_or("forever".to_owned(), |seconds| format!("{seconds}sec"));
    let preferred = time(preferred(own));
    let _ = writeln!(text, "       valid_lft {} preferred_lft {preferred}", time(own.valid));
}

/// For how long an address is to be used for new connections, in seconds; `None`: for ever.
pub fn preferred(own: &Address) -> Option<u64> {
    if own.deprecated { Some(0) } else { own.preferred }
}

/// A link in a line.
pub fn brief(link: &Link, shown: Shown) -> String {
    let head = format!("{:<16} {:<14} ", link.name, state(link));
    if shown.addresses {
        let own = link.addresses.iter().map(|own| format!("{}/{} ", own.address, own.prefix_len));
        return head + &own.collect::<String>();
    }
    let station = stations(link).map_or(String::new(), |(own, _)| own + " ");
    format!("{head}{station}<{}> ", flags(link).join(","))
}

/// `default`, a network, or a lone address.
pub fn destination(route: &RouteEntry) -> String {
    match (route.prefix_len, route.destination) {
        (0, _) => "default".to_owned(),
        (32, IpAddr::V4(lone)) => lone.to_string(),
        (128, IpAddr::V6(lone)) => lone.to_string(),
        (prefix_len, network) => format!("{network}/{prefix_len}"),
    }
}

/// A route.
pub fn route(route: &RouteEntry) -> String {
    let mut words = Vec::new();
    if !route.kind.is_empty() {
        words.push(route.kind.clone());
    }
    words.push(destination(route));
    words.extend(route.gateway.map(|gateway| format!("via {gateway}")));
    if route.kind.is_empty() {
        words.push(format!("dev {}", route.device));
    }
    words.extend(route.table.as_ref().map(|table| format!("table {table}")));
    words.push(format!("proto {}", route.protocol));
    if route.destination.is_ipv4() && route.gateway.is_none() && route.kind.is_empty() {
        words.push("scope link".to_owned());
    }
    words.extend(route.source.map(|source| format!("src {source}")));
    if route.metric > 0 {
        words.push(format!("metric {}", route.metric));
    }
    words.extend(route.mtu.map(|mtu| format!("mtu {mtu}")));
    if route.onlink {
        words.push("onlink".to_owned());
    }
    if route.destination.is_ipv6() {
        words.push("pref medium".to_owned());
    }
    words.join(" ") + " "
}

/// The way of a packet.
pub fn taken(taken: &RouteTaken, from: Option<IpAddr>) -> String {
    let mut words = Vec::new();
    if !taken.kind.is_empty() {
        words.push(taken.kind.clone());
    }
    words.push(taken.destination.to_string());
    words.extend(from.map(|from| format!("from {from}")));
    words.extend(taken.gateway.map(|gateway| format!("via {gateway}")));
    words.push(format!("dev {}", taken.device));
    words.extend(taken.source.filter(|_| from.is_none()).map(|source| format!("src {source}")));
    words.join(" ") + " "
}

/// A neighbour.
pub fn neighbor(neighbor: &Neighbor) -> String {
    let station = neighbor.hardware.as_ref().map_or(String::new(), |hardware| format!("lladdr {hardware} "));
    let router = if neighbor.router { "router " } else { "" };
    format!("{} dev {} {station}{router}{} ", neighbor.address, neighbor.device, neighbor.state)
}
