//! What there is on a host, put together under its lock.

use core::net::{IpAddr, SocketAddr};

use tapsock_sockets::UnixName;
use tapsock_sockets::errno::ToErrno;
use tapsock_sockets::local::SocketKind;
use tapsock_stack::iface::{Delivery, Interface, InterfaceId, Interfaces, Preference, Route, Stay, TableId};
use tapsock_stack::stack::{Entry, Family, Stack, Stage, Surveyed, Watch};
use tapsock_stack::tcp::info::Info;
use tapsock_stack::tcp::{Connection, State};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::offload::Medium;

use super::report::{
    Address, Counted, Link, Links, LocalEntry, Neighbor, Neighbors, RouteEntry, RouteTaken, Routes,
    SocketEntry, SocketList, SocketTimer, TcpDetails, Which,
};
use crate::host::Host;
use crate::local::LocalSocket;

/// The ioctls FIONREAD and SIOCOUTQ.
const FIONREAD: i32 = 0x541b;
const SIOCOUTQ: i32 = 0x5411;

pub(super) fn links(host: &Host) -> Links {
    let turn = host.shard().turn();
    let (stack, now) = (turn.state.sockets.stack(), turn.now);
    let links = stack.interfaces().iter().map(|interface| link(stack, now, interface)).collect();
    turn.finish();
    let mut links = Links { links };
    // What a link itself loses, it counts itself.
    for (link, drops) in
        links.links.iter_mut().filter(|link| link.kind != "loopback").zip(host.shard().link_drops())
    {
        link.rx_dropped += drops.received();
        link.tx_dropped += drops.sent();
    }
    links
}

fn link(stack: &Stack, now: Instant, interface: &Interface) -> Link {
    let traffic = stack.traffic(interface.id());
    let kind = match interface.caps().medium {
        _ if interface.is_loopback() => "loopback",
        Medium::Ethernet => "ether",
        Medium::Ip => "none",
    };
    Link {
        index: interface.id().index(),
        name: interface.name().to_owned(),
        kind: kind.to_owned(),
        hardware: interface.has_neighbors().then(|| interface.hardware().to_string()),
        mtu: interface.caps().mtu,
        up: interface.link() == tapsock_stack::iface::LinkState::Up,
        addresses: addresses(stack, now, interface),
        rx_packets: traffic.rx_packets,
        rx_bytes: traffic.rx_bytes,
        multicast: traffic.multicast,
        rx_dropped: 0,
        tx_packets: traffic.tx_packets,
        tx_bytes: traffic.tx_bytes,
        tx_dropped: 0,
    }
}

fn addresses(stack: &Stack, now: Instant, interface: &Interface) -> Vec<Address> {
    let told = interface.addresses().iter().map(|own| {
        let given = stack.address_lifetimes(interface.id(), own.cidr.address);
        let [valid, preferred] =
            given.unwrap_or_default().map(|end| end.map(|end| end.saturating_since(now).as_secs()));
        Address {
            address: own.cidr.address,
            prefix_len: own.cidr.prefix_len,
            broadcast: own.cidr.broadcast(),
            deprecated: own.preference == Preference::Deprecated,
            temporary: own.stay != Stay::Lasting,
            tentative: false,
            dynamic: given.is_some(),
            valid,
            preferred,
        }
    });
    let mut told: Vec<_> = told.collect();
    // As ip has them.
    told.sort_by_key(|own| own.address.is_ipv6());
    told
}

pub(super) fn routes(host: &Host) -> Routes {
    let turn = host.shard().turn();
    let interfaces = turn.state.sockets.stack().interfaces();
    let set = interfaces.routes().iter().map(|route| RouteEntry {
        kind: route.kind.name().to_owned(),
        table: (route.table != TableId::MAIN).then(|| route.table.to_string()),
        onlink: route.onlink,
        destination: route.destination.network().address,
        prefix_len: route.destination.prefix_len,
        gateway: route.gateway,
        device: name_of(interfaces, route.interface),
        protocol: if is_connected(interfaces, route) { "kernel" } else { "static" }.to_owned(),
        source: route.source,
        metric: route.metric,
        mtu: route.mtu,
    });
    let routes = set.collect();
    turn.finish();
    Routes { routes }
}

