//! Epoll instances that watch epoll instances: no rings, and no long chains.

use core::hash::Hash;
use std::collections::HashMap;

use rustix::io::Errno;

/// The most epoll instances in a chain, each watched by the one before; the sockets watched by the last do not count.
pub const EPOLL_NESTING_MAX: usize = 5;

/// Whether `outer` may watch `inner`, both of them epoll instances. `below` gives the epoll instances that one
/// watches, `above` those that watch it.
///
/// Errors: EINVAL where they are the same; ELOOP where `inner` leads back to `outer`, or where a chain of more than
/// [`EPOLL_NESTING_MAX`] would come of it. Linux bounds the number of paths too, which is not needed here: whoever follows
/// wake-ups upwards is to visit each instance once.
///
/// Cost: each instance that either leads to is asked for once.
/// Source: epoll_ctl(2); the depth is Linux's `EP_MAX_NESTS`.
///
/// ```
/// use tapsock_sockets::Errno;
/// use tapsock_sockets::epoll::check_nesting;
///
/// // 1 watches 2.
/// let below = |set| if set == 1 { vec![2] } else { vec![] };
/// let above = |set| if set == 2 { vec![1] } else { vec![] };
/// assert_eq!(check_nesting(2, 3, below, above), Ok(()));
/// assert_eq!(check_nesting(2, 1, below, above), Err(Errno::LOOP));
/// ```
pub fn check_nesting<S: Copy + Eq + Hash>(
    outer: S,
    inner: S,
    mut below: impl FnMut(S) -> Vec<S>,
    mut above: impl FnMut(S) -> Vec<S>,
) -> Result<(), Errno> {
    if outer == inner {
        return Err(Errno::INVAL);
    }
    let down = Walk { avoided: outer, known: HashMap::new() }.longest(inner, 1, &mut below);
    let up = Walk { avoided: inner, known: HashMap::new() }.longest(outer, 1, &mut above);
    match (down, up) {
        (Some(down), Some(up)) if down + up <= EPOLL_NESTING_MAX => Ok(()),
        _ => Err(Errno::LOOP),
    }
}

/// A search for the longest chain.
struct Walk<S> {
    /// Where a chain must not lead.
    avoided: S,
    /// The longest chain from each instance that was visited: without it, the cost would be that of all paths.
    known: HashMap<S, usize>,
}

impl<S: Copy + Eq + Hash> Walk<S> {
    /// How many instances the longest chain from `set` has, `set` included. `depth` is that of `set`, from one.
    fn longest(&mut self, set: S, depth: usize, next: &mut impl FnMut(S) -> Vec<S>) -> Option<usize> {
        if set == self.avoided || depth > EPOLL_NESTING_MAX {
            return None;
        }
        if let Some(&length) = self.known.get(&set) {
            return Some(length);
        }
        let mut longest = 0;
        for other in next(set) {
            longest = longest.max(self.longest(other, depth + 1, next)?);
        }
        self.known.insert(set, longest + 1);
        Some(longest + 1)
    }
}
