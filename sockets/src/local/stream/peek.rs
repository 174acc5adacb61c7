//! Looking at a stream without taking from it.

use super::{Reach, Receiving, Stream};
use crate::local::pair::EndOptions;
use crate::local::payload::Sink;

impl<R: Clone> Stream<R> {
    /// Shows what `call` asks for, from SO_PEEK_OFF on. Urgent bytes bound it as they bound a read, but for the one that
    /// SO_PEEK_OFF leads to, which Linux shows as any other.
    pub(super) fn peek(
        &self,
        call: &mut Receiving<R>,
        options: &mut EndOptions,
        sink: &mut impl Sink,
    ) -> Reach {
        let mut skip = options.peek_start().unwrap_or(0);
        // Where the next piece begins in the queue of bytes.
        let mut start = 0;
        // Whether the next piece may be a bound: not those that SO_PEEK_OFF passes, and what it leads to.
        let mut bounds = true;
        // Whether the last piece was looked at.
        let mut found = false;
        for (number, piece) in (self.front..).zip(&self.pieces) {
            let left = piece.left as usize;
            let offset = start;
            start += if piece.apart.is_some() { 0 } else { left };
            found = false;
            if bounds && left == 0 {
                if !call.is_empty() && self.urgent.is_none() {
                    return Reach::Done;
                }
                continue;
            }
            if bounds && self.urgent == Some(number) {
                if !call.is_empty() {
                    return Reach::Done;
                }
                if !options.urgent_inline {
                    bounds = false;
                    continue;
                }
            }
            bounds = false;
            if skip >= left {
                skip -= left;
                continue;
            }
            if !call.joins(piece.credentials, options) {
                return Reach::Done;
            }
            call.found = true;
            let count = call.left().min(left - skip);
            match piece.apart {
                None => self.bytes.peek(offset + skip, count, sink),
                Some(byte) if count == 1 => sink.bytes(&[byte]),
                Some(_) => {}
            }
            (skip, bounds, found) = (0, true, true);
            call.len += count;
            options.peeked(count);
            call.rights.extend(piece.rights.iter().cloned());
            // Linux looks on where it has all bytes that were asked for, so that handles of a later piece show early.
            if !piece.rights.is_empty() {
                return Reach::Done;
            }
        }
        // A peek does not wait for more.
        if found || !call.is_empty() { Reach::Done } else { Reach::End }
    }
}
