//! The runner itself is tested: each of the project's own scripts fails when one thing in it is not what the stack does.

mod alike;
mod calls;
mod code;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/conditions.rs"]
mod conditions;
mod packets;

use core::time::Duration;
use std::fs;

use alike::Alike;
use calls::altered_calls;
use code::altered_code;
use common::{VERSIONS, scripts};
use packets::{Stamps, altered_arrivals, altered_packets, sound};
use tapsock_conformance::ast::{
    Action, Body, Direction, Event, OptionLine, Packet, Script, Setting, Syscall, Time,
};
use tapsock_conformance::parse;
use tapsock_conformance::run::{Options, Verdict, is_for, run_parsed};

/// By how much a time is altered: more than any tolerance of the scripts.
const LATER: Duration = Duration::from_millis(500);

/// A time that is longer than this is longer than its half, whatever the tolerance.
const LONG: Duration = Duration::from_millis(20);

/// What a script is with one thing altered, and what that is.
struct Mutant {
    script: Script,
    line: u32,
    what: String,
}

#[test]
fn each_altered_script_fails() {
    let mut complaints = Vec::new();
    let mut alike = alike::all();
    for path in scripts() {
        let (name, text) = (path.display().to_string(), fs::read_to_string(&path).unwrap());
        let version = VERSIONS.into_iter().find(|version| is_for(&name, *version)).unwrap();
        let mut failed = 0;
        for Mutant { script, line, what } in mutants(&parse(&name, &text).unwrap()) {
            if run_parsed(&script, version, &Options::default()).verdict != Verdict::Passed {
                failed += 1;
                continue;
            }
            let mutant = Alike { script: path.file_stem().unwrap().to_str().unwrap().to_owned(), line, what };
            if !alike.remove(&mutant) {
                complaints
                    .push(format!("{name}: {line} lines below the first event: {}: passed", mutant.what));
            }
        }
        if failed == 0 {
            complaints.push(format!("{name}: no alteration makes it fail"));
        }
    }
    complaints.extend(alike.iter().map(|mutant| format!("{mutant:?} fails, or is no mutant")));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Each kind of thing that scripts expect is altered in some script: a kind that no mutant has would go unseen.
#[test]
fn each_kind_of_expectation_is_altered() {
    let whats: Vec<String> = scripts()
        .iter()
        .flat_map(|path| mutants(&parse("s.pkt", &fs::read_to_string(path).unwrap()).unwrap()))
        .map(|mutant| mutant.what)
        .collect();
    let kinds = [
        "flag P",
        "another sequence number",
        "another acknowledgement",
        "another window",
        "an urgent pointer",
        "more options",
        "other ECN bits",
        "another time to live",
        "another type of service",
        "another number of fragments",
        "a later time",
        "an earlier time",
        "another port",
        "a longer datagram",
        "another type",
        "another code",
        "another MTU",
        "another identifier",
        "another quotation",
        "another result",
        "another errno",
        "a later end",
        "an earlier end",
        "another option's value",
        "another number",
        "other revents",
        "other events",
        "other data",
        "other msg_flags",
        "another cmsg_type",
        "another ee_info",
        "another comparison",
        "another constant",
    ];
    let missing: Vec<_> =
        kinds.iter().filter(|kind| !whats.iter().any(|what| what.contains(*kind))).collect();
    assert!(missing.is_empty(), "nothing of: {missing:?}");
    assert!(whats.len() > 3000, "only {} mutants", whats.len());
}

/// The script with each thing that it expects altered, one at a time.
fn mutants(script: &Script) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let stamps = stamps(script);
    for (index, event) in script.events.iter().enumerate() {
        for (what, event) in altered_events(event, stamps) {
            mutants.push(Mutant {
                script: with_event(script, index, event),
                line: line(script, index),
                what,
            });
        }
    }
    mutants
}

fn stamps(script: &Script) -> Stamps {
    let has_tick =
        |option: &OptionLine| matches!(option.setting, Setting::TcpTsTick(tick) if !tick.is_zero());
    if script.options.iter().any(has_tick) { Stamps::Compared } else { Stamps::Named }
}

/// The script with another event in the place of one.
fn with_event(script: &Script, index: usize, event: Event) -> Script {
    let mut script = script.clone();
    script.events[index] = event;
    script
}

