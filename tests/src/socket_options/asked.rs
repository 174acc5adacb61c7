//! What fresh sockets of each kind answer when they are asked for an option.

use std::collections::BTreeMap;
use std::io;

use tapsock::bsd::{self, *};
use tapsock::{Errno, Host};

use super::Named;

/// A row of the table.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// The kinds of sockets that have it.
    pub(super) sockets: Vec<&'static str>,
    /// Those that show it, and those that take it.
    pub(super) get: Vec<&'static str>,
    pub(super) set: Vec<&'static str>,
    /// Which sockets have it, by what they show at first.
    defaults: BTreeMap<String, Vec<&'static str>>,
}

/// Options that show what time it is.
const CLOCKS: [&str; 1] = ["TCP_TIMESTAMP"];

/// A protocol of raw sockets that nobody has.
const NOBODYS: i32 = 200;

/// The kinds of sockets: their names, domains, types, and the protocols that they are asked of.
pub(super) const KINDS: [(&str, i32, i32, &[i32]); 11] = [
    ("tcp", AF_INET, SOCK_STREAM, &[0]),
    ("tcp6", AF_INET6, SOCK_STREAM, &[0]),
    ("udp", AF_INET, SOCK_DGRAM, &[0]),
    ("udp6", AF_INET6, SOCK_DGRAM, &[0]),
    ("ping", AF_INET, SOCK_DGRAM, &[IPPROTO_ICMP]),
    ("ping6", AF_INET6, SOCK_DGRAM, &[IPPROTO_ICMPV6]),
    ("raw", AF_INET, SOCK_RAW, &[IPPROTO_ICMP]),
    // The checksums of ICMPv6 are not the application's to place.
    ("raw6", AF_INET6, SOCK_RAW, &[IPPROTO_ICMPV6, NOBODYS]),
    ("unix", AF_UNIX, SOCK_STREAM, &[0]),
    ("unixgram", AF_UNIX, SOCK_DGRAM, &[0]),
    ("unixpacket", AF_UNIX, SOCK_SEQPACKET, &[0]),
];

/// Asks fresh sockets of each kind, of every protocol that is listed for it.
pub(super) fn ask(host: &Host, option: &Named) -> io::Result<Row> {
    let mut row = Row::default();
    for (kind, domain, socket_type, protocols) in KINDS {
        let (mut get, mut set, mut default) = (false, false, None);
        for protocol in protocols {
            let socket = bsd::socket(host, domain, socket_type, *protocol)?;
            let got = bsd::getsockopt(host, socket, option.level, option.number);
            let told = got.as_ref().ok().filter(|value| !value.as_bytes().is_empty());
            let value = value_to_set(&option.name, told.map(OptionValue::as_bytes));
            for (name, number) in earlier(&option.name) {
                let value = usual(name).unwrap_or_default();
                // Sockets of other kinds have neither.
                let _ = bsd::setsockopt(host, socket, option.level, *number, &value);
            }
            set |= bsd::setsockopt(host, socket, option.level, option.number, &value).is_ok();
            get |= is_there(&got);
            bsd::close(host, socket)?;
            default = default.or(got.ok());
        }
        if get || set {
            row.sockets.push(kind);
        }
        row.get.extend(get.then_some(kind));
        row.set.extend(set.then_some(kind));
        if let Some(value) = default {
            let shown = if CLOCKS.contains(&&*option.name) { "a clock".to_owned() } else { shown(&value) };
            row.defaults.entry(shown).or_default().push(kind);
        }
    }
    Ok(row)
}

/// What an option is set to: another value than the one that it shows, since one that is off for good may be set to that.
pub(super) fn value_to_set(name: &str, told: Option<&[u8]>) -> Vec<u8> {
    let another = |told: &[u8]| told.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 0)).collect();
    usual(name).or_else(|| told.map(another)).unwrap_or_else(|| 1i32.to_ne_bytes().to_vec())
}

