//! One end of a connection as seen from outside.

use core::net::SocketAddr;

use tapsock_stack::wire::tcp::{TcpFlags, TcpHeader};

use super::Ranges;
use crate::node::Scrutiny;
use crate::packet::TcpPacket;

/// The MSS of a peer that named none (RFC 9293 §3.7.1).
const DEFAULT_MSS_V4: usize = 536;
const DEFAULT_MSS_V6: usize = 1220;

/// Largest shift of a window (RFC 7323 §2.3).
const MAX_SCALE: u8 = 14;

/// What one end of a connection has sent, and what had been delivered to it.
///
/// Positions count from the initial sequence number of their direction, without wrapping: the SYN is 0, the first
/// byte 1.
///
/// ```text
///     what this end sent                 what was delivered to it
///     0 ...... una ...... max            0 ...... received ...... edge it advertised
///     SYN      acknowledged              SYN      in order        beyond it the peer must not send
///                   peer_edge: beyond it this end must not send
/// ```
#[derive(Debug, Default)]
pub(super) struct Half {
    /// The initial sequence number, once a SYN was sent.
    isn: Option<u32>,
    own_syn: SynOptions,
    /// The end of what was sent.
    max: i64,
    /// Where the FIN stands, once sent.
    fin: Option<i64>,
    /// The end of what the peer has acknowledged for sure.
    una: i64,
    /// The right edge that the peer advertised.
    peer_edge: i64,
    /// The peer's initial sequence number, once its SYN was taken.
    peer_isn: Option<u32>,
    peer_syn: SynOptions,
    /// The last SYN that was delivered, taken or not.
    last_syn: Option<Syn>,
    received: Ranges,
    /// The highest acknowledgment and the right edge sent.
    acked: i64,
    edge: i64,
    last_timestamp: Option<u32>,
}

#[derive(Copy, Clone, Debug)]
struct Syn {
    sequence: u32,
    payload: i64,
    options: SynOptions,
    window: u16,
}

#[derive(Copy, Clone, Debug, Default)]
struct SynOptions {
    mss: Option<u16>,
    scale: Option<u8>,
    timestamps: bool,
}

impl SynOptions {
    fn of(header: &TcpHeader) -> Self {
        SynOptions {
            mss: header.options.mss,
            scale: header.options.window_scale.map(|scale| scale.min(MAX_SCALE)),
            timestamps: header.options.timestamps.is_some(),
        }
    }
}

impl Half {
    /// This end sends a segment: checks it against what it sent before, and notes it.
    pub(super) fn on_emission(
        &mut self,
        tcp: &TcpPacket,
        gso_size: Option<u16>,
        scrutiny: Scrutiny,
    ) -> Result<(), String> {
        let header = &tcp.header;
        if header.flags.contains(TcpFlags::SYN) {
            self.on_syn_emission(tcp);
        }
        let Some(isn) = self.isn else { return Ok(()) };
        let start = unwrap(header.sequence, isn, self.max);
        let end = start + i64::from(tcp.sequence_len());
        if start > self.max {
            return Err(format!("a gap: sequence {start} after {}", self.max));
        }
        if start < -1 {
            return Err(format!("sequence {start}, before its own SYN"));
        }
        if let Some(fin) = self.fin
            && end > fin + 1
        {
            return Err(format!("sequence {end} after its FIN at {fin}"));
        }
        if gso_size.is_some_and(|size| size == 0 || usize::from(size) > tcp.payload.len()) {
            return Err(format!("{gso_size:?} bytes a segment of {} bytes", tcp.payload.len()));
        }
        self.max = self.max.max(end);
        if header.flags.contains(TcpFlags::FIN) {
            self.fin = Some(end - 1);
        }
        self.check_timestamp(header)?;
        self.check_own_edge(header, scrutiny)
    }

