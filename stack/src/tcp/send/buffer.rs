//! How large buffers may grow by themselves, and when that to be sent is full.

use core::time::Duration;

/// The buffer of the shortest paths, in bytes: measured best where the second-level cache has 1 MiB.
const SHORT_PATH: u32 = 3 << 19;

/// Bytes that the fastest paths move in a microsecond: 40 Gbit/s.
const FASTEST: u64 = 5_000;

/// The bytes that a buffer is good for on a path whose shortest round trip is `min_rtt`, before there is one without
/// a bound.
///
/// A peer beside us acknowledges as fast as its program reads, nothing is ever lost, and the congestion window grows
/// to whatever the peer offers. All of the buffer is then in flight, and what is copied into it has left the cache
/// before it is used again: 4 MiB cost half as much again as 1.5 MiB. Linux has the bounds of its queues below TCP
/// for this (TSQ), and CUBIC's HyStart. A receive buffer that is larger is as little use: the peer fills the queue of the
/// link with what it may send, and whoever else sends waits behind it. From a round trip of a millisecond on, a buffer of Linux's default maximum of
/// 4 MiB is not bounded.
///
/// ```
/// use core::time::Duration;
/// use tapsock_stack::tcp::send::buffer::useful_bytes;
///
/// assert_eq!(useful_bytes(Some(Duration::from_micros(20))), 1_572_864);
/// assert_eq!(useful_bytes(Some(Duration::from_millis(1))), 5_000_000);
/// assert_eq!(useful_bytes(None), u32::MAX);
/// ```
pub fn useful_bytes(min_rtt: Option<Duration>) -> u32 {
    let Some(rtt) = min_rtt else { return u32::MAX };
    let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
    u32::try_from(micros.saturating_mul(FASTEST)).unwrap_or(u32::MAX).max(SHORT_PATH)
}

/// What a buffer is charged for a frame beside its bytes, in bytes: as Linux 6.18 on a 64-bit machine shows it (`ss -m`).
pub const FRAME_COST: u32 = 832;

/// The largest payload of a frame, in bytes: 64 KiB less room for headers.
const LARGEST_FRAME: u32 = 65_215;

/// Windows that are not larger than the smallest segment that all hosts take are not halved.
const SMALL_WINDOW: u32 = 536;

/// How much of the largest window that the peer has offered one segment or frame fills at the most, in bytes: half of it, or
/// all of a small one.
///
/// ```
/// use tapsock_stack::tcp::send::buffer::most_of_window;
///
/// assert_eq!([0, 400, 1001].map(most_of_window), [u32::MAX, 400, 500]);
/// ```
pub fn most_of_window(largest: u32) -> u32 {
    match largest {
        // None was offered yet.
        0 => u32::MAX,
        1..=SMALL_WINDOW => largest,
        _ => largest / 2,
    }
}

/// How much what is written is gathered to, in bytes: whole segments, and no more than half of the largest window that
/// the peer has offered.
///
/// ```
/// use tapsock_stack::tcp::send::buffer::frame_size;
///
/// assert_eq!(frame_size(1000, 32_792), 16_000);
/// assert_eq!(frame_size(1448, 1 << 20), 65_160);
/// assert_eq!(frame_size(1000, 800), 1000);
/// assert_eq!(frame_size(1000, 0), 65_000, "no window was offered yet");
/// ```
pub fn frame_size(mss: u32, largest_window: u32) -> u32 {
    let mss = mss.max(1);
    (most_of_window(largest_window).min(LARGEST_FRAME) / mss).max(1) * mss
}

/// The buffer that a congestion window of `segments` asks for, in bytes: two windows, each segment in memory of its own.
///
/// ```
/// use tapsock_stack::tcp::send::buffer::wanted_bytes;
///
/// assert_eq!(wanted_bytes(1460, 10), 87_040);
/// assert_eq!(wanted_bytes(1000, 20), 92_160);
/// ```
pub fn wanted_bytes(mss: u32, segments: u32) -> u32 {
    // Headers of all layers and the descriptor of the payload; and of the frame itself.
    const HEADERS: u32 = 640;
    const DESCRIPTOR: u32 = 256;
    let each = (mss.min(LARGEST_FRAME) + HEADERS).next_power_of_two() + DESCRIPTOR;
    each.saturating_mul(segments).saturating_mul(2)
}

