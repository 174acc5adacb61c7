//! By how much tables grow: not to their double, half of which would lie idle.
//!
//! That is cheap where the allocator moves a large block by its pages, as glibc's does. Elsewhere a table of 100,000
//! connections is copied once in 1,600 of them.

/// By how many entries a full table of `len` grows.
///
/// ```
/// use tapsock_stack::growth::room;
///
/// assert_eq!([room(0), room(1_000), room(10_000)], [16, 47, 172]);
/// ```
pub fn room(len: usize) -> usize {
    let part = if len < LARGE { len / GROWTH } else { len / GROWTH_OF_LARGE };
    part + LEAST_ROOM
}

/// The part of itself that a full table grows by, and the entries at least.
const GROWTH: usize = 32;
const GROWTH_OF_LARGE: usize = 64;
const LEAST_ROOM: usize = 16;

/// Entries of a large table.
const LARGE: usize = 4096;
