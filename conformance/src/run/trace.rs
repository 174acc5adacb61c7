//! What happened in a run, for who reads along, for the capture, and to be compared with another run.

use core::fmt;
use core::time::Duration;

/// Something that happened.
///
/// ```
/// use core::time::Duration;
/// use tapsock_conformance::run::{TraceEntry, TraceKind};
///
/// let entry = TraceEntry {
///     at: Duration::from_millis(100),
///     line: 7,
///     kind: TraceKind::Sent,
///     text: ". 1:1(0) ack 1".to_owned(),
///     packet: Vec::new(),
/// };
/// assert_eq!(entry.to_string(), "0.100000 > . 1:1(0) ack 1");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TraceEntry {
    /// When, since the script's start.
    pub at: Duration,
    /// The line of the script that it happened in, or under way to.
    pub line: u32,
    /// What.
    pub kind: TraceKind,
    /// The packet in the script's words and numbers, or the call with its outcome.
    pub text: String,
    /// The packet's bytes.
    pub packet: Vec<u8>,
}

/// What happened.
///
/// ```
/// use tapsock_conformance::run::TraceKind;
///
/// assert_ne!(TraceKind::Sent, TraceKind::Received);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum TraceKind {
    /// The target sent a packet.
    Sent,
    /// The target was given a packet.
    Received,
    /// A call ended.
    Call,
    /// Something to be known of the run.
    Note,
}

impl fmt::Display for TraceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            TraceKind::Sent => "> ",
            TraceKind::Received => "< ",
            TraceKind::Call => "",
            TraceKind::Note => "# ",
        };
        write!(f, "{}.{:06} {sign}{}", self.at.as_secs(), self.at.subsec_micros(), self.text)
    }
}
