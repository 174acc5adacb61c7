//! The window we offer: its right edge, the buffer behind it, and how that buffer grows.

use core::time::Duration;

use super::charge::truesize;
use crate::tcp::memory::Supply;
use crate::tcp::segment::{UnscaledWindow, WindowScale};
use crate::tcp::seq::SeqNumber;
use crate::time::Instant;

/// How much of a buffer makes a window before anything has come, in 256ths.
const FIRST_SHARE: u8 = 128;

/// Segments that a peer sends at first.
const FIRST_SEGMENTS: u32 = 10;

/// The least that the largest window may become for want of buffer, in bytes.
const LEAST_LIMIT: u32 = 1152;

/// The receive sequence space.
///
/// ```text
///          nxt              edge
///           |                |
///  ---------+----------------+-----------
///  received |    offered     |  not yet
/// ```
///
/// As much of the buffer is offered as the payload of what comes takes of its memory, as in Linux; half of it until that
/// is known. The edge never moves left.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recv::window::ReceiveWindow;
/// use tapsock_stack::tcp::segment::WindowScale;
///
/// let mut window = ReceiveWindow::new(131_072, Some(6_291_456), WindowScale::clamped(7));
/// window.start(SeqNumber::new(1000));
/// assert_eq!(window.offer(0, 1460).0, 512);
/// assert_eq!(window.edge(), SeqNumber::new(1000 + 65_536));
/// ```
#[derive(Clone, Debug)]
pub struct ReceiveWindow {
    /// RCV.NXT: the next number expected.
    pub nxt: SeqNumber,
    edge: SeqNumber,
    /// Our window scale.
    pub scale: WindowScale,
    buffer: u32,
    /// How far the buffer may grow, in bytes; 0 where it is fixed.
    buffer_max: u32,
    /// How much of the buffer makes a window, in 256ths.
    share: u8,
    /// The largest window that the buffer makes, less a segment while nothing has come.
    limit: u32,
    /// The largest window that is offered (`TCP_WINDOW_CLAMP`); `u32::MAX`: any.
    clamp: u32,
    /// How far the window may open by now; `u32::MAX`: none was offered yet (Linux's `rcv_ssthresh`).
    opened: u32,
    /// The window that the last acknowledgement offered, in bytes.
    told: u32,
    growth: Growth,
    /// Whether no window is offered although the edge lies further on: there is no memory for what would come.
    withheld: bool,
}

/// What the application read since `since_us`: Linux's dynamic right-sizing.
#[derive(Clone, Debug, Default)]
struct Growth {
    /// In microseconds, wrapping: after an idle hour one measure is taken too early or too late, and that is all.
    since_us: u32,
    copied: u32,
    /// The most that it read in one measured time.
    space: u32,
}

impl ReceiveWindow {
    /// A window over a buffer of `buffer` bytes that may grow to `buffer_max`.
    pub fn new(buffer: u32, buffer_max: Option<u32>, scale: WindowScale) -> Self {
        let zero = SeqNumber::new(0);
        let growth = Growth { space: buffer / 4, ..Growth::default() };
        ReceiveWindow {
            nxt: zero,
            edge: zero,
            scale,
            buffer,
            buffer_max: buffer_max.unwrap_or(0),
            share: FIRST_SHARE,
            limit: u32::MAX,
            clamp: u32::MAX,
            opened: u32::MAX,
            told: 0,
            growth,
            withheld: false,
        }
    }

    /// The scale that lets a window over the largest buffer be offered.
    //= RFC 7323 §2.3
    //= RFC 7323 §2.3 MUST-1
    //= RFC 7323 §2.3 MUST-7
    pub fn scale_for(buffer: u32, buffer_max: Option<u32>, clamp: Option<u32>) -> WindowScale {
        let mut space = buffer_max.unwrap_or(0).max(buffer).min(clamp.unwrap_or(u32::MAX));
        let mut shift = 0;
        while space > u32::from(u16::MAX) && shift < WindowScale::MAX.shift() {
            space >>= 1;
            shift += 1;
        }
        WindowScale::clamped(shift)
    }

    /// Sets the first number expected.
    pub fn start(&mut self, nxt: SeqNumber) {
        (self.nxt, self.edge) = (nxt, nxt);
    }

    /// The right edge as the peer knows it.
    pub fn edge(&self) -> SeqNumber {
        self.edge
    }

    /// Takes the edge that a connection begins with. The field of a SYN may have no room for all of it: as in Linux it holds
    /// from the next segment on.
    pub fn offered(&mut self, edge: SeqNumber) {
        let most = self.nxt + self.scale.scale(UnscaledWindow(u16::MAX));
        self.edge = self.edge.latest(if edge.after(most) { most } else { edge });
        if self.opened == u32::MAX {
            self.opened = self.remaining();
            self.told = self.opened;
        }
    }

