//! The numbers of control messages, as Linux's headers have them.

pub use crate::constants::{
    IP_PKTINFO, IP_RECVERR, IPV6_DONTFRAG, IPV6_FLOWINFO, IPV6_HOPLIMIT, IPV6_PATHMTU, IPV6_PKTINFO,
    IPV6_RECVERR, MSG_CMSG_CLOEXEC, MSG_CTRUNC, SCM_CREDENTIALS, SCM_RIGHTS,
};

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident: $kind:ty = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: $kind = $value;)*
    };
}

numbers! {
    /// When it came, in microseconds.
    SCM_TIMESTAMP: i32 = 29;
    /// When it came, in nanoseconds.
    SCM_TIMESTAMPNS: i32 = 35;
    /// Time stamps of several sources.
    SCM_TIMESTAMPING: i32 = 37;
    /// How many datagrams were dropped (the message; the option has the same number).
    SO_RXQ_OVFL_MESSAGE: i32 = 40;
    /// What is left to be read of a stream (the message; the option has the same number).
    TCP_CM_INQ: i32 = 36;
    /// The most descriptors in one call.
    SCM_MAX_FD: usize = 253;

    /// IPv4's original destination.
    IP_ORIGDSTADDR: i32 = 20;
    /// The protocol of a raw packet.
    IP_PROTOCOL: i32 = 52;
    /// As [`IPV6_PKTINFO`], of RFC 2292.
    IPV6_2292PKTINFO: i32 = 2;
    /// As [`IPV6_HOPLIMIT`], of RFC 2292.
    IPV6_2292HOPLIMIT: i32 = 8;
    /// IPv6's original destination.
    IPV6_ORIGDSTADDR: i32 = 74;

    /// No origin.
    SO_EE_ORIGIN_NONE: u8 = 0;
    /// This host.
    SO_EE_ORIGIN_LOCAL: u8 = 1;
    /// An ICMP message.
    SO_EE_ORIGIN_ICMP: u8 = 2;
    /// An ICMPv6 message.
    SO_EE_ORIGIN_ICMP6: u8 = 3;
    /// Not an error: the time stamp of a send.
    SO_EE_ORIGIN_TIMESTAMPING: u8 = 4;
    /// Not an error: the end of zero-copy sends.
    SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
    /// The code of zero-copy sends that were copied after all.
    SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;
}
