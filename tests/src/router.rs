//! A router on our stack, between networks of the kernel's.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as Clock};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock_driver::link::RecvSlot;
use tapsock_driver::{Link, RecvHalf, SendHalf};
use tapsock_stack::config::Config;
use tapsock_stack::iface::{InterfaceId, IpCidr};
use tapsock_stack::stack::Stack;
use tapsock_stack::time::Instant;
use tapsock_stack::wire::EthernetAddress;
use tapsock_stack::wire::offload::Transmit;

/// Frames that are read of one link before the others have their turn.
const BATCH: usize = 64;

/// Frames that wait for a link that is not writable; more are dropped, as by any router.
const MAX_WAITING: usize = 1024;

/// How long the router sleeps at most, so that it sees that it is to end.
const NAP: Duration = Duration::from_millis(20);

/// A router that runs in a thread of its own until it is stopped.
///
/// ```
/// use tapsock_tests::router::Router;
///
/// let stack = Router::start(Vec::new(), &[]).stop();
/// assert_eq!(stack.interfaces().iter().count(), 1, "there is lo");
/// ```
#[derive(Debug)]
pub struct Router {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Stack>,
}

impl Router {
    /// A router of both families at `links`, each with the router's addresses there.
    ///
    /// # Panics
    /// Where an address or a setting is none.
    pub fn start(links: Vec<(Box<dyn Link>, Vec<IpCidr>)>, settings: &[(&str, &str)]) -> Router {
        let mut config = Config::default();
        let forwarding = [("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1")];
        for (name, value) in forwarding.iter().chain(settings) {
            config.set(name, value).expect("a setting with one of its values");
        }
        let mut stack = Stack::new(config, 7, Instant::ZERO);
        let mut ends = Vec::new();
        for (number, (link, addresses)) in (1..).zip(links) {
            let hardware = EthernetAddress([2, 0, 0, 0, 9, number]);
            let id = stack.add_interface(&format!("eth{number}"), hardware, link.caps());
            for address in addresses {
                stack.add_address(id.expect("room for it"), address).expect("an address");
            }
            let (receive, send) = link.split();
            ends.push(End { receive, send, slot: RecvSlot::new(), waiting: VecDeque::new() });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || run(stack, &mut ends, &stopped));
        Router { stop, thread }
    }

    /// Ends it, and returns the stack with its counters.
    ///
    /// # Panics
    /// Where the router has panicked.
    pub fn stop(self) -> Stack {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the router runs to its end")
    }
}

/// One link.
struct End {
    receive: Box<dyn RecvHalf>,
    send: Box<dyn SendHalf>,
    slot: RecvSlot,
    waiting: VecDeque<Transmit>,
}

impl End {
    /// Sends what waits, as far as the link takes it. A link that is gone takes all, and nothing comes of it.
    fn flush(&mut self) {
        while let Some(frame) = self.waiting.front() {
            match self.send.transmit(frame) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Ok(()) | Err(_) => drop(self.waiting.pop_front()),
            }
        }
    }
}

fn run(mut stack: Stack, ends: &mut [End], stop: &AtomicBool) -> Stack {
    let began = Clock::now();
    let now = || Instant::ZERO + began.elapsed();
    while !stop.load(Ordering::Relaxed) {
        let mut idle = true;
        for (number, end) in (1..).zip(ends.iter_mut()) {
            for _ in 0..BATCH {
                let Ok(frame) = end.receive.receive(&mut end.slot) else { break };
                idle = false;
                stack.receive(now(), InterfaceId(number), frame);
            }
        }
        if stack.poll_timeout().is_some_and(|at| at <= now()) {
            stack.handle_timeout(now());
        }
        while let Some((id, frame)) = stack.poll_transmit(now()) {
            let waiting = &mut ends[usize::from(id.0) - 1].waiting;
            if waiting.len() < MAX_WAITING {
                waiting.push_back(frame);
            }
        }
        ends.iter_mut().for_each(End::flush);
        if idle {
            sleep(ends, stack.poll_timeout().map(|at| at.saturating_since(now())));
        }
    }
    stack
}

/// Sleeps until a link has something, or room for what waits for it, or the time is over.
fn sleep(ends: &[End], until: Option<Duration>) {
    let mut fds = Vec::new();
    for end in ends {
        fds.extend(end.receive.poll_fd().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let blocked = end.send.poll_fd().filter(|_| !end.waiting.is_empty());
        fds.extend(blocked.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
    }
    let time = until.unwrap_or(NAP).min(NAP);
    let timeout = Timespec { tv_sec: 0, tv_nsec: time.as_nanos() as _ };
    // Woken by a signal, it looks again.
    let _ = poll(&mut fds, Some(&timeout));
}
