//! What is to happen, in order of time; at one instant, first told, first done.

use core::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tapsock_stack::time::Instant;

/// A queue of events by time and, at one instant, by the order in which they were put in.
///
/// ```
/// use tapsock_sim::queue::EventQueue;
/// use tapsock_stack::time::Instant;
///
/// let mut queue = EventQueue::new();
/// queue.push(Instant::from_millis(2), "third");
/// queue.push(Instant::from_millis(1), "first");
/// queue.push(Instant::from_millis(1), "second");
/// assert_eq!(queue.pop(), Some((Instant::from_millis(1), "first")));
/// assert_eq!(queue.pop(), Some((Instant::from_millis(1), "second")));
/// assert_eq!(queue.next_at(), Some(Instant::from_millis(2)));
/// ```
#[derive(Debug)]
pub struct EventQueue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    sequence: u64,
}

impl<T> EventQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        EventQueue { heap: BinaryHeap::new(), sequence: 0 }
    }

    /// Adds an event.
    pub fn push(&mut self, at: Instant, event: T) {
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, event }));
    }

    /// When the next event is.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(next)| next.at)
    }

    /// Takes the next event.
    pub fn pop(&mut self) -> Option<(Instant, T)> {
        self.heap.pop().map(|Reverse(next)| (next.at, next.event))
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        EventQueue::new()
    }
}

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    sequence: u64,
    event: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
