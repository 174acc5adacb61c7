//! Where this stack's sockets differ from the kernel's, and why.

use super::text::CLOSED_ON_EXEC;

/// The kernel that all others were compared with.
pub const KERNEL_RELEASE: &str = "Linux 6.18";

/// A call whose outcome differs, on purpose.
///
/// ```
/// use tapsock_tests::differential::DIFFERENCES;
///
/// assert!(DIFFERENCES.iter().all(|known| known.kernel != known.ours && !known.reason.is_empty()));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// What it is called in programs.
    pub what: &'static str,
    /// What the call gives on the kernel.
    pub kernel: &'static str,
    /// What it gives here.
    pub ours: &'static str,
    /// Why that is right.
    pub reason: &'static str,
    /// Where it is met.
    pub scope: Scope,
    /// Of which sockets.
    pub of: Sockets,
}

/// Which sockets a difference is about.
///
/// ```
/// use tapsock_tests::differential::{DIFFERENCES, Sockets};
///
/// assert!(DIFFERENCES.iter().any(|known| known.of == Sockets::Internet));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Sockets {
    /// AF_UNIX
    Local,
    /// AF_INET and AF_INET6
    Internet,
}

/// Where a difference is met.
///
/// ```
/// use tapsock_tests::differential::{DIFFERENCES, Scope};
///
/// assert!(DIFFERENCES.iter().any(|known| known.scope == Scope::Everywhere));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Where a program names it.
    Named,
    /// Wherever both outcomes are these: they can mean nothing else.
    Everywhere,
    /// Where a call on internet sockets of both families reads like this, and both outcomes are these. It leaves the
    /// stacks in different states, so a sequence ends there.
    Parts {
        /// How the call begins.
        call: &'static str,
        /// What stands in it.
        with: &'static str,
    },
}

