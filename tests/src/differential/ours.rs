//! The calls of this stack.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::time::Duration;

use tapsock::bsd::{
    self, EpollEvent, FdSet, PollFd, PollMask, ReceivedMessage, RecvMessage, SCM_RIGHTS, SOL_SOCKET,
    SendMessage,
};
use tapsock::{Driver, Errno, Host, SockAddr};

use super::kernel::parts_of;
use super::{ControlMessage, Incoming, Outgoing, Room, SocketCalls};

/// The calls of this stack, on a host without a link, which only the calls drive.
///
/// ```
/// use tapsock::bsd::{AF_INET, SOCK_STREAM};
/// use tapsock_tests::differential::{OurSockets, SocketCalls};
///
/// assert_eq!(OurSockets::new().socket(AF_INET, SOCK_STREAM, 0), Ok(0));
/// ```
#[derive(Debug)]
pub struct OurSockets {
    host: Host,
}

/// Where an address stands.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Named {
    /// Among the arguments of sendto(2).
    ByCall,
    /// In a `struct msghdr`.
    ByMessage,
}

/// `sizeof(struct sockaddr_storage)`
const ADDRESS_MAX: usize = 128;

impl OurSockets {
    /// On a host of its own.
    ///
    /// # Panics
    /// Where there are no descriptors to be had.
    #[expect(clippy::new_without_default, reason = "it makes descriptors")]
    pub fn new() -> OurSockets {
        let host = Host::builder()
            .driver(Driver::External)
            .privileged()
            .shutdown_timeout(Duration::ZERO)
            .start()
            .expect("a host without a link");
        OurSockets { host }
    }

    /// A socket that is none is said before the address is looked at.
    fn address(&self, socket: i32, bytes: &[u8]) -> Result<SockAddr, Errno> {
        bsd::is_nonblocking(&self.host, socket)?;
        SockAddr::from_bytes(bytes)
    }

    /// Where a message goes, as the C library reads it: what makes no sense is left to the socket. `msg_name` without bytes
    /// is none, and one that is longer than any address is cut; sendto(2) has no such mercy.
    fn destination(
        &self,
        socket: i32,
        message: &Outgoing<'_>,
        named: Named,
    ) -> Result<Option<SockAddr>, Errno> {
        bsd::is_nonblocking(&self.host, socket)?;
        let Some(to) = message.to.filter(|to| named == Named::ByCall || !to.is_empty()) else {
            return Ok(None);
        };
        if named == Named::ByCall && to.len() > ADDRESS_MAX {
            return Err(Errno::INVAL);
        }
        let to = &to[..to.len().min(ADDRESS_MAX)];
        let family = to.first_chunk().map_or(0, |family| u16::from_ne_bytes(*family));
        let odd = SockAddr::Other { family, len: to.len() as u8, as_v4: None };
        Ok(Some(SockAddr::from_bytes(to).unwrap_or(odd)))
    }

    /// The control messages, those of what is passed behind the others.
    fn control(message: &Outgoing<'_>) -> Vec<u8> {
        let mut control = message.control.to_vec();
        if !message.rights.is_empty() {
            let data = message.rights.iter().flat_map(|right| right.to_ne_bytes()).collect();
            control.extend(ControlMessage { level: SOL_SOCKET, kind: SCM_RIGHTS, data }.bytes());
        }
        control
    }
}

fn incoming(mut data: Vec<u8>, message: ReceivedMessage) -> Incoming {
    data.truncate(message.len);
    let from = message.address.as_ref().map(|from| from.as_bytes().to_vec()).unwrap_or_default();
    let control = ControlMessage::all(&message.control).into_iter().filter(|beside| !beside.is_rights());
    Incoming {
        data,
        len: message.len,
        from,
        flags: message.flags,
        control: control.collect(),
        rights: message.rights(),
    }
}

impl SocketCalls for OurSockets {
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<i32, Errno> {
        bsd::socket(&self.host, domain, kind, protocol)
    }

