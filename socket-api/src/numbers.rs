//! Where the numbers of socket ids come from.

use std::sync::Arc;

use rustix::io::Errno;

/// Gives out numbers for ids, where they are not to be the lowest free ones of the host
/// ([`Builder::numbers`](crate::Builder::numbers)): a C library takes them from the process's own descriptors.
///
/// ```
/// use std::sync::atomic::{AtomicI32, Ordering};
/// use tapsock::bsd::{self, AF_UNIX, SOCK_STREAM};
/// use tapsock::{Errno, Host, Numbers};
///
/// /// From 100 on, and none a second time.
/// struct Hundreds(AtomicI32);
///
/// impl Numbers for Hundreds {
///     fn take(&self, least: i32) -> Result<i32, Errno> {
///         Ok(self.0.fetch_add(1, Ordering::Relaxed).max(least))
///     }
///     fn claim(&self, _: i32) -> Result<(), Errno> {
///         Ok(())
///     }
///     fn give_back(&self, _: i32) {}
/// }
///
/// let host = Host::builder().numbers(Hundreds(AtomicI32::new(100))).start().unwrap();
/// assert_eq!(bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?, [100, 101]);
/// # Ok::<(), Errno>(())
/// ```
pub trait Numbers: Send + Sync {
    /// A number that is not in use, the lowest that is not below `least`. It is in use from now on. Where it is one that
    /// the host knows, that id was given up behind the host's back: it is closed.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM; EINVAL where `least` is no number.
    fn take(&self, least: i32) -> Result<i32, Errno>;

    /// Takes this number, whatever it stood for (dup2).
    ///
    /// # Errors
    /// EBADF for no number, EMFILE, EBUSY.
    fn claim(&self, number: i32) -> Result<(), Errno>;

    /// The number is free again. Called with the host's table locked, so that nothing else can stand there yet: it makes
    /// no call on the host.
    fn give_back(&self, number: i32);
}

impl<N: Numbers + ?Sized> Numbers for Arc<N> {
    fn take(&self, least: i32) -> Result<i32, Errno> {
        (**self).take(least)
    }

    fn claim(&self, number: i32) -> Result<(), Errno> {
        (**self).claim(number)
    }

    fn give_back(&self, number: i32) {
        (**self).give_back(number);
    }
}
