//! What shell commands do to the stack under test.

use core::net::{IpAddr, SocketAddr};
use std::io;
use std::path::Path;

use tapsock_sockets::OptionValue;
use tapsock_sockets::constants::{AF_INET, AF_INET6, SO_DOMAIN, SOL_SOCKET, SOL_TCP, TCP_INFO};
use tapsock_stack::config::SettingError;
use tapsock_stack::iface::{InterfaceError, IpCidr, Route};
use tapsock_stack::wire::offload::LinkCaps;

use super::StackTarget;
use crate::run::target::Target;
use crate::shell::{Effect, Outcome, RouteAction, RouteAttribute, RouteChange, System, read_file};

/// The features of ethtool(8) that say whether the interface takes merged segments.
const SEGMENTATION: [&str; 4] = ["tso", "gso", "tcp-segmentation-offload", "generic-segmentation-offload"];

impl System for StackTarget {
    fn apply(&mut self, effect: Effect) -> Outcome {
        match effect {
            Effect::SetSysctl { name, value } => self.set_setting(&name, &value),
            Effect::ReadSysctl { name } => self.read_setting(&name),
            Effect::SetParameter { module, name, value } => {
                self.set_setting(&format!("tapsock.{module}.{name}"), &value)
            }
            Effect::Route(change) => self.change_route(&change),
            Effect::Address { add, address, prefix, .. } => {
                self.change_address(add, IpCidr::new(address, prefix))
            }
            Effect::Link { mtu, .. } => {
                let caps = LinkCaps { mtu: mtu.map_or(self.caps.mtu, |mtu| mtu as usize), ..self.caps };
                self.change_link(caps)
            }
            Effect::FlushMetrics => {
                self.sockets.stack_mut().flush_fast_open();
                Outcome::done()
            }
            Effect::ReadCounters { absolute, zeros, remember } => {
                self.read_counters(absolute, zeros, remember)
            }
            Effect::ReadFile { path } => self.read_file(&path),
            Effect::WriteFile { path, content, append } => {
                let file = self.descriptors.files.entry(path).or_default();
                if !append {
                    file.clear();
                }
                file.extend(content);
                Outcome::done()
            }
            Effect::RemoveFile { path } => match self.descriptors.files.remove(&path) {
                Some(_) => Outcome::done(),
                None => Outcome::failed(),
            },
            Effect::Sleep(duration) => {
                let until = self.now() + duration;
                self.pass(until);
                Outcome::done()
            }
            Effect::Offload { features, .. } => {
                let segments = features.iter().rfind(|(name, _)| SEGMENTATION.contains(&name.as_str()));
                let Some((_, on)) = segments else { return Outcome::done() };
                let (medium, mtu) = (self.caps.medium, self.caps.mtu);
                self.change_link(match on {
                    true => LinkCaps::offloading(medium, mtu),
                    false => LinkCaps::plain(medium, mtu),
                })
            }
            Effect::Discipline { action, kind, arguments, .. } => {
                let holds_none = arguments.iter().map(String::as_str).eq(["limit", "0"]);
                self.is_choked = holds_none && !action.starts_with("del");
                if let Some(kind) = kind.filter(|kind| kind != "pfifo") {
                    self.note(format!("no {kind}: what is sent waits in no queue"));
                }
                Outcome::done()
            }
            Effect::Note(command) => {
                self.note(format!("without meaning here: {command}"));
                Outcome::done()
            }
        }
    }

