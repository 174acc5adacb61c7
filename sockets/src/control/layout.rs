//! The layout of control messages: a header of 16 bytes, the payload, and padding to 8.

use rustix::io::Errno;

/// Length of `struct cmsghdr`, in bytes: its length (which counts the header), level and type.
pub const CMSG_HEADER_LEN: usize = 16;

/// What headers are aligned to, in bytes.
const ALIGNMENT: usize = 8;

/// `CMSG_LEN`: bytes of a message with such a payload, without padding.
///
/// ```
/// assert_eq!(tapsock_sockets::control::cmsg_len(4), 20);
/// ```
pub const fn cmsg_len(payload: usize) -> usize {
    CMSG_HEADER_LEN.saturating_add(payload)
}

/// `CMSG_SPACE`: bytes of a message with such a payload, padding included.
///
/// ```
/// assert_eq!(tapsock_sockets::control::cmsg_space(4), 24);
/// ```
pub const fn cmsg_space(payload: usize) -> usize {
    cmsg_len(payload).saturating_add(ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT
}

/// One message of a buffer.
///
/// ```
/// use tapsock_sockets::control::{Control, ControlMessages, Message, Messages};
///
/// let mut buffer = ControlMessages::with_room(64);
/// buffer.push(&Control::Tos(8));
/// let message = Messages::new(buffer.as_bytes()).next().unwrap().unwrap();
/// assert_eq!(message, Message { level: 0, kind: 1, payload: &[8] });
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Message<'a> {
    /// `cmsg_level`.
    pub level: i32,
    /// `cmsg_type`.
    pub kind: i32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of a buffer, one after the other (`CMSG_FIRSTHDR`, `CMSG_NXTHDR`). What is too short for a header is
/// not looked at; a header that claims less than itself or more than there is gives EINVAL, and is the last.
/// Source: cmsg(3).
///
/// ```
/// use tapsock_sockets::control::Messages;
///
/// assert!(Messages::new(&[0; 15]).next().is_none());
/// assert!(Messages::new(&[0; 16]).next().unwrap().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// The messages in `bytes`, as in `msg_control`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Messages { rest: bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        let len = usize::from_ne_bytes(field(self.rest, 0)?);
        let level = i32::from_ne_bytes(field(self.rest, 8)?);
        let kind = i32::from_ne_bytes(field(self.rest, 12)?);
        let Some(payload) = self.rest.get(CMSG_HEADER_LEN..len) else {
            self.rest = &[];
            return Some(Err(Errno::INVAL));
        };
        self.rest = self.rest.get(cmsg_space(payload.len())..).unwrap_or_default();
        Some(Ok(Message { level, kind, payload }))
    }
}

/// The bytes of a field.
pub(super) fn field<const N: usize>(bytes: &[u8], start: usize) -> Option<[u8; N]> {
    bytes.get(start..start + N)?.try_into().ok()
}

/// `cmsg_len` is a `size_t`; the layout here is that of 64 bits.
const _: () = assert!(size_of::<usize>() == 8, "control messages are laid out for 64 bits");
