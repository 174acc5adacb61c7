//! Options that few sockets set. They stand apart, so that a socket without them stays small.

use core::net::Ipv4Addr;
use core::num::NonZeroU64;
use core::time::Duration;

use tapsock_stack::discovery::AutoLabel;
use tapsock_stack::iface::{InterfaceId, PreferredSource};
use tapsock_stack::ports::PortLimits;
use tapsock_stack::wire::ipv4_options::AnswerOptions;

use super::{Domain, Linger, SocketOptions};
use crate::timestamping::Timestamping;

/// Their values, and what is counted on their behalf.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Rare {
    /// SO_COOKIE, once somebody has asked for it.
    pub(crate) cookie: Option<NonZeroU64>,
    /// SO_LINGER.
    pub(crate) linger: Linger,
    /// SO_PEEK_OFF; `None` is -1.
    pub(super) peek_offset: Option<i32>,
    /// How long a call waits; `None`: for ever. Zero: not at all (SO_RCVTIMEO, SO_SNDTIMEO).
    pub(crate) receive_timeout: Option<Duration>,
    pub(crate) send_timeout: Option<Duration>,
    /// SO_TIMESTAMPING.
    pub(crate) timestamping: Timestamping,
    /// Sends with MSG_ZEROCOPY are told of when they are done (SO_ZEROCOPY).
    pub(crate) zero_copy: bool,
    /// SO_PRIORITY.
    pub(crate) priority: i32,
    /// SO_BUSY_POLL, in microseconds.
    pub(crate) busy_poll: i32,
    /// IPV6_AUTOFLOWLABEL and IPV6_DONTFRAG.
    pub(crate) labels: AutoLabel,
    pub(crate) unfragmented: bool,
    /// SO_MARK; zero is none.
    pub(crate) mark: u32,
    /// The ports that it may be given (IP_LOCAL_PORT_RANGE).
    pub(crate) ports: PortLimits,
    /// It stands for others' addresses (IP_TRANSPARENT).
    pub(crate) transparent: bool,
    /// IP_OPTIONS.
    pub(crate) ip_options: AnswerOptions,
    /// IP_MINTTL and IPV6_MINHOPCOUNT.
    pub(crate) min_ttl: u8,
    pub(crate) min_hops: u8,
    /// IP_MULTICAST_TTL and IPV6_MULTICAST_HOPS; `None`: 1.
    pub(crate) group_ttl: Option<u8>,
    pub(crate) group_hops: Option<u8>,
    /// IP_MULTICAST_LOOP and IPV6_MULTICAST_LOOP are off.
    pub(crate) no_loop: (bool, bool),
    /// IP_MULTICAST_ALL is off, where it was said, and IPV6_MULTICAST_ALL.
    pub(crate) own_groups_v4: Option<bool>,
    pub(crate) own_groups_v6: bool,
    /// IP_MULTICAST_IF: the interface and the source. IPV6_MULTICAST_IF.
    pub(crate) group_interface: Option<InterfaceId>,
    pub(crate) group_source: Option<Ipv4Addr>,
    pub(crate) group_interface_v6: Option<InterfaceId>,
    /// IPV6_PKTINFO: the interface that packets leave by where nothing else names one.
    pub(crate) interface_v6: Option<InterfaceId>,
    /// IPV6_MTU: the largest packet that is not cut, and the parts of one that is, in bytes; `None` for what the path takes.
    pub(crate) largest_v6: Option<u32>,
    /// IPV6_ADDR_PREFERENCES: which addresses, and whether those where the host is rather than those at its home.
    pub(crate) source: PreferredSource,
    pub(crate) care_of: bool,
    /// IP_UNICAST_IF and IPV6_UNICAST_IF: the interface that packets to one host leave by where nothing else names one.
    pub(crate) unicast_interface: [Option<InterfaceId>; 2],
    /// IP_RECVERR_RFC4884 and IPV6_RECVERR_RFC4884.
    pub(crate) extensions: [bool; 2],
    /// Sends with MSG_ZEROCOPY so far.
    pub(crate) zero_copies: u32,
    /// Numbered sends so far (SO_TIMESTAMPING with OPT_ID).
    pub(crate) stamped_sends: u32,
}

impl Rare {
    /// Whether errors of ICMP, or else of ICMPv6, are told with where their extensions begin.
    pub(crate) fn tells_extensions(&self, v4: bool) -> bool {
        self.extensions[usize::from(!v4)]
    }

    /// The interface that packets to one host of that family leave by where nothing else names one.
    pub(crate) fn unicast_interface(&self, v4: bool) -> Option<InterfaceId> {
        self.unicast_interface[usize::from(!v4)]
    }
}

impl SocketOptions {
    /// Whether a socket of that family hears groups only that it is in, of IPv4 and of IPv6. As on Linux, IPv6's does so of
    /// IPv4 unless it is told otherwise.
    pub(crate) fn own_groups_only(&self, domain: Domain) -> (bool, bool) {
        let rare = self.rare();
        (rare.own_groups_v4.unwrap_or(domain == Domain::V6), rare.own_groups_v6)
    }

    /// The values.
    pub(crate) fn rare(&self) -> Rare {
        self.rare.as_deref().copied().unwrap_or_default()
    }

    /// The values, to be changed.
    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Closing waits for nothing, and breaks nothing off.
    pub(crate) fn do_not_linger(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.linger.on = false;
        }
    }

    /// The options of an accepted socket, which begins to count anew, has a number of its own, and no options of IPv4's
    /// header.
    pub(crate) fn inherited(mut self) -> Self {
        if let Some(rare) = &mut self.rare {
            (rare.cookie, rare.zero_copies, rare.stamped_sends) = (None, 0, 0);
            rare.ip_options = AnswerOptions::NONE;
        }
        self.rare.take_if(|rare| **rare == Rare::default());
        self
    }
}
