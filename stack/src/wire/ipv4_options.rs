//! The options of IPv4's header (RFC 791 §3.1): what they ask of a host, and what goes into its answers.
//!
//! Where RFC 791 leaves room this follows Linux 6.18, which was asked packet by packet.

use core::net::Ipv4Addr;

use super::Ipv4Header;
use super::ipv4::write_checksum;
use crate::buf::HeaderBlock;

/// The most bytes that options can take.
pub const MAX_LEN: usize = 40;

/// Something is wrong with an option: answer with a parameter problem that points at this byte of the packet.
///
/// ```
/// use tapsock_stack::wire::ipv4_options::{Ipv4Options, OptionError};
///
/// // An option that says it has no byte at all.
/// assert_eq!(Ipv4Options::parse(&[0x1e, 0, 1, 2]), Err(OptionError { pointer: 20 }));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct OptionError {
    /// Offset from the start of the IP header.
    pub pointer: u8,
}

/// What the options of a packet ask for. All others are skipped.
///
/// ```
/// use tapsock_stack::wire::ipv4_options::Ipv4Options;
///
/// let options = Ipv4Options::parse(&[7, 7, 4, 0, 0, 0, 0, 0])?;
/// assert!(!options.source_route);
/// # Ok::<(), tapsock_stack::wire::ipv4_options::OptionError>(())
/// ```
//= RFC 1122 §3.2.1.8
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Ipv4Options {
    /// Whether there is a source route, loose or strict.
    pub source_route: bool,
    /// Where it begins, in bytes after the fixed header.
    source_route_at: u8,
    /// Where the record of the route begins, in bytes after the fixed header.
    record_route: Option<u8>,
    /// The same of the timestamps.
    timestamp: Option<u8>,
}

impl Ipv4Options {
    /// Reads `options`, what stands between the fixed header and the payload.
    //= RFC 1122 §3.2.1.8 MUST-3
    //= RFC 1122 §3.2.1.8b MUST-1
    //= RFC 1122 §3.2.1.8c MUST-4
    pub fn parse(options: &[u8]) -> Result<Self, OptionError> {
        let mut found = Ipv4Options::default();
        let mut at = 0;
        while let Some(kind) = options.get(at).copied() {
            match kind {
                END => break,
                NO_OPERATION => {
                    at += 1;
                    continue;
                }
                _ => {}
            }
            let wrong =
                |offset: usize| Err(OptionError { pointer: (Ipv4Header::MIN_LEN + at + offset) as u8 });
            let len = options.get(at + 1).map_or(0, |len| usize::from(*len));
            let Some(option) = options.get(at..at + len).filter(|option| option.len() >= 2) else {
                return wrong(0);
            };
            match kind {
                LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE | RECORD_ROUTE => {
                    let known =
                        if kind == RECORD_ROUTE { found.record_route.is_some() } else { found.source_route };
                    match option {
                        [_, _] => return wrong(1),
                        [_, _, pointer, ..] if *pointer < 4 => return wrong(2),
                        //= RFC 1122 §3.2.1.8
                        _ if known => return wrong(0),
                        [_, _, pointer, ..] if kind == RECORD_ROUTE && !has_room(*pointer, 4, len) => {
                            return wrong(2);
                        }
                        _ if kind == RECORD_ROUTE => found.record_route = Some(at as u8),
                        _ => (found.source_route, found.source_route_at) = (true, at as u8),
                    }
                }
                TIMESTAMP => match option {
                    _ if found.timestamp.is_some() => return wrong(0),
                    [_, _] | [_, _, _] => return wrong(1),
                    [_, _, pointer, ..] if *pointer < 5 => return wrong(2),
                    [_, _, pointer, flags, ..] => {
                        let full = usize::from(*pointer) > len;
                        if full && flags >> 4 == 15 && flags & 15 != PRESPECIFIED {
                            return wrong(3);
                        }
                        if !has_room(*pointer, entry_len(*flags), len) {
                            return wrong(2);
                        }
                        found.timestamp = Some(at as u8);
                    }
                    _ => return wrong(1),
                },
                ROUTER_ALERT if option.len() < 4 => return wrong(1),
                _ => {}
            }
            at += len;
        }
        Ok(found)
    }

    /// The next stop of the source route in `options`; `None` where there is none, or its end is reached.
    //= RFC 791 §3.1
    pub fn next_stop(&self, options: &[u8]) -> Option<Stop> {
        let option =
            options.get(place(options, Some(self.source_route_at).filter(|_| self.source_route))?)?;
        let entry = option.get(usize::from(*option.get(2)?).checked_sub(1)?..)?.first_chunk::<4>()?;
        Some(Stop { address: Ipv4Addr::from(*entry), strict: option[0] == STRICT_SOURCE_ROUTE })
    }

