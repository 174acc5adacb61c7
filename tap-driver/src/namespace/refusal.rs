//! What on this machine keeps a process from having namespaces of its own.

use std::fs;

/// Settings that refuse, and the value with which they do.
const SETTINGS: [(&str, &str); 4] = [
    ("kernel.apparmor_restrict_unprivileged_userns", "1"),
    ("kernel.unprivileged_userns_clone", "0"),
    ("user.max_user_namespaces", "0"),
    ("user.max_net_namespaces", "0"),
];

/// What explains that unshare(2), or the writing of a map, failed with `errno`.
pub(super) fn hint(errno: i32) -> Option<String> {
    if !matches!(errno, libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS) {
        return None;
    }
    explain(|path| fs::read_to_string(path).ok())
}

fn explain(read: impl Fn(&str) -> Option<String>) -> Option<String> {
    for (setting, refuses) in SETTINGS {
        let value = read(&format!("/proc/sys/{}", setting.replace('.', "/")));
        if value.is_some_and(|value| value.trim() == refuses) {
            return Some(format!("{setting} = {refuses} on this machine"));
        }
    }
    let status = read("/proc/self/status")?;
    let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?;
    (seccomp.trim() == "2").then(|| "a seccomp filter is in force, as in a container".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(path: &'static str, value: &'static str) -> Option<String> {
        explain(|asked| match asked {
            "/proc/sys/kernel/unprivileged_userns_clone" if asked != path => Some("1\n".to_owned()),
            asked if asked == path => Some(value.to_owned()),
            "/proc/self/status" => Some("Name:\tx\nSeccomp:\t0\n".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn the_setting_that_refuses_is_named() {
        let apparmor = with("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
        assert_eq!(apparmor.unwrap(), "kernel.apparmor_restrict_unprivileged_userns = 1 on this machine");
        let none_left = with("/proc/sys/user/max_user_namespaces", "0\n");
        assert_eq!(none_left.unwrap(), "user.max_user_namespaces = 0 on this machine");
        let filter = with("/proc/self/status", "Seccomp:\t2\nSeccomp_filters:\t1\n");
        assert!(filter.unwrap().contains("seccomp"));
    }

    #[test]
    fn settings_that_allow_explain_nothing() {
        assert_eq!(with("/proc/sys/user/max_user_namespaces", "96365\n"), None);
        assert_eq!(hint(libc::ENOMEM), None);
    }
}
