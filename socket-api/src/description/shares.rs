//! Who holds an object, and who watches it.

use std::sync::OnceLock;

use rustix::io::Errno;

use crate::engine::epoll::Watch;
use crate::engine::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};
use crate::mirror::Mirror;

/// They are kept beside the object. What few objects have is boxed on first use.
pub(crate) struct Shares {
    /// Once there are none it is closed, for good.
    holders: AtomicUsize,
    /// The watches of epoll instances. Its lock is a leaf.
    watches: Mutex<Option<Box<Watches>>>,
    /// A real descriptor that is as ready as the object, once somebody has asked for one.
    mirror: OnceLock<Box<Mirror>>,
}

/// Those of one object.
struct Watches(Vec<Arc<Watch>>);

impl Shares {
    /// Those of a new object, with one holder.
    pub(crate) fn new() -> Self {
        Shares { holders: AtomicUsize::new(1), watches: Mutex::new(None), mirror: OnceLock::new() }
    }

    /// How many holders there are.
    pub(super) fn holders(&self) -> usize {
        self.holders.load(Ordering::Acquire)
    }

    /// A holder makes another one.
    pub(super) fn hold(&self) {
        self.holders.fetch_add(1, Ordering::Relaxed);
    }

    /// A holder is gone; says how many are left.
    pub(super) fn let_go(&self) -> usize {
        self.holders.fetch_sub(1, Ordering::AcqRel) - 1
    }

    /// Notes that `watch` is to be detached when the object is closed. Errors: EBADF where it is closed.
    pub(crate) fn enter(&self, watch: &Arc<Watch>) -> Result<(), Errno> {
        let mut watches = lock(&self.watches);
        // All are taken after the last holder has let go, so none comes too late for that.
        if self.holders() == 0 {
            return Err(Errno::BADF);
        }
        // Most that have any have one.
        watches.get_or_insert_with(|| Box::new(Watches(Vec::with_capacity(1)))).0.push(watch.clone());
        Ok(())
    }

    /// Forgets `watch`.
    pub(crate) fn leave(&self, watch: &Watch) {
        let mut watches = lock(&self.watches);
        if let Some(watches) = &mut *watches {
            watches.0.retain(|other| !core::ptr::eq(&**other, watch));
        }
        watches.take_if(|watches| watches.0.is_empty());
    }

    /// Takes all, once nobody holds the object.
    pub(super) fn take_watches(&self) -> Vec<Arc<Watch>> {
        lock(&self.watches).take().map_or(Vec::new(), |watches| watches.0)
    }

    /// Who watches it.
    pub(crate) fn watches(&self) -> Vec<Arc<Watch>> {
        lock(&self.watches).as_ref().map_or(Vec::new(), |watches| watches.0.clone())
    }

    /// The object's mirror, once there is one.
    pub(crate) fn mirror(&self) -> &OnceLock<Box<Mirror>> {
        &self.mirror
    }
}
