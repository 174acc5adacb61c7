//! Socket options on both stacks.

use tapsock::Errno;
use tapsock::bsd::{SO_COOKIE, SOL_SOCKET, SOL_TCP, TCP_INFO, TCP_TIMESTAMP};

use super::{Sock, Stack, World, did, value};

/// Options with a value of its own each time: a number that no other socket has, and a clock.
const OWN: [(i32, i32); 2] = [(SOL_SOCKET, SO_COOKIE), (SOL_TCP, TCP_TIMESTAMP)];

/// How long ago something was sent and came, in `struct tcp_info`.
const TIMES: core::ops::Range<usize> = 44..60;

impl World {
    /// getsockopt(2)
    pub fn option(&mut self, socket: Sock, level: i32, name: i32, room: usize) {
        self.call(format!("getsockopt({socket}, {level}, {name}, {room})"), |stack, _| {
            asked(stack, socket, (level, name), room)
        });
    }

    /// setsockopt(2)
    pub fn set_option(&mut self, socket: Sock, level: i32, name: i32, bytes: &[u8]) {
        let call = format!("setsockopt({socket}, {level}, {name}, {})", value(bytes));
        self.call(call, |stack, _| did(stack.calls.set_option(socket, level, name, bytes)));
    }

    /// setsockopt(2), where this stack does not refuse the option with ENOPROTOOPT.
    pub(in super::super) fn set_option_that_is_there(
        &mut self,
        socket: Sock,
        level: i32,
        name: i32,
        bytes: &[u8],
    ) {
        if self.stacks[1].calls.set_option(socket, level, name, bytes) != Err(Errno::NOPROTOOPT) {
            self.set_option(socket, level, name, bytes);
        }
    }

    /// getsockopt(2), where this stack does not refuse the option with ENOPROTOOPT.
    pub(in super::super) fn option_that_is_there(
        &mut self,
        socket: Sock,
        level: i32,
        name: i32,
        room: usize,
    ) {
        if self.stacks[1].calls.option(socket, level, name, room) != Err(Errno::NOPROTOOPT) {
            self.option(socket, level, name, room);
        }
    }

    /// Whether this stack has the option on such a socket.
    pub(in super::super) fn is_there(&mut self, socket: Sock, (level, name): (i32, i32)) -> bool {
        let calls = &mut self.stacks[1].calls;
        let refused = [
            calls.option(socket, level, name, 4).err(),
            calls.set_option(socket, level, name, &1i32.to_ne_bytes()).err(),
        ];
        !refused.iter().all(|error| matches!(error, Some(Errno::NOPROTOOPT | Errno::OPNOTSUPP)))
    }

    /// What the stacks answer who sets an option, or reads it into so much room: that need not be the same.
    pub(in super::super) fn answers(
        &mut self,
        socket: Sock,
        (level, name): (i32, i32),
        set: Option<&[u8]>,
        room: usize,
    ) -> [String; 2] {
        self.stacks.each_mut().map(|stack| match set {
            Some(bytes) => did(stack.calls.set_option(socket, level, name, bytes)),
            None => asked(stack, socket, (level, name), room),
        })
    }
}

fn asked(stack: &mut Stack, socket: Sock, (level, name): (i32, i32), room: usize) -> String {
    match stack.calls.option(socket, level, name, room) {
        Ok(bytes) if OWN.contains(&(level, name)) => format!("{} bytes of its own", bytes.len()),
        Ok(mut bytes) => {
            if (level, name) == (SOL_TCP, TCP_INFO) {
                bytes.get_mut(TIMES).unwrap_or_default().fill(0);
            }
            value(&bytes)
        }
        Err(errno) => errno.to_string(),
    }
}
