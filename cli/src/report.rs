//! What is told of checks: lines for people, or one JSON object.

use std::time::Duration;

use console::{Term, measure_text_width, style};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::work::Figures;

/// Columns of a check's title.
const TITLE_WIDTH: usize = 58;

/// How a check ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// As it should.
    Ok(Figures),
    /// Otherwise, and why; figures where there are some.
    Failed(String, Option<Figures>),
    /// It could not be made, and why.
    Skipped(String),
}

/// A check and how it ended.
#[derive(Clone, Debug)]
pub struct Check {
    /// For programs.
    pub name: String,
    /// For people.
    pub title: String,
    /// How it ended.
    pub outcome: Outcome,
}

impl Check {
    /// As JSON: `name`, `title`, `status`, `reason`, and the figures beside them.
    pub fn to_json(&self) -> Value {
        let (status, reason, figures) = match &self.outcome {
            Outcome::Ok(figures) => ("ok", None, Some(figures)),
            Outcome::Failed(reason, figures) => ("failed", Some(reason), figures.as_ref()),
            Outcome::Skipped(reason) => ("skipped", Some(reason), None),
        };
        let mut object = Map::new();
        object.insert("name".to_owned(), json!(self.name));
        object.insert("title".to_owned(), json!(self.title));
        object.insert("status".to_owned(), json!(status));
        object.insert("reason".to_owned(), json!(reason));
        if let Some(Ok(Value::Object(figures))) = figures.map(serde_json::to_value) {
            object.extend(figures);
        }
        Value::Object(object)
    }
}

/// Which way a report goes.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Audience {
    /// Lines, as they come.
    People,
    /// One JSON object at the end.
    Programs,
}

/// Tells of checks as they end.
#[derive(Debug)]
pub struct Report {
    audience: Audience,
    checks: Vec<Check>,
}

impl Report {
    /// An empty one.
    pub fn new(audience: Audience) -> Self {
        Report { audience, checks: Vec::new() }
    }

    /// A line between checks, for people.
    pub fn say(&self, line: &str) {
        if self.audience == Audience::People {
            println!("{line}");
        }
    }

    /// A heading, for people.
    pub fn heading(&self, title: &str) {
        self.say(&format!("\n{}", style(title).bold()));
    }

    /// What a check is doing, for as long as it lasts, on standard error; a bar, where `len` units are to be done.
    pub fn begin(&self, title: &str, len: Option<u64>) -> ProgressBar {
        // Whose lines go to a file is not watching.
        if self.audience != Audience::People || !Term::stdout().is_term() || !Term::stderr().is_term() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(len.unwrap_or(1));
        let template = match len {
            Some(_) => {
                "  {spinner} {msg}  {bar:30.cyan/dim} {binary_bytes:>10} {binary_bytes_per_sec}  {elapsed}"
            }
            None => "  {spinner} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(title.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// A check has ended.
    pub fn end(&mut self, bar: &ProgressBar, check: Check) {
        bar.finish_and_clear();
        self.say(&line(&check));
        self.checks.push(check);
    }

    /// Whether no check has failed.
    pub fn is_ok(&self) -> bool {
        !self.checks.iter().any(|check| matches!(check.outcome, Outcome::Failed(..)))
    }

    /// Ends the report: the sum for people, the object (`more`, and the checks) for programs.
    pub fn finish(&self, mut more: Map<String, Value>, took: Duration) {
        let count =
            |wanted: fn(&Outcome) -> bool| self.checks.iter().filter(|check| wanted(&check.outcome)).count();
        let failed = count(|outcome| matches!(outcome, Outcome::Failed(..)));
        let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(..)));
        let passed = self.checks.len() - failed - skipped;
        if self.audience == Audience::Programs {
            more.insert("ok".to_owned(), json!(failed == 0));
            more.insert("seconds".to_owned(), json!(took.as_secs_f64()));
            more.insert("checks".to_owned(), self.checks.iter().map(Check::to_json).collect());
            println!("{:#}", Value::Object(more));
            return;
        }
        let verdict = match failed {
            0 => style(format!("{passed} ok")).green(),
            _ => style(format!("{passed} ok, {failed} failed")).red(),
        };
        let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
        println!("\n{}{skipped} in {:.1} s", verdict.bold(), took.as_secs_f64());
    }
}

