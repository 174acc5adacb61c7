//! Ports by number and by name.

use tapsock_sockets::Services;

use super::usage;
use crate::failure::Failure;

/// TCP or UDP.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// As /etc/services has it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// A port by its number, or by a service's name.
pub fn port(text: &str, protocol: Protocol) -> Result<u16, Failure> {
    if let Ok(port) = text.parse() {
        return Ok(port);
    }
    let protocol = protocol.name();
    let services = services();
    let service = services.by_name(text, Some(protocol));
    service.map(|service| service.port()).ok_or_else(|| {
        Failure::new(format!("{text:?} is neither a port nor a service that is known for {protocol}"))
    })
}

/// One port, or where `scans`, perhaps several.
pub fn port_range(text: &str, protocol: Protocol, scans: bool) -> Result<(u16, u16), Failure> {
    if let Some((first, last)) = text.split_once('-')
        && let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>())
    {
        return match scans && first <= last {
            true => Ok((first, last)),
            false => Err(usage(&format!("{text} is a range of ports"), "A range goes up, and with -z only.")),
        };
    }
    port(text, protocol).map(|port| (port, port))
}

/// The name of the service at a port; `*` where there is none.
pub fn service(port: u16, protocol: Protocol) -> String {
    services()
        .by_port(port, Some(protocol.name()))
        .map_or_else(|| "*".to_owned(), |service| service.name().to_owned())
}

fn services() -> Services {
    std::fs::read_to_string("/etc/services")
        .map_or_else(|_| Services::builtin(), |text| Services::parse(&text))
}
