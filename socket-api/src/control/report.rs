//! What is asked, and what is answered.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What is asked of a host.
///
/// ```
/// use tapsock::control::Request;
///
/// assert_eq!(serde_json::to_string(&Request::Links)?, r#"{"ask":"links"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Its interfaces: [`Links`].
    Links,
    /// Its routes: [`Routes`].
    Routes,
    /// The way of a packet: [`RouteTaken`].
    RouteTo {
        /// Whom it is for.
        destination: IpAddr,
        /// The source that its sender has bound.
        from: Option<IpAddr>,
    },
    /// Its neighbours: [`Neighbors`].
    Neighbors,
    /// Its sockets: [`SocketList`].
    Sockets(Which),
    /// Its counters: [`Counted`].
    Counters,
    /// What passes over its link: a pcapng stream.
    Capture,
}

/// Which sockets.
///
/// ```
/// assert!(!tapsock::control::Which::default().tcp);
/// ```
#[derive(Copy, Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Which {
    /// TCP's.
    pub tcp: bool,
    /// UDP's.
    pub udp: bool,
    /// Raw and ping sockets.
    pub raw: bool,
    /// Local ones.
    pub local: bool,
    /// With what TCP_INFO tells.
    pub info: bool,
}

/// The interfaces of a host. See [`ask`](super::ask) for an example.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Links {
    /// In the order of their indices.
    pub links: Vec<Link>,
}

/// An interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Link {
    /// Its index, from one.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `loopback`, `ether`, or `none` where packets pass bare.
    pub kind: String,
    /// Its station address.
    pub hardware: Option<String>,
    /// The largest packet, in bytes.
    pub mtu: usize,
    /// Whether frames pass.
    pub up: bool,
    /// Its addresses.
    pub addresses: Vec<Address>,
    /// Frames and bytes received, and sent; frames for groups.
    pub rx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Frames received for groups.
    pub multicast: u64,
    /// Frames received that the link could not hand over.
    pub rx_dropped: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames that the link refused.
    pub tx_dropped: u64,
}

/// An address of an interface.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// The length of its network's prefix.
    pub prefix_len: u8,
    /// The network's broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// Whether it should no longer be used for new connections.
    pub deprecated: bool,
    /// Whether it is one of those that last for a while only.
    pub temporary: bool,
    /// Whether somebody else may have it still.
    pub tentative: bool,
    /// Whether a server or a router has given it.
    pub dynamic: bool,
    /// For how long, in seconds; `None`: for ever.
    pub valid: Option<u64>,
    /// For how long it is to be used for new connections, in seconds; `None`: as long.
    pub preferred: Option<u64>,
}

/// The routes of a host.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Routes {
    /// In no order.
    pub routes: Vec<RouteEntry>,
}

/// A route.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RouteEntry {
    /// What becomes of the packets where they do not go on, as `blackhole`.
    pub kind: String,
    /// The network.
    pub destination: IpAddr,
    /// The length of its prefix.
    pub prefix_len: u8,
    /// The router.
    pub gateway: Option<IpAddr>,
    /// By which interface.
    pub device: String,
    /// The table, unless it is the main one.
    pub table: Option<String>,
    /// Whether the router is taken to be on the link.
    pub onlink: bool,
    /// `kernel` for the network of an address, `static` for others.
    pub protocol: String,
    /// The source of packets whose sender has none bound.
    pub source: Option<IpAddr>,
    /// The lesser wins.
    pub metric: u32,
    /// The largest packet, in bytes.
    pub mtu: Option<u16>,
}

/// Which way a packet takes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RouteTaken {
    /// Whom it is for.
    pub destination: IpAddr,
    /// The router.
    pub gateway: Option<IpAddr>,
    /// By which interface.
    pub device: String,
    /// Its source.
    pub source: Option<IpAddr>,
    /// `local`, `broadcast` or `multicast`, where it is for no single other.
    pub kind: String,
    /// Why there is no way, as a call would say it.
    pub errno: Option<i32>,
}

/// The neighbours of a host.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Neighbors {
    /// In no order.
    pub neighbors: Vec<Neighbor>,
}

