//! One direction of a wire in memory: a bounded queue with two descriptors to wait on.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tapsock_stack::buf::Frame;

use crate::sys;

/// The value at which an eventfd is no longer writable: eventfd(2) allows at most `u64::MAX - 1`.
const SATURATED: u64 = u64::MAX - 1;

/// Frames under way from one end to the other.
#[derive(Debug)]
pub(super) struct FrameQueue {
    state: Mutex<State>,
    /// Counts above zero, so readable, while a frame waits or the sender is gone.
    readable: File,
    /// Saturated, so not writable, from a refused frame on until there is room.
    writable: File,
}

#[derive(Debug)]
struct State {
    frames: VecDeque<Frame>,
    capacity: usize,
    readable: bool,
    saturated: bool,
    sender: End,
    receiver: End,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum End {
    Open,
    Gone,
}

/// Why a frame was not taken.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Refused {
    Full,
    ReceiverGone,
}

/// What becomes of a frame that finds the queue full.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum WhenFull {
    /// The sender keeps it, and its descriptor is not writable until there is room.
    PushBack,
    /// It is lost.
    Drop,
}

impl FrameQueue {
    /// A queue of at most `capacity` frames.
    pub(super) fn new(capacity: usize) -> io::Result<Self> {
        Ok(FrameQueue {
            state: Mutex::new(State {
                frames: VecDeque::with_capacity(capacity),
                capacity,
                readable: false,
                saturated: false,
                sender: End::Open,
                receiver: End::Open,
            }),
            readable: File::from(sys::eventfd()?),
            writable: File::from(sys::eventfd()?),
        })
    }

    /// Adds a frame that `make` gives, which is called only where there is room.
    pub(super) fn push(&self, when_full: WhenFull, make: impl FnOnce() -> Frame) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.receiver == End::Gone {
            return Err(Refused::ReceiverGone);
        }
        if state.frames.len() >= state.capacity {
            if when_full == WhenFull::PushBack && !state.saturated {
                state.saturated = true;
                signal(&self.writable, SATURATED);
            }
            return Err(Refused::Full);
        }
        state.frames.push_back(make());
        self.set_readable(&mut state);
        Ok(())
    }

    /// Takes the frame that was first put in.
    ///
    /// # Errors
    ///
    /// EAGAIN where there is none; ENODEV where the sender is gone too.
    pub(super) fn pop(&self) -> io::Result<Frame> {
        let mut state = self.lock();
        let frame = state.frames.pop_front();
        if state.saturated && frame.is_some() {
            state.saturated = false;
            reset(&self.writable);
        }
        match frame {
            Some(frame) => {
                if state.frames.is_empty() && state.sender == End::Open {
                    state.readable = false;
                    reset(&self.readable);
                }
                Ok(frame)
            }
            None if state.sender == End::Gone => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            None => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        }
    }

    /// Tells the receiver, once it has taken what is left, that no more will come.
    pub(super) fn close_sender(&self) {
        let mut state = self.lock();
        state.sender = End::Gone;
        self.set_readable(&mut state);
    }

    /// Tells the sender that nobody takes what it sends.
    pub(super) fn close_receiver(&self) {
        let mut state = self.lock();
        state.receiver = End::Gone;
        state.frames.clear();
        if state.saturated {
            state.saturated = false;
            reset(&self.writable);
        }
    }

    /// Readable while [`pop`](Self::pop) has something to say.
    pub(super) fn readable(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }

    /// Writable unless the last push found no room and there is none yet.
    pub(super) fn writable(&self) -> BorrowedFd<'_> {
        self.writable.as_fd()
    }

    fn set_readable(&self, state: &mut State) {
        if !state.readable {
            state.readable = true;
            signal(&self.readable, 1);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds `value` to an eventfd that stands at zero, which can't fail.
fn signal(mut eventfd: &File, value: u64) {
    let _ = eventfd.write(&value.to_ne_bytes());
}

/// Sets an eventfd to zero; where it is that already, nothing happens.
fn reset(mut eventfd: &File) {
    let _ = eventfd.read(&mut [0; 8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readiness(queue: &FrameQueue) -> (bool, bool) {
        (sys::is_readable(queue.readable()), sys::is_writable(queue.writable()))
    }

    fn push(queue: &FrameQueue, when_full: WhenFull) -> Result<(), Refused> {
        queue.push(when_full, || Frame::from(vec![0; 60]))
    }

    #[test]
    fn descriptors_follow_the_queue() {
        let queue = FrameQueue::new(2).unwrap();
        assert_eq!(readiness(&queue), (false, true));
        push(&queue, WhenFull::PushBack).unwrap();
        push(&queue, WhenFull::PushBack).unwrap();
        assert_eq!(readiness(&queue), (true, true));
        assert_eq!(push(&queue, WhenFull::PushBack), Err(Refused::Full));
        assert_eq!(push(&queue, WhenFull::PushBack), Err(Refused::Full));
        assert_eq!(readiness(&queue), (true, false));
        queue.pop().unwrap();
        assert_eq!(readiness(&queue), (true, true));
        queue.pop().unwrap();
        assert_eq!(readiness(&queue), (false, true));
        assert_eq!(queue.pop().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_switch_port_loses_what_finds_no_room() {
        let queue = FrameQueue::new(1).unwrap();
        push(&queue, WhenFull::Drop).unwrap();
        assert_eq!(push(&queue, WhenFull::Drop), Err(Refused::Full));
        assert_eq!(readiness(&queue), (true, true));
    }

    #[test]
    fn the_receiver_takes_what_is_left_and_then_learns_that_the_sender_is_gone() {
        let queue = FrameQueue::new(4).unwrap();
        push(&queue, WhenFull::PushBack).unwrap();
        queue.close_sender();
        assert!(queue.pop().is_ok());
        assert_eq!(readiness(&queue), (true, true));
        assert_eq!(queue.pop().unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn a_sender_that_waits_for_room_learns_that_the_receiver_is_gone() {
        let queue = FrameQueue::new(1).unwrap();
        push(&queue, WhenFull::PushBack).unwrap();
        assert_eq!(push(&queue, WhenFull::PushBack), Err(Refused::Full));
        queue.close_receiver();
        assert!(readiness(&queue).1);
        assert_eq!(push(&queue, WhenFull::PushBack), Err(Refused::ReceiverGone));
    }
}
