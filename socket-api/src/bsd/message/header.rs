//! `struct msghdr`, as it goes in and as it comes out.

use std::io::{IoSlice, IoSliceMut};

use tapsock_sockets::SockAddr;
use tapsock_sockets::control::{Control, Messages};

use super::{Passed, Right};

/// What [`sendmsg`](super::sendmsg) sends: `struct msghdr`.
///
/// ```
/// use std::io::IoSlice;
/// use tapsock::bsd::SendMessage;
///
/// let parts = [IoSlice::new(b"one "), IoSlice::new(b"datagram")];
/// let message = SendMessage { iov: &parts, ..SendMessage::default() };
/// assert!(message.control.is_empty() && message.address.is_none());
/// ```
#[derive(Copy, Clone, Debug, Default)]
pub struct SendMessage<'a> {
    /// The data, in parts, of which there may be 1024.
    pub iov: &'a [IoSlice<'a>],
    /// Control messages in Linux's layout: [`ControlMessages`](super::super::control::ControlMessages) makes them.
    pub control: &'a [u8],
    /// Where it goes, where the socket is not connected.
    pub address: Option<&'a SockAddr>,
    /// What is passed (SCM_RIGHTS) after the ids of `control`, 253 of both together: ids too, and descriptors of the
    /// system. On local sockets only; others take no notice.
    pub rights: &'a [Right<'a>],
}

/// Where [`recvmsg`](super::recvmsg) puts what it receives: `struct msghdr`.
///
/// ```
/// use std::io::IoSliceMut;
/// use tapsock::bsd::RecvMessage;
///
/// let (mut head, mut rest) = ([0; 4], [0; 60]);
/// let mut parts = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut rest)];
/// let message = RecvMessage { iov: &mut parts, control_room: 128 };
/// assert_eq!(message.iov.len(), 2);
/// ```
#[derive(Debug)]
pub struct RecvMessage<'a, 'b> {
    /// Room for data, in parts, of which there may be 1024.
    pub iov: &'a mut [IoSliceMut<'b>],
    /// Bytes of control messages that may come (`msg_controllen`): [`cmsg_space`](super::super::control::cmsg_space) says what each takes.
    pub control_room: usize,
}

/// What [`recvmsg`](super::recvmsg) has received, beside the data.
///
/// ```
/// use tapsock::bsd::ReceivedMessage;
///
/// assert!(ReceivedMessage::default().messages().is_empty());
/// ```
#[derive(Debug, Default, Eq, PartialEq)]
pub struct ReceivedMessage {
    /// Bytes received; with `MSG_TRUNC` the length of the datagram.
    pub len: usize,
    /// Who sent it, where the protocol tells that, and the sender has a name.
    pub address: Option<SockAddr>,
    /// `msg_flags`: `MSG_TRUNC` where the datagram was longer than the room for it, `MSG_CTRUNC` where control
    /// messages were lost, `MSG_OOB`, and `MSG_CMSG_CLOEXEC` where it was asked for.
    pub flags: i32,
    /// Control messages in Linux's layout. In `SCM_RIGHTS` stand the ids of sockets, and for real descriptors their
    /// numbers, which [`passed`](Self::passed) owns.
    pub control: Vec<u8>,
    /// What came with it (SCM_RIGHTS), in the order in which it stands in `control`. Descriptors that are left here are
    /// closed with it; ids stay open.
    pub passed: Vec<Passed>,
}

impl ReceivedMessage {
    /// The control messages, but for those that were cut off.
    pub fn messages(&self) -> Vec<Control> {
        let messages = Messages::new(&self.control).filter_map(Result::ok);
        messages.filter_map(|message| Control::decode(message.level, message.kind, message.payload)).collect()
    }

    /// The ids of the sockets and epoll instances that came with it (SCM_RIGHTS).
    pub fn rights(&self) -> Vec<i32> {
        let ids = self.passed.iter().filter_map(|passed| match passed {
            Passed::Id(id) => Some(*id),
            Passed::Real(_) => None,
        });
        ids.collect()
    }
}
