//! The settings of a host, under Linux's sysctl names.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::fast_open::FastOpenKeys;
use crate::iface::slaac::AutoconfConfig;
use crate::iface::{NeighborConfig, NeighborPolicy};
use crate::ip::fragments::FragmentLimits;
use crate::ip::path_mtu::PathMtuConfig;
use crate::tcp::config::{
    CongestionKind, CongestionSet, EcnUse, KeepAlive, LossOptions, Options, Rare, SlowStartExit,
};
use crate::tcp::memory::Limits;
use crate::tcp::mtu_search::{MtuOptions, Probing};
use crate::wire::ipv6_ext::{ExtLimits, OptionLimits};

mod codec;

use codec::{
    Bits, Codec, Congestion, Congestions, CookieKeys, Flag, Micros, Millis, Nanos, Number, Ports, Seconds,
    Secret, Sizes,
};
pub use codec::{BufferSizes, PortRange};

/// Makes [`Config`] and the table of its settings from one list of
/// `"name" field: type = codec, default;`
macro_rules! settings {
    ($($(#[$doc:meta])* $name:literal $field:ident: $type:ty = $codec:expr, $default:expr;)*) => {
        /// The settings of a host: typed fields, which can also be read and set by Linux's sysctl names.
        ///
        /// Settings whose name has `.all.` hold for all interfaces, unless one has its own: `net.ipv4.conf.eth0.arp_notify`.
        /// (Linux combines the two in a way of its own for each setting.) What is set for `default` becomes the own of each
        /// interface that comes after that.
        ///
        /// The defaults are Linux's, but for `ip_unprivileged_port_start` (BSD reserves ports up to 1024
        /// inclusively), `tcp_congestion_control` (which machines differ in), and `accept_dad` and `router_solicitations`
        /// (a host is ready when it has started, and asks its link for nothing unless it is told to). A field may be set to anything its
        /// type holds; [`Config::set`] keeps to the ranges that Linux accepts, or to narrower ones where we can do
        /// no better.
        ///
        /// ```
        /// use core::time::Duration;
        /// use tapsock_stack::config::{Config, SettingError};
        ///
        /// let mut config = Config::default();
        /// config.set("net.ipv4.tcp_sack", "0")?;
        /// config.set("net.ipv4.tcp_rmem", "4096 65536 1048576")?;
        /// assert!(!config.tcp_sack);
        /// assert_eq!(config.show("net.ipv4.tcp_rmem").as_deref(), Some("4096\t65536\t1048576"));
        /// assert_eq!(config.tcp_keepalive_time, Duration::from_secs(7200));
        /// assert_eq!(config.set("net.ipv4.tcp_sack", "perhaps"), Err(SettingError::BadValue));
        /// # Ok::<(), SettingError>(())
        /// ```
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct Config {
            $(
                $(#[$doc])*
                #[doc = concat!("`", $name, "`")]
                pub $field: $type,
            )*
            /// Settings of single interfaces.
            pub of_interfaces: InterfaceSettings,
        }

        impl Config {
            /// The same without the settings of single interfaces.
            fn of_all(&self) -> Config {
                Config { $($field: self.$field.clone(),)* of_interfaces: InterfaceSettings::default() }
            }
        }

        impl Default for Config {
            fn default() -> Self {
                Config { $($field: $default,)* of_interfaces: InterfaceSettings::default() }
            }
        }

        const SETTINGS: &[Setting] = &[
            $(Setting {
                name: $name,
                show: |config| $codec.show(&config.$field),
                set: |config, text| Some(config.$field = $codec.parse(text)?),
            },)*
        ];
    };
}

settings! {
    /// The largest backlog that `listen` grants.
    "net.core.somaxconn" somaxconn: u32 = Number(0..=i32::MAX as u32), 4096;
    /// The receive buffer of a UDP socket, in bytes.
    "net.core.rmem_default" rmem_default: u32 = Number(2304..=i32::MAX as u32), 212_992;
    /// The largest receive buffer that `SO_RCVBUF` grants, in bytes.
    "net.core.rmem_max" rmem_max: u32 = Number(2304..=i32::MAX as u32), 4_194_304;
    /// The send buffer of a UDP socket, in bytes.
    "net.core.wmem_default" wmem_default: u32 = Number(4608..=i32::MAX as u32), 212_992;
    /// The largest send buffer that `SO_SNDBUF` grants, in bytes.
    "net.core.wmem_max" wmem_max: u32 = Number(4608..=i32::MAX as u32), 4_194_304;

    /// Heed routers that say that another is nearer.
    "net.ipv4.conf.all.accept_redirects" accept_redirects: bool = Flag, true;
    /// Pass packets on that came with a source route. (Linux has 1 for interfaces that come, and 0 for all, of which both
    /// must allow it.)
    //= RFC 1812 §5.2.4.1
    "net.ipv4.conf.all.accept_source_route" accept_source_route: bool = Flag, false;
    /// Make a neighbour of who announces its address unasked: 0 no, 1 yes, 2 where it is in a network of the interface.
    "net.ipv4.conf.all.arp_accept" arp_accept: u8 = Number(0..=2), 0;
    /// With which address ARP asks: 0 that of the packet that waits, 1 the same where it is in the target's network, 2 the
    /// best for the target.
    "net.ipv4.conf.all.arp_announce" arp_announce: u8 = Number(0..=2), 0;
    /// Have ARP answer only who is reached by the interface that the question came in at.
    "net.ipv4.conf.all.arp_filter" arp_filter: bool = Flag, false;
    /// Which requests ARP answers: 0 for any address of the host, 1 for those of the interface, 2 these, and the asker is
    /// in the address's network, 8 none.
    "net.ipv4.conf.all.arp_ignore" arp_ignore: u8 = Number(0..=8), 0;
    /// Announce an address of IPv4 when an interface gets it.
    "net.ipv4.conf.all.arp_notify" arp_notify: bool = Flag, false;
    /// Ignore ARP packets that announce their sender unasked.
    "net.ipv4.conf.all.drop_gratuitous_arp" drop_gratuitous_arp: bool = Flag, false;
    /// Drop packets to one host that come in frames to several.
    "net.ipv4.conf.all.drop_unicast_in_l2_multicast" drop_unicast_in_l2_multicast: bool = Flag, false;
    /// Pass on what is for others: the host is a router. `net.ipv4.ip_forward` is the same setting. While it is on,
    /// redirects are not heeded.
    //= RFC 1812 §2.2.8.1
    "net.ipv4.conf.all.forwarding" ip_forward: bool = Flag, false;
    /// Believe the source of a packet: 0 always, 1 where packets to it would leave by the interface that it came in at, 2
    /// where there is a way to it at all.
    //= RFC 1812 §5.3.8
    "net.ipv4.conf.all.rp_filter" rp_filter: u8 = Number(0..=2), 0;
    /// As a router, tell who is on the same link of a nearer one.
    "net.ipv4.conf.all.send_redirects" send_redirects: bool = Flag, true;
    /// By what flows of others are shared among several ways: 0 addresses, 1 addresses and ports.
    "net.ipv4.fib_multipath_hash_policy" fib_multipath_hash_policy: u8 = Number(0..=1), 0;
    /// Leave echo requests unanswered.
    "net.ipv4.icmp_echo_ignore_all" icmp_echo_ignore_all: bool = Flag, false;
    /// Leave echo requests to broadcast and multicast addresses unanswered.
    "net.ipv4.icmp_echo_ignore_broadcasts" icmp_echo_ignore_broadcasts: bool = Flag, true;
    /// ICMP messages that may be sent at once, to all hosts together.
    "net.ipv4.icmp_msgs_burst" icmp_msgs_burst: u32 = Number(0..=i32::MAX as u32), 50;
    /// ICMP messages a second, to all hosts together.
    "net.ipv4.icmp_msgs_per_sec" icmp_msgs_per_sec: u32 = Number(0..=i32::MAX as u32), 1000;
    /// The least time between two ICMP messages to one host.
    "net.ipv4.icmp_ratelimit" icmp_ratelimit: Duration = Millis(0..=i32::MAX as u64), Duration::from_secs(1);
    /// The ICMP types that the limits hold for, one bit each.
    "net.ipv4.icmp_ratemask" icmp_ratemask: u32 = Number(0..=u32::MAX), 6168;
    /// IPv4's TTL.
    //= RFC 1122 §3.2.1.7 MUST-1
    //= RFC 1122 §3.2.1.7 MUST-4
    "net.ipv4.ip_default_ttl" ip_default_ttl: u8 = Number(1..=255), 64;
    /// Memory for IPv4 fragments, in bytes: where more is taken, the oldest packets are given up …
    "net.ipv4.ipfrag_high_thresh" ipfrag_high_thresh: u32 = Number(0..=i32::MAX as u32), 4 << 20;
    /// … until no more than this is taken. (Linux keeps the setting, and since 4.17 gives up what comes last.)
    "net.ipv4.ipfrag_low_thresh" ipfrag_low_thresh: u32 = Number(0..=i32::MAX as u32), 3 << 20;
    /// How long the fragments of an IPv4 packet wait for the rest.
    "net.ipv4.ipfrag_time" ipfrag_time: Duration = Seconds(0..=i32::MAX as u64), Duration::from_secs(30);
    /// The ports that are given out where none is asked for.
    "net.ipv4.ip_local_port_range" ip_local_port_range: PortRange = Ports, PortRange::DEFAULT;
    /// The first port that an unprivileged host may bind.
    "net.ipv4.ip_unprivileged_port_start" ip_unprivileged_port_start: u16 = Number(0..=65_535), 1025;
    /// How long a neighbour counts as reachable, on average.
    "net.ipv4.neigh.default.base_reachable_time_ms" neigh_base_reachable_time: Duration =
        Millis(1..=i32::MAX as u64), Duration::from_secs(30);
    /// How long a stale neighbour's first probe waits for a hint from above.
    "net.ipv4.neigh.default.delay_first_probe_time" neigh_delay_first_probe_time: Duration =
        Seconds(0..=2_147_483), Duration::from_secs(5);
    /// Neighbours that are remembered.
    "net.ipv4.neigh.default.gc_thresh3" neigh_gc_thresh3: u32 = Number(1..=65_536), 1024;
    /// Solicitations to all before a neighbour counts as unreachable.
    "net.ipv4.neigh.default.mcast_solicit" neigh_mcast_solicit: u32 = Number(1..=255), 3;
    /// The time between two solicitations.
    "net.ipv4.neigh.default.retrans_time_ms" neigh_retrans_time: Duration =
        Millis(1..=i32::MAX as u64), Duration::from_secs(1);
    /// Solicitations to a neighbour itself before it counts as unreachable.
    "net.ipv4.neigh.default.ucast_solicit" neigh_ucast_solicit: u32 = Number(0..=255), 3;
    /// Packets that wait for one neighbour's address.
    "net.ipv4.neigh.default.unres_qlen" neigh_unres_qlen: u32 = Number(0..=1024), 101;
    /// The least MTU of a path that a router's complaint can bring about, in bytes.
    "net.ipv4.route.min_pmtu" route_min_pmtu: u16 = Number(68..=65_535), 552;
    /// How long a complaint about a path's MTU is believed.
    "net.ipv4.route.mtu_expires" route_mtu_expires: Duration = Seconds(0..=i32::MAX as u64), Duration::from_secs(600);
    /// Reset a connection that the accept queue has no room for, rather than let the peer try again.
    "net.ipv4.tcp_abort_on_overflow" tcp_abort_on_overflow: bool = Flag, false;
    /// Which algorithms sockets may choose without privileges.
    "net.ipv4.tcp_allowed_congestion_control" tcp_allowed_congestion_control: CongestionSet =
        Congestions, CongestionSet::ALL;
    /// The payload that any path is held to take where it is found out by trying, in bytes.
    "net.ipv4.tcp_base_mss" tcp_base_mss: u16 = Number(1..=u16::MAX), 1024;
    /// Challenges that all connections may send in a second (RFC 5961 §7); 2147483647: any number.
    "net.ipv4.tcp_challenge_ack_limit" tcp_challenge_ack_limit: u32 = Number(0..=i32::MAX as u32), i32::MAX as u32;
    /// How long acknowledgements of one gap are put together at the most, in nanoseconds; a twentieth of the round trip
    /// where that is less.
    "net.ipv4.tcp_comp_sack_delay_ns" tcp_comp_sack_delay: Duration = Nanos(0..=u32::MAX as u64), Duration::from_millis(1);
    /// How many acknowledgements of one gap may be put together; 0: none.
    "net.ipv4.tcp_comp_sack_nr" tcp_comp_sack_nr: u8 = Number(0..=255), 44;
    /// Which algorithm limits what is in flight.
    "net.ipv4.tcp_congestion_control" tcp_congestion_control: CongestionKind = Congestion, CongestionKind::Cubic;
    /// Report what was received twice (RFC 2883).
    "net.ipv4.tcp_dsack" tcp_dsack: bool = Flag, true;
    /// Probe for lost tails where it is 3 or 4 (RFC 8985 §7).
    "net.ipv4.tcp_early_retrans" tcp_early_retrans: u8 = Number(0..=4), 3;
    /// Have routers mark packets rather than drop them (RFC 3168): 0 no, 1 yes, 2 where the peer asks for it.
    "net.ipv4.tcp_ecn" tcp_ecn: u8 = Number(0..=2), 2;
    /// A SYN that asks for marks and is not answered is sent again without asking.
    "net.ipv4.tcp_ecn_fallback" tcp_ecn_fallback: bool = Flag, true;
    /// Fast open (RFC 7413), one bit each: 0x1 send data in SYNs, 0x2 take it, 0x4 send it without a cookie, 0x200 take
    /// it without one, 0x400 take it at all listeners.
    "net.ipv4.tcp_fastopen" tcp_fastopen: u32 = Bits, 1;
    /// How long no data is sent in SYNs after such a connection got through no more; 0: the rule is off.
    "net.ipv4.tcp_fastopen_blackhole_timeout_sec" tcp_fastopen_blackhole_timeout: Duration =
        Seconds(0..=i32::MAX as u64), Duration::ZERO;
    /// The keys of the cookies that listeners give out, the second one for cookies that were given out before. Zeros are
    /// shown as long as the key is one that nobody chose.
    "net.ipv4.tcp_fastopen_key" tcp_fastopen_key: Option<FastOpenKeys> = CookieKeys, None;
    /// How long a connection that nobody holds stays in FIN-WAIT-2.
    "net.ipv4.tcp_fin_timeout" tcp_fin_timeout: Duration = Seconds(0..=65_535), Duration::from_secs(60);
    /// Find time-outs that were in error by what arrives after them (RFC 5682): 0 no, 1 or 2 yes.
    "net.ipv4.tcp_frto" tcp_frto: u8 = Number(0..=2), 2;
    /// The least time between two acknowledgements of one connection in answer to invalid segments.
    "net.ipv4.tcp_invalid_ratelimit" tcp_invalid_ratelimit: Duration =
        Millis(0..=u16::MAX as u64), Duration::from_millis(500);
    /// The time between two keepalive probes.
    "net.ipv4.tcp_keepalive_intvl" tcp_keepalive_intvl: Duration = Seconds(1..=32_767), Duration::from_secs(75);
    /// Keepalive probes without an answer before a connection is given up.
    "net.ipv4.tcp_keepalive_probes" tcp_keepalive_probes: u8 = Number(1..=127), 9;
    /// Idle time before the first keepalive probe.
    "net.ipv4.tcp_keepalive_time" tcp_keepalive_time: Duration = Seconds(1..=32_767), Duration::from_secs(7200);
    /// Connections that live on after their sockets are closed.
    "net.ipv4.tcp_max_orphans" tcp_max_orphans: u32 = Number(0..=i32::MAX as u32), 131_072;
    /// Segments behind a hole that mean a loss, at the most, however much the path reorders.
    "net.ipv4.tcp_max_reordering" tcp_max_reordering: u16 = Number(1..=u16::MAX), 300;
    /// Half-open connections of one listener, where no cookies are sent; the last quarter is left free.
    "net.ipv4.tcp_max_syn_backlog" tcp_max_syn_backlog: u32 = Number(1..=i32::MAX as u32), 4096;
    /// Connections in TIME-WAIT.
    "net.ipv4.tcp_max_tw_buckets" tcp_max_tw_buckets: u32 = Number(0..=i32::MAX as u32), 131_072;
    /// Memory of all connections together, in pages of 4 KiB: below the first it is not short any more, above the second it
    /// is, more than the third is not taken. (Linux reckons these from the machine's memory.)
    "net.ipv4.tcp_mem" tcp_mem: BufferSizes = Sizes, BufferSizes { least: 196_608, initial: 262_144, largest: 393_216 };
    /// The least MSS that a peer's option is believed, in bytes.
    "net.ipv4.tcp_min_snd_mss" tcp_min_snd_mss: u16 = Number(48..=65_535), 48;
    /// Segments of a burst at the least, however slow the path.
    "net.ipv4.tcp_min_tso_segs" tcp_min_tso_segs: u8 = Number(1..=255), 2;
    /// Let receive buffers grow by themselves.
    "net.ipv4.tcp_moderate_rcvbuf" tcp_moderate_rcvbuf: bool = Flag, true;
    /// The least payload that is sent where nothing gets through, in bytes.
    "net.ipv4.tcp_mtu_probe_floor" tcp_mtu_probe_floor: u16 = Number(48..=u16::MAX), 48;
    /// Find out by trying what paths take (RFC 4821): 0 no, 1 where nothing gets through any more, 2 always.
    "net.ipv4.tcp_mtu_probing" tcp_mtu_probing: u8 = Number(0..=2), 0;
    /// How many bytes may wait to be sent for the first time before writers wait.
    "net.ipv4.tcp_notsent_lowat" tcp_notsent_lowat: u32 = Number(0..=u32::MAX), u32::MAX;
    /// Retransmissions before a connection that nobody holds is given up; 0 means 8.
    "net.ipv4.tcp_orphan_retries" tcp_orphan_retries: u8 = Number(0..=255), 0;
    /// The pace after slow start, in percent of a window a round trip.
    "net.ipv4.tcp_pacing_ca_ratio" tcp_pacing_ca_ratio: u16 = Number(0..=1000), 120;
    /// The pace in slow start, in percent of a window a round trip.
    "net.ipv4.tcp_pacing_ss_ratio" tcp_pacing_ss_ratio: u16 = Number(0..=1000), 200;
    /// After how long it is tried anew whether a path takes more.
    "net.ipv4.tcp_probe_interval" tcp_probe_interval: Duration = Seconds(0..=u32::MAX as u64), Duration::from_secs(600);
    /// What a path takes is searched to so many bytes.
    "net.ipv4.tcp_probe_threshold" tcp_probe_threshold: u16 = Number(0..=u16::MAX), 8;
    /// How RACK finds losses (RFC 8985), by bits: 1 means nothing, 2 leaves the reordering window as it is, 4 gives what is
    /// missing its time whatever lies behind the hole.
    "net.ipv4.tcp_recovery" tcp_recovery: u8 = Number(0..=255), 1;
    /// Segments behind a hole that mean a loss, on a path that was not seen to reorder.
    "net.ipv4.tcp_reordering" tcp_reordering: u16 = Number(1..=u16::MAX), 3;
    /// Retransmissions before the way is in doubt: the neighbour is asked whether it is there.
    //= RFC 9293 SHLD-10
    "net.ipv4.tcp_retries1" tcp_retries1: u8 = Number(0..=255), 3;
    /// Retransmissions before an established connection is given up.
    "net.ipv4.tcp_retries2" tcp_retries2: u8 = Number(0..=255), 15;
    /// Receive buffers, in bytes: least, at the start, largest.
    "net.ipv4.tcp_rmem" tcp_rmem: BufferSizes = Sizes, BufferSizes { least: 4096, initial: 131_072, largest: 6_291_456 };
    /// Leave a reset of a connection in TIME-WAIT unanswered and unheeded (RFC 1337).
    "net.ipv4.tcp_rfc1337" tcp_rfc1337: bool = Flag, false;
    /// The largest retransmission time-out.
    "net.ipv4.tcp_rto_max_ms" tcp_rto_max: Duration = Millis(1000..=120_000), Duration::from_secs(120);
    /// The least retransmission time-out.
    "net.ipv4.tcp_rto_min_us" tcp_rto_min: Duration = Micros(1000..=60_000_000), Duration::from_millis(200);
    /// Offer and take selective acknowledgements (RFC 2018).
    "net.ipv4.tcp_sack" tcp_sack: bool = Flag, true;
    /// Forget what is known of a path's capacity after an idle time.
    "net.ipv4.tcp_slow_start_after_idle" tcp_slow_start_after_idle: bool = Flag, true;
    /// An urgent pointer names the last urgent byte (RFC 1122 §4.2.2.4) rather than the one after.
    "net.ipv4.tcp_stdurg" tcp_stdurg: bool = Flag, false;
    /// Answer SYNs by cookies (RFC 4987) where a listener has no room for more half-open connections: 0 no, 1 yes, 2 always.
    "net.ipv4.tcp_syncookies" tcp_syncookies: u8 = Number(0..=2), 1;
    /// SYNs that `connect` sends again at even distances, before those of `tcp_syn_retries`.
    "net.ipv4.tcp_syn_linear_timeouts" tcp_syn_linear_timeouts: u8 = Number(0..=127), 4;
    /// SYNs sent again, at doubling distances, before `connect` gives up.
    "net.ipv4.tcp_syn_retries" tcp_syn_retries: u8 = Number(1..=127), 6;
    /// SYN-ACKs sent again before a half-open connection is dropped.
    "net.ipv4.tcp_synack_retries" tcp_synack_retries: u8 = Number(0..=255), 5;
    /// Do not double the time-out while fewer than four segments are in flight.
    "net.ipv4.tcp_thin_linear_timeouts" tcp_thin_linear_timeouts: bool = Flag, false;
    /// Offer and take timestamps (RFC 7323): 0 no, 1 yes, 2 without a random offset for each connection.
    "net.ipv4.tcp_timestamps" tcp_timestamps: u8 = Number(0..=2), 1;
    /// A burst waits until it is one part of so many of the window; 0: until it is of four segments.
    "net.ipv4.tcp_tso_win_divisor" tcp_tso_win_divisor: u8 = Number(0..=255), 3;
    /// Connect from a port whose last connection with the same peer rests in TIME-WAIT for a second or more, where both
    /// used timestamps: 0 no, 1 yes, 2 over `lo` only.
    "net.ipv4.tcp_tw_reuse" tcp_tw_reuse: u8 = Number(0..=2), 2;
    /// Offer and take window scaling (RFC 7323).
    "net.ipv4.tcp_window_scaling" tcp_window_scaling: bool = Flag, true;
    /// Send buffers, in bytes: least, at the start, largest.
    "net.ipv4.tcp_wmem" tcp_wmem: BufferSizes = Sizes, BufferSizes { least: 4096, initial: 16_384, largest: 4_194_304 };

    /// Flow labels of IPv6's packets: 0 none, 1 unless a socket refuses them, 2 where a socket wants them, 3 all.
    "net.ipv6.auto_flowlabels" auto_flowlabels: u8 = Number(0..=3), 1;
    /// IPv6 sockets take no IPv4 unless they ask for it (`IPV6_V6ONLY`).
    "net.ipv6.bindv6only" bindv6only: bool = Flag, false;
    /// Look whether anybody on the link has an address before it is used: 0 no, 1 yes, 2 and give IPv6 up where somebody
    /// has the link-local one that follows from the station address. (Linux looks.)
    "net.ipv6.conf.all.accept_dad" accept_dad: u8 = Number(0..=2), 0;
    /// Heed what routers tell: 0 no, 1 or 2 yes.
    "net.ipv6.conf.all.accept_ra" accept_ra: u8 = Number(0..=2), 1;
    /// Take routers that tell of themselves as default routers.
    "net.ipv6.conf.all.accept_ra_defrtr" accept_ra_defrtr: bool = Flag, true;
    /// Take the MTU that routers tell.
    "net.ipv6.conf.all.accept_ra_mtu" accept_ra_mtu: bool = Flag, true;
    /// Take the prefixes that routers tell.
    "net.ipv6.conf.all.accept_ra_pinfo" accept_ra_pinfo: bool = Flag, true;
    /// The least hop limit that is taken from routers.
    "net.ipv6.conf.all.accept_ra_min_hop_limit" accept_ra_min_hop_limit: u8 = Number(1..=255), 1;
    /// The longest prefix of a route that is taken from routers, in bits.
    "net.ipv6.conf.all.accept_ra_rt_info_max_plen" accept_ra_rt_info_max_plen: u8 = Number(0..=128), 0;
    /// Heed which of several routers goes first (RFC 4191).
    "net.ipv6.conf.all.accept_ra_rtr_pref" accept_ra_rtr_pref: bool = Flag, true;
    /// Heed routers that say that another way is nearer.
    "net.ipv6.conf.all.accept_redirects" ipv6_accept_redirects: bool = Flag, true;
    /// How addresses are made: 0 from the station address, 1 the same but no link-local one, 2 and 3 by a secret (RFC 7217).
    "net.ipv6.conf.all.addr_gen_mode" addr_gen_mode: u8 = Number(0..=3), 0;
    /// Make addresses of the prefixes that routers tell.
    "net.ipv6.conf.all.autoconf" ipv6_autoconf: bool = Flag, true;
    /// How often an address is looked for before it is used.
    "net.ipv6.conf.all.dad_transmits" dad_transmits: u8 = Number(0..=255), 1;
    /// Tell what the link sends back of such questions from those of others (RFC 7527).
    "net.ipv6.conf.all.enhanced_dad" enhanced_dad: bool = Flag, true;
    /// Addresses that an interface makes itself, at the most.
    "net.ipv6.conf.all.max_addresses" ipv6_max_addresses: u8 = Number(1..=32), 16;
    /// By how much at most the time of a temporary address is shortened at random.
    "net.ipv6.conf.all.max_desync_factor" max_desync_factor: Duration =
        Seconds(0..=i32::MAX as u64), Duration::from_secs(600);
    /// How often another address is tried where somebody has one that was made.
    "net.ipv6.conf.all.regen_max_retry" regen_max_retry: u8 = Number(0..=255), 3;
    /// The longest time before the first question to routers.
    "net.ipv6.conf.all.router_solicitation_delay" router_solicitation_delay: Duration =
        Seconds(0..=3600), Duration::from_secs(1);
    /// The time between the first two questions to routers; each further one is about twice as long (RFC 7559) …
    "net.ipv6.conf.all.router_solicitation_interval" router_solicitation_interval: Duration =
        Seconds(0..=3600), Duration::from_secs(4);
    /// … and no longer than this.
    "net.ipv6.conf.all.router_solicitation_max_interval" router_solicitation_max_interval: Duration =
        Seconds(0..=i32::MAX as u64), Duration::from_secs(3600);
    /// How often routers are asked to tell of themselves; -1: until one does. (Linux has -1.)
    "net.ipv6.conf.all.router_solicitations" router_solicitations: i32 = Number(-1..=i32::MAX), 0;
    /// The secret that addresses are made by, written as an address; :: where nobody chose one.
    "net.ipv6.conf.all.stable_secret" stable_secret: Option<core::net::Ipv6Addr> = Secret, None;
    /// How long a temporary address is preferred.
    "net.ipv6.conf.all.temp_prefered_lft" temp_preferred_lft: Duration =
        Seconds(0..=i32::MAX as u64), Duration::from_secs(86_400);
    /// How long a temporary address is valid.
    "net.ipv6.conf.all.temp_valid_lft" temp_valid_lft: Duration =
        Seconds(0..=i32::MAX as u64), Duration::from_secs(604_800);
    /// Temporary addresses (RFC 8981): 0 none, 1 make them, 2 and have them go before those that last.
    "net.ipv6.conf.all.use_tempaddr" use_tempaddr: u8 = Number(0..=2), 0;
    /// Make a neighbour of who advertises its address unasked (RFC 9131): 0 no, 1 yes, 2 where it is in a network of the
    /// interface.
    "net.ipv6.conf.all.accept_untracked_na" accept_untracked_na: u8 = Number(0..=2), 0;
    /// Drop packets to one host that come in frames to several.
    "net.ipv6.conf.all.drop_unicast_in_l2_multicast" ipv6_drop_unicast_in_l2_multicast: bool = Flag, false;
    /// Ignore neighbour advertisements that nobody asked for.
    "net.ipv6.conf.all.drop_unsolicited_na" drop_unsolicited_na: bool = Flag, false;
    /// Announce an address of IPv6 when an interface gets it.
    "net.ipv6.conf.all.ndisc_notify" ndisc_notify: bool = Flag, false;
    /// Pass on what is for others: the host is a router. While it is on, redirects are not heeded, and what routers tell
    /// only where `accept_ra` is 2.
    "net.ipv6.conf.all.forwarding" ipv6_forwarding: bool = Flag, false;
    /// By what flows of others are shared among several ways: 0 addresses and flow label, 1 addresses and ports.
    "net.ipv6.fib_multipath_hash_policy" ipv6_fib_multipath_hash_policy: u8 = Number(0..=1), 0;
    /// IPv6's hop limit.
    "net.ipv6.conf.all.hop_limit" ipv6_hop_limit: u8 = Number(1..=255), 64;
    /// Memory for IPv6 fragments, in bytes: where more is taken, the oldest packets are given up …
    "net.ipv6.ip6frag_high_thresh" ip6frag_high_thresh: u32 = Number(0..=i32::MAX as u32), 4 << 20;
    /// … until no more than this is taken.
    "net.ipv6.ip6frag_low_thresh" ip6frag_low_thresh: u32 = Number(0..=i32::MAX as u32), 3 << 20;
    /// How long the fragments of an IPv6 packet wait for the rest.
    //= RFC 8200 §4.5
    "net.ipv6.ip6frag_time" ip6frag_time: Duration = Seconds(0..=i32::MAX as u64), Duration::from_secs(60);
    /// Options other than padding in one header of destination options.
    "net.ipv6.max_dst_opts_number" max_dst_opts_number: u32 = Number(0..=i32::MAX as u32), 8;
    /// Bytes in one header of destination options.
    "net.ipv6.max_dst_opts_length" max_dst_opts_length: u32 = Number(0..=i32::MAX as u32), i32::MAX as u32;
    /// Options other than padding among the hop-by-hop options.
    "net.ipv6.max_hbh_opts_number" max_hbh_opts_number: u32 = Number(0..=i32::MAX as u32), 8;
    /// Bytes of the hop-by-hop options.
    "net.ipv6.max_hbh_length" max_hbh_length: u32 = Number(0..=i32::MAX as u32), i32::MAX as u32;
    /// The least time between two ICMPv6 errors to one host.
    "net.ipv6.icmp.ratelimit" ipv6_icmp_ratelimit: Duration =
        Millis(0..=i32::MAX as u64), Duration::from_millis(100);

    /// Look whether anybody on the link has an IPv4 address before it is used, announce it, and defend it once in ten seconds
    /// (RFC 5227). Leases of DHCP servers are looked for in any case. (Linux does nothing of it.)
    "tapsock.ipv4_acd" ipv4_acd: bool = Flag, false;
    /// An address belongs to its interface (the strong model of RFC 1122 §3.3.4.2) rather than to the host: packets to it
    /// are taken there alone, and packets from it leave there. It holds for stacks that are made after it was set.
    //= RFC 1122 §3.3.4.2
    "tapsock.strong_host" strong_host: bool = Flag, false;
    /// How CUBIC leaves the first slow start before something is lost: 0 not at all, 1 as Linux, 2 by HyStart++ (RFC 9406).
    "tapsock.tcp_hystart" tcp_hystart: u8 = Number(0..=2), 1;
    /// How long a connection stays in TIME-WAIT, which Linux has fixed at 60 s.
    "tapsock.tcp_timewait_len" tcp_timewait_len: Duration = Seconds(0..=3600), Duration::from_secs(60);
}

impl Config {
    /// Sets the setting `name` to `value`, written as in `/proc/sys`: decimal numbers, in the sysctl's own unit,
    /// several of them apart by blanks.
    ///
    /// # Errors
    ///
    /// [`SettingError`]; the setting keeps its value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        if name == AVAILABLE_CONGESTION_CONTROL {
            return Err(SettingError::ReadOnly);
        }
        let Some(setting) = setting(name) else { return self.set_of_interface(name, value) };
        let mut changed = self.clone();
        (setting.set)(&mut changed, value.trim()).ok_or(SettingError::BadValue)?;
        // As Linux: a port given out to anyone must not be one that is reserved.
        let ports = |config: &Config| (config.ip_unprivileged_port_start, config.ip_local_port_range);
        let (reserved, given_out) = ports(&changed);
        if ports(self) != (reserved, given_out) && given_out.first() < reserved {
            return Err(SettingError::BadValue);
        }
        *self = changed;
        Ok(())
    }

    /// The setting `name` as `/proc/sys` shows it, or `None` where there is no such setting.
    ///
    /// ```
    /// use tapsock_stack::config::{Config, SettingError};
    ///
    /// let mut config = Config::default();
    /// let available = "net.ipv4.tcp_available_congestion_control";
    /// assert_eq!(config.show(available).as_deref(), Some("reno cubic bbr"));
    /// assert_eq!(config.set(available, "bbr"), Err(SettingError::ReadOnly));
    /// ```
    pub fn show(&self, name: &str) -> Option<String> {
        if name == AVAILABLE_CONGESTION_CONTROL {
            return Some(CongestionKind::ALL.map(CongestionKind::name).join(" "));
        }
        if let Some(setting) = setting(name) {
            return Some((setting.show)(self));
        }
        let (interface, setting) = of_interface(name)?;
        Some((setting.show)(&self.for_interface(interface)))
    }

    fn set_of_interface(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let (interface, setting) = of_interface(name).ok_or(SettingError::UnknownName)?;
        (setting.set)(&mut self.clone(), value.trim()).ok_or(SettingError::BadValue)?;
        self.of_interfaces.insert(interface, setting.name, value.trim())
    }

    /// The settings as they hold for the interface of that name.
    pub fn for_interface(&self, name: &str) -> Cow<'_, Config> {
        let mut own = self.of_interfaces.of(name).peekable();
        if own.peek().is_none() {
            return Cow::Borrowed(self);
        }
        // This is asked for each frame of some kinds: the texts of interfaces are not copied.
        let mut settings = self.of_all();
        for (name, value) in own {
            if let Some(setting) = setting(name) {
                // It was a value when it was set.
                let _ = (setting.set)(&mut settings, value);
            }
        }
        Cow::Owned(settings)
    }

    /// An interface of that name comes: the settings of `default`, where it has none of its own, are its own from now on,
    /// as on Linux.
    pub(crate) fn begin_interface(&mut self, name: &str) {
        let defaults: Vec<_> =
            self.of_interfaces.of(DEFAULT).map(|(setting, value)| (setting, value.to_owned())).collect();
        for (setting, value) in defaults {
            if self.of_interfaces.of(name).all(|(own, _)| own != setting)
                && let Err(error) = self.of_interfaces.insert(name, setting, &value)
            {
                log::warn!("{name}: {setting} of {DEFAULT}: {error}");
            }
        }
    }

    /// Whether packets for one host that come in frames for several are dropped at the interface of that name.
    pub fn drops_unicast_in_l2_multicast(&self, name: &str, family: core::net::IpAddr) -> bool {
        let (setting, of_all) = match family.is_ipv4() {
            true => ("net.ipv4.conf.all.drop_unicast_in_l2_multicast", self.drop_unicast_in_l2_multicast),
            false => {
                ("net.ipv6.conf.all.drop_unicast_in_l2_multicast", self.ipv6_drop_unicast_in_l2_multicast)
            }
        };
        self.of_interfaces.number(name, setting).map_or(of_all, |value| value != 0)
    }

    /// IPv6's hop limit at the interface of that name. It is asked for each packet, so it is read by itself.
    pub fn hop_limit_at(&self, name: &str) -> u8 {
        self.of_interfaces.number(name, "net.ipv6.conf.all.hop_limit").unwrap_or(self.ipv6_hop_limit)
    }

    /// The options that a TCP socket begins with.
    pub fn tcp_options(&self) -> Options {
        let secs = |duration: Duration| u16::try_from(duration.as_secs()).unwrap_or(u16::MAX);
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        Options {
            standard_urgent: self.tcp_stdurg,
            sack: self.tcp_sack,
            timestamps: self.tcp_timestamps != 0,
            window_scaling: self.tcp_window_scaling,
            ecn: match self.tcp_ecn {
                0 => EcnUse::No,
                1 => EcnUse::Always,
                _ => EcnUse::OnRequest,
            },
            ecn_fallback: self.tcp_ecn_fallback,
            syn_retries: self.tcp_syn_retries,
            syn_linear_timeouts: self.tcp_syn_linear_timeouts,
            synack_retries: self.tcp_synack_retries,
            retries: self.tcp_retries2,
            orphan_retries: self.tcp_orphan_retries,
            congestion: self.tcp_congestion_control,
            //= RFC 9293 MUST-25
            //= RFC 9293 MUST-28
            keep_alive: KeepAlive {
                enabled: false,
                probes: self.tcp_keepalive_probes,
                idle_secs: secs(self.tcp_keepalive_time),
                interval_secs: secs(self.tcp_keepalive_intvl),
            },
            fin_timeout_secs: Some(secs(self.tcp_fin_timeout)),
            receive_buffer: self.tcp_rmem.initial,
            receive_buffer_max: self.tcp_moderate_rcvbuf.then_some(self.tcp_rmem.largest),
            send_buffer: self.tcp_wmem.initial.min(self.tcp_wmem.largest),
            send_buffer_max: Some(self.tcp_wmem.largest),
            min_send_mss: self.tcp_min_snd_mss,
            invalid_ratelimit_ms: u16::try_from(self.tcp_invalid_ratelimit.as_millis()).unwrap_or(u16::MAX),
            compressed_acks: self.tcp_comp_sack_nr,
            rto_min_ms: u16::try_from(self.tcp_rto_min.as_millis()).unwrap_or(u16::MAX),
            rto_max_ms: millis(self.tcp_rto_max),
            slow_start_after_idle: self.tcp_slow_start_after_idle,
            rare: Some(self.rare_options()).filter(|rare| *rare != Rare::NONE).map(Box::new),
            ..Options::default()
        }
    }

    /// What few hosts set: a connection has a place for it only where that is so.
    fn rare_options(&self) -> Rare {
        Rare {
            host_not_sent_low_water: self.tcp_notsent_lowat,
            loss: LossOptions {
                detection: self.tcp_recovery,
                early_retrans: self.tcp_early_retrans,
                frto: self.tcp_frto > 0,
                dsack: self.tcp_dsack,
                reordering: self.tcp_reordering,
                max_reordering: self.tcp_max_reordering,
                thin_linear: self.tcp_thin_linear_timeouts,
                compression: self.tcp_comp_sack_delay,
            },
            slow_start_exit: match self.tcp_hystart {
                0 => SlowStartExit::Loss,
                1 => SlowStartExit::HyStart,
                _ => SlowStartExit::HyStartPlus,
            },
            burst_share: self.tcp_tso_win_divisor,
            burst_least: self.tcp_min_tso_segs,
            pacing_percent: [self.tcp_pacing_ss_ratio, self.tcp_pacing_ca_ratio],
            mtu: self.mtu_options(),
            ..Rare::NONE
        }
    }

    /// The memory of all connections.
    pub fn tcp_memory(&self) -> Limits {
        let BufferSizes { least, initial, largest } = self.tcp_mem;
        Limits { low: least, pressure: initial, high: largest }
    }

    fn mtu_options(&self) -> MtuOptions {
        let probing = match self.tcp_mtu_probing {
            0 => return MtuOptions::DEFAULT,
            1 => Probing::BlackHole,
            _ => Probing::Always,
        };
        MtuOptions {
            probing,
            base: self.tcp_base_mss,
            floor: self.tcp_mtu_probe_floor,
            threshold: self.tcp_probe_threshold,
            interval_secs: u32::try_from(self.tcp_probe_interval.as_secs()).unwrap_or(u32::MAX),
            patience: self.tcp_retries1,
        }
    }

    /// The settings of the neighbour cache. IPv4's hold for both families.
    pub fn neighbor_config(&self) -> NeighborConfig {
        let count = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
        NeighborConfig {
            base_reachable: self.neigh_base_reachable_time,
            retrans_timer: self.neigh_retrans_time,
            delay_first_probe: self.neigh_delay_first_probe_time,
            max_multicast_solicit: count(self.neigh_mcast_solicit),
            max_unicast_solicit: count(self.neigh_ucast_solicit),
            queue_len: self.neigh_unres_qlen as usize,
            max_entries: self.neigh_gc_thresh3 as usize,
            ..NeighborConfig::default()
        }
    }

    /// How an interface with these settings deals with its neighbours.
    pub fn neighbor_policy(&self) -> NeighborPolicy {
        NeighborPolicy {
            arp_accept: self.arp_accept,
            arp_announce: self.arp_announce,
            arp_ignore: if self.strong_host { self.arp_ignore.max(1) } else { self.arp_ignore },
            arp_filter: self.arp_filter,
            drop_gratuitous_arp: self.drop_gratuitous_arp,
            accept_untracked_na: self.accept_untracked_na,
            drop_unsolicited_na: self.drop_unsolicited_na,
            router: self.ipv6_forwarding,
        }
    }

    /// What holds for the packets that come in at the interface of that name. It is asked for each packet, so the settings
    /// of an interface are read one by one.
    pub fn arrival_policy(&self, name: &str) -> ArrivalPolicy {
        let own = |setting: &str, value: u8| self.of_interfaces.number(name, setting).unwrap_or(value);
        let flag = |setting: &str, value: bool| own(setting, value.into()) != 0;
        ArrivalPolicy {
            forwards_v4: flag("net.ipv4.conf.all.forwarding", self.ip_forward),
            forwards_v6: flag("net.ipv6.conf.all.forwarding", self.ipv6_forwarding),
            source_routes: flag("net.ipv4.conf.all.accept_source_route", self.accept_source_route),
            reverse_path: own("net.ipv4.conf.all.rp_filter", self.rp_filter),
            redirects: flag("net.ipv4.conf.all.send_redirects", self.send_redirects),
        }
    }

    /// What the fragments of `family` may cost.
    pub fn fragment_limits(&self, family: core::net::IpAddr) -> FragmentLimits {
        let (high, low, time) = match family.is_ipv4() {
            true => (self.ipfrag_high_thresh, self.ipfrag_low_thresh, self.ipfrag_time),
            false => (self.ip6frag_high_thresh, self.ip6frag_low_thresh, self.ip6frag_time),
        };
        FragmentLimits { high: high as usize, low: low as usize, time }
    }

    /// How an interface with these settings configures itself.
    pub fn autoconf_config(&self) -> AutoconfConfig {
        AutoconfConfig {
            //= RFC 4861 §6.2.7
            accept_ra: if self.ipv6_forwarding { self.accept_ra > 1 } else { self.accept_ra > 0 },
            accept_ra_defrtr: self.accept_ra_defrtr,
            accept_ra_pinfo: self.accept_ra_pinfo,
            accept_ra_mtu: self.accept_ra_mtu,
            accept_ra_min_hop_limit: self.accept_ra_min_hop_limit,
            accept_ra_rtr_pref: self.accept_ra_rtr_pref,
            accept_ra_rt_info_max_plen: self.accept_ra_rt_info_max_plen,
            autoconf: self.ipv6_autoconf,
            accept_dad: self.accept_dad,
            dad_transmits: self.dad_transmits,
            enhanced_dad: self.enhanced_dad,
            router_solicitations: u32::try_from(self.router_solicitations)
                .unwrap_or(AutoconfConfig::UNTIL_ANSWERED),
            router_solicitation_delay: self.router_solicitation_delay,
            router_solicitation_interval: self.router_solicitation_interval,
            router_solicitation_max_interval: self.router_solicitation_max_interval,
            addr_gen_mode: self.addr_gen_mode,
            stable_secret: self.stable_secret.map(core::net::Ipv6Addr::to_bits),
            use_tempaddr: self.use_tempaddr,
            temp_valid: self.temp_valid_lft,
            temp_preferred: self.temp_preferred_lft,
            max_desync: self.max_desync_factor,
            regen_max_retry: self.regen_max_retry,
            max_addresses: self.ipv6_max_addresses.into(),
            retrans: self.neigh_retrans_time,
        }
    }

    /// What the extension headers of an IPv6 packet may hold.
    pub fn ext_limits(&self) -> ExtLimits {
        ExtLimits {
            hop_by_hop: OptionLimits { number: self.max_hbh_opts_number, length: self.max_hbh_length },
            destination: OptionLimits { number: self.max_dst_opts_number, length: self.max_dst_opts_length },
        }
    }

    /// The settings of the path MTU cache. IPv4's hold for both families, but for the least MTU.
    pub fn path_mtu_config(&self) -> PathMtuConfig {
        PathMtuConfig {
            min_pmtu: self.route_min_pmtu.into(),
            mtu_expires: self.route_mtu_expires,
            ..PathMtuConfig::default()
        }
    }

    /// The names of all settings, in the order of [`Config`]'s fields.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().map(|setting| setting.name)
    }
}

