//! Every option that a kind of sockets takes changes something there, or stands in `docs/sockets/idle.tsv`: the same programs
//! are run with it and without it, and what comes of all calls, and every packet, is compared.

#[path = "../common/mod.rs"]
mod common;
mod datagrams;
mod run;
mod streams;
mod values;

use std::collections::BTreeSet;

use run::{Kind, Run, Setting};
use tapsock_sockets::constants::*;
use values::{companions, value_of};

/// A protocol that nobody has.
const NOBODYS: i32 = 200;

/// The kinds of sockets as `docs/sockets.md` calls them, some of several protocols.
const KINDS: [Kind; 10] = [
    Kind { name: "tcp", domain: AF_INET, kind: SOCK_STREAM, protocol: IPPROTO_TCP },
    Kind { name: "tcp6", domain: AF_INET6, kind: SOCK_STREAM, protocol: IPPROTO_TCP },
    Kind { name: "udp", domain: AF_INET, kind: SOCK_DGRAM, protocol: IPPROTO_UDP },
    Kind { name: "udp6", domain: AF_INET6, kind: SOCK_DGRAM, protocol: IPPROTO_UDP },
    Kind { name: "ping", domain: AF_INET, kind: SOCK_DGRAM, protocol: IPPROTO_ICMP },
    Kind { name: "ping6", domain: AF_INET6, kind: SOCK_DGRAM, protocol: IPPROTO_ICMPV6 },
    Kind { name: "raw", domain: AF_INET, kind: SOCK_RAW, protocol: IPPROTO_ICMP },
    Kind { name: "raw", domain: AF_INET, kind: SOCK_RAW, protocol: NOBODYS },
    Kind { name: "raw6", domain: AF_INET6, kind: SOCK_RAW, protocol: IPPROTO_ICMPV6 },
    Kind { name: "raw6", domain: AF_INET6, kind: SOCK_RAW, protocol: NOBODYS },
];

/// Pairs that change nothing, and what else they are taken for, which `docs/sockets/differences.tsv` says.
const ELSEWHERE: [(&str, &str); 1] = [
    // On Linux it keeps a ping socket from being connected to where it can send nothing.
    ("IPV6_V6ONLY", "ping6"),
];

/// The levels, by the prefix of the names.
const LEVELS: [(&str, i32); 8] = [
    ("SO_", SOL_SOCKET),
    ("IP_", SOL_IP),
    ("IPV6_", SOL_IPV6),
    ("TCP_", SOL_TCP),
    ("UDP_", SOL_UDP),
    ("ICMP_", SOL_RAW),
    ("ICMP6_", SOL_ICMPV6),
    ("MCAST_", SOL_IP),
];

/// The names, levels and numbers of what may be an option.
fn named() -> Vec<(&'static str, i32, i32)> {
    let lines = include_str!("../../src/constants.rs").lines().filter_map(|line| {
        let (name, number) = line.trim().strip_suffix(';')?.split_once(" = ")?;
        let (_, level) = LEVELS.iter().find(|(prefix, _)| name.starts_with(prefix))?;
        let number = number.trim_end_matches(", message").parse().ok()?;
        (!name.contains("PMTUDISC")).then_some((name, *level, number))
    });
    lines.collect()
}

/// Whether routers are told of it.
fn is_about_groups(name: &str) -> bool {
    ["MEMBERSHIP", "SOURCE", "MCAST_"].iter().any(|part| name.contains(part))
}

/// What comes of all programs on a socket with these options.
fn outcome(kind: Kind, settings: &[Setting], name: &str) -> Vec<String> {
    let mut run = Run::new(kind, settings);
    match (name, kind.kind) {
        ("IPV6_ADDR_PREFERENCES", _) => run::preferences(&mut run),
        (_, SOCK_STREAM) => streams::all(&mut run),
        _ => {
            datagrams::all(&mut run);
            if is_about_groups(name) {
                run::reports(&mut run);
            }
        }
    }
    run.log
}

#[test]
fn what_is_taken_acts_or_is_known_not_to() {
    let listed = include_str!("../../../docs/sockets/idle.tsv").lines().flat_map(|line| {
        let (name, kinds) = line.split_once('\t').expect("an option and its sockets");
        kinds.split(' ').map(move |kind| (name, kind))
    });
    let listed = listed.filter(|(_, kind)| !kind.starts_with("unix")).chain(ELSEWHERE);
    let (mut idle, mut acting) = (BTreeSet::new(), BTreeSet::new());
    for kind in KINDS {
        let plain = outcome(kind, &[], "");
        for (name, level, number) in named() {
            let before: Vec<Setting> = companions(name, kind.domain);
            let mut setting = Setting { level, number, value: value_of(name, kind.domain) };
            if name == "SO_REUSEADDR" && ![IPPROTO_TCP, IPPROTO_UDP].contains(&kind.protocol) {
                // These have it at first.
                setting.value = 0i32.to_ne_bytes().to_vec();
            }
            if name == "IP_MTU_DISCOVER" && kind.kind == SOCK_STREAM {
                // Cutting is what it does not do at first.
                setting.value = IP_PMTUDISC_DONT.to_ne_bytes().to_vec();
            }
            if name == "IPV6_MTU_DISCOVER" && kind.kind == SOCK_STREAM {
                // It believes what others say of the path at first.
                setting.value = IP_PMTUDISC_PROBE.to_ne_bytes().to_vec();
            }
            if !run::takes(kind, &before, &setting) {
                continue;
            }
            let with = outcome(kind, &[&before[..], &[setting]].concat(), name);
            let without = match (before.is_empty(), name) {
                (true, name) if name != "IPV6_ADDR_PREFERENCES" && !is_about_groups(name) => plain.clone(),
                _ => outcome(kind, &before, name),
            };
            let set = if with == without { &mut idle } else { &mut acting };
            set.insert((name, kind.name));
        }
    }
    // Of a protocol that has no use for it, it may be idle.
    let idle: BTreeSet<_> = idle.difference(&acting).copied().collect();
    let listed: BTreeSet<_> = listed.collect();
    let unlisted: Vec<_> = idle.difference(&listed).collect();
    assert!(unlisted.is_empty(), "these change nothing: {unlisted:?}");
    let acts: Vec<_> = listed.difference(&idle).collect();
    assert!(acts.is_empty(), "these act, or are refused: {acts:?}");
    assert!(acting.len() > 300, "{}", acting.len());
}
