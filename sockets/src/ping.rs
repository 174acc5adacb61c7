//! The calls on a ping socket (SOCK_DGRAM with IPPROTO_ICMP or IPPROTO_ICMPV6), as Linux answers them.
//!
//! Its port is the identifier of its echo requests; that of a peer says nothing.

use core::net::SocketAddr;

use rustix::io::Errno;
use tapsock_stack::buf::Rope;
use tapsock_stack::iface::Way;
use tapsock_stack::ports::LocalAddr;
use tapsock_stack::stack::{PingError, PingId, PingSendOptions, SocketId, Stack};
use tapsock_stack::udp::Mailbox;

use crate::address::{SOCKADDR_IN6_LEN, SockAddr, is_shorter_than};
use crate::beside;
use crate::bind;
use crate::constants::{
    MSG_CONFIRM, MSG_DONTROUTE, MSG_ERRQUEUE, MSG_OOB, MSG_PEEK, MSG_TRUNC, SHUT_RD, SHUT_WR,
};
use crate::datagram;
use crate::destination;
use crate::errno::ToErrno;
use crate::options::Domain;
use crate::poll::View;
use crate::reports;
use crate::socket::{Call, Common, Received, Stop};
use crate::timestamping;

/// A ping socket.
#[derive(Debug)]
pub(crate) struct PingSocket {
    id: PingId,
}

impl PingSocket {
    pub(crate) fn new(stack: &mut Stack, domain: Domain) -> Result<PingSocket, Errno> {
        let id = stack.ping_open(domain.family()).map_err(|error| error.errno())?;
        Ok(PingSocket { id })
    }

    pub(crate) fn id(&self) -> SocketId {
        SocketId::Ping(self.id)
    }

    pub(crate) fn view(&self, stack: &Stack) -> View {
        datagram::view(self.mail(stack), stack.ping_is_writable(self.id))
    }

