//! A stretch of wire right beside a host that holds a watch: what the host sent and nobody has acknowledged, it sends again,
//! and while it has something that it did not send it asks for room, before the time-outs of RFC 6298 allow it to rest.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use tapsock_sim::impair::{Arrival, Impaired, Impairment};
use tapsock_sim::packet::{Packet, TcpPacket};
use tapsock_stack::buf::{Checksum, Frame};
use tapsock_stack::stack::{Entry, Stack, Stage, Surveyed};
use tapsock_stack::tcp::{SeqNumber, State};
use tapsock_stack::time::Instant;
use tapsock_stack::wire::checksum::verify_transport;
use tapsock_stack::wire::tcp::TcpFlags;

/// The first retransmission follows an acknowledgement within this time, for a round trip without losses. One that was
/// measured as longer makes the time-out longer by no more than three times of it: so much are a round trip and four
/// deviations, however often it is measured.
const FIRST: Duration = Duration::from_secs(3);

/// Rounding, and waiting for the pace.
const SLACK: Duration = Duration::from_millis(400);

/// The largest time-out (`net.ipv4.tcp_rto_max_ms`).
const LONGEST: Duration = Duration::from_secs(120);

type Flow = (SocketAddr, SocketAddr);

/// See the module.
#[derive(Clone)]
pub struct Watch {
    near: IpAddr,
    flows: Arc<Mutex<HashMap<Flow, Sender>>>,
}

/// What one end of a connection has in flight.
struct Sender {
    /// The number after the last that was sent, and what the peer has acknowledged.
    end: SeqNumber,
    acked: SeqNumber,
    /// Since when the host has something that it did not send, though all that it sent is acknowledged.
    unsent_since: Option<Instant>,
    /// When something was sent, asked or acknowledged last, and the longest rest since anything was acknowledged.
    last: Instant,
    rest: Duration,
    stamped: bool,
    /// SYNs and SYN-ACKs since anything was acknowledged. The peer's asks for ours beside the time-out, which goes on as before.
    syns: u32,
    /// What is in flight: the end of each part, and when it was sent first; the longest that one took to be acknowledged.
    sent: VecDeque<(SeqNumber, Instant)>,
    slowest: Duration,
}

impl Watch {
    /// Watches the host with the address `near`, next to which it stands.
    pub fn over(near: IpAddr) -> (Impaired<Watch>, Watch) {
        let watch = Watch { near, flows: Arc::default() };
        (Impaired::new(watch.clone()), watch)
    }

    /// Panics where something has waited for too long to be sent, or sent again, by `now` in the host, whose stack tells what
    /// it has not sent.
    pub fn check(&self, now: Instant, stack: &Stack) {
        let mut flows = self.flows.lock().unwrap();
        let entries = stack.survey(now, &[Surveyed::Tcp]).entries;
        let unsent: HashSet<Flow> =
            entries.iter().filter(|entry| may_be_unsent(entry)).filter_map(ends).collect();
        for (flow, sender) in flows.iter_mut() {
            let is_unsent = unsent.contains(flow) && !sender.is_in_flight();
            sender.unsent_since = is_unsent.then(|| sender.unsent_since.unwrap_or(now));
            sender.check(flow, now);
        }
    }

    fn on_sent(&self, now: Instant, flow: Flow, tcp: &TcpPacket) {
        let start = SeqNumber::new(tcp.header.sequence);
        let (flags, len) = (tcp.header.flags, tcp.sequence_len());
        let mut flows = self.flows.lock().unwrap();
        if flags.contains(TcpFlags::RST) {
            flows.remove(&flow);
            return;
        }
        let asks = flows.get(&flow).is_some_and(|sender| start.before(sender.acked));
        if len == 0 && !asks {
            return;
        }
        let stamped = tcp.header.options.timestamps.is_some();
        let sender = flows.entry(flow).or_insert(Sender {
            end: start,
            acked: start,
            unsent_since: None,
            last: now,
            rest: Duration::ZERO,
            stamped,
            syns: 0,
            sent: VecDeque::new(),
            slowest: Duration::ZERO,
        });
        if flags.contains(TcpFlags::SYN) && start != sender.acked && start.after(sender.end) {
            (sender.end, sender.acked) = (start, start);
        }
        sender.check(&flow, now);
        sender.rest = sender.rest.max(sender.rests_for(now));
        if (start + len).after(sender.end) {
            sender.end = start + len;
            sender.sent.push_back((sender.end, now));
        }
        (sender.last, sender.stamped) = (now, stamped);
        sender.syns += u32::from(flags.contains(TcpFlags::SYN));
    }

