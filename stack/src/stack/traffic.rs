//! How much has passed each interface (`ip -s link`).

use super::Stack;
use crate::iface::{Interface, InterfaceId};

/// What has passed an interface since it was made. Frames that were merged, or are yet to be cut, count as one.
///
/// ```
/// use tapsock_stack::config::Config;
/// use tapsock_stack::iface::InterfaceId;
/// use tapsock_stack::stack::{Stack, Traffic};
/// use tapsock_stack::time::Instant;
///
/// let stack = Stack::new(Config::default(), 1, Instant::ZERO);
/// assert_eq!(stack.traffic(InterfaceId::LOOPBACK), Traffic::default());
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Frames that came in.
    pub rx_packets: u64,
    /// Their bytes, with the link's header.
    pub rx_bytes: u64,
    /// Those of them that were for a group.
    pub multicast: u64,
    /// Frames that were sent.
    pub tx_packets: u64,
    /// Their bytes, with the link's header.
    pub tx_bytes: u64,
}

impl Traffic {
    pub(super) fn on_sent(&mut self, len: usize) {
        self.tx_packets += 1;
        self.tx_bytes += len as u64;
    }
}

impl Stack {
    /// What has passed an interface.
    pub fn traffic(&self, interface: InterfaceId) -> Traffic {
        self.traffic.get(usize::from(interface.0)).copied().unwrap_or_default()
    }

    pub(super) fn count_received(&mut self, interface: InterfaceId, frame: &[u8]) {
        let has_stations = self.interfaces.interface(interface).is_some_and(Interface::has_neighbors);
        let is_group = has_stations && is_for_group(frame);
        let account = self.account(interface);
        account.rx_packets += 1;
        account.rx_bytes += frame.len() as u64;
        account.multicast += u64::from(is_group);
    }

    /// The account of an interface, of which there are at most 256.
    pub(super) fn account(&mut self, interface: InterfaceId) -> &mut Traffic {
        let place = usize::from(interface.0);
        if place >= self.traffic.len() {
            self.traffic.resize(place + 1, Traffic::default());
        }
        &mut self.traffic[place]
    }
}

/// Whether a frame is for several stations, but not for all.
fn is_for_group(frame: &[u8]) -> bool {
    frame.first_chunk::<6>().is_some_and(|to| to[0] & 1 != 0 && *to != [0xff; 6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_from_all_and_from_one() {
        assert!(is_for_group(&[0x33, 0x33, 0, 0, 0, 1, 9]));
        assert!(
            !is_for_group(&[0xff; 14]) && !is_for_group(&[2, 0, 0, 0, 0, 1]) && !is_for_group(&[0x33; 5])
        );
    }
}
