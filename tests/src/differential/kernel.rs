//! The calls of the kernel on local sockets.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddrV4;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrLike, UnixAddr};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{
    self, AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, SocketAddrAny,
    SocketAddrUnix, SocketFlags, SocketType,
};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use tapsock::Errno;
use tapsock::bsd::{Credentials, SHUT_RD, SHUT_WR, SOCK_TYPE_MASK};

use super::{LocalCalls, Name, Place, Raw, Taken};
use crate::descriptors::Descriptors;
use crate::kernel_options::{self as options, errno};

/// Most descriptors that a message brings (SCM_MAX_FD of Linux).
const RIGHTS_MAX: usize = 253;

/// The calls of the kernel.
///
/// ```
/// use std::sync::Arc;
/// use tapsock::bsd::SOCK_STREAM;
/// use tapsock_tests::differential::{KernelLocal, LocalCalls, Place};
///
/// let mut calls = KernelLocal::new(Arc::new(Place::new()));
/// assert_eq!(calls.pair(SOCK_STREAM, 0), Ok([0, 1]));
/// ```
#[derive(Debug)]
pub struct KernelLocal {
    place: Arc<Place>,
    sockets: Descriptors,
}

/// An address as rustix takes it.
enum Address {
    Unix(SocketAddrUnix),
    Inet(SocketAddrV4),
    Unspec,
}

impl KernelLocal {
    /// With names in `place`.
    pub fn new(place: Arc<Place>) -> KernelLocal {
        KernelLocal { place, sockets: Descriptors::default() }
    }

    fn fd(&self, socket: i32) -> Result<BorrowedFd<'_>, Errno> {
        self.sockets.fd(socket)
    }

    fn address(&self, name: &Name) -> Result<Address, Errno> {
        let unix = match name {
            Name::Path(path) => SocketAddrUnix::new(self.place.path(path))?,
            Name::Long(path, len) => SocketAddrUnix::new(self.place.long(path, *len))?,
            Name::Abstract(name) => {
                SocketAddrUnix::new_abstract_name(self.place.abstract_name(name).as_bytes())?
            }
            Name::Unnamed => SocketAddrUnix::new_unnamed(),
            Name::Unspec => return Ok(Address::Unspec),
            Name::Inet => return Ok(Address::Inet("127.0.0.1:9".parse().expect("an address"))),
        };
        Ok(Address::Unix(unix))
    }
}

/// Type and flags as rustix takes them.
fn kind_and_flags(kind: i32) -> (SocketType, SocketFlags) {
    let flags = SocketFlags::from_bits_retain((kind & !SOCK_TYPE_MASK) as u32) | SocketFlags::CLOEXEC;
    (SocketType::from_raw((kind & SOCK_TYPE_MASK) as u32), flags)
}

fn protocol_of(protocol: i32) -> Option<net::Protocol> {
    u32::try_from(protocol).ok().and_then(core::num::NonZero::new).map(net::Protocol::from_raw)
}

/// What stands behind the family.
fn raw(address: Option<SocketAddrAny>) -> Raw {
    // rustix reads the family alone as an abstract name without a byte.
    let named = address.filter(|address| address.addr_len() > size_of::<u16>() as u32);
    let Some(unix) = named.and_then(|address| SocketAddrUnix::try_from(address).ok()) else {
        return Raw::new();
    };
    if let Some(name) = unix.abstract_name() {
        return [&[0], name].concat();
    }
    // rustix takes the zero byte of a path of 107 bytes for a part of it.
    let path = unix.path_bytes().map(|path| path.strip_suffix(&[0]).unwrap_or(path));
    path.map(|path| [path, &[0]].concat()).unwrap_or_default()
}

/// The same of an address of nix.
fn raw_of_nix(address: Option<UnixAddr>) -> Raw {
    // nix panics at one of no bytes at all.
    let Some(address) = address.filter(|address| address.len() > size_of::<u16>() as u32) else {
        return Raw::new();
    };
    match (address.path(), address.as_abstract()) {
        (_, Some(name)) => [&[0], name].concat(),
        (Some(path), _) => [path.as_os_str().as_encoded_bytes(), &[0]].concat(),
        (None, None) => Raw::new(),
    }
}

