//! The calls on a TCP socket, as Linux answers them.

use core::cell::Cell;
use core::time::Duration;

use rustix::io::Errno;
use tapsock_stack::error_queue::ErrorQueue;
use tapsock_stack::ports::BindId;
use tapsock_stack::stack::{Linger, ListenerId, SocketId, Stack, TcpId};
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::connection::Shutdown;

use crate::address::SockAddr;
use crate::bind::{self, Binding};
use crate::constants::{SHUT_RD, SHUT_RDWR, SHUT_WR};
use crate::destination;
use crate::errno::ToErrno;
use crate::options::SocketOptions;
use crate::poll::{PollMask, Stage, Stream, View};
use crate::socket::{Call, Common, Stop, Wait};

mod connecting;
mod fast_open;
mod options;
mod queues;
mod reports;
mod transfer;

/// A TCP socket, in the states of Linux's `struct socket`.
#[derive(Debug)]
pub(crate) struct TcpSocket {
    phase: Phase,
    /// What few have.
    aside: Option<Box<Aside>>,
    /// Whether `bind` has ever given an address that is no wildcard: what a connection had then stays with the socket
    /// (Linux's SOCK_BINDADDR_LOCK).
    keeps_address: bool,
    /// Whether `bind` has come after the end of the connection that the phase still names.
    bound_anew: bool,
    /// The port that a connection, or the socket itself, had; `getsockname` goes on to show it, as Linux's does.
    last_port: u16,
    /// `shutdown` of the receiving side: nothing more is waited for, but what still comes is given out.
    receive_shut: bool,
    /// `shutdown` of the sending side of a socket without a connection.
    send_shut: bool,
    /// An error that no connection holds any longer.
    error: Option<Errno>,
    /// Whether somebody has found no room to send since there was some last: Linux's `SOCK_NOSPACE`. Only then is room
    /// an edge. Looking sets it.
    starved: Cell<bool>,
    /// It was closed, and the call waits until the peer has everything (SO_LINGER). To all others it is gone.
    lingering: bool,
}

/// What most sockets have nothing of: neither those that a listener takes, nor those that connect without `bind`.
#[derive(Debug, Default)]
struct Aside {
    /// The socket's own address.
    bound: Option<Binding>,
    /// Reports of errors that no connection holds any longer.
    reports: ErrorQueue,
    /// What a call that waits for the handshake has sent with the SYN.
    early: Option<fast_open::Early>,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Phase {
    /// Without a connection.
    Idle,
    Listening(ListenerId),
    /// `connect` has begun, and nobody was told how it ended.
    Connecting(TcpId),
    /// `connect` or `accept` has succeeded. The connection may be over; only `connect` to AF_UNSPEC leaves this.
    Connected(TcpId),
    /// `shutdown` came when `connect` had failed, and nobody was told. Only `connect` to AF_UNSPEC leaves this, too:
    /// Linux's SS_DISCONNECTING.
    Failed(TcpId),
}

impl TcpSocket {
    pub(crate) fn new() -> Self {
        TcpSocket {
            phase: Phase::Idle,
            aside: None,
            keeps_address: false,
            bound_anew: false,
            last_port: 0,
            receive_shut: false,
            send_shut: false,
            error: None,
            starved: Cell::new(false),
            lingering: false,
        }
    }

    /// The socket of a connection that this listener took. An address that the listener was bound to stays with it, and what
    /// was shut before it listened is shut.
    fn accepted(&self, id: TcpId) -> Self {
        let TcpSocket { receive_shut, send_shut, keeps_address, .. } = *self;
        TcpSocket { phase: Phase::Connected(id), receive_shut, send_shut, keeps_address, ..TcpSocket::new() }
    }

    fn binding(&self) -> Option<Binding> {
        self.aside.as_ref()?.bound
    }

    fn set_binding(&mut self, binding: Option<Binding>) {
        if binding.is_some() || self.aside.is_some() {
            self.aside.get_or_insert_default().bound = binding;
        }
        self.tidy();
    }

    /// Whether there are reports that no connection holds.
    fn has_own_reports(&self) -> bool {
        self.aside.as_ref().is_some_and(|aside| !aside.reports.is_empty())
    }

    /// Keeps no room for what is not there.
    fn tidy(&mut self) {
        self.aside
            .take_if(|aside| aside.bound.is_none() && aside.reports.is_empty() && aside.early.is_none());
    }

