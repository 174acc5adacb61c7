//! Connections that others begin: from their SYN to a place in the accept queue.

use crate::counters::Counter;
use crate::demux::{FlowKey, Target};
use crate::iface::Way;
use crate::ip::input::Packet;
use crate::tcp::handshake::Accepted;
use crate::tcp::listener::{Due, Step};
use crate::tcp::segment::{Control, Segment};
use crate::tcp::{Connection, SeqNumber};
use crate::time::Instant;

use super::fast_open::Entrance;
use super::syn_queue::{Returned, RoomForSyn};
use super::tcp_table::{Marks, TcpId};
use super::{Changes, Stack};

impl Stack {
    /// A segment that belongs to no connection: a listener's, or nobody's.
    pub(super) fn on_listener_segment(
        &mut self,
        now: Instant,
        key: FlowKey,
        segment: Segment,
        packet: &Packet,
        iss_after: Option<SeqNumber>,
    ) {
        let scope = packet.interface.index();
        let Some(index) = self.demux.listener(&key, scope) else {
            return self.refuse(now, &key, &segment, packet);
        };
        let nearest = self.tcp.listener_at(index).map_or(0, |listener| listener.options.min_hop_limit);
        if packet.hop_limit < nearest {
            return self.counters.bump(Counter::TcpExtTCPMinTTLDrop);
        }
        if segment.control == Some(Control::Syn) && segment.ack.is_none() {
            // As Linux: nobody begins with his last word.
            if segment.fin_behind_syn {
                return self.counters.bump(Counter::TcpInErrs);
            }
            self.on_syn(now, index, key, &segment, (iss_after, packet));
        } else if segment.ack.is_some() {
            match self.on_cookie(now, index, &key, &segment) {
                //= RFC 9293 §3.10.7.2
                Returned::No => self.refuse(now, &key, &segment, packet),
                Returned::Yes(accepted) => self.complete(now, (index, None), key, accepted, segment, packet),
                Returned::InVain => {}
            }
        } else {
            self.counters.bump(Counter::TapsockTcpInNoAck);
        }
    }

    fn on_syn(
        &mut self,
        now: Instant,
        index: u32,
        key: FlowKey,
        syn: &Segment,
        (iss_after, packet): (Option<SeqNumber>, &Packet),
    ) {
        // A connection that is held to another device has the tuple: it must not lose that to whoever comes later.
        if self.find(&key).is_some() {
            self.counters.bump(Counter::TcpExtListenDrops);
            return;
        }
        let way = self.way_of_listener(index);
        let Some(hop) = self.hop_back(&key, way) else {
            return self.note_no_way(&key);
        };
        if !self.may_answer(now, &hop) {
            self.counters.bump(Counter::TcpExtListenDrops);
            return;
        }
        let Some(listener) = self.tcp.listener_at(index) else {
            return;
        };
        if listener.accept.len() > listener.backlog {
            self.counters.bump(Counter::TcpExtListenOverflows);
            self.counters.bump(Counter::TcpExtListenDrops);
            return;
        }
        let (pending, backlog, marks) = (listener.half_open, listener.backlog, Marks::of(&listener.options));
        // As Linux: who comes back from TIME-WAIT is no forger.
        match self.config.room_for_syn(pending, backlog) {
            _ if iss_after.is_some() => {}
            RoomForSyn::Yes => {}
            RoomForSyn::No(counter) => {
                if let Some(counter) = counter {
                    self.counters.bump(counter);
                }
                self.counters.bump(Counter::TcpExtListenDrops);
                return;
            }
            RoomForSyn::ByCookie => {
                self.counters.bump(Counter::TcpExtTCPReqQFullDoCookies);
                self.counters.bump(Counter::TcpExtSyncookiesSent);
                let answer = self.cookie_for(now, index, &key, syn, &hop);
                if let Some(answer) = answer {
                    self.counters.bump(Counter::TcpOutSegs);
                    self.send_segment(now, &hop, &key, answer, marks);
                }
                return;
            }
        }
        let mut opening = self.opening(now, &key, &hop, 0);
        if let Some(iss) = iss_after {
            opening.iss = iss;
        }
        let option = match self.entrance(now, index, &key, syn) {
            Entrance::Early(option) => {
                return self.open_early(now, index, (key, syn, packet), opening, option);
            }
            Entrance::Ordinary(option) => option,
        };
        let Some(listener) = self.tcp.listener_at(index) else {
            return;
        };
        let (saves, options) = (listener.options.rare().save_syn > 0, listener.options.over(&hop.tcp));
        listener.half_open += 1;
        let (place, mut answer) = self.tcp.half_open.on_syn(now, (key, index), syn, opening, &options);
        answer.options.fast_open = option;
        if saves {
            self.tcp.half_open.save(place, headers_of(packet));
        }
        self.own(&key, Target::HalfOpen(place));
        self.counters.bump(Counter::TcpOutSegs);
        self.send_segment(now, &hop, &key, answer, marks);
    }

