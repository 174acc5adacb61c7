//! The text that `tapsock_init` takes.

use core::fmt::Display;
use core::net::IpAddr;
use core::str::FromStr;
use core::time::Duration;
use std::os::fd::{FromRawFd, OwnedFd};

use tapsock::{Builder, Host, IpCidr};
use tapsock_driver::auto::{FarEnd, LinkKind, Opened};
use tapsock_driver::packet::PacketLink;
use tapsock_driver::tap::Tap;
use tapsock_driver::unix::{Framing, UnixLink};
use tapsock_driver::{KernelEnd, Link, Namespace};

/// The device at the kernel's end of a link that is made here.
const KERNEL_DEVICE: &str = "tap0";
/// Where name servers listen.
const DNS_PORT: u16 = 53;
/// Largest packet of a link that comes as a descriptor, unless said.
const MTU: usize = 1500;

/// What the text says, in its order.
#[derive(Debug, Default)]
pub(crate) struct Config {
    link: Wanted,
    addresses: Vec<IpCidr>,
    kernel: Vec<IpCidr>,
    routes: Vec<(Option<IpCidr>, IpAddr)>,
    name_servers: Vec<IpAddr>,
    settings: Vec<(String, String)>,
    mtu: Option<usize>,
    seed: Option<u64>,
    shutdown_timeout: Option<Duration>,
    privileged: bool,
}

/// Which link.
#[derive(Debug, Default, Eq, PartialEq)]
enum Wanted {
    /// None: the host talks to itself.
    #[default]
    None,
    /// The best that this process may use.
    Auto,
    /// One of a kind, with the kernel at its other end.
    Kind(LinkKind),
    /// A TAP device by its name.
    Tap(String),
    /// An interface by its name, through a packet socket.
    Packet(String),
    /// A TAP device that is open.
    TapFd(i32),
    /// A local socket that carries frames.
    UnixFd(i32),
}

impl Config {
    /// Reads words of the form `name=value` between white space; `route=… via …` takes three. Errors: what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Config, String> {
        let mut config = Config::default();
        let mut words = text.split_ascii_whitespace();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("{word}: not name=value"))?;
            match name {
                "link" => config.link = Wanted::parse(value)?,
                "address" => config.addresses.push(read(name, value)?),
                "kernel" => config.kernel.push(read(name, value)?),
                "route" => {
                    let gateway = match (words.next(), words.next()) {
                        (Some("via"), Some(gateway)) => read("via", gateway)?,
                        _ => return Err(format!("route={value}: no \"via ADDRESS\" behind it")),
                    };
                    let destination = if value == "default" { None } else { Some(read(name, value)?) };
                    config.routes.push((destination, gateway));
                }
                "dns" => config.name_servers.push(read(name, value)?),
                "mtu" => config.mtu = Some(read(name, value)?),
                "seed" => config.seed = Some(read(name, value)?),
                "shutdown_timeout" => {
                    config.shutdown_timeout = Some(Duration::from_millis(read(name, value)?));
                }
                "privileged" => match value {
                    "0" | "1" => config.privileged = value == "1",
                    _ => return Err(format!("privileged={value}: neither 0 nor 1")),
                },
                _ if name.contains('.') => config.settings.push((name.to_owned(), value.to_owned())),
                _ => return Err(format!("{name}: no such name")),
            }
        }
        Ok(config)
    }

    /// A host yet to be started, and the network at the other end of its link, where that was made here. Errors: what is
    /// wrong, and its errno where it has one.
    pub(crate) fn builder(self) -> Result<(Builder, Option<Namespace>), (String, Option<i32>)> {
        let mut builder = Host::builder();
        let mut namespace = None;
        let mut kernel_end = KernelEnd::new(KERNEL_DEVICE);
        for address in &self.kernel {
            kernel_end = kernel_end.address(*address);
        }
        if let Some(mtu) = self.mtu {
            kernel_end = kernel_end.mtu(mtu);
        }
        let link: Option<Box<dyn Link>> = match &self.link {
            Wanted::None => None,
            Wanted::Auto | Wanted::Kind(_) => {
                let opened = self.open(&kernel_end)?;
                namespace = match opened.far_end {
                    FarEnd::Kernel(namespace) => Some(namespace),
                    FarEnd::Link(_) => {
                        return Err(("no link to the kernel may be made here".to_owned(), None));
                    }
                };
                Some(opened.link)
            }
            Wanted::Tap(name) => Some(Box::new(Tap::open(name).map_err(told)?)),
            Wanted::Packet(name) => Some(Box::new(PacketLink::open(name).map_err(told)?)),
            Wanted::TapFd(fd) => {
                Some(Box::new(Tap::from_fd(own(*fd)?, self.mtu.unwrap_or(MTU)).map_err(failed)?))
            }
            Wanted::UnixFd(fd) => {
                let mtu = self.mtu.unwrap_or(MTU);
                Some(Box::new(UnixLink::from_fd(own(*fd)?, Framing::Frame, mtu).map_err(failed)?))
            }
        };
        if let Some(link) = link {
            builder = builder.link(link);
        }
        Ok((self.rest(builder), namespace))
    }

    fn open(&self, kernel_end: &KernelEnd) -> Result<Opened, (String, Option<i32>)> {
        match self.link {
            Wanted::Kind(kind) => Opened::of_kind(kind, kernel_end).map_err(told),
            _ => Opened::best(kernel_end).map_err(|refused| {
                let reasons: Vec<String> = refused.iter().map(ToString::to_string).collect();
                (reasons.join("; "), refused.first().map(|first| first.errno))
            }),
        }
    }

    /// All but the link.
    fn rest(self, mut builder: Builder) -> Builder {
        for address in self.addresses {
            builder = builder.address(address);
        }
        for (destination, gateway) in self.routes {
            builder = match destination {
                Some(destination) => builder.route(destination, gateway),
                None => builder.gateway(gateway),
            };
        }
        for server in self.name_servers {
            builder = builder.name_server((server, DNS_PORT).into());
        }
        for (name, value) in &self.settings {
            builder = builder.setting(name, value);
        }
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        if let Some(timeout) = self.shutdown_timeout {
            builder = builder.shutdown_timeout(timeout);
        }
        if self.privileged { builder.privileged() } else { builder }
    }
}

