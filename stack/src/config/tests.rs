use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;
use crate::iface::NeighborConfig;

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
                assert_eq!(config.set(name, nonsense), Err(SettingError::BadValue), "{name} {nonsense:?}");
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
        ("net.ipv4.neigh.default.unres_qlen_bytes", "212992"),
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
    for config in Config::default().neighbor_configs() {
        assert_eq!(format!("{config:?}"), defaults);
    }
    let config = Config { neigh_gc_thresh3: 7, ipv6_neigh_gc_thresh3: 9, ..Config::default() };
    assert_eq!(config.neighbor_configs().map(|config| config.max_entries), [7, 9]);
}

/// Each setting for neighbours has two names, of which each holds for its family alone.
#[test]
fn neighbours_of_each_family_have_their_own_settings() {
    let shared = |config: NeighborConfig| format!("{config:?}");
    let names: Vec<_> =
        Config::names().filter_map(|name| name.strip_prefix("net.ipv4.neigh.default.")).collect();
    assert_eq!(names.len(), 8);
    for name in names {
        for (family, other) in [("ipv4", 1), ("ipv6", 0)] {
            let mut config = Config::default();
            let before = config.neighbor_configs().map(shared);
            config.set(&format!("net.{family}.neigh.default.{name}"), "17").unwrap();
            let after = config.neighbor_configs().map(shared);
            assert_eq!(after[other], before[other], "{family} {name}");
            assert_ne!(after[1 - other], before[1 - other], "{family} {name}");
        }
    }
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

/// What is read one by one for each packet is what a look at all settings of the interface says.
#[test]
fn settings_that_are_read_for_each_packet_are_those_of_the_interface() {
    let names = [
        ("ipv4", "arp_accept"),
        ("ipv4", "arp_announce"),
        ("ipv4", "arp_ignore"),
        ("ipv4", "arp_filter"),
        ("ipv4", "drop_gratuitous_arp"),
        ("ipv4", "accept_redirects"),
        ("ipv4", "forwarding"),
        ("ipv6", "accept_untracked_na"),
        ("ipv6", "drop_unsolicited_na"),
        ("ipv6", "accept_redirects"),
        ("ipv6", "forwarding"),
    ];
    for (family, name) in names {
        for place in ["all", "eth0", "eth1"] {
            for value in ["0", "1"] {
                let mut config = Config::default();
                config.set(&format!("net.{family}.conf.{place}.{name}"), value).unwrap();
                let whole = config.for_interface("eth0").into_owned();
                let what = format!("{place}.{name} = {value}");
                assert_eq!(config.neighbor_policy_at("eth0"), whole.neighbor_policy(), "{what}");
                let follows = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
                    .map(|family: IpAddr| config.follows_redirects("eth0", family));
                let expected = [
                    whole.accept_redirects && !whole.ip_forward,
                    whole.ipv6_accept_redirects && !whole.ipv6_forwarding,
                ];
                assert_eq!(follows, expected, "{what}");
                if place == "eth0" && !name.contains("redirects") {
                    let changed = config.neighbor_policy_at("eth0") != config.neighbor_policy_at("eth1");
                    let counts = (family, name) != ("ipv4", "forwarding");
                    assert_eq!(changed, counts && value == "1", "{what}");
                }
            }
        }
    }
}

/// As Linux 6.18 reads and shows them.
#[test]
fn types_of_icmp_are_named_in_ranges() {
    let mut config = Config::default();
    let name = "net.ipv6.icmp.ratemask";
    assert_eq!(config.show(name).as_deref(), Some("0-1,3-127"));
    for (set, shown) in [("1", "1"), ("3,1,2", "1-3"), ("0-255", "0-255"), ("255,0", "0,255"), ("1,", "1")] {
        config.set(name, set).unwrap();
        assert_eq!(config.show(name).as_deref(), Some(shown));
    }
    for wrong in ["", ",", "256", "3-1", "a", "1,,", "-", "1-2-3"] {
        assert_eq!(config.set(name, wrong), Err(SettingError::BadValue), "{wrong}");
    }
}
