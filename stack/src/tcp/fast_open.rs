//! Fast open (RFC 7413) in a connection: data in the SYN, and a connection that is used before its handshake is done.

use crate::buf::Rope;
use crate::counters::{Counter, Counters};
use crate::fast_open::Learned;
use crate::time::Instant;
use crate::wire::{FastOpenForm, FastOpenOption};

use super::connection::{Connection, Holder, Opening};
use super::handshake::{Accepted, SynSent, Willing};
use super::loss_timer::Since;
use super::recovery::Phase;
use super::segment::Segment;
use super::send::Fin;
use super::seq::SeqNumber;
use super::seq_ranges::SeqRange;
use super::shared_options::SharedOptions;
use super::state::State;

/// Room that a SYN with data leaves for options, whatever it has: those of middle boxes among them. As Linux.
const OPTION_ROOM: u16 = 40;

/// Retransmission time-outs in a row after which the way is held to swallow what follows a fast open, as in Linux.
const BLACK_HOLE_TIMEOUTS: u8 = 2;

/// Why the peer did not take a SYN's data (Linux's `tcpi_fastopen_client_fail`).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Failure {
    /// It did, or nothing is known.
    #[default]
    None,
    /// There was no cookie.
    NoCookie,
    /// It acknowledged the SYN alone, or a part.
    NotAcknowledged,
    /// It answered a SYN that was sent again, without data.
    SynSentAgain,
}

/// What a SYN says to a server.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Greeting {
    /// The cookie, or the request for one.
    pub option: Option<FastOpenOption>,
    /// Whether data may go with the SYN.
    pub carries_data: bool,
    /// The largest segment that the server is known to take, in bytes.
    pub mss: Option<u16>,
}

/// What a fast open has come to, for the owner to know.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// The SYN-ACK of a server.
    Learned(Learned),
    /// Nothing gets through any more.
    BlackHole,
    /// Data has come over a connection that we opened so.
    GotThrough,
    /// A connection that a peer has opened has its handshake done, or is over.
    Settled {
        /// Whether the peer has reset it before.
        reset: bool,
    },
}

/// Few connections have any of this.
#[derive(Debug)]
pub(super) struct FastOpen {
    pub(super) stage: Stage,
    /// What the next SYN says; it is said once.
    option: Option<FastOpenOption>,
    /// The form of what a SYN has said.
    said: Option<FastOpenForm>,
    /// Whether a SYN has carried data.
    carried: bool,
    /// Whether all of it was taken.
    taken: bool,
    failure: Failure,
    /// Whether a SYN without data was sent after the first.
    plain: bool,
    /// Whether data has come.
    got_through: bool,
    news: Option<News>,
}

/// How far a fast open has come.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// Nothing was sent: data is waited for that may go with the SYN.
    Held,
    /// A SYN was sent, and perhaps answered.
    Opened,
    /// A peer has opened it, and has not acknowledged our SYN.
    Early,
    /// A peer has opened it, and the handshake is done.
    Accepted,
}

impl FastOpen {
    fn new(stage: Stage) -> Self {
        FastOpen {
            stage,
            option: None,
            said: None,
            carried: false,
            taken: false,
            failure: Failure::None,
            plain: false,
            got_through: false,
            news: None,
        }
    }
}

impl Connection {
    /// A connection in SYN-SENT that sends nothing until [`begin`](Connection::begin) (`TCP_FASTOPEN_CONNECT`).
    pub fn hold(opening: Opening, options: impl Into<SharedOptions>) -> Self {
        let mut connection = Connection::new(opening, options.into());
        connection.state = State::SynSent;
        connection.seldom.set_fast_open(FastOpen::new(Stage::Held));
        connection
    }

    /// Whether it waits to be begun.
    pub fn is_held(&self) -> bool {
        self.stage() == Some(Stage::Held)
    }

    /// Whether a peer has opened it by a fast open, and its handshake is not done: it may be used all the same.
    pub fn is_early(&self) -> bool {
        self.stage() == Some(Stage::Early)
    }

    fn stage(&self) -> Option<Stage> {
        self.seldom.fast_open().map(|fast_open| fast_open.stage)
    }

