//! One host whose peer is the test: segments in, segments out, written as packet scripts write them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use tapsock_sockets::constants::*;
use tapsock_sockets::{Fd, Permission, SockAddr, Sockets};
use tapsock_stack::buf::{Frame, HeaderBlock};
use tapsock_stack::config::Config;
use tapsock_stack::counters::Counter;
use tapsock_stack::iface::{InterfaceId, Route};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::ipv4::Ipv4Header;
use tapsock_stack::wire::ipv6::Ipv6Header;
use tapsock_stack::wire::offload::{LinkCaps, Medium};
use tapsock_stack::wire::tcp::{TcpFlags, TcpHeader};
use tapsock_stack::wire::{EthernetAddress, FastOpenForm, IpProtocol, TcpOptions};

/// The host, and what its peer knows of the connection that it speaks of.
pub struct Peer {
    pub host: Sockets,
    pub now: Instant,
    v6: bool,
    /// The peer's port, and the host's.
    pub ports: (u16, u16),
    /// Our first number, from which the host's are counted.
    iss: Option<u32>,
    /// The peer's number 0.
    pub irs: u32,
    /// The ECN bits of the IP header that came last.
    pub ecn: u8,
    /// The timestamp of the segment that came last.
    pub stamp: u32,
    /// The window of the segment that came last, as it stands.
    pub window: u16,
}

pub const HOST: &str = "192.168.0.1";
pub const PEER: &str = "192.0.2.1";
const HOST6: &str = "fd3d:a0b:17d6::1";
const PEER6: &str = "fd3d:fa7b:d17d::1";
pub const PORT: u16 = 8080;

impl Peer {
    pub fn new(settings: &[(&str, &str)]) -> Peer {
        Peer::over(false, settings)
    }

    pub fn over(v6: bool, settings: &[(&str, &str)]) -> Peer {
        let mut config = Config::default();
        for (name, value) in settings {
            config.set(&format!("net.ipv4.{name}"), value).unwrap();
        }
        let now = Instant::from_secs(1000);
        let mut stack = Stack::new(config, 1, now);
        let mtu = if v6 { 1520 } else { 1500 };
        let caps = LinkCaps::plain(Medium::Ip, mtu);
        let id = stack.add_interface("tun0", EthernetAddress([2, 0, 0, 0, 0, 1]), caps).unwrap();
        for address in [format!("{HOST}/16"), format!("{HOST6}/48")] {
            stack.add_address(id, address.parse().unwrap()).unwrap();
        }
        for net in ["192.0.2.0/24", "fd3d:fa7b:d17d::/48"] {
            stack.add_route(Route::direct(net.parse().unwrap(), id)).unwrap();
        }
        let host = Sockets::new(stack, Permission::Privileged);
        Peer { host, now, v6, ports: (40_000, PORT), iss: None, irs: 0, ecn: 0, stamp: 0, window: 0 }
    }

    fn domain(&self) -> i32 {
        if self.v6 { AF_INET6 } else { AF_INET }
    }

    fn ips(&self) -> (IpAddr, IpAddr) {
        let pick = |v4: &str, v6: &str| if self.v6 { v6.parse().unwrap() } else { v4.parse().unwrap() };
        (pick(HOST, HOST6), pick(PEER, PEER6))
    }