/// What holds for packets that come in at an interface.
///
/// ```
/// use tapsock_stack::config::Config;
///
/// let mut config = Config::default();
/// config.set("net.ipv4.ip_forward", "1")?;
/// config.set("net.ipv4.conf.eth1.forwarding", "0")?;
/// assert!(config.arrival_policy("eth0").forwards_v4 && !config.arrival_policy("eth1").forwards_v4);
/// # Ok::<(), tapsock_stack::config::SettingError>(())
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct ArrivalPolicy {
    /// Whether those of IPv4 for others go on.
    pub forwards_v4: bool,
    /// The same of IPv6.
    pub forwards_v6: bool,
    /// Whether those with a source route go on.
    pub source_routes: bool,
    /// Whose source is believed (`rp_filter`).
    pub reverse_path: u8,
    /// Whether their senders are told of nearer routers.
    pub redirects: bool,
}

/// The settings of single interfaces, as they were written.
///
/// ```
/// use tapsock_stack::config::Config;
///
/// let mut config = Config::default();
/// config.set("net.ipv4.conf.eth0.arp_notify", "1")?;
/// assert!(config.for_interface("eth0").arp_notify && !config.for_interface("eth1").arp_notify);
/// assert_eq!(config.show("net.ipv4.conf.eth0.arp_notify").as_deref(), Some("1"));
/// # Ok::<(), tapsock_stack::config::SettingError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct InterfaceSettings {
    /// By the interface's name, then by the name that holds for all.
    values: BTreeMap<String, BTreeMap<&'static str, String>>,
}