    /// Sends the SYN of a held connection, with as much of `data` as the greeting allows. Says how much that is.
    //= RFC 7413 §4.2.1
    //= RFC 7413 §2 MUST-1
    //= RFC 7413 §4.2.1 MUST-1
    //= RFC 7413 §4.2.2 MUST-1
    pub fn begin(&mut self, now: Instant, greeting: Greeting, mut data: Rope) -> usize {
        if !self.is_held() {
            return 0;
        }
        let room = if greeting.carries_data { self.room_in_syn(greeting.mss) } else { 0 };
        let data = data.split_to(room.into());
        let count = data.len();
        self.send.queue.push(data);
        if count > 0 {
            self.send.records.end_at(self.send.queue.end());
        }
        self.send.window.nxt += 1;
        self.pending.syn = true;
        (self.send.last_sent, self.send.first_retry) = (now, now);
        if let Some(fast_open) = self.seldom.fast_open_mut() {
            (fast_open.stage, fast_open.option) = (Stage::Opened, greeting.option);
            if !greeting.carries_data {
                fast_open.failure = Failure::NoCookie;
            }
        }
        count
    }

    /// Payload of a SYN to a server that takes segments of `mss` bytes.
    fn room_in_syn(&self, mss: Option<u16>) -> u16 {
        let bound = self.options.max_segment.unwrap_or(u16::MAX);
        let least = self.options.min_send_mss.min(self.sizes.path);
        let mss = mss.unwrap_or(self.sizes.advertised).min(bound).min(self.sizes.path).max(least);
        mss.saturating_sub(OPTION_ROOM)
    }

    /// What the SYN that is about to be sent says and carries: the first one alone does.
    //= RFC 7413 §4.2.1
    pub(super) fn load_syn(&mut self, now: Instant) -> (Option<FastOpenOption>, Rope) {
        let Some(fast_open) = self.seldom.fast_open_mut() else {
            return (None, Rope::new());
        };
        if fast_open.stage != Stage::Opened {
            return (fast_open.option.take(), Rope::new());
        }
        if self.send.window.nxt != self.send.queue.base() || fast_open.plain {
            fast_open.plain = true;
            return (None, Rope::new());
        }
        let option = fast_open.option.take();
        fast_open.said = option.map(|option| option.form);
        let data = self.send.queue.slice(self.send.queue.base(), usize::MAX);
        let end = self.send.queue.end();
        if let Some(range) = SeqRange::new(self.send.queue.base(), end) {
            fast_open.carried = true;
            let sending = self.recovery.sending(now, data.len() as u16);
            self.recovery.scoreboard.on_sent(range, sending);
            // As Linux: Nagle does not count it among the small segments.
            self.send.window.nxt = end;
        } else {
            fast_open.plain = true;
        }
        (option, data)
    }

    /// Whether our SYN asked for a fast open, or was one.
    pub(super) fn is_fast_open_client(&self) -> bool {
        self.seldom.fast_open().is_some_and(|fast_open| fast_open.said.is_some() || fast_open.carried)
    }

    /// Whether a SYN with data is under way.
    pub(super) fn is_syn_loaded(&self) -> bool {
        self.state == State::SynSent && !self.recovery.scoreboard.is_empty()
    }

    /// The path does not take a SYN with data: it is sent again without, at once.
    pub(super) fn unload_syn(&mut self) {
        if let Some(fast_open) = self.seldom.fast_open_mut().filter(|open| !open.plain) {
            fast_open.plain = true;
            self.pending.syn = true;
        }
    }

    /// Whether what is known of the SYN's round trip is blurred by another one that was sent at once.
    pub(super) fn was_syn_doubled(&self) -> bool {
        self.seldom.fast_open().is_some_and(|open| open.plain && open.carried)
    }

