//! The name space of a host: which socket a path or an abstract name leads to.
//!
//! It is in memory, and so simpler than a file system: every directory that a path mentions is deemed to exist, there are
//! no symbolic links, and there is one working directory, `/`. So `x`, `./x`, `/x`, `//x` and `/d/../x` are one name. The
//! rest is as on Linux: a path stays when its socket is gone, until it is unlinked; an abstract name goes with its
//! socket; each type of socket has abstract names of its own.

use core::ops::Bound;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::SocketKind;
use super::error::{BindError, LookupError};
use crate::address::{UnixAddr, UnixName};

/// How many names can be chosen for a socket: five hexadecimal digits.
const AUTOBIND_NAMES: u32 = 1 << 20;

/// The name space. `H` is what leads to a socket: a handle that does not keep it alive. Bounded by the sockets that there
/// are and by the paths that nobody unlinks.
///
/// ```
/// use tapsock_sockets::UnixAddr;
/// use tapsock_sockets::local::{BindError, LookupError, Names, SocketKind};
///
/// let mut names = Names::new();
/// let path = UnixAddr::path(b"/run/echo").unwrap();
/// let inode = names.bind(&path, SocketKind::Stream, "a handle").unwrap();
/// assert_eq!(names.lookup(&path, SocketKind::Stream), Ok(&"a handle"));
/// assert_eq!(names.lookup(&path, SocketKind::Datagram), Err(LookupError::WrongKind));
///
/// names.release(&path, inode);
/// assert_eq!(names.lookup(&path, SocketKind::Stream), Err(LookupError::Refused));
/// assert_eq!(names.bind(&path, SocketKind::Stream, "another"), Err(BindError::InUse));
/// names.unlink(b"/run/echo").unwrap();
/// assert_eq!(names.lookup(&path, SocketKind::Stream), Err(LookupError::NotFound));
/// ```
#[derive(Debug)]
pub struct Names<H> {
    names: BTreeMap<NameKey, Inode<H>>,
    next: u64,
}

/// Which of the sockets that bore a name.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct InodeId(u64);

#[derive(Debug)]
struct Inode<H> {
    id: InodeId,
    kind: SocketKind,
    /// `None` when the socket is gone.
    owner: Option<H>,
}

/// A name as it is compared.
///
/// ```
/// use tapsock_sockets::local::NameKey;
///
/// assert_eq!(NameKey::of_path(b"./a//b"), NameKey::of_path(b"/a/c/../b"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum NameKey {
    /// The parts of a path, with a slash before each; empty for the root.
    Path(Vec<u8>),
    /// An abstract name, without its leading zero byte.
    Abstract(SocketKind, Vec<u8>),
}

impl NameKey {
    /// A path as it is compared.
    pub fn of_path(path: &[u8]) -> NameKey {
        let mut key: Vec<u8> = Vec::with_capacity(path.len() + 1);
        for part in path.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => key.truncate(key.iter().rposition(|byte| *byte == b'/').unwrap_or(0)),
                _ => {
                    key.push(b'/');
                    key.extend_from_slice(part);
                }
            }
        }
        NameKey::Path(key)
    }
}

impl<H> Default for Names<H> {
    fn default() -> Self {
        Names::new()
    }
}

impl<H> Names<H> {
    /// No names.
    pub fn new() -> Self {
        Names { names: BTreeMap::new(), next: 0 }
    }

    /// Gives `address` to the socket `owner`. The caller has checked that it has no name yet (EINVAL); Linux does so
    /// after it has found that a path is in use.
    pub fn bind(&mut self, address: &UnixAddr, kind: SocketKind, owner: H) -> Result<InodeId, BindError> {
        let key = self.key_to_bind(address, kind)?;
        let id = InodeId(self.next);
        self.next += 1;
        self.names.insert(key, Inode { id, kind, owner: Some(owner) });
        Ok(id)
    }

    /// Whether `address` could be given to a socket.
    pub fn check(&self, address: &UnixAddr, kind: SocketKind) -> Result<(), BindError> {
        self.key_to_bind(address, kind).map(|_| ())
    }

    /// Gives an abstract name of five hexadecimal digits to the socket `owner`, the first free one from `start` on,
    /// which the caller draws at random.
    pub fn autobind(
        &mut self,
        start: u32,
        kind: SocketKind,
        owner: H,
    ) -> Result<(UnixAddr, InodeId), BindError> {
        for number in 0..AUTOBIND_NAMES {
            let name = format!("{:05x}", start.wrapping_add(number) % AUTOBIND_NAMES);
            let Ok(address) = UnixAddr::abstract_name(name.as_bytes()) else {
                break;
            };
            if self.check(&address, kind).is_ok() {
                return Ok((address, self.bind(&address, kind, owner)?));
            }
        }
        Err(BindError::Exhausted)
    }

