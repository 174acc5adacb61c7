//! Who holds an object, and who watches it.

use core::mem;
use std::sync::OnceLock;

use rustix::io::Errno;

use crate::engine::epoll::Watch;
use crate::engine::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};
use crate::mirror::Mirror;

/// They are kept beside the object.
pub(crate) struct Shares {
    /// Once there are none it is closed, for good.
    holders: AtomicUsize,
    /// Made on first use: nobody watches most objects.
    audience: OnceLock<Box<Audience>>,
}

/// Who watches an object.
#[derive(Default)]
struct Audience {
    /// Epoll instances, by their watches. Its lock is a leaf.
    watches: Mutex<Vec<Arc<Watch>>>,
    /// A real descriptor that is as ready as the object, once somebody has asked for one.
    mirror: OnceLock<Mirror>,
}

impl Shares {
    /// Those of a new object, with one holder.
    pub(crate) fn new() -> Self {
        Shares { holders: AtomicUsize::new(1), audience: OnceLock::new() }
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
        let mut watches = lock(&self.audience().watches);
        // Nothing is added, but a write: who lets go last after it finds the audience, and takes the watches once this
        // lock is free; and who has let go before is seen here.
        if self.holders.fetch_add(0, Ordering::AcqRel) == 0 {
            return Err(Errno::BADF);
        }
        // Most that have any have one.
        if watches.is_empty() {
            watches.reserve_exact(1);
        }
        watches.push(watch.clone());
        Ok(())
    }

    /// Forgets `watch`.
    pub(crate) fn leave(&self, watch: &Watch) {
        if let Some(audience) = self.audience.get() {
            lock(&audience.watches).retain(|other| !core::ptr::eq(&**other, watch));
        }
    }

    /// Takes all, once nobody holds the object.
    pub(super) fn take_watches(&self) -> Vec<Arc<Watch>> {
        self.audience.get().map_or(Vec::new(), |audience| mem::take(&mut lock(&audience.watches)))
    }

    /// Who watches it.
    pub(crate) fn watches(&self) -> Vec<Arc<Watch>> {
        self.audience.get().map_or(Vec::new(), |audience| lock(&audience.watches).clone())
    }

    /// The object's mirror, once there is one.
    pub(crate) fn mirror(&self) -> Option<&Mirror> {
        self.audience.get()?.mirror.get()
    }

    /// Where it is to stand.
    pub(crate) fn place_of_mirror(&self) -> &OnceLock<Mirror> {
        &self.audience().mirror
    }

    fn audience(&self) -> &Audience {
        self.audience.get_or_init(Box::default)
    }
}
