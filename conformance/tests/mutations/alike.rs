//! Mutants that pass as they should: what they alter, nobody can tell.

use std::collections::HashSet;

/// A mutant, by where it is altered and how.
#[derive(Debug, Eq, Hash, PartialEq)]
pub struct Alike {
    pub script: String,
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

/// Why nobody can tell, in which script, what is altered, and in which lines.
type Known = (&'static str, &'static str, &'static str, &'static [u32]);

const KNOWN: &[Known] = &[
    (IGNORED, "icmp-ends-connect-v4", "another type", &[7]),
    (IGNORED, "icmp-ends-connect-v6", "another type", &[7]),
    (IGNORED, "icmp-errno-v4", "another type", &[6, 10, 22, 46, 50]),
    (IGNORED, "icmp-errno-v6", "another type", &[6, 14, 18, 38, 46]),
    (IGNORED, "icmp-soft-on-connection-v4", "another type", &[14]),
    (LAST_COUNTS, "icmp-soft-on-connection-v4", "another type", &[15, 16, 17]),
    (IGNORED, "icmp-unconnected", "another type", &[6]),
    (IGNORED, "path-mtu-v4", "another type", &[18]),
    (IGNORED, "path-mtu-v4", "another MTU", &[18]),
    (IGNORED, "path-mtu-v6", "another type", &[18]),
    (IGNORED, "path-mtu-v6", "another MTU", &[18]),
    (IGNORED, "path-mtu-too-small-v6", "another type", &[16, 17]),
    (TOO_SMALL, "path-mtu-too-small-v6", "another MTU", &[17]),
    (TOO_SMALL, "path-mtu-smallest-v4", "another MTU", &[13]),
    (TOO_SMALL, "udp-path-mtu-v4", "another MTU", &[21]),
    (LARGER, "udp-path-mtu-v4", "another MTU", &[17]),
    (LARGER, "udp-path-mtu-v6", "another MTU", &[24]),
    (IGNORED, "timestamp-answered-v4", "another type", &[7, 8]),
    (IGNORED, "timestamp-answered-v4", "another identifier", &[7, 8]),
    (IGNORED, "unreachable-is-soft-v4", "another type", &[18]),
    (IGNORED, "unreachable-reverts-backoff", "another type", &[27, 28]),
    (CLOSED, "icmp-rate-limit-v4", "another port", &[4, 6, 8, 10, 12, 14, 16, 17, 18]),
    (CLOSED, "icmp-rate-limit-v6", "another port", &[5, 7, 9, 11, 13, 15, 17, 18, 19]),
    (LIMITED, "icmp-rate-limit-v4", "a longer datagram", &[16, 17]),
    (LIMITED, "icmp-rate-limit-v6", "a longer datagram", &[17, 18]),
    (CLOSED, "udp-closed-port", "another port", &[5]),
    (CUT, "udp-both-ways", "a longer datagram", &[12]),
];

const IGNORED: &str = "the message is one to be ignored, as is one of a type that nobody knows";
const LAST_COUNTS: &str = "a later message's error takes the place of this one's";
const TOO_SMALL: &str = "both are less than any path is believed to take";
const LARGER: &str = "both are more than the path is known to take";
const CLOSED: &str = "nobody listens at the next port either";
const LIMITED: &str = "no answer is sent that could quote it";
const CUT: &str = "the program reads less than either has";