    pub(crate) fn id(&self) -> Option<SocketId> {
        match self.phase {
            Phase::Idle => None,
            Phase::Listening(id) => Some(SocketId::Listener(id)),
            Phase::Connecting(id) | Phase::Connected(id) | Phase::Failed(id) => Some(SocketId::Tcp(id)),
        }
    }

    pub(crate) fn view(&self, stack: &Stack, options: &SocketOptions) -> View {
        if let Phase::Listening(id) = self.phase {
            return View::Listener {
                pending: stack.listener_ready(id) > 0,
                error: stack.listener_has_error(id),
            };
        }
        let mut stream = Stream {
            stage: Stage::Closed,
            readable: false,
            urgent: false,
            writable: false,
            receive_shut: self.receive_shut,
            send_shut: self.send_shut,
            error: self.error.is_some() || self.has_own_reports(),
        };
        if let Some(connection) = self.connection_id().and_then(|id| stack.tcp(id)) {
            stream.stage = match connection.state() {
                // As Linux: data is waited for to go with the SYN, or somebody has accepted it before the handshake is done.
                State::SynSent | State::SynReceived if connection.is_held() || connection.is_early() => {
                    Stage::Open
                }
                State::SynSent | State::SynReceived => Stage::Connecting,
                state if is_over(state) => Stage::Closed,
                _ => Stage::Open,
            };
            stream.readable = queues::is_readable(connection, options.low_water as usize);
            stream.urgent = connection.has_urgent();
            stream.writable = connection.is_writable();
            if !stream.writable {
                self.starved.set(true);
            }
            stream.receive_shut |= connection.is_read_closed();
            stream.send_shut |= connection.is_write_closed();
            stream.error |= connection.has_error();
        }
        stream.error |= self.connection_id().is_some_and(|id| stack.tcp_has_reports(id));
        View::Stream(stream)
    }

    /// Whether as much has come as SO_RCVLOWAT asks for, or the peer's end.
    pub(crate) fn has_enough(&self, stack: &Stack, options: &SocketOptions) -> bool {
        self.connection_id().and_then(|id| stack.tcp(id)).is_some_and(|connection| {
            queues::is_readable(connection, options.low_water as usize)
                || connection.is_read_closed() && !is_over(connection.state())
        })
    }

    /// There may be room to send: whether there is, and somebody has missed it.
    pub(crate) fn takes_room(&self, stack: &Stack) -> bool {
        let connection = self.connection_id().and_then(|id| stack.tcp(id));
        connection.is_some_and(|connection| connection.is_writable()) && self.starved.replace(false)
    }

    pub(crate) fn bind(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        let bound = bind::bind(call, address, self.has_port(call.stack));
        if let Ok(_) | Err(Errno::ADDRINUSE) = bound {
            // As Linux: one that finds its port taken leaves the wildcard address, and shows the port it had.
            let takes_none = bound.is_ok_and(|binding| binding.id.is_none());
            self.last_port = if takes_none { 0 } else { self.local_port(call.stack) };
            self.bound_anew = self.phase != Phase::Idle;
            self.set_binding(bound.ok());
            self.keeps_address |=
                self.binding().is_some_and(|binding| bind::settles(call.domain(), binding.local));
        }
        bound.map(drop)
    }

    /// Whether a port is the socket's, or its connection's. One that nobody asked for goes when the connection ends.
    pub(crate) fn has_port(&self, stack: &Stack) -> bool {
        self.bound_port().is_some() || self.is_listening() || !is_over(self.state(stack))
    }

    /// The port that is the socket's own.
    fn bound_port(&self) -> Option<BindId> {
        self.binding().and_then(|binding| binding.id)
    }

    /// The state of the connection; that of none is CLOSED.
    fn state(&self, stack: &Stack) -> State {
        let connection = self.connection_id().and_then(|id| stack.tcp(id));
        connection.map_or(State::Closed, |connection| connection.state())
    }

