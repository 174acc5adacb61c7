//! The stack that the frames go to, with a socket in each state.

use core::net::SocketAddr;
use core::time::Duration;

use tapsock_stack::buf::{Checksum, Frame, Rope};
use tapsock_stack::config::Config;
use tapsock_stack::iface::InterfaceId;
use tapsock_stack::ports::{BindRequest, LocalAddr, Transport};
use tapsock_stack::raw::{RawId, TypeFilter};
use tapsock_stack::stack::{self, Linger, ListenerId, PingId, Stack, TcpId, UdpSendOptions};
use tapsock_stack::time::Instant;
use tapsock_stack::udp::{Merged, UdpId};
use tapsock_stack::wire::arp::{ArpOperation, ArpPacket};
use tapsock_stack::wire::checksum::Sum;
use tapsock_stack::wire::icmpv6::Icmpv6Message;
use tapsock_stack::wire::ndp::{NdpMessage, NeighborSolicit};
use tapsock_stack::wire::offload::{LinkCaps, Medium};
use tapsock_stack::wire::{
    EtherType, EthernetHeader, IpProtocol, TcpFlags, TcpHeader, TcpOptions, Timestamps,
};

use super::{Record, flag};
use crate::craft::{Family, Path, address, station, transport_of};
use crate::emitted::{self, MAX_AT_ONCE};

pub(super) const TCP_PORT: u16 = 2000;
pub(super) const UDP_PORT: u16 = 5000;
pub(super) const CONNECTED_PORT: u16 = 5001;
pub(super) const OPENING_PORT: u16 = 3000;
pub(super) const PING_IDENT: u16 = 77;
pub(super) const RAW_PROTOCOL: u8 = 200;

/// What the application has written on each open connection before the first frame comes.
pub(super) const WRITTEN: usize = 5_000;

const CAPS: LinkCaps = LinkCaps::plain(Medium::Ethernet, 1500);
const BARE_CAPS: LinkCaps = LinkCaps::offloading(Medium::Ip, 1500);

/// How long TIME-WAIT and all retransmissions may go on after the last frame.
const FINISH: Duration = Duration::from_secs(3 * 3600);

pub(super) struct Host {
    pub(super) stack: Stack,
    pub(super) now: Instant,
    eth: InterfaceId,
    tun: InterfaceId,
    listener: ListenerId,
    connections: Vec<TcpId>,
    udp: Vec<UdpId>,
    ping: Vec<PingId>,
    raw: Vec<RawId>,
    /// What was sent over Ethernet while the sockets were set up.
    pub(super) sent: Vec<Frame>,
    record_sent: bool,
}

/// A connection as its peer sees it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Peer {
    pub(super) path: Path,
    pub(super) port: u16,
    /// The peer's next number, and the stack's.
    pub(super) seq: u32,
    pub(super) ack: u32,
}

impl Peer {
    pub(super) fn header(&self, flags: TcpFlags) -> TcpHeader {
        TcpHeader {
            source_port: self.port,
            destination_port: TCP_PORT,
            sequence: self.seq,
            acknowledgment: self.ack,
            flags,
            window: 60_000,
            ..TcpHeader::default()
        }
    }
}

impl Host {
    pub(super) fn new() -> Self {
        Host::with_peers().0
    }

