//! Settings of single interfaces, beside those for all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{Config, Setting, SettingError, setting};
use crate::iface::NeighborPolicy;
use crate::iface::multicast::GroupPolicy;

impl Config {
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

    /// How the interface of that name deals with its neighbours. It is asked for each packet of ARP and of neighbour
    /// discovery, so the settings of an interface are read one by one.
    pub fn neighbor_policy_at(&self, name: &str) -> NeighborPolicy {
        let own = |setting: &str, value: u8| self.of_interfaces.number(name, setting).unwrap_or(value);
        let flag = |setting: &str, value: bool| own(setting, value.into()) != 0;
        let arp_ignore = own("net.ipv4.conf.all.arp_ignore", self.arp_ignore);
        NeighborPolicy {
            arp_accept: own("net.ipv4.conf.all.arp_accept", self.arp_accept),
            arp_announce: own("net.ipv4.conf.all.arp_announce", self.arp_announce),
            arp_ignore: if self.strong_host { arp_ignore.max(1) } else { arp_ignore },
            arp_filter: flag("net.ipv4.conf.all.arp_filter", self.arp_filter),
            drop_gratuitous_arp: flag("net.ipv4.conf.all.drop_gratuitous_arp", self.drop_gratuitous_arp),
            accept_untracked_na: own("net.ipv6.conf.all.accept_untracked_na", self.accept_untracked_na),
            drop_unsolicited_na: flag("net.ipv6.conf.all.drop_unsolicited_na", self.drop_unsolicited_na),
            router: flag("net.ipv6.conf.all.forwarding", self.ipv6_forwarding),
        }
    }

    /// Whether the interface of that name ignores neighbour discovery in fragments. It is asked for each such packet.
    pub fn suppresses_fragmented_discovery(&self, name: &str) -> bool {
        let own = self.of_interfaces.number(name, "net.ipv6.conf.all.suppress_frag_ndisc");
        own.map_or(self.suppress_frag_ndisc, |own| own != 0)
    }

    /// How the interface of that name tells routers of groups of a family.
    pub fn group_policy_at(&self, name: &str, v4: bool) -> GroupPolicy {
        let own = self.for_interface(name);
        // By IGMP's numbers: MLDv1 is IGMPv2. As on Linux, where IGMP is set to 3 older routers are heard all the same, for
        // only of MLD it is said that they need not be (RFC 9777 §11).
        let [oldest, newest] = match (v4, own.force_igmp_version, own.force_mld_version) {
            (true, version @ 1..=2, _) => [1, version],
            (false, _, version @ 1..=2) => [version + 1; 2],
            _ => [1, 3],
        };
        let (robustness, unsolicited) = match v4 {
            true => (
                own.igmp_qrv,
                [own.igmpv2_unsolicited_report_interval, own.igmpv3_unsolicited_report_interval],
            ),
            false => {
                (own.mld_qrv, [own.mldv1_unsolicited_report_interval, own.mldv2_unsolicited_report_interval])
            }
        };
        GroupPolicy { robustness, unsolicited, newest, oldest }
    }

    /// Whether the interface of that name follows redirects of the family of `address`: routers do not.
    //= RFC 1812 §5.2.7.2
    //= RFC 4861 §8.2 MUST-4
    pub fn follows_redirects(&self, name: &str, address: core::net::IpAddr) -> bool {
        let flag = |setting: &str, value: bool| {
            self.of_interfaces.number(name, setting).map_or(value, |value| value != 0)
        };
        match address.is_ipv4() {
            true => {
                flag("net.ipv4.conf.all.accept_redirects", self.accept_redirects)
                    && !flag("net.ipv4.conf.all.forwarding", self.ip_forward)
            }
            false => {
                flag("net.ipv6.conf.all.accept_redirects", self.ipv6_accept_redirects)
                    && !flag("net.ipv6.conf.all.forwarding", self.ipv6_forwarding)
            }
        }
    }

    pub(super) fn set_of_interface(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let (interface, setting) = of_interface(name).ok_or(SettingError::UnknownName)?;
        (setting.set)(&mut self.clone(), value.trim()).ok_or(SettingError::BadValue)?;
        self.of_interfaces.insert(interface, setting.name, value.trim())
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
pub(super) fn of_interface(name: &str) -> Option<(&str, &'static Setting)> {
    ["net.ipv4.conf.", "net.ipv6.conf."].into_iter().find_map(|prefix| {
        let (interface, rest) = name.strip_prefix(prefix)?.rsplit_once('.')?;
        let all = format!("{prefix}all.{rest}");
        Some((interface, setting(&all)?)).filter(|(interface, _)| !interface.is_empty())
    })
}
