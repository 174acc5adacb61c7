//! Where this stack's local sockets differ from the kernel's, and why.

/// The kernel that all others were compared with.
pub const KERNEL_RELEASE: &str = "Linux 6.18";

/// A call whose outcome differs, on purpose.
///
/// ```
/// use tapsock_tests::differential::DIFFERENCES;
///
/// assert!(DIFFERENCES.iter().all(|known| known.kernel != known.ours && !known.reason.is_empty()));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    /// What it is called in programs.
    pub what: &'static str,
    /// What the call gives on the kernel.
    pub kernel: &'static str,
    /// What it gives here.
    pub ours: &'static str,
    /// Why that is right.
    pub reason: &'static str,
    /// Where it is met.
    pub scope: Scope,
}

/// Where a difference is met.
///
/// ```
/// use tapsock_tests::differential::{DIFFERENCES, Scope};
///
/// assert!(DIFFERENCES.iter().any(|known| known.scope == Scope::Everywhere));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Where a program names it.
    Named,
    /// Wherever both outcomes are these: they can mean nothing else.
    Everywhere,
}

/// All that are known. Programs name them where they meet them, and fail where one is gone.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        what: "a directory that nobody made",
        kernel: "No such file or directory (os error 2)",
        ours: "ok",
        reason: "names live in the host's memory, where every directory that a path mentions is deemed to exist",
        scope: Scope::Named,
    },
    Difference {
        what: "SO_PEEK_OFF below -1",
        kernel: "-7",
        ours: "-1",
        reason: "all negative values mean the same, and one shows for them",
        scope: Scope::Named,
    },
    Difference {
        what: "an urgent byte without room for it",
        kernel: r#"1: "" urgent"#,
        ours: r#"0: "" urgent"#,
        reason: "no call says that it has filled more than there was room for",
        scope: Scope::Everywhere,
    },
];

impl Difference {
    /// The one that these outcomes show, wherever they come up.
    pub(super) fn of(kernel: &str, ours: &str) -> Option<&'static Difference> {
        DIFFERENCES.iter().find(|known| known.scope == Scope::Everywhere && known.is(kernel, ours))
    }

    /// Whether these are its outcomes.
    pub(super) fn is(&self, kernel: &str, ours: &str) -> bool {
        self.kernel == kernel && self.ours == ours
    }

    /// The difference of that name.
    ///
    /// # Panics
    /// Where there is none.
    pub fn named(what: &str) -> &'static Difference {
        DIFFERENCES.iter().find(|known| known.what == what).expect("a known difference")
    }
}
