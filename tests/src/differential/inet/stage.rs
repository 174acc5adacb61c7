//! Where sequences run: a network namespace, with ports of their own.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tapsock::bsd::{AF_INET, SO_TIMESTAMP, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET};
use tapsock::{Errno, SockAddr};
use tapsock_driver::{Namespace, OpenError};
use tapsock_stack::config::Config;

use crate::differential::{KernelSockets, Outgoing, Room, SocketCalls};

/// Ports that a sequence has for itself.
pub(super) const SLOTS: u16 = 4;
/// The ports below the ephemeral ones that are given out in turn.
pub(super) const FIRST_PORT: u16 = 1_024;
const LAST_PORT: u16 = 32_000;
/// Sequences that share a namespace. Each leaves ports in TIME-WAIT, and those that the kernel chooses later may be of
/// these: after some thousand all are.
const SHARING: u32 = 100;
/// How long the stacks may take to come to the same rest.
const PATIENCE: Duration = Duration::from_secs(3);

/// A network namespace, in which each sequence has ports of its own. After some sequences it is another one.
///
/// ```
/// use tapsock_tests::differential::{Stage, World};
///
/// let Ok(stage) = Stage::new() else { return };
/// assert_eq!(World::new(&stage).difference(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Stage {
    /// It, and how many sequences it has seen.
    namespace: Arc<Mutex<(Namespace, u32)>>,
    next_port: Arc<AtomicU16>,
    pub(super) patience: Duration,
    /// Sequences that failed at first, and not when they were tried again.
    retried: Arc<AtomicU32>,
    /// A socket of the kernel's that asks for stamps. As long as one of all sockets of the machine does, the kernel stamps all
    /// that comes; otherwise it begins some time after the first has asked.
    _stamping: Arc<KernelSockets>,
}

/// A namespace in which each group may have ping sockets.
fn fresh_namespace() -> Result<Namespace, OpenError> {
    let namespace = Namespace::create()?;
    let group = rustix::process::getegid().as_raw();
    // Where that is refused, they are refused to sequences of them.
    let _ = namespace.set_sysctl("net.ipv4.ping_group_range", &format!("{group} {group}"));
    // Settings of the machine, which may be others than this stack's.
    let settings = Config::default();
    for name in ["net.ipv4.tcp_rmem", "net.ipv4.tcp_congestion_control"] {
        let _ = namespace.set_sysctl(name, &settings.show(name).expect("a setting"));
    }
    Ok(namespace)
}

/// Asks for stamps, and waits until data of streams get them.
fn begin_to_stamp(sockets: &mut KernelSockets) -> Result<(), Errno> {
    let on = 1i32.to_ne_bytes();
    let asking = sockets.socket(AF_INET, SOCK_DGRAM, 0)?;
    sockets.set_option(asking, SOL_SOCKET, SO_TIMESTAMP, &on)?;
    let [listener, client] =
        [sockets.socket(AF_INET, SOCK_STREAM, 0)?, sockets.socket(AF_INET, SOCK_STREAM, 0)?];
    let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    sockets.bind(listener, &SockAddr::V4(any).as_bytes())?;
    sockets.listen(listener, 1)?;
    let at = sockets.local_address(listener)?;
    sockets.connect(client, &at)?;
    let (server, _) = sockets.accept(listener, 0)?;
    sockets.set_option(server, SOL_SOCKET, SO_TIMESTAMP, &on)?;
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        sockets.send(client, &Outgoing::of(b"x"), 0)?;
        let taken = sockets.recv(server, Room { data: 1, control: 64 }, 0)?;
        if !taken.control.is_empty() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    [listener, client, server].into_iter().try_for_each(|socket| sockets.close(socket))
}

impl Stage {
    /// A namespace of its own.
    ///
    /// # Errors
    /// What the machine refuses it with.
    pub fn new() -> Result<Stage, OpenError> {
        let namespace = fresh_namespace()?;
        let mut stamping = KernelSockets::new(&namespace);
        // Without stamps sequences that ask for them fail.
        let _ = begin_to_stamp(&mut stamping);
        let namespace = Arc::new(Mutex::new((namespace, 0)));
        let (next_port, retried) = (Arc::new(AtomicU16::new(FIRST_PORT)), Arc::default());
        Ok(Stage { namespace, next_port, patience: PATIENCE, retried, _stamping: Arc::new(stamping) })
    }

    /// Another namespace, in which nobody has left anything. Where there is none to be had, it is the same as before.
    pub(super) fn renew(&self) {
        if let Ok(fresh) = fresh_namespace() {
            *self.held() = (fresh, 0);
        }
    }

    fn held(&self) -> MutexGuard<'_, (Namespace, u32)> {
        self.namespace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The namespace of the next sequence.
    pub(super) fn namespace(&self) -> Namespace {
        let uses = self.held().1;
        if uses >= SHARING {
            self.renew();
        }
        let mut held = self.held();
        held.1 += 1;
        held.0.clone()
    }

    /// The same, where the stacks have only that long to come to the same rest after a call. The kernel delays
    /// acknowledgements by 40 ms.
    pub fn with_patience(&self, patience: Duration) -> Stage {
        Stage { patience, ..self.clone() }
    }

    /// How many sequences failed at first, and not when they were tried again.
    pub fn retried(&self) -> u32 {
        self.retried.load(Ordering::Relaxed)
    }

    pub(super) fn on_retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    /// The first port of a sequence. Those that come back in the end are no longer in TIME-WAIT by then.
    pub(super) fn ports(&self) -> u16 {
        let next = |port: u16| Some(if port + SLOTS > LAST_PORT { FIRST_PORT } else { port + SLOTS });
        self.next_port
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .expect("there is always a next one")
    }
}