    /// Takes what the SYN-ACK says of the SYN's data: what it leaves out is sent again at once, and nothing is held
    /// against the path.
    //= RFC 7413 §4.2.1
    pub(super) fn on_fast_open_answer(
        &mut self,
        now: Instant,
        segment: &Segment,
        ack: SeqNumber,
        sent: SynSent,
        counters: &mut Counters,
    ) {
        let Some(fast_open) = self.seldom.fast_open_mut() else { return };
        let all = ack.at_or_after(self.send.queue.end());
        let again = !matches!(sent, SynSent::Once(_));
        if fast_open.said.is_some() || fast_open.carried {
            let offered = segment.options.fast_open.filter(|option| !option.cookie.is_request());
            let cookie = offered.filter(|_| fast_open.said.is_some());
            let absent = segment.options.fast_open.is_none() && !again && !fast_open.carried;
            let refused = fast_open.said.filter(|_| absent);
            let mss = segment.options.mss.unwrap_or(0);
            fast_open.news = Some(News::Learned(Learned { mss, cookie, refused }));
        }
        if !fast_open.carried {
            return;
        }
        if all {
            fast_open.taken = true;
            counters.bump(Counter::TcpExtTCPFastOpenActive);
        } else {
            fast_open.failure = if again { Failure::SynSentAgain } else { Failure::NotAcknowledged };
            counters.bump(Counter::TcpExtTCPFastOpenActiveFail);
        }
        if ack.after(self.send.window.una) {
            let mut delivered = self.news(now, segment).delivered;
            self.take_ack(ack, &mut delivered);
        }
        if !all {
            self.recovery.scoreboard.lose_with_front(|_| true);
            let una = self.send.window.una;
            let (recovery, mut scene) = self.scene(now, una, None, counters);
            recovery.on_loss_without_congestion(&mut scene);
            self.arm_timeout(now, Since::Now);
        }
    }

    /// A connection that a peer has opened with `data` in its SYN and a good cookie: it is open to its program before
    /// the handshake is done. The first SYN-ACK bears `option`.
    //= RFC 7413 §4.2.2
    //= RFC 7413 §4.2.2 MUST-2
    pub fn accept_early(
        now: Instant,
        accepted: Accepted,
        options: impl Into<SharedOptions>,
        data: Rope,
        option: Option<FastOpenOption>,
    ) -> Self {
        let mut connection = Connection::new(accepted.opening, options.into());
        connection.state = State::SynReceived;
        connection.holder = Holder::Listener;
        connection.send.window.nxt = accepted.opening.iss + 1;
        connection.recv.window.scale = accepted.scale;
        let willing = Willing::of(&connection.options);
        connection.negotiate(now, accepted.irs, &accepted.offered, willing);
        connection.begin_search(now);
        connection.send.window.start(accepted.irs, accepted.window.0.into());
        (connection.send.last_sent, connection.send.first_retry) = (now, now);
        connection.recv.acks.on_shaken(now);
        connection.ecn.agreed = accepted.ecn;
        let mut fast_open = FastOpen::new(Stage::Early);
        (fast_open.taken, fast_open.option) = (!data.is_empty(), option);
        connection.seldom.set_fast_open(fast_open);
        connection.deliver(data);
        connection.recv.acks.on_ack_sent(connection.recv.window.nxt);
        connection.pending.syn = true;
        connection
    }

    /// The peer has acknowledged our SYN, or the connection is over: it counts no longer among those of its listener.
    pub(super) fn settle_early(&mut self, reset: bool) {
        if let Some(fast_open) = self.seldom.fast_open_mut().filter(|open| open.stage == Stage::Early) {
            fast_open.stage = Stage::Accepted;
            fast_open.news = Some(News::Settled { reset });
        }
    }

    /// Whether the segment is the peer's SYN once more, which an early connection answers once more.
    pub(super) fn is_early_syn(&self, segment: &Segment) -> bool {
        self.is_early() && segment.ack.is_none() && segment.seq + 1 == self.early_start()
    }

    /// The number after the peer's SYN.
    fn early_start(&self) -> SeqNumber {
        self.send.window.wl1 + 1
    }

