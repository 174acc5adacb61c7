//! A packet as an object of JSON, by ip(8)'s names where that has such.

use etherparse::{LaxNetSlice, LinkSlice, TransportSlice};
use serde_json::{Map, Value, json};

use super::line::{Style, flags};
use super::packet::Packet;
use crate::pcapng::Direction;
use crate::pcapng::read::Frame;

impl Style {
    /// The packet as an object, in one line without an end:
    ///
    /// | names | of | what |
    /// |---|---|---|
    /// | `time_ns`, `ifname`, `direction`, `length` | all | nanoseconds since 1970; the interface; `in` or `out`; bytes that were kept, with the link's header |
    /// | `lladdr`, `lldst`, `ethertype` | Ethernet | from whom, to whom; the type's number |
    /// | `family` | IP, ARP | `inet`, `inet6`, `arp` |
    /// | `src`, `dst` | IP, ARP | addresses; of ARP the sender's and the target's |
    /// | `tos`, `ttl`, `id`, `offset`, `flags` | IPv4 | as in the header, the offset in bytes; of `DF` and `MF` those that are set |
    /// | `tos`, `hoplimit`, `flowlabel` | IPv6 | as in the header |
    /// | `ipproto` | IP | the number of what is carried |
    /// | `sport`, `dport` | TCP, UDP | ports |
    /// | `tcp_flags`, `seq`, `ack`, `win` | TCP | flags in tcpdump's letters, numbers as they stand in the header |
    /// | `icmp_type`, `icmp_code` | ICMP, ICMPv6 | as in the header |
    /// | `payload` | TCP, UDP, ICMP | bytes behind the header of eight bytes, or of TCP |
    /// | `text` | all | what [`Style::line`] says, without its time |
    /// | `bytes` | with [`Style::hex`] | from the IP or ARP header on, in hexadecimal digits |
    pub fn json(&self, frame: &Frame, packet: &Packet<'_>) -> String {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        put("time_ns", frame.nanos.into());
        put("ifname", frame.interface.as_str().into());
        put("direction", if frame.direction == Direction::Sent { "out" } else { "in" }.into());
        put("length", frame.bytes.len().into());
        link(packet, &mut put);
        net(packet, &mut put);
        transport(packet, &mut put);
        put("text", self.packet(packet).into());
        if self.hex {
            let digits: String = packet.inside.iter().map(|byte| format!("{byte:02x}")).collect();
            put("bytes", digits.into());
        }
        Value::Object(object).to_string()
    }
}

fn link(packet: &Packet<'_>, put: &mut impl FnMut(&str, Value)) {
    let link = packet.parts.as_ref().and_then(|parts| parts.link.as_ref());
    let Some(LinkSlice::Ethernet2(header)) = link else { return };
    let station = |bytes: [u8; 6]| bytes.map(|byte| format!("{byte:02x}")).join(":");
    put("lladdr", station(header.source()).into());
    put("lldst", station(header.destination()).into());
    put("ethertype", header.ether_type().0.into());
}

fn net(packet: &Packet<'_>, put: &mut impl FnMut(&str, Value)) {
    let Some(net) = packet.parts.as_ref().and_then(|parts| parts.net.as_ref()) else { return };
    put(
        "family",
        match net {
            LaxNetSlice::Ipv4(_) => "inet",
            LaxNetSlice::Ipv6(_) => "inet6",
            LaxNetSlice::Arp(_) => "arp",
        }
        .into(),
    );
    if let Some((source, destination)) = packet.addresses() {
        put("src", source.to_string().into());
        put("dst", destination.to_string().into());
    }
    match net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            put("tos", (header.dcp().value() << 2 | header.ecn().value()).into());
            put("ttl", header.ttl().into());
            put("id", header.identification().into());
            put("offset", (header.fragments_offset().value() * 8).into());
            let flags = [(header.dont_fragment(), "DF"), (header.more_fragments(), "MF")];
            let set: Vec<_> = flags.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
            put("flags", json!(set));
            put("ipproto", header.protocol().0.into());
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            put("tos", header.traffic_class().into());
            put("hoplimit", header.hop_limit().into());
            put("flowlabel", header.flow_label().value().into());
            put("ipproto", ip.payload().ip_number.0.into());
        }
        LaxNetSlice::Arp(_) => {}
    }
}

fn transport(packet: &Packet<'_>, put: &mut impl FnMut(&str, Value)) {
    if let Some((source, destination)) = packet.ports() {
        put("sport", source.into());
        put("dport", destination.into());
    }
    let mut icmp = |kind: u8, code: u8| {
        put("icmp_type", kind.into());
        put("icmp_code", code.into());
    };
    let payload = match packet.transport() {
        Some(TransportSlice::Tcp(tcp)) => {
            put("tcp_flags", flags(tcp).into());
            put("seq", tcp.sequence_number().into());
            put("ack", tcp.acknowledgment_number().into());
            put("win", tcp.window_size().into());
            tcp.payload().len()
        }
        Some(TransportSlice::Udp(udp)) => udp.length().saturating_sub(8).into(),
        Some(TransportSlice::Icmpv4(message)) => {
            icmp(message.type_u8(), message.code_u8());
            message.slice().len().saturating_sub(8)
        }
        Some(TransportSlice::Icmpv6(message)) => {
            icmp(message.type_u8(), message.code_u8());
            message.slice().len().saturating_sub(8)
        }
        Some(TransportSlice::Igmp(_)) | None => return,
    };
    put("payload", payload.into());
}
