//! What shell commands do to the kernel: settings are written where they are, and programs do the rest.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{DEVICE, KernelTarget, sys};
use crate::run::program;
use crate::shell::{Effect, Outcome, RouteAction, RouteAttribute, RouteChange, System, read_file};

impl System for KernelTarget {
    fn apply(&mut self, effect: Effect) -> Outcome {
        match effect {
            Effect::SetSysctl { name, value } => self.write(&sysctl_path(&name), &value),
            Effect::ReadSysctl { name } => match fs::read_to_string(sysctl_path(&name)) {
                Ok(value) => Outcome::printed(value),
                Err(error) => self.refused(&name, &error),
            },
            Effect::SetParameter { module, name, value } => {
                let path = PathBuf::from(format!("/sys/module/{module}/parameters/{name}"));
                // It belongs to the machine, and whoever may not change it goes on without.
                self.write(&path, &value);
                Outcome::done()
            }
            Effect::Route(change) => self.ip(route(&change)),
            Effect::Address { add, address, prefix, device } => {
                let action = if add { "add" } else { "del" };
                self.ip(["addr", action, &format!("{address}/{prefix}"), "dev", &device]
                    .map(str::to_owned)
                    .to_vec())
            }
            Effect::Link { device, up, mtu } => {
                let mut words = ["link", "set", "dev", &device].map(str::to_owned).to_vec();
                words.extend(up.map(|up| if up { "up" } else { "down" }.to_owned()));
                words.extend(mtu.into_iter().flat_map(|mtu| ["mtu".to_owned(), mtu.to_string()]));
                self.ip(words)
            }
            Effect::FlushMetrics => self.ip(["tcp_metrics", "flush", "all"].map(str::to_owned).to_vec()),
            Effect::ReadCounters { absolute, zeros, remember } => {
                self.read_counters(absolute, zeros, remember)
            }
            Effect::ReadFile { path } => match read_file(&path) {
                Ok(bytes) => Outcome::printed(String::from_utf8_lossy(&bytes)),
                Err(_) => Outcome::failed(),
            },
            Effect::WriteFile { path, content, append } => {
                let file = fs::OpenOptions::new()
                    .create(true)
                    .append(append)
                    .truncate(!append)
                    .write(true)
                    .open(path);
                outcome(file.and_then(|mut file| file.write_all(&content)))
            }
            Effect::RemoveFile { path } => outcome(fs::remove_file(path)),
            Effect::Sleep(duration) => {
                #[expect(clippy::disallowed_methods, reason = "the script asks for it")]
                std::thread::sleep(duration);
                Outcome::done()
            }
            Effect::Offload { features, .. } => {
                let is_segmentation = |name: &str| name.contains("tso") || name.contains("segmentation");
                let Some((_, on)) = features.iter().rfind(|(name, _)| is_segmentation(name)) else {
                    return Outcome::done();
                };
                outcome(sys::set_offloads(self.tun.as_fd(), *on))
            }
            Effect::Discipline { action, device, kind, arguments } => {
                let mut words = ["qdisc", &action, "dev", &device, "root"].map(str::to_owned).to_vec();
                words.extend(kind);
                words.extend(arguments);
                self.program("tc", &words)
            }
            Effect::Note(command) => {
                self.notes.push(format!("without meaning here: {command}"));
                Outcome::done()
            }
        }
    }

