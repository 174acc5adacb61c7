//! Names of hosts, services, protocols and interfaces, and their numbers: getaddrinfo(3) and its kin, over the texts
//! of `/etc/hosts`, `/etc/services` and `/etc/protocols`. Pure but for [`Names::system`], which reads those files.
//!
//! Answers, errors and order are those of glibc with `hosts: files dns` in nsswitch.conf(5) and `multi on` in
//! host.conf(5). Known differences: with nobody to ask, a name that is not in the file is unknown (`EAI_NONAME`);
//! `localhost` and what ends in it is this host, and is asked of nobody (RFC 6761 §6.3); further ones in [`dns`]; a line of `/etc/hosts` without a name is passed over, where glibc gives it the empty name; `AI_IDN` and its
//! kin are taken and change nothing; the sorting rules for home addresses and tunnels have nothing to act on.

pub mod dns;

mod addrinfo;
pub(crate) mod asking;
mod error;
mod hosts;
mod interfaces;
mod nameinfo;
mod node;
mod numeric;
mod order;
mod protocols;

use std::fs::File;
use std::io::Read;

pub use tapsock_sockets::{Service, Services};

pub use addrinfo::{
    AI_ADDRCONFIG, AI_ALL, AI_CANONIDN, AI_CANONNAME, AI_IDN, AI_NUMERICHOST, AI_NUMERICSERV, AI_PASSIVE,
    AI_V4MAPPED, AddrInfo, Hints, getaddrinfo,
};
pub use error::EaiError;
pub use hosts::{Family, HOSTS_MAX, HostsFile};
pub use interfaces::{AskDns, Interface, LocalNet, if_indextoname, if_nametoindex};
pub use nameinfo::{
    NI_DGRAM, NI_IDN, NI_MAXHOST, NI_MAXSERV, NI_NAMEREQD, NI_NOFQDN, NI_NUMERICHOST, NI_NUMERICSERV,
    NameInfo, Room, getnameinfo,
};
pub use numeric::inet_aton;
pub use order::{Source, sort_destinations};
pub use protocols::{PROTOCOLS_MAX, Protocol, Protocols};

/// The most bytes that are read of one file.
const FILE_MAX: u64 = 16 * 1024 * 1024;

/// What names stand for: the tables that the calls of this module look into.
///
/// ```
/// use tapsock::resolve::Names;
///
/// let names = Names::builtin();
/// assert_eq!(names.services.by_name("http", Some("tcp")).unwrap().port(), 80);
/// assert_eq!(names.protocols.by_name("udp").unwrap().number(), 17);
/// ```
#[derive(Clone, Debug)]
pub struct Names {
    /// hosts(5).
    pub hosts: HostsFile,
    /// services(5): getservbyname(3) is [`Services::by_name`], getservbyport(3) [`Services::by_port`].
    pub services: Services,
    /// protocols(5): getprotobyname(3) is [`Protocols::by_name`], getprotobynumber(3) [`Protocols::by_number`].
    pub protocols: Protocols,
    /// This host's own name, as hostname(5) has it.
    pub host_name: String,
}

impl Names {
    /// What is known without any file: `localhost`, common services and protocols.
    pub fn builtin() -> Names {
        Names {
            hosts: HostsFile::builtin(),
            services: Services::builtin(),
            protocols: Protocols::builtin(),
            host_name: "localhost".to_owned(),
        }
    }

    /// The tables of the system: `/etc/hosts`, `/etc/services`, `/etc/protocols` and `/etc/hostname` as they are now;
    /// the built-in table stands in for a file that cannot be read. Bytes that are not UTF-8 match nothing.
    pub fn system() -> Names {
        let builtin = Names::builtin();
        Names {
            hosts: read("/etc/hosts").map_or(builtin.hosts, |text| HostsFile::parse(&text)),
            services: read("/etc/services").map_or(builtin.services, |text| Services::parse(&text)),
            protocols: read("/etc/protocols").map_or(builtin.protocols, |text| Protocols::parse(&text)),
            host_name: read("/etc/hostname").map_or(builtin.host_name, |text| text.trim().to_owned()),
        }
    }
}

fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FILE_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
