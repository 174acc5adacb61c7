//! The number that a typed socket has in `bsd`, once that was asked for.

use std::sync::OnceLock;

use rustix::io::Errno;

use super::{Descriptors, Held};

/// The number, and what tells it from what stands there when it was closed by its number.
#[derive(Debug, Default)]
pub(crate) struct Lent(OnceLock<(i32, u32)>);

impl Lent {
    /// The number, which is given out at the first call. Errors: EMFILE.
    pub(crate) fn id(&self, descriptors: &Descriptors, held: &Held) -> Result<i32, Errno> {
        if let Some((id, _)) = self.0.get() {
            return Ok(*id);
        }
        let fresh = descriptors.insert_told(held.clone())?;
        let kept = *self.0.get_or_init(|| fresh);
        if kept != fresh {
            // Another thread was faster.
            let _ = descriptors.remove_incarnation(fresh.0, fresh.1);
        }
        Ok(kept.0)
    }

    /// Closes it, unless somebody has done that by the number: what stands there now is somebody else's.
    pub(crate) fn close(&self, descriptors: &Descriptors) {
        if let Some((id, incarnation)) = self.0.get() {
            let _ = descriptors.remove_incarnation(*id, *incarnation);
        }
    }
}