    pub(crate) fn listen(&mut self, call: &mut Call<'_>, backlog: i32) -> Result<(), Errno> {
        // A negative backlog is a large one, as Linux compares without sign.
        let backlog = (backlog as u32 as usize).min(call.stack.config().somaxconn as usize);
        match self.phase {
            Phase::Listening(id) => call.stack.set_backlog(id, backlog),
            Phase::Idle => {
                let binding = match self.binding() {
                    Some(binding) => bind::rebind(call, binding)?,
                    None => bind::autobind(call)?,
                };
                self.set_binding(Some(binding));
                fast_open::tune(call, backlog);
                let options = call.options().for_connection(binding.family());
                let port = binding.id.ok_or(Errno::INVAL)?;
                let id = call.stack.tcp_listen(port, backlog, options).map_err(|error| error.errno())?;
                call.stack.set_listener_way(id, call.options().way());
                self.phase = Phase::Listening(id);
                if let Some(how) = direction(self.receive_shut, self.send_shut) {
                    call.stack.shut_connections(id, how);
                }
            }
            Phase::Connecting(_) | Phase::Connected(_) | Phase::Failed(_) => return Err(Errno::INVAL),
        }
        Ok(())
    }

    /// Takes a connection. The socket made for it has the listener's options, but waits.
    pub(crate) fn accept(&mut self, call: &mut Call<'_>) -> Result<(TcpSocket, SockAddr), Stop> {
        let Phase::Listening(listener) = self.phase else {
            return Err(Errno::INVAL.into());
        };
        let Some(id) = call.stack.tcp_accept(listener) else {
            return Err(match call.stack.listener_take_error(listener) {
                Some(error) => error.errno().into(),
                None => call.wait_in(0),
            });
        };
        let peer = call.stack.tcp_remote(id).map(|remote| destination::shown(call.domain(), remote));
        Ok((self.accepted(id), peer.unwrap_or(destination::unspecified(call.domain(), 0))))
    }

    pub(crate) fn shutdown(&mut self, call: &mut Call<'_>, how: i32) -> Result<(), Errno> {
        let (receive, send) = (how != SHUT_WR, how != SHUT_RD);
        debug_assert!((SHUT_RD..=SHUT_RDWR).contains(&how));
        if let Phase::Listening(_) = self.phase {
            if receive {
                self.disconnect(call);
            }
            return Ok(());
        }
        let state = self.state(call.stack);
        if let Phase::Connecting(id) = self.phase {
            let failed = is_over(state) || state == State::SynReceived;
            self.phase = if failed { Phase::Failed(id) } else { Phase::Connected(id) };
        }
        match (self.connection_id(), state) {
            (Some(_), State::SynSent) => {
                self.disconnect(call);
                Ok(())
            }
            (Some(id), state) if !is_over(state) => {
                self.receive_shut |= receive;
                if let Some(how) = direction(receive, send) {
                    // It fails where the connection ended meanwhile, and then there is nothing to say.
                    let _ = call.stack.tcp_shutdown(call.now, id, how);
                }
                Ok(())
            }
            _ => {
                self.receive_shut |= receive;
                self.send_shut |= send;
                Err(Errno::NOTCONN)
            }
        }
    }

    /// Begins to close and says what there is to wait for, where SO_LINGER asks for that.
    pub(crate) fn linger(&mut self, call: &mut Call<'_>) -> Option<Wait> {
        let crate::options::Linger { on, secs } = call.options().rare().linger;
        let id = self.connection_id().filter(|_| on && secs > 0)?;
        // What nobody will read makes the close a reset, which waits for nothing.
        if call.stack.tcp(id).is_none_or(|connection| connection.readable() > 0) {
            return None;
        }
        // It fails where the connection is not open, and then there is nothing to wait for either.
        call.stack.tcp_shutdown(call.now, id, Shutdown::Both).ok()?;
        if !self.is_unfinished(call.stack) {
            return None;
        }
        self.lingering = true;
        let deadline = call.now + Duration::from_secs(secs.into());
        Some(Wait { socket: call.fd, mask: PollMask::WAIT_OUT, deadline: Some(deadline) })
    }

    /// Whether a call waits for the end of the connection of what was closed.
    pub(crate) fn is_lingering(&self) -> bool {
        self.lingering
    }

    /// Whether the peer has not acknowledged our FIN, or what comes before it.
    pub(crate) fn is_unfinished(&self, stack: &Stack) -> bool {
        self.connection_id().and_then(|id| stack.tcp(id)).is_some_and(|connection| match connection.state() {
            State::FinWait1 | State::Closing | State::LastAck => true,
            State::SynReceived => connection.is_write_closed(),
            _ => false,
        })
    }

