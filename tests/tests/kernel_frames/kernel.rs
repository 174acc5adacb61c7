//! The kernel, in a namespace of its own, with this program at the other end of its links.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tapsock::bsd::{SO_ERROR, SOCK_NONBLOCK, SOL_SOCKET};
use tapsock::{Errno, SockAddr};
use tapsock_driver::{KernelEnd, Link, Namespace, OpenError, RecvHalf, RecvSlot, SendHalf};
use tapsock_stack::buf::{HeaderBlock, Rope};
use tapsock_stack::wire::offload::Transmit;
use tapsock_tests::differential::{KernelSockets, Outgoing, SocketCalls};

use crate::craft::{host_station, station_text};
use crate::host::{End, Sent, Setup, Way};

pub struct Kernel {
    ports: Vec<Port>,
    calls: KernelSockets,
    began: Instant,
    namespace: Namespace,
}

struct Port {
    receive: Box<dyn RecvHalf>,
    send: Box<dyn SendHalf>,
    slot: RecvSlot,
    index: u32,
}

impl Kernel {
    pub fn open(setup: &Setup) -> Result<Kernel, OpenError> {
        let namespace = Namespace::create()?;
        // IPv6 begins when all is set.
        namespace.set_sysctl("net.ipv6.conf.default.disable_ipv6", "1").expect("a setting of the kernel's");
        let set = |name: &str, value: &str| {
            let set = namespace.set_sysctl(name, value);
            set.unwrap_or_else(|error| panic!("{name}={value}: {error}"));
        };
        let of_links = |name: &str| name.contains(".tap") || name.contains(".default.");
        setup.settings.iter().filter(|(name, _)| !of_links(name)).for_each(|(name, value)| set(name, value));
        let mut ports = Vec::new();
        for port in 0..setup.ports {
            let name = format!("tap{port}");
            let link: Box<dyn Link> = Box::new(namespace.open_tap(&KernelEnd::new(&name))?);
            let (receive, send) = link.split();
            let index = namespace.device(&name)?.index;
            ports.push(Port { receive, send, slot: RecvSlot::new(), index });
        }
        // Settings for links to come are the machine's alone; those for neighbours hold for both families here.
        for (name, value) in setup.settings.iter().filter(|(name, _)| of_links(name)) {
            for port in 0..setup.ports {
                let name = name.replace(".default.", &format!(".tap{port}."));
                set(&name, value);
                if name.contains(".neigh.") {
                    set(&name.replace("ipv4", "ipv6"), value);
                }
            }
        }
        let calls = KernelSockets::new(&namespace);
        let kernel = Kernel { ports, calls, began: Instant::now(), namespace };
        for port in 0..setup.ports {
            let station = station_text(host_station(port));
            kernel.ip(&["link", "set", &format!("tap{port}"), "address", &station]);
        }
        Ok(kernel)
    }

    fn ip(&self, arguments: &[&str]) {
        let output = self.namespace.command("ip").args(arguments).output().expect("ip can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {arguments:?}: {said}");
    }

    /// Takes what has come.
    fn take_sent(&mut self, sent: &mut Vec<Sent>) {
        let at = self.began.elapsed();
        for (number, port) in self.ports.iter_mut().enumerate() {
            while let Ok(frame) = port.receive.receive(&mut port.slot) {
                sent.push(Sent { at, port: number, bytes: frame.bytes.to_vec() });
            }
        }
    }
}

impl End for Kernel {
    fn begin(&mut self, setup: &Setup) {
        // Whatever it has sent until now belongs to no script.
        self.pass(Duration::ZERO);
        self.began = Instant::now();
        for port in 0..setup.ports {
            self.set(&format!("net.ipv6.conf.tap{port}.disable_ipv6"), "0");
        }
        for (port, cidr) in setup.addresses {
            self.add_address(*port, cidr);
        }
        for way in setup.ways {
            self.add_route(way);
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn pass(&mut self, time: Duration) -> Vec<Sent> {
        let until = Instant::now() + time;
        let mut sent = Vec::new();
        loop {
            self.take_sent(&mut sent);
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return sent;
            }
            let fds = self.ports.iter().map(|port| port.receive.poll_fd().expect("a TAP has a descriptor"));
            let mut entries: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let left = Timespec::try_from(left).expect("it is a short time");
            poll(&mut entries, Some(&left)).expect("poll(2) does not fail");
        }
    }

    fn inject(&mut self, port: usize, frame: &[u8]) {
        let mut headers = HeaderBlock::new();
        headers.prepend(14).copy_from_slice(&frame[..14]);
        let payload = Rope::from(frame[14..].to_vec());
        let frame = Transmit { headers, payload, checksum: None, segmentation: None };
        self.ports[port].send.transmit(&frame).expect("the device takes it");
    }

    fn set(&mut self, name: &str, value: &str) {
        let set = self.namespace.set_sysctl(name, value);
        set.unwrap_or_else(|error| panic!("{name}={value}: {error}"));
    }

    fn add_address(&mut self, port: usize, cidr: &str) {
        self.ip(&["address", "add", cidr, "dev", &format!("tap{port}")]);
    }

    fn remove_address(&mut self, port: usize, cidr: &str) {
        self.ip(&["address", "del", cidr, "dev", &format!("tap{port}")]);
    }

    fn add_route(&mut self, way: &Way) {
        let device = format!("tap{}", way.port);
        let mtu = way.mtu.map(|mtu| mtu.to_string());
        let mut arguments = vec!["route", "add", way.kind, way.to];
        if way.kind == "unicast" {
            arguments.extend(["dev", &device]);
        }
        arguments.extend(way.via.iter().flat_map(|gateway| ["via", gateway]));
        arguments.extend(mtu.iter().flat_map(|mtu| ["mtu", mtu]));
        if way.to.contains(':') {
            arguments.insert(0, "-6");
        }
        self.ip(&arguments);
    }

    fn index(&self, port: usize) -> u32 {
        self.ports[port].index
    }

    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> i32 {
        self.calls.socket(domain, kind | SOCK_NONBLOCK, protocol).expect("there is room for it")
    }

    fn bind(&mut self, socket: i32, to: &SockAddr) -> Result<(), Errno> {
        self.calls.bind(socket, &to.as_bytes())
    }

    fn connect(&mut self, socket: i32, to: &SockAddr) -> Result<(), Errno> {
        self.calls.connect(socket, &to.as_bytes())
    }

    fn set_option(&mut self, socket: i32, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
        self.calls.set_option(socket, level, name, value)
    }

    fn send(&mut self, socket: i32, data: &[u8], to: Option<&SockAddr>) -> Result<usize, Errno> {
        let to = to.map(|to| to.as_bytes().to_vec());
        self.calls.send(socket, &Outgoing { to: to.as_deref(), ..Outgoing::of(data) }, 0)
    }

    fn close(&mut self, socket: i32) {
        self.calls.close(socket).expect("it is open");
    }

    fn error(&mut self, socket: i32) -> i32 {
        let value = self.calls.option(socket, SOL_SOCKET, SO_ERROR, 4).expect("it is open");
        i32::from_ne_bytes(value.try_into().expect("four bytes"))
    }
}
