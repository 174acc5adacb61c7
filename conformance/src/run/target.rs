//! What a script runs on.

use core::time::Duration;
use std::collections::VecDeque;

use super::call::{Call, Descriptor, Outcome};
use crate::shell::System;

/// A packet that the target sent, and when, counted from the script's start.
///
/// ```
/// use core::time::Duration;
/// use tapsock_conformance::run::Sent;
///
/// let sent = Sent { at: Duration::from_millis(100), bytes: vec![0x45] };
/// assert_eq!(sent.bytes.len(), 1);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sent {
    /// When.
    pub at: Duration,
    /// The IP packet, with its checksums.
    pub bytes: Vec<u8>,
}

/// What ended a wait.
///
/// ```
/// use tapsock_conformance::run::Woken;
///
/// assert_ne!(Woken::Time, Woken::Never);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Woken {
    /// A packet was sent, or the call that waits has ended.
    Event,
    /// It is as late as was asked for.
    Time,
    /// Nothing is going to happen any more.
    Never,
}

/// A stack under test, with a clock of its own that begins with the script.
pub trait Target: System {
    /// The script starts now: what came before was to prepare it.
    fn begin(&mut self);

    /// The time since the script's start.
    fn now(&self) -> Duration;

    /// What is to be added to a time of the script to have the time since 1970 that the target's time stamps give.
    fn wall_clock(&self) -> Duration;

    /// Makes a call and waits for its end, for as long as `patience`: `None` where it has not ended by then, and is given
    /// up.
    fn call(&mut self, call: Call, patience: Duration) -> Option<Outcome>;

    /// Makes a call that goes on beside what follows. One at a time.
    fn spawn(&mut self, call: Call);

    /// How the call that was spawned ended, and when. `None` while it waits.
    fn take_ended(&mut self) -> Option<(Duration, Outcome)>;

    /// Gives the target an IP packet; where it is a segment of TCP, one that stands for several of up to `peer_mss` bytes.
    fn inject(&mut self, packet: Vec<u8>, peer_mss: Option<u16>);

    /// What the target has sent and nobody has taken, in order.
    fn sent(&mut self) -> &mut VecDeque<Sent>;

    /// Lets time pass until `until`, or for ever, or until something happens; returns at once where a packet waits.
    fn wait(&mut self, until: Option<Duration>) -> Woken;

    /// What is to be known of the run so far and was not told before: settings that are not there, and the like.
    fn take_notes(&mut self) -> Vec<String>;

    /// The bytes of TCP_INFO, for the assertions of a script.
    fn tcp_info(&mut self, fd: Descriptor) -> Option<Vec<u8>>;

    /// The bytes of SO_MEMINFO, likewise.
    fn memory_info(&mut self, fd: Descriptor) -> Option<Vec<u8>>;
}
