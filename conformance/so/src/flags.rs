//! `--so_flags`: how the host is set up, as shell commands.

use std::path::Path;

use tapsock_conformance::ast::{IpVersion, Position};
use tapsock_conformance::run::{Rules, StackTarget};
use tapsock_conformance::shell::Shell;
use tapsock_stack::config::Config;

/// The interface's MTU, unless the flags set another.
const MTU: usize = 1500;

/// A host as the commands in `flags` set it up. Without any it has the addresses that scripts use unless they say
/// otherwise, of both families.
///
/// # Errors
///
/// What is wrong with the commands.
pub(crate) fn host(flags: &str) -> Result<StackTarget, String> {
    let mut target = StackTarget::bare(MTU, Config::default())?;
    let commands = if flags.trim().is_empty() { usual() } else { flags.to_owned() };
    let mut shell = Shell::new(Path::new("."));
    for command in commands.split([';', '\n']) {
        let at = Position { line: 1, column: 1 };
        let outcome = shell.run("--so_flags", at, &with_device(command), &mut target);
        let outcome = outcome.map_err(|error| error.to_string())?;
        if outcome.status != 0 {
            return Err(format!("--so_flags: it can't be done: {}", command.trim()));
        }
    }
    Ok(target)
}

/// The addresses that scripts use unless they say otherwise, and the way to everywhere.
fn usual() -> String {
    let of = |version| {
        let Rules { local, prefix, .. } = Rules::of(version);
        format!("ip addr add {local}/{prefix}")
    };
    let (v4, v6) = (of(IpVersion::V4), of(IpVersion::V6));
    format!("{v4}; {v6}; ip route add default dev tun0; ip -6 route add default dev tun0")
}

/// A command, with the interface where it is left out: there is one only.
fn with_device(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let wants = words.first() == Some(&"ip")
        && words.iter().any(|word| word.len() > 1 && "address".starts_with(word))
        && !words.contains(&"dev");
    if wants { format!("{command} dev tun0") } else { command.to_owned() }
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;
    use core::time::Duration;

    use super::*;

    fn binds(target: &mut StackTarget, address: &str) -> bool {
        use tapsock_conformance::run::{Call, Target};

        let ip: IpAddr = address.parse().unwrap();
        let family: u16 = if ip.is_ipv4() { 2 } else { 10 };
        let address = match ip {
            IpAddr::V4(ip) => [&family.to_ne_bytes()[..], &[0, 0], &ip.octets(), &[0; 8]].concat(),
            IpAddr::V6(ip) => [&family.to_ne_bytes()[..], &[0; 6], &ip.octets(), &[0; 4]].concat(),
        };
        let mut value = |call: Call| target.call(call, Duration::ZERO).unwrap().value;
        let socket = value(Call::Socket { domain: family.into(), kind: 1, protocol: 0 });
        value(Call::Bind { fd: socket as i32, address }) == 0
    }

    #[test]
    fn commands_set_the_host_up() {
        let flags =
            "ip addr add 10.1.0.1/24; ip address add fd00::7/64 dev tun0; ip route add default via 10.1.0.2;
            ip link set dev tun0 mtu 1400; sysctl -q net.ipv4.tcp_sack=0";
        let mut target = host(flags).unwrap();
        assert!(binds(&mut target, "10.1.0.1") && binds(&mut target, "fd00::7"));
        assert!(!binds(&mut target, "192.168.0.1"));
        assert_eq!(target.sockets().stack().config().show("net.ipv4.tcp_sack").as_deref(), Some("0"));
    }

    #[test]
    fn without_flags_the_usual_addresses_are_there() {
        let mut target = host(" ").unwrap();
        assert!(binds(&mut target, "192.168.0.1") && binds(&mut target, "fd3d:a0b:17d6::1"));
    }

    #[test]
    fn flags_that_make_no_sense_are_told() {
        for (flags, part) in [
            ("teleport", "teleport"),
            ("ip addr add 10.1.0.1/64", "10.1.0.1/64"),
            (
                "ip addr add 224.0.0.1/24; sysctl net.ipv4.tcp_sack=1",
                "can't be done: ip addr add 224.0.0.1/24",
            ),
        ] {
            let error = host(flags).map(drop).unwrap_err();
            assert!(error.contains(part), "{flags}: {error}");
        }
    }
}
