//! The calls on a UDP socket, as Linux answers them.

use core::net::SocketAddr;

use rustix::io::Errno;
use tapsock_stack::buf::Rope;
use tapsock_stack::ports::LocalAddr;
use tapsock_stack::stack::{SendError, SocketId, Stack, UdpSendOptions};
use tapsock_stack::udp::{Merged, PortChoice, RecvError, UdpId};

use crate::address::SockAddr;
use crate::bind;
use crate::constants::{MSG_ERRQUEUE, MSG_MORE, MSG_OOB, MSG_PEEK, SHUT_RD, SHUT_WR};
use crate::destination;
use crate::errno::ToErrno;
use crate::options::Domain;
use crate::poll::{Datagram, View};
use crate::socket::{Call, Common, Received, Stop, received};

/// A UDP socket. The stack holds its ends, its queue and its errors.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    id: UdpId,
}

impl UdpSocket {
    pub(crate) fn new(stack: &mut Stack, domain: Domain) -> UdpSocket {
        UdpSocket { id: stack.udp_open(domain.family()) }
    }

    pub(crate) fn id(&self) -> SocketId {
        SocketId::Udp(self.id)
    }

    pub(crate) fn view(&self, stack: &Stack) -> View {
        let socket = stack.udp(self.id);
        View::Datagram(Datagram {
            readable: socket.is_some_and(|socket| socket.is_readable()),
            writable: stack.udp_is_writable(self.id),
            receive_shut: socket.is_some_and(|socket| socket.is_read_shut()),
            send_shut: socket.is_some_and(|socket| socket.is_write_shut()),
            error: socket.is_some_and(|socket| socket.has_error()),
        })
    }

    pub(crate) fn bind(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        let binding = bind::bind(call, address, self.is_bound(call.stack))?;
        if let Some(id) = binding.id {
            call.stack.udp_bind(self.id, id);
        }
        if !binding.keeps_port()
            && let Some(socket) = call.stack.udp_mut(self.id)
        {
            socket.port_choice = PortChoice::Stack;
        }
        Ok(())
    }

    pub(crate) fn connect(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        let remote = match address {
            SockAddr::Unspec(_) => None,
            _ => Some(destination::datagram(call, self.bound(call.stack), address)?),
        };
        if let Some(remote) = remote {
            destination::check_broadcast(call, remote)?;
        }
        call.stack.udp_connect(self.id, remote).map_err(|error| error.errno())
    }

    pub(crate) fn send(
        &mut self,
        call: &mut Call<'_>,
        data: &mut Rope,
        flags: i32,
        to: Option<&SockAddr>,
    ) -> Result<usize, Stop> {
        if data.len() > LENGTH_MAX {
            return Err(Errno::MSGSIZE.into());
        }
        let urgent = flags & MSG_OOB != 0;
        // Nothing here collects the parts of a datagram.
        if flags & MSG_MORE != 0 || urgent && call.domain() == Domain::V4 {
            return Err(Errno::OPNOTSUPP.into());
        }
        let to = match to {
            Some(address) => destination::message(call, self.bound(call.stack), address)?,
            None => None,
        };
        let remote = to.or(call.stack.udp_remote(self.id)).ok_or(Errno::DESTADDRREQ)?;
        // Linux's IPv6 does not look at the flag, until it hands over to IPv4.
        if urgent && remote.is_ipv4() {
            return Err(Errno::OPNOTSUPP.into());
        }
        if let Some(to) = to {
            destination::check_broadcast(call, to)?;
        }
        let options = send_options(call, remote);
        match call.stack.udp_send(call.now, self.id, data.clone(), to, options) {
            Ok(()) => Ok(data.split_to(data.len()).len()),
            Err(SendError::WouldBlock) => Err(call.wait_out(flags)),
            Err(error) => Err(error.errno().into()),
        }
    }

