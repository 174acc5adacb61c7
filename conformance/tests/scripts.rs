//! The project's own packet scripts, on the stack in virtual time.

mod common;
#[path = "common/conditions.rs"]
mod conditions;

use std::fs;

use common::{VERSIONS, scripts};
use conditions::conditions;
use tapsock_conformance::ast::Action;
use tapsock_conformance::parse;
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

/// What is known of the congestion window is known of its threshold too, and a script about recovery knows both.
#[test]
fn window_and_threshold_are_asserted_together() {
    let mut complaints = Vec::new();
    for path in scripts() {
        let (name, text) = (path.display().to_string(), fs::read_to_string(&path).unwrap());
        let mut asserted = String::new();
        for event in parse(&name, &text).unwrap().events {
            let Action::Code(code) = event.action else { continue };
            conditions(&code.text).into_iter().for_each(|at| asserted.push_str(&code.text[at]));
        }
        let [window, threshold] =
            ["tcpi_snd_cwnd", "tcpi_snd_ssthresh"].map(|field| asserted.contains(field));
        let in_recovery = path.parent().unwrap().ends_with("recovery");
        if (window, threshold) != (true, true) && (window || threshold || in_recovery) {
            complaints.push(format!("{name}: asserts window: {window}, threshold: {threshold}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
