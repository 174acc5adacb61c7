//! What commands do, as values.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Something that a command does to the system under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sets a sysctl. The name has dots, the value stands as it was written, without blanks around it.
    SetSysctl {
        /// `net.ipv4.tcp_sack`.
        name: String,
        /// `1`.
        value: String,
    },
    /// Reads a sysctl; its value is the output.
    ReadSysctl {
        /// `net.ipv4.tcp_sack`.
        name: String,
    },
    /// Sets the parameter of a kernel module: `/sys/module/tcp_cubic/parameters/hystart_detect`.
    SetParameter {
        /// `tcp_cubic`.
        module: String,
        /// `hystart_detect`.
        name: String,
        /// `3`.
        value: String,
    },
    /// Changes the routes.
    Route(RouteChange),
    /// Adds an address to an interface, or takes it away.
    Address {
        /// Whether it is added.
        add: bool,
        /// The address.
        address: IpAddr,
        /// The length of its prefix.
        prefix: u8,
        /// The interface.
        device: String,
    },
    /// Changes an interface.
    Link {
        /// The interface.
        device: String,
        /// Whether it goes up or down.
        up: Option<bool>,
        /// Its MTU in bytes.
        mtu: Option<u32>,
    },
    /// Forgets what is known of all peers: RTT, ssthresh, fast-open cookies (`ip tcp_metrics flush all`).
    FlushMetrics,
    /// Reads the counters that `nstat` prints. The output is a line for each: its name, its value, `0.0`.
    ReadCounters {
        /// Whether values count from the start and not from the reading before (`-a`).
        absolute: bool,
        /// Whether counters that are 0 are printed too (`-z`).
        zeros: bool,
        /// Whether this reading is what the next counts from.
        remember: bool,
    },
    /// Reads a file, which is the output: `/proc/net/tcp` for one.
    ReadFile {
        /// The file.
        path: PathBuf,
    },
    /// Writes a file outside of `/proc/sys` and `/sys`.
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What is written.
        content: Vec<u8>,
        /// Whether behind what is there already.
        append: bool,
    },
    /// Removes a file. That it isn't there is an error only without `-f`, which the status says then.
    RemoveFile {
        /// The file.
        path: PathBuf,
    },
    /// Waits.
    Sleep(Duration),
    /// Switches an interface's offloads on or off (`ethtool -K tun0 tso off`).
    Offload {
        /// The interface.
        device: String,
        /// The features and whether they are on.
        features: Vec<(String, bool)>,
    },
    /// Changes the queue of an interface (`tc qdisc add dev tun0 root pfifo limit 0`).
    Discipline {
        /// `add`, `replace`, `change`, `del`.
        action: String,
        /// The interface.
        device: String,
        /// `pfifo`; `None` if it goes away.
        kind: Option<String>,
        /// What stands behind the kind.
        arguments: Vec<String>,
    },
    /// Something that means nothing to a stack in a program, to be printed.
    Note(
        /// The command.
        String,
    ),
}

/// A change of the routes (ip-route(8)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// What to do.
    pub action: RouteAction,
    /// The destination with the length of its prefix; `None` for the default route.
    pub destination: Option<(IpAddr, u8)>,
    /// Whether it is of IPv6: `-6`, or an address of it.
    pub v6: bool,
    /// `via`: the next hop.
    pub via: Option<IpAddr>,
    /// `dev`: the interface.
    pub device: Option<String>,
    /// `src`: the source address.
    pub source: Option<IpAddr>,
    /// `local`: the addresses of the network are the host's own.
    pub local: bool,
    /// What else the route says of its connections.
    pub attributes: Vec<RouteAttribute>,
}

/// What to do with a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteAction {
    /// `add`: fails if it is there.
    Add,
    /// `change`: fails if it isn't there.
    Change,
    /// `replace`, and `append`: whether it is there or not.
    Replace,
    /// `del`: fails if it isn't there.
    Delete,
}

/// What a route says of the connections that go over it (ip-route(8)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteAttribute {
    /// `mtu 1400`, or `mtu lock 1400`: then no ICMP message changes it.
    Mtu {
        /// In bytes.
        value: u32,
        /// Whether it is locked.
        locked: bool,
    },
    /// A number by its name: `advmss`, `initcwnd`, `initrwnd`, `window`, `ssthresh`, `cwnd`, `reordering`, `hoplimit`,
    /// `quickack`, `fastopen_no_cookie`, `metric`.
    Number {
        /// `advmss`.
        name: String,
        /// The value.
        value: u32,
        /// Whether `lock` stands before the value.
        locked: bool,
    },
    /// A time by its name: `rtt`, `rttvar`, `rto_min`.
    Time {
        /// `rto_min`.
        name: String,
        /// The value.
        value: Duration,
        /// Whether `lock` stands before the value.
        locked: bool,
    },
    /// A word by its name: `congctl`, `features`.
    Word {
        /// `congctl`.
        name: String,
        /// The value.
        value: String,
    },
}

/// What came of something.
///
/// ```
/// use tapsock_conformance::shell::Outcome;
///
/// assert_eq!(Outcome::printed("1\n"), Outcome { status: 0, output: "1\n".to_owned() });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// 0 if it was done.
    pub status: u8,
    /// What it printed.
    pub output: String,
}

impl Outcome {
    /// Done, and nothing printed.
    pub fn done() -> Outcome {
        Outcome::default()
    }

    /// Done, and this printed.
    pub fn printed(output: impl Into<String>) -> Outcome {
        Outcome { status: 0, output: output.into() }
    }

    /// Not done.
    pub fn failed() -> Outcome {
        Outcome { status: 1, output: String::new() }
    }
}

/// Whom a shell tells what to do: the stack under test, or the kernel.
pub trait System {
    /// Does it. What can't be done is an outcome with a status, not an error: commands may ask for it.
    fn apply(&mut self, effect: Effect) -> Outcome;

    /// The text of a shell script that a command calls.
    ///
    /// # Errors
    ///
    /// The file isn't there, or can't be read.
    fn script(&mut self, path: &Path) -> io::Result<String>;
}

/// A system that does nothing but to keep what it was told, for tests and for a look at what a script would do.
///
/// ```
/// use std::path::Path;
/// use tapsock_conformance::shell::{Effect, Outcome, Recorder, System};
///
/// let mut system = Recorder::new().with_script("a.sh", "true");
/// assert_eq!(system.apply(Effect::FlushMetrics), Outcome::done());
/// assert_eq!(system.effects, [Effect::FlushMetrics]);
/// assert_eq!(system.script(Path::new("a.sh")).unwrap(), "true");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// What it was told, in order.
    pub effects: Vec<Effect>,
    scripts: HashMap<PathBuf, String>,
    outputs: Vec<(Effect, Outcome)>,
}

impl Recorder {
    /// One that was told nothing.
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// One that has this script.
    #[must_use]
    pub fn with_script(mut self, path: &str, text: &str) -> Recorder {
        self.scripts.insert(PathBuf::from(path), text.to_owned());
        self
    }

    /// One that gives this outcome when it is told that.
    #[must_use]
    pub fn with_outcome(mut self, effect: Effect, outcome: Outcome) -> Recorder {
        self.outputs.push((effect, outcome));
        self
    }
}

impl System for Recorder {
    fn apply(&mut self, effect: Effect) -> Outcome {
        let known = self.outputs.iter().find(|(known, _)| *known == effect);
        let outcome = known.map(|(_, outcome)| outcome.clone()).unwrap_or_default();
        self.effects.push(effect);
        outcome
    }

    fn script(&mut self, path: &Path) -> io::Result<String> {
        self.scripts.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
