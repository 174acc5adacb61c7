//! A segment as the protocol sees it, past the wire: what can't be meant can't be said.

use crate::buf::Rope;
use crate::wire::tcp::{TcpFlags, TcpHeader};
use crate::wire::tcp_options::TcpOptions;

use super::seq::SeqNumber;

/// The window field of a header, before scaling.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct UnscaledWindow(pub u16);

/// The shift of RFC 7323 §2, at most 14.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct WindowScale(u8);

impl WindowScale {
    /// The largest shift.
    pub const MAX: WindowScale = WindowScale(14);

    /// A shift; a larger one than 14 is taken for 14.
    //= RFC 7323 §2.3
    //= RFC 7323 §2.3 MUST-7
    //= RFC 7323 §2.3 MUST-8
    pub const fn clamped(shift: u8) -> Self {
        if shift > Self::MAX.0 { Self::MAX } else { WindowScale(shift) }
    }

    /// The shift itself.
    pub const fn shift(self) -> u8 {
        self.0
    }

    /// The window in bytes that a header's field means.
    //= RFC 9293 MUST-1
    pub const fn scale(self, window: UnscaledWindow) -> u32 {
        (window.0 as u32) << self.0
    }

    /// The header's field for a window of `bytes`, rounded up: an edge that was offered does not move back.
    pub const fn cover(self, bytes: u32) -> UnscaledWindow {
        self.unscale(bytes.saturating_add((1 << self.0) - 1))
    }

    /// The header's field for a window of `bytes`, rounded down.
    pub const fn unscale(self, bytes: u32) -> UnscaledWindow {
        let window = bytes >> self.0;
        UnscaledWindow(if window > u16::MAX as u32 { u16::MAX } else { window as u16 })
    }
}

/// The flag that occupies sequence space or ends it; a segment bears one at the most.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Control {
    /// Synchronise: takes the first sequence number.
    Syn,
    /// No more data: takes the last sequence number.
    Fin,
    /// Reset: takes none.
    Rst,
}

/// What the IP header says of congestion (RFC 3168 §5).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Codepoint {
    /// Routers can't mark it.
    #[default]
    NotCapable,
    /// Routers may mark it, rather than drop it: ECT(0).
    Capable,
    /// The same, by ECT(1).
    CapableToo,
    /// One has.
    Marked,
}

impl Codepoint {
    /// What the low two bits of a TOS or traffic class mean.
    pub const fn of_class(class: u8) -> Self {
        match class & 3 {
            0 => Codepoint::NotCapable,
            1 => Codepoint::CapableToo,
            3 => Codepoint::Marked,
            _ => Codepoint::Capable,
        }
    }

    /// The same bits, in the place of those of `class`.
    pub const fn in_class(self, class: u8) -> u8 {
        class & !3
            | match self {
                Codepoint::NotCapable => 0,
                Codepoint::CapableToo => 1,
                Codepoint::Capable => 2,
                Codepoint::Marked => 3,
            }
    }
}

/// The congestion bits of a segment and of its packet (RFC 3168).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct EcnFlags {
    /// ECN-Echo.
    pub echo: bool,
    /// Congestion window reduced.
    pub reduced: bool,
    /// What the IP header says.
    pub codepoint: Codepoint,
}

/// One segment, or several that the link merged or shall cut: up to 64 KiB of payload.
///
/// ```
/// use tapsock_stack::tcp::segment::{Control, Segment};
/// use tapsock_stack::tcp::SeqNumber;
///
/// let syn = Segment { control: Some(Control::Syn), ..Segment::new(SeqNumber::new(7)) };
/// assert_eq!(syn.len(), 1);
/// assert_eq!(syn.end(), SeqNumber::new(8));
/// ```
#[derive(Clone, Debug)]
pub struct Segment {
    /// SEG.SEQ: the number of the first byte, or of SYN.
    pub seq: SeqNumber,
    /// SEG.ACK, where the ACK flag is set.
    pub ack: Option<SeqNumber>,
    /// SYN, FIN or RST.
    pub control: Option<Control>,
    /// PSH.
    pub push: bool,
    /// The urgent pointer, where URG is set.
    pub urgent: Option<u16>,
    /// ECE and CWR.
    pub ecn: EcnFlags,
    /// SEG.WND, unscaled.
    pub window: UnscaledWindow,
    /// Options.
    pub options: TcpOptions,
    /// Data.
    pub payload: Rope,
    /// Bytes of data in each segment but the last, where this stands for several.
    pub gso_size: Option<u16>,
    /// Whether a FIN follows what a SYN brings; it counts in neither [`len`](Segment::len) nor `control`.
    pub fin_behind_syn: bool,
}

impl Segment {
    /// An empty segment at `seq`.
    pub fn new(seq: SeqNumber) -> Self {
        Segment {
            seq,
            ack: None,
            control: None,
            push: false,
            urgent: None,
            ecn: EcnFlags::default(),
            window: UnscaledWindow(0),
            options: TcpOptions::default(),
            payload: Rope::new(),
            gso_size: None,
            fin_behind_syn: false,
        }
    }