    /// What it has in hand.
    pub(crate) fn mail<'a>(&self, stack: &'a Stack) -> Option<&'a Mailbox> {
        stack.ping_mail(self.id)
    }

    pub(crate) fn bind(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        // Unlike those of UDP, they look at the address first.
        let (local, ident) = bind::checked(call, address, false)?;
        if !local.is_wildcard() && call.stack.interfaces().source_of(local).is_none() {
            return Err(if local.ip().is_ipv4() { Errno::ADDRNOTAVAIL } else { Errno::INVAL });
        }
        if call.domain() == Domain::V6 && bind::family_of(local) == Domain::V4 || self.is_bound(call.stack) {
            return Err(Errno::INVAL);
        }
        let local = if local.is_wildcard() { None } else { Some(local.ip()) };
        call.stack.ping_bind(self.id, local, ident).map_err(|error| error.errno())
    }

    pub(crate) fn connect(&mut self, call: &mut Call<'_>, address: &SockAddr) -> Result<(), Errno> {
        let remote = match address {
            SockAddr::Unspec(_) => None,
            _ if is_shorter_than(address, FAMILY_LEN) => return Err(Errno::INVAL),
            _ => {
                // Whatever comes of it, as in Linux.
                self.identify(call)?;
                if call.domain() == Domain::V6 && !destination::is_v6(address) {
                    return Err(Errno::AFNOSUPPORT);
                }
                let bound = call.stack.ping_local(self.id).0.map(|ip| LocalAddr::new(ip, 0));
                Some(destination::datagram(call, bound, address)?)
            }
        };
        if let Some(remote) = remote {
            if call.domain() == Domain::V6 && remote.is_ipv4() {
                return Err(Errno::NETUNREACH);
            }
            destination::check_broadcast(call, remote)?;
            destination::check_direct(call, remote, false)?;
        }
        call.stack.ping_set_way(self.id, destination::way_to(call, remote));
        let connected = call.stack.ping_connect(self.id, remote);
        call.stack.ping_set_way(self.id, call.common.options.way());
        connected.map_err(|error| error.errno())
    }

    pub(crate) fn send(
        &mut self,
        call: &mut Call<'_>,
        data: &mut Rope,
        flags: i32,
        given: Option<&SockAddr>,
        control: &[u8],
    ) -> Result<usize, Stop> {
        self.identify(call).map_err(|_| Errno::AGAIN)?;
        if data.len() > MESSAGE_MAX {
            return Err(Errno::MSGSIZE.into());
        }
        if flags & MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP.into());
        }
        self.check_message(call, data)?;
        let to = match given {
            None => None,
            Some(address) => Some(self.destination(call, address)?),
        };
        if to.is_none() && call.stack.ping_remote(self.id).is_none() {
            return Err(Errno::DESTADDRREQ.into());
        }
        if let Some(to) = to {
            destination::check_broadcast(call, to)?;
        }
        if let Some(remote) = to.or(call.stack.ping_remote(self.id)) {
            destination::check_direct(call, remote, flags & MSG_DONTROUTE != 0)?;
            if flags & MSG_CONFIRM != 0 {
                call.stack.confirm_path(call.now, remote, call.options().device);
            }
        }
        let remote = to.or(call.stack.ping_remote(self.id)).ok_or(Errno::DESTADDRREQ)?;
        let bound = call.stack.ping_local(self.id).0;
        let options = beside::send_options(call, remote, control, bound)?;
        // Unlike `connect`, this takes the wildcard of IPv6 for nobody, and that of IPv4 for the source.
        if given.is_some_and(is_unspecified) {
            return Err(Errno::NETUNREACH.into());
        }
        let source = options.source.or(bound).filter(|source| !source.is_unspecified());
        let to = given.zip(to).map(|(address, to)| destination::from_source(address, to, source)).or(to);
        if self.mail(call.stack).is_some_and(Mailbox::is_write_shut) {
            let way = call.options().way();
            let way = Way { device: options.interface.or(way.device), mark: options.mark, ..way };
            // That there is no way is found out first.
            let remote = to.unwrap_or(remote);
            let hop = call.stack.interfaces().route_by(remote.ip(), source, &way);
            return Err(hop.map_or_else(|error| PingError::Route(error).errno(), |_| Errno::PIPE).into());
        }
        let before = call.options().rare().stamped_sends;
        let options = PingSendOptions {
            hop_limit: options.hop_limit,
            traffic_class: options.traffic_class,
            source: options.source,
            interface: options.interface,
            mark: options.mark,
            largest: options.largest,
            unfragmented: options.unfragmented,
            flow_label: options.flow_label,
            labels: options.labels,
            no_loop: options.no_loop,
            priority: options.priority,
            ip_options: options.ip_options,
            stamps: timestamping::numbered(call, options.stamps),
        };
        let sent = call.stack.ping_send_with(call.now, self.id, data, to, options);
        if sent.is_err() {
            call.common.options.rare_mut().stamped_sends = before;
        }
        if sent == Err(PingError::WouldBlock) {
            return Err(call.wait_out(flags));
        }
        sent.map_err(|error| error.errno())?;
        Ok(data.split_to(data.len()).len())
    }

    /// Sees to it that it has an identifier. Errors: EADDRINUSE where none is left.
    fn identify(&self, call: &mut Call<'_>) -> Result<(), Errno> {
        call.stack.ping_identify(self.id).map_err(|error| error.errno())
    }

    /// Only echo requests may be sent.
    fn check_message(&self, call: &Call<'_>, data: &Rope) -> Result<(), Errno> {
        let mut head = [0; HEADER_LEN];
        let request = if call.domain() == Domain::V4 { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
        if data.copy_to(&mut head) < HEADER_LEN || head[..2] != [request, 0] {
            return Err(Errno::INVAL);
        }
        Ok(())
    }

    fn destination(&self, call: &Call<'_>, address: &SockAddr) -> Result<SocketAddr, Errno> {
        match (call.domain(), destination::datagram(call, None, address)) {
            (Domain::V6, _) if is_shorter_than(address, SOCKADDR_IN6_LEN) => Err(Errno::INVAL),
            (Domain::V6, _) if !destination::is_v6(address) => Err(Errno::AFNOSUPPORT),
            // Unlike `connect`, this takes a mapped address for nonsense.
            (Domain::V6, Ok(SocketAddr::V4(_)) | Err(Errno::NETUNREACH)) => Err(Errno::INVAL),
            (_, result) => result,
        }
    }

    pub(crate) fn receive(&mut self, call: &mut Call<'_>, max: usize, flags: i32) -> Result<Received, Stop> {
        if flags & MSG_OOB != 0 {
            return Err(Errno::OPNOTSUPP.into());
        }
        if flags & MSG_ERRQUEUE != 0 {
            let report = call.stack.ping_mail_mut(self.id).and_then(Mailbox::take_report);
            return Ok(reports::received(call, report.ok_or(Errno::AGAIN)?, max));
        }
        let mail = call.stack.ping_mail_mut(self.id).ok_or(Errno::BADF)?;
        let message = if flags & MSG_PEEK != 0 { mail.peek().cloned() } else { mail.recv() };
        // Linux takes the checksum for the port.
        let received = datagram::taken(call, message, |message| datagram::port_at(message, 0), max, flags)?;
        // As on Linux, these do not hear MSG_TRUNC: they tell how much was copied.
        let full_len = if flags & MSG_TRUNC != 0 { received.data.len() } else { received.full_len };
        Ok(Received { full_len, ..received })
    }

    pub(crate) fn shutdown(&mut self, call: &mut Call<'_>, how: i32) -> Result<(), Errno> {
        let mail = call.stack.ping_mail_mut(self.id).ok_or(Errno::BADF)?;
        if how != SHUT_WR {
            mail.shutdown_read();
        }
        if how != SHUT_RD {
            mail.shutdown_write();
        }
        datagram::shut(call.stack.ping_remote(self.id))
    }

    pub(crate) fn close(self, call: &mut Call<'_>) {
        call.stack.ping_close(self.id);
    }

    pub(crate) fn local(&self, stack: &Stack, common: &Common) -> SockAddr {
        let domain = common.subject.domain;
        let (ip, ident) = stack.ping_local(self.id);
        let ident = ident.unwrap_or(0);
        match ip {
            Some(ip) => bind::shown(LocalAddr::new(ip, 0), ident, domain),
            None => destination::unspecified(domain, ident),
        }
    }

    pub(crate) fn peer(&self, stack: &Stack, common: &Common) -> Result<SockAddr, Errno> {
        // As of raw sockets, one that was connected to port 0 is taken for unconnected here, and only here.
        let remote = stack.ping_remote(self.id).filter(|remote| remote.port() != 0).ok_or(Errno::NOTCONN)?;
        Ok(destination::shown(common.subject.domain, remote))
    }

    /// The largest packet that the path to the peer takes, in bytes.
    pub(crate) fn path_mtu(&self, call: &Call<'_>) -> Option<usize> {
        call.stack.ping_path_mtu(call.now, self.id)
    }

    pub(crate) fn take_error(&mut self, call: &mut Call<'_>) -> Option<Errno> {
        call.stack.ping_mail_mut(self.id)?.take_error().map(|error| error.errno())
    }

    /// Tells the stack of changed options.
    pub(crate) fn apply_options(&self, call: &mut Call<'_>) {
        let (options, domain) = (&call.common.options, call.common.subject.domain);
        let (errors, discovery) = match domain {
            Domain::V4 => (options.errors.v4, options.discovery.v4),
            Domain::V6 => (options.errors.v6, options.discovery.v6),
        };
        if let Some(mail) = call.stack.ping_mail_mut(self.id) {
            mail.receive_buffer = options.tcp.receive_buffer as usize;
        }
        call.stack.ping_set_send_buffer(self.id, options.tcp.send_buffer as usize);
        call.stack.ping_set_takes_foreign(self.id, options.takes_foreign());
        call.stack.ping_set_error_delivery(self.id, errors);
        call.stack.ping_set_discovery(self.id, discovery);
        call.stack.ping_set_way(self.id, options.way());
        call.stack.ping_set_sharing(self.id, options.reuse_address, options.reuse_port);
    }

    /// Forgets the reports of errors.
    pub(crate) fn drop_reports(&self, call: &mut Call<'_>) {
        if let Some(mail) = call.stack.ping_mail_mut(self.id) {
            mail.drop_reports();
        }
    }

    pub(crate) fn is_bound(&self, stack: &Stack) -> bool {
        stack.ping_local(self.id).1.is_some()
    }
}

fn is_unspecified(address: &SockAddr) -> bool {
    matches!(address, SockAddr::V6(address) if address.ip().is_unspecified())
}

/// Bytes of the family that an address begins with.
const FAMILY_LEN: usize = 2;
/// Bytes of an ICMP header.
const HEADER_LEN: usize = 8;
/// The type of an echo request (RFC 792), and of ICMPv6's (RFC 4443 §4.1).
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
/// The largest message that Linux looks at, in bytes.
const MESSAGE_MAX: usize = 0xffff;
