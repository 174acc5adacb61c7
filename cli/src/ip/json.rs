//! ip(8)'s JSON, by its field names.

use std::net::IpAddr;

use serde_json::{Map, Value, json};
use tapsock::control::{Address, Link, Neighbor, RouteEntry, RouteTaken};

use super::Shown;
use super::text::{destination, flags, marks, preferred, scope, state, stations};

/// "For ever".
const FOR_EVER: u32 = u32::MAX;

/// `ip -j addr` and `ip -j link`.
pub fn links(links: &[Link], shown: Shown) -> Value {
    links.iter().map(|link| self::link(link, shown)).collect()
}

fn link(link: &Link, shown: Shown) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    put("ifindex", link.index.into());
    put("ifname", link.name.clone().into());
    put("flags", flags(link).into());
    put("mtu", link.mtu.into());
    put("operstate", state(link).into());
    put("link_type", link.kind.clone().into());
    if let Some((own, all)) = stations(link) {
        put("address", own.into());
        put("broadcast", all.into());
    }
    if shown.addresses {
        put("addr_info", link.addresses.iter().map(|own| address(link, own)).collect());
    }
    if shown.statistics {
        let rx = json!({ "bytes": link.rx_bytes, "packets": link.rx_packets, "errors": 0,
            "dropped": link.rx_dropped, "over_errors": 0, "multicast": link.multicast });
        let tx = json!({ "bytes": link.tx_bytes, "packets": link.tx_packets, "errors": 0,
            "dropped": link.tx_dropped, "carrier_errors": 0, "collisions": 0 });
        put("stats64", json!({ "rx": rx, "tx": tx }));
    }
    object.into()
}

fn address(link: &Link, own: &Address) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    put("family", if own.address.is_ipv4() { "inet" } else { "inet6" }.into());
    put("local", own.address.to_string().into());
    put("prefixlen", own.prefix_len.into());
    if let Some(all) = own.broadcast {
        put("broadcast", all.to_string().into());
    }
    put("scope", scope(own.address).into());
    for mark in marks(own) {
        put(mark, true.into());
    }
    if own.address.is_ipv4() {
        put("label", link.name.clone().into());
    }
    put("valid_life_time", own.valid.map_or(FOR_EVER.into(), Value::from));
    put("preferred_life_time", preferred(own).map_or(FOR_EVER.into(), Value::from));
    object.into()
}

/// `ip -j route`.
pub fn routes(routes: &[RouteEntry]) -> Value {
    routes.iter().map(route).collect()
}

fn route(route: &RouteEntry) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
    if !route.kind.is_empty() {
        put("type", route.kind.clone().into());
    }
    put("dst", destination(route).into());
    if let Some(gateway) = route.gateway {
        put("gateway", gateway.to_string().into());
    }
    if route.kind.is_empty() {
        put("dev", route.device.clone().into());
    }
    if let Some(table) = &route.table {
        put("table", table.clone().into());
    }
    put("protocol", route.protocol.clone().into());
    if route.destination.is_ipv4() && route.gateway.is_none() && route.kind.is_empty() {
        put("scope", "link".into());
    }
    if let Some(source) = route.source {
        put("prefsrc", source.to_string().into());
    }
    if route.metric > 0 {
        put("metric", route.metric.into());
    }
    if let Some(mtu) = route.mtu {
        put("metrics", json!([{ "mtu": mtu }]));
    }
    put("flags", if route.onlink { json!(["onlink"]) } else { json!([]) });
    if route.destination.is_ipv6() {
        put("pref", "medium".into());
    }
    object.into()
}

/// `ip -j route get`.
pub fn taken(taken: &RouteTaken, from: Option<IpAddr>) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: String| drop(object.insert(name.to_owned(), value.into()));
    if !taken.kind.is_empty() {
        put("type", taken.kind.clone());
    }
    put("dst", taken.destination.to_string());
    if let Some(from) = from {
        put("from", from.to_string());
    }
    if let Some(gateway) = taken.gateway {
        put("gateway", gateway.to_string());
    }
    put("dev", taken.device.clone());
    if let Some(source) = taken.source.filter(|_| from.is_none()) {
        put("prefsrc", source.to_string());
    }
    object.insert("flags".to_owned(), json!([]));
    json!([object])
}

/// `ip -j neigh`.
pub fn neighbors(neighbors: &[Neighbor]) -> Value {
    let object = |neighbor: &Neighbor| {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        put("dst", neighbor.address.to_string().into());
        put("dev", neighbor.device.clone().into());
        if let Some(station) = &neighbor.hardware {
            put("lladdr", station.clone().into());
        }
        if neighbor.router {
            put("router", Value::Null);
        }
        put("state", json!([neighbor.state]));
        Value::from(object)
    };
    neighbors.iter().map(object).collect()
}
