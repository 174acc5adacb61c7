//! What is held back until a datagram is complete (MSG_MORE, UDP_CORK).

use tapsock_stack::buf::Rope;

/// Parts of a datagram that is not complete, and where and how it goes: that was said with the first part.
#[derive(Debug)]
pub(crate) struct Corked<D> {
    pub(crate) data: Rope,
    pub(crate) destination: D,
}

impl<D> Corked<D> {
    /// All so far, and `data`, where one datagram holds it.
    pub(crate) fn with(&self, data: &Rope) -> Option<Rope> {
        let mut whole = self.data.clone();
        whole.append(data.clone());
        (whole.len() <= LENGTH_MAX).then_some(whole)
    }
}

/// The largest length that Linux looks at, in bytes; what a datagram holds is less.
pub(crate) const LENGTH_MAX: usize = 0xffff;