    /// The connection is open, with segments of `mss` bytes: room is left in the window for one, and reading is measured
    /// from now on.
    pub fn begin(&mut self, now: Instant, mss: u32) {
        let full = self.window_of(self.buffer).min(self.scale.scale(UnscaledWindow(u16::MAX)));
        self.limit = full.saturating_sub(mss).max(2 * mss).min(full);
        self.opened = self.opened.min(self.limit);
        let first = FIRST_SEGMENTS * mss;
        self.growth = Growth {
            since_us: now.as_micros() as u32,
            copied: 0,
            space: self.opened.min(self.told).min(first),
        };
    }

    /// A packet of `len` bytes, larger than those before: how much of the memory of such ones is payload is known now.
    pub fn learn_share(&mut self, len: usize) {
        let share = (len * 256 / truesize(len)).clamp(1, 255) as u8;
        if share == core::mem::replace(&mut self.share, share) {
            return;
        }
        let limit = self.window_of(self.buffer).max(LEAST_LIMIT);
        let before = core::mem::replace(&mut self.limit, limit);
        self.opened = if self.limit < before {
            self.opened.min(self.limit)
        } else {
            self.opened.max(self.told.min(self.limit))
        };
        self.growth.space = self.growth.space.min(self.limit);
    }

    /// The window that `space` bytes of buffer make.
    pub(super) fn window_of(&self, space: u32) -> u32 {
        ((u64::from(space) * u64::from(self.share)) >> 8) as u32
    }

    /// The buffer that a window of `window` bytes needs.
    fn buffer_for(&self, window: u32) -> u32 {
        u32::try_from((u64::from(window) << 8) / u64::from(self.share)).unwrap_or(u32::MAX)
    }

    /// Bytes of window beside what is held.
    fn free(&self, held: usize) -> u32 {
        self.window_of(self.buffer.saturating_sub(u32::try_from(held).unwrap_or(u32::MAX)))
    }

    /// Lets the window open further, as data of `len` bytes came into it and the peer makes use of it: by two of its
    /// segments, or by twice what came. As Linux, small segments, which cost more memory than they hold, open it less and
    /// only as long as it is small. Says whether it did.
    pub fn grow(&mut self, len: usize, largest: u32, peer_mss: u32, held: usize) -> bool {
        let room = self.free(held).min(self.full_space()).saturating_sub(self.opened);
        if room == 0 {
            return false;
        }
        // What a segment of that length costs, as far as it takes of the window.
        let mut cost = self.window_of(truesize(len) as u32);
        let len = len as u32;
        let step = if cost <= len {
            2 * largest
        } else {
            let mut bound = self.window_of(self.buffer_limit()) / 2;
            loop {
                cost /= 2;
                if self.opened > bound {
                    return false;
                }
                if cost <= len {
                    break 2 * peer_mss;
                }
                bound /= 2;
            }
        };
        self.opened += room.min(step.max(2 * len));
        true
    }

    /// Takes what is held into a buffer that may grow, and lets the window open anew where that is still too much.
    pub fn take_in(&mut self, held: usize, largest: u32, supply: Supply) {
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        if supply == Supply::Ample {
            self.buffer = self.buffer.max(held.min(self.buffer_max));
        }
        if held > self.buffer {
            self.opened = self.full_space().min(2 * largest);
        }
    }

    /// Lets the window open to `bytes` at the most, for now.
    pub fn open_no_further(&mut self, bytes: u32) {
        self.opened = self.opened.min(bytes);
    }

    /// Whether an acknowledgement would offer no less than the last one did, so that the edge moves with what came.
    pub fn may_follow(&self, held: usize, mss: u32) -> bool {
        self.next_window(held, mss) >= self.told
    }

    /// Whether less than half of the window is left beside what is held: nothing is to hurry the peer then.
    pub fn is_tight(&self, held: usize) -> bool {
        self.free(held) < self.full_space() / 2
    }

    /// Bytes that the peer may still send.
    pub fn remaining(&self) -> u32 {
        self.edge.saturating_since(self.nxt)
    }

    /// The largest window that this buffer makes.
    pub fn full_space(&self) -> u32 {
        self.window_of(self.buffer).min(self.limit).min(self.clamp)
    }

    /// Offers no more than `clamp` bytes from now on, beside what was offered already.
    pub fn set_clamp(&mut self, clamp: Option<u32>) {
        self.clamp = clamp.unwrap_or(u32::MAX);
        if self.opened != u32::MAX {
            self.opened = self.opened.min(self.clamp);
        }
    }

