//! Packets that the script expects of the target.

use core::net::SocketAddr;
use core::time::Duration;

use super::{Flow, PATIENCE, Protocol, Received, Session, Stage, Window, in_script};
use crate::ast::{self, Body, TcpFlags, TcpOption, TcpOptions};
use crate::run::expect;
use crate::run::failure::Failure;
use crate::run::packet::{Malformed, Packet, Tcp, Transport};
use crate::run::target::Woken;

impl Session<'_> {
    /// Waits for a packet of the target and compares it with what the script says.
    pub(super) fn expect(&mut self, script: &ast::Packet, window: Option<Window>) -> Result<(), Failure> {
        let index = self.flow_from(script)?;
        let wanted = match &script.body {
            Body::Tcp(tcp) => usize::from(tcp.sequence.length),
            Body::Udp(_) | Body::Icmp(_) => 0,
        };
        let (at, mut whole) = self.next_packet(script, index, window)?;
        // A link that cuts segments and one that does not are the same to a script, unless it says otherwise.
        while let Transport::Tcp(tcp) = &whole.transport
            && tcp.payload.len() < wanted
            && !tcp.payload.is_empty()
            && !self.rules.strict_segments
        {
            let so_far = whole.clone();
            let next = self.next_packet(script, index, window).and_then(|(_, part)| {
                join(whole, &part).ok_or_else(|| {
                    let reason = format!("payload bytes: expected {wanted}, and then came another segment");
                    self.wrong(script, reason, &so_far)
                })
            });
            whole = next?;
        }
        let compared = expect::compare(script, &whole).map_err(|reason| self.wrong(script, reason, &whole));
        self.unless_non_fatal(compared)?;
        if let Some(window) = window {
            let in_time = self.check_time(at, window, "the packet came", script.at);
            let in_time = in_time.map_err(|failure| self.wrong(script, failure.reason, &whole));
            self.unless_non_fatal(in_time)?;
        }
        self.compare_stamps(script, index, at, &whole)
    }

    /// The flow that a packet is expected of.
    fn flow_from(&mut self, script: &ast::Packet) -> Result<usize, Failure> {
        let ports = match &script.body {
            Body::Tcp(tcp) => tcp.ports,
            Body::Udp(udp) => udp.ports,
            Body::Icmp(_) => None,
        };
        if let Some(ports) = ports {
            let mirrored = ast::Ports { source: ports.destination, destination: ports.source };
            if let Some(index) = self.flows.iter().rposition(|flow| flow.has_ports(mirrored)) {
                self.current = Some(index);
            }
        }
        self.current.ok_or_else(|| Failure::new(script.at, "there is no socket that could send this packet"))
    }

    /// The next packet of a flow, in the numbers of the script. Those of others are passed over.
    fn next_packet(
        &mut self,
        script: &ast::Packet,
        index: usize,
        window: Option<Window>,
    ) -> Result<(Duration, Packet), Failure> {
        let limit = window.map(|window| window.to.max(self.target.now()) + PATIENCE);
        loop {
            while let Some(Received { at, packet }) = self.queue.pop_front() {
                let packet = match packet {
                    Ok(packet) => packet,
                    Err(Malformed(why)) => {
                        return Err(Failure::new(script.at, format!("a malformed packet was sent: {why}")));
                    }
                };
                if self.is_of(script, index, &packet) {
                    return Ok((at, in_script(&self.flows[index], &packet)));
                }
            }
            let woken = self.target.wait(limit);
            self.collect()?;
            if woken != Woken::Event && self.queue.is_empty() {
                let failure = Failure::new(script.at, "no packet was sent");
                return Err(Failure { expected: Some(expect::shown(script)), ..failure });
            }
        }
    }

    /// Whether the target sent a packet over a flow. What its first packet tells of the flow is remembered.
    fn is_of(&mut self, script: &ast::Packet, index: usize, packet: &Packet) -> bool {
        let is_begun = self.flows[index].local.is_some() && self.flows[index].remote.is_some();
        if !is_begun && !self.begins(index, packet) {
            return false;
        }
        let flow = &mut self.flows[index];
        if let (Body::Icmp(_), Transport::Icmp(_)) = (&script.body, &packet.transport) {
            return flow.remote.is_none_or(|remote| remote.ip() == packet.destination);
        }
        if !flow.sends(packet) {
            return false;
        }
        flow.stage = Stage::Open;
        if let (Body::Tcp(expected), Transport::Tcp(tcp)) = (&script.body, &packet.transport)
            && expected.flags.contains(TcpFlags::SYN)
            && tcp.has(TcpFlags::SYN)
        {
            flow.on_syn(expected.sequence.start, tcp.seq);
        }
        true
    }

    /// Whether a packet is the first of a flow whose ends are not all known; if so, they are now.
    fn begins(&mut self, index: usize, packet: &Packet) -> bool {
        let flow = &self.flows[index];
        let (default, ours) = (self.rules.remote_address(), self.rules.local);
        let fits = match (&packet.transport, flow.protocol) {
            (Transport::Tcp(tcp), Protocol::Tcp) => {
                tcp.has(TcpFlags::SYN) && !tcp.has(TcpFlags::ACK) && flow.stage != Stage::Listening
            }
            (Transport::Udp(_), Protocol::Udp) => true,
            (Transport::Icmp(_), _) => return true,
            _ => false,
        };
        let Some((source, destination)) = packet.ports() else { return false };
        let remote = flow.remote.unwrap_or(default);
        let same_peer = remote == SocketAddr::new(packet.destination, destination)
            || (flow.protocol == Protocol::Udp && remote.ip() == packet.destination);
        let same_local = flow.local.map_or(packet.source == ours, |local| local.port() == source);
        // What nobody holds any more may have left its ports to a later connection.
        let taken = self.flows.iter().any(|other| other.fd.is_some() && other.sends(packet));
        if !fits || !same_peer || !same_local || taken {
            return false;
        }
        let flow = &mut self.flows[index];
        flow.local = Some(SocketAddr::new(packet.source, source));
        flow.remote = Some(SocketAddr::new(packet.destination, destination));
        true
    }

    /// Learns the ends of a flow from a packet that waits, without taking it.
    pub(super) fn learn_local(&mut self, index: usize) {
        let waiting: Vec<Packet> =
            self.queue.iter().filter_map(|received| received.packet.as_ref().ok().cloned()).collect();
        let _ = waiting.iter().any(|packet| self.begins(index, packet));
    }

    /// Learns which stamp is which, and compares them where the script says how long a tick is.
    fn compare_stamps(
        &mut self,
        script: &ast::Packet,
        index: usize,
        at: Duration,
        actual: &Packet,
    ) -> Result<(), Failure> {
        let (Some(expected), Some(live)) = (stamp_of_script(script), actual.tcp().and_then(stamp)) else {
            return Ok(());
        };
        let flow: &mut Flow = &mut self.flows[index];
        flow.learn_stamp(expected, live);
        let (Some(tick), Some((first, first_live))) = (self.rules.stamp_tick, flow.first_stamp()) else {
            return Ok(());
        };
        let elapsed = |now: u32, first: u32| tick * now.wrapping_sub(first);
        let (want, have) = (elapsed(expected, first), elapsed(live, first_live));
        if want.abs_diff(have) <= self.rules.tolerance_after(at) {
            return Ok(());
        }
        let shown = first.wrapping_add(live.wrapping_sub(first_live));
        let failure = self.wrong(script, format!("time stamp: expected {expected}, actual {shown}"), actual);
        self.unless_non_fatal(Err(failure))
    }

    fn wrong(&self, script: &ast::Packet, reason: String, actual: &Packet) -> Failure {
        Failure {
            at: script.at,
            reason,
            expected: Some(expect::shown(script)),
            actual: Some(actual.to_string()),
        }
    }

    /// Turns a failure that is not to end the run into a note.
    fn unless_non_fatal(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        match outcome {
            Err(failure) if self.rules.non_fatal.packet => {
                self.note(format!("{}: {failure}", failure.at));
                Ok(())
            }
            outcome => outcome,
        }
    }
}