/// Which way a packet to `destination` takes.
pub(super) fn route_to(host: &Host, destination: IpAddr, from: Option<IpAddr>) -> RouteTaken {
    let turn = host.shard().turn();
    let interfaces = turn.state.sockets.stack().interfaces();
    let taken = match interfaces.route(destination, from, None) {
        Ok(hop) => RouteTaken {
            destination,
            gateway: Some(hop.next_hop).filter(|next| *next != destination),
            device: name_of(interfaces, hop.interface),
            source: Some(hop.source),
            kind: match hop.delivery {
                _ if interfaces.is_local(destination) => "local",
                Delivery::Unicast => "",
                Delivery::Broadcast => "broadcast",
                Delivery::Multicast => "multicast",
            }
            .to_owned(),
            errno: None,
        },
        Err(error) => RouteTaken {
            destination,
            gateway: None,
            device: String::new(),
            source: None,
            kind: String::new(),
            errno: Some(error.errno().raw_os_error()),
        },
    };
    turn.finish();
    taken
}

/// Whether it is the route of an address of ours.
fn is_connected(interfaces: &Interfaces, route: &Route) -> bool {
    let interface = interfaces.interface(route.interface);
    let has = |interface: &Interface| {
        interface
            .addresses()
            .iter()
            .any(|own| own.on_link && own.cidr.network() == route.destination.network())
    };
    route.gateway.is_none() && interface.is_some_and(has)
}

pub(super) fn neighbors(host: &Host) -> Neighbors {
    let turn = host.shard().turn();
    let (stack, now) = (turn.state.sockets.stack(), turn.now);
    let told = stack.neighbors().entries(now).map(|entry| Neighbor {
        address: entry.address,
        device: name_of(stack.interfaces(), entry.interface),
        hardware: entry.link_address.map(|address| address.to_string()),
        state: entry.state.to_string(),
        router: entry.router,
    });
    let neighbors = told.collect();
    turn.finish();
    Neighbors { neighbors }
}

pub(super) fn counters(host: &Host) -> Counted {
    Counted {
        counters: host.counters().iter().map(|(counter, value)| (counter.name().to_owned(), value)).collect(),
    }
}

pub(super) fn sockets(host: &Host, which: Which) -> SocketList {
    let mut wanted = Vec::new();
    if which.tcp {
        wanted.push(Surveyed::Tcp);
    }
    if which.udp {
        wanted.push(Surveyed::Udp);
    }
    if which.raw {
        wanted.extend([Surveyed::Raw(0), Surveyed::Ping]);
    }
    let turn = host.shard().turn();
    let (stack, now) = (turn.state.sockets.stack(), turn.now);
    let found = stack.survey(now, &wanted);
    let sockets = found.entries.iter().map(|entry| socket(stack, now, entry, which.info)).collect();
    turn.finish();
    let locals = if which.local { host.locals().all() } else { Vec::new() };
    SocketList {
        sockets,
        local: locals.iter().map(|socket| local(socket)).collect(),
        left_out: found.left_out,
    }
}

fn socket(stack: &Stack, now: Instant, entry: &Entry, info: bool) -> SocketEntry {
    let v6 = entry.family == Family::V6;
    let kind = match entry.kind {
        Surveyed::Tcp => "tcp",
        Surveyed::Udp => "udp",
        Surveyed::Ping if v6 => "icmp6",
        Surveyed::Ping => "icmp",
        Surveyed::Raw(_) => "raw",
    };
    let connection = entry.connection.filter(|_| info);
    let details = connection.and_then(|id| Some((stack.tcp_info(id)?, stack.tcp(id)?)));
    let details = details.map(|(info, connection)| tcp_details(&info, connection, entry.local, now));
    // A listener has only what its connections begin with.
    let begins = entry.begins.filter(|_| info).map(|(congestion, cwnd)| TcpDetails {
        congestion: congestion.name().to_owned(),
        cwnd,
        ..TcpDetails::default()
    });
    SocketEntry {
        kind: kind.to_owned(),
        v6,
        only: entry.only,
        state: state(entry.stage).to_owned(),
        receive_queue: entry.receive_queue as u64,
        send_queue: entry.send_queue as u64,
        local: entry.local,
        peer: entry.remote,
        device: entry.device.map(|device| name_of(stack.interfaces(), device)),
        timer: entry.watch.map(|(watch, left, vain)| SocketTimer {
            name: match watch {
                Watch::Retransmission => "on",
                Watch::Persist => "persist",
                Watch::KeepAlive => "keepalive",
                Watch::TimeWait => "timewait",
            }
            .to_owned(),
            millis: left.as_millis() as u64,
            vain,
        }),
        info: details.or(begins),
    }
}

