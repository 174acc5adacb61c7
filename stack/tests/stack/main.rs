//! Whole stacks in virtual time: several [`Stack`](tapsock_stack::stack::Stack)s on one wire, and over `lo`.

mod allocations;
mod autoconf;
mod closing;
mod dhcp;
mod fragments;
mod handshakes;
mod icmp;
mod ipv4;
mod link_scope;
mod listening;
mod malformed;
mod neighbors;
mod opening;
mod packets;
mod path_follow;
mod path_mtu;
mod ping;
mod raw;
mod requirements;
mod resets;
mod transfer;
mod udp;
mod udp_errors;
mod udp_limits;
mod windows;
mod wire;
