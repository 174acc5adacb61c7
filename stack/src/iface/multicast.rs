//! Groups: what sockets want to hear of them, and what routers are told of that (IGMP, MLD).

mod membership;
mod packing;
mod reporter;

pub use membership::{Filter, FilterMode, MAX_MEMBERSHIPS, MAX_SOURCES, MembershipError, Memberships};
pub use reporter::{GroupReport, MAX_GROUPS, QueryHeard, Reporter};
