//! Records in the order of time, though several threads make them.
//!
//! A frame's time is taken before the link has it, since its answer may be captured before `transmit` returns; its
//! record is made afterwards, when the link has not refused it. So records come to the writer out of order, and it
//! holds them back until nothing older can come: each half of a link tells from when on it makes a record, and wakes a
//! writer that waits for it to be made or given up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;

use super::Record;

/// A half that makes no record.
const IDLE: u64 = u64::MAX;
/// A half that is about to look at the clock.
const ANY_TIME: u64 = 0;

/// The capture's clock, and who is making a record of which time.
#[derive(Debug)]
pub(super) struct Order {
    began: Instant,
    /// Nanoseconds since 1970 at `began`.
    base: u64,
    halves: Mutex<Vec<Arc<AtomicU64>>>,
    /// The writer holds records, and waits.
    is_awaited: AtomicBool,
    /// What it waits at.
    writer: Sender<Record>,
}

/// One half of a captured link: it makes one record at a time.
#[derive(Debug)]
pub(super) struct Stamper {
    making: Arc<AtomicU64>,
}

/// A time that has been taken for a record. The record is to be on its way to the writer when this is dropped.
#[derive(Debug)]
pub(super) struct Stamp<'a> {
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    making: &'a AtomicU64,
    order: &'a Order,
}

impl Order {
    pub(super) fn new(writer: Sender<Record>) -> Self {
        let base = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        Order {
            began: Instant::now(),
            base,
            halves: Mutex::default(),
            is_awaited: AtomicBool::new(false),
            writer,
        }
    }

    /// Nanoseconds since 1970. Never goes back: where somebody sets the machine's clock meanwhile, the capture goes on
    /// by the time at which it began.
    pub(super) fn now(&self) -> u64 {
        self.base + self.began.elapsed().as_nanos() as u64
    }

    /// One half more that makes records.
    pub(super) fn stamper(&self) -> Stamper {
        let making = Arc::new(AtomicU64::new(IDLE));
        let mut halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.retain(|half| Arc::strong_count(half) > 1);
        halves.push(making.clone());
        Stamper { making }
    }

    /// The time up to which all records have been given to the writer, or are of just that time.
    ///
    /// The clock is read before the halves are: one that is idle then takes a later time for its next record.
    pub(super) fn settled(&self) -> u64 {
        let now = self.now();
        let halves = self.halves.lock().unwrap_or_else(PoisonError::into_inner);
        halves.iter().map(|half| half.load(Ordering::SeqCst)).fold(now, u64::min)
    }

    /// The writer is going to wait for the next that is made or given up. It has to look at [`settled`](Order::settled)
    /// once more before it does: what came to its end before this call wakes nobody.
    pub(super) fn await_next(&self) {
        self.is_awaited.store(true, Ordering::SeqCst);
    }

    /// Whether nobody has come to an end since: whoever does from now on wakes the writer.
    pub(super) fn is_awaited(&self) -> bool {
        self.is_awaited.load(Ordering::SeqCst)
    }
}

impl Stamper {
    /// Takes the time for a record.
    pub(super) fn stamp<'a>(&'a self, order: &'a Order) -> Stamp<'a> {
        // Between the look at the clock and the store, the writer must not think that this half is idle.
        self.making.store(ANY_TIME, Ordering::SeqCst);
        let time = order.now();
        self.making.store(time, Ordering::SeqCst);
        Stamp { time, making: &self.making, order }
    }
}

impl Drop for Stamp<'_> {
    fn drop(&mut self) {
        self.making.store(IDLE, Ordering::SeqCst);
        if self.order.is_awaited.load(Ordering::SeqCst) && self.order.is_awaited.swap(false, Ordering::SeqCst)
        {
            // Refused where there is something in the channel, which wakes it as well, or where the writer is gone.
            let _ = self.order.writer.try_send(Record::Settled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_settled_behind_a_record_that_is_being_made() {
        let order = Order::new(crossbeam_channel::bounded(1).0);
        let (left, right) = (order.stamper(), order.stamper());
        let first = left.stamp(&order);
        let second = right.stamp(&order);
        assert!(first.time <= second.time);
        assert_eq!(order.settled(), first.time);
        let at = first.time;
        drop(first);
        assert!(order.settled() >= at && order.settled() == second.time);
        let at = second.time;
        drop(second);
        let third = left.stamp(&order).time;
        assert!(third >= at && order.settled() >= third);
    }

    #[test]
    fn a_writer_that_waits_is_woken_by_the_next_end_once() {
        let (writer, records) = crossbeam_channel::bounded(4);
        let order = Order::new(writer);
        let half = order.stamper();
        drop(half.stamp(&order));
        assert!(records.is_empty(), "nobody waits");
        let stamp = half.stamp(&order);
        order.await_next();
        assert!(order.is_awaited() && order.settled() == stamp.time);
        drop(stamp);
        assert!(!order.is_awaited(), "it is to look again");
        assert!(matches!(records.try_recv(), Ok(Record::Settled)));
        drop(half.stamp(&order));
        assert!(records.is_empty());
    }

    #[test]
    fn a_half_that_is_gone_is_waited_for_no_more() {
        let order = Order::new(crossbeam_channel::bounded(1).0);
        drop(order.stamper());
        let _other = order.stamper();
        assert_eq!(order.halves.lock().unwrap().len(), 1);
    }
}