/// The name that stands for interfaces to come.
const DEFAULT: &str = "default";

/// Interfaces with settings of their own, at the most; names come from the owner, not from peers.
const MAX_INTERFACE_NAMES: usize = 256;

impl InterfaceSettings {
    fn insert(&mut self, interface: &str, name: &'static str, value: &str) -> Result<(), SettingError> {
        if self.values.len() >= MAX_INTERFACE_NAMES && !self.values.contains_key(interface) {
            return Err(SettingError::BadValue);
        }
        self.values.entry(interface.to_owned()).or_default().insert(name, value.to_owned());
        Ok(())
    }

    /// The value of a setting that is a small number, where the interface has its own.
    fn number(&self, interface: &str, name: &str) -> Option<u8> {
        if self.values.is_empty() {
            return None;
        }
        self.values.get(interface)?.get(name)?.parse().ok()
    }

    fn of(&self, interface: &str) -> impl Iterator<Item = (&'static str, &str)> {
        let of_it = self.values.get(interface).into_iter().flatten();
        of_it.map(|(name, value)| (*name, value.as_str()))
    }
}

/// The interface in the name of a setting, and the setting for all: `net.ipv4.conf.eth0.arp_notify` is of "eth0".
fn of_interface(name: &str) -> Option<(&str, &'static Setting)> {
    ["net.ipv4.conf.", "net.ipv6.conf."].into_iter().find_map(|prefix| {
        let (interface, rest) = name.strip_prefix(prefix)?.rsplit_once('.')?;
        let all = format!("{prefix}all.{rest}");
        Some((interface, setting(&all)?)).filter(|(interface, _)| !interface.is_empty())
    })
}