    pub(super) fn on_half_open_segment(
        &mut self,
        now: Instant,
        place: u32,
        key: FlowKey,
        segment: Segment,
        packet: &Packet,
    ) {
        let Some(index) = self.tcp.half_open.listener(place) else { return };
        let Some(listener) = self.tcp.listener_at(index) else { return };
        let (options, way) = (listener.options.clone(), listener.way);
        let marks = Marks::of(&options);
        let full = listener.accept.len() > listener.backlog;
        let step = self.tcp.half_open.on_segment(now, place, &segment, &options, &mut self.counters);
        match step {
            Step::Drop => {}
            Step::Refuse => self.refuse(now, &key, &segment, packet),
            Step::Reset => {
                self.forget_half_open(place);
                self.counters.bump(Counter::TcpAttemptFails);
            }
            Step::RefuseAndReset => {
                self.forget_half_open(place);
                self.counters.bump(Counter::TcpAttemptFails);
                self.refuse(now, &key, &segment, packet);
            }
            Step::Answer(answer) => {
                if let Some(hop) = self.hop_back(&key, way) {
                    self.counters.bump(Counter::TcpOutSegs);
                    self.send_segment(now, &hop, &key, answer, marks);
                }
            }
            Step::Complete(_) if full => {
                self.counters.bump(Counter::TcpExtListenOverflows);
                self.counters.bump(Counter::TcpExtListenDrops);
                if self.config.tcp_abort_on_overflow {
                    self.forget_half_open(place);
                    self.refuse(now, &key, &segment, packet);
                }
            }
            Step::Complete(accepted) => {
                self.complete(now, (index, Some(place)), key, accepted, segment, packet);
            }
        }
    }

    /// A handshake with a listener is done, and its record, where there is one, not needed any more: the connection waits
    /// to be accepted, and takes the segment that has ended it.
    fn complete(
        &mut self,
        now: Instant,
        (index, place): (u32, Option<u32>),
        key: FlowKey,
        accepted: Accepted,
        segment: Segment,
        packet: &Packet,
    ) {
        let way = self.way_of_listener(index);
        let Some(hop) = self.hop_back(&key, way) else {
            return self.note_no_way(&key);
        };
        let Some(listener) = self.tcp.listener_at(index) else {
            return;
        };
        let (options, bind) = (listener.options.of_accepted(), listener.bind);
        let reuse = self.ports.reuse(bind).unwrap_or_default();
        let saved = place.and_then(|place| self.tcp.half_open.take_saved(place));
        place.inspect(|place| self.forget_half_open(*place));
        self.counters.bump(Counter::TcpPassiveOpens);
        let connection = Connection::accept(now, accepted, options.over(&hop.tcp));
        let id = self.enter(connection, key, hop, reuse, way);
        self.keep_syn(id, saved);
        let mut shut = None;
        if let Some(listener) = self.tcp.listener_at(index) {
            listener.accept.push_back(id);
            shut = listener.shut;
        }
        self.tell_listener(index, Changes::ARRIVAL);
        self.on_connection_segment(now, id.index, &key, segment, packet);
        if let Some(how) = shut {
            // It fails where the segment was a reset, and then there is nothing to end.
            let _ = self.tcp_shutdown(now, id, how);
        }
    }

    /// Keeps the headers of the SYN for whoever accepts the connection.
    pub(super) fn keep_syn(&mut self, id: TcpId, headers: Option<Box<[u8]>>) {
        if let (Some(slot), Some(_)) = (self.tcp.slot_mut(id), &headers) {
            slot.extras.get_or_insert_default().saved_syn = headers;
        }
    }

    pub(super) fn forget_half_open(&mut self, place: u32) {
        let Some(key) = self.tcp.half_open.key(place).copied() else { return };
        self.disown(&key, Target::HalfOpen(place));
        if let Some((_, listener)) = self.tcp.half_open.remove(place)
            && let Some(listener) = self.tcp.listener_at(listener)
        {
            listener.half_open -= 1;
        }
    }

    pub(super) fn resend_syn_acks(&mut self, now: Instant) {
        while let Some((place, due)) = self.tcp.pop_half_open(now) {
            self.counters.bump(Counter::TcpExtTCPTimeouts);
            match due {
                Due::Nothing => {}
                Due::GivenUp => self.forget_half_open(place),
                Due::Resend(answer) => {
                    self.counters.bump(Counter::TcpRetransSegs);
                    self.send_syn_ack_again(now, place, answer);
                }
            }
        }
    }

    fn send_syn_ack_again(&mut self, now: Instant, place: u32, answer: Segment) {
        let Some(key) = self.tcp.half_open.key(place).copied() else { return };
        let listener = self.tcp.half_open.listener(place).and_then(|index| self.tcp.listener_at(index));
        let Some((marks, way)) = listener.map(|listener| (Marks::of(&listener.options), listener.way)) else {
            return;
        };
        if let Some(hop) = self.hop_back(&key, way) {
            self.send_segment(now, &hop, &key, answer, marks);
        }
    }

    /// The way of a listener's packets.
    fn way_of_listener(&mut self, index: u32) -> Way {
        self.tcp.listener_at(index).map(|listener| listener.way).unwrap_or_default()
    }
}

/// The headers of a SYN, IP's and TCP's.
pub(super) fn headers_of(packet: &Packet) -> Box<[u8]> {
    let before = packet.whole.len() - packet.payload.len();
    let tcp = packet.payload.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4);
    packet.whole[..(before + tcp).min(packet.whole.len())].into()
}