/// A send buffer as a writer finds it. Lengths are in bytes.
///
/// As in Linux, a write fills frames. Whether there is room is asked before each frame, not before each byte, and what the
/// windows allow goes out while the write is under way: a frame that could be sent only in part, or whose first burst is out,
/// is filled up again.
///
/// ```
/// use tapsock_stack::tcp::send::buffer::Room;
///
/// let (frame, sendable, burst) = (16_000, 10_000, 16_000);
/// let (till_push, push_every) = (500_000, 500_000);
/// let room = Room {
///     capacity: 50_000, charged: 0, frame, unsent: 0, tail: 0, sendable, burst, till_push, push_every, unsent_max: None
/// };
/// assert_eq!(room.free(), 10_000 + 3 * 16_000);
/// let room = Room { capacity: 10_000, sendable: 40_000, ..room };
/// assert_eq!(room.free(), 16_000);
/// assert_eq!(Room { burst: 4000, ..room }.free(), 40_000 + 16_000, "a frame is sent and filled, sent and filled");
/// let room = Room { capacity: 50_000, sendable: 10_000, ..room };
/// assert_eq!(Room { unsent_max: Some(4000), ..room }.free(), 26_000);
/// ```
#[derive(Copy, Clone, Debug)]
pub struct Room {
    /// How much the buffer may be charged.
    pub capacity: u32,
    /// How much it is.
    pub charged: u32,
    /// The payload of a full frame.
    pub frame: u32,
    /// Written, and not sent yet.
    pub unsent: u32,
    /// What the last frame still takes.
    pub tail: u32,
    /// How much of what is unsent, or is written now, can go out at once.
    pub sendable: u32,
    /// How much goes out at once as a frame is full, and no push is due.
    pub burst: u32,
    /// Where a frame ends beyond this, counted from the first byte that was not sent, all of it goes out.
    pub till_push: u32,
    /// The same, counted from where that was done last.
    pub push_every: u32,
    /// No new frame is begun where as much waits to be sent.
    pub unsent_max: Option<u32>,
}

impl Room {
    /// How much can be written now.
    pub fn free(&self) -> u32 {
        if self.burst() < self.frame() && self.sendable > 0 {
            return self.free_in_bursts();
        }
        let (frame, sendable, first) = (self.frame(), i64::from(self.sendable), self.first());
        let with_cost = frame + i64::from(FRAME_COST);
        let charged = i64::from(self.charged) + i64::from(self.tail);
        let by_memory = |charged| frames(i64::from(self.capacity) - charged, with_cost);
        // All of the frames before this one can be sent at once.
        let stays = self.split().unwrap_or(first.max(sendable));
        let whole = (stays - first).div_euclid(frame);
        if by_memory(charged) <= whole {
            return self.past_unsent(first + by_memory(charged) * frame);
        }
        let mut border = first + whole.max(0) * frame;
        let mut charged = charged + whole.max(0) * with_cost;
        if self.split().is_some() {
            let refilled = sendable + frame;
            let parts = if whole < 0 { 1 } else { 2 };
            charged += refilled - border + parts * i64::from(FRAME_COST);
            border = refilled;
        }
        let more =
            self.unsent_max.map_or(i64::MAX, |max| frames(i64::from(max) - (border - sendable), frame));
        self.past_unsent(border + more.min(by_memory(charged)) * frame)
    }