/// All that are known. Programs name them where they meet them, and fail where one is gone.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "a directory that nobody made",
        kernel: "No such file or directory (os error 2)",
        ours: "ok",
        reason: "names live in the host's memory, where every directory that a path mentions is deemed to exist",
        scope: Scope::Named,
        of: Sockets::Local,
    },
    Difference {
        what: "an urgent byte without room for it",
        kernel: r#"1: "" urgent"#,
        ours: r#"0: "" urgent"#,
        reason: "no call says that it has filled more than there was room for",
        scope: Scope::Everywhere,
        of: Sockets::Local,
    },
    Difference {
        what: "a wildcard of IPv4 beside a connection of IPv6",
        kernel: "Address already in use (os error 98)",
        ours: "ok",
        reason: "a connection of IPv6 takes nothing from IPv4; Linux looks at an IPv4 address that it made up for it",
        scope: Scope::Parts { call: "bind(", with: "0.0.0.0:" },
        of: Sockets::Internet,
    },
    Difference {
        what: "SIOCOUTQ without a connection",
        kernel: "1",
        ours: "0",
        reason: "nothing is on its way; Linux subtracts numbers that the last connection has left",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "sockaddr_in with more behind it, on a socket of IPv6",
        kernel: "Address family not supported by protocol (os error 97)",
        ours: "Invalid argument (os error 22)",
        reason: "an address is a value here, and that of IPv4 is shorter than one of IPv6",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "a connection of IPv6 from an address of IP_FREEBIND",
        kernel: "Operation now in progress (os error 115)",
        ours: "Cannot assign requested address (os error 99)",
        reason: "the option is for addresses to come; nothing is sent from one that is not ours",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "shut before it connects to itself",
        kernel: "0: \"\"",
        ours: "Resource temporarily unavailable (os error 11)",
        reason: "Linux forgets what was shut before `connect`, unless two connect to each other",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "SO_TIMESTAMP of data of a stream that came before it was asked for",
        kernel: "1: \"p\" at a time of 16 bytes",
        ours: "1: \"p\"",
        reason: "Linux has stamped them where any socket of the machine asked for stamps, and not otherwise",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "parts of an IPv4 raw packet, some for a group and some for a host",
        kernel: "Resource temporarily unavailable (os error 11)",
        ours: "0: \"\" cut from 127.0.0.1:0",
        reason: "Linux sends to the last by the way to the first, and loses what goes to the host",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "the way to a group of IPv4 by lo, from a socket without an address",
        kernel: "0.0.0.0:e0",
        ours: "127.0.0.1:e0",
        reason: "Linux finds no source among addresses of this host alone, and drops what comes from none",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "each datagram that is gone makes room",
        kernel: "0: 0x4",
        ours: "",
        reason: "room is an edge where somebody has missed it",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "IPv4 of a datagram socket that is connected to IPv6",
        kernel: "1",
        ours: "Network is unreachable (os error 101)",
        reason: "Linux sends from 127.0.0.6, an address that it made up for the socket",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "datagrams of IPv6 after a connection to IPv4 was dissolved",
        kernel: "Resource temporarily unavailable (os error 11)",
        ours: "1: \"i\" from [::1]:e0",
        reason: "Linux finds the socket no more",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "datagrams after a connect that led nowhere",
        kernel: "Resource temporarily unavailable (os error 11)",
        ours: "1: \"k\" from 127.0.0.1:e1",
        reason: "the socket is connected as before; Linux sends the first to the peer, and the others to where no way leads",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "back from IPv4 to IPv6",
        kernel: "Operation already in progress (os error 114)",
        ours: "Connection refused (os error 111)",
        reason: "a stream that was connected to an IPv4-mapped address hears no answer of IPv6 on Linux, and waits in vain",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "sendfile beyond the end of the file, but on IPv4's UDP sockets",
        kernel: "Resource temporarily unavailable (os error 11)",
        ours: "2: \"ST\" from [::1]:e1",
        reason: "Linux waits for more of a file that has ended; the next datagram brings it",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "IP_PKTINFO of a datagram that came before it was asked for",
        kernel: "1: \"l\" from 127.0.0.1:e0 beside 0.8: [0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 1]",
        ours: "1: \"l\" from 127.0.0.1:e0 beside 0.8: [1, 0, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]",
        reason: "where it came is known all the same",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "a datagram to a foreign host that is held to lo",
        kernel: "1: \"m\" from 0.0.0.0:e1",
        ours: "Resource temporarily unavailable (os error 11)",
        reason: "it is dropped, for it is not for us; Linux takes all that lo brings for its own",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "IPV6_PKTINFO on a datagram socket that is connected to IPv4",
        kernel: "1",
        ours: "Address family not supported by protocol (os error 97)",
        reason: "a connected socket is of one family, whatever source a message names",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
    Difference {
        what: "an IPV6_TCLASS of -1 in a message",
        kernel: "1: \"o\" from [::1]:e2 beside 41.67: [255, 0, 0, 0]",
        ours: "1: \"o\" from [::1]:e2 beside 41.67: [0, 0, 0, 0]",
        reason: "it stands for the default (RFC 3542 6.5); Linux sends its low byte",
        scope: Scope::Named,
        of: Sockets::Internet,
    },
];

impl Difference {
    /// The one that these outcomes show, wherever they come up, and whatever both say of `exec`.
    pub(super) fn anywhere(of: Sockets, kernel: &str, ours: &str) -> Option<&'static Difference> {
        let without = kernel.strip_suffix(CLOSED_ON_EXEC).zip(ours.strip_suffix(CLOSED_ON_EXEC));
        let (kernel, ours) = without.unwrap_or((kernel, ours));
        let known = DIFFERENCES.iter().filter(|known| known.of == of && known.scope == Scope::Everywhere);
        known.into_iter().find(|known| known.is(kernel, ours))
    }

    /// The one that parts the stacks, where such a call has these outcomes.
    pub(super) fn parting(text: &str, kernel: &str, ours: &str) -> Option<&'static Difference> {
        let reads = |known: &&Difference| match known.scope {
            Scope::Parts { call, with } => text.starts_with(call) && text.contains(with),
            _ => false,
        };
        DIFFERENCES.iter().filter(reads).find(|known| known.is(kernel, ours))
    }

    /// Whether these are its outcomes.
    pub(super) fn is(&self, kernel: &str, ours: &str) -> bool {
        self.kernel == kernel && self.ours == ours
    }

    /// The difference of that name.
    ///
    /// # Panics
    /// Where there is none.
    pub fn named(what: &str) -> &'static Difference {
        DIFFERENCES.iter().find(|known| known.what == what).expect("a known difference")
    }
}
