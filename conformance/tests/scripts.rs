//! The project's own packet scripts, on the stack in virtual time.

use std::fs;
use std::path::{Path, PathBuf};

use tapsock_conformance::ast::IpVersion;
use tapsock_conformance::run::{Options, Verdict, run};

const VERSIONS: [IpVersion; 3] = [IpVersion::V4, IpVersion::V4MappedV6, IpVersion::V6];

/// All scripts, in the order of their names.
fn scripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/scripts");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "pkt")).collect();
    scripts.sort();
    assert!(!scripts.is_empty());
    scripts
}

#[test]
fn scripts_pass_in_each_family() {
    let mut failures = Vec::new();
    for path in scripts() {
        let (name, text) = (path.display().to_string(), fs::read_to_string(&path).unwrap());
        for version in VERSIONS {
            let report = run(&name, &text, version, &Options::default());
            if let Verdict::Failed(failure) = report.verdict {
                failures.push(format!("{name}:{}: [{version}] {failure}", failure.at));
            }
            assert_eq!(report.notes, Vec::<String>::new(), "{name}");
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn two_runs_give_the_same_trace() {
    for path in scripts() {
        let (name, text) = (path.display().to_string(), fs::read_to_string(&path).unwrap());
        for version in VERSIONS {
            let [first, second] = [0, 1].map(|_| run(&name, &text, version, &Options::default()).trace);
            assert!(first == second, "{name}");
        }
    }
}
