//! What calls gave, as text: ports that the sequence chose by their slots, those that a stack chose by the order in which
//! they came up.

use std::fmt::Write;

use tapsock::bsd::{MSG_CTRUNC, MSG_EOR, MSG_ERRQUEUE, MSG_OOB, MSG_TRUNC};
use tapsock::{Errno, SockAddr};

use super::Message;
use crate::differential::text::text;

/// Where Linux's ephemeral ports begin (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;

/// The ports of one stack, in the order in which they came up.
#[derive(Debug, Default)]
pub(super) struct Ports {
    /// The first of the sequence's own.
    pub(super) base: u16,
    /// How many those are.
    pub(super) slots: u16,
    seen: Vec<u16>,
}

impl Ports {
    pub(super) fn new(base: u16, slots: u16) -> Ports {
        Ports { base, slots, seen: Vec::new() }
    }

    fn show(&mut self, port: u16) -> String {
        if (self.base..self.base + self.slots).contains(&port) {
            return format!("P{}", port - self.base);
        }
        if port < EPHEMERAL {
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

    pub(super) fn received(&mut self, taken: Result<Message, Errno>) -> String {
        let taken = match taken {
            Ok(taken) => taken,
            Err(errno) => return errno.to_string(),
        };
        let mut shown = format!("{}: {}", taken.len, text(&taken.data));
        let mut rest = taken.flags;
        for (flag, name) in [
            (MSG_TRUNC, " cut"),
            (MSG_CTRUNC, " lossy"),
            (MSG_OOB, " urgent"),
            (MSG_EOR, " ended"),
            (MSG_ERRQUEUE, " of errors"),
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
        shown
    }
}

/// The bytes of an option's value: a number where they are an `int`.
pub(super) fn value(value: &[u8]) -> String {
    match value.try_into() {
        Ok(bytes) => i32::from_ne_bytes(bytes).to_string(),
        Err(_) => format!("{value:?}"),
    }
}