impl Wanted {
    fn parse(value: &str) -> Result<Wanted, String> {
        if let Some((kind, which)) = value.split_once(':') {
            return match kind {
                "tap" => Ok(Wanted::Tap(which.to_owned())),
                "packet" => Ok(Wanted::Packet(which.to_owned())),
                "tap-fd" => Ok(Wanted::TapFd(read("link", which)?)),
                "unix-fd" => Ok(Wanted::UnixFd(read("link", which)?)),
                _ => Err(format!("link={value}: neither tap:, packet:, tap-fd: nor unix-fd:")),
            };
        }
        match value {
            "none" => Ok(Wanted::None),
            "auto" => Ok(Wanted::Auto),
            "tap" => Ok(Wanted::Kind(LinkKind::Tap)),
            "veth" => Ok(Wanted::Kind(LinkKind::Veth)),
            _ => Err(format!("link={value}: no such link")),
        }
    }
}

fn read<T: FromStr<Err: Display>>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{name}={value}: {error}"))
}

/// The descriptor is the host's from now on. Errors: EBADF.
fn own(fd: i32) -> Result<OwnedFd, (String, Option<i32>)> {
    // SAFETY: it is only asked for its flags.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err((format!("{fd} is no descriptor"), Some(libc::EBADF)));
    }
    // SAFETY: it is open, and the program has handed it over.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn told(error: tapsock_driver::OpenError) -> (String, Option<i32>) {
    (error.to_string(), Some(error.errno()))
}

fn failed(error: std::io::Error) -> (String, Option<i32>) {
    (error.to_string(), error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_word_by_word() {
        let config = Config::parse(
            " link=auto address=10.0.0.2/24\n address=fd00::2/64 kernel=10.0.0.1/24 route=default via 10.0.0.1 \
             route=192.0.2.0/24 via 10.0.0.7 dns=10.0.0.53 dns=fd00::53 net.ipv4.tcp_sack=0 mtu=9000 seed=7 shutdown_timeout=100 \
             privileged=1",
        )
        .unwrap();
        assert_eq!(config.link, Wanted::Auto);
        assert_eq!((config.addresses.len(), config.kernel.len()), (2, 1));
        let gateway: IpAddr = "10.0.0.1".parse().unwrap();
        assert_eq!(config.routes[0], (None, gateway));
        assert_eq!(config.routes[1].0, Some("192.0.2.0/24".parse().unwrap()));
        assert_eq!(config.settings, [("net.ipv4.tcp_sack".to_owned(), "0".to_owned())]);
        assert_eq!((config.mtu, config.seed, config.privileged), (Some(9000), Some(7), true));
        assert_eq!(config.shutdown_timeout, Some(Duration::from_millis(100)));
        assert_eq!(Config::parse("").unwrap().link, Wanted::None);
    }

    #[test]
    fn links_have_names_and_descriptors() {
        for (text, link) in [
            ("none", Wanted::None),
            ("tap", Wanted::Kind(LinkKind::Tap)),
            ("veth", Wanted::Kind(LinkKind::Veth)),
            ("tap:tap7", Wanted::Tap("tap7".to_owned())),
            ("packet:veth0", Wanted::Packet("veth0".to_owned())),
            ("tap-fd:5", Wanted::TapFd(5)),
            ("unix-fd:6", Wanted::UnixFd(6)),
        ] {
            assert_eq!(Wanted::parse(text).unwrap(), link);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("address", "address: not name=value"),
            ("colour=red", "colour: no such name"),
            ("address=10.0.0/24", "address=10.0.0/24: "),
            ("route=default 10.0.0.1", "no \"via ADDRESS\""),
            ("route=default via", "no \"via ADDRESS\""),
            ("link=carrier-pigeon", "no such link"),
            ("link=pigeon:7", "neither tap:"),
            ("link=tap-fd:x", "link=x: "),
            ("privileged=2", "neither 0 nor 1"),
            ("mtu=-1", "mtu=-1: "),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
