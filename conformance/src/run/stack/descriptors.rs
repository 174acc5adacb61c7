//! What the numbers of a script's host stand for.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use tapsock_sockets::epoll::EpollSet;
use tapsock_sockets::{Errno, Fd, PollMask, Sockets, Table};

use crate::run::call::Descriptor;

/// The first number of a host of its own: those below it are the standard streams of any process.
const FIRST: Fd = Fd(3);

/// The end of the numbers of a host of its own.
const NUMBERS_END: usize = 1024 + FIRST.0 as usize;

/// Bytes that a pipe holds, as on Linux.
pub(super) const PIPE_CAPACITY: usize = 65_536;

/// What a number stands for.
pub(super) enum Item {
    Socket(Fd),
    Epoll(EpollSet<Fd>),
    /// The end of a pipe that is read, by the pipe's index.
    PipeReader(usize),
    PipeWriter(usize),
    File {
        bytes: Vec<u8>,
        position: usize,
    },
}

/// Gives out the numbers of a target's descriptors, where they are not to be the lowest free ones: a library takes them
/// from the process's own.
///
/// ```
/// use core::time::Duration;
///
/// use tapsock_conformance::run::{Call, Descriptor, Numbers, StackTarget, Target};
/// use tapsock_sockets::Errno;
/// use tapsock_stack::config::Config;
///
/// /// From 100 on, and none a second time.
/// struct Hundreds(Descriptor);
///
/// impl Numbers for Hundreds {
///     fn take(&mut self) -> Result<Descriptor, Errno> {
///         self.0 += 1;
///         Ok(self.0 - 1)
///     }
///     fn give_back(&mut self, _: Descriptor) {}
/// }
///
/// let mut target = StackTarget::bare(1500, Config::default()).unwrap();
/// target.set_numbers(Hundreds(100));
/// let made = target.call(Call::EpollCreate, Duration::ZERO).unwrap();
/// assert_eq!(made.value, 100);
/// ```
pub trait Numbers {
    /// A number that is not in use. Where the target knows it, it was given up behind the target's back: what it stood
    /// for is closed.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM.
    fn take(&mut self) -> Result<Descriptor, Errno>;

    /// The number is free again.
    fn give_back(&mut self, number: Descriptor);
}

/// All of them.
pub(super) struct Descriptors {
    table: Table<Item>,
    numbers: Option<Box<dyn Numbers + Send>>,
    /// What stood at numbers that were given out anew.
    orphans: Vec<Item>,
    pipes: Vec<VecDeque<u8>>,
    /// The files that there are, by their paths.
    pub(super) files: HashMap<PathBuf, Vec<u8>>,
}

impl Default for Descriptors {
    fn default() -> Self {
        Descriptors {
            table: Table::new(NUMBERS_END),
            numbers: None,
            orphans: Vec::new(),
            pipes: Vec::new(),
            files: HashMap::new(),
        }
    }
}

impl Descriptors {
    /// Has the numbers of what is made from now on given out by `numbers`.
    pub(super) fn set_numbers(&mut self, numbers: impl Numbers + Send + 'static) {
        self.table.set_limit(i32::MAX as usize);
        self.numbers = Some(Box::new(numbers));
    }

    /// A number for `item`: the lowest that is free, unless somebody gives them out.
    pub(super) fn insert(&mut self, item: Item) -> Result<Descriptor, Errno> {
        let Some(numbers) = &mut self.numbers else {
            let Fd(number) = self.table.insert_from(FIRST, item).map_err(|_| Errno::MFILE)?;
            return Ok(number);
        };
        let number = numbers.take()?;
        if let Some(stood) = self.table.remove(Fd(number)) {
            self.forget(&stood);
            self.orphans.push(stood);
        }
        self.table.insert_at(Fd(number), item).map_err(|_| Errno::MFILE)?;
        Ok(number)
    }

    pub(super) fn get(&self, number: Descriptor) -> Result<&Item, Errno> {
        self.table.get(Fd(number)).ok_or(Errno::BADF)
    }

