//! Calls of the script, and what they make of its sockets.

use core::net::SocketAddr;
use core::time::Duration;

use tapsock_sockets::SockAddr;
use tapsock_sockets::constants::*;

use super::{Flow, PATIENCE, Pending, Protocol, Session, Side, Stage, Traced, Window};
use crate::ast::{ExprKind, Position, Syscall};
use crate::run::call::{Call, Outcome, Output};
use crate::run::failure::Failure;
use crate::run::lower::integer;
use crate::run::returned::{self, Clock};
use crate::run::target::Woken;
use crate::run::trace::{TraceEntry, TraceKind};
use crate::symbols;

impl Session<'_> {
    /// Makes a call; one with an end goes on beside what follows.
    pub(super) fn syscall(&mut self, syscall: &Syscall, window: Window) -> Result<(), Failure> {
        self.finish_pending()?;
        let call = self.world.lower(syscall)?;
        let started = self.target.now();
        self.before(&call);
        let Some(end) = syscall.end else {
            let patience = self.rules.tolerance_after(Duration::ZERO) + PATIENCE;
            let Some(outcome) = self.target.call(call.clone(), patience) else {
                return Err(never_returned(syscall, patience));
            };
            let ended = self.target.now();
            self.returned(syscall, &call, &outcome, ended)?;
            let window = Window { from: started, to: started, ..window };
            return self.check_time(ended, window, "the call returned", syscall.at);
        };
        // The end counts from where the start does.
        let ends = window.origin + end;
        self.pending = Some(Pending { syscall: syscall.clone(), call: call.clone(), started, ends });
        self.target.spawn(call);
        self.collect()
    }

    /// Waits for the end of the call that is under way.
    pub(super) fn finish_pending(&mut self) -> Result<(), Failure> {
        self.collect()?;
        while let Some(pending) = &self.pending {
            let (at, name) = (pending.syscall.at, pending.syscall.name.clone());
            let tolerance = self.rules.tolerance_after(pending.ends.saturating_sub(pending.started));
            let woken = self.target.wait(Some(pending.ends + tolerance));
            self.collect()?;
            if woken != Woken::Event && self.pending.is_some() {
                return Err(still_waits(at, &name, self.target.now()));
            }
        }
        Ok(())
    }

    /// The call that was under way has ended.
    pub(super) fn end_pending(&mut self, at: Duration, outcome: &Outcome) -> Result<(), Failure> {
        let Some(Pending { syscall, call, started, ends }) = self.pending.take() else { return Ok(()) };
        self.returned(&syscall, &call, outcome, at)?;
        let window = Window { from: ends, to: ends, is_point: true, base: started, origin: started };
        self.check_time(at, window, "the call returned", syscall.at)
    }

    /// A call has ended: compares it with the script and follows what it did.
    fn returned(
        &mut self,
        syscall: &Syscall,
        call: &Call,
        outcome: &Outcome,
        at: Duration,
    ) -> Result<(), Failure> {
        let errno = outcome.errno.map(|errno| symbols::errno_name(errno.raw_os_error()).unwrap_or("?"));
        let text = match errno {
            Some(errno) => format!("{}(...) = -1 {errno}", syscall.name),
            None => format!("{}(...) = {}", syscall.name, outcome.value),
        };
        let (line, kind) = (syscall.at.line, TraceKind::Call);
        self.trace.push(Traced::Told(TraceEntry { at, line, kind, text, packet: Vec::new() }));
        let clock =
            Clock { wall: self.target.wall_clock(), tolerance: self.rules.tolerance_after(Duration::ZERO) };
        match returned::check(syscall, call, outcome, clock) {
            Err(failure) if self.rules.non_fatal.syscall => self.note(format!("{}: {failure}", failure.at)),
            checked => checked?,
        }
        self.follow(syscall, call, outcome)
    }

    /// What a call says of where a flow goes, before it may send the first packet.
    fn before(&mut self, call: &Call) {
        let (fd, address) = match call {
            Call::Connect { fd, address } => (fd, Some(address)),
            Call::Send(send) => (&send.fd, send.to.as_ref()),
            _ => return,
        };
        let Some(index) = self.flows.iter().rposition(|flow| flow.fd == Some(*fd)) else { return };
        let Some(remote) = address.and_then(|address| inet(address)) else { return };
        if self.flows[index].is_left && matches!(call, Call::Connect { .. }) {
            self.flows[index].fd = None;
            let mut flow = Flow::new(Protocol::Tcp, Stage::Connecting, Side::Target);
            (flow.fd, flow.remote) = (Some(*fd), Some(remote));
            self.new_flow(flow);
            return;
        }
        let flow = &mut self.flows[index];
        if flow.remote.is_none() || flow.protocol == Protocol::Udp {
            flow.remote = Some(remote);
        }
        if flow.stage == Stage::Made {
            flow.stage = Stage::Connecting;
            self.current = Some(index);
        }
    }

    /// Follows what a call that succeeded did to sockets and descriptors.
    fn follow(&mut self, syscall: &Syscall, call: &Call, outcome: &Outcome) -> Result<(), Failure> {
        if outcome.value < 0 {
            return Ok(());
        }
        match call {
            Call::Socket { kind, .. } => {
                self.name_descriptor(syscall, outcome)?;
                let protocol = match kind & SOCK_TYPE_MASK {
                    SOCK_STREAM => Protocol::Tcp,
                    _ => Protocol::Udp,
                };
                let index = self.new_flow(Flow::new(protocol, Stage::Made, Side::Target));
                self.flows[index].fd = Some(outcome.value as i32);
            }
            Call::EpollCreate | Call::Open { .. } => self.name_descriptor(syscall, outcome)?,
            Call::Connect { fd, address } if inet(address).is_none() => {
                let flow = self.flows.iter_mut().rfind(|flow| flow.fd == Some(*fd));
                if let Some(flow) = flow.filter(|flow| flow.protocol == Protocol::Tcp) {
                    flow.is_left = true;
                }
            }
            Call::Accept { .. } => {
                self.name_descriptor(syscall, outcome)?;
                let Output::Address(address) = &outcome.output else { return Ok(()) };
                let Some(peer) = inet(address) else { return Ok(()) };
                if let Some(flow) = self.flows.iter_mut().rfind(|flow| flow.remote == Some(peer)) {
                    flow.fd = Some(outcome.value as i32);
                }
            }
            Call::Bind { fd, address } => {
                let Some(bound) = inet(address) else { return Ok(()) };
                let ip = if bound.ip().is_unspecified() { self.rules.local } else { bound.ip() };
                if let Some(flow) = self.flows.iter_mut().rfind(|flow| flow.fd == Some(*fd))
                    && bound.port() != 0
                {
                    flow.local = Some(SocketAddr::new(ip, bound.port()));
                }
            }
            Call::Listen { fd, .. } => {
                if let Some(index) = self.flows.iter().rposition(|flow| flow.fd == Some(*fd)) {
                    self.flows[index].stage = Stage::Listening;
                    self.current = Some(index);
                }
            }
            Call::Close { fd } => {
                self.world.descriptors.retain(|_, live| live != fd);
                self.flows.iter_mut().filter(|flow| flow.fd == Some(*fd)).for_each(|flow| flow.fd = None);
            }
            Call::Pipe => {
                let Output::Pipe(ends) = outcome.output else { return Ok(()) };
                let Some(ExprKind::Array(names)) = syscall.arguments.first().map(|expr| &expr.kind) else {
                    return Ok(());
                };
                for (name, live) in names.iter().zip(ends) {
                    self.world.descriptors.insert(integer(name)?, live);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The number that a call returned goes by the script's.
    fn name_descriptor(&mut self, syscall: &Syscall, outcome: &Outcome) -> Result<(), Failure> {
        if !matches!(syscall.result.kind, ExprKind::Ellipsis) {
            self.world.descriptors.insert(integer(&syscall.result)?, outcome.value as i32);
        }
        Ok(())
    }
}

/// The failure of a call without an end that waits all the same.
fn never_returned(syscall: &Syscall, patience: Duration) -> Failure {
    let (name, patience) = (&syscall.name, patience.as_secs_f64());
    let reason = format!(
        "{name} did not return in {patience:.3} s; a call that is to wait says until when, as in +0...0.5 {name}(...)"
    );
    Failure::new(syscall.at, reason)
}

fn still_waits(at: Position, name: &str, now: Duration) -> Failure {
    Failure::new(at, format!("{name} still waits at {} s", super::seconds(now)))
}

/// The address in bytes of memory, as packets carry it.
fn inet(bytes: &[u8]) -> Option<SocketAddr> {
    let address = SockAddr::from_bytes(bytes).ok()?.to_inet()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}
