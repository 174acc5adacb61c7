//! Fast open (RFC 7413) as a host sees it: the cookies that it gives out, and those that it was given.

pub mod cache;
pub mod key;

pub use cache::{FastOpenCache, Learned};
pub use key::{FastOpenKey, FastOpenKeys};

/// The bits of `net.ipv4.tcp_fastopen`.
pub mod mode {
    /// Send data in SYNs.
    pub const CLIENT: u32 = 0x1;
    /// Take data in SYNs.
    pub const SERVER: u32 = 0x2;
    /// Send it without a cookie.
    pub const CLIENT_WITHOUT_COOKIE: u32 = 0x4;
    /// Take it without a cookie.
    pub const SERVER_WITHOUT_COOKIE: u32 = 0x200;
    /// All listeners take it, not only those with TCP_FASTOPEN.
    pub const SERVER_WITHOUT_OPTION: u32 = 0x400;
}