    /// A listener at [`PORT`].
    pub fn listener(&mut self, backlog: i32) -> Fd {
        let fd = self.host.socket(self.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
        self.host.set_option(self.now, fd, SOL_SOCKET, SO_REUSEADDR, &1i32.to_ne_bytes()).unwrap();
        let any: IpAddr = if self.v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        self.host.bind(self.now, fd, &SockAddr::from(SocketAddr::new(any, PORT))).unwrap();
        self.host.listen(self.now, fd, backlog).unwrap();
        fd
    }

    pub fn accept(&mut self, listener: Fd) -> Fd {
        self.host.try_accept(self.now, listener, SOCK_NONBLOCK).unwrap().0
    }

    /// A socket that does not wait, and the peer's address.
    pub fn client(&mut self) -> (Fd, SockAddr) {
        let fd = self.host.socket(self.domain(), SOCK_STREAM | SOCK_NONBLOCK, 0).unwrap();
        // The next SYN is another connection's.
        self.iss = None;
        (fd, SockAddr::from(SocketAddr::new(self.ips().1, PORT)))
    }

    /// Another connection of the peer's.
    pub fn next(&mut self) {
        self.ports.0 += 1;
        self.iss = None;
    }

    /// Sends a segment: flags, `seq:end(len)`, `ack N`, `win N`, as packet scripts write it.
    pub fn give(&mut self, text: &str, options: TcpOptions) {
        self.give_marked(text, options, 0);
    }

    /// The same with those ECN bits.
    pub fn give_marked(&mut self, text: &str, options: TcpOptions, ecn: u8) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let mut flags = TcpFlags::default();
        for letter in words[0].chars() {
            flags.insert(match letter {
                'S' => TcpFlags::SYN,
                'F' => TcpFlags::FIN,
                'R' => TcpFlags::RST,
                'P' => TcpFlags::PSH,
                'E' => TcpFlags::ECE,
                'W' => TcpFlags::CWR,
                '.' => TcpFlags::ACK,
                other => panic!("no flag {other}"),
            });
        }
        let (seq, rest) = words[1].split_once(':').unwrap();
        let len: usize = rest.split_once('(').unwrap().1.trim_end_matches(')').parse().unwrap();
        let after = |word: &str| {
            let at = words.iter().position(|known| *known == word)?;
            words[at + 1].parse::<u32>().ok()
        };
        let header = TcpHeader {
            source_port: self.ports.0,
            destination_port: self.ports.1,
            sequence: self.irs.wrapping_add(seq.parse().unwrap()),
            acknowledgment: after("ack").map_or(0, |ack| self.iss.unwrap_or(0).wrapping_add(ack)),
            flags,
            window: after("win").unwrap_or(60_000) as u16,
            options,
            ..TcpHeader::default()
        };
        let mut headers = HeaderBlock::new();
        header.prepend_to(&mut headers);
        let (host, peer) = self.ips();
        let length = headers.len() + len;
        match (peer, host) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ipv4Header {
                source,
                destination,
                protocol: IpProtocol::TCP,
                ttl: 64,
                tos: ecn,
                identification: 0,
                dont_fragment: true,
                more_fragments: false,
                fragment_offset: 0,
                header_len: 20,
                total_len: 0,
            }
            .prepend_to(length, &mut headers),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ipv6Header {
                source,
                destination,
                next_header: IpProtocol::TCP,
                hop_limit: 64,
                traffic_class: ecn,
                flow_label: 0,
                payload_len: 0,
            }
            .prepend_to(length, &mut headers),
            _ => unreachable!("both are of one family"),
        }
        let bytes: Vec<u8> = headers.iter().copied().chain((0..len).map(|n| n as u8)).collect();
        let frame = Frame { checksum: tapsock_stack::buf::Checksum::Valid, ..Frame::from(bytes) };
        self.host.stack_mut().receive(self.now, InterfaceId(1), frame);
    }

    /// What the host has sent since.
    pub fn heard(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        while let Some((_, packet)) = self.host.stack_mut().poll_transmit(self.now) {
            all.push(self.shown(&packet.to_frame().bytes));
        }
        all
    }

    fn shown(&mut self, bytes: &[u8]) -> String {
        let at = if bytes[0] >> 4 == 4 { 20 } else { 40 };
        self.ecn = if at == 20 { bytes[1] & 3 } else { bytes[1] >> 4 & 3 };
        let header = TcpHeader::parse(&bytes[at..]).unwrap();
        self.stamp = header.options.timestamps.map_or(0, |stamp| stamp.value);
        self.window = header.window;
        let len = bytes.len() - at - usize::from(header.header_len);
        let has = |flag| header.flags.contains(flag);
        let mut text: String = [
            (TcpFlags::SYN, 'S'),
            (TcpFlags::FIN, 'F'),
            (TcpFlags::RST, 'R'),
            (TcpFlags::PSH, 'P'),
            (TcpFlags::ECE, 'E'),
            (TcpFlags::CWR, 'W'),
            (TcpFlags::ACK, '.'),
        ]
        .into_iter()
        .filter(|(flag, _)| has(*flag))
        .map(|(_, letter)| letter)
        .collect();
        if has(TcpFlags::SYN) {
            self.iss = Some(header.sequence);
            self.ports = (header.destination_port, header.source_port);
        }
        let seq = header.sequence.wrapping_sub(self.iss.unwrap_or(0));
        text += &format!(" {seq}:{}({len})", seq.wrapping_add(len as u32));
        if has(TcpFlags::ACK) {
            text += &format!(" ack {}", header.acknowledgment.wrapping_sub(self.irs));
        }
        let options = shown_options(&header.options);
        if options.is_empty() { text } else { format!("{text} <{options}>") }
    }

    /// Lets time pass, and does what is due meanwhile. What the host sends is to be heard after.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.host.stack().poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.host.stack_mut().handle_timeout(self.now);
            if self.host.stack().poll_timeout() == Some(at) {
                break;
            }
        }
        self.now = end;
        self.host.stack_mut().handle_timeout(end);
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.host.stack().counters()[counter]
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.host.stack_mut().config_mut().set(&format!("net.ipv4.{name}"), value).unwrap();
    }
}

fn shown_options(options: &TcpOptions) -> String {
    let mut all = Vec::new();
    all.extend(options.mss.map(|mss| format!("mss {mss}")));
    all.extend(options.sack_permitted.then(|| "sackOK".to_owned()));
    all.extend(options.timestamps.map(|stamp| format!("TS ecr {}", stamp.echo)));
    all.extend(options.window_scale.map(|shift| format!("wscale {shift}")));
    all.extend(options.fast_open.map(|option| {
        let digits: String = option.cookie.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = if option.form == FastOpenForm::Standard { "FO" } else { "FOEXP" };
        format!("{name} {digits}").trim_end().to_owned()
    }));
    all.join(",")
}
