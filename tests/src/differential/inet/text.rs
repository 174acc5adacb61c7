//! What calls gave, as text: ports that the sequence chose by their slots, those that a stack chose by the order in which
//! they came up.

use std::fmt::Write;

use tapsock::bsd::control::{IP_ORIGDSTADDR, IPV6_ORIGDSTADDR};
use tapsock::bsd::{
    MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_EOR, MSG_ERRQUEUE, MSG_OOB, MSG_TRUNC, SOL_IP, SOL_IPV6,
};
use tapsock::{Errno, SockAddr};

use super::masks::Nature;
use crate::differential::Incoming;
use crate::differential::text::{beside, text};

/// Where Linux's ephemeral ports begin (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;

/// The ports of one stack, in the order in which they came up.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    /// The first of the sequence's own.
    pub(super) base: u16,
    /// How many those are.
    pub(super) slots: u16,
    /// From here on ports are the stack's choice.
    ephemeral: u16,
    seen: Vec<u16>,
}

impl Ports {
    pub(super) fn new(base: u16, slots: u16) -> Ports {
        Ports { base, slots, ephemeral: EPHEMERAL, seen: Vec::new() }
    }

    /// All but the sequence's own are the stack's choice: those of ping sockets are.
    pub(super) fn all_chosen(self) -> Ports {
        Ports { ephemeral: 1, ..self }
    }

    fn show(&mut self, port: u16) -> String {
        if (self.base..self.base + self.slots).contains(&port) {
            return format!("P{}", port - self.base);
        }
        if port < self.ephemeral {
            return port.to_string();
        }
        let known = self.seen.iter().position(|seen| *seen == port);
        let index = known.unwrap_or(self.seen.len());
        if known.is_none() {
            self.seen.push(port);
        }
        format!("e{index}")
    }

    /// An address, with all that is unusual about it.
    pub(super) fn address(&mut self, bytes: &[u8]) -> String {
        let Ok(address) = SockAddr::from_bytes(bytes) else {
            return format!("{bytes:?}");
        };
        // What the address does not hold: a wrong length, and bytes behind it that are not zero.
        let unusual = if *address.as_bytes() == *bytes { String::new() } else { format!(" as {bytes:?}") };
        match address {
            SockAddr::V4(address) => format!("{}:{}{unusual}", address.ip(), self.show(address.port())),
            SockAddr::V6(address) => {
                let (flow, scope) = (address.flowinfo(), address.scope_id());
                let mut text = format!("[{}]:{}{unusual}", address.ip(), self.show(address.port()));
                if (flow, scope) != (0, 0) {
                    let _ = write!(text, " flow {flow:#x} scope {scope}");
                }
                text
            }
            _ => format!("{bytes:?}"),
        }
    }

    pub(super) fn named(&mut self, address: Result<Vec<u8>, Errno>) -> String {
        address.map_or_else(|errno| errno.to_string(), |address| self.address(&address))
    }

    pub(super) fn received(&mut self, mut taken: Incoming, nature: Nature) -> String {
        nature.mask(&mut taken);
        let mut shown = format!("{}: {}", taken.len, text(&taken.data));
        let mut rest = taken.flags;
        for (flag, name) in [
            (MSG_TRUNC, " cut"),
            (MSG_CTRUNC, " lossy"),
            (MSG_OOB, " urgent"),
            (MSG_EOR, " ended"),
            (MSG_ERRQUEUE, " of errors"),
            (MSG_CMSG_CLOEXEC, " to be closed on exec"),
        ] {
            if rest & flag != 0 {
                shown += name;
                rest &= !flag;
            }
        }
        if rest != 0 {
            let _ = write!(shown, " flags {rest:#x}");
        }
        if !taken.from.is_empty() {
            let _ = write!(shown, " from {}", self.address(&taken.from));
        }
        shown += &beside(&taken.control, |message| match (message.level, message.kind) {
            (SOL_IP, IP_ORIGDSTADDR) | (SOL_IPV6, IPV6_ORIGDSTADDR) => Some(match message.data.len() {
                cut @ ..28 if message.level == SOL_IPV6 => format!("for {cut} bytes of an address"),
                // Its port may be cut in two.
                cut @ ..16 => format!("for {cut} bytes of an address"),
                _ => format!("for {}", self.address(&message.data)),
            }),
            _ => None,
        });
        shown
    }
}
