//! A receiving call on a stream: what it asks for, and what it has.

use crate::local::ancillary::Credentials;
use crate::local::pair::EndOptions;

/// Whether the last byte of what is sent is urgent (MSG_OOB).
///
/// ```
/// use tapsock_sockets::local::Urgency;
///
/// assert_ne!(Urgency::Normal, Urgency::LastByte);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Urgency {
    /// No byte is.
    Normal,
    /// The last one is.
    LastByte,
}

/// A receiving call on a stream, which may take several attempts: how much it asks for, and what it has.
///
/// ```
/// use tapsock_sockets::local::Receiving;
///
/// let call: Receiving<()> = Receiving::new(100);
/// assert_eq!(call.len(), 0);
/// ```
#[derive(Debug)]
pub struct Receiving<R> {
    max: usize,
    /// MSG_WAITALL.
    pub wait_all: bool,
    /// MSG_PEEK: with SO_PEEK_OFF from there on.
    pub peek: bool,
    pub(super) len: usize,
    pub(super) found: bool,
    credentials: Option<Credentials>,
    pub(super) rights: Vec<R>,
}

impl<R> Receiving<R> {
    /// Asks for `max` bytes.
    pub fn new(max: usize) -> Self {
        Receiving {
            max,
            wait_all: false,
            peek: false,
            len: 0,
            found: false,
            credentials: None,
            rights: Vec::new(),
        }
    }

    /// Asks for `max` bytes from now on.
    pub fn ask(&mut self, max: usize) {
        self.max = max;
    }

    /// Bytes received so far.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was received so far.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it came upon bytes, even if it asked for none: where Linux shows the peer's name.
    pub fn has_found(&self) -> bool {
        self.found
    }

    /// Who sent the bytes, where SO_PASSCRED is on. Linux shows zeros at the end of the stream, where this is `None`.
    pub fn credentials(&self) -> Option<Credentials> {
        self.credentials
    }

    /// Takes the handles that came with the bytes; of a peek, copies of them.
    pub fn take_rights(&mut self) -> Vec<R> {
        core::mem::take(&mut self.rights)
    }

    pub(super) fn left(&self) -> usize {
        self.max - self.len
    }

    /// How much makes a call that waits return.
    pub(super) fn target(&self, options: &EndOptions) -> usize {
        let target = if self.wait_all { self.max } else { self.max.min(options.low_water) };
        target.max(1)
    }

    /// Whether bytes of `sender` may join those that the call has.
    pub(super) fn joins(&mut self, sender: Credentials, options: &EndOptions) -> bool {
        if !options.pass_credentials {
            return true;
        }
        *self.credentials.get_or_insert(sender) == sender
    }
}

/// How far one pass over the queue came.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// All that was asked for, or up to a barrier.
    Done,
    /// The end of the queue.
    End,
}