/// Takes over a descriptor that a message brought, without a line of unsafe code.
fn own(fd: RawFd) -> Result<OwnedFd, Errno> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let owned = pidfd_getfd(this, fd, PidfdGetfdFlags::empty())?;
    nix::unistd::close(fd).map_err(errno)?;
    Ok(owned)
}

impl LocalCalls for KernelLocal {
    fn socket(&mut self, kind: i32, protocol: i32) -> Result<i32, Errno> {
        let (kind, flags) = kind_and_flags(kind);
        let socket = net::socket_with(AddressFamily::UNIX, kind, flags, protocol_of(protocol))?;
        Ok(self.sockets.enter(socket))
    }

    fn pair(&mut self, kind: i32, protocol: i32) -> Result<[i32; 2], Errno> {
        let (kind, flags) = kind_and_flags(kind);
        let (first, second) = net::socketpair(AddressFamily::UNIX, kind, flags, protocol_of(protocol))?;
        Ok([self.sockets.enter(first), self.sockets.enter(second)])
    }

    fn dup(&mut self, socket: i32) -> Result<i32, Errno> {
        let copy = rustix::io::fcntl_dupfd_cloexec(self.fd(socket)?, 0)?;
        Ok(self.sockets.enter(copy))
    }

    fn bind(&mut self, socket: i32, name: &Name) -> Result<(), Errno> {
        match self.address(name)? {
            Address::Unix(unix) => net::bind(self.fd(socket)?, &unix),
            Address::Inet(inet) => net::bind(self.fd(socket)?, &inet),
            Address::Unspec => panic!("bind(2) of AF_UNSPEC has no line here"),
        }
    }

