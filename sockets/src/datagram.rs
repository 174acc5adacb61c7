//! What the sockets of datagrams have in common: UDP's and raw ones.

use rustix::io::Errno;
use tapsock_stack::udp::{Datagram, Mailbox, RecvError};

use crate::beside;
use crate::destination;
use crate::errno::ToErrno;
use crate::options::OptionValue;
use crate::poll::{self, View};
use crate::socket::{Call, Received, Stop, received};

/// What a call gets that asked for `max` bytes. `port` is the one that the datagram was sent to, where it has one.
pub(crate) fn taken(
    call: &Call<'_>,
    datagram: Result<Datagram, RecvError>,
    port: impl FnOnce(&Datagram) -> Option<u16>,
    max: usize,
    flags: i32,
) -> Result<Received, Stop> {
    match datagram {
        Ok(datagram) => {
            let from = destination::shown(call.domain(), datagram.from);
            let control = beside::of_datagram(call, &datagram, port(&datagram));
            let stamps = beside::stamps(call.options(), datagram.arrived);
            let segment_size = datagram.segment_size;
            Ok(Received { segment_size, stamps, control, ..received(datagram.payload, max, from) })
        }
        Err(RecvError::Error(error)) => Err(error.errno().into()),
        // One that may not wait does not even look.
        Err(RecvError::Shutdown) if call.waits_to_receive(flags) => Ok(Received::default()),
        Err(RecvError::Shutdown | RecvError::WouldBlock) => Err(call.wait_in(flags)),
    }
}

/// Where a port of the destination would stand behind a header of so many bytes.
pub(crate) fn port_at(datagram: &Datagram, header: usize) -> Option<u16> {
    let mut port = [0; 2];
    let there = datagram.payload.slice(header + 2..header + 4).copy_to(&mut port);
    (there == port.len()).then_some(u16::from_be_bytes(port))
}

/// What readiness depends on.
pub(crate) fn view(mail: Option<&Mailbox>, writable: bool) -> View {
    View::Datagram(poll::Datagram {
        readable: mail.is_some_and(Mailbox::is_readable),
        writable,
        receive_shut: mail.is_some_and(Mailbox::is_read_shut),
        send_shut: mail.is_some_and(Mailbox::is_write_shut),
        error: mail.is_some_and(|mail| mail.has_error() || mail.has_reports()),
    })
}

/// What a socket takes of memory, in bytes.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Memory {
    /// What is charged of the queue, and its bound.
    pub(crate) receive: (usize, usize),
    /// What is charged of what waits for the link, and its bound.
    pub(crate) send: (usize, usize),
    pub(crate) drops: u64,
}

impl Memory {
    /// `SK_MEMINFO_*`: charged and bound of receiving, then of sending, four that are not kept here, and drops.
    pub(crate) fn shown(self) -> OptionValue {
        let Memory { receive, send, drops } = self;
        let numbers = [receive.0, receive.1, send.0, send.1, 0, 0, 0, 0, drops as usize];
        numbers.iter().flat_map(|count| (*count as u32).to_ne_bytes()).collect::<Vec<u8>>().into()
    }
}

impl From<&Mailbox> for Memory {
    fn from(mail: &Mailbox) -> Self {
        let receive = (mail.queued_bytes(), mail.receive_buffer);
        Memory { receive, send: (mail.sending_bytes(), mail.send_buffer), drops: mail.drops() }
    }
}

/// What `shutdown` says of a socket that has a peer, or none.
pub(crate) fn shut<T>(peer: Option<T>) -> Result<(), Errno> {
    peer.map(|_| ()).ok_or(Errno::NOTCONN)
}
