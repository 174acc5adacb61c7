//! A script under way: its events one after the other, on a target.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use super::call::Call;
use super::failure::Failure;
use super::flow::{Flow, Protocol, Side, Stage};
use super::lower::World;
use super::packet::{self, Malformed, Packet, Parts};
use super::rules::Rules;
use super::target::{Sent, Target, Woken};
use super::trace::{TraceEntry, TraceKind};
use crate::ast::{Action, Direction, Event, Position, Script, Syscall, Time};
use crate::shell::Shell;

mod calls;
mod code;
mod commands;
mod inbound;
mod outbound;

use code::Blocks;

/// How long after its time a packet is waited for, and the end of a call that the script has return at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// The first port of a peer.
const FIRST_REMOTE_PORT: u16 = 40_000;

/// A script under way.
pub(super) struct Session<'a> {
    script: &'a Script,
    rules: &'a Rules,
    target: &'a mut dyn Target,
    world: World,
    flows: Vec<Flow>,
    /// The flow that packets without ports are of: what the script spoke of last.
    current: Option<usize>,
    /// What the target sent that no event has asked for yet.
    queue: VecDeque<Received>,
    /// Fragments of the target of which others are missing.
    parts: Parts,
    /// When the event before happened: what relative times count from.
    base: Duration,
    /// The line of the event that is under way.
    line: u32,
    pending: Option<Pending>,
    next_remote_port: u16,
    shell: Shell,
    blocks: Blocks,
    notes: Vec<String>,
    trace: Vec<Traced>,
}

/// A packet of the target.
struct Received {
    at: Duration,
    packet: Result<Packet, Malformed>,
}

/// A call that goes on beside the events after it.
struct Pending {
    syscall: Syscall,
    call: Call,
    started: Duration,
    ends: Duration,
}

/// What is to be told of the run: a packet of the target is put in the numbers of the script at the end, when they
/// are known.
enum Traced {
    Told(TraceEntry),
    Sent { at: Duration, line: u32, bytes: Vec<u8> },
}

/// The earliest and the latest time that the script allows.
#[derive(Copy, Clone, Debug)]
struct Window {
    from: Duration,
    to: Duration,
    /// Whether the script names one point in time.
    is_point: bool,
    /// When the event before happened.
    base: Duration,
    /// What the event's times count from.
    origin: Duration,
}

impl<'a> Session<'a> {
    pub(super) fn new(script: &'a Script, rules: &'a Rules, target: &'a mut dyn Target) -> Self {
        let world = World {
            version: rules.version,
            local: rules.local_address(),
            remote: rules.remote_address(),
            descriptors: BTreeMap::new(),
        };
        Session {
            script,
            rules,
            target,
            world,
            flows: Vec::new(),
            current: None,
            queue: VecDeque::new(),
            parts: Parts::default(),
            base: Duration::ZERO,
            line: 0,
            pending: None,
            next_remote_port: FIRST_REMOTE_PORT,
            shell: Shell::new(directory(script)),
            blocks: Blocks::new(),
            notes: Vec::new(),
            trace: Vec::new(),
        }
    }

