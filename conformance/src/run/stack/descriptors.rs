//! What the numbers of a script's host stand for.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use tapsock_sockets::epoll::EpollSet;
use tapsock_sockets::{Errno, Fd, PollMask, Sockets, Table};

use crate::run::call::Descriptor;

/// As many numbers are taken by the standard streams of any process.
const STANDARD_STREAMS: i32 = 3;

/// The most descriptors of one script.
const MAX_DESCRIPTORS: usize = 1024;

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

/// All of them.
pub(super) struct Descriptors {
    table: Table<Item>,
    pipes: Vec<VecDeque<u8>>,
    /// The files that there are, by their paths.
    pub(super) files: HashMap<PathBuf, Vec<u8>>,
}

impl Default for Descriptors {
    fn default() -> Self {
        Descriptors { table: Table::new(MAX_DESCRIPTORS), pipes: Vec::new(), files: HashMap::new() }
    }
}

impl Descriptors {
    /// A number for `item`: the lowest that is free.
    pub(super) fn insert(&mut self, item: Item) -> Result<Descriptor, Errno> {
        let Fd(number) = self.table.insert(item).map_err(|_| Errno::MFILE)?;
        Ok(number + STANDARD_STREAMS)
    }

    pub(super) fn get(&self, number: Descriptor) -> Result<&Item, Errno> {
        self.table.get(place(number)?).ok_or(Errno::BADF)
    }

    pub(super) fn get_mut(&mut self, number: Descriptor) -> Result<&mut Item, Errno> {
        self.table.get_mut(place(number)?).ok_or(Errno::BADF)
    }

    pub(super) fn remove(&mut self, number: Descriptor) -> Result<Item, Errno> {
        let item = self.table.remove(place(number)?).ok_or(Errno::BADF)?;
        if let Item::Socket(fd) = item {
            for number in self.table.numbers().collect::<Vec<_>>() {
                if let Some(Item::Epoll(set)) = self.table.get_mut(number) {
                    // One that does not watch it says ENOENT.
                    let _ = set.remove(&fd);
                }
            }
        }
        Ok(item)
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

fn place(number: Descriptor) -> Result<Fd, Errno> {
    match number.checked_sub(STANDARD_STREAMS) {
        Some(place) if place >= 0 => Ok(Fd(place)),
        _ => Err(Errno::BADF),
    }
}
