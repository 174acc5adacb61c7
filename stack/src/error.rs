//! What goes wrong with a socket, as the core says it. The mapping to errno stands at the edge, in `sockets`.

/// An error that a packet, a timer or a link has brought upon a socket.
///
/// ```
/// use tapsock_stack::error::SocketError;
///
/// assert_eq!(SocketError::TimedOut.to_string(), "timed out");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum SocketError {
    /// The peer answered that nobody listens there (ECONNREFUSED).
    ConnectionRefused,
    /// The peer reset the connection (ECONNRESET).
    ConnectionReset,
    /// The connection was aborted here (ECONNABORTED).
    ConnectionAborted,
    /// The peer reset the connection after it had sent all (EPIPE).
    BrokenPipe,
    /// Nothing came back in time (ETIMEDOUT).
    TimedOut,
    /// A router or the link says that the host can't be reached (EHOSTUNREACH).
    HostUnreachable,
    /// A router says that the network can't be reached (ENETUNREACH).
    NetworkUnreachable,
    /// The host does not speak the protocol (ENOPROTOOPT, as Linux has it).
    ProtocolUnreachable,
    /// A packet was too large for the path and may not be cut (EMSGSIZE).
    MessageTooLong,
    /// A route that the packet itself asked for failed (EOPNOTSUPP, as Linux has it).
    SourceRouteFailed,
    /// A router does not know the host (EHOSTDOWN, as Linux has it).
    HostDown,
    /// A router says that the host is cut off (ENONET).
    HostIsolated,
    /// A header was refused, or an error has an unknown code (EPROTO).
    Protocol,
    /// A router refuses to pass it on (EACCES).
    PermissionDenied,
    /// The link is gone (ENETDOWN).
    NetworkDown,
}

impl SocketError {
    /// All of them.
    pub const ALL: [SocketError; 15] = [
        SocketError::ConnectionRefused,
        SocketError::ConnectionReset,
        SocketError::ConnectionAborted,
        SocketError::BrokenPipe,
        SocketError::TimedOut,
        SocketError::HostUnreachable,
        SocketError::NetworkUnreachable,
        SocketError::ProtocolUnreachable,
        SocketError::MessageTooLong,
        SocketError::SourceRouteFailed,
        SocketError::HostDown,
        SocketError::HostIsolated,
        SocketError::Protocol,
        SocketError::PermissionDenied,
        SocketError::NetworkDown,
    ];
}

/// A new one has to stand among all, too.
const _: () = assert!(SocketError::NetworkDown as usize + 1 == SocketError::ALL.len());

impl core::fmt::Display for SocketError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            SocketError::ConnectionRefused => "connection refused",
            SocketError::ConnectionReset => "connection reset by peer",
            SocketError::ConnectionAborted => "connection aborted",
            SocketError::BrokenPipe => "broken pipe",
            SocketError::TimedOut => "timed out",
            SocketError::HostUnreachable => "host unreachable",
            SocketError::NetworkUnreachable => "network unreachable",
            SocketError::ProtocolUnreachable => "protocol unreachable",
            SocketError::MessageTooLong => "message too long",
            SocketError::SourceRouteFailed => "source route failed",
            SocketError::HostDown => "host is down",
            SocketError::HostIsolated => "host is isolated",
            SocketError::Protocol => "protocol error",
            SocketError::PermissionDenied => "administratively prohibited",
            SocketError::NetworkDown => "network down",
        })
    }
}

impl core::error::Error for SocketError {}
