//! Two connections, or one and a script, in virtual time. What is asserted are segments, windows and times.

mod closing;
mod fixture;
mod handshake;
mod recovery;
mod transfer;
mod validation;
mod window;