/// What programs set an option to, where that is neither a little more or less than what it shows nor one: the C type's
/// bytes.
pub(super) fn usual(name: &str) -> Option<Vec<u8>> {
    const GROUP: [u8; 4] = [239, 1, 1, 1];
    const SOURCE: [u8; 4] = [127, 0, 0, 2];
    const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
    const INDEX: [u8; 4] = 1u32.to_ne_bytes();
    /// A `struct sockaddr_storage` of IPv4 without a port.
    fn storage(address: [u8; 4]) -> [u8; 128] {
        let mut bytes = [0; 128];
        bytes[..2].copy_from_slice(&(AF_INET as u16).to_ne_bytes());
        bytes[4..8].copy_from_slice(&address);
        bytes
    }
    Some(match name {
        "SO_BINDTODEVICE" => b"lo".to_vec(),
        "TCP_CONGESTION" => b"reno".to_vec(),
        "SO_PEEK_OFF" | "IPV6_ADDR_PREFERENCES" => 2i32.to_ne_bytes().to_vec(),
        // Software's stamps of what comes.
        "SO_TIMESTAMPING" => 0x18i32.to_ne_bytes().to_vec(),
        "IPV6_MTU" => 1280i32.to_ne_bytes().to_vec(),
        "IP_MULTICAST_IF" => LOOPBACK.to_vec(),
        "IP_UNICAST_IF" | "IPV6_UNICAST_IF" => 1u32.to_be_bytes().to_vec(),
        // No address, and the first interface.
        "IPV6_PKTINFO" => [&[0; 16][..], &INDEX].concat(),
        "TCP_FASTOPEN_KEY" => vec![1; 16],
        "IP_ADD_MEMBERSHIP" | "IP_DROP_MEMBERSHIP" => [GROUP, LOOPBACK].concat(),
        "IPV6_ADD_MEMBERSHIP" | "IPV6_DROP_MEMBERSHIP" => {
            [&[0xff, 0x01][..], &[0; 13], &[9], &INDEX].concat()
        }
        "IP_ADD_SOURCE_MEMBERSHIP"
        | "IP_DROP_SOURCE_MEMBERSHIP"
        | "IP_BLOCK_SOURCE"
        | "IP_UNBLOCK_SOURCE" => [GROUP, LOOPBACK, SOURCE].concat(),
        // All but this one source.
        "IP_MSFILTER" => [GROUP, LOOPBACK, [0; 4], INDEX, SOURCE].concat(),
        "MCAST_MSFILTER" => {
            [&INDEX[..], &[0; 4], &storage(GROUP), &[0; 4], &INDEX, &storage(SOURCE)].concat()
        }
        "MCAST_JOIN_GROUP" | "MCAST_LEAVE_GROUP" => [&INDEX[..], &[0; 4], &storage(GROUP)].concat(),
        name if name.starts_with("MCAST_") => {
            [&INDEX[..], &[0; 4], &storage(GROUP), &storage(SOURCE)].concat()
        }
        _ => return None,
    })
}

impl Row {
    /// `some` of the kinds of sockets that have the option: all, none, or which.
    pub(super) fn which(&self, some: &[&str]) -> String {
        match some.len() {
            0 => "no".to_string(),
            len if len == self.sockets.len() => "yes".to_string(),
            _ => some.join(" "),
        }
    }

    /// What the sockets show at first.
    pub(super) fn defaults(&self) -> String {
        match self.defaults.len() {
            0 => "none".to_string(),
            1 => self.defaults.keys().next().cloned().unwrap_or_default(),
            _ => {
                let parts =
                    self.defaults.iter().map(|(value, kinds)| format!("{value} ({})", kinds.join(" ")));
                parts.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// What has to be set before an option can be: a group has to be joined before it is left.
pub(super) fn earlier(name: &str) -> &'static [(&'static str, i32)] {
    const JOINED: (&str, i32) = ("IP_ADD_MEMBERSHIP", IP_ADD_MEMBERSHIP);
    match name {
        "IP_DROP_MEMBERSHIP" | "IP_BLOCK_SOURCE" | "IP_MSFILTER" => &[JOINED],
        "IP_UNBLOCK_SOURCE" => &[JOINED, ("IP_BLOCK_SOURCE", IP_BLOCK_SOURCE)],
        "IP_DROP_SOURCE_MEMBERSHIP" => &[("IP_ADD_SOURCE_MEMBERSHIP", IP_ADD_SOURCE_MEMBERSHIP)],
        "IPV6_DROP_MEMBERSHIP" => &[("IPV6_ADD_MEMBERSHIP", IPV6_ADD_MEMBERSHIP)],
        "MCAST_LEAVE_GROUP" | "MCAST_BLOCK_SOURCE" | "MCAST_MSFILTER" => {
            &[("MCAST_JOIN_GROUP", MCAST_JOIN_GROUP)]
        }
        "MCAST_UNBLOCK_SOURCE" => {
            &[("MCAST_JOIN_GROUP", MCAST_JOIN_GROUP), ("MCAST_BLOCK_SOURCE", MCAST_BLOCK_SOURCE)]
        }
        "MCAST_LEAVE_SOURCE_GROUP" => &[("MCAST_JOIN_SOURCE_GROUP", MCAST_JOIN_SOURCE_GROUP)],
        _ => &[],
    }
}

/// Whether an option is shown, be it later: that of a connection is not while there is none.
fn is_there<T>(answer: &Result<T, Errno>) -> bool {
    !matches!(answer, Err(Errno::NOPROTOOPT | Errno::OPNOTSUPP))
}

fn shown(value: &OptionValue) -> String {
    let bytes = value.as_bytes();
    match (value.as_int(), bytes) {
        (Some(number), _) => number.to_string(),
        (None, []) => "\"\"".to_string(),
        (None, bytes) if bytes.iter().all(|byte| *byte == 0) => format!("{} zeros", bytes.len()),
        (None, bytes) if bytes[..2].iter().all(u8::is_ascii_alphabetic) => {
            format!("\"{}\"", String::from_utf8_lossy(bytes).trim_end_matches('\0'))
        }
        (None, bytes) => format!("{} bytes", bytes.len()),
    }
}
