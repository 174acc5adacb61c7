//! Options that many connections have in common, kept once.

use core::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::config::{Options, TcpMetrics};

/// [`Options`] by reference: a hundred thousand connections that were told the same have one set of them, as have a
/// connection and its socket. Who changes his takes a copy first.
///
/// ```
/// use tapsock_stack::tcp::{Options, SharedOptions};
///
/// let host = SharedOptions::from(Options::default());
/// let mut own = host.clone();
/// own.no_delay = true;
/// assert!(own.no_delay && !host.no_delay);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SharedOptions(Arc<Options>);

const _: () = assert!(size_of::<SharedOptions>() == 8, "a connection's share of its budget");

impl SharedOptions {
    /// Takes what `known` holds where that is the same, and lets `known` have these where it is not: programs tell
    /// their sockets the same things one after the other.
    ///
    /// ```
    /// use tapsock_stack::tcp::{Options, SharedOptions};
    ///
    /// let set = || SharedOptions::from(Options { no_delay: true, ..Options::default() });
    /// let (mut one, mut other, mut known) = (set(), set(), SharedOptions::default());
    /// one.share_with(&mut known);
    /// other.share_with(&mut known);
    /// assert!(one.is_same_as(&other));
    /// ```
    pub fn share_with(&mut self, known: &mut SharedOptions) {
        if self.0 == known.0 {
            self.clone_from(known);
        } else {
            known.clone_from(self);
        }
    }

    /// Whether both are one set in memory.
    pub fn is_same_as(&self, other: &SharedOptions) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// These over a route that says more of connections.
    pub(crate) fn over(&self, route: &TcpMetrics) -> Self {
        let mut options = self.clone();
        let first = (route.initcwnd, route.initrwnd);
        if first != (options.rare().first_window, options.rare().first_offer) {
            let rare = options.rare_mut();
            (rare.first_window, rare.first_offer) = first;
        }
        options
    }

    /// The options of a connection that a listener with these has taken.
    pub(crate) fn of_accepted(&self) -> Self {
        let mut options = self.clone();
        let rare = options.rare();
        let opens_early = rare.fast_open_queue > 0 || rare.fast_open_keys.is_some();
        if rare.defer_accept > 0 || opens_early || !rare.ip_options.is_empty() {
            options.forget_listening();
        }
        options
    }
}

impl From<Options> for SharedOptions {
    fn from(options: Options) -> Self {
        SharedOptions(Arc::new(options))
    }
}

impl Deref for SharedOptions {
    type Target = Options;

    fn deref(&self) -> &Options {
        &self.0
    }
}

impl DerefMut for SharedOptions {
    fn deref_mut(&mut self) -> &mut Options {
        Arc::make_mut(&mut self.0)
    }
}