    fn script(&mut self, path: &Path) -> io::Result<String> {
        read_file(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl StackTarget {
    /// Sets a setting. One that the stack has not is kept, so that it can be read again, and noted: who depends on it
    /// fails by what is sent.
    fn set_setting(&mut self, name: &str, value: &str) -> Outcome {
        match self.sockets.stack_mut().config_mut().set(name, value) {
            Ok(()) => return Outcome::done(),
            Err(SettingError::UnknownName) => self.note(format!("no such setting: {name}")),
            Err(SettingError::BadValue | SettingError::ReadOnly) => {
                self.note(format!("{name} can't be {value}"));
                return Outcome::failed();
            }
        }
        self.without_meaning.insert(name.to_owned(), value.to_owned());
        Outcome::done()
    }

    fn read_setting(&mut self, name: &str) -> Outcome {
        let shown = self.sockets.stack().config().show(name);
        let shown = shown.or_else(|| self.without_meaning.get(name).cloned());
        match shown {
            Some(value) => Outcome::printed(format!("{value}\n")),
            None => {
                self.note(format!("no such setting: {name}"));
                Outcome::printed("0\n")
            }
        }
    }

    fn change_link(&mut self, caps: LinkCaps) -> Outcome {
        self.caps = caps;
        match self.sockets.stack_mut().set_link_caps(self.interface, caps) {
            Ok(()) => Outcome::done(),
            Err(_) => Outcome::failed(),
        }
    }

    fn change_address(&mut self, add: bool, address: IpCidr) -> Outcome {
        let stack = self.sockets.stack_mut();
        let changed = match add {
            true => stack.add_address(self.interface, address),
            false => stack.remove_address(self.interface, address.address),
        };
        if changed.is_ok() { Outcome::done() } else { Outcome::failed() }
    }

    fn change_route(&mut self, change: &RouteChange) -> Outcome {
        let everywhere = if change.v6 { "::/0" } else { "0.0.0.0/0" };
        let destination = match change.destination {
            Some((address, prefix)) => IpCidr::new(address, prefix),
            None => everywhere.parse().expect("it is a prefix"),
        };
        if change.local {
            return self.change_local_network(change.action, destination);
        }
        let mut route = Route { source: change.source, ..Route::direct(destination, self.interface) };
        for attribute in &change.attributes {
            match attribute {
                RouteAttribute::Mtu { value, .. } => route.mtu = u16::try_from(*value).ok(),
                RouteAttribute::Number { name, value, .. } => match name.as_str() {
                    "metric" => route.metric = *value,
                    "advmss" => route.advmss = u16::try_from(*value).ok(),
                    "initcwnd" => route.initcwnd = u16::try_from(*value).ok(),
                    "initrwnd" => route.initrwnd = u16::try_from(*value).ok(),
                    _ => self.note(format!("routes don't say so: {attribute:?}")),
                },
                other => self.note(format!("routes don't say so: {other:?}")),
            }
        }
        let stack = self.sockets.stack_mut();
        let gone = match change.action {
            RouteAction::Add => true,
            _ => stack.remove_route(destination, None).is_ok(),
        };
        let changed = match change.action {
            RouteAction::Delete => gone,
            RouteAction::Change if !gone => false,
            RouteAction::Add | RouteAction::Change | RouteAction::Replace => stack.add_route(route).is_ok(),
        };
        if changed { Outcome::done() } else { Outcome::failed() }
    }

    /// A route of type local: the addresses of a network are the host's.
    fn change_local_network(&mut self, action: RouteAction, network: IpCidr) -> Outcome {
        let stack = self.sockets.stack_mut();
        let changed = match action {
            RouteAction::Add => stack.add_local_network(network).is_ok(),
            RouteAction::Delete => stack.remove_local_network(network).is_ok(),
            // It says nothing beside the network.
            RouteAction::Change => false,
            RouteAction::Replace => {
                matches!(stack.add_local_network(network), Ok(()) | Err(InterfaceError::Exists))
            }
        };
        if changed { Outcome::done() } else { Outcome::failed() }
    }

    fn read_counters(&mut self, absolute: bool, zeros: bool, remember: bool) -> Outcome {
        let now: Vec<_> = self.sockets.stack().counters().iter().collect();
        let mut text = String::from("#kernel\n");
        for (index, (counter, value)) in now.iter().enumerate() {
            let before = if absolute { 0 } else { self.counted.get(index).copied().unwrap_or(0) };
            if zeros || *value > before {
                text.push_str(&format!("{:<32}{:<18}0.0\n", counter.name(), value - before));
            }
        }
        if remember {
            self.counted = now.into_iter().map(|(_, value)| value).collect();
        }
        Outcome::printed(text)
    }

    fn read_file(&mut self, path: &Path) -> Outcome {
        match (path.to_str(), self.descriptors.files.get(path)) {
            (_, Some(bytes)) => Outcome::printed(String::from_utf8_lossy(bytes)),
            (Some("/proc/net/tcp"), None) => Outcome::printed(self.socket_list(AF_INET)),
            (Some("/proc/net/tcp6"), None) => Outcome::printed(self.socket_list(AF_INET6)),
            _ => Outcome::failed(),
        }
    }

    /// The sockets that the script holds, as proc_net_tcp(5) has them: addresses, and states by TCP_INFO.
    fn socket_list(&mut self, domain: i32) -> String {
        let mut text = String::from("  sl  local_address rem_address   st tx_queue:rx_queue\n");
        for (index, fd) in self.descriptors.sockets().into_iter().enumerate() {
            let of_domain = |value: OptionValue| value.as_int() == Some(domain);
            if !self.sockets.option(self.now, fd, SOL_SOCKET, SO_DOMAIN).is_ok_and(of_domain) {
                continue;
            }
            let Ok(info) = self.sockets.option(self.now, fd, SOL_TCP, TCP_INFO) else { continue };
            let state = info.as_bytes().first().copied().unwrap_or(0);
            let local = self.sockets.local_address(fd).ok().and_then(|address| address.to_inet());
            let peer = self.sockets.peer_address(fd).ok().and_then(|address| address.to_inet());
            text.push_str(&format!(
                "{index:4}: {} {} {state:02X} 00000000:00000000\n",
                in_hex(local),
                in_hex(peer)
            ));
        }
        text
    }

    fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}

/// An address as `/proc/net` shows it: words as they lie in memory, and the port.
fn in_hex(address: Option<SocketAddr>) -> String {
    let bytes = match address.map(|address| address.ip()) {
        Some(IpAddr::V4(ip)) => ip.octets().to_vec(),
        Some(IpAddr::V6(ip)) => ip.octets().to_vec(),
        None => vec![0; 4],
    };
    let words = bytes.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    let words: String = words.map(|word| format!("{word:08X}")).collect();
    format!("{words}:{:04X}", address.map_or(0, |address| address.port()))
}
