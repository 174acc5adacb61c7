//! getaddrinfo(3) with name servers behind the hosts file.

use super::*;
use crate::resolve::dns::{AddressType, Found};
use tapsock_sockets::constants::{AF_INET, AF_INET6};

/// A server that knows `both.example` in both families, and `four.example` in one.
fn server(name: &str, kinds: &[AddressType]) -> Result<Found, EaiError> {
    let mut addresses = Vec::new();
    if kinds.contains(&AddressType::A) && name != "none.example" {
        addresses.push("192.0.2.77".parse().unwrap());
    }
    if kinds.contains(&AddressType::Aaaa) && name == "both.example" {
        addresses.push("2001:db8::77".parse().unwrap());
    }
    match addresses.is_empty() {
        true if name == "none.example" => Err(EaiError::Again),
        true => Err(EaiError::NoData),
        false => Ok(Found { canonical: format!("real.{name}"), addresses }),
    }
}

fn found(node: &str, family: i32, flags: i32) -> Result<Vec<String>, EaiError> {
    let net = LocalNet { interfaces: &[], source: None, dns: Some(&server) };
    let hints = Hints { flags, family, socket_type: 1, ..Hints::default() };
    let found = getaddrinfo(&names(), &net, Some(node), None, Some(&hints))?;
    let name = found[0].canonical_name.clone();
    Ok(name.into_iter().chain(found.iter().map(|info| info.address.ip().to_string())).collect())
}

#[test]
fn the_file_comes_first_and_servers_then() {
    assert_eq!(found("dos", AF_INET, 0).unwrap(), ["192.0.2.2"], "the file has it");
    assert_eq!(
        found("both.example", 0, AI_CANONNAME).unwrap(),
        ["real.both.example", "192.0.2.77", "2001:db8::77"]
    );
    assert_eq!(found("both.example", AF_INET6, 0).unwrap(), ["2001:db8::77"]);
    // The file has it in the other family only.
    assert_eq!(found("dos", AF_INET6, 0), Err(EaiError::NoData));
    assert_eq!(found("none.example", 0, 0), Err(EaiError::Again));
    assert_eq!(found("both.example", 0, AI_NUMERICHOST), Err(EaiError::NoName));
}

#[test]
fn addresses_of_ipv4_are_mapped_where_that_is_asked_for() {
    assert_eq!(found("four.example", AF_INET6, 0), Err(EaiError::NoData));
    assert_eq!(found("four.example", AF_INET6, AI_V4MAPPED).unwrap(), ["::ffff:192.0.2.77"]);
    assert_eq!(found("both.example", AF_INET6, AI_V4MAPPED).unwrap(), ["2001:db8::77"]);
    let all = found("both.example", AF_INET6, AI_V4MAPPED | AI_ALL).unwrap();
    assert_eq!(all, ["2001:db8::77", "::ffff:192.0.2.77"]);
}

#[test]
fn localhost_is_asked_of_nobody() {
    for name in ["localhost.", "a.localhost", "A.LOCALHOST."] {
        assert_eq!(found(name, 0, 0).unwrap(), ["::1", "127.0.0.1"], "{name}");
        assert_eq!(found(name, AF_INET, 0).unwrap(), ["127.0.0.1"], "{name}");
    }
    assert_eq!(found("notlocalhost", 0, 0).unwrap(), ["192.0.2.77"]);
}
