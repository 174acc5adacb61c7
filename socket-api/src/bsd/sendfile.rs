//! sendfile.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, SeekFrom, fcntl_getfl, fstat, seek};
use rustix::io::{Errno, pread, read};

use tapsock_sockets::constants::MSG_MORE;

use super::message::{SendMessage, send_on};
use crate::description::{Description, Object};
use crate::host::Host;

/// Bytes that are taken from the file at once, as Linux does by way of a pipe: a datagram socket sends so many in one.
const AT_ONCE: usize = 65_536;
/// The most that one call sends: Linux's MAX_RW_COUNT.
const COUNT_MAX: usize = 0x7fff_f000;

/// Sends what is in a real file, `count` bytes of it at most, and returns how many went. With an offset it begins there,
/// and the offset is moved on; without, at the file's own position, which is. See sendfile(2).
///
/// ```
/// use std::fs::File;
/// use std::os::fd::AsFd;
/// use tapsock::bsd::{self, AF_UNIX, SOCK_STREAM};
/// use tapsock::Host;
///
/// let host = Host::builder().start()?;
/// let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// let file = File::open("/proc/self/exe")?;
/// let mut offset = 1;
/// assert_eq!(bsd::sendfile(&host, here, file.as_fd(), Some(&mut offset), 3)?, 3);
/// let mut bytes = [0; 16];
/// assert_eq!(bsd::recv(&host, there, &mut bytes, 0)?, 3);
/// assert_eq!((&bytes[..3], offset), (&b"ELF"[..], 4));
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Those of [`send`](super::send), where nothing went; EINVAL for an offset below zero, a file that is neither a
/// regular one nor a device that can be read, and an epoll instance in place of the socket; ESPIPE for an offset into a
/// pipe or socket; EBADF, also where the file is not open for reading; what reading it says (EIO).
pub fn sendfile(
    host: &Host,
    socket: i32,
    file: BorrowedFd<'_>,
    offset: Option<&mut i64>,
    count: usize,
) -> Result<usize, Errno> {
    let object = host.descriptors().object(socket)?;
    check_readable(file)?;
    check_kind(file, offset.is_some())?;
    let Object::Socket(socket) = object else {
        return Err(Errno::INVAL);
    };
    let mut source = Source::new(file, offset.as_deref().copied())?;
    let outcome = copy(host, &socket, &mut source, count.min(COUNT_MAX));
    match offset {
        Some(offset) => *offset = source.position.unwrap_or(0) as i64,
        None => source.keep_position()?,
    }
    outcome
}

fn copy(host: &Host, socket: &Description, source: &mut Source<'_>, count: usize) -> Result<usize, Errno> {
    let mut piece = vec![0; count.min(AT_ONCE)];
    let mut next = vec![0; (count - piece.len()).min(AT_ONCE)];
    let mut sent = 0;
    let mut read = source.read(0, &mut piece)?;
    // As on Linux, what was read from a source without positions and found no room is lost.
    while read > 0 {
        let wanted = (count - sent - read).min(AT_ONCE);
        // What comes next is looked at first: all but the last piece are sent with MSG_MORE, so that no segment ends with
        // one. From a device without positions nothing is read that may not go.
        let ahead = wanted.min(next.len());
        let looked = source.position.map(|_| source.read(read, &mut next[..ahead]));
        let flags = if matches!(looked, Some(Ok(1..))) { MSG_MORE } else { 0 };
        let message = SendMessage { iov: &[IoSlice::new(&piece[..read])], ..SendMessage::default() };
        match send_on(host, socket, &message, flags) {
            Ok(went) => {
                source.advance(went);
                sent += went;
                if went < read || wanted == 0 {
                    break;
                }
            }
            Err(errno) => return if sent > 0 { Ok(sent) } else { Err(errno) },
        }
        // Something went: an error of the file is for the next call.
        read = match looked {
            Some(looked) => {
                core::mem::swap(&mut piece, &mut next);
                looked.unwrap_or(0)
            }
            None => source.read(0, &mut piece[..wanted]).unwrap_or(0),
        };
    }
    Ok(sent)
}

/// Errors: EBADF.
fn check_readable(file: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = fcntl_getfl(file)?;
    let mode = flags & OFlags::RWMODE;
    if flags.contains(OFlags::PATH) || mode == OFlags::WRONLY { Err(Errno::BADF) } else { Ok(()) }
}

/// Errors: EINVAL, ESPIPE.
fn check_kind(file: BorrowedFd<'_>, at_offset: bool) -> Result<(), Errno> {
    match FileType::from_raw_mode(fstat(file)?.st_mode) {
        FileType::RegularFile | FileType::CharacterDevice | FileType::BlockDevice => Ok(()),
        FileType::Fifo | FileType::Socket if at_offset => Err(Errno::SPIPE),
        _ => Err(Errno::INVAL),
    }
}

/// A file that is read from a position on.
struct Source<'a> {
    file: BorrowedFd<'a>,
    /// Where it goes on; `None` for a device that has no positions.
    position: Option<u64>,
}

impl<'a> Source<'a> {
    fn new(file: BorrowedFd<'a>, offset: Option<i64>) -> Result<Self, Errno> {
        let position = match offset {
            Some(offset) => Some(u64::try_from(offset).map_err(|_| Errno::INVAL)?),
            None => seek(file, SeekFrom::Current(0)).ok(),
        };
        Ok(Source { file, position })
    }

    /// Reads `ahead` bytes further on, which is 0 where there are no positions.
    fn read(&self, ahead: usize, into: &mut [u8]) -> Result<usize, Errno> {
        match self.position {
            _ if into.is_empty() => Ok(0),
            Some(position) => pread(self.file, into, position + ahead as u64),
            None => read(self.file, into),
        }
    }

    fn advance(&mut self, count: usize) {
        if let Some(position) = &mut self.position {
            *position += count as u64;
        }
    }

    /// The file's own position is where this has come to.
    fn keep_position(&self) -> Result<(), Errno> {
        match self.position {
            Some(position) => seek(self.file, SeekFrom::Start(position)).map(drop),
            None => Ok(()),
        }
    }
}