    /// The host, and the peers of its open connections: over IPv4 with all options, over IPv6 with none.
    pub(super) fn with_peers() -> (Self, Vec<Peer>) {
        let mut host = Host::bare();
        host.meet_neighbor();
        let options = TcpOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some(Timestamps { value: 1000, echo: 0 }),
            ..TcpOptions::default()
        };
        let mut peers = Vec::new();
        for (family, port, options) in [
            (Family::V4, 4000, options.clone()),
            (Family::V6, 4000, TcpOptions::default()),
            (Family::V4, 4001, options),
        ] {
            peers.push(host.open(family, port, options));
        }
        host.rest(peers.pop());
        for id in host.connections.clone() {
            let written = host.stack.tcp_write(host.now, id, Rope::from(vec![7; WRITTEN]));
            assert!(written.is_ok());
        }
        host.half_open();
        host.datagram_sockets();
        host.raw_sockets();
        host.flush();
        host.record_sent = false;
        (host, peers)
    }

    fn bare() -> Self {
        let now = Instant::from_secs(100);
        let mut stack = Stack::new(Config::default(), 1, now);
        let eth = stack.add_interface("eth0", station(0), CAPS).expect("the first");
        let tun = stack.add_interface("tun0", station(9), BARE_CAPS).expect("the second");
        for (interface, cidr) in
            [(eth, "10.0.0.1/24"), (eth, "fd00::1/64"), (tun, "10.1.0.1/24"), (tun, "fd01::1/64")]
        {
            stack.add_address(interface, cidr.parse().expect("an address")).expect("room");
        }
        let any = LocalAddr::AnyV6 { only_v6: false };
        let request = BindRequest { port: TCP_PORT, ..BindRequest::new(Transport::Tcp, any) };
        let bind = stack.bind(request).expect("the port is free");
        let options = stack.config().tcp_options();
        let listener = stack.tcp_listen(bind, 16, options).expect("nobody else listens");
        Host {
            stack,
            now,
            eth,
            tun,
            listener,
            connections: Vec::new(),
            udp: Vec::new(),
            ping: Vec::new(),
            raw: Vec::new(),
            sent: Vec::new(),
            record_sent: true,
        }
    }

    /// Lets the stack know of host 1.
    fn meet_neighbor(&mut self) {
        let arp = ArpPacket {
            operation: ArpOperation::Request,
            sender_hardware: station(1),
            sender_ip: [10, 0, 0, 2].into(),
            target_hardware: station(0),
            target_ip: [10, 0, 0, 1].into(),
        };
        let mut headers = tapsock_stack::buf::HeaderBlock::new();
        arp.prepend_to(&mut headers);
        EthernetHeader { destination: station(0), source: station(1), ether_type: EtherType::Arp }
            .prepend_to(&mut headers);
        self.receive(Frame::from(headers.to_vec()), self.eth);
        let path = Path::between(1, 0, Family::V6);
        let std::net::IpAddr::V6(target) = path.destination else { return };
        let solicit = NeighborSolicit { target, source_link: Some(station(1)) };
        let frame = path.icmpv6(Icmpv6Message::Ndp(NdpMessage::from(solicit)), &[]);
        self.receive(Frame::from(frame), self.eth);
    }

    /// A connection that host 1 opens from `port`.
    fn open(&mut self, family: Family, port: u16, options: TcpOptions) -> Peer {
        let path = Path::between(1, 0, family);
        let mut peer = Peer { path, port, seq: 1_000, ack: 0 };
        let syn = TcpHeader { options: options.clone(), ..peer.header(TcpFlags::SYN) };
        self.receive(Frame::from(path.tcp(&syn, &[])), self.eth);
        let answer = self.sent.last().and_then(|frame| transport_of(&frame.bytes, IpProtocol::TCP));
        let answer = answer.and_then(|(_, _, segment)| TcpHeader::parse(segment).ok()).expect("a SYN-ACK");
        (peer.seq, peer.ack) = (1_001, answer.sequence.wrapping_add(1));
        let mut ack = peer.header(TcpFlags::ACK);
        ack.options.timestamps =
            answer.options.timestamps.map(|stamp| Timestamps { value: 1000, echo: stamp.value });
        self.receive(Frame::from(path.tcp(&ack, &[])), self.eth);
        self.connections.push(self.stack.tcp_accept(self.listener).expect("the handshake is done"));
        peer
    }

    /// Lets the connection opened last go through to TIME-WAIT.
    fn rest(&mut self, peer: Option<Peer>) {
        let (Some(peer), Some(id)) = (peer, self.connections.pop()) else { return };
        self.stack.tcp_close(self.now, id, Linger::Background);
        self.flush();
        let mut fin = TcpHeader {
            acknowledgment: peer.ack.wrapping_add(1),
            ..peer.header(TcpFlags::FIN | TcpFlags::ACK)
        };
        fin.options.timestamps = Some(Timestamps { value: 1000, echo: 0 });
        self.receive(Frame::from(peer.path.tcp(&fin, &[])), self.eth);
    }

    /// A connection that is being opened by us, and one by host 1.
    fn half_open(&mut self) {
        let any = LocalAddr::AnyV4;
        let request = BindRequest { port: OPENING_PORT, ..BindRequest::new(Transport::Tcp, any) };
        let bind = self.stack.bind(request).expect("the port is free");
        let (to, options) = (SocketAddr::new(address(1, Family::V4), 9), self.stack.config().tcp_options());
        let id = self.stack.tcp_connect(self.now, Some(bind), to, options).expect("a route leads there");
        self.connections.push(id);
        let peer = Peer { path: Path::between(1, 0, Family::V4), port: 4002, seq: 1_000, ack: 0 };
        self.receive(Frame::from(peer.path.tcp(&peer.header(TcpFlags::SYN), &[])), self.eth);
    }

    fn datagram_sockets(&mut self) {
        for (port, merged) in [(UDP_PORT, Merged::Split), (CONNECTED_PORT, Merged::Whole)] {
            let id = self.stack.udp_open(stack::Family::V6);
            let any = LocalAddr::AnyV6 { only_v6: false };
            let request = BindRequest { port, ..BindRequest::new(Transport::Udp, any) };
            let bind = self.stack.bind(request).expect("the port is free");
            self.stack.udp_bind(id, bind);
            if let Some(socket) = self.stack.udp_mut(id) {
                socket.merged = merged;
            }
            self.udp.push(id);
        }
        let peer = SocketAddr::new(address(1, Family::V4), CONNECTED_PORT);
        self.stack.udp_connect(self.udp[1], Some(peer)).expect("a route leads there");
        let options = UdpSendOptions::default();
        self.stack.udp_send(self.now, self.udp[1], Rope::from(vec![7; 99]), None, options).expect("room");
        for family in [stack::Family::V4, stack::Family::V6] {
            let id = self.stack.ping_open(family).expect("room");
            self.stack.ping_bind(id, None, PING_IDENT).expect("the identifier is free");
            self.ping.push(id);
        }
    }

    /// Raw sockets of protocols that the stack speaks, and of one that it does not: as they are made, connected, and
    /// with a checksum and filters to look at.
    fn raw_sockets(&mut self) {
        for (family, address_family) in [(stack::Family::V4, Family::V4), (stack::Family::V6, Family::V6)] {
            for protocol in [1, 6, 17, 58, u16::from(RAW_PROTOCOL)] {
                let [_, connected, picky] = [0, 1, 2].map(|_| {
                    let id = self.stack.raw_open(family, protocol).expect("room");
                    self.raw.push(id);
                    id
                });
                let peer = SocketAddr::new(address(1, address_family), 0);
                self.stack.raw_connect(connected, Some(peer)).expect("a route leads there");
                if let Some(socket) = self.stack.raw_mut(picky) {
                    socket.checksum_at = Some(2);
                    socket.filter = TypeFilter { words: [0x5555_5555; 8] };
                }
            }
        }
    }

    /// Takes a record of the input.
    pub(super) fn take(&mut self, record: &Record) {
        let bare = record.flags & flag::BARE_IP != 0;
        let mut bytes = record.bytes.to_vec();
        if record.flags & flag::MEND != 0 {
            mend_v4(&mut bytes, if bare { 0 } else { EthernetHeader::LEN });
        }
        let mut frame = Frame::from(bytes);
        frame.gso_size = record.gso_size;
        frame.checksum = match record.flags & flag::CHECKSUM {
            0 => Checksum::Unverified,
            2 => Checksum::Invalid,
            _ => Checksum::Valid,
        };
        self.receive(frame, if bare { self.tun } else { self.eth });
        let millis = [0, 10, 1_000, 70_000][usize::from(record.flags >> flag::TIME_SHIFT) & 0b11];
        self.pass(Duration::from_millis(millis));
        if record.flags & flag::APPLICATION != 0 {
            self.application();
        }
    }

    fn receive(&mut self, frame: Frame, interface: InterfaceId) {
        self.stack.receive(self.now, interface, frame);
        self.flush();
    }

    /// Takes what the stack sends, and holds it to what is right.
    fn flush(&mut self) {
        for count in 0.. {
            assert!(count < MAX_AT_ONCE, "it sends and sends");
            let Some((interface, transmit)) = self.stack.poll_transmit(self.now) else { break };
            let caps = if interface == self.tun { BARE_CAPS } else { CAPS };
            let frame = emitted::frame(transmit, caps);
            if self.record_sent && interface == self.eth {
                self.sent.push(frame);
            }
        }
        while self.stack.poll_event().is_some() {}
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let (mut at, mut turns) = (self.now, 0);
        while let Some(deadline) = self.stack.poll_timeout().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.stack.handle_timeout(self.now);
            self.flush();
            turns = if at == self.now { turns + 1 } else { 0 };
            assert!(turns < 1_000, "deadlines stand still at {at:?}");
            at = self.now;
        }
        self.now = end;
    }

    /// The application takes what there is, and does what servers do.
    fn application(&mut self) {
        self.connections.extend(self.stack.tcp_accept(self.listener));
        for id in &self.connections {
            // A read ends at the mark of urgent data, which frames may have: then there is more behind it.
            while let Ok(data) = self.stack.tcp_read(self.now, *id, usize::MAX) {
                if data.is_empty() {
                    assert!(self.stack.tcp(*id).is_none_or(|connection| connection.readable() == 0));
                    break;
                }
                let _ = self.stack.tcp_write(self.now, *id, data);
            }
        }
        for id in &self.udp {
            while self.stack.udp_recv(*id).is_ok() {}
        }
        for id in &self.ping {
            while self.stack.ping_recv(*id).is_ok() {}
        }
        for id in &self.raw {
            // An error may come before a packet.
            while self.stack.raw_recv(*id).is_ok() || self.stack.raw_recv(*id).is_ok() {}
        }
        self.flush();
    }

    /// All is closed; hours later nothing is left to be done. What the stack still holds is returned with it.
    pub(super) fn finish(mut self) -> Stack {
        self.application();
        self.stack.close_listener(self.now, self.listener);
        for id in core::mem::take(&mut self.connections) {
            self.stack.tcp_close(self.now, id, Linger::Background);
        }
        self.flush();
        self.pass(FINISH);
        let left = self.stack.unfinished();
        assert_eq!(left.connections, 0, "{left:?} after {FINISH:?}");
        assert_eq!(self.stack.poll_timeout(), None, "somebody still waits");
        self.stack
    }
}

/// Makes the checksum of an IPv4 header right, where there is one at `start`.
fn mend_v4(bytes: &mut [u8], start: usize) {
    let Some(packet) = bytes.get_mut(start..) else { return };
    let len = packet.first().map_or(0, |byte| usize::from(byte & 0x0f) * 4);
    let Some(header) = packet.get_mut(..len).filter(|header| header.len() >= 20) else { return };
    header[10..12].fill(0);
    let mut sum = Sum::new();
    sum.add_bytes(header);
    header[10..12].copy_from_slice(&sum.finish().to_be_bytes());
}