    pub(crate) fn close(self, call: &mut Call<'_>) {
        match self.phase {
            Phase::Idle => {}
            Phase::Listening(id) => call.stack.close_listener(call.now, id),
            Phase::Connecting(id) | Phase::Connected(id) | Phase::Failed(id) => {
                let linger = call.options().rare().linger;
                let how = if linger.on && linger.secs == 0 { Linger::Abort } else { Linger::Background };
                call.stack.tcp_close(call.now, id, how);
            }
        }
        if let Some(id) = self.bound_port() {
            call.stack.unbind(id);
        }
    }

    pub(crate) fn local(&self, stack: &Stack, common: &Common) -> SockAddr {
        let domain = common.subject.domain;
        let connection = self.connection_id().filter(|_| !self.bound_anew);
        if let Some(local) = connection.and_then(|id| stack.tcp_local(id)) {
            return destination::shown(domain, local);
        }
        match self.binding() {
            Some(binding) => {
                let port = if binding.id.is_some() { binding.port(stack) } else { self.last_port };
                bind::shown(binding.local, port, domain)
            }
            None => destination::unspecified(domain, self.last_port),
        }
    }

    fn local_port(&self, stack: &Stack) -> u16 {
        let connection = self.connection_id().filter(|_| !self.bound_anew);
        connection.and_then(|id| stack.tcp_local(id)).map_or(self.last_port, |local| local.port())
    }

    pub(crate) fn peer(&self, stack: &Stack, common: &Common) -> Result<SockAddr, Errno> {
        let id = self.connection_id().ok_or(Errno::NOTCONN)?;
        let state = stack.tcp(id).map_or(State::Closed, |connection| connection.state());
        if matches!(state, State::Closed | State::SynSent | State::TimeWait) {
            return Err(Errno::NOTCONN);
        }
        let remote = stack.tcp_remote(id).ok_or(Errno::NOTCONN)?;
        Ok(destination::shown(common.subject.domain, remote))
    }

    /// The pending error, told once (SO_ERROR).
    pub(crate) fn take_error(&mut self, call: &mut Call<'_>) -> Option<Errno> {
        if let (Phase::Listening(id), None) = (self.phase, self.error) {
            return call.stack.listener_take_error(id).map(|error| error.errno());
        }
        let from_connection = |id| call.stack.tcp_take_any_error(id).map(|error| error.errno());
        self.error.take().or_else(|| self.connection_id().and_then(from_connection))
    }

    /// The next call tells it.
    pub(crate) fn put_error_back(&mut self, errno: Errno) {
        self.error = Some(errno);
    }

    /// The error that ended the connection. What a path complains of while a connection goes on is for SO_ERROR alone.
    fn take_hard_error(&mut self, call: &mut Call<'_>) -> Option<Errno> {
        let from_connection = |id| call.stack.tcp_take_error(id).map(|error| error.errno());
        self.error.take().or_else(|| self.connection_id().and_then(from_connection))
    }

    pub(crate) fn is_listening(&self) -> bool {
        matches!(self.phase, Phase::Listening(_))
    }

    /// How much a call would send now, in bytes.
    pub(crate) fn send_space(&self, stack: &Stack) -> usize {
        self.connection_id().map_or(0, |id| stack.tcp_free_space(id))
    }

    /// Gives up a port that nobody asked for; `getsockname` goes on to show it, as Linux's does.
    fn release_port(&mut self, call: &mut Call<'_>) {
        if let Some(binding) = self.binding().filter(|binding| !binding.keeps_port())
            && let Some(id) = binding.id
        {
            self.last_port = binding.port(call.stack);
            self.set_binding(binding.without_port());
            call.stack.unbind(id);
        }
    }

    fn connection_id(&self) -> Option<TcpId> {
        match self.phase {
            Phase::Connecting(id) | Phase::Connected(id) | Phase::Failed(id) => Some(id),
            Phase::Idle | Phase::Listening(_) => None,
        }
    }
}

/// What of both directions is to be shut.
fn direction(receive: bool, send: bool) -> Option<Shutdown> {
    match (receive, send) {
        (true, true) => Some(Shutdown::Both),
        (true, false) => Some(Shutdown::Read),
        (false, true) => Some(Shutdown::Write),
        (false, false) => None,
    }
}

/// Whether a connection in that state is none any longer to its socket. Linux's TIME-WAIT is not the socket's state.
fn is_over(state: State) -> bool {
    matches!(state, State::Closed | State::TimeWait)
}
