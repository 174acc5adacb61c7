//! Explicit congestion notification (RFC 3168): agreed on in the handshake, echoed until the peer has heard, answered by
//! a smaller window.

use super::config::EcnUse;
use super::connection::Connection;
use super::recovery::Reduced;
use super::recv::ack_policy::QUICK_ACKS_ON_MARK;
use super::segment::{Codepoint, Control, EcnFlags, Segment};
use super::state::State;

/// What a connection knows of it.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Ecn {
    /// Both sides do it.
    pub(super) agreed: bool,
    /// A packet came that routers may mark.
    pub(super) seen: bool,
    /// A mark came, and the peer has not said that it has heard of it.
    echoes: bool,
    /// We have heard of one, and are to say so.
    answers: bool,
}

/// What came of packets that routers may mark (`tcpi_received_ce` and what follows it).
#[derive(Copy, Clone, Debug, Default)]
pub struct Marks {
    /// Segments with a mark.
    pub segments: u32,
    /// Payload with a mark, in bytes.
    pub bytes: u32,
    /// Payload that came without one by ECT(0), in bytes.
    pub capable_bytes: u32,
    /// The same by ECT(1).
    pub capable_too_bytes: u32,
}

/// Whether a listener agrees to what a SYN asks for. As Linux: a SYN in a packet that routers may mark asks for something
/// else.
//= RFC 3168 §6.1.1
//= RFC 3168 §6.1.1 MUST-1
//= RFC 3168 §6.1.1 MUST-5
//= RFC 9293 SHLD-8
pub(super) fn agrees(willing: EcnUse, syn: &Segment) -> bool {
    let EcnFlags { echo, reduced, codepoint } = syn.ecn;
    willing != EcnUse::No && echo && reduced && codepoint == Codepoint::NotCapable
}

impl Connection {
    /// The flags of our SYN or SYN-ACK.
    //= RFC 3168 §6.1.1
    //= RFC 3168 §6.1.1.1
    //= RFC 3168 §6.1.1 MUST-1
    //= RFC 3168 §6.1.1 MUST-6
    pub(super) fn syn_ecn(&self) -> EcnFlags {
        let again = self.send.retries > 0 && self.options.ecn_fallback;
        match self.state {
            State::SynSent => {
                let asks = self.options.ecn == EcnUse::Always && !again;
                EcnFlags { echo: asks, reduced: asks, ..EcnFlags::default() }
            }
            _ => EcnFlags { echo: self.ecn.agreed, ..EcnFlags::default() },
        }
    }

    /// Takes what the peer's SYN or SYN-ACK says.
    //= RFC 3168 §6.1.1
    //= RFC 3168 §6.1.1 MUST-2
    //= RFC 3168 §6.1.1 MUST-5
    pub(super) fn agree_on_ecn(&mut self, segment: &Segment) {
        let EcnFlags { echo, reduced, .. } = segment.ecn;
        let both = if segment.ack.is_some() { echo && !reduced } else { echo && reduced };
        self.ecn.agreed = both && self.options.ecn == EcnUse::Always;
    }

    /// The flags of a segment, which carries new data or not. What is sent again, and what carries no data, is not to be
    /// marked.
    //= RFC 3168 §6.1.3
    //= RFC 3168 §6.1.4
    //= RFC 3168 §6.1.5
    //= RFC 3168 §5.2 MUST-1
    //= RFC 3168 §5.2 MUST-2
    //= RFC 3168 §6.1.1 MUST-2
    //= RFC 3168 §6.1.1 MUST-3
    //= RFC 3168 §6.1.4 MUST-1
    //= RFC 3168 §6.1.5 MUST-1
    //= RFC 3168 §6.1.5 MUST-2
    //= RFC 3168 §6.1.6 MUST-1
    pub(super) fn ecn_flags(&mut self, new_data: bool) -> EcnFlags {
        let Ecn { agreed, echoes, answers, .. } = self.ecn;
        self.ecn.answers &= !new_data;
        EcnFlags {
            echo: agreed && echoes,
            //= RFC 3168 §6.1.2
            reduced: agreed && answers && new_data,
            codepoint: if agreed && new_data { Codepoint::Capable } else { Codepoint::NotCapable },
        }
    }

    /// Counts what came with a mark of a router's, or could have got one, whether that was agreed on or not.
    pub(super) fn count_marks(&mut self, segment: &Segment, segments: u32) {
        let codepoint = segment.ecn.codepoint;
        if codepoint == Codepoint::NotCapable {
            return;
        }
        let marks = &mut self.recovery.seldom_mut().marks;
        if codepoint == Codepoint::Marked {
            marks.segments = marks.segments.wrapping_add(segments);
        }
        let bytes = match codepoint {
            Codepoint::NotCapable | Codepoint::Capable => &mut marks.capable_bytes,
            Codepoint::CapableToo => &mut marks.capable_too_bytes,
            Codepoint::Marked => &mut marks.bytes,
        };
        *bytes = bytes.wrapping_add(segment.payload.len() as u32);
    }

    /// The peer says that its window was reduced: it has heard of the mark.
    //= RFC 3168 §6.1.3
    pub(super) fn take_reduced(&mut self, segment: &Segment) {
        if self.ecn.agreed && segment.ecn.reduced {
            self.ecn.echoes = false;
            // As Linux: the peer's window may be one segment by now.
            if !segment.is_empty() {
                self.recv.acks.owe_now();
            }
        }
    }

    /// Takes the marks of a segment with data. As Linux: that there are any is noted whether they were agreed on or not.
    //= RFC 3168 §6.1.3
    //= RFC 3168 §6.1.1 MUST-4
    pub(super) fn take_marks(&mut self, segment: &Segment) {
        let window = self.recv.window.remaining();
        match segment.ecn.codepoint {
            Codepoint::Marked => {
                if self.ecn.agreed && !self.ecn.echoes {
                    self.recv.acks.quicken(window, QUICK_ACKS_ON_MARK);
                }
                (self.ecn.echoes, self.ecn.seen) = (self.ecn.agreed, true);
            }
            Codepoint::Capable | Codepoint::CapableToo => self.ecn.seen = true,
            // It is likely to have been sent again, for what was lost.
            Codepoint::NotCapable if self.ecn.seen => self.recv.acks.quicken(window, QUICK_ACKS_ON_MARK),
            Codepoint::NotCapable => {}
        }
    }

    /// Whether the segment tells of a mark: the window shrinks as for a loss, once for all that was under way.
    //= RFC 3168 §6.1.2
    //= RFC 3168 §5 MUST-1
    pub(super) fn is_echo(&self, segment: &Segment) -> bool {
        self.ecn.agreed && segment.ecn.echo && segment.control != Some(Control::Syn)
    }

    /// The peer is told where the window has begun to shrink, whatever for, unless that was taken back before.
    pub(super) fn answer_echo(&mut self) {
        match self.recovery.take_reduced() {
            Some(Reduced::Begun) => self.ecn.answers = self.ecn.agreed,
            Some(Reduced::Undone) => self.ecn.answers = false,
            None => {}
        }
    }
}
