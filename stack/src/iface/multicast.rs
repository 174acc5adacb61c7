//! Groups: what sockets want to hear of them, and what routers are told of that (IGMP, MLD).

mod membership;
mod merged;
mod packing;
mod pending;
mod queriers;
mod reporter;

pub use membership::{Filter, FilterMode, MAX_MEMBERSHIPS, MAX_SOURCES, MembershipError, Memberships};
pub use merged::{MAX_MERGED, Merged};
pub use packing::pack;
pub use queriers::GroupPolicy;
pub use reporter::{GroupReport, MAX_GROUPS, QueryHeard, Reporter};
