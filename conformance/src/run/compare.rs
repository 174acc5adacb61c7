//! Where the traces of two runs of a script part.

use core::time::Duration;
use std::net::IpAddr;

use super::packet;
use super::trace::{TraceEntry, TraceKind};

/// Where two traces part.
///
/// ```
/// use core::time::Duration;
/// use tapsock_conformance::run::{TraceEntry, TraceKind, parting};
///
/// let sent = |text: &str| TraceEntry {
///     at: Duration::ZERO,
///     line: 7,
///     kind: TraceKind::Sent,
///     text: text.to_owned(),
///     packet: Vec::new(),
/// };
/// let tolerance = Duration::from_millis(4);
/// let ours = [sent(". 1:1(0) ack 1 win 10 <nop,nop,TS val 5 ecr 7>")];
/// assert_eq!(parting(&[sent(". 1:1(0) ack 1 win 10 <nop,nop,TS val 9 ecr 7>")], &ours, tolerance), None);
/// let parting = parting(&[sent(". 1:1(0) ack 1 win 11 <nop,nop,TS val 9 ecr 7>")], &ours, tolerance).unwrap();
/// assert_eq!(parting.line, 7);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Parting {
    /// The line of the script.
    pub line: u32,
    /// What the first sent there, and when; `None` where it sent no more.
    pub first: Option<String>,
    /// What the second did.
    pub second: Option<String>,
}

/// Where two traces part, if they do: in what was sent, or when, counted from the packet before.
///
/// Values of time stamps and flow labels, which are random, are not compared, nor packets to groups, which nobody
/// asked for.
pub fn parting(first: &[TraceEntry], second: &[TraceEntry], tolerance: Duration) -> Option<Parting> {
    let (mut ours, mut theirs) = (sent(first), sent(second));
    loop {
        let (left, right) = (ours.next(), theirs.next());
        let same = match (&left, &right) {
            (None, None) => return None,
            (Some((gap, left)), Some((other, right))) => {
                // As scripts have it: an eighth of the time that passed.
                let tolerance = tolerance.max((*gap).max(*other) / 8);
                gap.abs_diff(*other) <= tolerance && comparable(&left.text) == comparable(&right.text)
            }
            _ => false,
        };
        if !same {
            let line = left.as_ref().or(right.as_ref()).map_or(0, |(_, entry)| entry.line);
            let [first, second] = [left, right].map(|sent| sent.map(|(_, entry)| entry.to_string()));
            return Some(Parting { line, first, second });
        }
    }
}

/// What was sent, with the time since the packet before it. Calls don't count: a packet may be seen before the call
/// returns that sends it.
fn sent(trace: &[TraceEntry]) -> impl Iterator<Item = (Duration, &TraceEntry)> {
    let mut ordered: Vec<&TraceEntry> = trace.iter().collect();
    ordered.sort_by_key(|entry| entry.at);
    let mut before = Duration::ZERO;
    ordered.into_iter().filter_map(move |entry| {
        let gap = entry.at.saturating_sub(before);
        match entry.kind {
            TraceKind::Note | TraceKind::Call => return None,
            TraceKind::Sent if is_to_group(&entry.packet) => return None,
            _ => before = entry.at,
        }
        (entry.kind == TraceKind::Sent).then_some((gap, entry))
    })
}

fn is_to_group(bytes: &[u8]) -> bool {
    packet::decode(bytes).is_ok_and(|packet| match packet.destination {
        IpAddr::V4(ip) => ip.is_multicast(),
        IpAddr::V6(ip) => ip.is_multicast(),
    })
}

/// A packet's text without what is random.
fn comparable(text: &str) -> String {
    let text = match (text.find("[flowlabel "), text.find("] ")) {
        (Some(start), Some(end)) if start < end => [&text[..start], &text[end + 2..]].concat(),
        _ => text.to_owned(),
    };
    match text.split_once("TS val ") {
        Some((before, after)) => {
            let after = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
            format!("{before}TS val *{after}")
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64, kind: TraceKind, text: &str) -> TraceEntry {
        TraceEntry { at: Duration::from_millis(at), line: 1, kind, text: text.to_owned(), packet: Vec::new() }
    }

    fn parts(first: &[TraceEntry], second: &[TraceEntry]) -> bool {
        parting(first, second, Duration::from_millis(4)).is_some()
    }

    #[test]
    fn what_is_random_is_not_compared() {
        let ours =
            [entry(0, TraceKind::Sent, "[flowlabel 0x1] P. 1:2(1) ack 1 win 5 <nop,nop,TS val 1 ecr 2>")];
        let theirs = [entry(0, TraceKind::Sent, "P. 1:2(1) ack 1 win 5 <nop,nop,TS val 7 ecr 2>")];
        assert!(!parts(&ours, &theirs));
        let echo = [entry(0, TraceKind::Sent, "P. 1:2(1) ack 1 win 5 <nop,nop,TS val 7 ecr 3>")];
        assert!(parts(&ours, &echo));
    }

    #[test]
    fn times_count_from_what_came_before() {
        let ours = [entry(100, TraceKind::Received, "x"), entry(140, TraceKind::Sent, "y")];
        let shifted = [entry(130, TraceKind::Received, "x"), entry(171, TraceKind::Sent, "y")];
        assert!(!parts(&ours, &shifted));
        let late = [entry(100, TraceKind::Received, "x"), entry(160, TraceKind::Sent, "y")];
        assert!(parts(&ours, &late));
    }

    #[test]
    fn a_packet_more_is_a_difference() {
        let one = [entry(0, TraceKind::Sent, "y")];
        let parting = parting(&one, &[], Duration::ZERO).unwrap();
        assert_eq!((parting.first.as_deref(), parting.second), (Some("0.000000 > y"), None));
        assert!(parts(&[], &one));
    }
}
