//! The addresses of a name: by the hosts file, and then by name servers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tapsock_sockets::constants::{AF_INET, AF_UNSPEC};

use super::Names;
use super::addrinfo::{AI_ALL, AI_V4MAPPED, Hints};
use super::dns::{AddressType, Found};
use super::error::EaiError;
use super::hosts::Family;
use super::interfaces::{AskDns, LocalNet};
use super::numeric::unmapped;

/// The canonical name and the addresses of a name, of the family that the hints ask for.
///
/// Errors: `EAI_NONAME`, and what name servers say.
pub(super) fn look_up(
    names: &Names,
    net: &LocalNet<'_>,
    node: &str,
    hints: &Hints,
) -> Result<Found, EaiError> {
    if let Some((canonical, addresses)) = in_file(names, node, hints) {
        return Ok(Found { canonical: canonical.to_owned(), addresses });
    }
    let Some(dns) = net.dns else { return Err(EaiError::NoName) };
    if is_this_host(node) {
        let loopback = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];
        let found = Found { canonical: node.to_owned(), addresses: loopback.to_vec() };
        return of_family(found, hints);
    }
    in_dns(dns, node, hints)
}

fn in_file<'a>(names: &'a Names, node: &str, hints: &Hints) -> Option<(&'a str, Vec<IpAddr>)> {
    match hints.family {
        AF_UNSPEC => return names.hosts.by_name(node, Family::Any),
        AF_INET => return names.hosts.by_name(node, Family::V4),
        _ => {}
    }
    let v6 = names.hosts.by_name(node, Family::V6);
    if hints.flags & AI_V4MAPPED == 0 || (v6.is_some() && hints.flags & AI_ALL == 0) {
        return v6;
    }
    let Some((canonical, v4)) = names.hosts.by_name(node, Family::V4) else { return v6 };
    let (canonical, mut addresses) = v6.unwrap_or((canonical, Vec::new()));
    addresses.extend(v4.into_iter().filter_map(unmapped).map(|v4| IpAddr::V6(v4.to_ipv6_mapped())));
    Some((canonical, addresses))
}

/// `localhost`, and every name in that domain.
//= RFC 6761 §6.3
fn is_this_host(node: &str) -> bool {
    let node = node.strip_suffix('.').unwrap_or(node);
    node.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}

fn in_dns(ask: &AskDns<'_>, node: &str, hints: &Hints) -> Result<Found, EaiError> {
    use AddressType::{A, Aaaa};
    let kinds: &[AddressType] = match hints.family {
        AF_UNSPEC => &[A, Aaaa],
        AF_INET => &[A],
        _ if hints.flags & AI_V4MAPPED != 0 => &[A, Aaaa],
        _ => &[Aaaa],
    };
    of_family(ask(node, kinds)?, hints)
}

/// What suits the hints of what was found in both families: for IPv6, IPv4-mapped addresses where they say so.
fn of_family(mut found: Found, hints: &Hints) -> Result<Found, EaiError> {
    match hints.family {
        AF_UNSPEC => {}
        AF_INET => found.addresses.retain(IpAddr::is_ipv4),
        _ => {
            let has_v6 = found.addresses.iter().any(IpAddr::is_ipv6);
            let mapped = hints.flags & AI_V4MAPPED != 0 && (!has_v6 || hints.flags & AI_ALL != 0);
            found.addresses.retain(|address| mapped || address.is_ipv6());
            for address in &mut found.addresses {
                if let IpAddr::V4(v4) = address {
                    *address = v4.to_ipv6_mapped().into();
                }
            }
            found.addresses.sort_by_key(|address| unmapped(*address).is_some());
        }
    }
    if found.addresses.is_empty() { Err(EaiError::NoData) } else { Ok(found) }
}