/// How far below the first event one stands.
fn line(script: &Script, index: usize) -> u32 {
    script.events[index].at.line - script.events[0].at.line
}

fn altered_events(event: &Event, stamps: Stamps) -> Vec<(String, Event)> {
    let with = |action: Action| Event { action, ..event.clone() };
    match &event.action {
        Action::Packet(packet) => {
            let mut events: Vec<_> = altered_packets(packet, stamps)
                .into_iter()
                .map(|(what, packet)| (what, with(Action::Packet(packet))))
                .collect();
            if packet.direction == Direction::Outbound {
                let times = [("a later time", later(event.time)), ("an earlier time", earlier(event.time))];
                for (what, time) in times {
                    events.extend(time.map(|time| (what.to_owned(), Event { time, ..event.clone() })));
                }
            }
            events
        }
        Action::Syscall(call) => {
            let mut calls = altered_calls(call);
            if let Some(end) = call.end {
                calls.push(("a later end".to_owned(), Syscall { end: Some(end + LATER), ..call.clone() }));
                let half = half(event.time, end);
                let earlier = half.map(|end| Syscall { end: Some(end), ..call.clone() });
                calls.extend(earlier.map(|call| ("an earlier end".to_owned(), call)));
            }
            calls.into_iter().map(|(what, call)| (what, with(Action::Syscall(call)))).collect()
        }
        Action::Code(code) => {
            altered_code(code).into_iter().map(|(what, code)| (what, with(Action::Code(code)))).collect()
        }
        // A command says nothing of what the stack does; what it sets shows in what comes after it.
        Action::Command(_) => Vec::new(),
    }
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

/// The same event earlier, where it comes a while after the one before: at half of that time, or before the first quarter of
/// the span begins.
fn earlier(time: Time) -> Option<Time> {
    let half = |time: Duration| (time > LONG).then_some(time / 2);
    Some(match time {
        Time::Any | Time::Absolute(_) | Time::AbsoluteRange { .. } => return None,
        Time::Relative(after) => Time::Relative(half(after)?),
        Time::RelativeRange { from, .. } => Time::RelativeRange { from: from / 4, to: half(from)? },
    })
}

/// The end of a call that begins at `time` when half of its time has passed.
fn half(time: Time, end: Duration) -> Option<Duration> {
    let start = match time {
        Time::Absolute(start) | Time::Relative(start) => start,
        _ => return None,
    };
    let took = end.checked_sub(start).filter(|took| *took > LONG)?;
    Some(start + took / 2)
}

/// Nothing comes in without a reason: the script fails where a segment does not come, or comes with another number, flag,
/// window or option.
#[test]
fn each_segment_that_comes_in_tells() {
    let mut complaints = Vec::new();
    let mut alike = alike::arrivals();
    for path in scripts() {
        let (name, text) = (path.display().to_string(), fs::read_to_string(&path).unwrap());
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let version = VERSIONS.into_iter().find(|version| is_for(&name, *version)).unwrap();
        let script = parse(&name, &text).unwrap();
        let fails =
            |script: &Script| run_parsed(script, version, &Options::default()).verdict != Verdict::Passed;
        // What comes last has nobody who could tell of it.
        for (index, event) in script.events.iter().enumerate().rev().skip(1) {
            let Action::Packet(
                packet @ Packet { body: Body::Tcp(segment), direction: Direction::Inbound, .. },
            ) = &event.action
            else {
                continue;
            };
            let altered = altered_arrivals(segment).into_iter();
            let altered = altered.map(|(_, segment)| Packet { body: Body::Tcp(segment), ..packet.clone() });
            let mut arrivals = sound(packet).into_iter().chain(altered).map(|packet| {
                with_event(&script, index, Event { action: Action::Packet(packet), ..event.clone() })
            });
            let tells = arrivals.any(|script| fails(&script));
            let line = line(&script, index);
            if !tells && !alike.remove(&(stem.to_owned(), line)) {
                complaints.push(format!("{name}: {line} lines below the first event: any segment will do"));
            }
        }
    }
    complaints.extend(alike.iter().map(|place| format!("{place:?}: is told from others, or no segment")));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
