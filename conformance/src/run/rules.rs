//! What a run goes by: addresses, tolerances, and the other options of a script.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::path::PathBuf;

use crate::ast::{IpVersion, NonFatal, Setting};

/// The options of a run: the family's defaults, then those of the command line, then the script's own.
///
/// ```
/// use tapsock_conformance::ast::{IpVersion, Setting};
/// use tapsock_conformance::run::Rules;
///
/// let mut rules = Rules::of(IpVersion::V6);
/// assert_eq!((rules.mtu, rules.bind_port), (1520, 8080));
/// rules.apply(&Setting::Mtu(1500)).unwrap();
/// assert_eq!(rules.mtu, 1500);
/// ```
#[derive(Clone, Debug)]
pub struct Rules {
    /// The family of sockets and packets.
    pub version: IpVersion,
    /// The target's address.
    pub local: IpAddr,
    /// Length of the prefix of the target's own net.
    pub prefix: u8,
    /// The peer's address.
    pub remote: IpAddr,
    /// Length of the prefix of the net that is reached over the interface: the peer alone, unless a script says more.
    pub remote_prefix: u8,
    /// The router to it.
    pub gateway: IpAddr,
    /// The port that `bind(3, ..., ...)` binds.
    pub bind_port: u16,
    /// The port that `connect(3, ..., ...)` connects to.
    pub connect_port: u16,
    /// The largest IP packet of the interface, in bytes.
    pub mtu: u32,
    /// How far a packet or a return may be from its time.
    pub tolerance: Duration,
    /// The same, in hundredths of the time since the event before; the larger of the two counts.
    pub tolerance_percent: f64,
    /// The largest payload of a segment that the peer sends: a packet with more stands for several.
    pub peer_mss: Option<u16>,
    /// The tick of the target's time stamps, where they are to be compared.
    pub stamp_tick: Option<Duration>,
    /// Whether a segment of the script has to come as one packet.
    pub strict_segments: bool,
    /// Which errors don't end a run.
    pub non_fatal: NonFatal,
    /// Shell scripts that run first.
    pub init_scripts: Vec<PathBuf>,
    /// Whether the interface has no address: the script makes those of a net the target's, by a route of type local.
    pub any_ip: bool,
    /// Whether to parse, and run nothing.
    pub dry_run: bool,
}

impl Rules {
    /// The defaults of a family.
    pub fn of(version: IpVersion) -> Self {
        let v6 = version == IpVersion::V6;
        let address = |v4: [u8; 4], six: [u16; 8]| -> IpAddr { if v6 { six.into() } else { v4.into() } };
        Rules {
            version,
            local: address([192, 168, 0, 1], [0xfd3d, 0x0a0b, 0x17d6, 0, 0, 0, 0, 1]),
            prefix: if v6 { 64 } else { 16 },
            remote: address([192, 0, 2, 1], [0xfd3d, 0xfa7b, 0xd17d, 0, 0, 0, 0, 1]),
            remote_prefix: if v6 { 128 } else { 32 },
            gateway: address([192, 168, 0, 1], [0xfd3d, 0x0a0b, 0x17d6, 0x8888, 0, 0, 0, 1]),
            bind_port: 8080,
            connect_port: 8080,
            // IPv6's header is longer by 20 bytes: segments are of one size in both.
            mtu: if v6 { 1520 } else { 1500 },
            tolerance: Duration::from_millis(4),
            tolerance_percent: 12.5,
            stamp_tick: None,
            strict_segments: false,
            non_fatal: NonFatal::default(),
            init_scripts: Vec::new(),
            peer_mss: None,
            any_ip: false,
            dry_run: false,
        }
    }

    /// Applies an option.
    ///
    /// # Errors
    ///
    /// Why it can't be had.
    pub fn apply(&mut self, setting: &Setting) -> Result<(), String> {
        match setting {
            Setting::IpVersion(version) if *version == self.version => {}
            Setting::IpVersion(version) => *self = Rules::of(*version),
            Setting::BindPort(port) => self.bind_port = *port,
            Setting::ConnectPort(port) => self.connect_port = *port,
            // A script for several families gives the addresses of one.
            Setting::LocalIp(ip) if self.is_of_family(*ip) => self.local = *ip,
            Setting::RemoteIp { address, prefix } if self.is_of_family(*address) => {
                self.remote = *address;
                self.remote_prefix = prefix.unwrap_or(if address.is_ipv6() { 128 } else { 32 });
            }
            Setting::GatewayIp(ip) if self.is_of_family(*ip) => self.gateway = *ip,
            Setting::LocalIp(_) | Setting::RemoteIp { .. } | Setting::GatewayIp(_) => {}
            Setting::NetmaskIp(IpAddr::V4(mask)) => self.prefix = mask.to_bits().leading_ones() as u8,
            Setting::NetmaskIp(IpAddr::V6(mask)) => self.prefix = mask.to_bits().leading_ones() as u8,
            Setting::InitScripts(paths) => self.init_scripts.clone_from(paths),
            Setting::Mtu(mtu) => self.mtu = *mtu,
            Setting::Mss(mss) => self.peer_mss = (*mss > 0).then_some(*mss),
            Setting::Tolerance(tolerance) => self.tolerance = *tolerance,
            Setting::TolerancePercent(percent) => self.tolerance_percent = *percent,
            Setting::TcpTsTick(tick) => self.stamp_tick = (!tick.is_zero()).then_some(*tick),
            Setting::StrictSegments => self.strict_segments = true,
            Setting::NonFatal(non_fatal) => self.non_fatal = *non_fatal,
            Setting::AnyIp => self.any_ip = true,
            Setting::DryRun => self.dry_run = true,
            Setting::Wire { option, .. } => {
                return Err(format!("--{option}: runs over two machines are not supported"));
            }
            Setting::SoFilename(_) | Setting::SoFlags(_) => {
                return Err("--so_filename: the stack under test is chosen by --on".to_owned());
            }
            // Of no meaning here, or taken care of before.
            Setting::SpeedMbps(_)
            | Setting::TcpTsEcrScaled
            | Setting::CodeCommand(_)
            | Setting::CodeFormat(_)
            | Setting::CodeSockopt(_)
            | Setting::SendOmitFree
            | Setting::Verbose
            | Setting::Debug
            | Setting::PspUdpPort(_)
            | Setting::Define { .. } => {}
        }
        Ok(())
    }

    fn is_of_family(&self, address: IpAddr) -> bool {
        address.is_ipv6() == (self.version == IpVersion::V6)
    }

    /// Where sockets are bound.
    pub fn local_address(&self) -> SocketAddr {
        SocketAddr::new(self.local, self.bind_port)
    }

    /// Where sockets connect.
    pub fn remote_address(&self) -> SocketAddr {
        SocketAddr::new(self.remote, self.connect_port)
    }

    /// How far something may be from its time, which is so long after what came before.
    pub(super) fn tolerance_after(&self, since: Duration) -> Duration {
        self.tolerance.max(since.mul_f64(self.tolerance_percent / 100.0))
    }
}
