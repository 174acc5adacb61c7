//! The settings of a host, under Linux's sysctl names.

use core::fmt;
use core::time::Duration;

use crate::fast_open::FastOpenKeys;
use crate::tcp::config::{CongestionKind, CongestionSet};

mod codec;
mod interfaces;
mod parts;

use codec::{
    Bits, Codec, Congestion, Congestions, CookieKeys, Flag, Micros, Millis, Nanos, Number, Ports, Seconds,
    Secret, Sizes, Types,
};
pub use codec::{BufferSizes, IcmpTypes, PortRange};
use interfaces::of_interface;
pub use interfaces::{ArrivalPolicy, InterfaceSettings};

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
    /// The newest version of IGMP that is spoken; routers of older ones are answered in theirs. 0 is as 3.
    "net.ipv4.conf.all.force_igmp_version" force_igmp_version: u8 = Number(0..=3), 0;
    /// The longest time between two reports of a change in IGMPv1 and IGMPv2, in milliseconds.
    "net.ipv4.conf.all.igmpv2_unsolicited_report_interval" igmpv2_unsolicited_report_interval: Duration =
        Millis(0..=i32::MAX as u64), Duration::from_secs(10);
    /// The same in IGMPv3.
    "net.ipv4.conf.all.igmpv3_unsolicited_report_interval" igmpv3_unsolicited_report_interval: Duration =
        Millis(0..=i32::MAX as u64), Duration::from_secs(1);
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
    /// By what flows are shared among several equal ways: 0 addresses, 1 addresses and ports.
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
    /// How often IGMP tells each change, unless the link's querier says otherwise.
    //= RFC 9776 §8.1 MUST-1
    "net.ipv4.igmp_qrv" igmp_qrv: u8 = Number(1..=u8::MAX), 2;
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
    /// How long a neighbour of IPv4 counts as reachable, on average.
    "net.ipv4.neigh.default.base_reachable_time_ms" neigh_base_reachable_time: Duration =
        Millis(1..=i32::MAX as u64), Duration::from_secs(30);
    /// How long a stale neighbour's first probe waits for a hint from above.
    "net.ipv4.neigh.default.delay_first_probe_time" neigh_delay_first_probe_time: Duration =
        Seconds(0..=2_147_483), Duration::from_secs(5);
    /// Neighbours of IPv4 that are remembered.
    "net.ipv4.neigh.default.gc_thresh3" neigh_gc_thresh3: u32 = Number(1..=65_536), 1024;
    /// Solicitations to all whether a neighbour is there that does not answer those to itself, before it counts as unreachable.
    "net.ipv4.neigh.default.mcast_resolicit" neigh_mcast_resolicit: u8 = Number(0..=255), 0;
    /// Solicitations to all before a neighbour counts as unreachable.
    "net.ipv4.neigh.default.mcast_solicit" neigh_mcast_solicit: u8 = Number(1..=255), 3;
    /// The time between two solicitations.
    "net.ipv4.neigh.default.retrans_time_ms" neigh_retrans_time: Duration =
        Millis(1..=i32::MAX as u64), Duration::from_secs(1);
    /// Solicitations to a neighbour itself before it counts as unreachable.
    "net.ipv4.neigh.default.ucast_solicit" neigh_ucast_solicit: u8 = Number(0..=255), 3;
    /// What waits for one neighbour's address, in bytes with what each packet is charged besides.
    "net.ipv4.neigh.default.unres_qlen_bytes" neigh_unres_qlen_bytes: u32 =
        Number(0..=i32::MAX as u32), 212_992;
    /// The least MTU of a path that a router's complaint can bring about, in bytes.
    "net.ipv4.route.min_pmtu" route_min_pmtu: u16 = Number(68..=65_535), 552;
    /// How long a complaint about a path's MTU is believed.
    "net.ipv4.route.mtu_expires" route_mtu_expires: Duration = Seconds(0..=i32::MAX as u64), Duration::from_secs(600);
    /// Reset a connection that the accept queue has no room for, rather than let the peer try again.
    "net.ipv4.tcp_abort_on_overflow" tcp_abort_on_overflow: bool = Flag, false;
    /// Which algorithms sockets may choose without privileges.
    "net.ipv4.tcp_allowed_congestion_control" tcp_allowed_congestion_control: CongestionSet =
        Congestions, CongestionSet::ALL;
    /// What does not fill a frame waits for more to be written while much is on its way over a short path.
    "net.ipv4.tcp_autocorking" tcp_autocorking: bool = Flag, true;
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
    /// The version of MLD that is spoken, whatever routers speak; 0: theirs.
    "net.ipv6.conf.all.force_mld_version" force_mld_version: u8 = Number(0..=2), 0;
    /// The longest time between two reports of a change in MLDv1, in milliseconds.
    "net.ipv6.conf.all.mldv1_unsolicited_report_interval" mldv1_unsolicited_report_interval: Duration =
        Millis(0..=i32::MAX as u64), Duration::from_secs(10);
    /// The same in MLDv2.
    "net.ipv6.conf.all.mldv2_unsolicited_report_interval" mldv2_unsolicited_report_interval: Duration =
        Millis(0..=i32::MAX as u64), Duration::from_secs(1);
    /// How often MLD tells each change, unless the link's querier says otherwise.
    //= RFC 9777 §9.1 MUST-1
    "net.ipv6.mld_qrv" mld_qrv: u8 = Number(1..=u8::MAX), 2;
    /// Ignore neighbour advertisements that nobody asked for.
    "net.ipv6.conf.all.drop_unsolicited_na" drop_unsolicited_na: bool = Flag, false;
    /// Ignore neighbour discovery that comes in fragments (RFC 6980).
    "net.ipv6.conf.all.suppress_frag_ndisc" suppress_frag_ndisc: bool = Flag, true;
    /// Announce an address of IPv6 when an interface gets it.
    "net.ipv6.conf.all.ndisc_notify" ndisc_notify: bool = Flag, false;
    /// Pass on what is for others: the host is a router. While it is on, redirects are not heeded, and what routers tell
    /// only where `accept_ra` is 2.
    "net.ipv6.conf.all.forwarding" ipv6_forwarding: bool = Flag, false;
    /// By what flows of others are shared among several ways: 0 addresses and flow label, 1 addresses and ports.
    "net.ipv6.fib_multipath_hash_policy" ipv6_fib_multipath_hash_policy: u8 = Number(0..=1), 0;
    /// How long a neighbour of IPv6 counts as reachable, on average.
    "net.ipv6.neigh.default.base_reachable_time_ms" ipv6_neigh_base_reachable_time: Duration =
        Millis(1..=i32::MAX as u64), Duration::from_secs(30);
    /// How long a stale neighbour's first probe waits for a hint from above.
    "net.ipv6.neigh.default.delay_first_probe_time" ipv6_neigh_delay_first_probe_time: Duration =
        Seconds(0..=2_147_483), Duration::from_secs(5);
    /// Neighbours of IPv6 that are remembered.
    "net.ipv6.neigh.default.gc_thresh3" ipv6_neigh_gc_thresh3: u32 = Number(1..=65_536), 1024;
    /// Solicitations to all whether a neighbour is there that does not answer those to itself, before it counts as unreachable.
    "net.ipv6.neigh.default.mcast_resolicit" ipv6_neigh_mcast_resolicit: u8 = Number(0..=255), 0;
    /// Solicitations to all before a neighbour counts as unreachable.
    "net.ipv6.neigh.default.mcast_solicit" ipv6_neigh_mcast_solicit: u8 = Number(1..=255), 3;
    /// The time between two solicitations.
    "net.ipv6.neigh.default.retrans_time_ms" ipv6_neigh_retrans_time: Duration =
        Millis(1..=i32::MAX as u64), Duration::from_secs(1);
    /// Solicitations to a neighbour itself before it counts as unreachable.
    "net.ipv6.neigh.default.ucast_solicit" ipv6_neigh_ucast_solicit: u8 = Number(0..=255), 3;
    /// What waits for one neighbour's address, in bytes with what each packet is charged besides.
    "net.ipv6.neigh.default.unres_qlen_bytes" ipv6_neigh_unres_qlen_bytes: u32 =
        Number(0..=i32::MAX as u32), 212_992;
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
    /// Leave echo requests of IPv6 unanswered.
    "net.ipv6.icmp.echo_ignore_all" ipv6_icmp_echo_ignore_all: bool = Flag, false;
    /// Leave echo requests of IPv6 to groups unanswered.
    "net.ipv6.icmp.echo_ignore_multicast" ipv6_icmp_echo_ignore_multicast: bool = Flag, false;
    /// The ICMPv6 types that the limits hold for, in ranges.
    "net.ipv6.icmp.ratemask" ipv6_icmp_ratemask: IcmpTypes = Types, IcmpTypes::ERRORS_BUT_TOO_BIG;
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

    /// The names of all settings, in the order of [`Config`]'s fields.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SETTINGS.iter().map(|setting| setting.name)
    }
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
mod tests;