    fn unlink(&mut self, path: &str) -> Result<(), Errno> {
        let removed = std::fs::remove_file(self.place.path(path));
        removed.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    fn listen(&mut self, socket: i32, backlog: i32) -> Result<(), Errno> {
        net::listen(self.fd(socket)?, backlog)
    }

    fn accept(&mut self, socket: i32, flags: i32) -> Result<(i32, Raw), Errno> {
        let flags = SocketFlags::from_bits_retain(flags as u32);
        let (accepted, peer) = net::acceptfrom_with(self.fd(socket)?, flags)?;
        Ok((self.sockets.enter(accepted), raw(peer)))
    }

    fn connect(&mut self, socket: i32, name: &Name) -> Result<(), Errno> {
        match self.address(name)? {
            Address::Unix(unix) => net::connect(self.fd(socket)?, &unix),
            Address::Inet(inet) => net::connect(self.fd(socket)?, &inet),
            Address::Unspec => net::connect_unspec(self.fd(socket)?),
        }
    }

    fn send(
        &mut self,
        socket: i32,
        data: &[u8],
        flags: i32,
        to: Option<&Name>,
        rights: &[i32],
    ) -> Result<usize, Errno> {
        let rights = rights.iter().map(|right| self.fd(*right)).collect::<Result<Vec<_>, _>>()?;
        let mut space = vec![MaybeUninit::uninit(); 4096];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !rights.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(&rights)), "no room for so many");
        }
        let flags = SendFlags::from_bits_retain(flags as u32) | SendFlags::NOSIGNAL;
        let data = [IoSlice::new(data)];
        let fd = self.fd(socket)?;
        match to.map(|to| self.address(to)).transpose()? {
            None => net::sendmsg(fd, &data, &mut control, flags),
            Some(Address::Unix(unix)) => net::sendmsg_addr(fd, &unix, &data, &mut control, flags),
            Some(Address::Inet(inet)) => net::sendmsg_addr(fd, &inet, &data, &mut control, flags),
            Some(Address::Unspec) => panic!("sendto(2) of AF_UNSPEC has no line here"),
        }
    }

    fn recv(&mut self, socket: i32, max: usize, flags: i32) -> Result<Taken, Errno> {
        // rustix has no value for credentials without a process.
        let fd = self.fd(socket)?.as_raw_fd();
        let flags = MsgFlags::from_bits_retain(flags) | MsgFlags::MSG_CMSG_CLOEXEC;
        let mut data = vec![0; max];
        let mut control = nix::cmsg_space!([RawFd; RIGHTS_MAX], nix::sys::socket::UnixCredentials);
        let mut into = [IoSliceMut::new(&mut data)];
        let message =
            nix::sys::socket::recvmsg::<UnixAddr>(fd, &mut into, Some(&mut control), flags).map_err(errno)?;
        let mut taken = Taken {
            len: message.bytes,
            from: raw_of_nix(message.address),
            flags: (message.flags - MsgFlags::MSG_CMSG_CLOEXEC).bits(),
            ..Taken::default()
        };
        let mut fds = Vec::new();
        for beside in message.cmsgs().map_err(errno)? {
            match beside {
                ControlMessageOwned::ScmRights(rights) => fds.extend(rights),
                ControlMessageOwned::ScmCredentials(who) => {
                    taken.credentials = Some(Credentials { pid: who.pid(), uid: who.uid(), gid: who.gid() });
                }
                other => panic!("{other:?} has no line here"),
            }
        }
        for fd in fds {
            let right = own(fd)?;
            taken.rights.push(self.sockets.enter(right));
        }
        data.truncate(taken.len);
        taken.data = data;
        Ok(taken)
    }

    fn shutdown(&mut self, socket: i32, how: i32) -> Result<(), Errno> {
        let how = match how {
            SHUT_RD => Shutdown::Read,
            SHUT_WR => Shutdown::Write,
            _ => Shutdown::Both,
        };
        net::shutdown(self.fd(socket)?, how)
    }

    fn close(&mut self, socket: i32) -> Result<(), Errno> {
        self.sockets.close(socket)
    }

    fn local_address(&mut self, socket: i32) -> Result<Raw, Errno> {
        net::getsockname(self.fd(socket)?).map(|name| raw(Some(name)))
    }

    fn peer_address(&mut self, socket: i32) -> Result<Raw, Errno> {
        net::getpeername(self.fd(socket)?).map(raw)
    }

    fn option(&mut self, socket: i32, level: i32, name: i32) -> Result<i32, Errno> {
        options::get(self.fd(socket)?, level, name)
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: i32) -> Result<(), Errno> {
        options::set(self.fd(socket)?, level, name, value)
    }

    fn set_linger(&mut self, socket: i32, seconds: u16) -> Result<(), Errno> {
        let time = std::time::Duration::from_secs(seconds.into());
        rustix::net::sockopt::set_socket_linger(self.fd(socket)?, Some(time))
    }

    fn peer_credentials(&mut self, socket: i32) -> Result<Credentials, Errno> {
        let fd = self.fd(socket)?;
        let who =
            nix::sys::socket::getsockopt(&fd, nix::sys::socket::sockopt::PeerCredentials).map_err(errno)?;
        Ok(Credentials { pid: who.pid(), uid: who.uid(), gid: who.gid() })
    }

    fn set_nonblocking(&mut self, socket: i32, nonblocking: bool) -> Result<(), Errno> {
        rustix::io::ioctl_fionbio(self.fd(socket)?, nonblocking)
    }

    fn poll(&mut self, sockets: &[i32]) -> Vec<u16> {
        let everything = PollFlags::from_bits_retain(u16::MAX);
        let fds = sockets.iter().map(|socket| self.fd(*socket).expect("an open socket"));
        let mut entries: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, everything)).collect();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut entries, Some(&at_once)).expect("poll(2) of sockets does not fail");
        entries.iter().map(|entry| entry.revents().bits()).collect()
    }
}