    /// A SYN with a new sequence number begins a new life of this end.
    fn on_syn_emission(&mut self, tcp: &TcpPacket) {
        let header = &tcp.header;
        if self.isn != Some(header.sequence) {
            *self = Half { isn: Some(header.sequence), last_syn: self.last_syn, ..Half::default() };
        }
        self.own_syn = SynOptions::of(header);
        if header.flags.contains(TcpFlags::ACK)
            && self.peer_isn.is_none()
            && let Some(syn) = self.last_syn
            && header.acknowledgment.wrapping_sub(syn.sequence) as i32 >= 1
        {
            self.take_peer_syn(syn);
        }
    }

    fn take_peer_syn(&mut self, syn: Syn) {
        self.peer_isn = Some(syn.sequence);
        self.peer_syn = syn.options;
        self.received.insert(0..1 + syn.payload);
        self.peer_edge = self.peer_edge.max(1 + i64::from(syn.window));
    }

    fn check_timestamp(&mut self, header: &TcpHeader) -> Result<(), String> {
        let agreed = self.own_syn.timestamps && self.peer_syn.timestamps;
        let Some(timestamps) = header.options.timestamps else {
            return match agreed {
                true => Err("no timestamp, though both ends agreed on them".into()),
                false => Ok(()),
            };
        };
        if let Some(last) = self.last_timestamp
            && (timestamps.value.wrapping_sub(last) as i32) < 0
        {
            return Err(format!("timestamp {} after {last}", timestamps.value));
        }
        self.last_timestamp = Some(timestamps.value);
        Ok(())
    }

    /// The acknowledgment and the right edge of the window never move left.
    fn check_own_edge(&mut self, header: &TcpHeader, scrutiny: Scrutiny) -> Result<(), String> {
        let Some(peer_isn) = self.peer_isn.filter(|_| header.flags.contains(TcpFlags::ACK)) else {
            return Ok(());
        };
        let ack = unwrap(header.acknowledgment, peer_isn, self.acked);
        if ack < self.acked {
            return Err(format!("acknowledgment {ack} after {}", self.acked));
        }
        self.acked = ack;
        let shift = self.own_shift(header);
        let edge = ack + (i64::from(header.window) << shift);
        let slack = match scrutiny {
            Scrutiny::Full => 0,
            Scrutiny::Foreign => (1 << shift) - 1,
        };
        // As Linux, a receiver that is short of memory says so by a window of zero, and means its edge to stay.
        if edge + slack < self.edge && header.window > 0 {
            return Err(format!("the right edge of its window moves from {} to {edge}", self.edge));
        }
        self.edge = self.edge.max(edge);
        Ok(())
    }

    /// How far the window of a segment of this end is shifted.
    fn own_shift(&self, header: &TcpHeader) -> u8 {
        match (header.flags.contains(TcpFlags::SYN), self.own_syn.scale, self.peer_syn.scale) {
            (false, Some(own), Some(_)) => own,
            _ => 0,
        }
    }

    fn peer_shift(&self) -> u8 {
        match (self.own_syn.scale, self.peer_syn.scale) {
            (Some(_), Some(peer)) => peer,
            _ => 0,
        }
    }

    /// Checks a segment of this end, already noted, against what had been delivered to it.
    pub(super) fn check_against_deliveries(
        &self,
        tcp: &TcpPacket,
        gso_size: Option<u16>,
        scrutiny: Scrutiny,
        local: SocketAddr,
    ) -> Result<(), String> {
        let header = &tcp.header;
        let (Some(isn), Some(peer_isn)) = (self.isn, self.peer_isn) else {
            return match header.flags.contains(TcpFlags::ACK) && self.isn.is_some() {
                true => Err("an acknowledgment of nothing that came".into()),
                false => Ok(()),
            };
        };
        let in_order = self.received.end_of_first(0);
        let ack = unwrap(header.acknowledgment, peer_isn, in_order);
        if header.flags.contains(TcpFlags::ACK) && ack > in_order {
            return Err(format!("acknowledgment {ack}, though only {in_order} came in order"));
        }
        for &(left, right) in &header.options.sack {
            let (left, right) = (unwrap(left, peer_isn, in_order), unwrap(right, peer_isn, in_order));
            if left >= right || !self.received.contains(left..right) {
                return Err(format!("a SACK block {left}:{right} that did not come"));
            }
        }
        let start = unwrap(header.sequence, isn, self.max);
        if scrutiny == Scrutiny::Full {
            self.check_send_window(start, tcp)?;
        }
        self.check_mss(tcp, gso_size, scrutiny, local)
    }