    /// Where a write ends that sends its first frame in bursts, and fills it up after each: nobody asks for room before the
    /// windows are used up, or all was pushed.
    fn free_in_bursts(&self) -> u32 {
        let (frame, sendable, first, burst) =
            (self.frame(), i64::from(self.sendable), self.first(), self.burst());
        let mut charged = i64::from(self.charged) + i64::from(self.tail);
        if self.tail == 0 && charged >= self.capacity.into() {
            return 0;
        }
        let new = i64::from(self.tail == 0);
        let border = if self.tail > 0 { first } else { frame };
        let till_push = i64::from(self.till_push);
        let refills = if border > till_push { 0 } else { (till_push - border) / burst + 1 };
        let pushed = border + refills * burst;
        let old = |parts: i64| (parts - 1 + new) * i64::from(FRAME_COST);
        if pushed > sendable || refills >= frames(sendable, burst) {
            let border = sendable + frame;
            charged += border - first + old(frames(sendable, burst) + 1);
            let by_memory = frames(i64::from(self.capacity) - charged, frame + i64::from(FRAME_COST));
            let more = self.unsent_max.map_or(i64::MAX, |max| frames(i64::from(max) - frame, frame));
            return self.past_unsent(border + more.min(by_memory) * frame);
        }
        charged += pushed - first + old(frames(pushed, burst));
        let rest = Room {
            charged: u32::try_from(charged).unwrap_or(u32::MAX),
            unsent: 0,
            tail: 0,
            sendable: (sendable - pushed) as u32,
            till_push: self.push_every,
            ..*self
        };
        self.past_unsent(pushed).saturating_add(rest.free())
    }

    /// What the last frame still takes once `written` bytes more were written.
    pub fn tail_after(&self, written: u32) -> u32 {
        let end = i64::from(self.unsent) + i64::from(written);
        self.all_borders().find(|at| *at >= end).map_or(0, |at| (at - end) as u32)
    }

    /// Where frames end in the `written` bytes that are written now, counted from the first byte that was not sent.
    pub fn borders(self, written: u32) -> impl Iterator<Item = u32> {
        let end = i64::from(self.unsent) + i64::from(written);
        let begun = usize::from(self.tail == 0);
        self.all_borders().skip(begun).take_while(move |at| *at <= end).map(|at| at as u32)
    }

    /// Where frames end, the last one that there is first.
    fn all_borders(self) -> impl Iterator<Item = i64> {
        let (frame, burst, sendable) = (self.frame(), self.burst(), i64::from(self.sendable));
        let end = self.first();
        let start = if self.tail > 0 { end - frame } else { end };
        let first = (start, end, i64::from(self.till_push));
        let next = move |&(start, end, till_push): &(i64, i64, i64)| {
            let pushes = end > till_push;
            let sent = if pushes { end } else { end.min(start + burst) }.min(sendable);
            let till_push = if pushes { end + i64::from(self.push_every) } else { till_push };
            let start = if start < sent && sent < end { sent } else { end };
            Some((start, start + frame, till_push))
        };
        core::iter::successors(Some(first), next).map(|(_, end, _)| end)
    }

    /// Whether the frame that is written to is the one that is sent next.
    fn is_first(&self) -> bool {
        self.unsent == 0 || (self.tail > 0 && self.first() == self.frame())
    }

    /// How much of the frame is sent as it is full.
    fn burst(&self) -> i64 {
        if self.is_first() { i64::from(self.burst).clamp(1, self.frame()) } else { self.frame() }
    }

    fn frame(&self) -> i64 {
        self.frame.max(1).into()
    }

    /// Where the last frame ends, counted as all here from the first byte that was not sent.
    fn first(&self) -> i64 {
        i64::from(self.unsent) + i64::from(self.tail)
    }

    /// The start of the frame that can be sent only in part, if it is one that is written to.
    fn split(&self) -> Option<i64> {
        let past = i64::from(self.sendable) - self.first();
        let part = past.rem_euclid(self.frame());
        let is_written = past > if self.tail > 0 { -self.frame() } else { 0 };
        (part > 0 && is_written).then_some(i64::from(self.sendable) - part)
    }

