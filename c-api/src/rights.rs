//! SCM_RIGHTS: numbers of sockets and descriptors of the kernel's, mixed.

use core::ffi::c_int;
use std::os::fd::{BorrowedFd, IntoRawFd};

use tapsock::bsd::{Passed, Right, SCM_RIGHTS, SOL_SOCKET};

use crate::state::owner;

/// Length of `struct cmsghdr`, in bytes: a length and two ints.
const HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// Control messages, taken apart.
pub(crate) struct Split<'a> {
    /// Those that pass nothing.
    pub(crate) rest: Vec<u8>,
    /// What the others pass, in order.
    pub(crate) rights: Vec<Right<'a>>,
}

/// Takes `control` apart where it passes descriptors of the kernel's. `None` where it does not, or is malformed, which is
/// for the socket to say.
pub(crate) fn split<'a>(control: &[u8]) -> Option<Split<'a>> {
    let mut split = Split { rest: Vec::new(), rights: Vec::new() };
    let (mut left, mut any_real) = (control, false);
    while left.len() >= HEADER_LEN {
        let len = usize::from_ne_bytes(*left.first_chunk()?);
        let payload = left.get(HEADER_LEN..len)?;
        let int = |at: usize| Some(c_int::from_ne_bytes(left.get(at..at + 4)?.try_into().ok()?));
        let whole = len.next_multiple_of(size_of::<usize>()).min(left.len());
        if (int(HEADER_LEN - 8)?, int(HEADER_LEN - 4)?) == (SOL_SOCKET, SCM_RIGHTS) {
            // What is no whole number is not looked at, as on Linux.
            for number in payload.as_chunks::<4>().0.iter().map(|number| c_int::from_ne_bytes(*number)) {
                let ours = number < 0 || owner(number).is_some();
                any_real |= !ours;
                split.rights.push(if ours {
                    Right::Id(number)
                } else {
                    // SAFETY: the number is the program's, and where nothing stands there the kernel says so.
                    Right::Real(unsafe { BorrowedFd::borrow_raw(number) })
                });
            }
        } else {
            split.rest.extend_from_slice(&left[..whole]);
        }
        left = &left[whole..];
    }
    any_real.then_some(split)
}

/// The descriptors that have come are the program's: their numbers stand in the control messages.
pub(crate) fn hand_over(passed: Vec<Passed>) {
    for passed in passed {
        if let Passed::Real(fd) = passed {
            let _ = fd.into_raw_fd();
        }
    }
}