    /// The socket of type `kind` that `address` leads to.
    pub fn lookup(&self, address: &UnixAddr, kind: SocketKind) -> Result<&H, LookupError> {
        let key = match address.name() {
            UnixName::Unnamed => return Err(LookupError::Unnamed),
            UnixName::Abstract(name) => NameKey::Abstract(kind, name.to_vec()),
            UnixName::Path(path) => self.path_to_look_up(path)?,
        };
        let missing = match key {
            NameKey::Path(_) => LookupError::NotFound,
            NameKey::Abstract(..) => LookupError::Refused,
        };
        let inode = self.names.get(&key).ok_or(missing)?;
        let owner = inode.owner.as_ref().ok_or(LookupError::Refused)?;
        if inode.kind == kind { Ok(owner) } else { Err(LookupError::WrongKind) }
    }

    /// The socket that was given `address` as `id` is closed. A path stays, without a socket.
    pub fn release(&mut self, address: &UnixAddr, id: InodeId) {
        match address.name() {
            UnixName::Unnamed => {}
            UnixName::Path(path) => {
                if let Some(inode) =
                    self.names.get_mut(&NameKey::of_path(path)).filter(|inode| inode.id == id)
                {
                    inode.owner = None;
                }
            }
            UnixName::Abstract(name) => {
                for kind in [SocketKind::Stream, SocketKind::Datagram, SocketKind::Seqpacket] {
                    if let Entry::Occupied(entry) = self.names.entry(NameKey::Abstract(kind, name.to_vec()))
                        && entry.get().id == id
                    {
                        entry.remove();
                    }
                }
            }
        }
    }

    /// Removes a path, as `unlink(2)`. The socket goes on.
    pub fn unlink(&mut self, path: &[u8]) -> Result<(), LookupError> {
        let key = self.path_to_look_up(path).map_err(|error| match error {
            LookupError::Refused => LookupError::IsDirectory,
            error => error,
        })?;
        self.names.remove(&key).map(|_| ()).ok_or(LookupError::NotFound)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn key_to_bind(&self, address: &UnixAddr, kind: SocketKind) -> Result<NameKey, BindError> {
        let key = match address.name() {
            UnixName::Unnamed => return Err(BindError::Unnamed),
            UnixName::Abstract(name) => NameKey::Abstract(kind, name.to_vec()),
            UnixName::Path(path) => match Form::of(path) {
                _ if self.passes_a_socket(path) => return Err(BindError::NotDirectory),
                Form::Name => NameKey::of_path(path),
                Form::Slash if !self.stands(&NameKey::of_path(path)) => return Err(BindError::NotFound),
                Form::Slash | Form::Directory => return Err(BindError::InUse),
            },
        };
        if self.stands(&key) { Err(BindError::InUse) } else { Ok(key) }
    }

    /// Whether there is a socket or a directory of that name.
    fn stands(&self, key: &NameKey) -> bool {
        self.names.contains_key(key) || self.is_directory(key)
    }

    /// Whether other names go through this one.
    fn is_directory(&self, key: &NameKey) -> bool {
        let NameKey::Path(path) = key else { return false };
        let inside = [path, &b"/"[..]].concat();
        let from = NameKey::Path(inside.clone());
        let next = self.names.range((Bound::Excluded(from), Bound::Unbounded)).next();
        matches!(next, Some((NameKey::Path(next), _)) if next.starts_with(&inside))
    }

    fn path_to_look_up(&self, path: &[u8]) -> Result<NameKey, LookupError> {
        let key = NameKey::of_path(path);
        match Form::of(path) {
            _ if self.passes_a_socket(path) => Err(LookupError::NotDirectory),
            Form::Name | Form::Slash if self.is_directory(&key) => Err(LookupError::Refused),
            Form::Name => Ok(key),
            Form::Slash if self.names.contains_key(&key) => Err(LookupError::NotDirectory),
            Form::Slash => Err(LookupError::NotFound),
            Form::Directory => Err(LookupError::Refused),
        }
    }

    /// Whether `path` goes through a socket as if that were a directory.
    fn passes_a_socket(&self, path: &[u8]) -> bool {
        let last = path.iter().rposition(|byte| *byte != b'/').map_or(0, |end| end + 1);
        let slashes = (0..last).filter(|at| path[*at] == b'/');
        slashes.map(|at| NameKey::of_path(&path[..at])).any(|key| self.names.contains_key(&key))
    }
}

/// What the end of a path says of what it names.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Form {
    /// It may name a socket.
    Name,
    /// A name with a slash behind it.
    Slash,
    /// It can be nothing but a directory.
    Directory,
}

impl Form {
    fn of(path: &[u8]) -> Form {
        let mut parts = path.rsplit(|byte| *byte == b'/').skip_while(|part| part.is_empty());
        match parts.next() {
            None | Some(b"." | b"..") => Form::Directory,
            Some(_) if path.ends_with(b"/") => Form::Slash,
            Some(_) => Form::Name,
        }
    }
}

#[cfg(test)]
mod tests;
