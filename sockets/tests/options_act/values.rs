//! What the options are set to: other than at first, and so that it shows.

use tapsock_sockets::constants::*;

use crate::run::Setting;

/// The index of the interface that joins the hosts.
const WIRE: i32 = 2;
const GROUP: [u8; 4] = [239, 1, 1, 1];
const OWN: [u8; 4] = [10, 0, 0, 1];
const SOURCE: [u8; 4] = [10, 0, 0, 2];

/// The value of an option, for a socket of that family.
pub fn value_of(name: &str, domain: i32) -> Vec<u8> {
    let numbers: &[i32] = match name {
        "SO_BINDTODEVICE" => return b"lo".to_vec(),
        "TCP_CONGESTION" => return b"reno".to_vec(),
        "TCP_FASTOPEN_KEY" => return vec![1; 16],
        // A record of the route.
        "IP_OPTIONS" => return vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        "IP_MULTICAST_IF" => return vec![127, 0, 0, 1],
        // The number of `lo`, in network byte order.
        "IP_UNICAST_IF" | "IPV6_UNICAST_IF" => return vec![0, 0, 0, 1],
        "IP_ADD_MEMBERSHIP" | "IP_DROP_MEMBERSHIP" => return [GROUP, OWN].concat(),
        "IPV6_ADD_MEMBERSHIP" | "IPV6_DROP_MEMBERSHIP" => {
            return [&[0xff, 0x05][..], &[0; 11], &[1, 0, 3], &WIRE.to_ne_bytes()].concat();
        }
        "IP_ADD_SOURCE_MEMBERSHIP"
        | "IP_DROP_SOURCE_MEMBERSHIP"
        | "IP_BLOCK_SOURCE"
        | "IP_UNBLOCK_SOURCE" => return [GROUP, OWN, SOURCE].concat(),
        "MCAST_JOIN_GROUP" | "MCAST_LEAVE_GROUP" => return request(&[GROUP]),
        name if name.starts_with("MCAST_") => return request(&[GROUP, SOURCE]),
        "ICMP_FILTER" => return vec![255; 4],
        "ICMP6_FILTER" => return vec![255; 32],
        "SO_RCVTIMEO" | "SO_SNDTIMEO" => return [7u64.to_ne_bytes(), [0; 8]].concat(),
        "SO_LINGER" => &[1, 0],
        "SO_SNDBUF" | "SO_SNDBUFFORCE" => &[9000],
        "SO_RCVBUF" | "SO_RCVBUFFORCE" => &[6000],
        "SO_RCVLOWAT" => &[10],
        "SO_TIMESTAMPING" => &[0x2 | 0x8 | 0x10 | 0x100],
        "SO_PEEK_OFF" => &[2],
        "SO_PRIORITY" => &[6],
        "SO_MAX_PACING_RATE" => &[100_000],
        "SO_MARK" => &[7],
        "TCP_MAXSEG" => &[600],
        "TCP_WINDOW_CLAMP" => &[3000],
        "TCP_KEEPIDLE" | "TCP_KEEPINTVL" => &[11],
        "TCP_KEEPCNT" | "TCP_SYNCNT" => &[2],
        "TCP_LINGER2" => &[-1],
        "TCP_DEFER_ACCEPT" => &[5],
        "TCP_QUICKACK" => &[0],
        "TCP_USER_TIMEOUT" => &[3000],
        "TCP_FASTOPEN" => &[5],
        "UDP_SEGMENT" => &[4],
        "IP_TOS" | "IPV6_TCLASS" => &[0x10],
        "IP_TTL" | "IPV6_UNICAST_HOPS" | "IP_MULTICAST_TTL" | "IPV6_MULTICAST_HOPS" => &[33],
        "IP_MTU_DISCOVER" | "IPV6_MTU_DISCOVER" => &[IP_PMTUDISC_DO],
        "IP_MINTTL" | "IPV6_MINHOPCOUNT" => &[255],
        "IP_LOCAL_PORT_RANGE" => &[40_000 | 40_001 << 16],
        "IP_MULTICAST_LOOP" | "IPV6_MULTICAST_LOOP" | "IPV6_MULTICAST_ALL" => &[0],
        "IP_MULTICAST_ALL" => return i32::from(domain == AF_INET6).to_ne_bytes().to_vec(),
        "IPV6_V6ONLY" => &[1],
        "IPV6_AUTOFLOWLABEL" => &[0],
        "IPV6_MTU" => &[1280],
        // No address, and `lo`.
        "IPV6_PKTINFO" => &[0, 0, 0, 0, 1],
        "IPV6_CHECKSUM" => &[2],
        _ => &[1],
    };
    numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
}

