//! SYN cookies (RFC 4987 §3.6, appendix A): a half-open connection that is kept by the peer, in the numbers of the
//! SYN-ACK, while the listener's table is full.

use core::time::Duration;

use crate::time::Instant;
use crate::wire::tcp_options::{TcpOptions, Timestamps};

use super::config::{EcnUse, Options};
use super::connection::Opening;
use super::ecn;
use super::handshake::{Accepted, SynSent, Willing, announced_mss, syn_options, syn_window, window_scale};
use super::segment::{Control, EcnFlags, Segment, WindowScale};
use super::seq::SeqNumber;

/// How long a tick of the cookies' clock is.
const TICK: Duration = Duration::from_secs(60);

/// Ticks for which a cookie is good: between one and two minutes.
const MAX_AGE: u32 = 2;

/// How long after the last cookie some may still come back.
const VALIDITY: Duration = Duration::from_secs(120);

/// The segment sizes that a cookie can tell apart, in bytes, as in Linux: the largest that the peer takes is chosen.
const SIZES_V4: [u16; 4] = [536, 1300, 1440, 1460];
const SIZES_V6: [u16; 4] = [1220, 1420, 1440, 8940];

/// The low bits of a timestamp that hold what the SYN offered.
const STAMP_BITS: u32 = 6;
/// A window scale that stands for none.
const NO_SCALE: u32 = 0xf;
const SACK_BIT: u32 = 0x10;
const ECN_BIT: u32 = 0x20;

/// Whether a listener has sent cookies of late.
///
/// ```
/// use tapsock_stack::tcp::syn_cookie::CookieWatch;
/// use tapsock_stack::time::Instant;
///
/// let mut watch = CookieWatch::default();
/// assert!(!watch.awaits_any(Instant::from_secs(9)));
/// watch.note(Instant::from_secs(9));
/// assert!(watch.awaits_any(Instant::from_secs(100)) && !watch.awaits_any(Instant::from_secs(200)));
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct CookieWatch(Option<Instant>);

impl CookieWatch {
    /// A SYN was answered by a cookie.
    pub fn note(&mut self, now: Instant) {
        self.0 = Some(now);
    }

    /// Whether a cookie may come back.
    pub fn awaits_any(&self, now: Instant) -> bool {
        self.0.is_some_and(|at| now.saturating_since(at) <= VALIDITY)
    }
}

/// Secrets of one flow: the tick goes in, or none for what does not change.
pub trait FlowSecret {
    /// The secret number of the flow for that tick.
    fn of(&self, tick: Option<u32>) -> u32;
}

impl<F: Fn(Option<u32>) -> u32> FlowSecret for F {
    fn of(&self, tick: Option<u32>) -> u32 {
        self(tick)
    }
}

fn sizes(opening: &Opening) -> &'static [u16; 4] {
    if opening.sizes.default == SIZES_V4[0] { &SIZES_V4 } else { &SIZES_V6 }
}

fn tick(now: Instant) -> u32 {
    (now.as_millis() / TICK.as_millis() as u64) as u32
}

/// The number that a SYN-ACK begins with, to a peer that began with `irs` and takes segments of the `size`-th length.
//= RFC 4987 §3.6
fn cookie(secret: &impl FlowSecret, irs: SeqNumber, tick: u32, size: u32) -> SeqNumber {
    let varying = secret.of(Some(tick)).wrapping_add(size) & 0x00ff_ffff;
    irs + secret.of(None).wrapping_add(tick << 24).wrapping_add(varying)
}

/// Which length a cookie means that has come back, where it is one.
fn size_in(secret: &impl FlowSecret, cookie: SeqNumber, irs: SeqNumber, now: u32) -> Option<u32> {
    let rest = cookie.value().wrapping_sub(irs.value()).wrapping_sub(secret.of(None));
    let age = now.wrapping_sub(rest >> 24) & 0xff;
    if age >= MAX_AGE {
        return None;
    }
    let size = rest.wrapping_sub(secret.of(Some(now.wrapping_sub(age)))) & 0x00ff_ffff;
    (size < 4).then_some(size)
}

