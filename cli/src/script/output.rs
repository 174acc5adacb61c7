//! The results of scripts: for people, for programs, as JUnit has them, and as captures.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::json;
use tapsock_conformance::run::{Report, TraceKind, Verdict};
use tapsock_driver::pcapng::{Direction, WholePacket, write_whole};
use tapsock_stack::wire::offload::Medium;

/// How many runs ended how.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Tally {
    pub fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Shows a run on standard output: as a JSON object in a line, or a failure as people read it.
pub fn show(report: &Report, json: bool, verbose: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return writeln!(out, "{}", object(report));
    }
    if verbose {
        writeln!(out, "{} [{}]", report.name, report.version)?;
        report.trace.iter().try_for_each(|entry| writeln!(out, "  {entry}"))?;
    }
    match &report.verdict {
        Verdict::Failed(failure) => {
            writeln!(out, "{}:{}: [{}] {failure}", report.name, failure.at, report.version)?;
            writeln!(out, "  {:>4} | {}", failure.at.line, report.source.trim_end())
        }
        Verdict::Skipped(why) if verbose => writeln!(out, "  skipped: {why}"),
        Verdict::Passed if verbose => writeln!(out, "  passed"),
        _ => Ok(()),
    }
}

fn object(report: &Report) -> serde_json::Value {
    let (line, reason) = match &report.verdict {
        Verdict::Passed => (None, None),
        Verdict::Failed(failure) => (Some(failure.at.line), Some(failure.to_string())),
        Verdict::Skipped(why) => (None, Some(why.clone())),
    };
    json!({
        "file": report.name,
        "ip": report.version.to_string(),
        "result": report.verdict.to_string(),
        "line": line,
        "reason": reason,
    })
}

/// The results as JUnit has them.
#[derive(Debug, Default)]
pub struct Junit {
    cases: String,
}

impl Junit {
    pub fn add(&mut self, report: &Report) {
        let (name, class) = (escaped(&report.name), report.version);
        let case = format!("  <testcase name=\"{name}\" classname=\"{class}\"");
        self.cases.push_str(&match &report.verdict {
            Verdict::Passed => format!("{case}/>\n"),
            Verdict::Skipped(why) => format!("{case}><skipped message=\"{}\"/></testcase>\n", escaped(why)),
            Verdict::Failed(failure) => {
                let (at, all) = (failure.at, escaped(&failure.to_string()));
                let reason = escaped(&failure.reason);
                format!("{case}><failure message=\"{reason}\">{name}:{at}: {all}</failure></testcase>\n")
            }
        });
    }

    /// The whole file.
    pub fn text(&self, tally: &Tally) -> String {
        let tests = tally.passed + tally.failed + tally.skipped;
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuite name=\"tapsock script\" tests=\"{tests}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">\n{}</testsuite>\n",
            tally.failed, tally.skipped, self.cases
        )
    }
}

/// Text that may stand in XML.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // No other control character may stand there at all.
            letter if letter.is_control() && letter != '\n' && letter != '\t' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

/// Says where the packets of the failure before are.
pub fn show_capture(path: &Path) -> io::Result<()> {
    writeln!(io::stdout().lock(), "  packets: {}", path.display())
}

/// Writes what passed in a run as a pcapng file, with times since the script's start.
pub fn capture(path: &Path, report: &Report) -> io::Result<()> {
    let packets: Vec<WholePacket<'_>> = report
        .trace
        .iter()
        .filter_map(|entry| {
            let direction = match entry.kind {
                TraceKind::Sent => Direction::Sent,
                TraceKind::Received => Direction::Received,
                TraceKind::Call | TraceKind::Note => return None,
            };
            let nanos = u64::try_from(entry.at.as_nanos()).unwrap_or(u64::MAX);
            Some(WholePacket { nanos, direction, bytes: &entry.packet })
        })
        .collect();
    write_whole(&mut BufWriter::new(File::create(path)?), "tun0", Medium::Ip, &packets)
}
