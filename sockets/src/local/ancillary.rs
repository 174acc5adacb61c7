//! What travels beside the bytes: who sent them and when, and handles.

use tapsock_stack::time::Instant;

/// Who a process is, as `struct ucred`: what SO_PEERCRED and SCM_CREDENTIALS show.
///
/// ```
/// use tapsock_sockets::local::Credentials;
///
/// assert_eq!(Credentials::UNKNOWN.uid, 65_534);
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct Credentials {
    /// Process id; 0 where it is not known.
    pub pid: i32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Credentials {
    /// What a receiver sees of bytes that were sent while nobody asked for credentials, as on Linux.
    pub const UNKNOWN: Credentials = Credentials { pid: 0, uid: 65_534, gid: 65_534 };
    /// What SO_PEERCRED shows where there is no peer, as on Linux: ids of -1.
    pub const NOBODY: Credentials = Credentials { pid: 0, uid: u32::MAX, gid: u32::MAX };
}

/// What a sending call hands over beside its bytes.
///
/// `R` is a handle: whatever SCM_RIGHTS passes. The caller has checked that there are at most
/// [`RIGHTS_MAX`](super::RIGHTS_MAX), and that the sender may use `explicit`.
///
/// ```
/// use tapsock_sockets::local::{Ancillary, Credentials};
///
/// let beside: Ancillary<u32> = Ancillary::new(Credentials { pid: 1, uid: 0, gid: 0 });
/// assert!(beside.rights.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Ancillary<R> {
    /// Who calls. Attached where an end has SO_PASSCRED on.
    pub process: Credentials,
    /// SCM_CREDENTIALS, where the caller gave it.
    pub explicit: Option<Credentials>,
    /// When it is sent, where the receiver may want to know.
    pub sent_at: Option<Instant>,
    /// SCM_RIGHTS. Taken with the first byte that is sent; what remains after the call was not sent.
    pub rights: Vec<R>,
}

impl<R> Ancillary<R> {
    /// Nothing but the process that calls.
    pub fn new(process: Credentials) -> Self {
        Ancillary { process, explicit: None, sent_at: None, rights: Vec::new() }
    }

    /// The credentials that travel.
    pub(crate) fn credentials(&self, asked_for: bool) -> Credentials {
        let process = if asked_for { self.process } else { Credentials::UNKNOWN };
        self.explicit.unwrap_or(process)
    }
}
