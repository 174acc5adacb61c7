//! A second network namespace beside the first, and a veth pair between the two: rtnetlink(7).

use std::env;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::process::Stdio;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use tapsock_driver::Namespace;
use tapsock_stack::iface::IpCidr;

use crate::sys;

/// The hidden command that makes the second namespace.
pub(crate) const COMMAND: &str = "hold-namespace";

const AF_NETLINK: i32 = 16;
const SOCK_RAW: i32 = 3;
const NETLINK_ROUTE: i32 = 0;
/// Bytes of an answer.
const ANSWER: usize = 32 * 1024;

/// One end of the pair.
pub(crate) struct End<'a> {
    pub(crate) namespace: &'a Namespace,
    pub(crate) name: &'a str,
    pub(crate) addresses: [IpCidr; 2],
}

/// A network namespace that belongs to the same user namespace as `first`, so that a device may cross.
pub(crate) fn beside(first: &Namespace) -> io::Result<Namespace> {
    let mut command = first.command(env::current_exe()?);
    let mut child = command.arg(COMMAND).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = &mut child.stdout {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let second = Namespace::of_process(child.id()).map_err(io::Error::other);
    drop(child.stdin.take());
    child.wait()?;
    second
}

/// The whole life of the process that [`beside`] starts.
pub(crate) fn hold() -> io::Result<()> {
    sys::leave_network()?;
    println!("ready");
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

/// Makes the pair and sets its ends up, with an MTU of 1500.
pub(crate) fn connect(one: &End<'_>, other: &End<'_>) -> io::Result<()> {
    let mut peer = LinkMessage::default();
    peer.attributes.push(LinkAttribute::IfName(other.name.to_owned()));
    peer.attributes.push(LinkAttribute::NetNsPid(other.namespace.helper_pid()));
    let mut pair = LinkMessage::default();
    pair.attributes.push(LinkAttribute::IfName(one.name.to_owned()));
    pair.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
    ]));
    let mut rtnl = Rtnl::open(one.namespace)?;
    rtnl.request(RouteNetlinkMessage::NewLink(pair), NLM_F_CREATE | NLM_F_EXCL)?;
    set_up(one)?;
    set_up(other)
}

fn set_up(end: &End<'_>) -> io::Result<()> {
    let index = end.namespace.device(end.name).map_err(io::Error::other)?.index;
    let mut rtnl = Rtnl::open(end.namespace)?;
    for cidr in end.addresses {
        let mut message = AddressMessage::default();
        message.header.family =
            if cidr.address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.prefix_len = cidr.prefix_len;
        message.header.index = index;
        if matches!(cidr.address, IpAddr::V6(_)) {
            message.header.flags = AddressHeaderFlags::Nodad;
        }
        message.attributes.push(AddressAttribute::Local(cidr.address));
        message.attributes.push(AddressAttribute::Address(cidr.address));
        rtnl.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)?;
    }
    let mut up = LinkMessage::default();
    up.header.index = index;
    up.header.flags = LinkFlags::Up;
    up.header.change_mask = LinkFlags::Up;
    rtnl.request(RouteNetlinkMessage::NewLink(up), 0)
}

/// A socket to the routing tables of a namespace.
struct Rtnl {
    socket: File,
}

impl Rtnl {
    fn open(namespace: &Namespace) -> io::Result<Rtnl> {
        Ok(Rtnl { socket: File::from(namespace.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)?) })
    }

    /// Sends a request and waits for its acknowledgement.
    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.write_all(&bytes)?;
        let mut answer = vec![0; ANSWER];
        let len = self.socket.read(&mut answer)?;
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer[..len]) {
            Ok(NetlinkMessage { payload: NetlinkPayload::Error(error), .. }) => match error.code {
                None => Ok(()),
                Some(_) => Err(error.to_io()),
            },
            answer => Err(io::Error::other(format!("not an acknowledgement: {answer:?}"))),
        }
    }
}
