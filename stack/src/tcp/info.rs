//! What `TCP_INFO` tells: a picture of a connection at one moment.

use core::time::Duration;

use crate::time::Instant;

use super::connection::Connection;
use super::ecn::Marks;
use super::fast_open::Failure;
use super::recovery::Phase;
use super::recovery::timeouts::Timeouts;
use super::segment::{Segment, WindowScale};
use super::send::Fin;
use super::send::busy::Times;
use super::state::State;

/// A picture of a connection, by Linux's field names where it has them.
///
/// ```
/// use tapsock_stack::tcp::connection::{Opening, SegmentSizes};
/// use tapsock_stack::tcp::{Connection, Options, SeqNumber, State};
/// use tapsock_stack::time::Instant;
///
/// let sizes = SegmentSizes { advertised: 1460, path: 1460, default: 536 };
/// let opening = Opening { iss: SeqNumber::new(1), timestamp_offset: 0, sizes };
/// let connection = Connection::connect(Instant::ZERO, opening, Options::default());
/// let info = connection.info();
/// assert_eq!((info.state, info.rtt), (State::SynSent, None));
/// ```
#[derive(Clone, Debug)]
pub struct Info {
    /// The state.
    pub state: State,
    /// Whether SACK was agreed on.
    pub sack: bool,
    /// Whether timestamps were agreed on.
    pub timestamps: bool,
    /// Whether window scaling was agreed on.
    pub window_scaling: bool,
    /// The peer's window scale.
    pub snd_wscale: WindowScale,
    /// Our window scale.
    pub rcv_wscale: WindowScale,
    /// The retransmission time-out.
    pub rto: Duration,
    /// The smoothed round trip.
    pub rtt: Option<Duration>,
    /// Its mean deviation.
    pub rttvar: Duration,
    /// The least round trip.
    pub min_rtt: Option<Duration>,
    /// Payload of the largest segment that the path takes, options included, in bytes.
    pub path: u32,
    /// Payload of a full segment, in bytes.
    pub snd_mss: u32,
    /// The largest segment that the peer has sent, in bytes.
    pub rcv_mss: u32,
    /// The congestion window, in segments.
    pub snd_cwnd: u32,
    /// Where slow start ends, in segments.
    pub snd_ssthresh: u32,
    /// The peer's window, in bytes.
    pub snd_wnd: u32,
    /// What we offer, in bytes.
    pub rcv_wnd: u32,
    /// Segments held to be in flight.
    pub in_flight: u32,
    /// Segments held to be lost, sent again or not.
    pub lost: u32,
    /// Segments of which a retransmission is in flight.
    pub resending: u32,
    /// Segments reported behind a hole.
    pub sacked: u32,
    /// Segments sent again since the connection began.
    pub total_resent: u32,
    /// Segments known to be delivered since the connection began.
    pub delivered: u32,
    /// Segments that were delivered by acknowledgements that tell of a mark of a router's.
    pub delivered_marked: u32,
    /// What came with marks of routers, or could have got one.
    pub marks: Marks,
    /// What retransmission time-outs have come to.
    pub timeouts: Timeouts,
    /// Segments that the peer reported as received twice.
    pub duplicates: u32,
    /// Segments behind a hole that mean a loss.
    pub reordering: u32,
    /// How often the path was seen to reorder.
    pub reorder_seen: u32,
    /// Doublings of the time-out.
    pub backoff: u8,
    /// Retransmission time-outs in a row.
    pub retransmits: u8,
    /// Probes of a closed window, or keepalives, in a row without an answer.
    pub probes: u8,
    /// What is being done about losses.
    pub phase: Phase,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// The same in sequence numbers: bytes, and the FIN.
    pub unacked_bytes: u32,
    /// Whether the end of what is sent waits to be sent.
    pub fin_waits: bool,
    /// The largest payload of a segment that we say we take, in bytes.
    pub advmss: u32,
    /// Bytes written and not sent.
    pub notsent: u32,
    /// At how many bytes a second we would send, or do where that is bounded; `u64::MAX` where nobody knows.
    pub pacing_rate: u64,
    /// How long an acknowledgement waits; zero before data came.
    pub ato: Duration,
    /// When data was sent last, and received last.
    pub last_data_sent: Instant,
    /// When data came in order last; when the connection was opened, where none has.
    pub last_data_recv: Instant,
    /// When an acknowledgement came last.
    pub last_ack_recv: Instant,
    /// Bytes that the peer has acknowledged, and that have come from it in order.
    pub bytes_acked: u64,
    /// Bytes that have come in order, the peer's FIN among them.
    pub bytes_received: u64,
    /// Segments that have come, and those with data.
    pub segs_in: u32,
    /// Segments with data that have come.
    pub data_segs_in: u32,
    /// Segments that were sent, and those with data.
    pub segs_out: u32,
    /// Segments with data that were sent.
    pub data_segs_out: u32,
    /// Payload that was sent, in bytes, and how much of it again.
    pub bytes_sent: u64,
    /// Payload that was sent again, in bytes.
    pub bytes_retrans: u64,
    /// Segments that came behind a gap.
    pub rcv_ooopack: u32,
    /// How far our window may open by now, in bytes.
    pub rcv_ssthresh: u32,
    /// The round trip as the receiver of data can tell it.
    pub rcv_rtt: Option<Duration>,
    /// The most that the program read in a round trip, in bytes.
    pub rcv_space: u32,
    /// Whether marks of congestion were agreed on.
    pub ecn: bool,
    /// Whether a packet has come that routers may mark.
    pub ecn_seen: bool,
    /// Whether the data of a SYN was taken.
    pub syn_data: bool,
    /// Whether the peer has opened the connection by a fast open.
    pub opened_early: bool,
    /// Why it was not.
    pub fast_open_failure: Failure,
    /// Bytes a second at the most (`SO_MAX_PACING_RATE`); `u64::MAX` for no bound.
    pub max_pacing_rate: u64,
    /// Bytes a second that were delivered of late; 0 where nobody knows.
    pub delivery_rate: u64,
    /// Whether the program bounded that rate.
    pub delivery_rate_app_limited: bool,
}