/// Why a setting was not set.
///
/// ```
/// use tapsock_stack::config::{Config, SettingError};
///
/// let mut config = Config::default();
/// assert_eq!(config.set("net.ipv4.tcp_teleport", "1"), Err(SettingError::UnknownName));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SettingError {
    /// There is no setting of that name (ENOENT).
    UnknownName,
    /// The setting can't have that value (EINVAL).
    BadValue,
    /// It only tells something (EPERM).
    ReadOnly,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SettingError::UnknownName => "no such setting",
            SettingError::BadValue => "not a value of this setting",
            SettingError::ReadOnly => "it can't be set",
        })
    }
}

impl core::error::Error for SettingError {}

/// Shows what `TCP_CONGESTION` takes; it can't be set.
const AVAILABLE_CONGESTION_CONTROL: &str = "net.ipv4.tcp_available_congestion_control";

/// The older name of IPv4's forwarding.
const IP_FORWARD: &str = "net.ipv4.ip_forward";

struct Setting {
    name: &'static str,
    show: fn(&Config) -> String,
    /// `None` where the text is no value of the setting.
    set: fn(&mut Config, &str) -> Option<()>,
}

fn setting(name: &str) -> Option<&'static Setting> {
    let name = if name == IP_FORWARD { "net.ipv4.conf.all.forwarding" } else { name };
    SETTINGS.iter().find(|setting| setting.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_takes_what_it_shows() {
        let mut config = Config::default();
        for name in Config::names() {
            let shown = config.show(name).expect("the name is listed");
            assert_eq!(config.set(name, &shown), Ok(()), "{name} {shown:?}");
            // A key that somebody chose is one, even where it is all zeros.
            if name == "net.ipv4.tcp_fastopen_key" {
                config.tcp_fastopen_key = None;
            }
            if name == "net.ipv6.conf.all.stable_secret" {
                config.stable_secret = None;
            }
            assert_eq!(config, Config::default(), "{name}");
            for nonsense in ["", "x", "-1", "1x", "4096 8192 16384 1", "99999999999"] {
                // There -1 means something.
                if (name, nonsense) != ("net.ipv6.conf.all.router_solicitations", "-1") {
                    assert_eq!(
                        config.set(name, nonsense),
                        Err(SettingError::BadValue),
                        "{name} {nonsense:?}"
                    );
                }
            }
            assert_eq!(config, Config::default(), "{name}");
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = Config::names().collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    /// Read from `sysctl -a` of Linux 6.18.
    #[test]
    fn defaults_are_those_of_linux() {
        let linux = [
            ("net.core.rmem_default", "212992"),
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.icmp_msgs_burst", "50"),
            ("net.ipv4.icmp_msgs_per_sec", "1000"),
            ("net.ipv4.icmp_ratelimit", "1000"),
            ("net.ipv4.icmp_ratemask", "6168"),
            ("net.ipv4.ip_local_port_range", "32768\t60999"),
            ("net.ipv4.neigh.default.base_reachable_time_ms", "30000"),
            ("net.ipv4.neigh.default.delay_first_probe_time", "5"),
            ("net.ipv4.neigh.default.unres_qlen", "101"),
            ("net.ipv4.tcp_ecn", "2"),
            ("net.ipv4.tcp_ecn_fallback", "1"),
            ("net.ipv4.tcp_fastopen", "1"),
            ("net.ipv4.tcp_fastopen_blackhole_timeout_sec", "0"),
            ("net.ipv4.tcp_fin_timeout", "60"),
            ("net.ipv4.tcp_invalid_ratelimit", "500"),
            ("net.ipv4.tcp_keepalive_intvl", "75"),
            ("net.ipv4.tcp_keepalive_time", "7200"),
            ("net.ipv4.tcp_notsent_lowat", "4294967295"),
            ("net.ipv4.tcp_retries1", "3"),
            ("net.ipv4.tcp_rfc1337", "0"),
            ("net.ipv4.tcp_rto_max_ms", "120000"),
            ("net.ipv4.tcp_rto_min_us", "200000"),
            ("net.ipv4.route.min_pmtu", "552"),
            ("net.ipv4.route.mtu_expires", "600"),
            ("net.ipv4.tcp_stdurg", "0"),
            ("net.ipv4.tcp_timestamps", "1"),
            ("net.ipv4.tcp_tw_reuse", "2"),
            ("net.ipv4.tcp_wmem", "4096\t16384\t4194304"),
            ("net.ipv6.auto_flowlabels", "1"),
            ("net.ipv6.bindv6only", "0"),
            ("net.ipv6.max_dst_opts_length", "2147483647"),
            ("net.ipv6.max_dst_opts_number", "8"),
            ("net.ipv6.max_hbh_length", "2147483647"),
            ("net.ipv6.max_hbh_opts_number", "8"),
        ];
        let config = Config::default();
        for (name, value) in linux {
            assert_eq!(config.show(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(config.show("net.ipv4.ip_unprivileged_port_start").as_deref(), Some("1025"));
    }

    #[test]
    fn units_are_the_sysctls() {
        let mut config = Config::default();
        config.set("net.ipv4.tcp_rto_min_us", "5000").unwrap();
        config.set("net.ipv4.tcp_rto_max_ms", "5000").unwrap();
        config.set("net.ipv4.tcp_fin_timeout", " 5 \n").unwrap();
        assert_eq!(config.tcp_rto_min, Duration::from_millis(5));
        assert_eq!(config.tcp_rto_max, Duration::from_secs(5));
        assert_eq!(config.tcp_fin_timeout, Duration::from_secs(5));
    }

    #[test]
    fn the_neighbour_cache_begins_with_its_defaults() {
        let defaults = format!("{:?}", NeighborConfig::default());
        assert_eq!(format!("{:?}", Config::default().neighbor_config()), defaults);
        let config = Config { neigh_gc_thresh3: 7, ..Config::default() };
        assert_eq!(config.neighbor_config().max_entries, 7);
    }

    #[test]
    fn ranges_are_those_of_linux() {
        let mut config = Config::default();
        for (name, least, largest) in [
            ("net.ipv4.ip_default_ttl", 1, 255),
            ("net.ipv4.tcp_syn_retries", 1, 127),
            ("net.ipv4.tcp_min_snd_mss", 48, 65_535),
            ("net.ipv4.tcp_rto_max_ms", 1000, 120_000),
            ("net.ipv4.icmp_echo_ignore_all", 0, 1),
        ] {
            for (value, outcome) in [
                (least - 1, Err(SettingError::BadValue)),
                (least, Ok(())),
                (largest, Ok(())),
                (largest + 1, Err(SettingError::BadValue)),
            ] {
                assert_eq!(config.set(name, &value.to_string()), outcome, "{name} {value}");
            }
        }
    }

    #[test]
    fn reserved_ports_are_not_given_out() {
        let mut config = Config::default();
        let range = "net.ipv4.ip_local_port_range";
        assert_eq!(config.set(range, "1024 60999"), Err(SettingError::BadValue));
        assert_eq!(config.set(range, "1025 60999"), Ok(()));
        assert_eq!(config.set(range, "5000 4999"), Err(SettingError::BadValue));
        assert_eq!(config.set("net.ipv4.ip_unprivileged_port_start", "1026"), Err(SettingError::BadValue));
        assert_eq!(config.set("net.ipv4.ip_unprivileged_port_start", "0"), Ok(()));
        assert_eq!(config.set(range, "0 5"), Err(SettingError::BadValue));
    }
}
