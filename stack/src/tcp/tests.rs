//! Two connections, or one and a script, in virtual time. What is asserted are segments, windows and times.

mod closing;
mod extensions;
mod fixture;
mod handshake;
mod losses;
mod memory;
mod patience;
mod rare;
mod recovery;
mod requirements;
mod transfer;
mod urgent;
mod validation;
mod window;