    fn check_send_window(&self, start: i64, tcp: &TcpPacket) -> Result<(), String> {
        if tcp.header.flags.contains(TcpFlags::SYN) {
            return Ok(());
        }
        let len = tcp.payload.len() as i64;
        let end = start + i64::from(tcp.sequence_len());
        let probe = i64::from(len == 1);
        if start + len > self.peer_edge + probe && len > 0 {
            return Err(format!(
                "bytes up to {}, though the peer's window ends at {}",
                start + len,
                self.peer_edge
            ));
        }
        let keepalive = start == self.una - 1 && len <= 1;
        if (end < self.una || end == self.una && start < end) && !keepalive {
            return Err(format!("sequence {start}:{end} again, though {} is acknowledged", self.una));
        }
        Ok(())
    }

    fn check_mss(
        &self,
        tcp: &TcpPacket,
        gso_size: Option<u16>,
        scrutiny: Scrutiny,
        local: SocketAddr,
    ) -> Result<(), String> {
        let default = match local.is_ipv4() {
            true => DEFAULT_MSS_V4,
            false => DEFAULT_MSS_V6,
        };
        let mss = self.peer_syn.mss.map_or(default, usize::from);
        let payload = gso_size.map_or(tcp.payload.len(), usize::from);
        let options = match scrutiny {
            Scrutiny::Full if payload > 0 => usize::from(tcp.header.header_len) - TcpHeader::MIN_LEN,
            _ => 0,
        };
        match payload + options <= mss {
            true => Ok(()),
            false => {
                Err(format!("a segment of {payload} and {options} bytes, though the peer's MSS is {mss}"))
            }
        }
    }

    /// A segment that nobody forged is delivered to this end, which may drop it all the same.
    pub(super) fn on_delivery(&mut self, tcp: &TcpPacket) {
        let header = &tcp.header;
        let is_ack = header.flags.contains(TcpFlags::ACK);
        if header.flags.contains(TcpFlags::SYN) {
            let syn = Syn {
                sequence: header.sequence,
                payload: tcp.payload.len() as i64,
                options: SynOptions::of(header),
                window: header.window,
            };
            self.last_syn = Some(syn);
            let answers = match self.isn {
                Some(isn) => !is_ack || header.acknowledgment == isn.wrapping_add(1),
                None => false,
            };
            if answers && self.peer_isn.is_none() {
                self.take_peer_syn(syn);
            }
        }
        let (Some(isn), Some(peer_isn)) = (self.isn, self.peer_isn) else {
            return;
        };
        let in_order = self.received.end_of_first(0);
        let start = unwrap(header.sequence, peer_isn, in_order);
        self.received.insert(start..start + i64::from(tcp.sequence_len()));
        if is_ack {
            self.on_ack_delivery(header, isn, start == in_order);
        }
    }

    /// An acknowledgment counts for sure only when it comes in order: the end may refuse others without a look.
    fn on_ack_delivery(&mut self, header: &TcpHeader, isn: u32, in_order: bool) {
        let ack = unwrap(header.acknowledgment, isn, self.max);
        if ack > self.max {
            return;
        }
        let shift = match header.flags.contains(TcpFlags::SYN) {
            true => 0,
            false => self.peer_shift(),
        };
        self.peer_edge = self.peer_edge.max(ack + (i64::from(header.window) << shift));
        if in_order && self.edge > self.received.end_of_first(0) {
            self.una = self.una.max(ack);
        }
    }
}

/// The position of `sequence` counted from `base` without wrapping: of all that fit, the one nearest to `near`.
fn unwrap(sequence: u32, base: u32, near: i64) -> i64 {
    let expected = base.wrapping_add(near as u32);
    near + i64::from(sequence.wrapping_sub(expected) as i32)
}