    /// The last stop of the source route in `options`, which the packet is for; `None` where that is the destination in its
    /// header.
    pub fn last_stop(&self, options: &[u8]) -> Option<Ipv4Addr> {
        self.next_stop(options)?;
        let option = options.get(place(options, Some(self.source_route_at))?)?;
        option[ROUTE_AT..]
            .chunks_exact(4)
            .next_back()
            .and_then(|stop| stop.first_chunk())
            .map(|stop| Ipv4Addr::from(*stop))
    }

    /// Writes `ours` in place of the next stop, which is reached by then.
    //= RFC 791 §3.1
    pub fn pass_stop(&self, options: &mut [u8], ours: Ipv4Addr) {
        if self.next_stop(options).is_some()
            && let Some(place) = place(options, Some(self.source_route_at))
        {
            record_route(&mut options[place], ours);
        }
    }

    /// Adds to the record of the route and to the timestamps in `options` what a host adds that receives the packet,
    /// or sends the answer to it.
    //= RFC 1122 §3.2.1.8
    pub fn record(&self, options: &mut [u8], step: Step, host: &Host<impl Fn(Ipv4Addr) -> bool>) {
        if let Some(place) = place(options, self.record_route) {
            record_route(&mut options[place], host.ours);
        }
        if let Some(place) = place(options, self.timestamp) {
            stamp(&mut options[place], host, step);
        }
    }

    /// What an answer to the packet with these options carries.
    //= RFC 1122 §3.2.2.6
    pub fn answer(&self, options: &[u8], host: &Host<impl Fn(Ipv4Addr) -> bool>) -> AnswerOptions {
        self.echo(options).recorded(host)
    }

    /// The same, before the host that sends it has added to it.
    pub fn echo(&self, options: &[u8]) -> AnswerOptions {
        let mut answer = AnswerOptions::default();
        for at in [self.record_route, self.timestamp] {
            if let Some(place) = place(options, at) {
                answer.push(&options[place]);
            }
        }
        answer
    }
}

/// Where the option stands that begins at `at`.
fn place(options: &[u8], at: Option<u8>) -> Option<core::ops::Range<usize>> {
    let at = usize::from(at?);
    let len = usize::from(*options.get(at + 1)?);
    options.get(at..at + len).map(|_| at..at + len)
}

/// The next stop of a source route.
///
/// ```
/// use tapsock_stack::wire::ipv4_options::Ipv4Options;
///
/// let route = [131, 7, 4, 192, 0, 2, 1, 0];
/// let stop = Ipv4Options::parse(&route)?.next_stop(&route).unwrap();
/// assert_eq!((stop.address.to_string(), stop.strict), ("192.0.2.1".into(), false));
/// # Ok::<(), tapsock_stack::wire::ipv4_options::OptionError>(())
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Stop {
    /// Whose it is.
    pub address: Ipv4Addr,
    /// Whether no router may stand before it.
    pub strict: bool,
}

/// What a host adds of itself.
#[derive(Copy, Clone, Debug)]
pub struct Host<F> {
    /// The address that is recorded.
    pub ours: Ipv4Addr,
    /// Whether an address is one of all that it has.
    pub is_ours: F,
    /// The value of a timestamp.
    pub time: u32,
}

/// When a host adds to an option.
///
/// ```
/// use core::net::Ipv4Addr;
/// use tapsock_stack::wire::ipv4_options::{Host, Ipv4Options, Step};
///
/// let mut options = [7, 7, 4, 0, 0, 0, 0, 0];
/// let host = Host { ours: Ipv4Addr::new(192, 0, 2, 1), is_ours: |_| true, time: 0 };
/// Ipv4Options::parse(&options)?.record(&mut options, Step::Receive, &host);
/// assert_eq!(options, [7, 7, 8, 192, 0, 2, 1, 0]);
/// # Ok::<(), tapsock_stack::wire::ipv4_options::OptionError>(())
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// As the packet comes.
    Receive,
    /// As the answer goes.
    Send,
}

/// Whether an entry of `size` bytes fits behind `pointer`, or the option is full.
fn has_room(pointer: u8, size: usize, len: usize) -> bool {
    let pointer = usize::from(pointer);
    pointer > len || pointer - 1 + size <= len
}

/// Bytes of one entry of a timestamp option.
fn entry_len(flags: u8) -> usize {
    match flags & 15 {
        WITH_ADDRESS | PRESPECIFIED => 8,
        _ => 4,
    }
}

/// Adds `ours` to a record of the route, where there is room.
//= RFC 791 §3.1
fn record_route(option: &mut [u8], ours: Ipv4Addr) {
    let Some(pointer) = option.get(2).map(|pointer| usize::from(*pointer)) else { return };
    if let Some(entry) = option.get_mut(pointer - 1..pointer + 3) {
        entry.copy_from_slice(&ours.octets());
        option[2] += 4;
    }
}