fn line(check: &Check) -> String {
    let (mark, told) = match &check.outcome {
        Outcome::Ok(figures) => (style("✓").green(), summary(figures)),
        Outcome::Failed(reason, None) => (style("✗").red(), reason.clone()),
        Outcome::Failed(reason, Some(figures)) => {
            (style("✗").red(), format!("{reason} ({})", summary(figures)))
        }
        Outcome::Skipped(reason) => (style("–").yellow(), format!("skipped: {reason}")),
    };
    let padding = TITLE_WIDTH.saturating_sub(measure_text_width(&check.title));
    format!("  {} {}{:padding$}  {told}", mark.bold(), check.title, "")
}

/// The figures in a few words.
pub fn summary(figures: &Figures) -> String {
    match figures {
        Figures::Pings { requests, answers, rtt_min_us, rtt_mean_us, .. } => {
            format!(
                "{answers} of {requests} answered, {} on average, {} at best",
                time(*rtt_mean_us),
                time(*rtt_min_us)
            )
        }
        Figures::Fetched { fetched_bytes, sha256, seconds, .. } => {
            let start = sha256.get(..12).unwrap_or(sha256);
            format!("{} in {}, sha256 {start}…", bytes(*fetched_bytes), time(seconds * 1e6))
        }
        Figures::RoundTrips { round_trips, p50_us, p99_us, .. } => {
            format!("p50 {}, p99 {}, of {round_trips}", time(*p50_us), time(*p99_us))
        }
        Figures::Uploaded { bytes: sent, seconds, gbit_per_s, .. } => {
            format!("{gbit_per_s:.1} Gbit/s, {} in {seconds:.2} s", bytes(*sent))
        }
        Figures::Datagrams { sent, returned, largest_bytes, p50_us } => {
            format!("{returned} of {sent} back, up to {largest_bytes} bytes, p50 {}", time(*p50_us))
        }
        Figures::Connected { outcome, microseconds, .. } => {
            format!("after {}: {outcome}", time(*microseconds))
        }
    }
}

fn time(microseconds: f64) -> String {
    match microseconds {
        micros if micros < 1e3 => format!("{micros:.1} µs"),
        micros if micros < 1e6 => format!("{:.1} ms", micros / 1e3),
        micros => format!("{:.2} s", micros / 1e6),
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} bytes"),
        1024..1_048_576 => format!("{:.0} KiB", count as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.0} MiB", count as f64 / 1_048_576.0),
        _ => format!("{:.0} GiB", count as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_as_json_has_its_figures_beside_its_status() {
        let figures =
            Figures::Uploaded { bytes: 1 << 30, crc32: String::new(), seconds: 1.0, gbit_per_s: 8.59 };
        let check = |outcome| Check { name: "upload".to_owned(), title: "t".to_owned(), outcome }.to_json();
        let ok = check(Outcome::Ok(figures.clone()));
        assert_eq!(
            (&ok["status"], &ok["reason"], &ok["bytes"]),
            (&json!("ok"), &Value::Null, &json!(1 << 30))
        );
        let failed = check(Outcome::Failed("slow".to_owned(), Some(figures)));
        assert_eq!((&failed["status"], &failed["reason"]), (&json!("failed"), &json!("slow")));
        assert_eq!(failed["gbit_per_s"], json!(8.59));
        let skipped = check(Outcome::Skipped("no kernel".to_owned()));
        assert_eq!((&skipped["status"], &skipped["reason"]), (&json!("skipped"), &json!("no kernel")));
    }

    #[test]
    fn figures_have_fitting_units() {
        assert_eq!(
            (time(12.34), time(1234.0), time(2.5e6)),
            ("12.3 µs".into(), "1.2 ms".into(), "2.50 s".into())
        );
        assert_eq!(
            (bytes(64), bytes(1 << 22), bytes(1 << 30)),
            ("64 bytes".into(), "4 MiB".into(), "1 GiB".into())
        );
    }
}
