//! What the tests across crates share.

pub mod bench;
pub mod bounded;
pub mod bulk;
pub mod calls;
pub mod counted;
pub mod descriptors;
pub mod differential;
pub mod drawn;
pub mod far;
pub mod packets;
pub mod programs;
pub mod requirements;
pub mod router;
pub mod sides;
pub mod socket_options;
