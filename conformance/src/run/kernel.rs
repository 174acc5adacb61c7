//! The running kernel as the target: a TUN device in the process's own network namespace, in real time.
//!
//! Packets of the kernel are seen by a packet socket, with the times that the kernel gives them; merged segments come
//! whole, as from a device that cuts them. Whoever runs this makes a namespace first, for it changes addresses, routes
//! and settings of the one that it is in.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tapsock_driver::KernelEnd;

use super::call::{Call, Descriptor, Outcome};
use super::packet::complete_checksums;
use super::stack::Network;
use super::target::{Sent, Target, Woken};

mod calls;
mod sys;
mod system;

pub use sys::hurry;

/// The device.
const DEVICE: &str = "tun0";

/// How long a call that is to wait may take until it does.
const SETTLING: Duration = Duration::from_millis(20);

/// How long before a point in time sleeping ends, and looking at the clock begins: a sleep ends late by up to two of
/// the kernel's ticks where it has no finer timers, and those are of 4 ms.
const SPIN: Duration = Duration::from_millis(10);

/// The longest sleep: the kernel says by itself that nothing is going to happen any more.
const FOREVER: Duration = Duration::from_secs(120);

/// The running kernel.
pub struct KernelTarget {
    tun: OwnedFd,
    packets: OwnedFd,
    /// What ends a call that waits too long.
    alarm: sys::Alarm,
    /// When the script began, since 1970.
    began: Duration,
    sent: VecDeque<Sent>,
    spawned: Option<Spawned>,
    ended: Option<(Duration, Outcome)>,
    /// Counters when they were read last.
    counted: BTreeMap<String, i64>,
    notes: Vec<String>,
    buffer: Vec<u8>,
}

/// A call in a thread of its own, and what tells that it has ended.
struct Spawned {
    outcome: Receiver<(Duration, Outcome)>,
    wake: OwnedFd,
}

impl KernelTarget {
    /// Makes the device in the process's own network namespace, with the addresses of `network`.
    ///
    /// # Errors
    ///
    /// The step that failed, and why.
    pub fn new(network: &Network) -> Result<Self, String> {
        sys::ignore_broken_pipes();
        let step = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let tun = sys::open_tun(DEVICE).map_err(step("/dev/net/tun"))?;
        sys::set_offloads(tun.as_fd(), network.segments).map_err(step("TUNSETOFFLOAD"))?;
        let end = KernelEnd { congestion_control: None, ..KernelEnd::new(DEVICE) };
        let end = end.mtu(network.mtu).route(network.peers, None);
        let end = network.local.into_iter().fold(end, KernelEnd::address);
        end.set_up().map_err(|error| error.to_string())?;
        let packets = sys::packet_socket(DEVICE).map_err(step("packet socket"))?;
        let alarm = sys::Alarm::new().map_err(step("timer"))?;
        Ok(KernelTarget {
            tun,
            packets,
            alarm,
            began: since_1970(),
            sent: VecDeque::new(),
            spawned: None,
            ended: None,
            counted: BTreeMap::new(),
            notes: Vec::new(),
            buffer: vec![0; 1 << 17],
        })
    }

    /// Takes what the kernel has sent, and the end of a call in a thread.
    fn collect(&mut self) {
        // What lies in the device was seen by the packet socket.
        while sys::read(self.tun.as_fd(), &mut self.buffer).is_ok() {}
        while let Ok(Some(packet)) = sys::receive_packet(self.packets.as_fd(), &mut self.buffer) {
            if !packet.is_outgoing {
                continue;
            }
            let mut bytes = self.buffer[..packet.len].to_vec();
            if packet.is_checksum_pending {
                complete_checksums(&mut bytes);
            }
            let at = packet.time.saturating_sub(self.began);
            self.sent.push_back(Sent { at, bytes });
        }
        if let Some((at, outcome)) = self.spawned.as_ref().and_then(|spawned| spawned.outcome.try_recv().ok())
        {
            self.spawned = None;
            self.ended = Some((at.saturating_sub(self.began), outcome));
        }
    }

