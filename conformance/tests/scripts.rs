//! The project's own packet scripts, on the stack in virtual time.

mod common;

use std::fs;

use common::{VERSIONS, scripts};
use tapsock_conformance::run::{Options, Verdict, run};

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
