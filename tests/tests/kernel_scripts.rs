//! CI's judgement of the packet scripts on the kernel (`.ci/kernel-scripts`), with other programs in tapsock's place.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What all programs begin with: `tell RESULT FILE` says how a script ended as tapsock does, `files` are those of the
/// command line, and `try` says how often the program was started in this family before.
const PRELUDE: &str = r#"#!/usr/bin/env bash
tell() { printf '{"file":"%s","ip":"-","line":null,"reason":null,"result":"%s"}\n' "$2" "$1"; }
files=(); json=no; family=
while [ $# -gt 0 ]; do
  case $1 in
    --ip) family=$2; shift ;;
    --json) json=yes ;;
    *.pkt) files+=("$1") ;;
  esac
  shift
done
echo >>"$0.$family"
try=$(($(wc -l <"$0.$family") - 1))
"#;

struct Fake {
    program: PathBuf,
}

impl Fake {
    fn new(name: &str, does: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tapsock-fake-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("tapsock");
        fs::write(&program, format!("{PRELUDE}{does}")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Fake { program }
    }

    /// Has CI judge the scripts by this program; `None` where the machine does not allow it.
    fn judged(&self, which: &str) -> Option<Output> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let judged = Command::new(root.join(".ci/kernel-scripts")).arg(&self.program).arg(which).output();
        let judged = judged.unwrap();
        if judged.stdout.starts_with(b"skipped: ") {
            println!("{}", text(&judged).trim());
            return None;
        }
        Some(judged)
    }

    fn tries(&self, family: &str) -> usize {
        let tries = fs::read_to_string(self.program.with_extension(family)).unwrap_or_default();
        tries.lines().count()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.program.parent().unwrap());
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn scripts_that_pass_are_counted_in_each_family() {
    let fake = Fake::new("passes", r#"for file in "${files[@]}"; do tell passed "$file"; done"#);
    let Some(judged) = fake.judged("short") else { return };
    assert!(judged.status.success(), "{}", text(&judged));
    let said = text(&judged);
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.lines().all(|line| line.ends_with(", the other 0 are not for it")), "{said}");
    assert_eq!((fake.tries("ipv4"), fake.tries("ipv6")), (1, 1));
}

#[test]
fn what_fails_gets_two_more_chances_and_passes_by_the_last() {
    let fake = Fake::new(
        "late",
        r#"[ $try = 2 ] && echo "${#files[@]} passed, 0 failed, 0 skipped"
        [ $try = 2 ] || for file in "${files[@]}"; do tell failed "$file"; done"#,
    );
    let Some(judged) = fake.judged("long") else { return };
    assert!(judged.status.success(), "{}", text(&judged));
    assert!(text(&judged).starts_with("4 of 4 packet scripts pass on Linux "), "{}", text(&judged));
    assert_eq!(fake.tries("ipv4"), 3);
}

#[test]
fn what_fails_three_times_fails() {
    let fake = Fake::new(
        "fails",
        r#"[ $json = no ] && { echo "why"; echo "0 passed, ${#files[@]} failed, 0 skipped"; exit 1; }
        for file in "${files[@]}"; do tell failed "$file"; done; exit 1"#,
    );
    let Some(judged) = fake.judged("long") else { return };
    assert_eq!(judged.status.code(), Some(1), "{}", text(&judged));
    assert!(text(&judged).starts_with("why\n"), "{}", text(&judged));
    assert!(text(&judged).ends_with("\n4 of 4 packet scripts do not pass over ipv4\n"), "{}", text(&judged));
    assert_eq!(fake.tries("ipv4"), 3);
}

#[test]
fn a_program_that_says_nothing_fails() {
    for (name, does) in [
        ("crash", "kill -SEGV $$"),
        ("refusal", "echo 'unexpected argument' >&2; exit 2"),
        ("silence", "exit 0"),
        ("other-form", r#"for file in "${files[@]}"; do echo "{\"script\":\"$file\",\"ok\":true}"; done"#),
    ] {
        let fake = Fake::new(name, does);
        let Some(judged) = fake.judged("long") else { return };
        assert_eq!(judged.status.code(), Some(1), "{name}: {}", text(&judged));
    }
}

#[test]
fn a_script_that_nothing_is_said_of_fails() {
    let fake = Fake::new(
        "one-less",
        r#"[ $json = no ] && { echo "0 passed, 0 failed, 0 skipped"; exit 0; }
        [ $try = 0 ] && for file in "${files[@]:1}"; do tell passed "$file"; done; exit 0"#,
    );
    let Some(judged) = fake.judged("long") else { return };
    assert_eq!(judged.status.code(), Some(1), "{}", text(&judged));
    assert!(text(&judged).ends_with("\n1 of 4 packet scripts do not pass over ipv4\n"), "{}", text(&judged));
}

#[test]
fn scripts_that_are_all_passed_over_fail() {
    let fake = Fake::new("skips", r#"for file in "${files[@]}"; do tell skipped "$file"; done"#);
    let Some(judged) = fake.judged("long") else { return };
    assert_eq!(judged.status.code(), Some(1), "{}", text(&judged));
    assert_eq!(text(&judged), "none of 4 packet scripts was run over ipv4\n");
}