    /// How far the window may open by now, in bytes.
    pub fn opened(&self) -> u32 {
        self.opened.min(self.full_space())
    }

    /// The most that the application read in one measured time, in bytes.
    pub fn space(&self) -> u32 {
        self.growth.space
    }

    /// The receive buffer in bytes.
    pub fn buffer(&self) -> u32 {
        self.buffer
    }

    /// The largest that the receive buffer may become, in bytes.
    pub fn buffer_limit(&self) -> u32 {
        self.buffer_max.max(self.buffer)
    }

    /// Fixes the buffer at `bytes` (`SO_RCVBUF`).
    pub fn fix_buffer(&mut self, bytes: u32) {
        (self.buffer, self.buffer_max) = (bytes, 0);
    }

    /// Offers no window from now on, where `withheld`, but still takes what the peer sends up to the edge that it
    /// knows: small segments can use up the memory long before the sequence numbers. As Linux.
    pub fn withhold(&mut self, withheld: bool) {
        self.withheld = withheld;
    }

    /// The window that the last acknowledgement offered, in bytes.
    pub fn told(&self) -> u32 {
        self.told
    }

    /// Whether no window is offered for want of memory.
    pub fn is_withheld(&self) -> bool {
        self.withheld
    }

    /// Moves the right edge as far as the room beside `held` bytes allows, and gives the field to be sent.
    ///
    /// Avoids the silly window: without scaling an edge moves by whole segments, and a window that would be smaller than
    /// a sixteenth of the buffer, or than a segment, is offered as none.
    //= RFC 9293 MUST-39
    //= RFC 9293 SHLD-14
    //= RFC 9293 MAY-8
    //= RFC 7323 §2.3 MUST-6
    //= RFC 7323 §2.4 MUST-2
    pub fn offer(&mut self, held: usize, mss: u32) -> UnscaledWindow {
        if self.withheld {
            self.told = 0;
            return UnscaledWindow(0);
        }
        let wanted = self.nxt + self.next_window(held, mss);
        self.offer_to(wanted.latest(self.edge))
    }

    /// Gives the field that offers what the peer knows of already.
    pub fn repeat(&mut self) -> UnscaledWindow {
        self.offer_to(self.edge)
    }

    fn offer_to(&mut self, edge: SeqNumber) -> UnscaledWindow {
        let field = self.scale.cover(edge.saturating_since(self.nxt));
        self.edge = self.edge.latest(self.nxt + self.scale.scale(field));
        self.told = self.remaining();
        field
    }

    /// Whether reading has opened the window so far that the peer should hear of it: to twice what it knows.
    pub fn should_update(&self, held: usize, mss: u32) -> bool {
        let known = self.remaining().saturating_mul(2);
        let window = if known <= self.full_space() { self.next_window(held, mss) } else { 0 };
        window > 0 && window >= known
    }

    /// The window that an acknowledgement would offer, in bytes, but for what was offered already: Linux's
    /// `__tcp_select_window`.
    fn next_window(&self, held: usize, mss: u32) -> u32 {
        let (full, space, free) = (self.full_space(), self.window_of(self.buffer), self.free(held));
        let mss = mss.min(full).max(1);
        if free < full / 2 && (free < space / 16 || free < mss) {
            return 0;
        }
        let free = free.min(full).min(self.opened);
        if self.scale.shift() > 0 {
            return self.scale.scale(self.scale.cover(free));
        }
        // Whole segments, and no news where there is room for less than one more.
        if self.told.saturating_add(mss) <= free || self.told > free {
            free / mss * mss
        } else if mss == full && free > self.told + full / 2 {
            free
        } else {
            self.told
        }
    }

    /// Lets the buffer grow as far as a window of `window` bytes needs it, to `most` bytes.
    fn widen(&mut self, window: u32, most: u32) {
        let wanted = self.buffer_for(window).min(self.buffer_max).min(most);
        if wanted > self.buffer {
            self.buffer = wanted;
            self.limit = self.window_of(wanted);
        }
    }

    /// Something came behind a gap, which reaches up to `end`: the peer has as much in flight.
    pub fn reach_over_gap(&mut self, end: SeqNumber) {
        let behind = end.saturating_since(self.nxt);
        self.widen(self.growth.space.saturating_mul(2).saturating_add(behind), u32::MAX);
    }

