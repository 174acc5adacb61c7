//! The runner itself is tested: each of the project's own scripts fails when one thing in it is not what the stack does.

mod common;

use core::time::Duration;
use std::fs;

use common::{VERSIONS, scripts};
use tapsock_conformance::ast::{
    Action, Body, Direction, Expr, ExprKind, IpEcn, Packet, SackBlock, Script, Tcp, TcpFlags, TcpOption,
    TcpOptions, Time,
};
use tapsock_conformance::parse;
use tapsock_conformance::run::{Options, Verdict, is_for, run_parsed};

/// By how much a time is altered: more than any tolerance of the scripts.
const LATER: Duration = Duration::from_millis(500);

/// What a script is with one thing altered, and what that is.
struct Mutant {
    script: Script,
    what: String,
}

#[test]
fn each_altered_script_fails() {
    let (mut survivors, mut count) = (Vec::new(), 0);
    for path in scripts() {
        let (name, text) = (path.display().to_string(), fs::read_to_string(&path).unwrap());
        let version = VERSIONS.into_iter().find(|version| is_for(&name, *version)).unwrap();
        for Mutant { script, what } in mutants(&parse(&name, &text).unwrap()) {
            count += 1;
            if run_parsed(&script, version, &Options::default()).verdict == Verdict::Passed {
                survivors.push(format!("{name}:{what}"));
            }
        }
    }
    assert!(survivors.is_empty(), "passed though altered:\n{}", survivors.join("\n"));
    assert!(count > 300, "only {count} mutants");
}

/// The script with each thing that it expects altered, one at a time.
fn mutants(script: &Script) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for (index, event) in script.events.iter().enumerate() {
        let mut add = |what: String, action: Action, time: Time| {
            let mut script = script.clone();
            script.events[index].action = action;
            script.events[index].time = time;
            mutants.push(Mutant { script, what: format!("{}: {what}", event.at) });
        };
        match &event.action {
            Action::Packet(packet) if packet.direction == Direction::Outbound => {
                for (what, packet) in altered_packets(packet) {
                    add(what, Action::Packet(packet), event.time);
                }
                if let Some(time) = later(event.time) {
                    add("a later time".to_owned(), event.action.clone(), time);
                }
            }
            Action::Syscall(call) => {
                let mut other = call.clone();
                other.result = altered(&call.result);
                // The number of a descriptor is the script's own: there it must not be a failure.
                if !matches!(call.name.as_str(), "socket" | "accept") || other.errno.is_some() {
                    add("another result".to_owned(), Action::Syscall(other), event.time);
                }
                if let Some(errno) = &call.errno {
                    let mut other = call.clone();
                    let name = if errno.text == "EIO" { "EPERM" } else { "EIO" };
                    other.errno.as_mut().unwrap().text = name.to_owned();
                    add("another errno".to_owned(), Action::Syscall(other), event.time);
                }
                if let Some(end) = call.end {
                    let mut other = call.clone();
                    other.end = Some(end + LATER);
                    add("a later end".to_owned(), Action::Syscall(other), event.time);
                }
            }
            _ => {}
        }
    }
    mutants
}

/// A result that is another.
fn altered(result: &Expr) -> Expr {
    let kind = match result.kind {
        ExprKind::Integer(value) => ExprKind::Integer(if value < 0 { 1 } else { value + 1 }),
        _ => ExprKind::Integer(77),
    };
    Expr { at: result.at, kind }
}

/// The same event half a second later, where it has a time.
fn later(time: Time) -> Option<Time> {
    Some(match time {
        Time::Any => return None,
        Time::Absolute(at) => Time::Absolute(at + LATER),
        Time::Relative(after) => Time::Relative(after + LATER),
        Time::AbsoluteRange { from, to } => Time::AbsoluteRange { from: from + LATER, to: to + LATER },
        Time::RelativeRange { from, to } => Time::RelativeRange { from: from + LATER, to: to + LATER },
    })
}

/// A packet with each of its parts altered.
fn altered_packets(packet: &Packet) -> Vec<(String, Packet)> {
    let mut packets = Vec::new();
    let mut ecn = packet.clone();
    ecn.ip.ecn = Some(if packet.ip.ecn == Some(IpEcn::Ce) { IpEcn::NoEcn } else { IpEcn::Ce });
    packets.push(("other ECN bits".to_owned(), ecn));
    if let Body::Tcp(segment) = &packet.body {
        for (what, segment) in altered_segments(segment) {
            packets.push((what, Packet { body: Body::Tcp(segment), ..packet.clone() }));
        }
    }
    packets
}

fn altered_segments(segment: &Tcp) -> Vec<(String, Tcp)> {
    let mut segments = Vec::new();
    for (letter, flag) in TcpFlags::LETTERS {
        let mut other = segment.clone();
        other.flags =
            if segment.flags.contains(flag) { segment.flags.without(flag) } else { segment.flags | flag };
        segments.push((format!("flag {letter}"), other));
    }
    let mut longer = segment.clone();
    longer.sequence.length += 1;
    longer.sequence.end = longer.sequence.end.wrapping_add(1);
    segments.push(("a byte more".to_owned(), longer));
    // The first segment says where the script's numbers begin.
    if !segment.flags.contains(TcpFlags::SYN) {
        let mut moved = segment.clone();
        moved.sequence.start = moved.sequence.start.wrapping_add(1);
        moved.sequence.end = moved.sequence.end.wrapping_add(1);
        segments.push(("another sequence number".to_owned(), moved));
    }
    if let Some(ack) = segment.ack {
        segments.push(("another acknowledgement".to_owned(), Tcp { ack: Some(ack + 1), ..segment.clone() }));
    }
    let window = segment.window.map_or(1, |window| window ^ 1);
    segments.push(("another window".to_owned(), Tcp { window: Some(window), ..segment.clone() }));
    let urgent = segment.urgent.unwrap_or(0) + 1;
    segments.push(("an urgent pointer".to_owned(), Tcp { urgent: Some(urgent), ..segment.clone() }));
    if let TcpOptions::Listed(options) = &segment.options {
        for (index, option) in options.iter().enumerate() {
            let mut other = options.clone();
            other[index] = other_option(option);
            let what = format!("{} for {option}", other[index]);
            segments.push((what, Tcp { options: TcpOptions::Listed(other), ..segment.clone() }));
        }
        let more = [&options[..], &[const { TcpOption::Nop }; 4]].concat();
        segments
            .push(("more options".to_owned(), Tcp { options: TcpOptions::Listed(more), ..segment.clone() }));
    }
    segments
}

fn other_option(option: &TcpOption) -> TcpOption {
    match option {
        TcpOption::Mss(mss) => TcpOption::Mss(mss + 1),
        TcpOption::WindowScale(shift) => TcpOption::WindowScale(shift + 1),
        TcpOption::Sack(blocks) => {
            let last = blocks.len() - 1;
            let mut blocks = blocks.clone();
            blocks[last] = SackBlock { right: blocks[last].right + 1, ..blocks[last] };
            TcpOption::Sack(blocks)
        }
        TcpOption::Timestamp { value, echo } => TcpOption::Timestamp { value: *value, echo: echo + 1 },
        TcpOption::Nop => TcpOption::EndOfList,
        _ => TcpOption::Nop,
    }
}
