//! Scripts on both stacks, and what may differ.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tapsock_tests::bench::skipped_for;
use tapsock_tests::programs;

use crate::host::{Host, Order, Section, Setup};
use crate::kernel::Kernel;
use crate::ours::Ours;

/// A script, and on what it is run.
#[derive(Copy, Clone)]
pub struct Case {
    pub name: &'static str,
    pub setup: Setup,
    pub script: fn(&mut Host),
}

/// How often the kernel may try: on a busy machine its frames may come too late.
const TRIES: usize = 3;

/// How much earlier than asked for the kernel's clock may tick.
const EARLY: Duration = Duration::from_millis(20);
/// How much later a busy machine may do it.
const LATE: Duration = Duration::from_millis(70);

/// A row of `docs/packets.tsv`.
struct Row {
    what: String,
    linux: String,
    ours: String,
    test: String,
}

/// Runs all cases at once, for they wait most of the time, and compares.
///
/// No case forks while another has sockets, whose copies would stay open: the namespaces are made before, and who failed
/// tries again when the others are done.
pub fn compare(test: &str, cases: &[Case]) {
    if programs::find("ip").is_none() {
        return;
    }
    let rows = rows();
    let mut left: Vec<&Case> = cases.iter().collect();
    let mut outcomes = Vec::new();
    for tries_left in (0..TRIES).rev() {
        let kernels: Result<Vec<_>, _> = left.iter().map(|case| Kernel::open(&case.setup)).collect();
        let kernels = match kernels {
            Ok(kernels) => kernels,
            Err(error) => return skipped_for(error).unwrap_or_default(),
        };
        let run_all: Vec<Outcome> = thread::scope(|scope| {
            let pairs = left.iter().zip(kernels);
            let threads: Vec<_> =
                pairs.map(|(case, kernel)| scope.spawn(|| run(case, kernel, &rows))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a case that comes to its end")).collect()
        });
        let mut again = Vec::new();
        for (case, outcome) in left.into_iter().zip(run_all) {
            if tries_left > 0 && !outcome.failures.is_empty() {
                again.push(case);
            } else {
                outcomes.push(outcome);
            }
        }
        left = again;
    }
    let (mut failures, mut met) = (Vec::new(), BTreeSet::new());
    for outcome in outcomes {
        failures.extend(outcome.failures);
        met.extend(outcome.met);
    }
    for row in rows.iter().filter(|row| row.test == test && !met.contains(&row.what)) {
        failures.push(format!("docs/packets.tsv: {} is no section of this test", row.what));
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[derive(Default)]
struct Outcome {
    failures: Vec<String>,
    met: BTreeSet<String>,
}

fn run(case: &Case, kernel: Kernel, rows: &[Row]) -> Outcome {
    let run = |end| Host::new(end, &case.setup).run(case.script);
    judge(case.name, &run(Box::new(kernel)), &run(Box::new(Ours::new(&case.setup))), rows)
}

fn judge(case: &str, kernels: &[Section], ours: &[Section], rows: &[Row]) -> Outcome {
    let mut outcome = Outcome::default();
    for (kernel, own) in kernels.iter().zip(ours) {
        let said = [kernel, own].map(|section| match section.lines.is_empty() {
            true => "nothing".to_owned(),
            false => section.texts().join("; "),
        });
        let row = rows.iter().find(|row| row.what == kernel.name);
        let agreed = match row {
            Some(row) => said == [row.linux.clone(), row.ours.clone()] && said[0] != said[1],
            None => said[0] == said[1] && keep_pace(kernel, own),
        };
        outcome.met.extend(row.map(|row| row.what.clone()));
        if !agreed {
            let listed = if row.is_some() { " (not as its row of docs/packets.tsv)" } else { "" };
            let [kernel_log, own_log] = [kernel, own].map(log);
            let text =
                format!("{case}: {}{listed}\n  the kernel:\n{kernel_log}  ours:\n{own_log}", kernel.name);
            outcome.failures.push(text);
        }
    }
    outcome
}

fn keep_pace(kernel: &Section, own: &Section) -> bool {
    let in_time = |(kernel, own): (&(Duration, String), &(Duration, String))| {
        kernel.0 + EARLY >= own.0 && kernel.0 <= own.0 + LATE
    };
    own.order != Order::Paced || kernel.lines.iter().zip(&own.lines).all(in_time)
}

fn log(section: &Section) -> String {
    let lines = section.lines.iter().map(|(at, text)| format!("    {:>5} ms  {text}\n", at.as_millis()));
    lines.collect()
}

fn rows() -> Vec<Row> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the project");
    let text = fs::read_to_string(root.join("docs/packets.tsv")).expect("docs/packets.tsv");
    let row = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
        [what, linux, ours, _reason, test] => Row {
            what: what.to_owned(),
            linux: linux.to_owned(),
            ours: ours.to_owned(),
            test: test.to_owned(),
        },
        _ => panic!("docs/packets.tsv has no five cells in: {line}"),
    };
    text.lines().map(row).collect()
}
