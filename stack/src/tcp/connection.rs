//! One connection: its fields, and the calls of its owner.

use core::num::NonZeroU32;
use core::time::Duration;

use crate::error::SocketError;
use crate::time::Instant;

use super::config::Options;
use super::congestion::Congestion;
use super::ecn::Ecn;
use super::handshake::{announced_mss, window_scale};
use super::memory::Supply;
use super::recovery::Recovery;
use super::recv::Receiver;
use super::recv::ack_policy::Owed;
use super::recv::window::ReceiveWindow;
use super::segment::{Control, Segment};
use super::seldom::Seldom;
use super::send::{Fin, Sender};
use super::seq::SeqNumber;
use super::shared_options::SharedOptions;
use super::state::State;
use super::timers::{Timer, Timers};

pub use super::transfer::{Push, ReadError, WriteError};

/// The state of a connection: a sender, a receiver, and what ties them.
///
/// Segments and time go in by [`on_segment`](Connection::on_segment) and [`on_timeout`](Connection::on_timeout);
/// segments come out of [`poll_transmit`](Connection::poll_transmit), which is to be called until it says `None`
/// after each call that goes in. Addresses and ports are the owner's business.
///
/// ```
/// use tapsock_stack::counters::Counters;
/// use tapsock_stack::tcp::connection::{Opening, SegmentSizes};
/// use tapsock_stack::tcp::segment::Control;
/// use tapsock_stack::tcp::{Connection, Options, SeqNumber, State};
/// use tapsock_stack::time::Instant;
///
/// let sizes = SegmentSizes { advertised: 1460, path: 1460, default: 536 };
/// let opening = Opening { iss: SeqNumber::new(1), timestamp_offset: 0, sizes };
/// let mut connection = Connection::connect(Instant::ZERO, opening, Options::default());
/// let syn = connection.poll_transmit(Instant::ZERO, 65_000, &mut Counters::default()).unwrap();
/// assert_eq!(syn.control, Some(Control::Syn));
/// assert_eq!(connection.state(), State::SynSent);
/// ```
#[derive(Debug)]
pub struct Connection {
    pub(super) state: State,
    pub(super) holder: Holder,
    pub(super) negotiated: Negotiated,
    pub(super) ecn: Ecn,
    pub(super) tally: Tally,
    pub(super) sizes: SegmentSizes,
    pub(super) send: Sender,
    pub(super) recv: Receiver,
    pub(super) recovery: Recovery,
    pub(super) congestion: Congestion,
    pub(super) timers: Timers,
    pub(super) pending: Pending,
    pub(super) events: Events,
    pub(super) error: Option<SocketError>,
    /// What memory there is for it.
    pub(super) supply: Supply,
    /// Whether the host has sent as many challenges as it may for now.
    pub(super) mute: bool,
    /// What ICMP said of the path last; it becomes the error where the connection times out.
    pub(super) soft_error: Option<SocketError>,
    pub(super) seldom: Seldom,
    pub(super) options: SharedOptions,
}

const _: () = assert!(size_of::<Connection>() <= 640, "the budget of an idle connection");

/// What a connection that nobody holds may keep to be sent where the host has no memory, in bytes (Linux's
/// `SOCK_MIN_SNDBUF`).
const LARGE_ORPHAN: u32 = 4608;

/// Who holds the connection.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Holder {
    /// A listener, until an application accepts it.
    Listener,
    /// An application.
    Application,
    /// Nobody: it was closed and finishes by itself.
    Nobody,
}

/// What both sides agreed on.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Negotiated {
    pub(super) sack: bool,
    pub(super) window_scaling: bool,
    pub(super) timestamps: Option<TimestampState>,
    pub(super) timestamp_offset: u32,
}

/// The timestamps of the peer (RFC 7323).
#[derive(Copy, Clone, Debug)]
pub(super) struct TimestampState {
    /// TS.Recent.
    pub(super) recent: u32,
    /// When it was set, in seconds and one.
    pub(super) recent_secs: NonZeroU32,
}

/// What is counted for who looks (`TCP_INFO`), and what is seldom noted.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) bytes_acked: u64,
    pub(super) bytes_received: u64,
    pub(super) last_ack: Instant,
    pub(super) segs_in: u32,
    pub(super) data_segs_in: u32,
    pub(super) segs_out: u32,
    /// When a segment was answered last that is not acceptable: a number of milliseconds and one. It comes round after 49
    /// days, and may then hold back one answer more, as Linux's does.
    pub(super) challenged: Option<NonZeroU32>,
}