    /// Takes a parsed header and the bytes behind it.
    ///
    /// RST outranks the other control flags, as in RFC 9293's order of checks, and SYN outranks FIN.
    pub fn from_wire(header: &TcpHeader, payload: Rope, gso_size: Option<u16>) -> Segment {
        let has = |flag| header.flags.contains(flag);
        let control = match (has(TcpFlags::RST), has(TcpFlags::SYN), has(TcpFlags::FIN)) {
            (true, _, _) => Some(Control::Rst),
            (false, true, _) => Some(Control::Syn),
            (false, false, true) => Some(Control::Fin),
            (false, false, false) => None,
        };
        Segment {
            seq: SeqNumber::new(header.sequence),
            ack: has(TcpFlags::ACK).then_some(SeqNumber::new(header.acknowledgment)),
            control,
            push: has(TcpFlags::PSH),
            urgent: has(TcpFlags::URG).then_some(header.urgent_pointer),
            ecn: EcnFlags {
                echo: has(TcpFlags::ECE),
                reduced: has(TcpFlags::CWR),
                codepoint: Codepoint::default(),
            },
            window: UnscaledWindow(header.window),
            options: header.options.clone(),
            payload,
            gso_size,
            fin_behind_syn: control == Some(Control::Syn) && has(TcpFlags::FIN),
        }
    }

    /// The header to be sent, with the ports of the connection.
    pub fn to_wire(&self, source_port: u16, destination_port: u16) -> TcpHeader {
        let mut flags = TcpFlags::default();
        let mut set = |flag, on| {
            if on {
                flags.insert(flag);
            }
        };
        set(TcpFlags::SYN, self.control == Some(Control::Syn));
        set(TcpFlags::FIN, self.control == Some(Control::Fin));
        set(TcpFlags::RST, self.control == Some(Control::Rst));
        set(TcpFlags::ACK, self.ack.is_some());
        set(TcpFlags::PSH, self.push);
        set(TcpFlags::URG, self.urgent.is_some());
        set(TcpFlags::ECE, self.ecn.echo);
        set(TcpFlags::CWR, self.ecn.reduced);
        TcpHeader {
            source_port,
            destination_port,
            sequence: self.seq.value(),
            acknowledgment: self.ack.map_or(0, SeqNumber::value),
            flags,
            window: self.window.0,
            urgent_pointer: self.urgent.unwrap_or(0),
            options: self.options.clone(),
            header_len: 0,
        }
    }

    /// SEG.LEN: data and the flags that occupy sequence space.
    pub fn len(&self) -> u32 {
        self.payload.len() as u32 + u32::from(matches!(self.control, Some(Control::Syn | Control::Fin)))
    }

    /// Whether it occupies no sequence space.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number after the last that it occupies.
    pub fn end(&self) -> SeqNumber {
        self.seq + self.len()
    }

    /// Drops everything before `seq`: SYN first, then data, then FIN.
    pub fn trim_front(&mut self, seq: SeqNumber) {
        let mut count = seq.saturating_since(self.seq);
        if count > 0 && self.control == Some(Control::Syn) {
            self.control = None;
            self.seq += 1;
            count -= 1;
        }
        let bytes = count.min(self.payload.len() as u32);
        self.payload.advance(bytes as usize);
        self.seq += bytes;
        if count > bytes && self.control == Some(Control::Fin) {
            self.control = None;
            self.seq += 1;
        }
    }

