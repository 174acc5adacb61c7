//! SO_TIMESTAMPING: which time stamps a socket is told, of what it receives and of what it sends. Those of devices are
//! taken and come from none here. Source: Linux's timestamping.rst.

use rustix::io::Errno;
use tapsock_stack::stack::{CountFrom, SendStamps};

use crate::options::{OptionValue, read_int};
use crate::socket::{Body, Call};

/// When it goes to the link, by the stack's clock.
const TX_SOFTWARE: u32 = 1 << 1;
/// When it came in, by the stack's clock.
const RX_SOFTWARE: u32 = 1 << 3;
/// Stamps of the stack are shown.
const SOFTWARE: u32 = 1 << 4;
/// Sends are numbered.
const OPT_ID: u32 = 1 << 7;
/// When it goes into the queue for the link.
const TX_SCHED: u32 = 1 << 8;
/// When all of it is acknowledged.
const TX_ACK: u32 = 1 << 9;
/// Reports of stamps do without the packet.
const OPT_TSONLY: u32 = 1 << 11;
/// Reports of stamps bear figures of TCP; there are none here.
const OPT_STATS: u32 = 1 << 12;
/// The clock of a device, of which there is none.
const BIND_PHC: u32 = 1 << 15;
/// Bytes of a stream are counted from the next.
const OPT_ID_TCP: u32 = 1 << 16;
/// All that Linux 6.18 knows.
const KNOWN: u32 = (1 << 19) - 1;
/// Those of sending, which a message may set for one send.
const OF_SENDING: u32 = 0x1 | TX_SOFTWARE | TX_SCHED | TX_ACK | 1 << 18;

/// The flags of one socket.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Timestamping(u32);

impl Timestamping {
    /// Whether what comes in is stamped, and that is shown.
    pub(crate) fn tells_arrivals(self) -> bool {
        self.0 & (RX_SOFTWARE | SOFTWARE) == RX_SOFTWARE | SOFTWARE
    }

    /// Whether stamps of the error queue are shown.
    pub(crate) fn tells_stamps(self) -> bool {
        self.0 & SOFTWARE != 0
    }

    /// Whether sends are numbered.
    pub(crate) fn counts(self) -> bool {
        self.0 & OPT_ID != 0
    }

    /// The stamps of one send, for which a message may have asked.
    pub(crate) fn of_send(self, asked: Option<u32>) -> SendStamps {
        let flags = asked.unwrap_or(self.0) & OF_SENDING;
        SendStamps {
            scheduled: flags & TX_SCHED != 0,
            sent: flags & TX_SOFTWARE != 0,
            acknowledged: flags & TX_ACK != 0,
            whole: self.0 & OPT_TSONLY == 0,
            id: 0,
        }
    }

    /// The value that getsockopt shows: a `struct so_timestamping`.
    pub(crate) fn shown(self) -> OptionValue {
        [self.0.to_ne_bytes(), [0; 4]].concat().into()
    }
}

/// Sets the flags.
///
/// Errors: EINVAL for unknown ones, for OPT_ID_TCP without OPT_ID, for OPT_ID on a stream that is not connected, and for
/// figures of TCP; EOPNOTSUPP for the clock of a device.
pub(crate) fn set(call: &mut Call<'_>, body: &mut Body, value: &[u8]) -> Result<(), Errno> {
    let flags = read_int(value)? as u32;
    let alone = flags & (OPT_ID | OPT_ID_TCP) == OPT_ID_TCP || flags & (OPT_STATS | OPT_TSONLY) == OPT_STATS;
    if flags & !KNOWN != 0 || alone {
        return Err(Errno::INVAL);
    }
    let news = flags & OPT_ID != 0 && !call.options().rare().timestamping.counts();
    if news {
        let from = if flags & OPT_ID_TCP != 0 { CountFrom::Written } else { CountFrom::Acknowledged };
        match body {
            Body::Tcp(tcp) => tcp.count_sends(call, from)?,
            Body::Udp(_) | Body::Ping(_) | Body::Raw(_) => call.common.options.rare_mut().stamped_sends = 0,
        }
    }
    if flags & BIND_PHC != 0 {
        return Err(Errno::OPNOTSUPP);
    }
    if flags & OPT_STATS != 0 {
        return Err(Errno::INVAL);
    }
    call.common.options.rare_mut().timestamping = Timestamping(flags);
    match body {
        Body::Tcp(tcp) => tcp.apply_options(call),
        Body::Udp(_) | Body::Ping(_) | Body::Raw(_) => {}
    }
    Ok(())
}

/// Gives the next send of a socket of datagrams its number, where it is stamped and they are numbered.
pub(crate) fn numbered(call: &mut Call<'_>, stamps: SendStamps) -> SendStamps {
    if stamps.is_empty() || !call.options().rare().timestamping.counts() {
        return stamps;
    }
    let id = call.options().rare().stamped_sends;
    call.common.options.rare_mut().stamped_sends = id.wrapping_add(1);
    SendStamps { id, ..stamps }
}

/// Takes back the number of a send that failed: what was not sent is not counted.
pub(crate) fn not_sent(call: &mut Call<'_>, stamps: SendStamps) {
    if !stamps.is_empty() && call.options().rare().timestamping.counts() {
        call.common.options.rare_mut().stamped_sends = stamps.id;
    }
}
