//! A connection as simple as can be: what was sent, in a list, for sequences whose sends fill no buffer and bear no
//! urgent byte.

use tapsock_sockets::local::Credentials;

use super::pair::{Connection, Op, Outcome, PROCESS, Shown};

/// Charge of a short send.
const CHARGE: u64 = 768;

#[derive(Clone, Debug)]
struct Sent {
    bytes: Vec<u8>,
    credentials: Credentials,
    rights: usize,
    peeked: bool,
}

#[derive(Debug, Default)]
struct End {
    inbox: Vec<Sent>,
    closed: bool,
    receive_shut: bool,
    send_shut: bool,
    reset: bool,
    passes: bool,
    offset: Option<usize>,
}

#[derive(Debug)]
pub struct Naive {
    records: bool,
    ends: [End; 2],
}

impl Naive {
    pub fn stream() -> Naive {
        Naive { records: false, ends: [End::default(), End::default()] }
    }

    pub fn seqpacket() -> Naive {
        Naive { records: true, ends: [End::default(), End::default()] }
    }

    fn send(&mut self, at: usize, data: &[u8], rights: usize, uid: Option<u32>) -> Result<usize, i32> {
        if self.records && core::mem::take(&mut self.ends[at].reset) {
            return Err(104);
        }
        if self.ends[at].send_shut {
            return Err(32);
        }
        let unknown = Credentials { pid: 0, uid: 65_534, gid: 65_534 };
        let seen = if self.ends.iter().any(|end| end.passes) { PROCESS } else { unknown };
        let credentials = uid.map_or(seen, |uid| Credentials { uid, gid: uid, ..PROCESS });
        if self.records || !data.is_empty() {
            let sent = Sent { bytes: data.to_vec(), credentials, rights, peeked: false };
            self.ends[1 - at].inbox.push(sent);
        }
        Ok(data.len())
    }

    fn recv_record(&mut self, at: usize, max: usize, peek: bool) -> Outcome {
        let end = &mut self.ends[at];
        if core::mem::take(&mut end.reset) {
            return Outcome { result: Err(104), ..Outcome::default() };
        }
        let (mut index, mut skip) = (0, 0);
        if peek && let Some(offset) = end.offset {
            skip = offset;
            while let Some(sent) = end.inbox.get(index)
                && skip >= sent.bytes.len()
                && (skip > 0 || sent.peeked)
            {
                skip -= sent.bytes.len();
                index += 1;
            }
        }
        let Some(sent) = end.inbox.get_mut(index) else {
            let result = if end.receive_shut { Ok(0) } else { Err(11) };
            return Outcome { result, ..Outcome::default() };
        };
        sent.peeked |= sent.bytes.is_empty();
        let sent = if peek { sent.clone() } else { end.inbox.remove(0) };
        let bytes: Vec<u8> = sent.bytes[skip..].iter().copied().take(max).collect();
        let moved = if peek { bytes.len() as isize } else { -(sent.bytes.len() as isize) };
        end.offset = end.offset.map(|offset| offset.saturating_add_signed(moved));
        Outcome {
            result: Ok(bytes.len()),
            truncated: skip + bytes.len() < sent.bytes.len(),
            bytes,
            rights: sent.rights,
            credentials: end.passes.then_some(sent.credentials),
        }
    }

    fn recv_stream(&mut self, at: usize, max: usize, peek: bool) -> Outcome {
        let end = &mut self.ends[at];
        let mut out = Outcome::default();
        let mut skip = if peek { end.offset.unwrap_or(0) } else { 0 };
        let mut rest = Vec::new();
        let (mut over, mut found) = (false, false);
        for mut sent in core::mem::take(&mut end.inbox) {
            if skip >= sent.bytes.len() {
                skip -= sent.bytes.len();
                rest.push(sent);
                continue;
            }
            over |= end.passes && out.credentials.is_some_and(|seen| seen != sent.credentials);
            if over {
                rest.push(sent);
                continue;
            }
            found = true;
            out.credentials = end.passes.then_some(sent.credentials);
            let count = (max - out.bytes.len()).min(sent.bytes.len() - skip);
            out.bytes.extend(&sent.bytes[skip..skip + count]);
            out.rights = sent.rights;
            over = sent.rights > 0 || !peek && out.bytes.len() == max;
            if peek {
                rest.push(sent);
            } else {
                sent.bytes.drain(..count);
                sent.rights = 0;
                rest.extend((!sent.bytes.is_empty()).then_some(sent));
            }
            skip = 0;
        }
        end.inbox = rest;
        let moved = if peek { out.bytes.len() as isize } else { -(out.bytes.len() as isize) };
        end.offset = end.offset.map(|offset| offset.saturating_add_signed(moved));
        out.result = match found {
            true => Ok(out.bytes.len()),
            false if core::mem::take(&mut end.reset) => Err(104),
            false if end.receive_shut => Ok(0),
            false => Err(11),
        };
        out
    }

    fn shutdown(&mut self, at: usize, reads: bool, writes: bool) {
        self.ends[at].receive_shut |= reads;
        self.ends[at].send_shut |= writes;
        self.ends[1 - at].receive_shut |= writes;
        self.ends[1 - at].send_shut |= reads;
    }
}

impl Connection for Naive {
    fn apply(&mut self, op: &Op, data: &[u8]) -> Outcome {
        let at = usize::from(op.side());
        if self.ends[at].closed {
            return Outcome::default();
        }
        let result = match *op {
            Op::Send { rights, uid, .. } => self.send(at, data, rights, uid),
            Op::Recv { max, peek, .. } if self.records => return self.recv_record(at, max, peek),
            Op::Recv { max, peek, .. } => return self.recv_stream(at, max, peek),
            Op::TakeError { .. } => Ok(if core::mem::take(&mut self.ends[at].reset) { 104 } else { 0 }),
            Op::Shutdown { how, .. } => {
                self.shutdown(at, how != 1, how != 0);
                Ok(0)
            }
            Op::PassCredentials { on, .. } => {
                self.ends[at].passes = on;
                Ok(0)
            }
            Op::PeekOffset { offset, .. } => {
                self.ends[at].offset = offset;
                Ok(0)
            }
            Op::Close { .. } => {
                let lost = core::mem::take(&mut self.ends[at].inbox);
                let from = usize::from(lost.first().is_some_and(|sent| sent.bytes.is_empty()));
                self.ends[1 - at].reset |= lost.len() > from;
                self.shutdown(at, true, true);
                self.ends[at].closed = true;
                Ok(0)
            }
            Op::SendBuffer { .. } | Op::UrgentInline { .. } => Ok(0),
        };
        Outcome { result, ..Outcome::default() }
    }

    fn shown(&self, side: bool) -> Option<Shown> {
        let at = usize::from(side);
        let (end, peer) = (&self.ends[at], &self.ends[1 - at]);
        let mut poll = 0x304;
        for (is, bits) in [
            (end.reset, 0x8),
            (end.receive_shut && end.send_shut, 0x10),
            (end.receive_shut, 0x2041),
            (!end.inbox.is_empty(), 0x41),
        ] {
            poll |= if is { bits } else { 0 };
        }
        let shown = Shown {
            poll,
            unread: end.inbox.iter().map(|sent| sent.bytes.len()).sum(),
            unsent: peer.inbox.len() as u64 * CHARGE,
            at_mark: false,
        };
        (!end.closed).then_some(shown)
    }
}
