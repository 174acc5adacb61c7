//! Sending and receiving, whatever the type.

use rustix::io::Errno;
use tapsock_sockets::UnixAddr;
use tapsock_sockets::local::Ancillary;

use super::{Connection, Incoming, LocalSocket, process, seqpacket, stream};
use crate::description::Held;

impl LocalSocket {
    /// Sends `data`: sendmsg(2). Returns how many bytes went: on a stream that waits, all of them.
    ///
    /// Errors: EPIPE, EAGAIN, ECONNRESET, ENOTCONN, EISCONN or EOPNOTSUPP for an address on a stream, ECONNREFUSED,
    /// ENOENT, EMSGSIZE, EPERM.
    pub(crate) fn send(
        &self,
        data: &[u8],
        flags: i32,
        to: Option<&UnixAddr>,
        rights: Vec<Held>,
    ) -> Result<usize, Errno> {
        let mut ancillary = Ancillary { rights, ..Ancillary::new(process()) };
        if let Some(cell) = &self.datagrams {
            return self.send_datagram(cell, data, flags, to, &mut ancillary);
        }
        let connection = self.connection.get();
        if to.is_some() {
            self.kind.check_address(connection.is_some())?;
        }
        let patience = self.send_patience(flags);
        match connection {
            Some(Connection::Stream(cell, side)) => {
                stream::send(cell, *side, data, flags, patience, &mut ancillary)
            }
            Some(Connection::Records(cell, side)) => {
                seqpacket::send(cell, *side, data, flags, patience, &mut ancillary)
            }
            None if self.is_send_shut() => Err(Errno::PIPE),
            None => Err(Errno::NOTCONN),
        }
    }

    /// Receives into `into`: recvmsg(2).
    ///
    /// Errors: EAGAIN, ECONNRESET, EINVAL or ENOTCONN on a socket that is not connected.
    pub(crate) fn receive(&self, into: &mut [u8], flags: i32) -> Result<Incoming, Errno> {
        if let Some(cell) = &self.datagrams {
            return self.receive_datagram(cell, into, flags);
        }
        let patience = self.receive_patience(flags);
        match self.connection.get() {
            Some(Connection::Stream(cell, side)) => {
                let (len, beside) = stream::receive(cell, *side, into, flags, patience)?;
                let from = None;
                Ok(Incoming {
                    len,
                    full_len: len,
                    from,
                    credentials: beside.credentials,
                    rights: beside.rights,
                })
            }
            Some(Connection::Records(cell, side)) => {
                let record = seqpacket::receive(cell, *side, into, flags, patience)?;
                Ok(Incoming {
                    len: record.len,
                    full_len: record.full_len,
                    from: None,
                    credentials: record.credentials,
                    rights: record.rights,
                })
            }
            None => Err(self.kind.receive_unconnected()),
        }
    }
}
