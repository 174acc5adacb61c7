//! What on this machine keeps a process from having namespaces of its own, or from doing in them as root may.

use std::fs;

/// Settings that refuse, the value with which they do, and with which errno.
const SETTINGS: [(&str, &str, &[i32]); 4] = [
    (APPARMOR, "1", FORBIDDEN),
    ("kernel.unprivileged_userns_clone", "0", FORBIDDEN),
    ("user.max_user_namespaces", "0", USED_UP),
    ("user.max_net_namespaces", "0", USED_UP),
];
/// AppArmor gives an ordinary user a namespace, and takes its capabilities.
const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";
const FORBIDDEN: &[i32] = &[libc::EPERM, libc::EACCES];
/// EUSERS is what Linux before 4.9 says.
const USED_UP: &[i32] = &[libc::ENOSPC, libc::EUSERS];

/// What explains that unshare(2), or the writing of a map, failed with `errno`.
pub(super) fn hint(errno: i32) -> Option<String> {
    explain(errno, read)
}

/// What explains that something failed with `errno` in a namespace of our own, where we should be root.
pub(super) fn hint_inside(errno: i32) -> Option<String> {
    explain_inside(errno, read)
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn value(read: &impl Fn(&str) -> Option<String>, setting: &str) -> Option<String> {
    let value = read(&format!("/proc/sys/{}", setting.replace('.', "/")))?;
    Some(value.trim().to_owned())
}

fn explain(errno: i32, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    for (setting, refuses, errnos) in SETTINGS {
        if errnos.contains(&errno) && value(&read, setting).as_deref() == Some(refuses) {
            return Some(format!("{setting} = {refuses} on this machine"));
        }
    }
    if USED_UP.contains(&errno) {
        let limits = ["user.max_user_namespaces", "user.max_net_namespaces"]
            .map(|setting| Some(format!("{setting} = {}", value(&read, setting)?)));
        let [Some(user), Some(net)] = limits else { return None };
        return Some(format!("as many as may be are in use, or nested too deep: {user}, {net}"));
    }
    if !FORBIDDEN.contains(&errno) {
        return None;
    }
    let status = read("/proc/self/status")?;
    let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:"))?;
    (seccomp.trim() == "2").then(|| "a seccomp filter is in force, as in a container".to_owned())
}

fn explain_inside(errno: i32, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    if !FORBIDDEN.contains(&errno) {
        return None;
    }
    Some(match value(&read, APPARMOR).as_deref() {
        Some("1") => format!("{APPARMOR} = 1 on this machine: the namespace came without capabilities"),
        _ => "the namespace came without capabilities: a security module may have taken them".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine with these settings, and a process without a seccomp filter unless they say otherwise.
    fn machine(settings: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| (format!("/proc/{name}"), format!("{value}\n")))
            .chain([("/proc/self/status".to_owned(), "Name:\tx\nSeccomp:\t0\n".to_owned())])
            .collect();
        move |asked| settings.iter().find(|(path, _)| path == asked).map(|(_, value)| value.clone())
    }

    const APPARMOR_ON: (&str, &str) = ("sys/kernel/apparmor_restrict_unprivileged_userns", "1");
    const NO_USER: (&str, &str) = ("sys/user/max_user_namespaces", "0");

    #[test]
    fn the_setting_that_fits_the_errno_is_named() {
        let both = [APPARMOR_ON, NO_USER, ("sys/user/max_net_namespaces", "7")];
        let forbidden = explain(libc::EPERM, machine(&both)).unwrap();
        assert_eq!(forbidden, "kernel.apparmor_restrict_unprivileged_userns = 1 on this machine");
        let used_up = explain(libc::ENOSPC, machine(&both)).unwrap();
        assert_eq!(used_up, "user.max_user_namespaces = 0 on this machine");
        let clone = explain(libc::EACCES, machine(&[NO_USER, ("sys/kernel/unprivileged_userns_clone", "0")]));
        assert_eq!(clone.unwrap(), "kernel.unprivileged_userns_clone = 0 on this machine");
        let filter = machine(&[NO_USER, ("self/status", "Seccomp:\t2\nSeccomp_filters:\t1")]);
        assert!(explain(libc::EPERM, &filter).unwrap().contains("seccomp"));
        assert!(!explain(libc::ENOSPC, &filter).unwrap().contains("seccomp"));
    }

    #[test]
    fn a_limit_that_is_reached_is_told() {
        let limits = [("sys/user/max_user_namespaces", "96365"), ("sys/user/max_net_namespaces", "7")];
        let told = explain(libc::ENOSPC, machine(&limits)).unwrap();
        assert!(
            told.contains("max_user_namespaces = 96365") && told.contains("max_net_namespaces = 7"),
            "{told}"
        );
        assert_eq!(explain(libc::EPERM, machine(&limits)), None, "they allow");
        assert_eq!(explain(libc::ENOMEM, machine(&[APPARMOR_ON, NO_USER])), None);
    }

    #[test]
    fn a_namespace_without_capabilities_is_explained() {
        let told = explain_inside(libc::EPERM, machine(&[APPARMOR_ON])).unwrap();
        assert!(told.starts_with("kernel.apparmor_restrict_unprivileged_userns = 1"), "{told}");
        let other = explain_inside(libc::EACCES, machine(&[])).unwrap();
        assert!(other.contains("without capabilities") && !other.contains("apparmor"), "{other}");
        assert_eq!(explain_inside(libc::EBUSY, machine(&[APPARMOR_ON])), None);
    }
}