impl Connection {
    pub(super) fn note_sent(&mut self, segment: &Segment) {
        let len = segment.payload.len();
        let parts = segment.gso_size.map_or(1, |size| len.div_ceil(usize::from(size.max(1)))) as u32;
        self.tally.segs_out = self.tally.segs_out.wrapping_add(parts);
        if len > 0 {
            let ledger = self.send.ledger.get_or_insert_default();
            ledger.data_segs_out = ledger.data_segs_out.wrapping_add(parts);
        }
    }
}

impl Connection {
    /// Whether what was not read keeps the peer from sending a segment more, or soon will: nobody should wait for more
    /// before reading (Linux's `tcp_rmem_pressure`, and its look at the window).
    pub fn is_receive_full(&self) -> bool {
        let window_closes = self.recv.window.remaining() <= self.recv.acks.peer_mss();
        window_closes || self.recv.is_overrun()
    }

    /// How often time-outs have changed the flow label.
    pub fn rehashes(&self) -> u32 {
        self.recovery.seldom().map_or(0, |seldom| seldom.timeouts.rehashes)
    }

    /// Bytes of ours that the peer has acknowledged.
    pub(super) fn bytes_acked(&self) -> u64 {
        self.tally.bytes_acked + u64::from(self.send.syn_counts)
    }

    /// Payload that was sent, in bytes: what is acknowledged, what is in flight, and all that was sent again.
    fn bytes_sent(&self) -> u64 {
        let (una, nxt) = (self.send.window.una, self.send.window.nxt);
        let fin = u32::from(self.send.fin == Fin::Sent && una != nxt);
        let syn = u32::from(una.before(self.send.queue.base()) && una != nxt);
        let in_flight = nxt.saturating_since(una).saturating_sub(fin + syn);
        self.tally.bytes_acked + u64::from(in_flight) + self.recovery.bytes_resent()
    }

