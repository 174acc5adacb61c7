//! How the values of settings are written.

use core::fmt::Display;
use core::net::Ipv6Addr;
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;

use crate::fast_open::{FastOpenKey, FastOpenKeys};
use crate::tcp::config::{CongestionKind, CongestionSet};

/// Reads and writes the values of one kind of setting.
pub(super) trait Codec<T> {
    /// The value that `text` means, where it means one.
    fn parse(&self, text: &str) -> Option<T>;
    /// The text that Linux shows for `value`.
    fn show(&self, value: &T) -> String;
}

/// 0 or 1.
pub(super) struct Flag;

impl Codec<bool> for Flag {
    fn parse(&self, text: &str) -> Option<bool> {
        match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    fn show(&self, value: &bool) -> String {
        u8::from(*value).to_string()
    }
}

/// A number of a range.
pub(super) struct Number<T>(pub(super) RangeInclusive<T>);

impl<T: FromStr + Display + PartialOrd> Codec<T> for Number<T> {
    fn parse(&self, text: &str) -> Option<T> {
        text.parse().ok().filter(|value| self.0.contains(value))
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}

/// A number whose bits count, in decimal or, after `0x`, in hexadecimal.
pub(super) struct Bits;

impl Codec<u32> for Bits {
    fn parse(&self, text: &str) -> Option<u32> {
        match text.strip_prefix("0x") {
            Some(digits) if digits.starts_with('+') => None,
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        }
        .filter(|value| i32::try_from(*value).is_ok())
    }

    fn show(&self, value: &u32) -> String {
        value.to_string()
    }
}

/// Types of ICMP: numbers of a byte, as the setting `net.ipv6.icmp.ratemask` names them.
///
/// ```
/// use tapsock_stack::config::{Config, IcmpTypes};
///
/// let config = Config::default();
/// assert!(config.ipv6_icmp_ratemask.contains(1) && !config.ipv6_icmp_ratemask.contains(2));
/// assert_ne!(config.ipv6_icmp_ratemask, IcmpTypes::ALL);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct IcmpTypes {
    /// A bit each.
    words: [u64; 4],
}

impl IcmpTypes {
    /// Each.
    pub const ALL: IcmpTypes = IcmpTypes { words: [u64::MAX; 4] };
    /// Errors of ICMPv6 but for those that say what a path takes, which path MTU discovery can't do without.
    pub(super) const ERRORS_BUT_TOO_BIG: IcmpTypes = IcmpTypes { words: [!(1 << 2), u64::MAX, 0, 0] };

    /// Whether a type is among them.
    pub const fn contains(self, kind: u8) -> bool {
        self.words[kind as usize / 64] >> (kind % 64) & 1 == 1
    }

    fn insert(&mut self, kind: u8) {
        self.words[usize::from(kind) / 64] |= 1 << (kind % 64);
    }
}

/// Types in ranges: `0-1,3-127`. (Linux takes no text for no type.)
pub(super) struct Types;

impl Codec<IcmpTypes> for Types {
    fn parse(&self, text: &str) -> Option<IcmpTypes> {
        let mut types = IcmpTypes { words: [0; 4] };
        for part in text.strip_suffix(',').unwrap_or(text).split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u8, u8) = (first.parse().ok()?, last.parse().ok()?);
            if first > last {
                return None;
            }
            (first..=last).for_each(|kind| types.insert(kind));
        }
        Some(types)
    }

    fn show(&self, value: &IcmpTypes) -> String {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for kind in (0..=u8::MAX).filter(|kind| value.contains(*kind)) {
            match ranges.last_mut() {
                Some((_, last)) if kind - 1 == *last => *last = kind,
                _ => ranges.push((kind, kind)),
            }
        }
        let shown = |(first, last): (u8, u8)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        ranges.into_iter().map(shown).collect::<Vec<_>>().join(",")
    }
}

/// The keys of fast open's cookies.
pub(super) struct CookieKeys;

impl Codec<Option<FastOpenKeys>> for CookieKeys {
    fn parse(&self, text: &str) -> Option<Option<FastOpenKeys>> {
        FastOpenKeys::from_text(text).map(Some)
    }

    fn show(&self, value: &Option<FastOpenKeys>) -> String {
        value.unwrap_or(FastOpenKeys::new(FastOpenKey::new([0; FastOpenKey::LEN]))).to_string()
    }
}

/// A secret, written as an IPv6 address.
pub(super) struct Secret;

impl Codec<Option<Ipv6Addr>> for Secret {
    fn parse(&self, text: &str) -> Option<Option<Ipv6Addr>> {
        text.parse().ok().map(Some)
    }

    fn show(&self, value: &Option<Ipv6Addr>) -> String {
        value.unwrap_or(Ipv6Addr::UNSPECIFIED).to_string()
    }
}

/// A time in seconds.
pub(super) struct Seconds(pub(super) RangeInclusive<u64>);

impl Codec<Duration> for Seconds {
    fn parse(&self, text: &str) -> Option<Duration> {
        Number(self.0.clone()).parse(text).map(Duration::from_secs)
    }

