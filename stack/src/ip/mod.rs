//! The Internet layer: what IPv4 and IPv6 have in common.

pub mod cutting;
pub mod forward;
pub mod fragments;
pub mod icmp;
pub mod identification;
pub mod input;
pub mod output;
pub mod path_mtu;
pub mod rate_limit;
