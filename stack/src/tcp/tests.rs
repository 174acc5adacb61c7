//! Two connections, or one and a script, in virtual time. What is asserted are segments, windows and times.

mod closing;
mod duplicates;
mod extensions;
mod fixture;
mod handshake;
mod losses;
mod memory;
mod mtu_search;
mod patience;
mod probes;
mod rare;
mod records;
mod recovery;
mod requirements;
mod transfer;
mod undo;
mod urgent;
mod validation;
mod window;
