//! Packets that the script sends to the target.

use core::net::SocketAddr;

use super::{Flow, Protocol, Session, Side, Stage, Traced};
use crate::ast::{self, Body, IpEcn, Ports, Quoted, TcpFlags, TcpOptions};
use crate::run::expect;
use crate::run::failure::Failure;
use crate::run::packet::{self, Icmp, Packet, Tcp, Transport, Udp};
use crate::run::trace::{TraceEntry, TraceKind};

/// The time to live of what the script sends.
const HOP_LIMIT: u8 = 255;

/// Bytes of a transport header that an ICMP error quotes (RFC 792).
const QUOTED: usize = 8;

impl Session<'_> {
    /// Sends a packet to the target.
    pub(super) fn inject(&mut self, script: &ast::Packet) -> Result<(), Failure> {
        let index = self.flow_to(script)?;
        let (local, remote) = self.ends(index, script)?;
        let flow = &mut self.flows[index];
        let transport = match &script.body {
            Body::Tcp(tcp) => Transport::Tcp(segment(flow, tcp, local, remote)),
            Body::Udp(udp) => Transport::Udp(Udp {
                source_port: remote.port(),
                destination_port: local.port(),
                payload: vec![0; udp.length.into()],
            }),
            Body::Icmp(icmp) => Transport::Icmp(
                message(flow, icmp, local, remote).map_err(|why| Failure::new(script.at, why))?,
            ),
        };
        let ecn = match script.ip.ecn {
            None | Some(IpEcn::NoEcn) => 0,
            Some(IpEcn::Ect0 | IpEcn::Ect01) => 2,
            Some(IpEcn::Ect1) => 1,
            Some(IpEcn::Ce) => 3,
        };
        let packet = Packet {
            source: script.ip.source.unwrap_or(remote.ip()),
            destination: script.ip.destination.unwrap_or(local.ip()),
            traffic_class: script.ip.tos.unwrap_or(0) | ecn,
            flow_label: script.ip.flow_label.unwrap_or(0),
            hop_limit: script.ip.ttl.unwrap_or(HOP_LIMIT),
            parts: 1,
            transport,
        };
        let mut bytes = packet::encode(&packet);
        if script.ip.wrong_sum {
            packet::spoil_checksum(&mut bytes);
        }
        if let Some(part) = script.ip.part {
            let piece = packet::cut(&bytes, part, script.ip.identification.unwrap_or(1));
            bytes = piece.ok_or_else(|| Failure::new(script.at, "the packet has no such part"))?;
        }
        if let Some(extension) = script.ip.extension {
            packet::insert_extension(&mut bytes, extension);
        }
        if let Some(word) = script.ip.option_word {
            packet::insert_ip_options(&mut bytes, word);
        }
        let entry = TraceEntry {
            at: self.target.now(),
            line: self.line,
            kind: TraceKind::Received,
            text: expect::shown(script),
            packet: bytes.clone(),
        };
        self.trace.push(Traced::Told(entry));
        let peer_mss = self.rules.peer_mss.filter(|_| matches!(script.body, Body::Tcp(_)));
        self.target.inject(bytes, peer_mss);
        Ok(())
    }

    /// The flow that a packet goes to, which may begin with it.
    fn flow_to(&mut self, script: &ast::Packet) -> Result<usize, Failure> {
        let ports = match &script.body {
            Body::Tcp(tcp) => tcp.ports,
            Body::Udp(udp) => udp.ports,
            Body::Icmp(_) => None,
        };
        if let Some(ports) = ports {
            if let Some(index) = self.flows.iter().rposition(|flow| flow.has_ports(ports)) {
                self.current = Some(index);
                return Ok(index);
            }
            return Ok(self.begin_flow(protocol_of(&script.body), Some(ports)));
        }
        match (self.current, &script.body) {
            (None, Body::Icmp(_)) => {
                Err(Failure::new(script.at, "there is no packet that this could be about"))
            }
            (None, body) => Ok(self.begin_flow(protocol_of(body), None)),
            (Some(index), Body::Tcp(_)) if self.flows[index].stage == Stage::Listening => {
                Ok(self.begin_flow(Protocol::Tcp, None))
            }
            (Some(index), _) => Ok(index),
        }
    }

    /// A flow that the peer begins, to the socket that listens where there is one.
    fn begin_flow(&mut self, protocol: Protocol, ports: Option<Ports>) -> usize {
        let listening = self.current.map(|index| &self.flows[index]).and_then(|flow| flow.local);
        let local = listening.map_or(self.rules.bind_port, |local| local.port());
        let ports = match ports {
            Some(ports) => ports,
            None => Ports { source: self.next_remote_port(), destination: local },
        };
        let mut flow = Flow::new(protocol, Stage::Connecting, Side::Peer);
        let ip = listening.map_or(self.rules.local, |local| local.ip());
        flow.local = Some(SocketAddr::new(ip, ports.destination));
        flow.remote = Some(SocketAddr::new(self.rules.remote, ports.source));
        self.new_flow(flow)
    }

    /// The two ends of a flow, as far as they are known or can be chosen.
    fn ends(&mut self, index: usize, script: &ast::Packet) -> Result<(SocketAddr, SocketAddr), Failure> {
        if self.flows[index].local.is_none() {
            // A connection whose first segment nobody asked for.
            self.learn_local(index);
        }
        let protocol = self.flows[index].protocol;
        if self.flows[index].remote.is_none() && protocol == Protocol::Udp {
            let port = self.next_remote_port();
            self.flows[index].remote = Some(SocketAddr::new(self.rules.remote, port));
        }
        match (self.flows[index].local, self.flows[index].remote) {
            (Some(local), Some(remote)) => Ok((local, remote)),
            _ => Err(Failure::new(script.at, "no socket is there for this packet")),
        }
    }
}