    pub(super) fn get_mut(&mut self, number: Descriptor) -> Result<&mut Item, Errno> {
        self.table.get_mut(Fd(number)).ok_or(Errno::BADF)
    }

    pub(super) fn remove(&mut self, number: Descriptor) -> Result<Item, Errno> {
        let item = self.table.remove(Fd(number)).ok_or(Errno::BADF)?;
        if let Some(numbers) = &mut self.numbers {
            numbers.give_back(number);
        }
        self.forget(&item);
        Ok(item)
    }

    /// Frees a number; what it stood for is to be closed.
    pub(super) fn abandon(&mut self, number: Descriptor) {
        if let Ok(stood) = self.remove(number) {
            self.orphans.push(stood);
        }
    }

    /// What is to be closed, for it has no number any longer.
    pub(super) fn take_orphan(&mut self) -> Option<Item> {
        self.orphans.pop()
    }

    /// No epoll instance watches it any longer.
    fn forget(&mut self, item: &Item) {
        if let Item::Socket(fd) = item {
            for number in self.table.numbers().collect::<Vec<_>>() {
                if let Some(Item::Epoll(set)) = self.table.get_mut(number) {
                    // One that does not watch it says ENOENT.
                    let _ = set.remove(fd);
                }
            }
        }
    }

    /// The socket of that number. Errors: EBADF, ENOTSOCK.
    pub(super) fn socket(&self, number: Descriptor) -> Result<Fd, Errno> {
        match self.get(number)? {
            Item::Socket(fd) => Ok(*fd),
            _ => Err(Errno::NOTSOCK),
        }
    }

    /// All sockets, in the order of their numbers.
    pub(super) fn sockets(&self) -> Vec<Fd> {
        let items = self.table.numbers().filter_map(|number| self.table.get(number));
        items.filter_map(|item| if let Item::Socket(fd) = item { Some(*fd) } else { None }).collect()
    }

    pub(super) fn new_pipe(&mut self) -> Result<[Descriptor; 2], Errno> {
        self.pipes.push(VecDeque::new());
        let index = self.pipes.len() - 1;
        Ok([self.insert(Item::PipeReader(index))?, self.insert(Item::PipeWriter(index))?])
    }

    pub(super) fn pipe(&mut self, index: usize) -> &mut VecDeque<u8> {
        &mut self.pipes[index]
    }

    /// What a number is ready for.
    pub(super) fn readiness(&self, number: Descriptor, sockets: &Sockets) -> PollMask {
        match self.get(number) {
            Ok(Item::Socket(fd)) => sockets.readiness(*fd),
            Ok(Item::Epoll(set)) => match set.count_ready(1, |fd| sockets.readiness(*fd)) {
                0 => PollMask::NONE,
                _ => PollMask::IN | PollMask::RDNORM,
            },
            Ok(Item::PipeReader(index)) if self.pipes[*index].is_empty() => PollMask::NONE,
            Ok(Item::PipeReader(_)) => PollMask::IN | PollMask::RDNORM,
            Ok(Item::PipeWriter(index)) if self.pipes[*index].len() < PIPE_CAPACITY => {
                PollMask::OUT | PollMask::WRNORM
            }
            Ok(Item::PipeWriter(_)) => PollMask::NONE,
            Ok(Item::File { .. }) => PollMask::IN | PollMask::OUT | PollMask::RDNORM | PollMask::WRNORM,
            Err(_) => PollMask::NVAL,
        }
    }

    /// Tells the epoll instances that something happened to a socket.
    pub(super) fn tell(&mut self, fd: Fd, mask: PollMask) {
        if mask.is_empty() {
            return;
        }
        for number in self.table.numbers().collect::<Vec<_>>() {
            if let Some(Item::Epoll(set)) = self.table.get_mut(number) {
                // Whoever waits looks at the instance after each event anyway.
                let _ = set.on_event(&fd, mask);
            }
        }
    }
}
