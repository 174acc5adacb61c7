//! The runner itself is tested: each of the project's own scripts fails when one thing in it is not what the stack does.

mod alike;
mod calls;
mod code;
#[path = "../common/mod.rs"]
mod common;
mod packets;

use core::time::Duration;
use std::fs;

use alike::Alike;
use calls::altered_calls;
use code::altered_code;
use common::{VERSIONS, scripts};
use packets::altered_packets;
use tapsock_conformance::ast::{Action, Direction, Event, Script, Syscall, Time};
use tapsock_conformance::parse;
use tapsock_conformance::run::{Options, Verdict, is_for, run_parsed};

/// By how much a time is altered: more than any tolerance of the scripts.
const LATER: Duration = Duration::from_millis(500);

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
        "a later time",
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
    for (index, event) in script.events.iter().enumerate() {
        for (what, event) in altered_events(event) {
            let mut script = script.clone();
            let line = event.at.line - script.events[0].at.line;
            script.events[index] = event;
            mutants.push(Mutant { script, line, what });
        }
    }
    mutants
}

fn altered_events(event: &Event) -> Vec<(String, Event)> {
    let with = |action: Action| Event { action, ..event.clone() };
    match &event.action {
        Action::Packet(packet) => {
            let mut events: Vec<_> = altered_packets(packet)
                .into_iter()
                .map(|(what, packet)| (what, with(Action::Packet(packet))))
                .collect();
            let later = later(event.time).filter(|_| packet.direction == Direction::Outbound);
            events.extend(later.map(|time| ("a later time".to_owned(), Event { time, ..event.clone() })));
            events
        }
        Action::Syscall(call) => {
            let mut calls = altered_calls(call);
            if let Some(end) = call.end {
                calls.push(("a later end".to_owned(), Syscall { end: Some(end + LATER), ..call.clone() }));
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
