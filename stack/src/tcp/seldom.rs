//! What few connections have: urgent data, and what a fast open needs.

use super::fast_open::FastOpen;
use super::urgent::Urgent;

/// Boxed on first use, in one box for both.
#[derive(Debug, Default)]
pub(super) struct Seldom(Option<Box<Parts>>);

#[derive(Debug, Default)]
struct Parts {
    urgent: Option<Urgent>,
    fast_open: Option<FastOpen>,
}

impl Seldom {
    /// Whether there is nothing.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn urgent(&self) -> Option<&Urgent> {
        self.0.as_ref()?.urgent.as_ref()
    }

    pub(super) fn urgent_mut(&mut self) -> Option<&mut Urgent> {
        self.0.as_mut()?.urgent.as_mut()
    }

    /// The same, made where there is none.
    pub(super) fn new_urgent(&mut self) -> &mut Urgent {
        self.0.get_or_insert_default().urgent.get_or_insert_default()
    }

    /// Nothing is urgent any more.
    pub(super) fn end_urgent(&mut self) {
        if let Some(parts) = &mut self.0 {
            parts.urgent = None;
        }
        self.0.take_if(|parts| parts.fast_open.is_none());
    }

    pub(super) fn fast_open(&self) -> Option<&FastOpen> {
        self.0.as_ref()?.fast_open.as_ref()
    }

    pub(super) fn fast_open_mut(&mut self) -> Option<&mut FastOpen> {
        self.0.as_mut()?.fast_open.as_mut()
    }

    /// The connection begins with a fast open, or waits for one.
    pub(super) fn set_fast_open(&mut self, fast_open: FastOpen) {
        self.0.get_or_insert_default().fast_open = Some(fast_open);
    }
}