fn protocol_of(body: &Body) -> Protocol {
    match body {
        Body::Tcp(_) => Protocol::Tcp,
        Body::Udp(_) => Protocol::Udp,
        Body::Icmp(_) => Protocol::Icmp,
    }
}

/// A segment in live numbers.
fn segment(flow: &mut Flow, script: &ast::Tcp, local: SocketAddr, remote: SocketAddr) -> Tcp {
    let is_syn = script.flags.contains(TcpFlags::SYN);
    let (start, ack) = (script.sequence.start, script.ack);
    let (seq, ack) = match is_syn {
        true => (start, ack.map(|ack| flow.live_sequence_in_syn(ack))),
        false => (flow.live_peer_sequence(start), ack.map(|ack| flow.live_sequence(ack))),
    };
    match flow.begun_by {
        // Until the peer answers the target's own SYN, nothing counts from one of the peer's.
        Side::Target if is_syn && script.flags.contains(TcpFlags::ACK) => flow.on_peer_syn(start),
        Side::Peer if is_syn && flow.stage == Stage::Connecting => flow.on_peer_syn(start),
        Side::Peer if is_syn => flow.on_peer_again(start),
        _ => {}
    }
    flow.stage = Stage::Open;
    let options = match &script.options {
        TcpOptions::Any => Vec::new(),
        TcpOptions::Listed(options) => flow.live_options(options, script.flags),
    };
    Tcp {
        source_port: remote.port(),
        destination_port: local.port(),
        seq,
        ack: ack.unwrap_or(0),
        flags: script.flags,
        window: script.window.unwrap_or(0),
        urgent: script.urgent.unwrap_or(0),
        options,
        payload: vec![0; script.sequence.length.into()],
    }
}

/// An ICMP message, with what it quotes of the target's packets.
fn message(flow: &Flow, script: &ast::Icmp, local: SocketAddr, remote: SocketAddr) -> Result<Icmp, String> {
    let number = expect::icmp_numbers(script, local.is_ipv4())?;
    let id = script.id.map_or(0, |id| u32::from(id) << 16);
    let rest = script.mtu.unwrap_or(id);
    let quoted = script.quoted.unwrap_or(Quoted::Tcp(ast::SequenceRange { start: 0, end: 0, length: 0 }));
    let (transport, length) = match quoted {
        Quoted::Raw(length) => {
            return Ok(Icmp { kind: number.kind, code: number.code, rest, body: vec![0; length.into()] });
        }
        Quoted::Udp(length) => {
            let payload = vec![0; length.into()];
            (Transport::Udp(Udp { source_port: local.port(), destination_port: remote.port(), payload }), 8)
        }
        Quoted::Tcp(range) => {
            let tcp = Tcp {
                source_port: local.port(),
                destination_port: remote.port(),
                seq: flow.live_sequence(range.start),
                payload: vec![0; range.length.into()],
                ..Tcp::default()
            };
            (Transport::Tcp(tcp), QUOTED)
        }
    };
    let packet = Packet {
        source: local.ip(),
        destination: remote.ip(),
        traffic_class: 0,
        flow_label: 0,
        hop_limit: HOP_LIMIT,
        parts: 1,
        transport,
    };
    let mut body = packet::encode(&packet);
    body.truncate(if local.is_ipv4() { 20 } else { 40 } + length);
    Ok(Icmp { kind: number.kind, code: number.code, rest, body })
}