/// Two segments of which the second goes on where the first ends, as one. Where they were cut is for the sender to say;
/// what marks the end is that of the last.
fn join(first: Packet, next: &Packet) -> Option<Packet> {
    let (Transport::Tcp(head), Transport::Tcp(tail)) = (&first.transport, &next.transport) else {
        return None;
    };
    let end = head.seq.wrapping_add(head.payload.len() as u32);
    let marks = TcpFlags::PSH | TcpFlags::FIN;
    let same = end == tail.seq
        && !tail.payload.is_empty()
        && head.flags.without(marks) == tail.flags.without(marks)
        && head.ack == tail.ack
        && first.traffic_class == next.traffic_class;
    if !same {
        return None;
    }
    let payload = [&head.payload[..], &tail.payload].concat();
    let tcp = Tcp { flags: tail.flags, payload, ..head.clone() };
    Some(Packet { transport: Transport::Tcp(tcp), ..first })
}

fn stamp(tcp: &Tcp) -> Option<u32> {
    tcp.options.iter().find_map(|option| match option {
        TcpOption::Timestamp { value, .. } => Some(*value),
        _ => None,
    })
}

fn stamp_of_script(script: &ast::Packet) -> Option<u32> {
    let Body::Tcp(ast::Tcp { options: TcpOptions::Listed(options), .. }) = &script.body else { return None };
    options.iter().find_map(|option| match option {
        TcpOption::Timestamp { value, .. } => Some(*value),
        _ => None,
    })
}