    fn pair(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<[i32; 2], Errno> {
        bsd::socketpair(&self.host, domain, kind, protocol)
    }

    fn dup(&mut self, socket: i32) -> Result<i32, Errno> {
        bsd::dup(&self.host, socket)
    }

    fn bind(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno> {
        bsd::bind(&self.host, socket, &self.address(socket, address)?)
    }

    fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        bsd::unlink(&self.host, path.as_bytes())
    }

    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno> {
        bsd::listen(&self.host, socket, backlog)
    }

    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, Vec<u8>), Errno> {
        bsd::accept4(&self.host, socket, flags).map(|(socket, peer)| (socket, peer.as_bytes().to_vec()))
    }

    fn connect(&mut self, socket: i32, address: &[u8]) -> Result<(), Errno> {
        bsd::connect(&self.host, socket, &self.address(socket, address)?)
    }

    fn send(&mut self, socket: i32, message: &Outgoing<'_>, flags: i32) -> Result<usize, Errno> {
        let (iov, control) = ([IoSlice::new(message.data)], OurSockets::control(message));
        let named = if control.is_empty() { Named::ByCall } else { Named::ByMessage };
        let to = self.destination(socket, message, named)?;
        let message =
            SendMessage { iov: &iov, control: &control, address: to.as_ref(), ..SendMessage::default() };
        bsd::sendmsg(&self.host, socket, &message, flags | bsd::MSG_NOSIGNAL)
    }

