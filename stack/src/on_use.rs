//! State that most owners need for a moment only.

use core::ops::{Deref, DerefMut};

/// A queue that costs a pointer until something is put into it, and again once it has [come to rest](OnUse::rest).
///
/// In between an empty one keeps its room: a connection that is used allocates nothing for what it sends and receives.
///
/// ```
/// use tapsock_stack::on_use::{Blank, OnUse};
///
/// #[derive(Default)]
/// struct Numbers(Vec<u32>);
///
/// impl Blank for Numbers {
///     const EMPTY: &'static Self = &Numbers(Vec::new());
///
///     fn is_blank(&self) -> bool {
///         self.0.is_empty()
///     }
/// }
///
/// let mut queue = OnUse::<Numbers>::default();
/// assert!(queue.is_blank() && !queue.is_in_use());
/// queue.0.push(4);
/// queue.0.pop();
/// assert!(queue.is_blank() && queue.is_in_use() && queue.is_idle());
/// queue.rest();
/// assert!(!queue.is_in_use());
/// ```
#[derive(Debug)]
pub struct OnUse<T>(Option<Box<T>>);

/// A queue that can be shown empty without being there.
pub trait Blank: Sized + Default + 'static {
    /// An empty one.
    const EMPTY: &'static Self;

    /// Whether it holds nothing.
    fn is_blank(&self) -> bool;
}

impl<T> OnUse<T> {
    /// Not in use.
    pub const fn new() -> Self {
        OnUse(None)
    }

    /// Whether it has room of its own.
    pub const fn is_in_use(&self) -> bool {
        self.0.is_some()
    }
}

impl<T: Blank> OnUse<T> {
    /// Whether it keeps room though it holds nothing.
    pub fn is_idle(&self) -> bool {
        self.0.as_ref().is_some_and(|queue| queue.is_blank())
    }

    /// Gives its room back, where it holds nothing.
    pub fn rest(&mut self) {
        self.0.take_if(|queue| queue.is_blank());
    }
}

impl<T> Default for OnUse<T> {
    fn default() -> Self {
        OnUse::new()
    }
}

impl<T: Blank> Deref for OnUse<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Blank> DerefMut for OnUse<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
