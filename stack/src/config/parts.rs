//! What the parts of the stack are told of the settings.

use core::time::Duration;

use crate::iface::slaac::AutoconfConfig;
use crate::iface::{NeighborConfig, NeighborPolicy};
use crate::ip::fragments::FragmentLimits;
use crate::ip::path_mtu::PathMtuConfig;
use crate::tcp::config::{EcnUse, KeepAlive, LossOptions, Options, Rare, SlowStartExit};
use crate::tcp::memory::Limits;
use crate::tcp::mtu_search::{MtuOptions, Probing};
use crate::wire::ipv6_ext::{ExtLimits, OptionLimits};

use super::{BufferSizes, Config};

impl Config {
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
            autocork: self.tcp_autocorking,
            pacing_percent: [self.tcp_pacing_ss_ratio, self.tcp_pacing_ca_ratio],
            mtu: self.mtu_options(),
            window_room: self.window_room(),
            ..Rare::NONE
        }
    }

    /// As Linux: a program may yet ask for as large a buffer as the host allows.
    fn window_room(&self) -> u32 {
        let by_itself = if self.tcp_moderate_rcvbuf { self.tcp_rmem.largest } else { self.tcp_rmem.initial };
        let room = self.rmem_max.max(self.tcp_rmem.largest);
        if room > by_itself { room } else { 0 }
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

    /// The settings of the neighbour cache, for IPv4 and for IPv6.
    pub fn neighbor_configs(&self) -> [NeighborConfig; 2] {
        let v4 = NeighborConfig {
            base_reachable: self.neigh_base_reachable_time,
            retrans_timer: self.neigh_retrans_time,
            delay_first_probe: self.neigh_delay_first_probe_time,
            max_multicast_solicit: self.neigh_mcast_solicit,
            max_unicast_solicit: self.neigh_ucast_solicit,
            max_multicast_reprobe: self.neigh_mcast_resolicit,
            queue_bytes: self.neigh_unres_qlen_bytes as usize,
            max_entries: self.neigh_gc_thresh3 as usize,
        };
        let v6 = NeighborConfig {
            base_reachable: self.ipv6_neigh_base_reachable_time,
            retrans_timer: self.ipv6_neigh_retrans_time,
            delay_first_probe: self.ipv6_neigh_delay_first_probe_time,
            max_multicast_solicit: self.ipv6_neigh_mcast_solicit,
            max_unicast_solicit: self.ipv6_neigh_ucast_solicit,
            max_multicast_reprobe: self.ipv6_neigh_mcast_resolicit,
            queue_bytes: self.ipv6_neigh_unres_qlen_bytes as usize,
            max_entries: self.ipv6_neigh_gc_thresh3 as usize,
        };
        [v4, v6]
    }

    /// How an interface with these settings deals with its neighbours.
    pub fn neighbor_policy(&self) -> NeighborPolicy {
        self.neighbor_policy_at("")
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
            retrans: self.ipv6_neigh_retrans_time,
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
}