    fn past_unsent(&self, border: i64) -> u32 {
        u32::try_from(border - i64::from(self.unsent)).unwrap_or(0)
    }
}

/// How many frames it takes to fill `bytes`.
fn frames(bytes: i64, frame: i64) -> i64 {
    if bytes > 0 { (bytes + frame - 1) / frame } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Linux does, a frame at a time: the places, counted as in [`Room`], where it asks whether there is room.
    fn one_by_one(room: &Room) -> i64 {
        let (frame, sendable) = (i64::from(room.frame), i64::from(room.sendable));
        let mut end = room.first();
        let mut charged = i64::from(room.charged) + i64::from(room.tail);
        let is_head = room.unsent == 0 || (room.tail > 0 && end == frame);
        let burst = if is_head { i64::from(room.burst).min(frame) } else { frame };
        let mut start = if room.tail > 0 { end - frame } else { end };
        let mut push = i64::from(room.till_push);
        loop {
            let cost = |bytes: i64| (bytes + burst - 1) / burst * i64::from(FRAME_COST);
            let full = end;
            let sent = if full > push { end } else { end.min(start + burst) }.min(sendable);
            if full > push {
                push = full + i64::from(room.push_every);
            }
            if start < sent && sent < end {
                (charged, end) = (charged + sent + frame - end + cost(sent - start), sent + frame);
                start = sent;
                continue;
            }
            charged += if start < sent { cost(sent - start) - i64::from(FRAME_COST) } else { 0 };
            let unsent = end - sendable.min(end);
            let held = room.unsent_max.is_some_and(|max| unsent >= max.into());
            if charged >= room.capacity.into() || held {
                return end - i64::from(room.unsent);
            }
            (start, end, charged) = (end, end + frame, charged + frame + i64::from(FRAME_COST));
        }
    }

    #[test]
    fn writes_are_as_long_as_in_linux() {
        let empty = Room {
            capacity: 4608,
            charged: 0,
            frame: 988,
            unsent: 0,
            tail: 0,
            sendable: 1976,
            burst: u32::MAX,
            till_push: u32::MAX,
            push_every: u32::MAX,
            unsent_max: None,
        };
        assert_eq!(empty.free(), 2964, "timestamping/partial.pkt");
        let blocked = Room { capacity: 42_000, frame: 25_000, sendable: 10_000, ..empty };
        assert_eq!(blocked.free(), 60_000, "blocking/blocking-write.pkt");
        let edge = Room { capacity: 50_000, frame: 16_000, sendable: 10_000, ..empty };
        assert_eq!(edge.free(), 58_000, "epoll/epoll_out_edge.pkt");
        assert_eq!(Room { unsent_max: Some(32_000), ..edge }.free(), 42_000);
        assert_eq!(Room { unsent_max: Some(4000), ..edge }.free(), 26_000, "notsent_lowat");
        assert_eq!(edge.tail_after(16_000), 0);
        assert_eq!(edge.tail_after(20_000), 6000);
    }

    proptest! {
        #[test]
        fn frames_need_not_be_counted_one_by_one(
            capacity in 0u32..400_000, charged in 0u32..400_000, frame in 500u32..66_000, unsent in 0u32..100_000,
            tail in 0u32..66_000, sendable in 0u32..200_000, unsent_max in proptest::option::of(1u32..200_000),
            burst in 1000u32..66_000, till_push in 0u32..200_000, push_more in 0u32..200_000, written in 0u32..1000,
        ) {
            let tail = match unsent {
                0 => 0,
                1..50_000 if unsent < frame => frame - unsent,
                _ => tail % frame,
            };
            let push_every = frame + push_more;
            let room = Room {
                capacity, charged, frame, unsent, tail, sendable, burst, till_push, push_every, unsent_max
            };
            prop_assert_eq!(i64::from(room.free()), one_by_one(&room));
            let written = room.free() * written / 1000;
            prop_assert!(room.tail_after(written) < frame * 2);
            prop_assert_eq!(room.tail_after(room.free()), 0);
        }
    }
}