    pub(crate) fn receive(&mut self, call: &mut Call<'_>, max: usize, flags: i32) -> Result<Received, Stop> {
        if flags & MSG_ERRQUEUE != 0 {
            return Err(Errno::AGAIN.into());
        }
        let datagram = if flags & MSG_PEEK != 0 {
            call.stack.udp_peek(self.id).cloned()
        } else {
            call.stack.udp_recv(self.id)
        };
        match datagram {
            Ok(datagram) => {
                let from = destination::shown(call.domain(), datagram.from);
                let received = received(datagram.payload, max, from);
                let hop_limit = Some(datagram.hop_limit);
                Ok(Received { segment_size: datagram.segment_size, hop_limit, ..received })
            }
            Err(RecvError::Error(error)) => Err(error.errno().into()),
            // One that may not wait does not even look.
            Err(RecvError::Shutdown) if call.waits_to_receive(flags) => Ok(Received::default()),
            Err(RecvError::Shutdown | RecvError::WouldBlock) => Err(call.wait_in(flags)),
        }
    }

    pub(crate) fn shutdown(&mut self, call: &mut Call<'_>, how: i32) -> Result<(), Errno> {
        let socket = call.stack.udp_mut(self.id).ok_or(Errno::BADF)?;
        if how != SHUT_WR {
            socket.shutdown_read();
        }
        if how != SHUT_RD {
            socket.shutdown_write();
        }
        socket.remote().map(|_| ()).ok_or(Errno::NOTCONN)
    }

    pub(crate) fn close(self, call: &mut Call<'_>) {
        call.stack.udp_close(self.id);
    }

    pub(crate) fn local(&self, stack: &Stack, common: &Common) -> SockAddr {
        let domain = common.subject.domain;
        let socket = stack.udp(self.id);
        match socket.and_then(|socket| socket.local().or(socket.bound.map(|local| (local, 0)))) {
            Some((local, port)) => bind::shown(local, port, domain),
            None => destination::unspecified(domain, 0),
        }
    }

    pub(crate) fn peer(&self, stack: &Stack, common: &Common) -> Result<SockAddr, Errno> {
        // Linux takes one that was connected to port 0 for unconnected here, and only here.
        let remote = stack.udp_remote(self.id).filter(|remote| remote.port() != 0).ok_or(Errno::NOTCONN)?;
        Ok(destination::shown(common.subject.domain, remote))
    }

    /// The largest packet that the path to the peer takes, in bytes.
    pub(crate) fn path_mtu(&self, call: &Call<'_>) -> Option<usize> {
        call.stack.udp_path_mtu(call.now, self.id)
    }

    pub(crate) fn take_error(&mut self, call: &mut Call<'_>) -> Option<Errno> {
        call.stack.udp_take_error(self.id).map(|error| error.errno())
    }

    pub(crate) fn is_bound(&self, stack: &Stack) -> bool {
        stack.udp(self.id).is_some_and(|socket| socket.bind.is_some())
    }

    /// Tells the stack of changed options.
    pub(crate) fn apply_options(&self, call: &mut Call<'_>) {
        let wildcard = bind::any(call);
        let options = &call.common.options;
        call.stack.udp_set_send_buffer(self.id, options.tcp.send_buffer as usize);
        let Some(socket) = call.stack.udp_mut(self.id) else {
            return;
        };
        socket.receive_buffer = options.tcp.receive_buffer as usize;
        socket.merged = if options.udp_gro { Merged::Whole } else { Merged::Split };
        socket.discovery = options.discovery;
        socket.wildcard = wildcard;
        socket.reuse_port = options.reuse_port;
        if let Some(binding) = socket.bind {
            call.stack.set_reuse(binding, options.reuse());
        }
    }

    /// The address that the socket was bound to, before `connect` chose one.
    fn bound(&self, stack: &Stack) -> Option<LocalAddr> {
        let socket = stack.udp(self.id)?;
        socket.bind.and_then(|binding| stack.binding(binding)).map(|(local, _)| local).or(socket.bound)
    }
}

/// What the options of the socket make of a datagram to `remote`.
fn send_options(call: &Call<'_>, remote: SocketAddr) -> UdpSendOptions {
    let options = call.options();
    let family = if remote.is_ipv4() { Domain::V4 } else { Domain::V6 };
    UdpSendOptions {
        segment_size: Some(options.udp_segment).filter(|size| *size > 0),
        hop_limit: options.hop_limit(family),
        traffic_class: options.traffic_class(family),
    }
}

/// The largest length that Linux looks at, in bytes; what a datagram holds is less.
const LENGTH_MAX: usize = 0xffff;
