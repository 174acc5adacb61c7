//! Mutants that pass as they should: what they alter, nobody can tell.

use std::collections::HashSet;

/// A mutant, by where it is altered and how.
#[derive(Debug, Eq, Hash, PartialEq)]
pub struct Alike {
    pub script: String,
    /// Counted from the first event's.
    pub line: u32,
    pub what: String,
}

/// All that are known.
pub fn all() -> HashSet<Alike> {
    let known = KNOWN.iter().flat_map(|(why, script, what, lines)| {
        assert!(!why.is_empty());
        lines.iter().map(|line| Alike { script: (*script).to_owned(), line: *line, what: (*what).to_owned() })
    });
    known.collect()
}

/// Segments that come in and may be any: by their scripts, and the lines counted from the first event's.
pub fn arrivals() -> HashSet<(String, u32)> {
    let known = ARRIVALS.iter().flat_map(|(why, script, lines)| {
        assert!(!why.is_empty());
        lines.iter().map(|line| ((*script).to_owned(), *line))
    });
    known.collect()
}

const ARRIVALS: &[(&str, &str, &[u32])] = &[
    (UNANSWERED, "challenge-limit", &[12, 13]),
    (UNANSWERED, "reset-out-of-window", &[10]),
    (UNANSWERED, "syn-refused-with-wrong-number", &[3]),
    (UNANSWERED, "time-wait-not-assassinated", &[14]),
    (UNANSWERED, "unsent-reported", &[14, 15, 16, 17]),
    (KEPT, "path-mtu-smallest-v4", &[12]),
    (KEPT, "path-mtu-v4", &[16]),
    (KEPT, "path-mtu-v6", &[19]),
    (KEPT, "round-trip-smoothed", &[19]),
];

const UNANSWERED: &str = "it is one to be passed over, and so would most others be";
const KEPT: &str = "what is asked behind it is not to be changed by it";

const DROPPED: &str = "it is not taken, whatever it holds";
const PART: &str = "the part of it that comes is the same";

/// Why nobody can tell, in which script, what is altered, and in which lines, counted from the first event's.
type Known = (&'static str, &'static str, &'static str, &'static [u32]);

const KNOWN: &[Known] = &[
    (UNANSWERED, "errors-not-sent-v4", "a longer datagram", &[4, 5, 6, 7, 8, 10]),
    (UNANSWERED, "errors-not-sent-v4", "another port", &[4, 5, 6, 7, 8, 10]),
    (IGNORED, "errors-not-sent-v4", "another type", &[11, 12]),
    (CLOSED, "errors-not-sent-v4", "another port", &[13]),
    (UNANSWERED, "errors-not-sent-v6", "a longer datagram", &[4, 5, 6, 8]),
    (UNANSWERED, "errors-not-sent-v6", "another port", &[4, 5, 6, 8]),
    (IGNORED, "errors-not-sent-v6", "another type", &[9, 10, 11]),
    (CLOSED, "errors-not-sent-v6", "another port", &[12]),
    (UNANSWERED, "source-route-refused-v4", "a longer datagram", &[8, 9]),
    (IGNORED, "path-mtu-v6", "another type", &[17, 18]),
    (IGNORED, "path-mtu-v6", "another MTU", &[14, 17, 18]),
    (PART, "echo-in-fragments", "another type", &[4]),
    (PART, "echo-in-fragments", "another identifier", &[4]),
    (PART, "fragment-of-odd-length-v6", "a longer datagram", &[3]),
    (DROPPED, "fragments-overlap", "a longer datagram", &[2, 3, 4, 6]),
    (DROPPED, "fragments-put-together", "a longer datagram", &[3]),
    (PART, "fragments-put-together", "a longer datagram", &[4]),
    (DROPPED, "fragments-time-out-v4", "a longer datagram", &[3]),
    (DROPPED, "fragments-time-out-v6", "a longer datagram", &[3]),
    (PART, "fragments-time-out-v6", "a longer datagram", &[4]),
    (DROPPED, "unknown-options-v6", "a longer datagram", &[5, 13]),
    (IGNORED, "icmp-ends-connect-v4", "another type", &[4]),
    (IGNORED, "icmp-ends-connect-v6", "another type", &[4]),
    (IGNORED, "icmp-errno-v4", "another type", &[4, 8, 20, 44, 48]),
    (IGNORED, "icmp-errno-v6", "another type", &[4, 12, 16, 36, 44]),
    (IGNORED, "icmp-soft-on-connection-v4", "another type", &[10]),
    (LAST_COUNTS, "icmp-soft-on-connection-v4", "another type", &[11, 12, 13]),
    (IGNORED, "icmp-unconnected", "another type", &[4]),
    (IGNORED, "path-mtu-v4", "another type", &[13]),
    (IGNORED, "path-mtu-v4", "another MTU", &[13]),
    (IGNORED, "path-mtu-v6", "another type", &[13]),
    (IGNORED, "path-mtu-v6", "another MTU", &[13]),
    (IGNORED, "path-mtu-too-small-v6", "another type", &[10, 11]),
    (TOO_SMALL, "path-mtu-too-small-v6", "another MTU", &[11]),
    (TOO_SMALL, "path-mtu-smallest-v4", "another MTU", &[10]),
    (TOO_SMALL, "udp-path-mtu-v4", "another MTU", &[18]),
    (LARGER, "udp-path-mtu-v4", "another MTU", &[14]),
    (LARGER, "udp-path-mtu-v6", "another MTU", &[16]),
    (IGNORED, "timestamp-answered-v4", "another type", &[4, 5]),
    (IGNORED, "timestamp-answered-v4", "another identifier", &[4, 5]),
    (IGNORED, "unreachable-is-soft-v4", "another type", &[12]),
    (IGNORED, "unreachable-reverts-backoff", "another type", &[25, 26]),
    (CLOSED, "icmp-rate-limit-v4", "another port", &[2, 4, 6, 8, 10, 12, 14, 15, 16]),
    (CLOSED, "icmp-rate-limit-v6", "another port", &[2, 4, 6, 8, 10, 12, 14, 15, 16]),
    (LIMITED, "icmp-rate-limit-v4", "a longer datagram", &[14, 15]),
    (LIMITED, "icmp-rate-limit-v6", "a longer datagram", &[14, 15]),
    (CLOSED, "udp-closed-port", "another port", &[2]),
    (FIRST, "time-wait-port-bound-again", "TS val 2900 ecr 600 for TS val 1900 ecr 600", &[16]),
    (FIRST, "time-wait-port-chosen-again", "TS val 2900 ecr 600 for TS val 1900 ecr 600", &[14]),
    (CUT, "udp-both-ways", "a longer datagram", &[9]),
];

const IGNORED: &str = "the message is one to be ignored, as is one of a type that nobody knows";
const LAST_COUNTS: &str = "a later message's error takes the place of this one's";
const TOO_SMALL: &str = "both are less than any path is believed to take";
const LARGER: &str = "both are more than the path is known to take";
const CLOSED: &str = "nobody listens at the next port either";
const LIMITED: &str = "no answer is sent that could quote it";
const FIRST: &str = "it is the one stamp of its connection, from which the script would count all others";
const CUT: &str = "the program reads less than either has";
