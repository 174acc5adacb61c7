//! Time stamps of what connections receive, and of what sockets send (`SO_TIMESTAMP`, `SO_TIMESTAMPING`).
//!
//! Who asks for none pays a comparison for each segment.

use std::collections::VecDeque;

use crate::buf::Rope;
use crate::counters::Counter;
use crate::error_queue::{ErrorQueue, Report, StampKind};
use crate::iface::{InterfaceId, NextHop};
use crate::tcp::{Segment, SeqNumber};
use crate::time::Instant;
use crate::wire::offload::Transmit;

use super::awaited::Awaiting;
use super::tcp_table::{Slot, TcpId};
use super::{SocketId, Stack};

/// Sends of one connection whose stamps are not all taken. Of more than that no stamps are told, which is counted.
const MAX_SENDS: usize = 256;

/// Arrivals of one connection that are told apart; later ones count as one until something is read.
const MAX_ARRIVALS: usize = 1024;

/// Which stamps of a send are wanted: `SOF_TIMESTAMPING_TX_*`.
///
/// ```
/// use tapsock_stack::stack::SendStamps;
///
/// assert!(SendStamps::default().is_empty());
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct SendStamps {
    /// When it goes into the queue for the link (`TX_SCHED`).
    pub scheduled: bool,
    /// When it goes to the link (`TX_SOFTWARE`).
    pub sent: bool,
    /// When the peer has acknowledged all of it (`TX_ACK`), on a stream.
    pub acknowledged: bool,
    /// Whether the reports show the packet (not `OPT_TSONLY`).
    pub whole: bool,
    /// The number of the send (`OPT_ID`), or 0.
    pub id: u32,
}

impl SendStamps {
    /// Whether none is wanted.
    pub fn is_empty(&self) -> bool {
        !(self.scheduled || self.sent || self.acknowledged)
    }
}

/// Whether the sends of a connection are counted (`OPT_ID`).
///
/// ```
/// use tapsock_stack::stack::Counted;
///
/// assert_ne!(Counted::Yes, Counted::No);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Counted {
    /// By the number of their last byte.
    Yes,
    /// They bear no number.
    No,
}

/// From where the bytes of a connection are counted.
///
/// ```
/// use tapsock_stack::stack::CountFrom;
///
/// assert_ne!(CountFrom::Acknowledged, CountFrom::Written);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum CountFrom {
    /// From the first that the peer has not acknowledged (`OPT_ID`).
    Acknowledged,
    /// From the next that is written (`OPT_ID_TCP`).
    Written,
}

/// What the holder of a connection is told beside the data.
#[derive(Debug)]
pub(super) struct Extras {
    pub(super) reports: ErrorQueue,
    /// Sends to be stamped, in their order.
    sends: VecDeque<StampedSend>,
    /// When what is in the receive queue came, in order.
    arrivals: VecDeque<Arrival>,
    /// The number of the byte that counts as the first.
    base: SeqNumber,
    /// The headers of the SYN that has opened it (`TCP_SAVED_SYN`).
    pub(super) saved_syn: Option<Box<[u8]>>,
}

impl Default for Extras {
    fn default() -> Self {
        let (sends, arrivals) = (VecDeque::new(), VecDeque::new());
        Extras { reports: ErrorQueue::default(), sends, arrivals, base: SeqNumber::new(0), saved_syn: None }
    }
}

/// A write on a connection.
#[derive(Debug)]
struct StampedSend {
    /// Its last byte.
    last: SeqNumber,
    stamps: SendStamps,
    progress: Progress,
    /// The segment that brought it, where that is shown.
    payload: Rope,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Progress {
    Written,
    Sent,
}

/// Bytes that became readable together.
#[derive(Debug)]
struct Arrival {
    start: SeqNumber,
    end: SeqNumber,
    at: Instant,
}

/// A packet's stamps, and whose they are.
#[derive(Copy, Clone, Debug)]
pub(super) struct Stamping {
    pub(super) socket: SocketId,
    pub(super) stamps: SendStamps,
}

impl Slot {
    /// Notes that what follows `before` has become readable.
    pub(super) fn note_arrival(&mut self, before: SeqNumber, at: Instant) {
        let end = self.connection.received_end();
        if !end.after(before) {
            return;
        }
        let arrivals = &mut self.extras.get_or_insert_default().arrivals;
        let full = arrivals.len() >= MAX_ARRIVALS;
        match arrivals.back_mut() {
            Some(last) if full => last.end = end,
            _ => arrivals.push_back(Arrival { start: before, end, at }),
        }
    }

