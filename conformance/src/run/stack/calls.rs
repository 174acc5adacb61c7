//! Calls that never wait.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tapsock_sockets::constants::*;
use tapsock_sockets::epoll::{
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EpollEvent, EpollSet, Watched, check_events,
};
use tapsock_sockets::{Blocking, Errno, SockAddr};

use super::StackTarget;
use super::descriptors::Item;
use crate::run::call::{Call, Descriptor, Outcome, Output};

/// open(2): the bits that hold the access mode, and the mode for reading.
const ACCESS_MODE: i32 = 3;
const READ_ONLY: i32 = 0;

impl StackTarget {
    /// Makes a call that never waits. Errors: those of the call.
    pub(super) fn immediate(&mut self, call: &Call) -> Result<Outcome, Errno> {
        let now = self.now;
        let done = Outcome::returned(0);
        match call {
            Call::Socket { domain, kind, protocol } => {
                let fd = self.sockets.socket(*domain, *kind, *protocol)?;
                let number = self.descriptors.insert(Item::Socket(fd))?;
                Ok(Outcome::returned(number.into()))
            }
            Call::Bind { fd, address } => {
                let fd = self.descriptors.socket(*fd)?;
                self.sockets.bind(now, fd, &SockAddr::from_bytes(address)?).map(|()| done)
            }
            Call::Listen { fd, backlog } => {
                let fd = self.descriptors.socket(*fd)?;
                self.sockets.listen(now, fd, *backlog).map(|()| done)
            }
            Call::Shutdown { fd, how } => {
                let fd = self.descriptors.socket(*fd)?;
                self.sockets.shutdown(now, fd, *how).map(|()| done)
            }
            Call::GetOption { fd, level, name, room } => self.get_option(*fd, *level, *name, *room),
            Call::SetOption { fd, level, name, value, len } => {
                let fd = self.descriptors.socket(*fd)?;
                let value = match value {
                    Some(value) => value.get(..*len).unwrap_or(value),
                    None if *len == 0 => &[][..],
                    None => return Err(Errno::FAULT),
                };
                self.sockets.set_option(now, fd, *level, *name, value).map(|()| done)
            }
            Call::Fcntl { fd, command, argument } => self.fcntl(*fd, *command, *argument),
            Call::Ioctl { fd, request, value } => self.ioctl(*fd, *request, *value),
            Call::EpollCreate => {
                let number = self.descriptors.insert(Item::Epoll(EpollSet::new()))?;
                Ok(Outcome::returned(number.into()))
            }
            Call::EpollControl { epoll, operation, fd, events, data } => {
                self.epoll_control(*epoll, *operation, *fd, EpollEvent { events: *events, data: *data })
            }
            Call::Pipe => self.descriptors.new_pipe().map(|ends| Outcome::with(0, Output::Pipe(ends))),
            Call::Open { path, flags } => {
                if flags & ACCESS_MODE != READ_ONLY {
                    return Err(Errno::ROFS);
                }
                let bytes = self
                    .descriptors
                    .files
                    .get(Path::new(OsStr::from_bytes(path)))
                    .ok_or(Errno::NOENT)?
                    .clone();
                let number = self.descriptors.insert(Item::File { bytes, position: 0 })?;
                Ok(Outcome::returned(number.into()))
            }
            _ => unreachable!("the others are operations"),
        }
    }

    fn get_option(
        &mut self,
        fd: Descriptor,
        level: i32,
        name: i32,
        room: Option<usize>,
    ) -> Result<Outcome, Errno> {
        let fd = self.descriptors.socket(fd)?;
        let value = self.sockets.option(self.now, fd, level, name)?;
        let mut bytes = vec![0; room.ok_or(Errno::FAULT)?];
        let count = value.copy_out(&mut bytes)?;
        bytes.truncate(count);
        Ok(Outcome::with(0, Output::Option(bytes)))
    }

    fn fcntl(&mut self, fd: Descriptor, command: i32, argument: i32) -> Result<Outcome, Errno> {
        let Item::Socket(fd) = *self.descriptors.get(fd)? else {
            return Err(Errno::INVAL);
        };
        let value = match command {
            F_GETFL if self.sockets.blocking(fd)? == Blocking::Never => O_RDWR | O_NONBLOCK,
            F_GETFL => O_RDWR,
            F_SETFL => {
                let blocking = if argument & O_NONBLOCK == 0 { Blocking::Waits } else { Blocking::Never };
                self.sockets.set_blocking(fd, blocking)?;
                0
            }
            F_GETFD | F_SETFD => 0,
            _ => return Err(Errno::INVAL),
        };
        Ok(Outcome::returned(value.into()))
    }

    fn ioctl(&mut self, fd: Descriptor, request: i32, value: i32) -> Result<Outcome, Errno> {
        let fd = self.descriptors.socket(fd)?;
        if request == FIONBIO {
            self.sockets.set_blocking(fd, if value == 0 { Blocking::Waits } else { Blocking::Never })?;
            return Ok(Outcome::with(0, Output::Int(value)));
        }
        let count = self.sockets.ioctl(fd, request)?;
        Ok(Outcome::with(0, Output::Int(count)))
    }

    fn epoll_control(
        &mut self,
        epoll: Descriptor,
        operation: i32,
        fd: Descriptor,
        event: EpollEvent,
    ) -> Result<Outcome, Errno> {
        // Linux refuses files, and the runner, pipes and instances in instances.
        let watched = match self.descriptors.get(fd)? {
            Item::Socket(watched) => *watched,
            _ => return Err(Errno::PERM),
        };
        let ready = self.sockets.readiness(watched);
        check_events(operation, event.events, Watched::Other)?;
        let Item::Epoll(set) = self.descriptors.get_mut(epoll)? else {
            return Err(Errno::INVAL);
        };
        match operation {
            EPOLL_CTL_ADD => set.add(watched, event, Watched::Other, ready).map(drop)?,
            EPOLL_CTL_MOD => set.modify(&watched, event, ready).map(drop)?,
            EPOLL_CTL_DEL => set.remove(&watched)?,
            _ => return Err(Errno::INVAL),
        }
        Ok(Outcome::returned(0))
    }
}