    fn on_heard(&self, now: Instant, (from, to): Flow, tcp: &TcpPacket) {
        let mut flows = self.flows.lock().unwrap();
        let Some(sender) = flows.get_mut(&(to, from)) else { return };
        if tcp.header.flags.contains(TcpFlags::RST) {
            flows.remove(&(to, from));
            return;
        }
        let ack = SeqNumber::new(tcp.header.acknowledgment);
        let acknowledges = tcp.header.flags.contains(TcpFlags::ACK) && ack.at_or_before(sender.end);
        // What is acknowledged now was sent then: no sample of the round trip is longer.
        let tells = acknowledges && ack.after(sender.acked) || !tcp.header.options.sack.is_empty();
        if let Some((_, first)) = sender.sent.front().filter(|_| tells) {
            sender.slowest = sender.slowest.max(now.saturating_since(*first));
        }
        while sender.sent.front().is_some_and(|(end, _)| acknowledges && end.at_or_before(ack)) {
            sender.sent.pop_front();
        }
        if acknowledges && ack.after(sender.acked) {
            (sender.acked, sender.last, sender.rest, sender.syns) = (ack, now, Duration::ZERO, 0);
        }
    }
}

impl Sender {
    fn is_in_flight(&self) -> bool {
        self.acked.before(self.end)
    }

    /// For how long something waits to be sent, or sent again.
    fn rests_for(&self, now: Instant) -> Duration {
        let since = if self.is_in_flight() { Some(self.last) } else { self.unsent_since };
        since.map_or(Duration::ZERO, |since| now.saturating_since(since.max(self.last)))
    }

    fn check(&self, flow: &Flow, now: Instant) {
        let rest = self.rests_for(now);
        let handshake = Duration::from_secs(1 << self.syns.min(7));
        let doubled = (2 * self.rest).max(FIRST + 3 * self.slowest).max(handshake) + SLACK;
        let most = if self.stamped { doubled.min(LONGEST + SLACK) } else { LONGEST + SLACK };
        assert!(
            rest <= most,
            "{flow:?} rests for {rest:?} at {now:?}, after {:?}: {:?} is sent, {:?} acknowledged, more unsent since {:?}",
            self.rest,
            self.end,
            self.acked,
            self.unsent_since
        );
    }
}

/// Whether a connection has something that it did not send, where all that it sent is acknowledged: bytes, or a FIN.
fn may_be_unsent(entry: &Entry) -> bool {
    match entry.stage {
        Stage::Tcp(State::Established | State::CloseWait) => entry.send_queue > 0,
        Stage::Tcp(State::FinWait1 | State::Closing | State::LastAck) => true,
        _ => false,
    }
}

fn ends(entry: &Entry) -> Option<Flow> {
    Some((entry.local, entry.remote?))
}

impl Impairment for Watch {
    fn name(&self) -> String {
        "watch".into()
    }

    fn on_frame(&mut self, arrival: &mut Arrival<'_>, frame: Frame) {
        let packet = Packet::parse(&frame.bytes, arrival.medium);
        if let (Some(ip), Some(tcp)) = (packet.ip(), packet.tcp()) {
            let ports = (tcp.header.source_port, tcp.header.destination_port);
            let flow = (SocketAddr::new(ip.source, ports.0), SocketAddr::new(ip.destination, ports.1));
            if ip.source == self.near {
                self.on_sent(arrival.now, flow, tcp);
            } else {
                let transport = &frame.bytes[ip.transport_range.clone()];
                let sound = frame.checksum == Checksum::Valid
                    || verify_transport(ip.source, ip.destination, ip.protocol, transport) == Checksum::Valid;
                if sound {
                    self.on_heard(arrival.now, flow, tcp);
                }
            }
        }
        arrival.pass(frame);
    }
}
