//! The numbers of Linux's socket interface, as `<sys/socket.h>`, `<netinet/in.h>`, `<netinet/tcp.h>` and
//! `<poll.h>` have them on the common architectures.

macro_rules! constants {
    // `message`: it names a control message, and is an option besides at most.
    ($($(#[$doc:meta])* $name:ident = $value:expr $(, message)?;)*) => {
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
    /// The number is closed by `exec` (FD_CLOEXEC): kept and told, and without effect, since no `exec` leaves a stack.
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
    /// Packets whose sender writes all headers.
    IPPROTO_RAW = 255;
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
    /// Options of ICMPv6.
    SOL_ICMPV6 = IPPROTO_ICMPV6;
    /// Options of raw sockets.
    SOL_RAW = IPPROTO_RAW;

    /// Bind to an address whose port still rests.
    SO_REUSEADDR = 2;
    /// The socket's type (read only).
    SO_TYPE = 3;
    /// The pending error, taken (read only).
    SO_ERROR = 4;
    /// Send to hosts on our links only, by no router.
    SO_DONTROUTE = 5;
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
    /// How much room has to be there before a sending call returns: always one byte, as on Linux (read only).
    SO_SNDLOWAT = 19;
    /// How long a receiving call waits.
    SO_RCVTIMEO = 20;
    /// How long a sending call waits.
    SO_SNDTIMEO = 21;
    /// The only interface to send and receive by, by its name.
    SO_BINDTODEVICE = 25;
    /// Tell when data came, in microseconds.
    SO_TIMESTAMP = 29;
    /// Whether the socket listens (read only).
    SO_ACCEPTCONN = 30;
    /// As SO_SNDBUF, beyond the host's limit, for the privileged.
    SO_SNDBUFFORCE = 32;
    /// As SO_RCVBUF, beyond the host's limit, for the privileged.
    SO_RCVBUFFORCE = 33;
    /// Tell when data came, in nanoseconds.
    SO_TIMESTAMPNS = 35;
    /// Which time stamps to tell, of what comes and of what is sent.
    SO_TIMESTAMPING = 37;
    /// The socket's protocol (read only).
    SO_PROTOCOL = 38;
    /// The socket's domain (read only).
    SO_DOMAIN = 39;
    /// Tell how many datagrams were dropped.
    SO_RXQ_OVFL = 40;
    /// Where MSG_PEEK begins, in bytes; -1 for the front.
    SO_PEEK_OFF = 42;
    /// At how many bytes a second to send at the most.
    SO_MAX_PACING_RATE = 47;
    /// What the socket takes of memory, as nine numbers (read only).
    SO_MEMINFO = 55;
    /// A number that no other socket of the host has had (read only).
    SO_COOKIE = 57;
    /// What goes first where the link does not keep up, by the bands of Linux's default queue; IP_TOS sets it too.
    SO_PRIORITY = 12;
    /// How long a receiving call looks at the link before it sleeps, in microseconds.
    SO_BUSY_POLL = 46;
    /// The mark of the packets, whose routes come before those for all.
    SO_MARK = 36;
    /// Tell by the error queue when sends with MSG_ZEROCOPY are done.
    SO_ZEROCOPY = 60;
    /// As SO_BINDTODEVICE, by the interface's index.
    SO_BINDTOIFINDEX = 62;

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
    /// SYNs sent again before a connection attempt is given up.
    TCP_SYNCNT = 7;
    /// Seconds that a closed connection waits for the peer's FIN.
    TCP_LINGER2 = 8;
    /// How long a listener waits for data after the handshake, in seconds.
    TCP_DEFER_ACCEPT = 9;
    /// The largest window that is offered, in bytes.
    TCP_WINDOW_CLAMP = 10;
    /// What is known of the connection (read only).
    TCP_INFO = 11;
    /// Whether data is acknowledged at once, for the time being.
    TCP_QUICKACK = 12;
    /// Name of the congestion control.
    TCP_CONGESTION = 13;
    /// Milliseconds that data may stay unacknowledged.
    TCP_USER_TIMEOUT = 18;
    /// How many connections of a listener may be used before their handshakes are done; 0: none.
    TCP_FASTOPEN = 23;
    /// The clock of our timestamps, in milliseconds (read only).
    TCP_TIMESTAMP = 24;
    /// How many bytes may wait to be sent before writers wait.
    TCP_NOTSENT_LOWAT = 25;
    /// What the congestion control tells of itself (read only): nothing where it is `reno` or `cubic`, `struct
    /// tcp_bbr_info` where it is `bbr`.
    TCP_CC_INFO = 26;
    /// Keep the headers of the SYNs that open connections.
    TCP_SAVE_SYN = 27;
    /// Those headers, once (read only).
    TCP_SAVED_SYN = 28;
    /// Have `connect` wait for data to go with the SYN, where the server has given a cookie for that.
    TCP_FASTOPEN_CONNECT = 30;
    /// The key of a listener's fast open cookies, 16 bytes, or 32 with the one before it.
    TCP_FASTOPEN_KEY = 33;
    /// Send and take data in SYNs without a cookie.
    TCP_FASTOPEN_NO_COOKIE = 34;
    /// Tell what is left to be read, with each receiving call.
    TCP_INQ = 36;

    /// Hold back what is sent, until it is one datagram.
    UDP_CORK = 1;
    /// Payload bytes of each datagram that a large send is cut into.
    UDP_SEGMENT = 103;
    /// Take merged datagrams with the size of their parts.
    UDP_GRO = 104;

    /// IPv4's type of service.
    IP_TOS = 1;
    /// IPv4's time to live.
    IP_TTL = 2;
    /// The application writes the header of what it sends.
    IP_HDRINCL = 3;
    /// Options of IPv4's header, up to 40 bytes: a record of the route, timestamps, router alert; source routes are refused.
    IP_OPTIONS = 4;
    /// Tell the options with which a packet of IPv4 came.
    IP_RECVOPTS = 6;
    /// Tell the options for an answer to it; as a message, the options to send with.
    IP_RETOPTS = 7;
    /// Tell where a packet of IPv4 was sent, and where it came in; as a message, say where it is sent from.
    IP_PKTINFO = 8;
    /// Whether IPv4's packets may be cut: one of `IP_PMTUDISC_…`.
    IP_MTU_DISCOVER = 10;
    /// Tell of all errors, and queue reports of them for MSG_ERRQUEUE.
    IP_RECVERR = 11;
    /// Tell the time to live with which a packet came.
    IP_RECVTTL = 12;
    /// Tell the type of service with which a packet came.
    IP_RECVTOS = 13;
    /// The largest packet that the path to the peer is known to take, in bytes (read only).
    IP_MTU = 14;
    /// Bind to addresses that are not ours, yet.
    IP_FREEBIND = 15;
    /// Send from addresses that are not ours, and receive at them, where they are bound.
    IP_TRANSPARENT = 19;
    /// Tell address and port that a datagram was sent to.
    IP_RECVORIGDSTADDR = 20;
    /// The least TTL with which segments are taken.
    IP_MINTTL = 21;
    /// A bind to no port takes none until one is needed.
    IP_BIND_ADDRESS_NO_PORT = 24;
    /// Tell where in a report of an ICMP error its extensions begin (RFC 4884).
    IP_RECVERR_RFC4884 = 26;

    /// The interface that packets to groups of IPv4 leave by, and their source.
    IP_MULTICAST_IF = 32;
    /// The time to live of packets to groups.
    IP_MULTICAST_TTL = 33;
    /// Hear what this host sends to groups that it is in.
    IP_MULTICAST_LOOP = 34;
    /// Join a group of IPv4.
    IP_ADD_MEMBERSHIP = 35;
    /// Leave a group of IPv4.
    IP_DROP_MEMBERSHIP = 36;
    /// Hear a source of a group again.
    IP_UNBLOCK_SOURCE = 37;
    /// Hear a source of a group no more.
    IP_BLOCK_SOURCE = 38;
    /// Join a group of IPv4 to hear one source.
    IP_ADD_SOURCE_MEMBERSHIP = 39;
    /// Hear that source no more.
    IP_DROP_SOURCE_MEMBERSHIP = 40;
    /// Which sources of a group of IPv4 are heard, all at once; asked about the group that the value names.
    IP_MSFILTER = 41;
    /// Join a group of the level's family.
    MCAST_JOIN_GROUP = 42;
    /// Hear a source of a group no more.
    MCAST_BLOCK_SOURCE = 43;
    /// Hear a source of a group again.
    MCAST_UNBLOCK_SOURCE = 44;
    /// Leave a group.
    MCAST_LEAVE_GROUP = 45;
    /// Join a group to hear one source.
    MCAST_JOIN_SOURCE_GROUP = 46;
    /// Hear that source no more.
    MCAST_LEAVE_SOURCE_GROUP = 47;
    /// Which sources of a group are heard, all at once; asked about the group that the value names.
    MCAST_MSFILTER = 48;
    /// Hear the groups that other sockets joined.
    IP_MULTICAST_ALL = 49;
    /// The interface that packets to one host leave by where nothing else names one.
    IP_UNICAST_IF = 50;

    /// The ports that the socket is given where it asks for none: the first, and the last in the upper half.
    IP_LOCAL_PORT_RANGE = 51;

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

    /// Types of ICMP that are not wanted, a bit for each of the first 32.
    ICMP_FILTER = 1;
    /// Types of ICMPv6 that are not wanted, a bit for each.
    ICMP6_FILTER = 1;

    /// Tell traffic class and flow label with which a packet came, where it has any; as a message, say those of a datagram.
    IPV6_FLOWINFO = 11;
    /// Where the checksum stands in what is sent and received, in bytes; -1 for nowhere.
    IPV6_CHECKSUM = 7;
    /// IPv6's hop limit.
    IPV6_UNICAST_HOPS = 16;
    /// The interface that packets to groups of IPv6 leave by.
    IPV6_MULTICAST_IF = 17;
    /// The hop limit of packets to groups.
    IPV6_MULTICAST_HOPS = 18;
    /// Hear what this host sends to groups that it is in.
    IPV6_MULTICAST_LOOP = 19;
    /// Join a group of IPv6.
    IPV6_ADD_MEMBERSHIP = 20;
    /// Leave a group of IPv6.
    IPV6_DROP_MEMBERSHIP = 21;
    /// Hear the groups that other sockets joined.
    IPV6_MULTICAST_ALL = 29;
    /// Tell where in a report of an ICMPv6 error its extensions begin (RFC 4884).
    IPV6_RECVERR_RFC4884 = 31;
    /// The interface that packets to one host of IPv6 leave by where nothing else names one.
    IPV6_UNICAST_IF = 76;
    /// Whether IPv6's packets may be cut: one of `IP_PMTUDISC_…`.
    IPV6_MTU_DISCOVER = 23;
    /// As `IP_MTU`; set, the largest packet that is sent whole, or refused, where the path would take more, in bytes.
    IPV6_MTU = 24;
    /// As IP_RECVERR, of packets to IPv6's destinations.
    IPV6_RECVERR = 25;
    /// No IPv4 on this socket.
    IPV6_V6ONLY = 26;
    /// Tell where a packet of IPv6 was sent, and where it came in.
    IPV6_RECVPKTINFO = 49;
    /// The message that tells it; sent, it says where a datagram comes from, and as an option, by which interface all leave
    /// (write only).
    IPV6_PKTINFO = 50, message;
    /// The application writes the header of what it sends.
    IPV6_HDRINCL = 36;
    /// Tell the hop limit with which a packet came.
    IPV6_RECVHOPLIMIT = 51;
    /// Tell which path was too narrow for a datagram that was not to be cut.
    IPV6_RECVPATHMTU = 60;
    /// What the path to the peer takes, as the message that tells it (read only).
    IPV6_PATHMTU = 61;
    /// Refuse datagrams that are larger than the path.
    IPV6_DONTFRAG = 62;
    /// The message that tells it; sent, it sets that of a datagram.
    IPV6_HOPLIMIT = 52, message;
    /// Tell the traffic class with which a packet came.
    IPV6_RECVTCLASS = 66;
    /// IPv6's traffic class.
    IPV6_TCLASS = 67;
    /// Give each flow a label of its own.
    IPV6_AUTOFLOWLABEL = 70;
    /// Which addresses it prefers to send from: some of `IPV6_PREFER_SRC_…`.
    IPV6_ADDR_PREFERENCES = 72;
    /// The least hop limit with which segments are taken.
    IPV6_MINHOPCOUNT = 73;
    /// Tell address and port that a datagram was sent to.
    IPV6_RECVORIGDSTADDR = 74;
    /// As IP_TRANSPARENT.
    IPV6_TRANSPARENT = 75;
    /// Bind to addresses that are not ours, yet.
    IPV6_FREEBIND = 78;

    /// Urgent data.
    MSG_OOB = 0x1;
    /// Leave what is read in the queue.
    MSG_PEEK = 0x2;
    /// Send to hosts on our links only, by no router.
    MSG_DONTROUTE = 0x4;
    /// Control messages found no room.
    MSG_CTRUNC = 0x8;
    /// The true length of a datagram; on TCP, discard what is read.
    MSG_TRUNC = 0x20;
    /// Do not wait, for this call.
    MSG_DONTWAIT = 0x40;
    /// The end of a record.
    MSG_EOR = 0x80;
    /// Wait for all that was asked for.
    MSG_WAITALL = 0x100;
    /// The peer has answered: its neighbour entry is confirmed.
    MSG_CONFIRM = 0x800;
    /// Read the error queue.
    MSG_ERRQUEUE = 0x2000;
    /// No SIGPIPE.
    MSG_NOSIGNAL = 0x4000;
    /// More follows: hold back what does not fill a segment.
    MSG_MORE = 0x8000;
    /// Tell by the error queue when the bytes are no longer looked at. They are copied.
    MSG_ZEROCOPY = 0x400_0000;
    /// Connect, with the data in the SYN where that is possible.
    MSG_FASTOPEN = 0x2000_0000;
    /// `recvmmsg` waits for the first message only.
    MSG_WAITFORONE = 0x1_0000;
    /// Descriptors that are passed are to be closed by `exec` (FD_CLOEXEC).
    MSG_CMSG_CLOEXEC = 0x4000_0000;

    /// ioctl: bytes to be read.
    FIONREAD = 0x541b;
    /// ioctl: bytes to be read.
    SIOCINQ = FIONREAD;
    /// ioctl: bytes on their way.
    SIOCOUTQ = 0x5411;
    /// ioctl: bytes of a stream that were not sent yet.
    SIOCOUTQNSD = 0x894b;
    /// ioctl: whether the next byte follows urgent data.
    SIOCATMARK = 0x8905;
    /// ioctl: whether calls do not block.
    FIONBIO = 0x5421;

    /// ioctl: the number is to be closed by `exec`.
    FIOCLEX = 0x5451;
    /// ioctl: it is not.
    FIONCLEX = 0x5450;

    /// fcntl: another number for the same, not below the argument.
    F_DUPFD = 0;
    /// fcntl: the flags of the number.
    F_GETFD = 1;
    /// fcntl: sets them.
    F_SETFD = 2;
    /// fcntl: the flags of what the number stands for.
    F_GETFL = 3;
    /// fcntl: sets them.
    F_SETFL = 4;
    /// fcntl: as F_DUPFD, with FD_CLOEXEC.
    F_DUPFD_CLOEXEC = 1030;
    /// Flag of a number: closed by `exec`.
    FD_CLOEXEC = 1;
    /// Open for reading and writing.
    O_RDWR = 0o2;
    /// Written at the end of a file: without meaning for sockets.
    O_APPEND = 0o2000;
    /// Calls do not block.
    O_NONBLOCK = 0o4000;
    /// A signal tells of readiness (FASYNC).
    O_ASYNC = 0o20_000;
    /// Past the page cache.
    O_DIRECT = 0o40_000;
    /// `dup3`: closed by `exec`.
    O_CLOEXEC = 0o2_000_000;

    /// No more receiving.
    SHUT_RD = 0;
    /// No more sending.
    SHUT_WR = 1;
    /// Neither.
    SHUT_RDWR = 2;

    /// Control message: descriptors.
    SCM_RIGHTS = 1;
    /// Control message: who sent it.
    SCM_CREDENTIALS = 2;

    /// The largest backlog that `listen` takes unless `net.core.somaxconn` says otherwise.
    SOMAXCONN = 4096;
}
