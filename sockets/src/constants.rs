//! The numbers of Linux's socket interface, as `<sys/socket.h>`, `<netinet/in.h>`, `<netinet/tcp.h>` and
//! `<poll.h>` have them on the common architectures.

macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: i32 = $value;)*
    };
}

constants! {
    /// No family: dissolves a connection.
    AF_UNSPEC = 0;
    /// Local sockets.
    AF_UNIX = 1;
    /// The same.
    AF_LOCAL = AF_UNIX;
    /// IPv4.
    AF_INET = 2;
    /// IPv6.
    AF_INET6 = 10;
    /// One more than the largest family that Linux knows.
    AF_MAX = 46;

    /// A stream of bytes.
    SOCK_STREAM = 1;
    /// Datagrams.
    SOCK_DGRAM = 2;
    /// Packets with all headers below the network's.
    SOCK_RAW = 3;
    /// Reliable datagrams.
    SOCK_RDM = 4;
    /// Records in order.
    SOCK_SEQPACKET = 5;
    /// One more than the largest type that Linux knows.
    SOCK_MAX = 11;
    /// The bits of the type argument that hold the type.
    SOCK_TYPE_MASK = 0xf;
    /// Calls on the socket do not block.
    SOCK_NONBLOCK = 0o4000;
    /// The descriptor is closed by `exec`; without meaning in a table that no `exec` sees.
    SOCK_CLOEXEC = 0o2_000_000;

    /// The protocol that the type implies; as an option level, IPv4's.
    IPPROTO_IP = 0;
    /// ICMP.
    IPPROTO_ICMP = 1;
    /// TCP.
    IPPROTO_TCP = 6;
    /// UDP.
    IPPROTO_UDP = 17;
    /// As an option level, IPv6's.
    IPPROTO_IPV6 = 41;
    /// ICMPv6.
    IPPROTO_ICMPV6 = 58;
    /// One more than the largest protocol number that Linux takes.
    IPPROTO_MAX = 263;

    /// Options of any socket.
    SOL_SOCKET = 1;
    /// Options of IPv4.
    SOL_IP = IPPROTO_IP;
    /// Options of TCP.
    SOL_TCP = IPPROTO_TCP;
    /// Options of UDP.
    SOL_UDP = IPPROTO_UDP;
    /// Options of IPv6.
    SOL_IPV6 = IPPROTO_IPV6;

    /// Bind to an address whose port still rests.
    SO_REUSEADDR = 2;
    /// The socket's type (read only).
    SO_TYPE = 3;
    /// The pending error, taken (read only).
    SO_ERROR = 4;
    /// Send to broadcast addresses.
    SO_BROADCAST = 6;
    /// Send buffer, in bytes; set to double the value.
    SO_SNDBUF = 7;
    /// Receive buffer, in bytes; set to double the value.
    SO_RCVBUF = 8;
    /// Probe an idle connection.
    SO_KEEPALIVE = 9;
    /// Receive urgent data in line.
    SO_OOBINLINE = 10;
    /// What `close` does with unsent data.
    SO_LINGER = 13;
    /// Several sockets with one address.
    SO_REUSEPORT = 15;
    /// Receive credentials with what comes in.
    SO_PASSCRED = 16;
    /// Who is on the other side (read only).
    SO_PEERCRED = 17;
    /// How much has to be there before a receiving call returns, in bytes.
    SO_RCVLOWAT = 18;
    /// How long a receiving call waits.
    SO_RCVTIMEO = 20;
    /// How long a sending call waits.
    SO_SNDTIMEO = 21;
    /// Whether the socket listens (read only).
    SO_ACCEPTCONN = 30;
    /// The socket's protocol (read only).
    SO_PROTOCOL = 38;
    /// The socket's domain (read only).
    SO_DOMAIN = 39;
    /// Where MSG_PEEK begins, in bytes; -1 for the front.
    SO_PEEK_OFF = 42;

    /// Send small segments at once.
    TCP_NODELAY = 1;
    /// Upper bound of the MSS, in bytes.
    TCP_MAXSEG = 2;
    /// Hold back what does not fill a segment.
    TCP_CORK = 3;
    /// Idle seconds before the first keepalive probe.
    TCP_KEEPIDLE = 4;
    /// Seconds between keepalive probes.
    TCP_KEEPINTVL = 5;
    /// Keepalive probes without an answer before the connection is given up.
    TCP_KEEPCNT = 6;
    /// What is known of the connection (read only).
    TCP_INFO = 11;
    /// Name of the congestion control.
    TCP_CONGESTION = 13;
    /// Milliseconds that data may stay unacknowledged.
    TCP_USER_TIMEOUT = 18;

    /// Payload bytes of each datagram that a large send is cut into.
    UDP_SEGMENT = 103;
    /// Take merged datagrams with the size of their parts.
    UDP_GRO = 104;

    /// IPv4's type of service.
    IP_TOS = 1;
    /// IPv4's time to live.
    IP_TTL = 2;
    /// Whether IPv4's packets may be cut: one of `IP_PMTUDISC_…`.
    IP_MTU_DISCOVER = 10;
    /// The largest packet that the path to the peer is known to take, in bytes (read only).
    IP_MTU = 14;

    /// Packets may be cut.
    IP_PMTUDISC_DONT = 0;
    /// Packets may not be cut while the path is known to take them.
    IP_PMTUDISC_WANT = 1;
    /// Packets may not be cut, and larger ones are refused.
    IP_PMTUDISC_DO = 2;
    /// Packets may not be cut, whatever the path is known to take.
    IP_PMTUDISC_PROBE = 3;
    /// Packets may be cut, and what is said of the path is not believed.
    IP_PMTUDISC_INTERFACE = 4;
    /// The same, but for packets that are larger than the link.
    IP_PMTUDISC_OMIT = 5;

    /// IPv6's hop limit.
    IPV6_UNICAST_HOPS = 16;
    /// Whether IPv6's packets may be cut: one of `IP_PMTUDISC_…`.
    IPV6_MTU_DISCOVER = 23;
    /// As `IP_MTU` (read only).
    IPV6_MTU = 24;
    /// No IPv4 on this socket.
    IPV6_V6ONLY = 26;
    /// IPv6's traffic class.
    IPV6_TCLASS = 67;

    /// Urgent data.
    MSG_OOB = 0x1;
    /// Leave what is read in the queue.
    MSG_PEEK = 0x2;
    /// The true length of a datagram; on TCP, discard what is read.
    MSG_TRUNC = 0x20;
    /// Do not wait, for this call.
    MSG_DONTWAIT = 0x40;
    /// The end of a record.
    MSG_EOR = 0x80;
    /// Wait for all that was asked for.
    MSG_WAITALL = 0x100;
    /// Read the error queue.
    MSG_ERRQUEUE = 0x2000;
    /// No SIGPIPE.
    MSG_NOSIGNAL = 0x4000;
    /// More follows: hold back what does not fill a segment.
    MSG_MORE = 0x8000;

    /// No more receiving.
    SHUT_RD = 0;
    /// No more sending.
    SHUT_WR = 1;
    /// Neither.
    SHUT_RDWR = 2;

    /// The largest backlog that `listen` takes unless `net.core.somaxconn` says otherwise.
    SOMAXCONN = 4096;
}