    /// The stamps of the writes that `segment` brings to their end.
    pub(super) fn stamps_of(&mut self, segment: &Segment) -> Vec<SendStamps> {
        let Some(extras) = &mut self.extras else { return Vec::new() };
        let end = segment.seq + segment.payload.len() as u32;
        let mut due = Vec::new();
        for send in &mut extras.sends {
            let within = send.last.at_or_after(segment.seq) && send.last.before(end);
            if within && send.progress == Progress::Written {
                send.progress = Progress::Sent;
                due.push(send.stamps);
                if send.stamps.acknowledged && send.stamps.whole {
                    send.payload = segment.payload.clone();
                }
            }
        }
        extras.sends.retain(|send| send.progress == Progress::Written || send.stamps.acknowledged);
        slim(&mut extras.sends);
        due
    }

    /// The reports of the writes that are acknowledged by now.
    fn acknowledged_sends(&mut self, now: Instant) -> Vec<Report> {
        let una = self.connection.acknowledged();
        let Some(extras) = &mut self.extras else { return Vec::new() };
        let mut reports = Vec::new();
        while extras.sends.front().is_some_and(|send| send.last.before(una)) {
            let Some(send) = extras.sends.pop_front() else { break };
            if send.stamps.acknowledged {
                reports.push(Report::stamp(StampKind::Acknowledged, send.stamps.id, send.payload, now));
            }
        }
        slim(&mut extras.sends);
        reports
    }
}

impl Stack {
    /// When the last byte came that was read from a connection; with `ahead`, that of so many that are not read yet.
    /// `None` where nobody has asked for stamps then ([`Options::stamp_arrivals`](crate::tcp::Options)).
    pub fn tcp_arrival(&mut self, id: TcpId, ahead: usize) -> Option<Instant> {
        let slot = self.tcp.slot_mut(id)?;
        let unread = slot.connection.received_end() - slot.connection.readable() as u32;
        let arrivals = &mut slot.extras.as_mut()?.arrivals;
        let end = unread + ahead as u32;
        let found = arrivals.iter().find(|one| one.start.before(end) && one.end.at_or_after(end))?.at;
        while arrivals.front().is_some_and(|first| first.end.at_or_before(unread)) {
            arrivals.pop_front();
        }
        slim(arrivals);
        Some(found)
    }

    /// Begins to count the bytes of a connection, whose numbers its stamps bear.
    pub fn tcp_count_sends(&mut self, id: TcpId, from: CountFrom) {
        let Some(slot) = self.tcp.slot_mut(id) else { return };
        let base = match from {
            CountFrom::Acknowledged => slot.connection.acknowledged(),
            CountFrom::Written => slot.connection.written_end(),
        };
        slot.extras.get_or_insert_default().base = base;
    }

    /// Asks for stamps of what was written last.
    pub fn tcp_stamp_write(&mut self, id: TcpId, stamps: SendStamps, counted: Counted) {
        let Some(slot) = self.tcp.slot_mut(id).filter(|_| !stamps.is_empty()) else { return };
        let last = slot.connection.written_end() - 1;
        let extras = slot.extras.get_or_insert_default();
        if extras.sends.len() < MAX_SENDS {
            let id = if counted == Counted::Yes { (last - extras.base) as u32 } else { 0 };
            let stamps = SendStamps { id, ..stamps };
            let payload = Rope::new();
            extras.sends.push_back(StampedSend { last, stamps, progress: Progress::Written, payload });
        } else {
            self.counters.bump(Counter::TapsockErrorQueueDrops);
        }
    }

    /// The peer has acknowledged something.
    pub(super) fn stamp_acknowledged(&mut self, now: Instant, index: u32) {
        let reports = self.tcp.at(index).map(|slot| slot.acknowledged_sends(now)).unwrap_or_default();
        reports.into_iter().for_each(|report| self.report_to_tcp(index, report));
    }

    /// As [`dispatch`](Stack::dispatch), of a packet that is to be stamped. What goes to ourselves has been sent with
    /// that; what waits for a neighbour is stamped when it goes, and takes of the buffer of the `sender` until then.
    pub(super) fn dispatch_stamped(
        &mut self,
        now: Instant,
        hop: &NextHop,
        packet: Transmit,
        stampings: &[Stamping],
        sender: Option<SocketId>,
    ) -> Option<(InterfaceId, Transmit)> {
        if hop.interface == InterfaceId::LOOPBACK {
            let copy = packet.clone();
            let sent = self.dispatch(now, hop, packet);
            self.stamp(now, StampKind::Scheduled, stampings, &copy);
            self.stamp(now, StampKind::Sent, stampings, &copy);
            return sent;
        }
        let sent = self.dispatch_awaited(now, hop, packet, Awaiting { stampings, sender });
        if let Some((_, frame)) = &sent {
            self.stamp(now, StampKind::Scheduled, stampings, frame);
        }
        sent
    }