    /// Runs the script: what it does first, all events, and what it does at the end, come what may.
    ///
    /// # Errors
    ///
    /// The first failure.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let outcome = self.prepare().and_then(|()| {
            self.target.begin();
            self.events()
        });
        let cleaned = match &self.script.cleanup {
            Some(cleanup) => self.command(cleanup),
            None => Ok(()),
        };
        outcome.and(cleaned)
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        for path in &self.rules.init_scripts {
            let at = Position { line: 1, column: 1 };
            self.shell(at, &path.display().to_string())?;
        }
        self.script.init.as_ref().map_or(Ok(()), |init| self.command(init))
    }

    fn events(&mut self) -> Result<(), Failure> {
        for event in &self.script.events {
            self.line = event.at.line;
            self.event(event)?;
        }
        self.finish_pending()?;
        self.finish_code()
    }

    /// What happened, and what is to be known of the run.
    pub(super) fn into_story(mut self) -> (Vec<TraceEntry>, Vec<String>) {
        let traced = std::mem::take(&mut self.trace);
        let trace = traced.into_iter().map(|traced| self.told(traced)).collect();
        let mut notes = self.target.take_notes();
        notes.append(&mut self.notes);
        (trace, notes)
    }

    /// Adds something to be known to the trace.
    pub(super) fn note(&mut self, text: String) {
        let (at, line) = (self.target.now(), self.line);
        self.trace.push(Traced::Told(TraceEntry {
            at,
            line,
            kind: TraceKind::Note,
            text,
            packet: Vec::new(),
        }));
    }

    fn event(&mut self, event: &Event) -> Result<(), Failure> {
        let window = self.window(event.time);
        match &event.action {
            Action::Packet(packet) if packet.direction == Direction::Outbound => {
                self.expect(packet, window)?;
            }
            action => {
                let Some(window) = window else {
                    return Err(Failure::new(
                        event.at,
                        "only a packet that the stack sends may come at any time",
                    ));
                };
                self.wait_until(window.from)?;
                // A call whose time is over has ended: in real time its thread may be late.
                let is_over = |pending: &Pending| pending.ends + self.rules.tolerance < window.from;
                if self.pending.as_ref().is_some_and(is_over) {
                    self.finish_pending()?;
                }
                // What runs beside the next events began now.
                self.base = self.target.now();
                match action {
                    Action::Packet(packet) => self.inject(packet)?,
                    Action::Syscall(syscall) => self.syscall(syscall, window)?,
                    Action::Command(command) => self.command(command)?,
                    Action::Code(code) => self.code(code)?,
                }
                self.collect()?;
                if matches!(action, Action::Syscall(syscall) if syscall.end.is_some()) {
                    return Ok(());
                }
            }
        }
        self.base = self.target.now();
        Ok(())
    }

    /// When an event may happen; `None` where any time will do.
    fn window(&self, time: Time) -> Option<Window> {
        let base = self.base;
        let (from, to, is_point) = match time {
            Time::Any => return None,
            Time::Absolute(at) | Time::Relative(at) => (at, at, true),
            Time::AbsoluteRange { from, to } | Time::RelativeRange { from, to } => (from, to, false),
        };
        let origin = match time {
            Time::Relative(_) | Time::RelativeRange { .. } => base,
            _ => Duration::ZERO,
        };
        Some(Window { from: origin + from, to: origin + to, is_point, base, origin })
    }

    fn wait_until(&mut self, until: Duration) -> Result<(), Failure> {
        while self.target.now() < until {
            let woken = self.target.wait(Some(until));
            self.collect()?;
            if woken != Woken::Event {
                break;
            }
        }
        self.collect()
    }

    /// Takes what the target has sent, and the end of a call that was under way.
    fn collect(&mut self) -> Result<(), Failure> {
        while let Some(Sent { at, bytes }) = self.target.sent().pop_front() {
            if let Some((whole, parts)) = self.parts.take(&bytes) {
                let packet = packet::decode(&whole).map(|packet| Packet { parts, ..packet });
                self.queue.push_back(Received { at, packet });
            }
            self.trace.push(Traced::Sent { at, line: self.line, bytes });
        }
        match self.target.take_ended() {
            Some((at, outcome)) => self.end_pending(at, &outcome),
            None => Ok(()),
        }
    }

    /// Whether `at` is within what the script allows.
    fn check_time(&self, at: Duration, window: Window, what: &str, place: Position) -> Result<(), Failure> {
        let tolerance = match window.is_point {
            true => self.rules.tolerance_after(window.to.saturating_sub(window.base)),
            false => self.rules.tolerance,
        };
        if at + tolerance >= window.from && at <= window.to + tolerance {
            return Ok(());
        }
        let expected = match window.is_point {
            true => seconds(window.from),
            false => format!("{}~{}", seconds(window.from), seconds(window.to)),
        };
        let (at, tolerance) = (seconds(at), seconds(tolerance));
        Err(Failure::new(
            place,
            format!("{what} at {at} s; expected at {expected} s, tolerance {tolerance} s"),
        ))
    }

    fn told(&self, traced: Traced) -> TraceEntry {
        match traced {
            Traced::Told(entry) => entry,
            Traced::Sent { at, line, bytes } => {
                let text = match packet::decode(&bytes) {
                    Ok(packet) => self.shown(&packet),
                    Err(Malformed(why)) => format!("malformed: {why}"),
                };
                TraceEntry { at, line, kind: TraceKind::Sent, text, packet: bytes }
            }
        }
    }

    /// A packet of the target, in the numbers of the script where it belongs to a flow.
    fn shown(&self, packet: &Packet) -> String {
        match self.flows.iter().rfind(|flow| flow.sends(packet)) {
            Some(flow) => in_script(flow, packet).to_string(),
            None => match packet.ports() {
                Some((source, destination)) => format!("{source} > {destination} {packet}"),
                None => packet.to_string(),
            },
        }
    }

    fn new_flow(&mut self, flow: Flow) -> usize {
        self.flows.push(flow);
        let index = self.flows.len() - 1;
        self.current = Some(index);
        index
    }

    fn next_remote_port(&mut self) -> u16 {
        let port = self.next_remote_port;
        self.next_remote_port += 1;
        port
    }
}

/// The directory that a script lies in, where its commands are run.
fn directory(script: &Script) -> &Path {
    match Path::new(&script.name).parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// A packet of a flow with the sequence numbers of the script.
fn in_script(flow: &Flow, packet: &Packet) -> Packet {
    let mut packet = packet.clone();
    if let packet::Transport::Tcp(tcp) = &mut packet.transport {
        *tcp = flow.in_script(tcp);
    }
    packet
}

fn seconds(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}
