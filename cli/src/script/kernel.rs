//! Scripts on the running kernel: each in a process of its own, in namespaces of its own.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tapsock_conformance::ast::{IpVersion, Position};
use tapsock_conformance::run::{Failure as Reason, Report, TraceEntry, TraceKind, Verdict, hurry};
use tapsock_driver::Namespace;

use super::Options;

/// The hidden option of the process inside.
pub const INSIDE: &str = "--inside";

/// Runs a script on the kernel. What can't be had is the script's failure.
pub fn run(path: &Path, version: IpVersion, options: &Options) -> Result<Report, String> {
    // The process inside takes after this thread, which only waits for it.
    hurry();
    let namespace = Namespace::create().map_err(|error| error.to_string())?;
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = namespace.command(program);
    command.arg("script").arg(INSIDE).arg("--ip").arg(version.to_string()).arg(path);
    for (name, value) in &options.definitions {
        command.arg("-D").arg(format!("{name}={value}"));
    }
    for option in &options.options {
        command.arg("-o").arg(option);
    }
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::piped()).output().map_err(|error| error.to_string())?;
    let told: Told = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("the run ended early: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    Ok(told.into_report(path.display().to_string(), version))
}

/// Tells the process outside of a run.
pub fn tell(report: &Report) -> io::Result<()> {
    let line = serde_json::to_string(&Told::of(report)).map_err(io::Error::other)?;
    writeln!(io::stdout(), "{line}")
}

/// The kernel's release, as uname(2) gives it.
pub fn release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned())
}

/// A report on its way from one process to the other.
#[derive(Deserialize, Serialize)]
struct Told {
    outcome: Outcome,
    source: String,
    trace: Vec<Entry>,
    notes: Vec<String>,
}

#[derive(Deserialize, Serialize)]
enum Outcome {
    Passed,
    Skipped(String),
    Failed { line: u32, column: u32, reason: String, expected: Option<String>, actual: Option<String> },
}

#[derive(Deserialize, Serialize)]
struct Entry {
    at: Duration,
    line: u32,
    kind: Kind,
    text: String,
    packet: Vec<u8>,
}

#[derive(Copy, Clone, Deserialize, Serialize)]
enum Kind {
    Sent,
    Received,
    Call,
    Note,
}

impl Told {
    fn of(report: &Report) -> Self {
        let outcome = match &report.verdict {
            Verdict::Passed => Outcome::Passed,
            Verdict::Skipped(why) => Outcome::Skipped(why.clone()),
            Verdict::Failed(Reason { at, reason, expected, actual }) => Outcome::Failed {
                line: at.line,
                column: at.column,
                reason: reason.clone(),
                expected: expected.clone(),
                actual: actual.clone(),
            },
        };
        let entry = |TraceEntry { at, line, kind, text, packet }: &TraceEntry| Entry {
            at: *at,
            line: *line,
            kind: match kind {
                TraceKind::Sent => Kind::Sent,
                TraceKind::Received => Kind::Received,
                TraceKind::Call => Kind::Call,
                TraceKind::Note => Kind::Note,
            },
            text: text.clone(),
            packet: packet.clone(),
        };
        let trace = report.trace.iter().map(entry).collect();
        Told { outcome, source: report.source.clone(), trace, notes: report.notes.clone() }
    }

    fn into_report(self, name: String, version: IpVersion) -> Report {
        let verdict = match self.outcome {
            Outcome::Passed => Verdict::Passed,
            Outcome::Skipped(why) => Verdict::Skipped(why),
            Outcome::Failed { line, column, reason, expected, actual } => {
                Verdict::Failed(Reason { at: Position { line, column }, reason, expected, actual })
            }
        };
        let entry = |Entry { at, line, kind, text, packet }| TraceEntry {
            at,
            line,
            kind: match kind {
                Kind::Sent => TraceKind::Sent,
                Kind::Received => TraceKind::Received,
                Kind::Call => TraceKind::Call,
                Kind::Note => TraceKind::Note,
            },
            text,
            packet,
        };
        let trace = self.trace.into_iter().map(entry).collect();
        Report { name, version, verdict, source: self.source, trace, notes: self.notes }
    }
}
