//! Errors that concern a socket: those that come back, and those that are found out here.

use core::net::{IpAddr, SocketAddr};

use crate::counters::Counter;
use crate::demux::{FlowKey, Target};
use crate::error_queue::{ErrorDelivery, Report};
use crate::iface::InterfaceId;
use crate::ip::icmp::Complaint;
use crate::tcp::{SeqNumber, State};
use crate::time::Instant;
use crate::wire::IpProtocol;
use crate::wire::icmp::Quoted;
use crate::wire::offload::Transmit;

use super::{Changes, Stack};

impl Stack {
    /// A packet of ours could not be delivered to the neighbour `target`.
    pub(super) fn on_undeliverable(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        target: IpAddr,
        packet: &Transmit,
    ) {
        let headers = packet.headers.to_vec();
        // A socket may have sent it in another's name.
        let in_a_name = Quoted::parse(&headers).is_ok_and(|quoted| self.was_sent_for(interface, &quoted));
        if !in_a_name && self.on_undeliverable_of_others(now, interface, packet) {
            return;
        }
        let invalid = if target.is_ipv4() { Counter::IpOutDiscards } else { Counter::Ip6OutDiscards };
        self.complain(now, interface, &headers, Complaint::no_neighbor(target), invalid);
    }

    /// Brings an error, which came in at `interface`, to the socket whose packet it quotes. One that quotes nothing
    /// of ours is not believed.
    //= RFC 5927 §4.1
    //= RFC 1122 §3.2.2 MUST-3
    //= RFC 1122 §3.4 MUST-5
    //= RFC 1122 §3.4 MUST-6
    pub(super) fn complain(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        quoted: &[u8],
        complaint: Complaint,
        invalid: Counter,
    ) {
        let Ok(quoted) = Quoted::parse(quoted) else {
            self.counters.bump(invalid);
            return;
        };
        if !self.interfaces.is_local(quoted.source) && !self.was_sent_for(interface, &quoted) {
            self.counters.bump(invalid);
            return;
        }
        self.complain_to_raw(now, interface, &quoted, complaint);
        match quoted.protocol {
            IpProtocol::TCP => self.complain_to_tcp(now, interface, &quoted, complaint),
            IpProtocol::UDP => self.complain_to_udp(now, interface, &quoted, complaint),
            IpProtocol::ICMP | IpProtocol::ICMPV6 => {
                self.complain_to_ping(now, interface, &quoted, complaint);
            }
            _ => {}
        }
    }

    //= RFC 9293 MUST-54
    fn complain_to_tcp(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        quoted: &Quoted,
        complaint: Complaint,
    ) {
        let (local_port, remote_port) = quoted.ports();
        let local = SocketAddr::new(quoted.source, local_port);
        let remote = SocketAddr::new(quoted.destination, remote_port);
        let key = FlowKey::new(local, remote).over(interface);
        let sequence = SeqNumber::new(quoted.sequence());
        match self.find(&key) {
            Some(Target::Connection(index)) => self.complain_to_connection(now, index, quoted, complaint),
            Some(Target::HalfOpen(place)) => self.complain_to_half_open(place, sequence, complaint),
            Some(Target::TimeWait(_)) | None => {}
        }
    }

    //= RFC 9293 §3.9.2.2
    //= RFC 1122 §3.2.2.1 SHLD-2
    //= RFC 1122 §3.2.2.1 MUST-2
    fn complain_to_connection(&mut self, now: Instant, index: u32, quoted: &Quoted, complaint: Complaint) {
        let unaccepted = self.is_early_unaccepted(index);
        let Some(slot) = self.tcp.at(index) else { return };
        //= RFC 5927 §4.1
        let sequence = SeqNumber::new(quoted.sequence());
        if !slot.connection.has_in_flight(sequence) {
            self.counters.bump(Counter::TcpExtOutOfWindowIcmps);
            return;
        }
        if complaint.no_way && slot.connection.state().is_synchronized() {
            slot.connection.on_no_way(now, sequence);
        }
        match complaint.mtu {
            Some(_) if !slot.connection.options().discovery.believes() => return,
            Some(mtu) => {
                // Also where that is no news: who learned it may have been another.
                let (remote, hop) = (slot.key.remote().ip(), slot.hop());
                self.learn_path_mtu_over(now, remote, &hop, mtu);
                self.follow_path(now, index);
                self.tcp.mark_ready(index);
            }
            // As Linux: an attempt to connect ends at the first complaint, soft or hard.
            None => {
                let opening = matches!(slot.connection.state(), State::SynSent | State::SynReceived);
                let all = slot.connection.options().error_delivery == ErrorDelivery::All;
                if slot.connection.is_early() && !unaccepted {
                    // As Linux: one that is in use is open already.
                    slot.connection.note_unreachable(complaint.error);
                } else {
                    slot.connection.on_unreachable(complaint.error, &mut self.counters);
                }
                if opening && all {
                    let port = quoted.ports().1;
                    self.report_to_tcp(index, Report::of_complaint(&complaint, quoted, 0, port, now));
                } else if all {
                    self.tell_tcp(index, Changes::ERROR);
                }
            }
        }
        self.settle(now, index);
    }

    /// As Linux: the record is dropped without a word. What was learned of the path counts once it is a connection.
    fn complain_to_half_open(&mut self, place: u32, sequence: SeqNumber, complaint: Complaint) {
        //= RFC 5927 §4.1
        if !self.tcp.half_open.opens_with(place, sequence) {
            self.counters.bump(Counter::TcpExtOutOfWindowIcmps);
        } else if complaint.ends_half_open {
            self.forget_half_open(place);
            self.counters.bump(Counter::TcpExtListenDrops);
        }
    }
}