/// Puts what the SYN offered into the low bits of a timestamp, which stays in the past.
//= RFC 4987 §3.6
fn stamp_with(agreed: &TcpOptions, ecn: bool, clock: u32) -> u32 {
    let scale = agreed.window_scale.map_or(NO_SCALE, |shift| WindowScale::clamped(shift).shift().into());
    let bit = |on: bool, bit| if on { bit } else { 0 };
    let bits = scale | bit(agreed.sack_permitted, SACK_BIT) | bit(ecn, ECN_BIT);
    let stamp = clock >> STAMP_BITS << STAMP_BITS | bits;
    if stamp > clock { stamp.wrapping_sub(1 << STAMP_BITS) } else { stamp }
}

/// The SYN-ACK to a peer of whom nothing is kept. Without timestamps there is no room for options but the MSS.
//= RFC 4987 §3.6
pub fn syn_ack(
    now: Instant,
    syn: &Segment,
    mut opening: Opening,
    options: &Options,
    secret: &impl FlowSecret,
) -> Segment {
    let mss = syn.options.mss.unwrap_or(opening.sizes.default).min(options.max_segment.unwrap_or(u16::MAX));
    let size = sizes(&opening).iter().rposition(|size| *size <= mss).unwrap_or(0);
    opening.iss = cookie(secret, syn.seq, tick(now), size as u32);
    let agreed = Willing::of(options).and(&syn.options);
    let stamps = syn.options.timestamps.filter(|_| agreed.timestamps);
    let nothing = Willing { sack: false, timestamps: false, window_scaling: false };
    let willing = if stamps.is_some() { agreed } else { nothing };
    let kept = TcpOptions {
        window_scale: syn.options.window_scale.filter(|_| willing.window_scaling),
        sack_permitted: willing.sack,
        ..TcpOptions::default()
    };
    let ecn = stamps.is_some() && ecn::agrees(options.ecn, syn);
    let value = stamp_with(&kept, ecn, now.as_millis() as u32).wrapping_add(opening.timestamp_offset);
    let timestamp = Timestamps { value, echo: stamps.map_or(0, |stamp| stamp.value) };
    let scale = window_scale(options);
    let advertised = announced_mss(options, opening.sizes.advertised);
    Segment {
        ack: Some(syn.seq + 1),
        control: Some(Control::Syn),
        window: syn_window(options, advertised, willing.timestamps),
        ecn: EcnFlags { echo: ecn, ..EcnFlags::default() },
        options: syn_options(willing, advertised, scale, timestamp),
        ..Segment::new(opening.iss)
    }
}

