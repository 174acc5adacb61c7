//! The calls of this stack on local sockets.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

use tapsock::bsd::control::{self, Control, ControlMessages};
use tapsock::bsd::{
    self, AF_UNIX, Credentials, MSG_CMSG_CLOEXEC, OptionValue, PollFd, PollMask, RecvMessage, SO_PEERCRED,
    SOL_SOCKET, SendMessage,
};
use tapsock::{Errno, Host, SockAddr};

use super::{LocalCalls, Name, Place, Raw, Taken};

/// Room for all that may come with a message, in bytes.
const CONTROL_ROOM: usize = 4096;

/// The calls of this stack, on a host without a link.
///
/// ```
/// use std::sync::Arc;
/// use tapsock::bsd::SOCK_STREAM;
/// use tapsock_tests::differential::{LocalCalls, OurLocal, Place};
///
/// let mut calls = OurLocal::new(Arc::new(Place::new()));
/// assert_eq!(calls.pair(SOCK_STREAM, 0), Ok([0, 1]));
/// ```
#[derive(Debug)]
pub struct OurLocal {
    host: Host,
    place: Arc<Place>,
}

impl OurLocal {
    /// On a host of its own.
    ///
    /// # Panics
    /// Where there are no threads to be had.
    pub fn new(place: Arc<Place>) -> OurLocal {
        OurLocal { host: Host::builder().start().expect("a host without a link"), place }
    }

    fn address(&self, name: &Name) -> Result<SockAddr, Errno> {
        let behind = match name {
            Name::Path(path) => [self.place.path(path).as_bytes(), &[0]].concat(),
            // The zero byte behind a path has no room any more where it fills the field.
            Name::Long(path, len) => self.place.long(path, *len).into_bytes(),
            Name::Abstract(name) => [&[0], self.place.abstract_name(name).as_bytes()].concat(),
            Name::Unnamed => Vec::new(),
            Name::Unspec => return Ok(SockAddr::Unspec(None)),
            Name::Inet => return Ok(SockAddr::V4("127.0.0.1:9".parse().expect("an address"))),
        };
        SockAddr::from_bytes(&[&(AF_UNIX as u16).to_ne_bytes()[..], &behind].concat())
    }
}

/// What stands behind the family.
fn raw(address: &SockAddr) -> Raw {
    address.as_bytes()[2..].to_vec()
}

impl LocalCalls for OurLocal {
    fn socket(&mut self, kind: i32, protocol: i32) -> Result<i32, Errno> {
        bsd::socket(&self.host, AF_UNIX, kind, protocol)
    }

    fn pair(&mut self, kind: i32, protocol: i32) -> Result<[i32; 2], Errno> {
        bsd::socketpair(&self.host, AF_UNIX, kind, protocol)
    }

    fn dup(&mut self, socket: i32) -> Result<i32, Errno> {
        bsd::dup(&self.host, socket)
    }

    fn bind(&mut self, socket: i32, name: &Name) -> Result<(), Errno> {
        bsd::bind(&self.host, socket, &self.address(name)?)
    }

    fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        bsd::unlink(&self.host, self.place.path(path).as_bytes())
    }

    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno> {
        bsd::listen(&self.host, socket, backlog)
    }

    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, Raw), Errno> {
        bsd::accept4(&self.host, socket, flags).map(|(socket, peer)| (socket, raw(&peer)))
    }

    fn connect(&mut self, socket: i32, name: &Name) -> Result<(), Errno> {
        bsd::connect(&self.host, socket, &self.address(name)?)
    }

    fn send(
        &mut self,
        socket: i32,
        data: &[u8],
        flags: i32,
        to: Option<&Name>,
        rights: &[i32],
    ) -> Result<usize, Errno> {
        let to = to.map(|to| self.address(to)).transpose()?;
        let mut control = ControlMessages::with_room(CONTROL_ROOM);
        if !rights.is_empty() {
            control.push(&Control::Rights(rights.to_vec()));
        }
        let iov = [IoSlice::new(data)];
        let message = SendMessage {
            iov: &iov,
            control: control.as_bytes(),
            address: to.as_ref(),
            ..SendMessage::default()
        };
        bsd::sendmsg(&self.host, socket, &message, flags | bsd::MSG_NOSIGNAL)
    }

    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Taken, Errno> {
        let mut data = vec![0; max];
        let mut iov = [IoSliceMut::new(&mut data)];
        let mut message = RecvMessage { iov: &mut iov, control_room: CONTROL_ROOM };
        let message = bsd::recvmsg(&self.host, socket, &mut message, flags | MSG_CMSG_CLOEXEC)?;
        let credentials = message.messages().into_iter().find_map(|beside| match beside {
            Control::Credentials(control::Credentials { pid, uid, gid }) => {
                Some(Credentials { pid, uid, gid })
            }
            _ => None,
        });
        data.truncate(message.len);
        Ok(Taken {
            data,
            len: message.len,
            from: message.address.as_ref().map(raw).unwrap_or_default(),
            flags: message.flags & !MSG_CMSG_CLOEXEC,
            rights: message.rights(),
            credentials,
        })
    }

    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno> {
        bsd::shutdown(&self.host, socket, how)
    }

    fn close(&mut self, socket: i32) -> Result<(), Errno> {
        bsd::close(&self.host, socket)
    }

    fn local_address(&mut self, socket: i32) -> Result<Raw, Errno> {
        bsd::getsockname(&self.host, socket).map(|name| raw(&name))
    }

    fn peer_address(&mut self, socket: i32) -> Result<Raw, Errno> {
        bsd::getpeername(&self.host, socket).map(|name| raw(&name))
    }

    fn option(&mut self, socket: i32, level: i32, name: i32) -> Result<i32, Errno> {
        bsd::getsockopt(&self.host, socket, level, name)?.as_int().ok_or(Errno::INVAL)
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: i32) -> Result<(), Errno> {
        bsd::setsockopt(&self.host, socket, level, name, OptionValue::from(value).as_bytes())
    }

    fn set_linger(&mut self, socket: i32, seconds: u16) -> Result<(), Errno> {
        let value = [1i32.to_ne_bytes(), i32::from(seconds).to_ne_bytes()].concat();
        bsd::setsockopt(&self.host, socket, SOL_SOCKET, bsd::SO_LINGER, &value)
    }

    fn peer_credentials(&mut self, socket: i32) -> Result<Credentials, Errno> {
        let value = bsd::getsockopt(&self.host, socket, SOL_SOCKET, SO_PEERCRED)?;
        let field = |at: usize| -> [u8; 4] { value.as_bytes()[at..at + 4].try_into().expect("four bytes") };
        let (pid, uid, gid) = (field(0), field(4), field(8));
        Ok(Credentials {
            pid: i32::from_ne_bytes(pid),
            uid: u32::from_ne_bytes(uid),
            gid: u32::from_ne_bytes(gid),
        })
    }

    fn set_nonblocking(&mut self, socket: i32, nonblocking: bool) -> Result<(), Errno> {
        bsd::set_nonblocking(&self.host, socket, nonblocking)
    }

    fn poll(&mut self, sockets: &[i32]) -> Vec<u16> {
        let everything = PollMask::from_bits(u16::MAX);
        let mut entries: Vec<_> = sockets.iter().map(|socket| PollFd::new(*socket, everything)).collect();
        let polled = bsd::poll(&self.host, &mut entries, 0);
        polled.expect("poll(2) of sockets does not fail");
        entries.iter().map(|entry| entry.revents.bits()).collect()
    }
}