/// Segments that are owed besides data and plain acknowledgements.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Pending {
    /// SYN, or SYN-ACK in SYN-RECEIVED.
    pub(super) syn: bool,
    pub(super) reset: bool,
    /// What can go at once goes, and then a reset: there is no room for it among those that nobody holds.
    pub(super) farewell: bool,
    /// The reset acknowledges nothing, as one that answers a segment without a connection.
    pub(super) bare_reset: bool,
    /// An empty segment before `una`: it makes the peer answer.
    pub(super) probe: bool,
    /// The first lost segment goes out whatever is in flight, for it has timed out.
    pub(super) resend: bool,
    /// A probe for a lost tail.
    pub(super) tail_probe: bool,
    /// Send what there is, however small.
    pub(super) push_small: bool,
    /// Hold a small segment back until the peer is heard of: more will be written.
    pub(super) hold: bool,
    /// Send a small segment, whatever else is told to wait.
    pub(super) flush: bool,
    /// Something was written, or the peer's window has changed, since it was looked last whether the path was idle.
    pub(super) idle_check: bool,
    /// A program waits to write until the handshake is done.
    pub(super) writer: bool,
    pub(super) filling: Filling,
}

/// Whether what fills no frame may wait for more.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Filling {
    /// A record has ended, or a program has asked for something else since it wrote.
    #[default]
    No,
    /// A program has written.
    May,
    /// It has, and what it wrote waits.
    Waits,
}

/// Payload sizes of the path.
#[derive(Copy, Clone, Debug)]
pub struct SegmentSizes {
    /// What we say that we take: the interface's MTU less the headers. From our SYN on what it has told.
    pub advertised: u16,
    /// What the path takes, as far as we know.
    pub path: u16,
    /// What a peer takes that says nothing: 536 for IPv4, 1220 for IPv6.
    //= RFC 9293 MUST-15
    pub default: u16,
}

/// What a connection is opened with.
#[derive(Copy, Clone, Debug)]
pub struct Opening {
    /// Our initial sequence number (RFC 6528).
    pub iss: SeqNumber,
    /// What is added to the clock for our timestamps.
    pub timestamp_offset: u32,
    /// Payload sizes of the path.
    pub sizes: SegmentSizes,
}

/// Which direction to close (POSIX `shutdown`).
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Shutdown {
    /// Reading.
    Read,
    /// Writing: FIN follows what was written.
    Write,
    /// Both.
    Both,
}

/// The connection is not open (ENOTCONN).
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct NotConnected;

/// Something that the owner may want to know.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The handshake is done.
    Connected,
    /// There is something to read: data, the end, or an error.
    Readable,
    /// There is room to write, or an error.
    Writable,
    /// A direction has ended.
    Ended,
    /// The connection is closed.
    Closed,
    /// It was closed while we could still have sent (Linux's `TcpEstabResets`).
    Torn,
}

#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Events(u8);

impl Events {
    pub(super) fn add(&mut self, event: Event) {
        self.0 |= 1 << event as u8;
    }

    fn take(&mut self) -> Option<Event> {
        let all =
            [Event::Connected, Event::Readable, Event::Writable, Event::Ended, Event::Closed, Event::Torn];
        let event = all.into_iter().find(|event| self.0 & (1 << *event as u8) != 0)?;
        self.0 &= !(1 << event as u8);
        Some(event)
    }
}

impl Connection {
    /// A connection that will send SYN.
    //= RFC 9293 §3.10.1
    pub fn connect(now: Instant, opening: Opening, options: impl Into<SharedOptions>) -> Self {
        let mut connection = Connection::new(opening, options.into());
        connection.state = State::SynSent;
        connection.pending.syn = true;
        connection.send.window.nxt += 1;
        connection.send.last_sent = now;
        connection.send.first_retry = now;
        connection
    }