/// Adds a timestamp, where there is room; who finds none counts itself.
//= RFC 791 §3.1
fn stamp(option: &mut [u8], host: &Host<impl Fn(Ipv4Addr) -> bool>, step: Step) {
    let Some(&[_, _, pointer, flags]) = option.first_chunk() else { return };
    let size = entry_len(flags);
    let start = usize::from(pointer) - 1;
    let Some(entry) = option.get_mut(start..start + size) else {
        if flags & 15 != PRESPECIFIED && step == Step::Receive {
            option[3] = option[3].saturating_add(0x10);
        }
        return;
    };
    match flags & 15 {
        STAMPS_ONLY => {}
        WITH_ADDRESS => entry[..4].copy_from_slice(&host.ours.octets()),
        PRESPECIFIED if (host.is_ours)(Ipv4Addr::new(entry[0], entry[1], entry[2], entry[3])) => {}
        _ => return,
    }
    entry[size - 4..].copy_from_slice(&host.time.to_be_bytes());
    option[2] += size as u8;
}

/// Options of a packet that we send, padded to a multiple of four bytes.
///
/// ```
/// use tapsock_stack::wire::ipv4_options::AnswerOptions;
///
/// assert!(AnswerOptions::default().is_empty());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct AnswerOptions {
    bytes: [u8; MAX_LEN],
    len: u8,
}

impl Default for AnswerOptions {
    fn default() -> Self {
        AnswerOptions::NONE
    }
}

impl AnswerOptions {
    /// None at all.
    pub const NONE: AnswerOptions = AnswerOptions { bytes: [0; MAX_LEN], len: 0 };

    /// Options as they are. `None` for more than a header can hold.
    pub fn new(options: &[u8]) -> Option<Self> {
        let mut new = AnswerOptions::default();
        new.push(options).map(|_| new)
    }

    /// As they are in the header.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len()]
    }

    /// Whether options of these types alone are there, beside those that fill.
    pub fn are_all(&self, kind: impl Fn(u8) -> bool) -> bool {
        let mut rest = &self.bytes[..usize::from(self.len)];
        while let [first, tail @ ..] = rest {
            let len = match *first {
                END => break,
                NO_OPERATION => 1,
                _ if !kind(*first) => return false,
                _ => tail.first().map_or(0, |len| usize::from(*len)).max(2),
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        true
    }

    /// With what the host that sends them adds.
    //= RFC 1122 §3.2.1.8
    pub fn recorded(mut self, host: &Host<impl Fn(Ipv4Addr) -> bool>) -> Self {
        let bytes = &mut self.bytes[..usize::from(self.len)];
        if let Ok(options) = Ipv4Options::parse(bytes) {
            options.record(bytes, Step::Send, host);
        }
        self
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that they take.
    pub const fn len(&self) -> usize {
        (self.len as usize).next_multiple_of(4)
    }

    /// Puts them behind the fixed header that `headers` begins with.
    pub fn insert_into(&self, headers: &mut HeaderBlock) {
        let (fixed, len) = (Ipv4Header::MIN_LEN, self.len());
        if len == 0 || headers.len() < fixed {
            return;
        }
        headers.prepend(len);
        let bytes = headers.as_mut_slice();
        bytes.copy_within(len..len + fixed, 0);
        bytes[fixed..fixed + len].copy_from_slice(&self.bytes[..len]);
        bytes[0] += (len / 4) as u8;
        let total = u16::from_be_bytes([bytes[2], bytes[3]]).saturating_add(len as u16);
        bytes[2..4].copy_from_slice(&total.to_be_bytes());
        write_checksum(&mut bytes[..fixed + len]);
    }

    /// Those that each fragment carries, where these are a whole packet's.
    //= RFC 791 §3.1
    pub fn copied(&self) -> Self {
        let mut copied = AnswerOptions::default();
        let mut rest = &self.bytes[..usize::from(self.len)];
        while let [kind, tail @ ..] = rest {
            let len = match *kind {
                END => break,
                NO_OPERATION => 1,
                _ => tail.first().map_or(0, |len| usize::from(*len)).max(2),
            };
            let Some(option) = rest.get(..len) else { break };
            if kind & COPIED != 0 {
                copied.push(option);
            }
            rest = &rest[len..];
        }
        copied
    }

    fn push(&mut self, option: &[u8]) -> Option<core::ops::Range<usize>> {
        let place = usize::from(self.len)..usize::from(self.len) + option.len();
        self.bytes.get_mut(place.clone())?.copy_from_slice(option);
        self.len = place.end as u8;
        Some(place)
    }
}

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
/// The record of the route.
pub const RECORD_ROUTE: u8 = 7;
/// Timestamps of the route.
pub const TIMESTAMP: u8 = 68;
const LOOSE_SOURCE_ROUTE: u8 = 131;
const STRICT_SOURCE_ROUTE: u8 = 137;
/// Each router is to look at the packet (RFC 2113).
pub const ROUTER_ALERT: u8 = 148;
/// Where the addresses of a route begin in its option.
const ROUTE_AT: usize = 3;
/// The bit of an option's type that says that fragments carry it.
const COPIED: u8 = 0x80;
/// The kinds of timestamp options.
const STAMPS_ONLY: u8 = 0;
const WITH_ADDRESS: u8 = 1;
const PRESPECIFIED: u8 = 3;

#[cfg(test)]
mod tests;
