//! Listeners, as programs use them.

use crate::error::SocketError;
use crate::iface::{InterfaceId, Way};
use crate::ports::BindId;
use crate::tcp::{Options, SharedOptions, Shutdown};
use crate::time::Instant;

use super::tcp::Linger;
use super::tcp_table::{ListenerId, TcpId};
use super::{Changes, SocketId, Stack, may_serve};

/// Why a socket can't listen.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum ListenError {
    /// Another listens there already (EADDRINUSE).
    AddressInUse,
    /// The binding is gone (EINVAL).
    NotBound,
}

impl Stack {
    /// Lets the socket of `bind` listen. One connection more than `backlog` may wait to be accepted.
    //= RFC 9293 §3.10.1
    //= RFC 9293 MUST-41
    //= RFC 9293 MUST-42
    pub fn tcp_listen(
        &mut self,
        bind: BindId,
        backlog: usize,
        options: impl Into<SharedOptions>,
    ) -> Result<ListenerId, ListenError> {
        let (address, port) = self.ports.binding(bind).ok_or(ListenError::NotBound)?;
        self.ports.mark_listening(bind).map_err(|_| ListenError::AddressInUse)?;
        let id = self.tcp.insert_listener(bind, port, options.into(), backlog);
        self.demux.listen(port, address, id.index);
        Ok(id)
    }

    /// Has connections of a listener shut down as soon as they are made: as Linux, where `shutdown` came before `listen`.
    pub fn shut_connections(&mut self, id: ListenerId, how: Shutdown) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            listener.shut = Some(how);
        }
    }

    /// Changes a listener's backlog. Those that wait already stay.
    pub fn set_backlog(&mut self, id: ListenerId, backlog: usize) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            listener.backlog = backlog;
        }
    }

    /// How many connections of a listener may wait, less one.
    pub fn backlog(&self, id: ListenerId) -> usize {
        self.tcp.listener(id).map_or(0, |listener| listener.backlog)
    }

    /// Changes the options that connections of a listener begin with.
    pub fn set_listener_options(&mut self, id: ListenerId, change: impl FnOnce(&mut Options)) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            change(&mut listener.options);
        }
    }

    /// Gives other options to the connections that a listener takes from now on.
    pub fn replace_listener_options(&mut self, id: ListenerId, options: SharedOptions) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            listener.options = options;
        }
    }

    /// Sets the way of a listener's packets, and of its connections, and the interface that it listens at.
    pub fn set_listener_way(&mut self, id: ListenerId, way: Way) {
        if let Some(listener) = self.tcp.listener_mut(id) {
            listener.way = way;
            self.demux.hold_listener(listener.port, id.index, way.device);
        }
    }

    /// The options that connections of a listener begin with.
    pub fn listener_options(&self, id: ListenerId) -> Option<&Options> {
        self.tcp.listener(id).map(|listener| &*listener.options)
    }

    /// Takes the connection that has waited longest.
    pub fn tcp_accept(&mut self, id: ListenerId) -> Option<TcpId> {
        let accepted = self.tcp.listener_mut(id)?.accept.pop_front()?;
        if let Some(slot) = self.tcp.slot_mut(accepted) {
            slot.connection.on_accepted();
        }
        Some(accepted)
    }

    /// Why nobody new will come to a listener, once: its link is gone (SO_ERROR, and `accept` where none waits).
    pub fn listener_take_error(&mut self, id: ListenerId) -> Option<SocketError> {
        self.tcp.listener_mut(id)?.error.take()
    }

    /// Whether such an error waits to be told.
    pub fn listener_has_error(&self, id: ListenerId) -> bool {
        self.tcp.listener(id).is_some_and(|listener| listener.error.is_some())
    }

    /// How many connections wait to be accepted.
    pub fn listener_ready(&self, id: ListenerId) -> usize {
        self.tcp.listener(id).map_or(0, |listener| listener.accept.len())
    }

    /// Ends a listener. Connections that wait to be accepted are reset, half-open ones forgotten.
    pub fn close_listener(&mut self, now: Instant, id: ListenerId) {
        if self.tcp.listener(id).is_none() {
            return;
        }
        let half_open: Vec<u32> = self.tcp.half_open.of(id.index).collect();
        half_open.into_iter().for_each(|place| self.forget_half_open(place));
        let Some(listener) = self.tcp.remove_listener(id) else { return };
        self.ports.mark_not_listening(listener.bind);
        self.demux.stop_listening(listener.port, id.index);
        for waiting in listener.accept {
            self.let_go(now, waiting, Linger::Abort);
        }
    }

    /// Tells the listeners that took connections over `interface`: those of its addresses, and of any.
    pub(super) fn fail_listeners(&mut self, interface: InterfaceId) {
        let mut told = Vec::new();
        for (index, listener) in self.tcp.listeners() {
            let address = self.ports.binding(listener.bind).map(|(address, _)| address);
            if address.is_some_and(|address| may_serve(&self.interfaces, interface, address)) {
                listener.error = Some(SocketError::NetworkDown);
                told.push(index);
            }
        }
        for index in told {
            self.tell_listener(index, Changes::ERROR);
        }
    }

    pub(super) fn tell_listener(&mut self, index: u32, changes: Changes) {
        if let Some(id) = self.tcp.announce_listener(index, changes) {
            self.events.push_back(SocketId::Listener(id));
        }
    }
}
