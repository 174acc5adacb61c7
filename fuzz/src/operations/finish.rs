//! The end of a run: what was written has arrived, and nothing is left of what was closed.

use core::time::Duration;

use tapsock_stack::stack::{Linger, Stack};
use tapsock_stack::tcp::State;
use tapsock_stack::tcp::connection::Shutdown;

use super::sockets::Socket;
use super::world::World;

/// Times in a row that nothing comes before the streams are looked at: more than an hour.
const MAX_IDLE: u32 = 200;

impl World {
    /// The wire is good again: what was written arrives. Then all is closed, and nothing is left to be done. What the
    /// stacks still hold is returned with them.
    pub(super) fn finish(mut self) -> [Stack; 2] {
        (self.lose_every, self.delay_every) = (0, 0);
        let mut idle = 0;
        while idle < MAX_IDLE {
            let before: u64 = self.sockets.iter().map(|socket| socket.read).sum();
            self.read_and_end();
            let after: u64 = self.sockets.iter().map(|socket| socket.read).sum();
            idle = if before == after { idle + 1 } else { 0 };
            // Where nothing comes at once, somebody waits for a deadline.
            self.pass(if idle < 3 { Duration::from_millis(20) } else { Duration::from_secs(20) });
        }
        self.check_streams();
        for host in 0..2 {
            while !self.hosts[host].listeners.is_empty() {
                self.close_listener(host);
            }
        }
        for socket in self.sockets.iter().filter(|socket| socket.held) {
            self.hosts[socket.host].stack.tcp_close(self.now, socket.id, Linger::Background);
        }
        self.pass(Duration::from_secs(3 * 3600));
        for host in &self.hosts {
            let left = host.stack.unfinished();
            assert_eq!(left.connections, 0, "{left:?} hours after all was closed");
            assert_eq!(host.stack.poll_timeout(), None, "somebody still waits");
        }
        self.hosts.map(|host| host.stack)
    }

    /// Every program reads what there is, and writes no more.
    fn read_and_end(&mut self) {
        for host in 0..2 {
            self.accept(host);
        }
        for socket in self.sockets.iter_mut().filter(|socket| socket.held) {
            let stack = &mut self.hosts[socket.host].stack;
            while socket.read(stack, self.now, usize::MAX) {}
            if stack.tcp(socket.id).is_some_and(|connection| !connection.is_write_closed()) {
                socket.shutdown(stack, self.now, Shutdown::Write);
            }
            // After the peer's end a reader is not told of it.
            socket.error = socket.error.or(stack.tcp_take_error(socket.id));
        }
    }

    /// Where nobody closed, forged or failed, each end has read all that the other wrote.
    fn check_streams(&self) {
        if self.hosts.iter().any(|host| host.down) {
            return;
        }
        let sound = |socket: &Socket| {
            let alone = |other: &&Socket| (other.local, other.remote) == (socket.local, socket.remote);
            socket.held
                && socket.trusted
                && !socket.deaf
                && socket.error.is_none()
                && self.sockets.iter().filter(alone).count() == 1
        };
        for one in self.sockets.iter().filter(|socket| sound(socket)) {
            for two in self.sockets.iter().filter(|other| other.mirrors(one) && sound(other)) {
                let what =
                    format!("{:?} of\n{one:?} {:?}\n{two:?} {:?}", self.now, self.info(one), self.info(two));
                assert_eq!(one.written, two.read, "bytes are missing at {what}");
                assert!(two.ended, "the end has not come at {what}");
            }
        }
    }

    fn info(&self, socket: &Socket) -> Option<(State, u32, u32, u32)> {
        let info = self.hosts[socket.host].stack.tcp_info(socket.id)?;
        Some((info.state, info.notsent, info.snd_wnd, info.rcv_wnd))
    }
}
