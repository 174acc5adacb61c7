//! Fast open: data that goes with the SYN (tcp(7): TCP_FASTOPEN, TCP_FASTOPEN_CONNECT; send(2): MSG_FASTOPEN).

use rustix::io::Errno;
use tapsock_stack::buf::Rope;
use tapsock_stack::fast_open::mode;
use tapsock_stack::stack::{Stack, TcpId};
use tapsock_stack::tcp::State;

use super::connecting::Start;
use super::{Phase, TcpSocket, is_over};
use crate::address::SockAddr;
use crate::constants::MSG_FASTOPEN;
use crate::socket::{Call, Stop};

/// What a call has sent with the SYN, while it waits for the handshake: when that is done it goes on after it.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) struct Early {
    /// Bytes that the call has to send; they tell it from another one.
    total: u32,
    /// Bytes of it that went with the SYN.
    taken: u32,
}

impl TcpSocket {
    /// `connect` with TCP_FASTOPEN_CONNECT: where data may go with the SYN that waits for it, and the call succeeds.
    pub(super) fn connect_late(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Stop> {
        let id = self.open(call, address, Start::WithData)?;
        if call.stack.tcp_may_carry_data(call.now, id) {
            return Ok(());
        }
        call.stack.tcp_begin(call.now, id, Rope::new());
        self.finish_connecting(call, id, Errno::INPROGRESS)
    }

    /// What a send does first, where it is to open the connection. Says how much it took where that is all it does;
    /// `None` where it goes on as another would. As Linux, errors and all.
    pub(super) fn send_first(
        &mut self,
        call: &mut Call<'_>,
        data: &mut Rope,
        flags: i32,
        to: Option<&SockAddr>,
    ) -> Result<Option<usize>, Stop> {
        let held = self.connection_id().filter(|id| is_held(call.stack, *id));
        if flags & MSG_FASTOPEN == 0 && held.is_none() {
            return Ok(None);
        }
        let allowed = call.stack.config().tcp_fastopen & mode::CLIENT != 0;
        if !allowed || matches!(to, Some(SockAddr::Unspec(_))) {
            return Err(Errno::OPNOTSUPP.into());
        }
        match (self.phase, held) {
            (_, Some(id)) => self.send_syn(call, id, data, flags),
            (Phase::Idle, None) => {
                let address = to.ok_or(Errno::INVAL)?;
                if crate::address::is_shorter_than(address, size_of::<u16>()) {
                    return Err(Errno::INVAL.into());
                }
                let id = self.open(call, address, Start::WithData)?;
                self.send_syn(call, id, data, flags)
            }
            (Phase::Connecting(id), None) => {
                if self.is_waiting_with(data) && !is_over(self.state(call.stack)) {
                    // It is the same call again.
                    return Ok(None);
                }
                match self.state(call.stack) {
                    State::SynSent | State::SynReceived if !call.waits_to_send(flags) => {
                        Err(Errno::ALREADY.into())
                    }
                    State::SynSent | State::SynReceived => Ok(None),
                    _ => {
                        self.forget_early();
                        self.finish_connecting(call, id, Errno::ALREADY)?;
                        Ok(None)
                    }
                }
            }
            (Phase::Listening(_) | Phase::Connected(_), None) => Err(Errno::ISCONN.into()),
            (Phase::Failed(_), None) => Err(Errno::INVAL.into()),
        }
    }

    /// Sends the SYN with what of `data` may go with it. A call that waits does so until the handshake is done.
    fn send_syn(
        &mut self,
        call: &mut Call<'_>,
        id: TcpId,
        data: &mut Rope,
        flags: i32,
    ) -> Result<Option<usize>, Stop> {
        let total = data.len();
        let taken = call.stack.tcp_begin(call.now, id, data.clone());
        if !call.waits_to_send(flags) {
            data.advance(taken);
            return if taken > 0 { Ok(Some(taken)) } else { Err(Errno::INPROGRESS.into()) };
        }
        if taken < total {
            call.stack.tcp_await_open(id);
        }
        let early = Early { total: total as u32, taken: taken as u32 };
        self.aside.get_or_insert_default().early = Some(early);
        Err(call.wait_out(flags))
    }

    /// What a call that waits for the handshake has sent with the SYN.
    pub(super) fn early(&self) -> Option<Early> {
        self.aside.as_ref()?.early
    }

    fn forget_early(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.early = None;
        }
        self.tidy();
    }

    fn is_waiting_with(&self, data: &Rope) -> bool {
        self.early().is_some_and(|early| early.total as usize == data.len())
    }

    /// Takes off `data` what has gone with the SYN of the same call.
    pub(super) fn take_early(&mut self, data: &mut Rope) -> usize {
        let same = self.is_waiting_with(data);
        let Some(early) = self.early() else { return 0 };
        self.forget_early();
        let taken = if same { early.taken as usize } else { 0 };
        data.advance(taken);
        taken
    }
}

/// Whether the SYN of a connection waits for data.
pub(super) fn is_held(stack: &Stack, id: TcpId) -> bool {
    stack.tcp(id).is_some_and(|connection| connection.is_held())
}

/// As Linux: where all listeners take data in SYNs, those without TCP_FASTOPEN take it for as many connections as their
/// backlog holds.
pub(super) fn tune(call: &mut Call<'_>, backlog: usize) {
    let bits = call.stack.config().tcp_fastopen;
    let all = mode::SERVER | mode::SERVER_WITHOUT_OPTION;
    if bits & all == all && call.options().tcp.rare().fast_open_queue == 0 && backlog > 0 {
        let backlog = u32::try_from(backlog).unwrap_or(u32::MAX);
        call.common.options.tcp.rare_mut().fast_open_queue = backlog;
    }
}
