//! Whole stacks in virtual time: several [`Stack`](tapsock_stack::stack::Stack)s on one wire, and over `lo`.

mod allocations;
mod closing;
mod icmp;
mod listening;
mod malformed;
mod neighbors;
mod opening;
mod packets;
mod path_mtu;
mod ping;
mod transfer;
mod udp;
mod udp_limits;
mod windows;
mod wire;