    fn send_many(&mut self, socket: i32, messages: &[Outgoing<'_>], flags: i32) -> Result<Vec<usize>, Errno> {
        let addresses = messages.iter().map(|message| self.destination(socket, message, Named::ByMessage));
        let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
        let controls: Vec<_> = messages.iter().map(OurSockets::control).collect();
        let parts: Vec<_> = messages.iter().map(|message| [IoSlice::new(message.data)]).collect();
        let each = parts.iter().zip(&controls).zip(&addresses).map(|((iov, control), to)| SendMessage {
            iov,
            control,
            address: to.as_ref(),
            ..SendMessage::default()
        });
        bsd::sendmmsg(&self.host, socket, &each.collect::<Vec<_>>(), flags | bsd::MSG_NOSIGNAL)
    }

    fn recv(&mut self, socket: i32, room: Room, flags: i32) -> Result<Incoming, Errno> {
        let mut data = vec![0; room.data];
        let mut iov = [IoSliceMut::new(&mut data)];
        let mut message = RecvMessage { iov: &mut iov, control_room: room.control };
        let message = bsd::recvmsg(&self.host, socket, &mut message, flags)?;
        Ok(incoming(data, message))
    }

    fn write(&mut self, socket: i32, parts: &[Vec<u8>]) -> Result<usize, Errno> {
        match parts {
            [one] => bsd::write(&self.host, socket, one),
            several => {
                let parts: Vec<_> = several.iter().map(|part| IoSlice::new(part)).collect();
                bsd::writev(&self.host, socket, &parts)
            }
        }
    }

    fn read(&mut self, socket: i32, sizes: &[usize]) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; sizes.iter().sum()];
        let len = match sizes {
            [_] => bsd::read(&self.host, socket, &mut bytes)?,
            several => bsd::readv(&self.host, socket, &mut parts_of(&mut bytes, several))?,
        };
        bytes.truncate(len);
        Ok(bytes)
    }

    fn recv_many(&mut self, socket: i32, rooms: &[Room], flags: i32) -> Result<Vec<Incoming>, Errno> {
        let mut data: Vec<_> = rooms.iter().map(|room| vec![0; room.data]).collect();
        let mut parts: Vec<_> = data.iter_mut().map(|data| [IoSliceMut::new(data)]).collect();
        let each = parts.iter_mut().zip(rooms);
        let mut messages: Vec<_> =
            each.map(|(iov, room)| RecvMessage { iov, control_room: room.control }).collect();
        let taken = bsd::recvmmsg(&self.host, socket, &mut messages, flags, None)?;
        Ok(data.into_iter().zip(taken).map(|(data, message)| incoming(data, message)).collect())
    }

    fn send_file(
        &mut self,
        socket: i32,
        file: BorrowedFd<'_>,
        offset: i64,
        count: usize,
    ) -> Result<(usize, i64), Errno> {
        let mut offset = offset;
        let went = bsd::sendfile(&self.host, socket, file, Some(&mut offset), count)?;
        Ok((went, offset))
    }

    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno> {
        bsd::shutdown(&self.host, socket, how)
    }

    fn close(&mut self, socket: i32) -> Result<(), Errno> {
        bsd::close(&self.host, socket)
    }

    fn local_address(&mut self, socket: i32) -> Result<Vec<u8>, Errno> {
        bsd::getsockname(&self.host, socket).map(|name| name.as_bytes().to_vec())
    }

    fn peer_address(&mut self, socket: i32) -> Result<Vec<u8>, Errno> {
        bsd::getpeername(&self.host, socket).map(|name| name.as_bytes().to_vec())
    }

    fn option(&mut self, socket: i32, level: i32, name: i32, room: usize) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0; room];
        let len = bsd::getsockopt(&self.host, socket, level, name)?.copy_out(&mut value)?;
        value.truncate(len);
        Ok(value)
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        bsd::setsockopt(&self.host, socket, level, name, value)
    }

    fn ioctl(&mut self, socket: i32, request: i32) -> Result<i32, Errno> {
        let mut value = 0;
        bsd::ioctl(&self.host, socket, request, &mut value)?;
        Ok(value)
    }

    fn set_nonblocking(&mut self, socket: i32, on: bool) -> Result<(), Errno> {
        bsd::ioctl(&self.host, socket, bsd::FIONBIO, &mut i32::from(on))
    }

    fn fcntl(&mut self, socket: i32, command: i32, argument: i32) -> Result<i32, Errno> {
        bsd::fcntl(&self.host, socket, command, argument)
    }

    fn poll(&mut self, sockets: &[i32]) -> Vec<u16> {
        self.host.turn().expect("a turn of the loop does not fail");
        let everything = PollMask::from_bits(u16::MAX);
        let mut entries: Vec<_> = sockets.iter().map(|socket| PollFd::new(*socket, everything)).collect();
        bsd::poll(&self.host, &mut entries, 0).expect("poll(2) of sockets does not fail");
        entries.iter().map(|entry| entry.revents.bits()).collect()
    }

    fn select(&mut self, sets: &[Vec<i32>; 3]) -> Result<[Vec<i32>; 3], Errno> {
        let mut asked: [FdSet; 3] = sets.each_ref().map(|set| set.iter().copied().collect());
        let count = sets.iter().flatten().max().map_or(0, |last| last + 1);
        let [read, write, except] = &mut asked;
        let at_once = Some(Duration::ZERO);
        bsd::select(&self.host, count, Some(read), Some(write), Some(except), at_once)?;
        let ready = |which: usize| sets[which].iter().copied().filter(move |id| asked[which].contains(*id));
        Ok([0, 1, 2].map(|which| ready(which).collect()))
    }

    fn epoll(&mut self) -> Result<i32, Errno> {
        bsd::epoll_create1(&self.host, 0)
    }

    fn epoll_control(&mut self, epoll: i32, operation: i32, watched: i32, events: u32) -> Result<(), Errno> {
        let event = EpollEvent { events, data: watched as u64 };
        bsd::epoll_ctl(&self.host, epoll, operation, watched, Some(event))
    }

    fn epoll_wait(&mut self, epoll: i32, max: usize) -> Result<Vec<(u64, u32)>, Errno> {
        let mut events = vec![EpollEvent::default(); max];
        let count = bsd::epoll_wait(&self.host, epoll, &mut events, 0)?;
        Ok(events[..count].iter().map(|event| (event.data, event.events)).collect())
    }
}
