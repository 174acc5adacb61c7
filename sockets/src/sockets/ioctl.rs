//! ioctl.

use rustix::io::Errno;

use super::Sockets;
use crate::constants::{FIONREAD, SIOCATMARK, SIOCOUTQ, SIOCOUTQNSD};
use crate::socket::Body;
use crate::table::Fd;

impl Sockets {
    /// How much is queued: ioctl(2) with FIONREAD (bytes to be read; of a datagram socket, of the next one) or SIOCOUTQ
    /// (bytes that the peer has not acknowledged, or that wait for the link with what they are charged). On a stream also
    /// SIOCOUTQNSD: bytes that were not sent yet, and SIOCATMARK: 1 where the next byte to be read is urgent, else 0.
    ///
    /// Errors: EBADF, EINVAL on a listener, ENOTTY for another request.
    /// Source: tcp(7), udp(7).
    pub fn ioctl(&self, fd: Fd, request: i32) -> Result<i32, Errno> {
        let count = match (&self.open(fd).ok_or(Errno::BADF)?.body, request) {
            (Body::Tcp(tcp), SIOCATMARK) => usize::from(tcp.is_at_mark(&self.stack)),
            (Body::Tcp(tcp), FIONREAD | SIOCOUTQ | SIOCOUTQNSD) if tcp.is_listening() => {
                return Err(Errno::INVAL);
            }
            (Body::Tcp(tcp), FIONREAD) => tcp.unread(&self.stack),
            (Body::Tcp(tcp), SIOCOUTQNSD) => tcp.unsent(&self.stack),
            (Body::Tcp(tcp), SIOCOUTQ) => tcp.unacknowledged(&self.stack),
            (body @ (Body::Udp(_) | Body::Raw(_)), FIONREAD) => {
                body.mail(&self.stack).map_or(0, |mail| mail.next_len())
            }
            (body @ (Body::Udp(_) | Body::Raw(_)), SIOCOUTQ) => {
                body.mail(&self.stack).map_or(0, |mail| mail.sending_bytes())
            }
            _ => return Err(Errno::NOTTY),
        };
        Ok(i32::try_from(count).unwrap_or(i32::MAX))
    }
}