    /// Reports one kind of stamp, to those who want it.
    pub(super) fn stamp(&mut self, now: Instant, kind: StampKind, stampings: &[Stamping], frame: &Transmit) {
        for Stamping { socket, stamps } in stampings {
            let wanted = match kind {
                StampKind::Scheduled => stamps.scheduled,
                StampKind::Sent => stamps.sent,
                StampKind::Acknowledged => stamps.acknowledged,
            };
            if !wanted {
                continue;
            }
            let payload = if stamps.whole { whole(frame) } else { Rope::new() };
            let report = Report::stamp(kind, stamps.id, payload, now);
            match *socket {
                SocketId::Tcp(id) if self.tcp.slot(id).is_some() => self.report_to_tcp(id.index, report),
                SocketId::Udp(id) => self.report_to_udp(id, report),
                SocketId::Ping(id) => self.report_to_ping(id, report),
                SocketId::Raw(id) => self.report_to_raw(id, report),
                SocketId::Tcp(_) | SocketId::Listener(_) => {}
            }
        }
    }
}

/// Headers and payload, the latter by reference.
fn whole(frame: &Transmit) -> Rope {
    let mut bytes = Rope::from(frame.headers.to_vec());
    bytes.append(frame.payload.clone());
    bytes
}

/// Stamps of a connection for which room is kept while there are none.
const KEPT: usize = 8;

/// Gives back what a burst took, once nothing is left of it: a connection may be idle for long.
fn slim<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > KEPT {
        *queue = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ports::{BindRequest, LocalAddr, Transport};
    use crate::tcp::Options;

    /// A connection over `lo`: its two ends.
    fn connected(now: Instant) -> (Stack, TcpId, TcpId) {
        let mut stack = Stack::new(Config::default(), 1, now);
        let here = LocalAddr::new("127.0.0.1".parse().expect("an address"), 0);
        let request = BindRequest { port: 2000, ..BindRequest::new(Transport::Tcp, here) };
        let bind = stack.bind(request).expect("it is free");
        let options = Options { no_delay: true, stamp_arrivals: true, ..Options::default() };
        let listener = stack.tcp_listen(bind, 1, options.clone()).expect("nobody else does");
        let to = "127.0.0.1:2000".parse().expect("an address");
        let client = stack.tcp_connect(now, None, to, options).expect("lo leads there");
        while stack.poll_transmit(now).is_some() {}
        let server = stack.tcp_accept(listener).expect("it is connected");
        (stack, client, server)
    }

    fn write_stamped(stack: &mut Stack, now: Instant, client: TcpId) {
        stack.tcp_write(now, client, Rope::from(vec![1])).expect("there is room");
        let stamps = SendStamps { sent: true, acknowledged: true, ..SendStamps::default() };
        stack.tcp_stamp_write(client, stamps, Counted::No);
    }

    #[test]
    fn a_burst_of_stamps_leaves_no_room_behind() {
        let now = Instant::ZERO;
        let (mut stack, client, server) = connected(now);
        for _ in 0..20 {
            write_stamped(&mut stack, now, client);
        }
        while stack.poll_transmit(now).is_some() {}
        stack.tcp_read(now, server, 100).expect("it came");
        while stack.poll_transmit(now).is_some() {}
        let extras = stack.tcp.slot_mut(client).and_then(|slot| slot.extras.as_ref()).expect("it was used");
        assert!(extras.sends.is_empty() && extras.sends.capacity() <= KEPT);
    }

    #[test]
    fn sends_that_wait_for_their_stamps_are_bounded_and_the_rest_is_counted() {
        let now = Instant::ZERO;
        let (mut stack, client, _server) = connected(now);
        for _ in 0..MAX_SENDS + 5 {
            write_stamped(&mut stack, now, client);
        }
        let extras = stack.tcp.slot_mut(client).and_then(|slot| slot.extras.as_ref()).expect("it was used");
        assert_eq!(extras.sends.len(), MAX_SENDS);
        assert_eq!(stack.counters[Counter::TapsockErrorQueueDrops], 5);
    }

    #[test]
    fn arrivals_that_nobody_reads_are_bounded_and_later_ones_count_as_the_last() {
        let (mut now, kept) = (Instant::ZERO, MAX_ARRIVALS);
        let (mut stack, client, server) = connected(now);
        let mut times = Vec::new();
        for _ in 0..kept + 5 {
            // As long as an acknowledgement may be delayed.
            now += core::time::Duration::from_millis(50);
            stack.handle_timeout(now);
            stack.tcp_write(now, client, Rope::from(vec![1])).expect("there is room");
            while stack.poll_transmit(now).is_some() {}
            times.push(now);
        }
        let slot = stack.tcp.slot_mut(server).expect("it is there");
        assert_eq!(slot.connection.readable(), kept + 5, "all came");
        assert_eq!(slot.extras.as_ref().expect("it was used").arrivals.len(), kept);
        for (ahead, arrival) in [(1, 0), (kept - 1, kept - 2), (kept, kept - 1), (kept + 5, kept - 1)] {
            assert_eq!(stack.tcp_arrival(server, ahead), Some(times[arrival]), "{ahead} bytes on");
        }
    }
}
