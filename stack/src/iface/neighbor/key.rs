//! Whom an entry of the cache is about.

use core::net::IpAddr;

use super::super::InterfaceId;

/// Whom an entry is about.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub(super) struct Key {
    pub(super) interface: InterfaceId,
    pub(super) address: IpAddr,
}

impl core::hash::Hash for Key {
    /// Feeds the hasher in two or three words; the derived form takes five calls, and this is done for each frame.
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        match self.address {
            IpAddr::V4(address) => {
                state.write_u64(u64::from(address.to_bits()) | u64::from(self.interface.0) << 32);
            }
            IpAddr::V6(address) => {
                state.write_u128(address.to_bits());
                state.write_u8(self.interface.0);
            }
        }
    }
}