/// The handshake that `segment` ends, where what it acknowledges is a cookie of ours.
//= RFC 4987 §3.6
pub fn accept(
    now: Instant,
    segment: &Segment,
    mut opening: Opening,
    options: &Options,
    secret: &impl FlowSecret,
) -> Option<Accepted> {
    let (iss, irs) = (segment.ack? - 1, segment.seq - 1);
    let size = size_in(secret, iss, irs, tick(now))?;
    let mss = sizes(&opening)[size as usize];
    opening.iss = iss;
    let mut offered = TcpOptions { mss: Some(mss), ..TcpOptions::default() };
    let mut ecn = false;
    if let Some(stamp) = segment.options.timestamps {
        let bits = stamp.echo.wrapping_sub(opening.timestamp_offset) & ((1 << STAMP_BITS) - 1);
        let (scale, sack) = (bits & NO_SCALE, bits & SACK_BIT != 0);
        let scales = scale != NO_SCALE;
        // What we do not do we have not offered: somebody made it up.
        if !options.timestamps || sack && !options.sack || scales && !options.window_scaling {
            return None;
        }
        ecn = bits & ECN_BIT != 0;
        if ecn && options.ecn == EcnUse::No {
            return None;
        }
        offered.timestamps = Some(stamp);
        offered.sack_permitted = sack;
        offered.window_scale = scales.then_some(scale as u8);
    }
    let advertised = announced_mss(options, opening.sizes.advertised);
    let window = syn_window(options, advertised, offered.timestamps.is_some());
    Some(Accepted {
        opening,
        irs,
        recent: offered.timestamps.map(|stamp| stamp.value),
        offered,
        window: segment.window,
        edge: irs + 1 + u32::from(window.0),
        scale: window_scale(options),
        ecn,
        sent: SynSent::Forgotten,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tcp::connection::SegmentSizes;

    fn secret(tick: Option<u32>) -> u32 {
        tick.map_or(0x9e37_79b9, |tick| tick.wrapping_mul(0x85eb_ca6b) ^ 0xdead_beef)
    }

    fn opening() -> Opening {
        let sizes = SegmentSizes { advertised: 1460, path: 1460, default: 536 };
        Opening { iss: SeqNumber::new(0), timestamp_offset: 0x1234_5678, sizes }
    }

    fn answer(syn_ack: &Segment, stamp: u32) -> Segment {
        let timestamps = syn_ack.options.timestamps.map(|sent| Timestamps { value: stamp, echo: sent.value });
        Segment {
            ack: Some(syn_ack.seq + 1),
            options: TcpOptions { timestamps, ..TcpOptions::default() },
            ..Segment::new(syn_ack.ack.expect("an acknowledgement"))
        }
    }

    proptest! {
        /// Whatever a SYN offers comes back, as far as there is room for it, and for a minute at least.
        //= RFC 4987 §3.6, type=test
        #[test]
        fn what_was_offered_comes_back(
            irs: u32,
            mss in 1_u16..,
            shift in prop::option::of(0_u8..20),
            sack: bool,
            stamp in prop::option::of(any::<u32>()),
            began in 0_u64..1 << 40,
            later in 0_u64..60_000,
        ) {
            let timestamps = stamp.map(|value| Timestamps { value, echo: 0 });
            let options =
                TcpOptions { mss: Some(mss), window_scale: shift, sack_permitted: sack, timestamps, ..TcpOptions::default() };
            let syn = Segment { control: Some(Control::Syn), options, ..Segment::new(SeqNumber::new(irs)) };
            let now = Instant::from_millis(began);
            let sent = syn_ack(now, &syn, opening(), &Options::default(), &secret);
            let ended = Instant::from_millis(began + later);
            let accepted = accept(ended, &answer(&sent, 77), opening(), &Options::default(), &secret);
            let accepted = accepted.expect("a good cookie");
            let known = accepted.offered.mss.expect("a size");
            prop_assert!(known <= mss.max(536) && SIZES_V4.iter().all(|size| *size > mss || *size <= known));
            prop_assert_eq!(accepted.irs, syn.seq);
            prop_assert_eq!(accepted.offered.sack_permitted, sack && stamp.is_some());
            prop_assert_eq!(accepted.offered.window_scale, shift.filter(|_| stamp.is_some()).map(|shift| shift.min(14)));
            prop_assert_eq!(accepted.recent, stamp.map(|_| 77));
            if let Some(sent) = sent.options.timestamps {
                let age = (began as u32).wrapping_add(0x1234_5678).wrapping_sub(sent.value);
                prop_assert!(age < 1 << STAMP_BITS || began < 64, "the stamp is {age} ms old");
            }
        }

        //= RFC 4987 §3.6, type=test
        #[test]
        fn what_is_no_cookie_is_none(ack: u32, seq: u32, minutes in 2_u64..200) {
            let segment = Segment { ack: Some(SeqNumber::new(ack)), ..Segment::new(SeqNumber::new(seq)) };
            // One in four million is one by chance: this asks the same numbers each time.
            let guessed = size_in(&secret, SeqNumber::new(ack) - 1, SeqNumber::new(seq) - 1, 5).is_some();
            let now = Instant::from_secs(5 * 60);
            prop_assert_eq!(accept(now, &segment, opening(), &Options::default(), &secret).is_some(), guessed);
            let syn = Segment { control: Some(Control::Syn), ..Segment::new(SeqNumber::new(seq)) };
            let sent = syn_ack(now, &syn, opening(), &Options::default(), &secret);
            let late = now + Duration::from_secs(60 * minutes);
            prop_assert!(accept(late, &answer(&sent, 0), opening(), &Options::default(), &secret).is_none());
        }
    }
}