    pub(super) fn new(opening: Opening, options: SharedOptions) -> Self {
        let Opening { iss, timestamp_offset, mut sizes } = opening;
        sizes.advertised = announced_mss(&options, sizes.advertised);
        let (buffer, buffer_max) = (options.receive_buffer, options.receive_buffer_max);
        let clamp = options.rare().window_clamp;
        let scale = window_scale(&options);
        let pacer = Connection::pacer_for(&options);
        let send = Sender { pacer, ..Sender::new(iss, sizes.default, &options) };
        let mut congestion = Congestion::new(options.congestion);
        congestion.leave_slow_start_by(options.rare().slow_start_exit);
        congestion.begin_with(options.rare().initial_window());
        let mut recv = Receiver::new(ReceiveWindow::new(buffer, buffer_max, scale));
        recv.window.set_clamp(clamp);
        recv.acks.set_interactive(options.late_acks);
        Connection {
            state: State::Closed,
            holder: Holder::Application,
            negotiated: Negotiated { timestamp_offset, ..Negotiated::default() },
            ecn: Ecn::default(),
            tally: Tally::default(),
            sizes,
            send,
            recv,
            recovery: Recovery::new(&options.rare().loss),
            congestion,
            timers: Timers::new(),
            pending: Pending::default(),
            events: Events::default(),
            error: None,
            supply: Supply::default(),
            mute: false,
            soft_error: None,
            seldom: Seldom::default(),
            options,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The options, as set.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// When to call [`on_timeout`](Connection::on_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What is waited for first, until when, and how often it has been waited for in vain: that what was sent is
    /// acknowledged before all else.
    pub fn watched(&self) -> Option<(Timer, Instant, u8)> {
        let order = [
            Timer::Retransmit,
            Timer::Probe,
            Timer::Reorder,
            Timer::Persist,
            Timer::KeepAlive,
            Timer::FinWait2,
        ];
        let timer = order.into_iter().find(|timer| self.timers.is_set(*timer))?;
        let vain = match timer {
            Timer::Persist | Timer::KeepAlive => self.send.probes,
            _ => self.send.retries,
        };
        Some((timer, self.timers.at(timer), vain))
    }

    /// The next thing that the owner may want to know.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.take()
    }

    /// Whether the connection is over and nothing is left to be sent.
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed && !self.pending.reset
    }

    /// Whether a segment waits to be sent besides data: an acknowledgement, a probe, a reset, SYN.
    pub fn owes_segment(&self) -> bool {
        self.pending.reset || self.pending.syn || self.pending.probe || self.recv.acks.owed() == Owed::Now
    }

    /// Whether data or a FIN of ours is not acknowledged, or a segment waits to be sent.
    pub fn is_unfinished(&self) -> bool {
        match self.state {
            State::Closed | State::TimeWait => self.pending.reset,
            State::SynSent => false,
            State::SynReceived => self.send.fin != Fin::No,
            State::FinWait1 | State::Closing | State::LastAck => true,
            _ => !self.send.queue.is_empty(),
        }
    }

    /// Whether the segment acknowledges what was never sent, before the connection is open: it is to be answered by
    /// [`reset_for`](Connection::reset_for).
    //= RFC 9293 §3.10.7.3
    pub fn is_refused(&self, segment: &Segment) -> bool {
        let acknowledges = match self.state {
            State::SynSent => self.acknowledges_syn(segment),
            State::SynReceived if self.is_acceptable(segment) => {
                segment.ack.is_none_or(|ack| self.covers_syn(ack))
            }
            _ => true,
        };
        !acknowledges && segment.control != Some(Control::Rst)
    }

    /// The number before which everything is acknowledged.
    pub fn acknowledged(&self) -> SeqNumber {
        self.send.window.una
    }

    /// The number after the last byte that was written.
    pub fn written_end(&self) -> SeqNumber {
        self.send.queue.end()
    }

    /// The number after the last byte that has come in order, read or not.
    pub fn received_end(&self) -> SeqNumber {
        self.recv.fin().filter(|_| self.recv.is_finished()).unwrap_or(self.recv.window.nxt)
    }

    /// Payload of a full segment, in bytes (`TCP_MAXSEG`).
    pub fn mss(&self) -> u32 {
        self.send.mss
    }

    /// Whether the peer has sent all it has to say, and all of it has come.
    pub fn is_peer_finished(&self) -> bool {
        self.recv.is_finished()
    }

    /// An application has accepted it.
    pub fn on_accepted(&mut self) {
        self.holder = Holder::Application;
    }

    /// Whether nobody holds it.
    pub fn is_orphan(&self) -> bool {
        self.holder == Holder::Nobody
    }

    /// Whether nothing follows what can be read.
    pub fn is_read_closed(&self) -> bool {
        self.recv.is_finished() || self.recv.shut_down || self.state == State::Closed
    }

    /// Whether writing was shut down, or the connection is over.
    pub fn is_write_closed(&self) -> bool {
        self.send.fin != Fin::No || matches!(self.state, State::Closed | State::TimeWait)
    }