/// A `struct group_req`, or a `struct group_source_req`.
fn request(addresses: &[[u8; 4]]) -> Vec<u8> {
    let mut bytes = [WIRE.to_ne_bytes(), [0; 4]].concat();
    for address in addresses {
        let mut storage = [0; 128];
        storage[..2].copy_from_slice(&(AF_INET as u16).to_ne_bytes());
        storage[4..8].copy_from_slice(address);
        bytes.extend(storage);
    }
    bytes
}

/// What is set besides, with the option and without it, for it to matter.
pub fn companions(name: &str, domain: i32) -> Vec<Setting> {
    let own = |level, number, name| Setting { level, number, value: value_of(name, domain) };
    let joined = || own(SOL_IP, IP_ADD_MEMBERSHIP, "IP_ADD_MEMBERSHIP");
    let told_of_errors = || {
        let v6 = (domain == AF_INET6).then(|| own(SOL_IPV6, IPV6_RECVERR, "IPV6_RECVERR"));
        [own(SOL_IP, IP_RECVERR, "IP_RECVERR")].into_iter().chain(v6).collect()
    };
    match name {
        "TCP_KEEPIDLE" | "TCP_KEEPINTVL" | "TCP_KEEPCNT" => {
            vec![own(SOL_SOCKET, SO_KEEPALIVE, "SO_KEEPALIVE")]
        }
        "TCP_FASTOPEN_KEY" => vec![own(SOL_TCP, TCP_FASTOPEN, "TCP_FASTOPEN")],
        "IP_DROP_MEMBERSHIP" | "IP_BLOCK_SOURCE" | "MCAST_LEAVE_GROUP" | "MCAST_BLOCK_SOURCE" => {
            vec![joined()]
        }
        "IP_UNBLOCK_SOURCE" | "MCAST_UNBLOCK_SOURCE" => {
            vec![joined(), own(SOL_IP, IP_BLOCK_SOURCE, "IP_BLOCK_SOURCE")]
        }
        "IP_DROP_SOURCE_MEMBERSHIP" | "MCAST_LEAVE_SOURCE_GROUP" => {
            vec![own(SOL_IP, IP_ADD_SOURCE_MEMBERSHIP, "IP_ADD_SOURCE_MEMBERSHIP")]
        }
        "IPV6_DROP_MEMBERSHIP" => vec![own(SOL_IPV6, IPV6_ADD_MEMBERSHIP, "IPV6_ADD_MEMBERSHIP")],
        // On a stream they tell of what the error queue holds.
        "IP_PKTINFO"
        | "IP_RECVTTL"
        | "IP_RECVTOS"
        | "IP_RECVORIGDSTADDR"
        | "IPV6_RECVPKTINFO"
        | "IPV6_RECVHOPLIMIT"
        | "IPV6_RECVTCLASS"
        | "IPV6_RECVORIGDSTADDR" => told_of_errors(),
        "IP_RECVERR_RFC4884" => vec![own(SOL_IP, IP_RECVERR, "IP_RECVERR")],
        "IPV6_RECVERR_RFC4884" => vec![own(SOL_IPV6, IPV6_RECVERR, "IPV6_RECVERR")],
        "IPV6_RECVPATHMTU" => vec![own(SOL_IPV6, IPV6_DONTFRAG, "IPV6_DONTFRAG")],
        _ => Vec::new(),
    }
}
