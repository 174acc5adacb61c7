use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Wake, Waker};
use std::thread;
use std::time::Duration;

use crate::engine::wakers::{Direction, Wakers};

/// Looks whether the lock is free when it is dropped.
struct Last {
    wakers: Arc<Wakers>,
    found_free: Arc<AtomicUsize>,
}

impl Wake for Last {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Last {
    fn drop(&mut self) {
        let (wakers, (done, is_done)) = (self.wakers.clone(), mpsc::channel());
        thread::spawn(move || {
            wakers.edge(Direction::Read);
            done.send(())
        });
        let is_free = is_done.recv_timeout(Duration::from_secs(20)).is_ok();
        self.found_free.fetch_add(usize::from(is_free), Ordering::Relaxed);
    }
}

#[test]
fn wakers_are_dropped_without_the_lock() {
    let (wakers, found_free) = (Arc::new(Wakers::default()), Arc::new(AtomicUsize::new(0)));
    let waker = || Waker::from(Arc::new(Last { wakers: wakers.clone(), found_free: found_free.clone() }));
    let direction = Direction::Read;
    wakers.would_wait(direction, wakers.edge(direction));
    let seat = wakers.take_seat();
    assert!(wakers.poll(direction, seat, &waker()).is_pending());
    assert!(wakers.poll(direction, seat, &waker()).is_pending());
    assert_eq!(found_free.load(Ordering::Relaxed), 1, "the one that was replaced");
    wakers.leave(seat);
    assert_eq!(found_free.load(Ordering::Relaxed), 2, "the one that left");
}