    /// The error that ended the connection, once.
    //= RFC 9293 MUST-12
    //= RFC 9293 MUST-47
    pub fn take_error(&mut self) -> Option<SocketError> {
        self.error.take()
    }

    /// The same, or else what the path complained of while the connection went on (SO_ERROR).
    //= RFC 9293 SHLD-20
    pub fn take_any_error(&mut self) -> Option<SocketError> {
        self.error.take().or(self.soft_error.take())
    }

    /// The error that the next call fails with, for who reads the reports of errors.
    pub(crate) fn pending_error(&mut self) -> &mut Option<SocketError> {
        &mut self.error
    }

    /// Bytes of memory that it is charged, as Linux charges: what came and was not read, and what was written and is not
    /// acknowledged.
    pub fn memory(&self) -> u64 {
        self.recv.held() as u64 + u64::from(self.charged())
    }

    /// Whether it keeps so much to be sent that a host without memory does not let it finish by itself.
    pub fn is_large_orphan(&self) -> bool {
        self.charged() > LARGE_ORPHAN
    }

    /// Whether it may challenge who sends what can't be right, as far as the host is concerned.
    //= RFC 5961 §7
    pub fn set_mute(&mut self, mute: bool) {
        self.mute = mute;
    }

    /// What memory there is for it from now on.
    pub fn set_supply(&mut self, supply: Supply) {
        self.supply = supply;
    }

    /// Whether an error waits to be told.
    pub fn has_error(&self) -> bool {
        self.error.is_some()
    }

    /// Changes options while the connection runs.
    pub fn set_options(&mut self, change: impl FnOnce(&mut Options), now: Instant) {
        let mut options = self.options.clone();
        change(&mut options);
        self.replace_options(options, now);
    }

    /// Takes other options while the connection runs.
    pub fn replace_options(&mut self, options: SharedOptions, now: Instant) {
        let before = core::mem::replace(&mut self.options, options);
        self.pending.filling = Filling::No;
        let Options { congestion, receive_buffer, send_buffer, .. } = *self.options;
        if congestion != before.congestion {
            self.congestion.switch(congestion);
            self.congestion.leave_slow_start_by(self.options.rare().slow_start_exit);
            self.send.pacer = self.send.pacer.take().or_else(|| Connection::pacer_for(&self.options));
        }
        if receive_buffer != before.receive_buffer {
            self.recv.window.fix_buffer(receive_buffer);
        }
        if send_buffer != before.send_buffer {
            (self.send.buffer, self.send.buffer_max) = (send_buffer, None);
            self.events.add(Event::Writable);
        }
        if self.options.keep_alive != before.keep_alive {
            self.arm_keep_alive(now);
        }
        if self.options.rare != before.rare {
            self.apply_rare();
        }
    }

    pub(super) fn arm_keep_alive(&mut self, now: Instant) {
        if self.timers.is_set(Timer::FinWait2) {
            return;
        }
        let keep_alive = self.options.keep_alive;
        if keep_alive.enabled && self.state.is_synchronized() && self.state != State::TimeWait {
            let idle = Duration::from_secs(keep_alive.idle_secs.into());
            self.timers.set(Timer::KeepAlive, now + idle);
        } else {
            self.timers.stop(Timer::KeepAlive);
        }
    }

    /// Ends the connection with `error`, without a word to the peer.
    pub(super) fn fail(&mut self, error: SocketError) {
        self.error = Some(error);
        self.enter_closed();
    }

    pub(super) fn enter_closed(&mut self) {
        self.settle_early(false);
        self.doubt_way_at_end();
        if matches!(self.state, State::Established | State::CloseWait) {
            self.events.add(Event::Torn);
        }
        self.state = State::Closed;
        self.timers.stop_all();
        self.pending.syn = false;
        self.send.queue.clear();
        // As Linux: a reset that is to be sent reports it.
        if !self.pending.reset {
            self.recv.reassembly.clear();
        }
        self.recovery.finish(&self.options.rare().loss);
        for event in [Event::Closed, Event::Readable, Event::Writable] {
            self.events.add(event);
        }
    }

    /// Puts our timestamp clock's reading for `now`, in milliseconds.
    //= RFC 7323 §4.1 MUST-1
    //= RFC 7323 §5.4 MUST-1
    //= RFC 7323 §5.4 MUST-2
    pub(crate) fn timestamp(&self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_add(self.negotiated.timestamp_offset)
    }
}