    /// Sleeps until a packet comes, a call ends, or for `time`.
    fn sleep(&self, time: Duration) {
        let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        let mut fds = vec![PollFd::new(&self.packets, PollFlags::IN)];
        fds.extend(self.spawned.iter().map(|spawned| PollFd::new(&spawned.wake, PollFlags::IN)));
        // A signal ends it early, and whoever waits looks again.
        let _ = poll(&mut fds, Some(&timeout));
    }
}

impl Target for KernelTarget {
    fn begin(&mut self) {
        self.collect();
        self.sent.clear();
        self.began = since_1970();
    }

    fn now(&self) -> Duration {
        since_1970().saturating_sub(self.began)
    }

    fn wall_clock(&self) -> Duration {
        self.began
    }

    fn call(&mut self, call: Call, patience: Duration) -> Option<Outcome> {
        let begun = Instant::now();
        self.alarm.set(patience);
        let outcome = calls::perform(&call);
        self.alarm.clear();
        self.collect();
        // What the alarm interrupted returns something, too.
        (begun.elapsed() < patience).then_some(outcome)
    }

    fn spawn(&mut self, call: Call) {
        let (tell, outcome) = channel();
        let (wake, thread_id) = match (eventfd(0, EventfdFlags::NONBLOCK), channel()) {
            (Ok(wake), thread_id) => (wake, thread_id),
            (Err(error), _) => {
                self.ended = Some((self.now(), Outcome::failed(error)));
                return;
            }
        };
        let Ok(waker) = wake.try_clone() else { return };
        let tell_id = thread_id.0;
        thread::spawn(move || {
            // Nobody hears it only where the script has ended.
            let _ = tell_id.send(sys::thread_id());
            let outcome = calls::perform(&call);
            let _ = tell.send((since_1970(), outcome));
            let _ = std::fs::File::from(waker).write(&1u64.to_ne_bytes());
        });
        self.spawned = Some(Spawned { outcome, wake });
        if let Ok(id) = thread_id.1.recv() {
            await_sleep(id);
        }
        self.collect();
    }

    fn take_ended(&mut self) -> Option<(Duration, Outcome)> {
        self.collect();
        self.ended.take()
    }

    fn inject(&mut self, packet: Vec<u8>, peer_mss: Option<u16>) {
        if let Err(error) = sys::write_packet(self.tun.as_fd(), &packet, peer_mss) {
            self.notes.push(format!("the device takes no packet: {error}"));
        }
        self.collect();
    }

    fn sent(&mut self) -> &mut VecDeque<Sent> {
        self.collect();
        &mut self.sent
    }

    fn wait(&mut self, until: Option<Duration>) -> Woken {
        let end = until.unwrap_or_else(|| self.now() + FOREVER);
        loop {
            self.collect();
            if !self.sent.is_empty() || self.ended.is_some() {
                return Woken::Event;
            }
            let now = self.now();
            if now >= end {
                return if until.is_some() { Woken::Time } else { Woken::Never };
            }
            match (end - now).checked_sub(SPIN) {
                Some(time) => self.sleep(time),
                None => std::hint::spin_loop(),
            }
        }
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn tcp_info(&mut self, fd: Descriptor) -> Option<Vec<u8>> {
        sys::getsockopt(fd, libc::SOL_TCP, libc::TCP_INFO, Some(512)).ok()
    }

    fn memory_info(&mut self, fd: Descriptor) -> Option<Vec<u8>> {
        sys::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, Some(64)).ok()
    }
}

/// Waits until a thread sleeps, which is in the call that it was made for: or for as long as a call takes that does not.
fn await_sleep(thread: i32) {
    let begin = Instant::now();
    while begin.elapsed() < SETTLING {
        let state = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
        // The state stands behind the name, which may hold anything but comes in parentheses.
        match state.rsplit_once(") ").map(|(_, rest)| rest.starts_with('S')) {
            Some(false) => thread::yield_now(),
            Some(true) | None => return,
        }
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
