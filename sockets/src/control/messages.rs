//! The buffer that `recvmsg` fills.

use super::Control;
use super::layout::{CMSG_HEADER_LEN, cmsg_len, cmsg_space};

/// Control messages as `recvmsg` gives them out: bytes, at most as many as the caller has room for, and whether any
/// were lost (`MSG_CTRUNC`).
///
/// As in Linux, a message that does not fit is cut off where the room ends, its length in the header with it; one for
/// whose header there is no room is left out, and a later one is not tried in its place. Of descriptors as many are
/// given as fit whole.
///
/// ```
/// use tapsock_sockets::control::{Control, ControlMessages, cmsg_space};
///
/// let mut messages = ControlMessages::with_room(cmsg_space(4));
/// messages.push(&Control::Ttl(64));
/// assert_eq!(messages.as_bytes().len(), 24);
/// assert!(!messages.is_truncated());
/// messages.push(&Control::Tos(0));
/// assert!(messages.is_truncated());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ControlMessages {
    bytes: Vec<u8>,
    room: usize,
    truncated: bool,
}

impl ControlMessages {
    /// A buffer of `room` bytes, `msg_controllen`.
    pub fn with_room(room: usize) -> Self {
        ControlMessages { bytes: Vec::new(), room, truncated: false }
    }

    /// How many descriptors fit: a receiver makes no more of them than that. The others are let go, and where there
    /// are any, [`push`](Self::push) is to be told of them all, or [`mark_truncated`](Self::mark_truncated) called.
    pub fn room_for_rights(&self) -> usize {
        self.room_left().saturating_sub(CMSG_HEADER_LEN) / size_of::<i32>()
    }

    /// Appends a message, whole or cut off. Linux's `put_cmsg`, and `scm_detach_fds` for descriptors.
    pub fn push(&mut self, message: &Control) {
        if let Control::Rights(descriptors) = message {
            return self.push_rights(descriptors);
        }
        let room = self.room_left();
        if room < CMSG_HEADER_LEN {
            self.truncated = true;
            return;
        }
        let start = self.begin(message);
        message.write_payload(&mut self.bytes);
        let payload = self.bytes.len() - start - CMSG_HEADER_LEN;
        self.truncated |= room < cmsg_len(payload);
        self.end(start, payload, room);
    }

    /// Says that something was lost: `MSG_CTRUNC`.
    pub fn mark_truncated(&mut self) {
        self.truncated = true;
    }

    /// Whether something was lost: `MSG_CTRUNC`.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// The bytes: as many as `recvmsg` gives for `msg_controllen`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same, taken out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn push_rights(&mut self, descriptors: &[i32]) {
        let count = descriptors.len().min(self.room_for_rights());
        self.truncated |= count < descriptors.len();
        if count == 0 {
            return;
        }
        let room = self.room_left();
        let start = self.begin(&Control::Rights(Vec::new()));
        self.bytes.extend(descriptors[..count].iter().flat_map(|fd| fd.to_ne_bytes()));
        self.end(start, count * size_of::<i32>(), room);
    }

    /// Begins a message and returns where.
    fn begin(&mut self, message: &Control) -> usize {
        let start = self.bytes.len();
        self.bytes.extend([0; 8]);
        self.bytes.extend(message.level().to_ne_bytes());
        self.bytes.extend(message.kind().to_ne_bytes());
        start
    }

    /// Ends a message that begins at `start`: its length, and padding as far as there is room.
    fn end(&mut self, start: usize, payload: usize, room: usize) {
        let len = cmsg_len(payload).min(room);
        self.bytes[start..start + 8].copy_from_slice(&len.to_ne_bytes());
        self.bytes.resize(start + cmsg_space(payload).min(room), 0);
    }

    fn room_left(&self) -> usize {
        self.room - self.bytes.len()
    }
}