    /// Drops everything from `seq` on: FIN first, then data.
    pub fn trim_back(&mut self, seq: SeqNumber) {
        let mut count = self.end().saturating_since(seq);
        if count > 0 && self.control == Some(Control::Fin) {
            self.control = None;
            count -= 1;
        }
        let keep = self.payload.len().saturating_sub(count as usize);
        self.payload.truncate(keep);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::tcp_options::Timestamps;

    fn data(seq: u32, bytes: &[u8], control: Option<Control>) -> Segment {
        Segment { payload: Rope::from(bytes), control, ..Segment::new(SeqNumber::new(seq)) }
    }

    #[test]
    fn trimming_the_front_takes_the_syn_first() {
        let mut segment = data(10, b"abc", Some(Control::Syn));
        segment.trim_front(SeqNumber::new(12));
        assert_eq!((segment.seq, segment.control), (SeqNumber::new(12), None));
        assert_eq!(segment.payload.to_vec(), b"bc");
        segment.trim_front(SeqNumber::new(99));
        assert!(segment.payload.is_empty());
    }

    #[test]
    fn trimming_the_back_takes_the_fin_first() {
        let mut segment = data(10, b"abc", Some(Control::Fin));
        segment.trim_back(SeqNumber::new(13));
        assert_eq!((segment.control, segment.payload.len()), (None, 3));
        segment.trim_back(SeqNumber::new(11));
        assert_eq!(segment.payload.to_vec(), b"a");
        segment.trim_back(SeqNumber::new(5));
        assert!(segment.payload.is_empty());
    }

    #[test]
    fn a_header_goes_out_as_it_came_in() {
        let flags = TcpFlags::SYN | TcpFlags::ACK;
        let header = TcpHeader {
            source_port: 1,
            destination_port: 2,
            sequence: 3,
            acknowledgment: 4,
            flags,
            window: 5,
            urgent_pointer: 0,
            options: TcpOptions { mss: Some(1460), ..TcpOptions::default() },
            header_len: 24,
        };
        let segment = Segment::from_wire(&header, Rope::new(), None);
        assert_eq!(TcpHeader { header_len: 24, ..segment.to_wire(1, 2) }, header);
        let odd = TcpHeader { flags: TcpFlags::SYN | TcpFlags::FIN, ..header };
        let odd = Segment::from_wire(&odd, Rope::new(), None);
        assert_eq!((odd.control, odd.fin_behind_syn), (Some(Control::Syn), true));
    }

    proptest! {
        /// Trimming to a window leaves what a receiver that looks at each number by itself would take.
        #[test]
        fn trimming_keeps_each_number_in_place(
            start in any::<u32>(),
            len in 0_usize..40,
            control in prop::option::of(prop::sample::select(vec![Control::Syn, Control::Fin])),
            (from, to) in (0_u32..50, 0_u32..50),
        ) {
            let bytes: Vec<u8> = (0..len as u8).collect();
            let whole = data(start, &bytes, control);
            let number = |offset: u32| SeqNumber::new(start) + offset;
            // What stands at each number: the SYN, a byte, the FIN.
            let (syn, fin) = (control == Some(Control::Syn), control == Some(Control::Fin));
            let marks = |mark: Control, there: bool| there.then_some(Err(mark));
            let all: Vec<_> = marks(Control::Syn, syn)
                .into_iter()
                .chain(bytes.iter().map(|byte| Ok(*byte)))
                .chain(marks(Control::Fin, fin))
                .collect();
            prop_assert_eq!(whole.len() as usize, all.len());

            let mut front = whole.clone();
            front.trim_front(number(from));
            let expected = &all[(from as usize).min(all.len())..];
            prop_assert_eq!(numbers(&front), expected);
            prop_assert_eq!(front.end(), whole.end().latest(front.seq));

            let mut back = whole.clone();
            back.trim_back(number(to));
            prop_assert_eq!(back.seq, whole.seq);
            if !syn {
                prop_assert_eq!(numbers(&back), &all[..(to as usize).min(all.len())]);
            }
        }

        #[test]
        fn whatever_is_a_segment_goes_out_as_it_came_in(
            (sequence, acknowledgment, window) in any::<(u32, u32, u16)>(),
            control in prop::sample::select(vec![
                TcpFlags::default(),
                TcpFlags::SYN,
                TcpFlags::FIN,
                TcpFlags::RST,
            ]),
            (ack, push) in any::<(bool, bool)>(),
            stamps in any::<Option<(u32, u32)>>(),
            payload in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let flag = |on: bool, flag| if on { flag } else { TcpFlags::default() };
            let flags = control | flag(ack, TcpFlags::ACK) | flag(push, TcpFlags::PSH);
            let timestamps = stamps.map(|(value, echo)| Timestamps { value, echo });
            let header = TcpHeader {
                source_port: 1,
                destination_port: 2,
                sequence,
                acknowledgment: if ack { acknowledgment } else { 0 },
                flags,
                window,
                options: TcpOptions { timestamps, ..TcpOptions::default() },
                ..TcpHeader::default()
            };
            let segment = Segment::from_wire(&header, Rope::from(&payload[..]), None);
            let header_len = segment.to_wire(1, 2).header_len;
            prop_assert_eq!(segment.to_wire(1, 2), TcpHeader { header_len, ..header });
        }

        /// A window that is announced is never larger than the one that is there, and less than one step smaller.
        #[test]
        fn announced_windows_are_there(window in 0_u32..1 << 30, shift in 0_u8..20) {
            let scale = WindowScale::clamped(shift);
            let announced = scale.scale(scale.unscale(window));
            let most = u32::from(u16::MAX) << scale.shift();
            prop_assert!(announced <= window);
            prop_assert!(window.min(most) - announced < 1 << scale.shift());
        }
    }

    /// What stands at each number of a segment.
    fn numbers(segment: &Segment) -> Vec<Result<u8, Control>> {
        let mark = |wanted: Control| segment.control.filter(|control| *control == wanted).map(Err);
        let bytes = segment.payload.to_vec().into_iter().map(Ok);
        mark(Control::Syn).into_iter().chain(bytes).chain(mark(Control::Fin)).collect()
    }

    #[test]
    fn window_scaling_rounds_down_and_saturates() {
        let scale = WindowScale::clamped(20);
        assert_eq!(scale.shift(), 14);
        assert_eq!(WindowScale::clamped(7).unscale(1000), UnscaledWindow(7));
        assert_eq!(WindowScale::clamped(0).unscale(1 << 20), UnscaledWindow(u16::MAX));
        assert_eq!(WindowScale::clamped(2).scale(UnscaledWindow(3)), 12);
    }
}
