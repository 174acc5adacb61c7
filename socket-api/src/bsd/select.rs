//! select and pselect.

use core::time::Duration;

use rustix::io::Errno;
use tapsock_sockets::PollMask;

use super::poll::{PollFd, Unasked, watch};
use crate::host::Host;

/// Ids that an [`FdSet`] may hold are below this.
pub const FD_SETSIZE: usize = 1024;

/// A set of ids, `fd_set`. See select(2).
///
/// ```
/// use tapsock::bsd::FdSet;
///
/// let mut set = FdSet::new();
/// set.insert(3);
/// set.insert(1024);
/// assert!(set.contains(3) && !set.contains(1024), "it has no room for that");
/// assert_eq!(set.iter().collect::<Vec<_>>(), [3]);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct FdSet {
    words: [u64; FD_SETSIZE / 64],
}

impl FdSet {
    /// The empty set (`FD_ZERO`).
    pub const fn new() -> Self {
        FdSet { words: [0; FD_SETSIZE / 64] }
    }

    /// Puts an id in (`FD_SET`). One that is not below [`FD_SETSIZE`] is left out; in C that overwrites what lies behind.
    pub fn insert(&mut self, id: i32) {
        if let Some((word, bit)) = place(id) {
            self.words[word] |= bit;
        }
    }

    /// Takes an id out (`FD_CLR`).
    pub fn remove(&mut self, id: i32) {
        if let Some((word, bit)) = place(id) {
            self.words[word] &= !bit;
        }
    }

    /// Whether an id is in it (`FD_ISSET`).
    pub fn contains(&self, id: i32) -> bool {
        place(id).is_some_and(|(word, bit)| self.words[word] & bit != 0)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// All ids in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = i32> + '_ {
        (0..FD_SETSIZE as i32).filter(|id| self.contains(*id))
    }
}

impl FromIterator<i32> for FdSet {
    fn from_iter<I: IntoIterator<Item = i32>>(ids: I) -> Self {
        let mut set = FdSet::new();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

fn place(id: i32) -> Option<(usize, u64)> {
    let id = usize::try_from(id).ok().filter(|id| *id < FD_SETSIZE)?;
    Some((id / 64, 1 << (id % 64)))
}

/// What `read` is ready for: Linux's POLLIN_SET.
const READ: PollMask = PollMask::from_bits(0x1 | 0x8 | 0x10 | 0x40);
/// What `write` is: POLLOUT_SET.
const WRITE: PollMask = PollMask::from_bits(0x4 | 0x8 | 0x100 | 0x200);
/// What `except` is: POLLEX_SET.
const EXCEPT: PollMask = PollMask::PRI;

/// Waits until one of the ids below `count` in the sets is ready to be read, to be written, or has urgent data, or
/// `timeout` has passed (`None`: for ever). The sets are left with those that are, and how many bits that are is
/// returned. See select(2).
///
/// ```
/// use tapsock::bsd::{self, AF_UNIX, FdSet, SOCK_STREAM};
/// use tapsock::{Errno, Host};
///
/// let host = Host::builder().start().unwrap();
/// let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// bsd::send(&host, here, b"hello", 0)?;
/// let mut read: FdSet = [here, there].into_iter().collect();
/// assert_eq!(bsd::select(&host, there + 1, Some(&mut read), None, None, None)?, 1);
/// assert_eq!(read.iter().collect::<Vec<_>>(), [there]);
/// # Ok::<(), Errno>(())
/// ```
///
/// # Errors
/// EINVAL where `count` is below zero or above [`FD_SETSIZE`]; EBADF for an id that stands for nothing, or is closed while
/// the call waits. The sets are then
/// as they were.
pub fn select(
    host: &Host,
    count: i32,
    read: Option<&mut FdSet>,
    write: Option<&mut FdSet>,
    except: Option<&mut FdSet>,
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    if usize::try_from(count).map_or(true, |count| count > FD_SETSIZE) {
        return Err(Errno::INVAL);
    }
    let mut sets = [(read, READ), (write, WRITE), (except, EXCEPT)];
    let mut entries = Vec::new();
    for id in 0..count {
        let asked = sets.iter().filter(|(set, _)| set.as_ref().is_some_and(|set| set.contains(id)));
        let events = asked.fold(PollMask::NONE, |events, (_, mask)| events | *mask);
        if !events.is_empty() {
            host.descriptors().object(id)?;
            entries.push(PollFd::new(id, events));
        }
    }
    watch(host, &mut entries, Unasked::PassedOver, &mut [], timeout)?;
    // One was closed meanwhile. Linux goes on waiting for it.
    if entries.iter().any(|entry| entry.revents.contains(PollMask::NVAL)) {
        return Err(Errno::BADF);
    }
    Ok(sets
        .iter_mut()
        .map(|(set, mask)| set.as_deref_mut().map_or(0, |set| told(set, &entries, *mask)))
        .sum())
}

/// As [`select`]. There is no signal mask, since signals end no call. See pselect(2).
///
/// # Errors
/// Those of [`select`].
pub fn pselect(
    host: &Host,
    count: i32,
    read: Option<&mut FdSet>,
    write: Option<&mut FdSet>,
    except: Option<&mut FdSet>,
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    select(host, count, read, write, except, timeout)
}

/// Leaves in `set` what is ready, and counts it.
fn told(set: &mut FdSet, entries: &[PollFd], mask: PollMask) -> usize {
    let asked = core::mem::take(set);
    let ready = entries.iter().filter(|entry| asked.contains(entry.fd) && entry.revents.intersects(mask));
    ready.map(|entry| set.insert(entry.fd)).count()
}
