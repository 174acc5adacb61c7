//! What the path says of itself: how large a segment may be, and that nobody can be reached.

use crate::counters::{Counter, Counters};
use crate::error::SocketError;
use crate::error_queue::ErrorDelivery;
use crate::time::Instant;

use super::connection::Connection;
use super::loss_timer::Since;
use super::send::buffer::most_of_window;
use super::seq::SeqNumber;
use super::state::State;

/// The least room for options and payload, whatever an interface's MTU says.
const LEAST_MSS: u16 = 20;

/// What a segment has room for, options and payload, however small the peer's windows are (Linux's `TCP_MIN_MSS` less its
/// headers).
const LEAST_PAYLOAD: u32 = 48;

impl Connection {
    /// The host or the path refuses what we sent (RFC 9293 §3.9.2.2). A hard error ends an attempt to connect; an
    /// open connection goes on, and remembers.
    //= RFC 9293 MUST-56
    //= RFC 9293 SHLD-25
    pub fn on_unreachable(&mut self, error: SocketError, counters: &mut Counters) {
        if matches!(self.state, State::SynSent | State::SynReceived) {
            counters.bump(Counter::TcpAttemptFails);
            self.fail(error);
        } else {
            self.note_unreachable(error);
        }
    }

    /// The same, where the connection goes on.
    pub fn note_unreachable(&mut self, error: SocketError) {
        match self.options.error_delivery {
            ErrorDelivery::HardWhenConnected => self.soft_error = Some(error),
            ErrorDelivery::All => self.error = Some(error),
        }
    }

    /// A router has no way to the host, and says so of the segment at `seq`. Where that is the one that times out, it was
    /// lost for that and not for want of room: one doubling of the time-out is taken back.
    //= RFC 6069 §4.2
    pub fn on_no_way(&mut self, now: Instant, seq: SeqNumber) {
        let timed_out = self.send.retries > 0 && self.send.rtt.backoff() > 0;
        if seq == self.send.window.una && timed_out && !self.recovery.scoreboard.is_empty() {
            self.send.rtt.take_back_doubling();
            self.arm_timeout(now, Since::Sent);
        }
    }

    /// Whether `seq` begins something that was sent and is not acknowledged: what an ICMP error must quote.
    pub fn has_in_flight(&self, seq: SeqNumber) -> bool {
        seq.at_or_after(self.send.window.una) && seq.before(self.send.window.nxt)
    }

    /// The path takes segments of `payload` bytes from now on, options included. What is in flight and larger is
    /// sent again at once, without a word to congestion control: nothing was lost for want of room.
    //= RFC 1191 §6.5
    //= RFC 8201 §5.3 MUST-1
    //= RFC 8201 §5.4 MUST-4
    //= RFC 8201 §5.4 MUST-5
    pub fn set_path_size(&mut self, now: Instant, payload: u16, counters: &mut Counters) {
        let before = self.send.mss;
        // As Linux: a search that has begun since is heeded where the path is news, or it has found something.
        if self.sizes.path != payload {
            self.sizes.path = payload;
            self.bound_search(payload);
            self.update_mss();
        }
        if self.is_syn_loaded() {
            self.sizes.advertised = self.sizes.advertised.min(payload);
            self.unload_syn();
            return;
        }
        let lowered = self.send.mss < before && self.state.is_synchronized();
        if lowered && self.recovery.scoreboard.lose_larger(self.send.mss).total() > 0 {
            let una = self.send.window.una;
            let (recovery, mut scene) = self.scene(now, una, None, counters);
            recovery.on_loss_without_congestion(&mut scene);
            self.arm_timeout(now, Since::Now);
        }
    }

    /// The link under the connection is gone.
    pub fn on_link_down(&mut self) {
        if self.state != State::Closed {
            self.fail(SocketError::NetworkDown);
        }
    }

    //= RFC 9293 MUST-16
    //= RFC 8201 §5.4 MUST-2
    //= RFC 8201 §5.4 MUST-3
    //= RFC 8200 §8.3 MUST-1
    //= RFC 8200 §8.3 MUST-2
    pub(super) fn update_mss(&mut self) {
        let fits = self.payload_of(self.sizes.path.min(self.searched_size()));
        let mss = fits.min(self.most_of_window());
        if mss != self.send.mss {
            self.send.mss = mss;
        }
    }

    /// As Linux: two segments fit the largest window, so that acknowledgements keep coming.
    pub(super) fn most_of_window(&self) -> u32 {
        most_of_window(self.send.window.max_wnd).max(LEAST_PAYLOAD - u32::from(self.options_len()))
    }

    /// Payload of a full segment where the path takes `size` bytes of payload and options.
    pub(super) fn payload_of(&self, size: u16) -> u32 {
        let mss = self.send.peer_mss.min(size);
        // A peer can ask for tiny segments; a path can be so narrow.
        let least = self.options.min_send_mss.min(self.sizes.path).max(LEAST_MSS);
        u32::from(mss.max(least) - self.options_len())
    }
}