    /// How long there was something to send, and what was in the way (`tcpi_busy_time` and what follows it).
    pub fn send_times(&self, now: Instant) -> Times {
        self.send.ledger.as_ref().map_or(Times::default(), |ledger| ledger.busy.times(now))
    }

    /// What the congestion control tells of itself (`TCP_CC_INFO`): words, as Linux's `union tcp_cc_info` has them; none
    /// of Reno and CUBIC.
    pub fn congestion_info(&self) -> Option<[u32; 5]> {
        self.congestion.info(self.send.mss)
    }

    /// A picture of the connection as it stands.
    pub fn info(&self) -> Info {
        let rtt = &self.send.rtt;
        let scoreboard = &self.recovery.scoreboard;
        let delivery = self.recovery.rate.last();
        let seldom = self.recovery.seldom().copied().unwrap_or_default();
        Info {
            state: self.state,
            sack: self.negotiated.sack,
            timestamps: self.negotiated.timestamps.is_some(),
            window_scaling: self.negotiated.window_scaling,
            snd_wscale: self.send.window.scale,
            rcv_wscale: self.recv.window.scale,
            rto: rtt.rto(),
            rtt: rtt.srtt(),
            rttvar: rtt.rttvar(),
            min_rtt: rtt.min_rtt(),
            path: self.sizes.path.into(),
            snd_mss: self.send.mss,
            rcv_mss: self.recv.acks.peer_mss(),
            snd_cwnd: self.congestion.window(),
            snd_ssthresh: self.congestion.ssthresh(),
            snd_wnd: self.send.window.wnd,
            rcv_wnd: self.recv.window.remaining(),
            in_flight: self.recovery.in_flight(),
            lost: scoreboard.lost(),
            resending: scoreboard.resending(),
            sacked: self.recovery.reported(),
            total_resent: seldom.resent,
            delivered: self.recovery.delivered,
            delivered_marked: seldom.delivered_marked,
            marks: seldom.marks,
            timeouts: seldom.timeouts,
            duplicates: seldom.duplicates,
            reordering: self.recovery.reordering.degree(),
            reorder_seen: seldom.reordered,
            backoff: rtt.backoff().max(self.send.persist_backoff),
            retransmits: self.send.retries,
            probes: self.send.probes,
            phase: self.recovery.phase,
            unacked: scoreboard.outstanding(),
            unacked_bytes: self.send.window.in_flight(),
            fin_waits: self.send.fin == Fin::Queued,
            advmss: self.advmss(),
            notsent: self.send.queue.end().saturating_since(self.send.window.nxt),
            pacing_rate: self.pacing_rate(),
            ato: self.recv.acks.wait(),
            last_data_sent: self.send.last_sent,
            last_data_recv: self.recv.acks.last_arrival(),
            last_ack_recv: self.tally.last_ack,
            bytes_acked: self.bytes_acked(),
            bytes_received: self.tally.bytes_received,
            segs_in: self.tally.segs_in,
            data_segs_in: self.tally.data_segs_in,
            segs_out: self.tally.segs_out,
            data_segs_out: self.send.ledger.as_ref().map_or(0, |ledger| ledger.data_segs_out),
            bytes_sent: self.bytes_sent(),
            bytes_retrans: self.recovery.bytes_resent(),
            rcv_ooopack: seldom.out_of_order,
            rcv_ssthresh: self.recv.window.opened(),
            rcv_rtt: self.recv.rtt.estimate(),
            rcv_space: self.recv.window.space(),
            ecn: self.ecn.agreed,
            ecn_seen: self.ecn.seen,
            syn_data: self.was_syn_data_taken(),
            opened_early: self.was_opened_early(),
            fast_open_failure: self.fast_open_failure(),
            max_pacing_rate: self.options.rare().max_pacing_rate,
            delivery_rate: delivery.map_or(0, |rate| rate.bytes_a_second(self.send.mss)),
            delivery_rate_app_limited: delivery.is_none_or(|rate| rate.by_program),
        }
    }
}