/// A neighbour.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Neighbor {
    /// Its address.
    pub address: IpAddr,
    /// On whose link it is.
    pub device: String,
    /// Its station address.
    pub hardware: Option<String>,
    /// Its state, as `REACHABLE`.
    pub state: String,
    /// Whether it says that it is a router.
    pub router: bool,
}

/// The counters of a host, by nstat's names.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Counted {
    /// Name and value, in nstat's order.
    pub counters: Vec<(String, u64)>,
}

/// The sockets of a host.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SocketList {
    /// Those of the network.
    pub sockets: Vec<SocketEntry>,
    /// Local ones.
    pub local: Vec<LocalEntry>,
    /// How many of the network there are beside those.
    pub left_out: usize,
}

/// A socket of the network, or what is left of a connection.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SocketEntry {
    /// `tcp`, `udp`, `icmp`, `icmp6` or `raw`.
    pub kind: String,
    /// Whether it is an IPv6 socket.
    pub v6: bool,
    /// Whether it takes its own family only.
    pub only: bool,
    /// The state by ss's name, as `ESTAB`.
    pub state: String,
    /// Bytes to be read, or connections to be accepted.
    pub receive_queue: u64,
    /// Bytes not acknowledged, or the backlog.
    pub send_queue: u64,
    /// Its own address. The port of a raw socket is its protocol, that of a ping socket its identifier.
    pub local: SocketAddr,
    /// Its peer's.
    pub peer: Option<SocketAddr>,
    /// The device that it is bound to.
    pub device: Option<String>,
    /// What it waits for.
    pub timer: Option<SocketTimer>,
    /// What TCP_INFO tells.
    pub info: Option<TcpDetails>,
}

/// What a connection waits for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SocketTimer {
    /// `on` (a retransmission), `persist`, `keepalive` or `timewait`.
    pub name: String,
    /// For how long, in milliseconds.
    pub millis: u64,
    /// How often it was waited for in vain.
    pub vain: u8,
}

/// What TCP_INFO tells, by the names that ss has; times in microseconds unless they say otherwise.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[allow(missing_docs)] // ss(8) says what each is
pub struct TcpDetails {
    pub ts: bool,
    pub sack: bool,
    pub ecn: bool,
    pub ecnseen: bool,
    pub fastopen: bool,
    pub congestion: String,
    pub wscale: Option<(u8, u8)>,
    pub rto: u64,
    pub backoff: u8,
    pub rtt: Option<u64>,
    pub rttvar: u64,
    pub ato: u64,
    pub mss: u32,
    pub pmtu: u32,
    pub rcvmss: u32,
    pub advmss: u32,
    pub cwnd: u32,
    pub ssthresh: Option<u32>,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segs_out: u32,
    pub segs_in: u32,
    pub data_segs_out: u32,
    pub data_segs_in: u32,
    /// In milliseconds.
    pub lastsnd: u64,
    /// In milliseconds.
    pub lastrcv: u64,
    /// In milliseconds.
    pub lastack: u64,
    /// Bytes a second.
    pub pacing_rate: Option<u64>,
    pub max_pacing_rate: Option<u64>,
    pub delivery_rate: u64,
    pub delivered: u32,
    pub app_limited: bool,
    pub busy: u64,
    pub rwnd_limited: u64,
    pub sndbuf_limited: u64,
    pub unacked: u32,
    pub retrans: u32,
    pub retrans_total: u32,
    pub lost: u32,
    pub sacked: u32,
    pub dsack_dups: u32,
    pub reordering: u32,
    pub reord_seen: u32,
    pub rcv_space: u32,
    pub rcv_ssthresh: u32,
    pub notsent: u32,
    pub minrtt: Option<u64>,
    pub rcv_ooopack: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
}

/// A local socket.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LocalEntry {
    /// `u_str`, `u_dgr` or `u_seq`.
    pub kind: String,
    /// `LISTEN`, `ESTAB` or `UNCONN`.
    pub state: String,
    /// Bytes to be read.
    pub receive_queue: u64,
    /// Bytes that the peer has not read.
    pub send_queue: u64,
    /// Its name; an abstract one begins with `@`, and `*` is none.
    pub name: String,
    /// Its number.
    pub number: u64,
    /// The name of its peer.
    pub peer: String,
}