    fn script(&mut self, path: &Path) -> io::Result<String> {
        read_file(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl KernelTarget {
    fn write(&mut self, path: &Path, value: &str) -> Outcome {
        match fs::write(path, value) {
            Ok(()) => Outcome::done(),
            Err(error) => self.refused(&path.display().to_string(), &error),
        }
    }

    fn refused(&mut self, what: &str, error: &io::Error) -> Outcome {
        self.notes.push(format!("{what}: {error}"));
        Outcome::failed()
    }

    fn ip(&mut self, words: Vec<String>) -> Outcome {
        self.program("ip", &words)
    }

    /// Runs a program of the machine.
    fn program(&mut self, name: &str, words: &[String]) -> Outcome {
        let mut command = Command::new(name);
        command.args(words);
        match program::run(command, "", program::PATIENCE) {
            Ok(ended) if ended.status.success() => Outcome::done(),
            Ok(ended) => {
                self.notes.push(format!("{name} {}: {}", words.join(" "), ended.said));
                let status = ended.status.code().and_then(|code| code.try_into().ok());
                Outcome { status: status.unwrap_or(1), ..Outcome::done() }
            }
            Err(error) => self.refused(name, &error),
        }
    }

    fn read_counters(&mut self, absolute: bool, zeros: bool, remember: bool) -> Outcome {
        let now = counters();
        let mut text = String::from("#kernel\n");
        for (name, value) in &now {
            let before = if absolute { 0 } else { self.counted.get(name).copied().unwrap_or(0) };
            if zeros || *value != before {
                text.push_str(&format!("{name:<32}{:<18}0.0\n", value - before));
            }
        }
        if remember {
            self.counted = now;
        }
        Outcome::printed(text)
    }
}

/// The counters of the namespace, by the names that nstat gives them.
fn counters() -> BTreeMap<String, i64> {
    let mut counters = BTreeMap::new();
    for path in ["/proc/net/snmp", "/proc/net/netstat"] {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        // Each two lines are of one group: names, and values.
        for pair in lines.chunks_exact(2) {
            let mut names = pair[0].split_whitespace();
            let mut values = pair[1].split_whitespace();
            let group = names.next().unwrap_or_default().trim_end_matches(':');
            values.next();
            for (name, value) in names.zip(values) {
                counters.insert(format!("{group}{name}"), value.parse().unwrap_or(0));
            }
        }
    }
    let six = fs::read_to_string("/proc/net/snmp6").unwrap_or_default();
    for line in six.lines() {
        if let Some((name, value)) = line.split_once(char::is_whitespace) {
            counters.insert(name.to_owned(), value.trim().parse().unwrap_or(0));
        }
    }
    counters
}

fn outcome(result: io::Result<()>) -> Outcome {
    if result.is_ok() { Outcome::done() } else { Outcome::failed() }
}

fn sysctl_path(name: &str) -> PathBuf {
    let relative = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    Path::new("/proc/sys").join(relative)
}

/// The words of ip(8) for a change of routes.
fn route(change: &RouteChange) -> Vec<String> {
    let mut words = Vec::new();
    if change.v6 {
        words.push("-6".to_owned());
    }
    let action = match change.action {
        RouteAction::Add => "add",
        RouteAction::Change => "change",
        RouteAction::Replace => "replace",
        RouteAction::Delete => "del",
    };
    words.extend(["route", action].map(str::to_owned));
    if change.local {
        words.push("local".to_owned());
    }
    words.push(
        change.destination.map_or("default".to_owned(), |(address, prefix)| format!("{address}/{prefix}")),
    );
    let mut add = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(via) = change.via {
        add("via", via.to_string());
    }
    add("dev", change.device.clone().unwrap_or_else(|| DEVICE.to_owned()));
    if let Some(source) = change.source {
        add("src", source.to_string());
    }
    for attribute in &change.attributes {
        let (name, value, locked) = match attribute {
            RouteAttribute::Mtu { value, locked } => ("mtu", value.to_string(), *locked),
            RouteAttribute::Number { name, value, locked } => (name.as_str(), value.to_string(), *locked),
            RouteAttribute::Time { name, value, locked } => {
                (name.as_str(), format!("{}ms", value.as_millis()), *locked)
            }
            RouteAttribute::Word { name, value } => (name.as_str(), value.clone(), false),
        };
        words.push(name.to_owned());
        words.extend(locked.then(|| "lock".to_owned()));
        words.push(value);
    }
    words
}