/// ss's names.
fn state(stage: Stage) -> &'static str {
    match stage {
        Stage::Listening => "LISTEN",
        Stage::HalfOpen => "SYN-RECV",
        Stage::TimeWait => "TIME-WAIT",
        Stage::Unconnected => "UNCONN",
        Stage::Connected => "ESTAB",
        Stage::Tcp(state) => match state {
            State::Established => "ESTAB",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECV",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::LastAck => "LAST-ACK",
            State::Closing => "CLOSING",
            State::TimeWait => "TIME-WAIT",
            State::Closed => "UNCONN",
        },
    }
}

const TCP_HEADER_LEN: u32 = 20;

fn tcp_details(info: &Info, connection: &Connection, local: SocketAddr, now: Instant) -> TcpDetails {
    let micros = |duration: core::time::Duration| duration.as_micros() as u64;
    let millis_since = |then: Instant| now.saturating_since(then).as_millis() as u64;
    let times = connection.send_times(now);
    let ip_header = if local.is_ipv4() { 20 } else { 40 };
    TcpDetails {
        ts: info.timestamps,
        sack: info.sack,
        ecn: info.ecn,
        ecnseen: info.ecn_seen,
        fastopen: info.syn_data,
        congestion: connection.options().congestion.name().to_owned(),
        wscale: info.window_scaling.then(|| (info.snd_wscale.shift(), info.rcv_wscale.shift())),
        rto: micros(info.rto),
        backoff: info.backoff,
        rtt: info.rtt.map(micros),
        rttvar: micros(info.rttvar),
        ato: micros(info.ato),
        mss: info.snd_mss,
        pmtu: info.path + TCP_HEADER_LEN + ip_header,
        rcvmss: info.rcv_mss,
        advmss: info.advmss,
        cwnd: info.snd_cwnd,
        ssthresh: Some(info.snd_ssthresh).filter(|ssthresh| *ssthresh < 0xffff),
        bytes_sent: info.bytes_sent,
        bytes_retrans: info.bytes_retrans,
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
        segs_out: info.segs_out,
        segs_in: info.segs_in,
        data_segs_out: info.data_segs_out,
        data_segs_in: info.data_segs_in,
        lastsnd: millis_since(info.last_data_sent),
        lastrcv: millis_since(info.last_data_recv),
        lastack: millis_since(info.last_ack_recv),
        pacing_rate: Some(info.pacing_rate).filter(|rate| *rate != u64::MAX),
        max_pacing_rate: Some(info.max_pacing_rate).filter(|rate| *rate != u64::MAX),
        delivery_rate: info.delivery_rate,
        delivered: info.delivered,
        app_limited: info.delivery_rate_app_limited,
        busy: micros(times.busy),
        rwnd_limited: micros(times.peer),
        sndbuf_limited: micros(times.buffer),
        unacked: info.unacked,
        retrans: info.resending,
        retrans_total: info.total_resent,
        lost: info.lost,
        sacked: info.sacked,
        dsack_dups: info.duplicates,
        reordering: info.reordering,
        reord_seen: info.reorder_seen,
        rcv_space: info.rcv_space,
        rcv_ssthresh: info.rcv_ssthresh,
        notsent: info.notsent,
        minrtt: info.min_rtt.map(micros),
        rcv_ooopack: info.rcv_ooopack,
        snd_wnd: info.snd_wnd,
        rcv_wnd: info.rcv_wnd,
    }
}

fn local(socket: &LocalSocket) -> LocalEntry {
    let queue = |request| socket.ioctl(request).ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    let (is_listening, peer) = (socket.is_listening(), socket.peer_name());
    LocalEntry {
        kind: match socket.kind() {
            SocketKind::Stream => "u_str",
            SocketKind::Datagram => "u_dgr",
            SocketKind::Seqpacket => "u_seq",
        }
        .to_owned(),
        state: match &peer {
            _ if is_listening => "LISTEN",
            Ok(_) => "ESTAB",
            Err(_) => "UNCONN",
        }
        .to_owned(),
        receive_queue: if is_listening { 0 } else { queue(FIONREAD) },
        send_queue: if is_listening { 0 } else { queue(SIOCOUTQ) },
        name: named(&socket.name()),
        number: socket.number(),
        peer: peer.map_or_else(|_| "*".to_owned(), |peer| named(&peer)),
    }
}

fn named(address: &tapsock_sockets::UnixAddr) -> String {
    match address.name() {
        UnixName::Unnamed => "*".to_owned(),
        UnixName::Path(path) => String::from_utf8_lossy(path).into_owned(),
        UnixName::Abstract(name) => format!("@{}", String::from_utf8_lossy(name)),
    }
}

fn name_of(interfaces: &Interfaces, id: InterfaceId) -> String {
    interfaces.interface(id).map_or_else(|| id.to_string(), |found| found.name().to_owned())
}