    /// Counts what the application read, and lets the buffer grow, to `most` bytes, where it reads a large part of it in a round trip,
    /// `rtt`. As Linux, what is `left` to be read is taken off: who lags behind needs no more.
    pub fn on_read(&mut self, now: Instant, count: usize, left: usize, rtt: Option<Duration>, most: u32) {
        self.growth.copied = self.growth.copied.saturating_add(count as u32);
        let now_us = now.as_micros() as u32;
        let since = Duration::from_micros(now_us.wrapping_sub(self.growth.since_us).into());
        if rtt.is_none_or(|rtt| since < rtt) {
            return;
        }
        let Growth { copied, space, .. } = self.growth;
        let copied = copied.saturating_sub(u32::try_from(left).unwrap_or(u32::MAX));
        if copied > space {
            // Twice what was read, and as much more as a peer in slow start may double its rate meanwhile.
            let twice = copied.saturating_mul(2);
            let faster = u64::from(twice) * u64::from(copied - space) / u64::from(space.max(1));
            self.widen(twice.saturating_add(u32::try_from(2 * faster).unwrap_or(u32::MAX)), most);
            self.growth.space = copied;
        }
        (self.growth.since_us, self.growth.copied) = (now_us, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(buffer: u32, shift: u8) -> ReceiveWindow {
        let mut window = ReceiveWindow::new(buffer, Some(1 << 20), WindowScale::clamped(shift));
        window.start(SeqNumber::new(0));
        window
    }

    //= RFC 9293 SHLD-14, type=test
    //= RFC 7323 §2.4 MUST-2, type=test
    #[test]
    fn the_right_edge_never_moves_left() {
        for shift in [0, 7] {
            let mut window = window(64_000, shift);
            let mut last = SeqNumber::new(0);
            let mut held = 0usize;
            for step in [1000u32, 3, 1460, 9000, 1, 1, 500, 1460, 1460, 7] {
                let step = step.min(window.remaining());
                window.nxt += step;
                held += step as usize;
                let field = window.offer(held, 1460);
                let edge = window.nxt + window.scale.scale(field);
                assert!(edge.at_or_after(last), "{edge} left of {last}");
                assert_eq!(edge, window.edge());
                last = edge;
            }
        }
    }

    //= RFC 9293 MUST-39, type=test
    #[test]
    fn a_silly_window_is_not_offered() {
        let mut window = window(8_000, 0);
        window.offer(0, 1000);
        assert_eq!(window.remaining(), 4000);
        window.nxt += 4000;
        assert_eq!(window.offer(8000, 1000).0, 0);
        assert_eq!(window.offer(7000, 1000).0, 0, "500 bytes are less than a segment");
        assert!(!window.should_update(7000, 1000));
        assert!(window.should_update(5800, 1000));
        assert_eq!(window.offer(5800, 1000).0, 1000, "whole segments");
    }

    #[test]
    fn a_reader_that_keeps_up_is_given_a_larger_buffer() {
        const RTT: Option<Duration> = Some(Duration::from_millis(1));
        let grown = |most| {
            let mut window = window(131_072, 7);
            for round in 1..8 {
                let now = Instant::from_millis(round * 2);
                window.on_read(now, window.full_space() as usize, 0, RTT, most);
            }
            window
        };
        assert_eq!(grown(300_000).buffer(), 300_000);
        let mut window = grown(u32::MAX);
        assert_eq!(window.buffer(), 1 << 20);
        window.fix_buffer(5000);
        window.on_read(Instant::from_secs(9), 1 << 22, 0, RTT, u32::MAX);
        assert_eq!(window.buffer(), 5000);
    }

    //= RFC 7323 §2.3, type=test
    //= RFC 7323 §2.3 MUST-7, type=test
    #[test]
    fn the_scale_fits_the_largest_buffer() {
        assert_eq!(ReceiveWindow::scale_for(65_535, None, None).shift(), 0);
        assert_eq!(ReceiveWindow::scale_for(131_072, Some(6_291_456), None).shift(), 7);
        assert_eq!(ReceiveWindow::scale_for(131_072, Some(6_291_456), Some(4000)).shift(), 0);
        assert_eq!(ReceiveWindow::scale_for(u32::MAX, None, None).shift(), 14);
    }

    #[test]
    fn a_clamp_bounds_what_is_offered_but_takes_nothing_back() {
        let mut window = window(64_000, 0);
        window.set_clamp(Some(4000));
        window.offer(0, 1000);
        assert_eq!(window.remaining(), 4000);
        window.nxt += 4000;
        window.offer(4000, 1000);
        assert_eq!(window.remaining(), 4000, "there is room for that beside what is held");
        window.set_clamp(Some(2000));
        window.offer(0, 1000);
        assert_eq!(window.remaining(), 4000);
        window.nxt += 3000;
        window.offer(0, 1000);
        assert_eq!(window.remaining(), 2000);
    }
}
