//! Ids as real descriptors.

use std::os::fd::OwnedFd;

use rustix::io::{Errno, fcntl_dupfd_cloexec};

use crate::host::Host;

/// A real descriptor that polls as what `id` stands for does, be it a socket or an epoll instance: a duplicate of its
/// mirror, for the caller to keep, to put into an epoll of the kernel's, or to lay over another number with dup2(2). See
/// [`HasMirror`](crate::HasMirror). After the last [`close`](super::close) of the socket it shows a hang-up.
///
/// An epoll instance's shows the real descriptors that it watches, too. When one of those is ready no longer, because
/// something was read from it, say, the kernel tells nobody: then the mirror shows the instance readable until the next call
/// on that.
///
/// ```
/// use rustix::event::{PollFd, PollFlags, poll};
/// use tapsock::bsd::{self, AF_UNIX, SOCK_STREAM};
/// use tapsock::Host;
///
/// let host = Host::builder().start()?;
/// let [here, there] = bsd::socketpair(&host, AF_UNIX, SOCK_STREAM, 0)?;
/// let real = bsd::mirror_fd(&host, here)?;
/// bsd::send(&host, there, b"hello", 0)?;
/// let mut asked = [PollFd::new(&real, PollFlags::IN)];
/// poll(&mut asked, None)?;
/// assert_eq!(asked[0].revents(), PollFlags::IN);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// EBADF, EMFILE, ENFILE, ENOBUFS, ENOMEM.
pub fn mirror_fd(host: &Host, id: i32) -> Result<OwnedFd, Errno> {
    // Nobody closes it meanwhile.
    let held = host.descriptors().held(id)?;
    fcntl_dupfd_cloexec(held.object().mirror()?, 0)
}
