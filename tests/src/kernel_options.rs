//! The options of the kernel's sockets, each an `int`.

use std::os::fd::BorrowedFd;

use nix::sys::socket::{GetSockOpt, SetSockOpt};
use nix::{getsockopt_impl, libc, setsockopt_impl};
use tapsock::Errno;
use tapsock::bsd::*;

macro_rules! options {
    ($($option:ident = $level:ident $name:ident,)*) => {
        $(
            #[derive(Copy, Clone, Debug)]
            struct $option;
            setsockopt_impl!($option, $level, $name, i32, nix::sys::socket::sockopt::SetStruct<i32>);
            getsockopt_impl!($option, $level, $name, i32, nix::sys::socket::sockopt::GetStruct<i32>);
        )*

        /// See getsockopt(2).
        ///
        /// # Panics
        /// For one that has no line here.
        pub(crate) fn get(fd: BorrowedFd<'_>, level: i32, name: i32) -> Result<i32, Errno> {
            match (level, name) {
                $(($level, $name) => $option.get(&fd).map_err(errno),)*
                _ => panic!("option {name} of level {level} has no line here"),
            }
        }

        /// See setsockopt(2).
        ///
        /// # Panics
        /// For one that has no line here.
        pub(crate) fn set(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> Result<(), Errno> {
            match (level, name) {
                $(($level, $name) => $option.set(&fd, &value).map_err(errno),)*
                _ => panic!("option {name} of level {level} has no line here"),
            }
        }
    };
}

options! {
    ReuseAddress = SOL_SOCKET SO_REUSEADDR,
    ReusePort = SOL_SOCKET SO_REUSEPORT,
    Broadcast = SOL_SOCKET SO_BROADCAST,
    KeepAlive = SOL_SOCKET SO_KEEPALIVE,
    AcceptsConnections = SOL_SOCKET SO_ACCEPTCONN,
    SendBuffer = SOL_SOCKET SO_SNDBUF,
    ReceiveBuffer = SOL_SOCKET SO_RCVBUF,
    Type = SOL_SOCKET SO_TYPE,
    Domain = SOL_SOCKET SO_DOMAIN,
    Protocol = SOL_SOCKET SO_PROTOCOL,
    Error = SOL_SOCKET SO_ERROR,
    LowWater = SOL_SOCKET SO_RCVLOWAT,
    UrgentInline = SOL_SOCKET SO_OOBINLINE,
    PeekOffset = SOL_SOCKET SO_PEEK_OFF,
    Priority = SOL_SOCKET SO_PRIORITY,
    Mark = SOL_SOCKET SO_MARK,
    BusyPoll = SOL_SOCKET SO_BUSY_POLL,
    ZeroCopy = SOL_SOCKET SO_ZEROCOPY,
    PassCredentials = SOL_SOCKET SO_PASSCRED,
    DontRoute = SOL_SOCKET SO_DONTROUTE,
    BoundInterface = SOL_SOCKET SO_BINDTOIFINDEX,
    UdpCork = SOL_UDP UDP_CORK,
    NoDelay = SOL_TCP TCP_NODELAY,
    Cork = SOL_TCP TCP_CORK,
    MaxSegment = SOL_TCP TCP_MAXSEG,
    KeepCount = SOL_TCP TCP_KEEPCNT,
    KeepIdle = SOL_TCP TCP_KEEPIDLE,
    KeepInterval = SOL_TCP TCP_KEEPINTVL,
    SynCount = SOL_TCP TCP_SYNCNT,
    Linger2 = SOL_TCP TCP_LINGER2,
    DeferAccept = SOL_TCP TCP_DEFER_ACCEPT,
    WindowClamp = SOL_TCP TCP_WINDOW_CLAMP,
    QuickAck = SOL_TCP TCP_QUICKACK,
    NotSentLowWater = SOL_TCP TCP_NOTSENT_LOWAT,
    UserTimeout = SOL_TCP TCP_USER_TIMEOUT,
    TimeToLive = SOL_IP IP_TTL,
    TypeOfService = SOL_IP IP_TOS,
    MtuDiscover = SOL_IP IP_MTU_DISCOVER,
    Mtu = SOL_IP IP_MTU,
    ReceivesErrors = SOL_IP IP_RECVERR,
    Transparent = SOL_IP IP_TRANSPARENT,
    TransparentV6 = SOL_IPV6 IPV6_TRANSPARENT,
    NearestTtl = SOL_IP IP_MINTTL,
    LocalPorts = SOL_IP IP_LOCAL_PORT_RANGE,
    ReceivesErrors6 = SOL_IPV6 IPV6_RECVERR,
    AutoFlowLabel = SOL_IPV6 IPV6_AUTOFLOWLABEL,
    NearestHops = SOL_IPV6 IPV6_MINHOPCOUNT,
    PreferredSources = SOL_IPV6 IPV6_ADDR_PREFERENCES,
    MtuDiscover6 = SOL_IPV6 IPV6_MTU_DISCOVER,
    Mtu6 = SOL_IPV6 IPV6_MTU,
    Only6 = SOL_IPV6 IPV6_V6ONLY,
    Hops = SOL_IPV6 IPV6_UNICAST_HOPS,
    TrafficClass = SOL_IPV6 IPV6_TCLASS,
}

/// The same number in the stack's type.
pub(crate) fn errno(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}