    /// Looks for a way that swallows what follows a fast open: a time-out after another one has passed, or the
    /// connection is given up.
    //= RFC 7413 §4.1.3.1
    pub(super) fn look_for_black_hole(&mut self, hopeless: bool) {
        let timeouts = self.send.retries;
        if let Some(fast_open) = self.seldom.fast_open_mut()
            && fast_open.stage == Stage::Opened
            && (fast_open.said.is_some() || fast_open.carried)
            && (timeouts == BLACK_HOLE_TIMEOUTS || timeouts < BLACK_HOLE_TIMEOUTS && hopeless)
        {
            fast_open.news = Some(News::BlackHole);
        }
    }

    /// A reset has come that may not be the peer's, before any data: as Linux, the way may be one that swallows what follows
    /// a fast open, and that ends connections which it does not know.
    //= RFC 7413 §4.1.3.1
    pub(super) fn doubt_way_on_reset(&mut self) {
        if self.state == State::Established {
            self.doubt_way_without_data();
        }
    }

    /// The connection is over. As Linux: where the peer's FIN is all that has come, and what it follows has not, that was
    /// swallowed on the way.
    //= RFC 7413 §4.1.3.1
    pub(super) fn doubt_way_at_end(&mut self) {
        if self.recv.fin().is_some() && !self.recv.is_finished() {
            self.doubt_way_without_data();
        }
    }

    fn doubt_way_without_data(&mut self) {
        let silent = self.tally.data_segs_in == 0;
        if let Some(fast_open) = self.seldom.fast_open_mut()
            && fast_open.stage == Stage::Opened
            && fast_open.said.is_some()
            && silent
        {
            fast_open.news = Some(News::BlackHole);
        }
    }

    /// A program waits to write until the handshake is done.
    pub fn await_open(&mut self) {
        self.pending.writer = matches!(self.state, State::SynSent | State::SynReceived);
    }

    /// Data has come in order.
    pub(super) fn note_got_through(&mut self) {
        if let Some(fast_open) = self.seldom.fast_open_mut()
            && !fast_open.got_through
            && fast_open.stage == Stage::Opened
            && fast_open.said.is_some()
            && fast_open.news.is_none()
        {
            (fast_open.got_through, fast_open.news) = (true, Some(News::GotThrough));
        }
    }

    /// What the owner is to know of a fast open.
    pub fn poll_fast_open(&mut self) -> Option<News> {
        self.seldom.fast_open_mut()?.news.take()
    }

    /// Whether a SYN's data was taken, by the peer or by us (Linux's `TCPI_OPT_SYN_DATA`).
    pub(super) fn was_syn_data_taken(&self) -> bool {
        self.seldom.fast_open().is_some_and(|open| open.taken)
    }

    /// Whether a peer has opened it by a SYN with a cookie (Linux's `TCPI_OPT_TFO_CHILD`).
    pub(super) fn was_opened_early(&self) -> bool {
        matches!(self.stage(), Some(Stage::Early | Stage::Accepted))
    }

    pub(super) fn fast_open_failure(&self) -> Failure {
        self.seldom.fast_open().map_or(Failure::None, |open| open.failure)
    }

    /// Whether writing is possible before the handshake is done, and our FIN may go.
    pub(super) fn may_send_early(&self) -> bool {
        // As Linux: who lets go before the handshake is done sends the FIN at once.
        let leaves = self.holder == Holder::Nobody && self.send.fin == Fin::Queued;
        self.is_early() && self.send.fin != Fin::Sent || leaves
    }

    /// The SYN-ACK of a connection that is in use was lost twice: as Linux, that is what a time-out of data is.
    pub(super) fn enter_loss_of_syn_ack(&mut self, now: Instant, counters: &mut Counters) {
        let una = self.send.window.una;
        let (recovery, mut scene) = self.scene(now, una, None, counters);
        recovery.on_timeout(&mut scene, 0);
    }

    /// It has arrived, and that ends with it.
    pub(super) fn leave_loss_of_syn_ack(&mut self, now: Instant, segment: &Segment, counters: &mut Counters) {
        if self.recovery.phase == Phase::Loss {
            let una = self.send.window.una;
            let (recovery, mut scene) = self.scene(now, una, Some(segment), counters);
            recovery.end_loss(&mut scene);
        }
    }
}
