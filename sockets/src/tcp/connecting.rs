//! How a TCP socket comes to a connection, and how it parts from one.

use rustix::io::Errno;
use tapsock_stack::stack::{Linger, TcpId};
use tapsock_stack::tcp::State;

use super::{Phase, TcpSocket, fast_open};
use crate::address::{SockAddr, is_shorter_than};
use crate::bind;
use crate::destination;
use crate::errno::ToErrno;
use crate::options::Domain;
use crate::poll::PollMask;
use crate::socket::{Call, Stop};

impl TcpSocket {
    pub(crate) fn connect(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Stop> {
        if is_shorter_than(address, size_of::<u16>()) {
            return Err(Errno::INVAL.into());
        }
        if let SockAddr::Unspec(_) = address {
            self.disconnect(call);
            return Ok(());
        }
        match self.phase {
            Phase::Failed(_) => Err(Errno::INVAL.into()),
            Phase::Listening(_) | Phase::Connected(_) => Err(Errno::ISCONN.into()),
            Phase::Connecting(id) if fast_open::is_held(call.stack, id) => Err(Errno::ISCONN.into()),
            Phase::Connecting(id) => self.finish_connecting(call, id, Errno::ALREADY),
            Phase::Idle if call.options().tcp.rare().fast_open_connect => self.connect_late(call, address),
            Phase::Idle => {
                let id = self.open(call, address, Start::Now)?;
                self.finish_connecting(call, id, Errno::INPROGRESS)
            }
        }
    }

    /// Begins a connection to `address`.
    pub(super) fn open(
        &mut self,
        call: &mut Call<'_>,
        address: &SockAddr,
        start: Start,
    ) -> Result<TcpId, Errno> {
        let bound = self.binding().map(|binding| binding.local);
        let remote = destination::stream(call, bound, address)?;
        let family = if remote.is_ipv4() { Domain::V4 } else { Domain::V6 };
        destination::check_direct(call, remote, false)?;
        let options = call.options().for_connection(family);
        let before = self.binding();
        if let Some(binding) = before {
            self.set_binding(Some(bind::rebind(call, binding)?));
        }
        let port = self.bound_port();
        let (way, ports) = (call.options().way(), call.options().rare().ports);
        let now = call.now;
        let made = match start {
            Start::Now => call.stack.tcp_connect_by(now, port, remote, options, way, ports),
            Start::WithData => call.stack.tcp_hold(now, port, remote, options, way, ports),
        };
        if made.is_err() && before.is_some_and(|binding| binding.id.is_none()) {
            // Linux looks for a port when it knows the way, and goes on to show the one it had.
            let shown = self.last_port;
            self.release_port(call);
            self.last_port = shown;
        }
        let id = made.map_err(|error| error.errno())?;
        // From now on the connection holds the port, and gives it back when it ends.
        self.release_port(call);
        if let (Some(bound), Some(local)) = (self.bound_port(), call.stack.tcp_local(id)) {
            // As Linux, until the end of the connection is told: others may have its other addresses.
            call.stack.set_bound_address(bound, bind::local_of_connection(local));
        }
        self.error = None;
        self.phase = Phase::Connecting(id);
        Ok(id)
    }

    /// As [`connect`](Self::connect), of a call that has waited: another may have made an end of the attempt, or have seen
    /// before this one that it has succeeded.
    pub(crate) fn connect_again(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Stop> {
        match self.phase {
            Phase::Idle => Err(self.error.take().unwrap_or(Errno::CONNABORTED).into()),
            Phase::Connected(id) => self.finish_connecting(call, id, Errno::ISCONN),
            _ => self.connect(call, address),
        }
    }

    /// Says how far `connect` has come: `errno` where it goes on and the call may not wait.
    pub(super) fn finish_connecting(
        &mut self,
        call: &mut Call<'_>,
        id: TcpId,
        errno: Errno,
    ) -> Result<(), Stop> {
        let state = call.stack.tcp(id).map_or(State::Closed, |connection| connection.state());
        match state {
            State::SynSent | State::SynReceived => {
                Err(call.wait(PollMask::WAIT_OUT, call.options().rare().send_timeout, 0, errno))
            }
            State::Closed | State::TimeWait => {
                // Without an error somebody has taken it, by SO_ERROR or another call.
                let errno = call.stack.tcp_take_error(id).map_or(Errno::CONNABORTED, |error| error.errno());
                self.drop_connection(call, id);
                Err(errno.into())
            }
            _ => {
                self.phase = Phase::Connected(id);
                Ok(())
            }
        }
    }

    /// `connect` to AF_UNSPEC: back to a socket without a connection; an address that `bind` gave stays.
    pub(super) fn disconnect(&mut self, call: &mut Call<'_>) {
        match self.phase {
            Phase::Idle => {}
            Phase::Listening(id) => {
                call.stack.close_listener(call.now, id);
                self.phase = Phase::Idle;
                self.release_port(call);
            }
            Phase::Connecting(id) | Phase::Connected(id) | Phase::Failed(id) => {
                let state = self.state(call.stack);
                self.error = self.take_error(call);
                if !matches!(state, State::Closed | State::TimeWait | State::LastAck | State::Closing) {
                    self.error = Some(Errno::CONNRESET);
                }
                self.drop_connection(call, id);
            }
        }
        (self.receive_shut, self.send_shut) = (false, false);
        call.common.options.forget_connection();
    }

    /// Back to a socket without a connection, which goes on to show the port that it had.
    pub(super) fn drop_connection(&mut self, call: &mut Call<'_>, id: TcpId) {
        if let Some(local) = call.stack.tcp_local(id).filter(|_| !self.bound_anew) {
            self.last_port = local.port();
            if self.keeps_address {
                self.set_binding(Some(bind::with_address(self.binding(), local)));
            }
        }
        if let (Some(bound), Some(binding)) = (self.bound_port(), self.binding()) {
            call.stack.set_bound_address(bound, binding.local);
        }
        self.keep_reports(call, id);
        call.stack.tcp_close(call.now, id, Linger::Abort);
        call.common.options.forget_connection();
        (self.phase, self.bound_anew) = (Phase::Idle, false);
        (self.receive_shut, self.send_shut) = (false, false);
    }
}

/// When the SYN of a connection is sent.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Start {
    Now,
    /// When there is data that may go with it.
    WithData,
}
