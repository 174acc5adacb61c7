//! What a socket is to be.

use tapsock_sockets::constants::*;

/// A number of the headers, by its name.
macro_rules! number {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $constant:ident = $value:expr;)* }) => {
        $(#[$doc])*
        #[derive(Copy, Clone, Debug, Eq, PartialEq)]
        pub struct $name(i32);

        impl $name {
            $($(#[$of])* pub const $constant: $name = $name($value);)*
        }

        impl From<i32> for $name {
            fn from(number: i32) -> Self {
                $name(number)
            }
        }

        impl From<$name> for i32 {
            fn from(named: $name) -> i32 {
                named.0
            }
        }
    };
}

number! {
    /// The family of a socket's addresses.
    ///
    /// ```
    /// use tapsock::socket::Domain;
    ///
    /// assert_eq!(Domain::for_address("[::1]:80".parse().unwrap()), Domain::IPV6);
    /// assert_eq!(i32::from(Domain::IPV4), 2);
    /// ```
    Domain {
        /// AF_INET.
        IPV4 = AF_INET;
        /// AF_INET6.
        IPV6 = AF_INET6;
        /// AF_UNIX: sockets in the host's memory.
        UNIX = AF_UNIX;
    }
}

number! {
    /// How a socket moves data.
    ///
    /// ```
    /// use tapsock::socket::Type;
    ///
    /// assert_eq!(i32::from(Type::DGRAM.nonblocking()), 2 | 0o4000);
    /// ```
    Type {
        /// SOCK_STREAM: bytes in order.
        STREAM = SOCK_STREAM;
        /// SOCK_DGRAM: datagrams.
        DGRAM = SOCK_DGRAM;
        /// SOCK_SEQPACKET: records in order.
        SEQPACKET = SOCK_SEQPACKET;
        /// SOCK_RAW: the packets of a protocol.
        RAW = SOCK_RAW;
    }
}

number! {
    /// The protocol that a socket speaks.
    ///
    /// ```
    /// use tapsock::socket::Protocol;
    ///
    /// assert_eq!(Protocol::from(89), Protocol::from(89));
    /// assert_eq!(i32::from(Protocol::ICMPV6), 58);
    /// ```
    Protocol {
        /// ICMP.
        ICMPV4 = IPPROTO_ICMP;
        /// ICMPv6.
        ICMPV6 = IPPROTO_ICMPV6;
        /// TCP.
        TCP = IPPROTO_TCP;
        /// UDP.
        UDP = IPPROTO_UDP;
    }
}

impl Domain {
    /// The family of `address`.
    pub const fn for_address(address: core::net::SocketAddr) -> Domain {
        if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }
    }
}

impl Type {
    /// The same, of which calls do not wait (SOCK_NONBLOCK).
    pub const fn nonblocking(self) -> Type {
        Type(self.0 | SOCK_NONBLOCK)
    }

    /// The same, closed by `exec` (SOCK_CLOEXEC). F_GETFD shows it; `exec` ends every socket, since the stack goes with the process.
    pub const fn cloexec(self) -> Type {
        Type(self.0 | SOCK_CLOEXEC)
    }
}
