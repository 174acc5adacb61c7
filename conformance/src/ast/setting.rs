//! What `--option=value` sets, in a script or on the command line.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// An option with its value. Those of the command line are the same, and it wins over the script.
///
/// ```
/// use std::time::Duration;
/// use tapsock_conformance::ast::Setting;
/// use tapsock_conformance::parse;
///
/// let script = parse("s.pkt", "--tolerance_usecs=75000\n0 close(3) = 0").unwrap();
/// assert_eq!(script.options[0].setting, Setting::Tolerance(Duration::from_millis(75)));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// `ip_version=ipv4`: of which family sockets and packets are.
    IpVersion(IpVersion),
    /// `bind_port`: the port that the stack's sockets are bound to, 8080 by default.
    BindPort(u16),
    /// `connect_port`: the port that its sockets connect to, 8080 by default.
    ConnectPort(u16),
    /// `local_ip`: the stack's address.
    LocalIp(IpAddr),
    /// `remote_ip`: the peer's address; with a prefix length (`192.0.2.0/24`) of a net whose first is the peer's.
    RemoteIp {
        /// The address.
        address: IpAddr,
        /// The length of the prefix, if one is written.
        prefix: Option<u8>,
    },
    /// `gateway_ip`: the next hop.
    GatewayIp(IpAddr),
    /// `netmask_ip`: the mask of the stack's own net, for IPv4.
    NetmaskIp(IpAddr),
    /// `init_scripts`: shell scripts to run first, separated by commas.
    InitScripts(Vec<PathBuf>),
    /// `speed`: the interface's, in Mbit/s.
    SpeedMbps(u32),
    /// `mss`: the largest payload of a segment that the peer sends.
    Mss(u16),
    /// `mtu`: the interface's, in bytes.
    Mtu(u32),
    /// `tolerance_usecs`: how far from its time a packet or a return may be.
    Tolerance(Duration),
    /// `tolerance_percent`: the same, in hundredths of the time since the event before.
    TolerancePercent(f64),
    /// `tcp_ts_ecr_scaled`: inbound echoes of time stamps are in ticks since the connection's start.
    TcpTsEcrScaled,
    /// `tcp_ts_tick_usecs`: the tick of the stack's time stamps; 0 if they aren't compared.
    TcpTsTick(Duration),
    /// `strict_segments`: the segments must be cut as the script cuts them.
    StrictSegments,
    /// `non_fatal=packet,syscall`: which errors don't end a run.
    NonFatal(NonFatal),
    /// `code_command`: what runs the code blocks.
    CodeCommand(String),
    /// `code_format`: the language of the code blocks.
    CodeFormat(String),
    /// `code_sockopt`: the option that code blocks see.
    CodeSockopt(String),
    /// `so_filename`: a library with the stack under test.
    SoFilename(PathBuf),
    /// `so_flags`: what that library's entry is given.
    SoFlags(String),
    /// `is_anyip`: the interface has no address; the script makes those of a net the stack's by `ip route add local`.
    AnyIp,
    /// `send_omit_free`: how a library's packets are sent; without meaning here.
    SendOmitFree,
    /// `dry_run`: parse, and run nothing.
    DryRun,
    /// `verbose`: print every event.
    Verbose,
    /// `debug`: print what only helps to find errors in the runner.
    Debug,
    /// `psp_udp_port`: the port of PSP packets, which aren't supported.
    PspUdpPort(u16),
    /// `wire_client`, `wire_server` and those that begin so: a run over a real link by two machines. Kept, so that the
    /// runner can say that it doesn't do it.
    Wire {
        /// The option's name.
        option: String,
        /// Its value, if it has one.
        value: Option<String>,
    },
    /// `define=NAME=value`, on the command line `-D NAME=value`: wherever the script says `NAME` it means `value`.
    Define {
        /// The name.
        name: String,
        /// The value as it is written, with its quotes.
        value: String,
    },
}

/// Of which family a script's sockets and packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpVersion {
    /// `ipv4`.
    V4,
    /// `ipv4-mapped-ipv6`: sockets of IPv6 with addresses like `::ffff:192.0.2.1`, packets of IPv4.
    V4MappedV6,
    /// `ipv6`.
    V6,
}

impl fmt::Display for IpVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IpVersion::V4 => "ipv4",
            IpVersion::V4MappedV6 => "ipv4-mapped-ipv6",
            IpVersion::V6 => "ipv6",
        })
    }
}

/// Which errors don't end a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NonFatal {
    /// `packet`: one that is missing, late or wrong.
    pub packet: bool,
    /// `syscall`: one that returns the wrong thing.
    pub syscall: bool,
}
