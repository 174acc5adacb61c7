//! Packets in the words of the scripts, which are nearly tcpdump's.

use core::fmt;

use super::{Icmp, Packet, Tcp, Transport};
use crate::ast::{TcpFlags, TcpOption};

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.traffic_class {
            0 => {}
            1 => f.write_str("[ect1] ")?,
            2 => f.write_str("[ect0] ")?,
            3 => f.write_str("[ce] ")?,
            class => write!(f, "[tos {class:#04x}] ")?,
        }
        if self.flow_label != 0 {
            write!(f, "[flowlabel {:#x}] ", self.flow_label)?;
        }
        match &self.transport {
            Transport::Tcp(tcp) => tcp.fmt(f),
            Transport::Udp(udp) => write!(f, "udp ({})", udp.payload.len()),
            Transport::Icmp(icmp) => icmp.fmt(f),
            Transport::Other(protocol, bytes) => write!(f, "protocol {protocol} ({})", bytes.len()),
        }
    }
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.seq.wrapping_add(self.payload.len() as u32);
        write!(f, "{} {}:{end}({})", self.flags, self.seq, self.payload.len())?;
        if self.has(TcpFlags::ACK) {
            write!(f, " ack {}", self.ack)?;
        }
        write!(f, " win {}", self.window)?;
        if self.has(TcpFlags::URG) {
            write!(f, " urg {}", self.urgent)?;
        }
        if !self.options.is_empty() {
            f.write_str(" ")?;
            write_options(f, &self.options)?;
        }
        Ok(())
    }
}

/// Writes a list of options, as it stands behind a segment.
pub(in crate::run) fn write_options(f: &mut impl fmt::Write, options: &[TcpOption]) -> fmt::Result {
    f.write_str("<")?;
    for (index, option) in options.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        write!(f, "{comma}{option}")?;
    }
    f.write_str(">")
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "icmp type {} code {}", self.kind, self.code)?;
        if self.rest != 0 {
            write!(f, " mtu {}", self.rest)?;
        }
        write!(f, " ({})", self.body.len())
    }
}
