//! The settings of the kernel, which scripts change by shell commands: the stack's follow them. Where commands come here
//! because the library is preloaded, they set the stack's, and leave the kernel's alone.

use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

use tapsock_conformance::run::StackTarget;
use tapsock_conformance::shell::{Effect, Outcome, System};
use tapsock_stack::config::Config;

/// What the kernel's settings were when they were read last.
#[derive(Default)]
pub(crate) struct Settings {
    has_begun: bool,
    seen: HashMap<&'static str, String>,
}

impl Settings {
    /// Gives `target` the settings that have changed since they were read last. Nothing is read before `begins` was said
    /// once: packetdrill has the commands that set things up run before it makes the first socket, but after it has loaded
    /// the library.
    pub(crate) fn follow(&mut self, target: &mut StackTarget, begins: bool) {
        self.has_begun |= begins;
        if !self.has_begun {
            return;
        }
        for name in Config::names() {
            let Ok(value) = fs::read_to_string(path(name)) else { continue };
            if self.seen.get(name).is_some_and(|seen| *seen == value) {
                continue;
            }
            if target.sockets_mut().stack_mut().config_mut().set(name, &value).is_err() {
                eprintln!("tapsock: {name} can't be {}", value.trim());
            }
            self.seen.insert(name, value);
        }
    }
}

/// The host, for commands: what they set stays, until the kernel's setting changes.
pub(crate) struct Commanded<'a> {
    pub(crate) target: &'a mut StackTarget,
    pub(crate) settings: &'a mut Settings,
}

impl System for Commanded<'_> {
    fn apply(&mut self, effect: Effect) -> Outcome {
        if let Effect::SetSysctl { name, .. } = &effect
            && let Some(name) = Config::names().find(|known| known == name)
        {
            let value = fs::read_to_string(path(name)).unwrap_or_default();
            self.settings.seen.insert(name, value);
        }
        self.target.apply(effect)
    }

    fn script(&mut self, path: &Path) -> io::Result<String> {
        self.target.script(path)
    }
}

/// The file of a setting: a sysctl, or the parameter of a module of the kernel.
fn path(name: &str) -> String {
    match name.strip_prefix("tapsock.").and_then(|name| name.split_once('.')) {
        Some((module, parameter)) => format!("/sys/module/{module}/parameters/{parameter}"),
        None => format!("/proc/sys/{}", name.replace('.', "/")),
    }
}

#[cfg(test)]
mod tests {
    use tapsock_conformance::ast::Position;
    use tapsock_conformance::shell::Shell;

    use super::*;

    const NAME: &str = "net.ipv4.tcp_syn_retries";

    fn shown(target: &StackTarget, name: &str) -> String {
        target.sockets().stack().config().show(name).unwrap()
    }

    #[test]
    fn the_kernels_settings_are_read_when_it_begins() {
        let config = Config::default();
        let kernels = fs::read_to_string(path(NAME)).unwrap();
        let other = if kernels.trim() == "7" { "8" } else { "7" };
        let mut target = StackTarget::bare(1500, config).unwrap();
        target.sockets_mut().stack_mut().config_mut().set(NAME, other).unwrap();
        let mut settings = Settings::default();
        settings.follow(&mut target, false);
        assert_eq!(shown(&target, NAME), other);
        settings.follow(&mut target, true);
        assert_eq!(shown(&target, NAME), kernels.trim());
        // What has not changed there is left alone.
        target.sockets_mut().stack_mut().config_mut().set(NAME, other).unwrap();
        settings.follow(&mut target, false);
        assert_eq!(shown(&target, NAME), other);
        settings.seen.insert(NAME, "what it was".to_owned());
        settings.follow(&mut target, false);
        assert_eq!(shown(&target, NAME), kernels.trim());
    }

    #[test]
    fn what_a_command_has_set_stays() {
        let mut target = StackTarget::bare(1500, Config::default()).unwrap();
        let mut settings = Settings::default();
        let other = if fs::read_to_string(path(NAME)).unwrap().trim() == "7" { "8" } else { "7" };
        let mut commanded = Commanded { target: &mut target, settings: &mut settings };
        let at = Position { line: 1, column: 1 };
        let command = format!("sysctl -q {NAME}={other}");
        Shell::new(Path::new(".")).run("s.pkt", at, &command, &mut commanded).unwrap();
        settings.follow(&mut target, true);
        assert_eq!(shown(&target, NAME), other);
    }

    #[test]
    fn parameters_of_modules_are_settings_too() {
        assert_eq!(path("net.ipv4.conf.all.forwarding"), "/proc/sys/net/ipv4/conf/all/forwarding");
        let hystart = "tapsock.tcp_cubic.hystart_detect";
        assert_eq!(path(hystart), "/sys/module/tcp_cubic/parameters/hystart_detect");
    }
}