    fn show(&self, value: &Duration) -> String {
        value.as_secs().to_string()
    }
}

/// A time in milliseconds.
pub(super) struct Millis(pub(super) RangeInclusive<u64>);

impl Codec<Duration> for Millis {
    fn parse(&self, text: &str) -> Option<Duration> {
        Number(self.0.clone()).parse(text).map(Duration::from_millis)
    }

    fn show(&self, value: &Duration) -> String {
        value.as_millis().to_string()
    }
}

/// A time in microseconds.
pub(super) struct Micros(pub(super) RangeInclusive<u64>);

impl Codec<Duration> for Micros {
    fn parse(&self, text: &str) -> Option<Duration> {
        Number(self.0.clone()).parse(text).map(Duration::from_micros)
    }

    fn show(&self, value: &Duration) -> String {
        value.as_micros().to_string()
    }
}

/// A time in nanoseconds.
pub(super) struct Nanos(pub(super) RangeInclusive<u64>);

impl Codec<Duration> for Nanos {
    fn parse(&self, text: &str) -> Option<Duration> {
        Number(self.0.clone()).parse(text).map(Duration::from_nanos)
    }

    fn show(&self, value: &Duration) -> String {
        value.as_nanos().to_string()
    }
}

/// The name of a congestion control.
pub(super) struct Congestion;

impl Codec<CongestionKind> for Congestion {
    fn parse(&self, text: &str) -> Option<CongestionKind> {
        CongestionKind::from_name(text)
    }

    fn show(&self, value: &CongestionKind) -> String {
        value.name().to_owned()
    }
}

/// Names of congestion controls.
pub(super) struct Congestions;

impl Codec<CongestionSet> for Congestions {
    fn parse(&self, text: &str) -> Option<CongestionSet> {
        let names = text.split_whitespace().map(CongestionKind::from_name);
        names.collect::<Option<CongestionSet>>().filter(|_| !text.is_empty())
    }

    fn show(&self, value: &CongestionSet) -> String {
        let named = CongestionKind::ALL.into_iter().filter(|kind| value.has(*kind));
        named.map(CongestionKind::name).collect::<Vec<_>>().join(" ")
    }
}

/// Sizes of a buffer, in bytes.
///
/// ```
/// use tapsock_stack::config::Config;
///
/// assert_eq!(Config::default().tcp_wmem.largest, 4_194_304);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct BufferSizes {
    /// What a socket keeps when memory is short.
    pub least: u32,
    /// What a socket begins with.
    pub initial: u32,
    /// What a socket may grow to by itself.
    pub largest: u32,
}

/// Three sizes.
pub(super) struct Sizes;

impl Codec<BufferSizes> for Sizes {
    fn parse(&self, text: &str) -> Option<BufferSizes> {
        let [least, initial, largest] = numbers(text, 1..=i32::MAX as u32)?;
        Some(BufferSizes { least, initial, largest })
    }

    fn show(&self, value: &BufferSizes) -> String {
        format!("{}\t{}\t{}", value.least, value.initial, value.largest)
    }
}

/// The ports that are given out where none is asked for: at least one, and not port 0.
///
/// ```
/// use tapsock_stack::config::PortRange;
///
/// let range = PortRange::new(40_000, 40_009).unwrap();
/// assert_eq!(range.count(), 10);
/// assert_eq!(PortRange::new(5, 4), None);
/// assert_eq!((PortRange::DEFAULT.first(), PortRange::DEFAULT.last()), (32_768, 60_999));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Linux's range.
    pub const DEFAULT: PortRange = PortRange { first: 32_768, last: 60_999 };

    /// The ports from `first` to `last`, both included; `None` where that is none, or port 0 is among them.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || first > last { None } else { Some(PortRange { first, last }) }
    }

    /// The first port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// How many ports there are: 1 to 65,535.
    pub const fn count(self) -> u32 {
        (self.last - self.first) as u32 + 1
    }

    /// The port `offset` places after the first, where the last is followed by the first.
    pub const fn at(self, offset: u64) -> u16 {
        self.first + (offset % self.count() as u64) as u16
    }
}

/// First and last port.
pub(super) struct Ports;

impl Codec<PortRange> for Ports {
    fn parse(&self, text: &str) -> Option<PortRange> {
        let [first, last] = numbers(text, 1..=u16::MAX)?;
        PortRange::new(first, last)
    }

    fn show(&self, value: &PortRange) -> String {
        format!("{}\t{}", value.first, value.last)
    }
}

/// Exactly `N` numbers, apart by blanks. (Linux takes fewer and leaves the others alone.)
fn numbers<T: FromStr + Display + PartialOrd, const N: usize>(
    text: &str,
    range: RangeInclusive<T>,
) -> Option<[T; N]> {
    let number = Number(range);
    let numbers: Vec<T> =
        text.split_ascii_whitespace().map(|word| number.parse(word)).collect::<Option<_>>()?;
    numbers.try_into().ok()
}
