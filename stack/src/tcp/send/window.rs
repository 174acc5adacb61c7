//! The send sequence space and the peer's window.

use crate::tcp::segment::{Control, Segment, WindowScale};
use crate::tcp::seq::SeqNumber;

/// The send sequence variables of RFC 9293 §3.3.1.
///
/// ```text
///          una            nxt          una + wnd
///           |              |               |
///  ---------+--------------+---------------+----------
///   acked   |   in flight  |  may be sent  |  not yet
/// ```
///
/// `nxt` is also the highest number ever sent: a retransmission does not move it back.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::send::window::SendWindow;
///
/// let window = SendWindow::new(SeqNumber::new(100));
/// assert_eq!(window.in_flight(), 0);
/// assert_eq!(window.right_edge(), SeqNumber::new(100));
/// ```
//= RFC 9293 §3.3.1
#[derive(Clone, Debug)]
pub struct SendWindow {
    /// SND.UNA: the oldest number not acknowledged.
    pub una: SeqNumber,
    /// SND.NXT: the next number to be sent.
    pub nxt: SeqNumber,
    /// SND.WND in bytes.
    //= RFC 9293 REC-1
    pub wnd: u32,
    /// SND.WL1: the segment that set the window last.
    pub wl1: SeqNumber,
    /// The largest window that the peer has offered, in bytes.
    pub max_wnd: u32,
    /// The peer's window scale.
    pub scale: WindowScale,
}

/// Whether a segment moved the window.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
#[must_use = "a window that opened lets data go"]
pub enum WindowUpdate {
    /// It says what we knew, or is older.
    Unchanged,
    /// It moved it.
    Changed,
}

impl SendWindow {
    /// A window of nothing, before the peer has spoken.
    pub const fn new(iss: SeqNumber) -> Self {
        SendWindow {
            una: iss,
            nxt: iss,
            wnd: 0,
            wl1: SeqNumber::new(0),
            max_wnd: 0,
            scale: WindowScale::clamped(0),
        }
    }

    /// Numbers sent and not acknowledged.
    pub fn in_flight(&self) -> u32 {
        self.nxt.saturating_since(self.una)
    }

    /// The first number that the peer does not take yet.
    pub fn right_edge(&self) -> SeqNumber {
        self.una + self.wnd
    }

    /// The number of a segment without data that the peer believes: where it took its window back below what is in
    /// flight, the next number lies beyond what it accepts. What its window's unit hides is not beyond.
    pub fn believed_seq(&self) -> SeqNumber {
        let edge = self.right_edge();
        let hidden = self.nxt.saturating_since(edge) < 1 << self.scale.shift();
        if self.nxt.at_or_before(edge) || hidden && self.scale.shift() > 0 { self.nxt } else { edge }
    }

    /// Numbers that may still be sent into the window; none where it shrank below what is in flight.
    //= RFC 9293 MUST-34
    //= RFC 9293 SHLD-15
    //= RFC 7323 §2.4 MUST-1
    //= RFC 7323 §2.4 MUST-3
    pub fn usable(&self) -> u32 {
        self.right_edge().saturating_since(self.nxt)
    }

    /// Takes the window of the first segment of a connection.
    pub fn start(&mut self, seq: SeqNumber, wnd: u32) {
        (self.wl1, self.wnd) = (seq, wnd);
        self.max_wnd = self.max_wnd.max(wnd);
    }

    /// The window that a segment offers, in bytes: a SYN's is never scaled, whatever was agreed on before.
    //= RFC 7323 §2.2
    //= RFC 7323 §2.2 MUST-3
    //= RFC 7323 §2.3 MUST-5
    pub fn size_of(&self, segment: &Segment) -> u32 {
        match segment.control {
            Some(Control::Syn) => segment.window.0.into(),
            _ => self.scale.scale(segment.window),
        }
    }

    /// Whether a segment is newer than the one that set the window last. As Linux: of two with the same numbers the
    /// one with the larger window is, or the one that closes it; there is no SND.WL2.
    pub fn is_newer(&self, seq: SeqNumber, ack: SeqNumber, wnd: u32) -> bool {
        ack.after(self.una) || self.wl1.before(seq) || (self.wl1 == seq && (wnd > self.wnd || wnd == 0))
    }

    /// Takes the window of a segment with an acceptable acknowledgement, where the segment is not older than the
    /// last that did, or acknowledges something new: to be called before `una` moves. As Linux: a retransmission
    /// whose window were left out would move the right edge by what it acknowledges.
    //= RFC 9293 §3.10.7.4
    pub fn update(&mut self, seq: SeqNumber, ack: SeqNumber, wnd: u32) -> WindowUpdate {
        if !self.is_newer(seq, ack, wnd) {
            return WindowUpdate::Unchanged;
        }
        self.wl1 = seq;
        self.max_wnd = self.max_wnd.max(wnd);
        if wnd == self.wnd {
            return WindowUpdate::Unchanged;
        }
        self.wnd = wnd;
        WindowUpdate::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= RFC 9293 §3.10.7.4, type=test
    #[test]
    fn an_older_segment_does_not_move_the_window() {
        let seq = SeqNumber::new;
        let mut window = SendWindow::new(seq(100));
        window.start(seq(500), 1000);
        assert_eq!(window.update(seq(499), seq(100), 9), WindowUpdate::Unchanged);
        assert_eq!(window.wnd, 1000);
        assert_eq!(window.update(seq(500), seq(100), 9), WindowUpdate::Unchanged);
        assert_eq!(window.update(seq(500), seq(100), 1009), WindowUpdate::Changed);
        assert_eq!(window.update(seq(501), seq(100), 9), WindowUpdate::Changed);
        assert_eq!((window.wnd, window.max_wnd), (9, 1009));
        assert_eq!(window.update(seq(501), seq(100), 0), WindowUpdate::Changed, "it closes");
        assert_eq!(window.update(seq(400), seq(101), 7), WindowUpdate::Changed, "it acknowledges");
    }

    #[test]
    fn a_window_that_shrank_below_what_is_in_flight_leaves_nothing_usable() {
        let mut window = SendWindow::new(SeqNumber::new(0));
        window.start(SeqNumber::new(0), 10);
        window.nxt += 20;
        assert_eq!(window.usable(), 0);
        assert_eq!(window.in_flight(), 20);
        assert_eq!(window.believed_seq(), SeqNumber::new(10), "the peer drops what lies beyond");
        window.scale = WindowScale::clamped(4);
        assert_eq!(window.believed_seq(), SeqNumber::new(20), "10 may stand for 25");
    }
}
