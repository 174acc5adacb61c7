//! `tapsock script`: runs packet scripts, on the stack in virtual time, on the running kernel, or on both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::process::getuid;
use tapsock_conformance::ast::{IpVersion, Position, Setting};
use tapsock_conformance::parse_setting;
use tapsock_conformance::run::{self, Failure as Reason, Parting, Report, Verdict, parting};

use crate::failure::{During, Failure};
use output::{Junit, Tally};

mod kernel;
mod output;

/// The options of `tapsock script`.
#[derive(Args, Debug)]
pub struct Options {
    /// Scripts, and directories of which all scripts (*.pkt) are run
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What to run them on: the stack in virtual time; the running kernel, through a TUN device in namespaces of its own,
    /// in real time; or each on both, to see where the two part
    #[arg(long, value_name = "TARGET", default_value = "stack")]
    on: On,
    /// Families to run each script in: ipv4, ipv4-mapped-ipv6, ipv6. Scripts whose names end in v4.pkt or v6.pkt are
    /// for one
    #[arg(long, value_name = "FAMILIES", value_delimiter = ',', default_value = "ipv4", value_parser = parse_version)]
    ip: Vec<IpVersion>,
    /// Scripts to run at a time; as many as there are processors, unless told
    #[arg(short, value_name = "COUNT")]
    jobs: Option<NonZeroUsize>,
    /// Define a name of the scripts; may be given several times
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = parse_definition)]
    definitions: Vec<(String, String)>,
    /// An option of the language, as tolerance_usecs=10000, which a script's own override; may be given several times
    #[arg(short, long = "option", value_name = "NAME=VALUE", value_parser = check_option)]
    options: Vec<String>,
    /// Print one JSON object a line for each run
    #[arg(long)]
    json: bool,
    /// Write the results as JUnit has them
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write what passed in each run: to a file for one run, into a directory for several. Without it what passed in runs
    /// that fail is written into the folder for temporary files
    #[arg(long, value_name = "PATH")]
    pcap: Option<PathBuf>,
    /// Print what happened in each run
    #[arg(long, short)]
    verbose: bool,
    /// Be the process in the kernel's namespaces
    #[arg(long, hide = true)]
    inside: bool,
}

/// What scripts run on.
#[derive(Copy, Clone, Debug, Eq, PartialEq, ValueEnum)]
enum On {
    Stack,
    Kernel,
    Both,
}

/// Runs it. The status is 1 where a script has failed.
///
/// # Errors
/// Where there is no script, or the results can't be written.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let files = scripts(&options.files)?;
    let runs: Vec<(PathBuf, IpVersion)> =
        files.iter().flat_map(|file| options.ip.iter().map(|version| (file.clone(), *version))).collect();
    if options.inside {
        let (path, version) = &runs[0];
        kernel::tell(&here(path, *version, options, run::On::Kernel)).during("tell of the run")?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut tally, mut junit) = (Tally::default(), Junit::default());
    let (mut written, mut noted) = (Ok(()), BTreeSet::new());
    all(options, &runs, |report| {
        for note in &report.notes {
            if noted.insert(note.clone()) {
                eprintln!("note: {note}");
            }
        }
        tally.count(&report.verdict);
        junit.add(report);
        let shown = output::show(report, options.json, options.verbose);
        let captured = capture(options, &runs, report).and_then(|path| match path {
            Some(path) if !options.json => output::show_capture(&path),
            _ => Ok(()),
        });
        written = std::mem::replace(&mut written, Ok(())).and(shown).and(captured);
    });
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.during("write the results")?,
    }
    if let Some(path) = &options.junit {
        fs::write(path, junit.text(&tally)).during(format_args!("write {}", path.display()))?;
    }
    if !options.json {
        // Who does not read it does not want it.
        let _ = writeln!(io::stdout(), "{tally}");
    }
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The scripts that were named, and those of directories in the order of their names.
fn scripts(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            let before = files.len();
            within(path, &mut files).during(format_args!("read {}", path.display()))?;
            files[before..].sort();
        } else {
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        return Err(Failure::new("there are no scripts (*.pkt) in these directories"));
    }
    Ok(files)
}

fn within(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        // Not through links: they may go round in circles.
        if entry.file_type()?.is_dir() {
            within(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            files.push(path);
        }
    }
    Ok(())
}

/// Makes all runs, several at a time, and gives `each` its report in the order of the runs.
fn all(options: &Options, runs: &[(PathBuf, IpVersion)], mut each: impl FnMut(&Report)) {
    let at_once = options
        .jobs
        .map_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get), NonZeroUsize::get);
    let next = AtomicUsize::new(0);
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once.min(runs.len()) {
            let (next, tell) = (&next, tell.clone());
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some((path, version)) = runs.get(index) else { return };
                    // Nobody hears it only where the command has ended.
                    let _ = tell.send((index, one(path, *version, options)));
                }
            });
        }
        drop(tell);
        let (mut waiting, mut shown) = (BTreeMap::new(), 0);
        for (index, report) in told {
            waiting.insert(index, report);
            while let Some(report) = waiting.remove(&shown) {
                each(&report);
                shown += 1;
            }
        }
    });
}

/// Makes one run. What goes wrong in it is its result, and stops no other.
fn one(path: &Path, version: IpVersion, options: &Options) -> Report {
    let on_stack = || here(path, version, options, run::On::Stack);
    let is_for_it = run::is_for(&path.to_string_lossy(), version);
    // It is passed over before the kernel hears of it.
    let is_apart = || fs::read_to_string(path).is_ok_and(|text| run::apart(&text).is_some());
    let on_kernel = || kernel::run(path, version, options).unwrap_or_else(|why| failed(path, version, why));
    match options.on {
        On::Kernel | On::Both if is_for_it && is_apart() => here(path, version, options, run::On::Kernel),
        On::Kernel if is_for_it => on_kernel(),
        On::Both if is_for_it => compared(on_stack(), &on_kernel(), tolerance(options)),
        _ => on_stack(),
    }
}

/// Makes one run in this process.
fn here(path: &Path, version: IpVersion, options: &Options, on: run::On) -> Report {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return failed(path, version, error.to_string()),
    };
    // They were checked when the command line was read.
    let settings = options.options.iter().filter_map(|option| parse_option(option).ok()).collect();
    let options = run::Options { on, definitions: options.definitions.clone(), settings };
    let run =
        catch_unwind(AssertUnwindSafe(|| run::run(&path.display().to_string(), &text, version, &options)));
    run.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_owned()));
        failed(path, version, format!("panicked: {}", said.unwrap_or_default()))
    })
}

/// A run that came to nothing.
fn failed(path: &Path, version: IpVersion, reason: String) -> Report {
    Report {
        name: path.display().to_string(),
        version,
        verdict: Verdict::Failed(Reason::new(Position { line: 1, column: 1 }, reason)),
        source: String::new(),
        trace: Vec::new(),
        notes: Vec::new(),
    }
}

/// The stack's run, as a failure where it parts from the kernel's.
fn compared(stack: Report, kernel: &Report, tolerance: Duration) -> Report {
    let release = kernel::release();
    let fail = |reason: Reason| Report { verdict: Verdict::Failed(reason), ..stack.clone() };
    let parting = parting(&kernel.trace, &stack.trace, tolerance);
    // A run that failed ended early: what it might have sent nobody knows.
    let parting = parting.filter(|parting| parting.first.is_some() || kernel.verdict == Verdict::Passed);
    if let Some(Parting { line, first, second }) = parting {
        let at = Position { line: line.max(1), column: 1 };
        let nothing = || "nothing".to_owned();
        let said = |what: Option<String>| what.unwrap_or_else(nothing);
        let reason = format!("the stack parts from Linux {release}, which sends {}", said(first.clone()));
        let text = fs::read_to_string(&stack.name).unwrap_or_default();
        let source = text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default().to_owned();
        let report = fail(Reason { at, reason, expected: Some(said(first)), actual: Some(said(second)) });
        return Report { source, ..report };
    }
    match (&stack.verdict, &kernel.verdict) {
        (Verdict::Passed, Verdict::Failed(failure)) => {
            fail(Reason { reason: format!("on Linux {release}: {}", failure.reason), ..failure.clone() })
        }
        _ => stack,
    }
}

/// How far two runs may be from each other in time.
fn tolerance(options: &Options) -> Duration {
    let settings = options.options.iter().rev().filter_map(|option| parse_option(option).ok());
    let said = settings.filter_map(|setting| match setting {
        Setting::Tolerance(tolerance) => Some(tolerance),
        _ => None,
    });
    said.into_iter().next().unwrap_or(TOLERANCE)
}

/// The tolerance of packetdrill.
const TOLERANCE: Duration = Duration::from_millis(4);

/// Writes what passed in a run, where that is asked for, or it has failed. Gives the place of a failure's.
fn capture(options: &Options, runs: &[(PathBuf, IpVersion)], report: &Report) -> io::Result<Option<PathBuf>> {
    let has_failed = matches!(report.verdict, Verdict::Failed(_)) && !report.trace.is_empty();
    let folder = match &options.pcap {
        Some(path) if runs.len() == 1 => {
            output::capture(path, report)?;
            return Ok(has_failed.then(|| path.clone()));
        }
        Some(folder) => folder.clone(),
        None if has_failed => std::env::temp_dir().join(format!("tapsock-scripts-{}", getuid().as_raw())),
        None => return Ok(None),
    };
    fs::create_dir_all(&folder)?;
    let stem: String =
        report.name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
    // A name has 255 bytes at the most; its end tells more than its beginning.
    let stem = stem.trim_matches('-');
    let stem = &stem[stem.char_indices().rev().nth(MAX_STEM - 1).map_or(0, |(at, _)| at)..];
    let path = folder.join(format!("{stem}.{}.pcapng", report.version));
    output::capture(&path, report)?;
    Ok(has_failed.then_some(path))
}

/// Letters of a script's path in the name of its capture.
const MAX_STEM: usize = 50;

fn parse_version(text: &str) -> Result<IpVersion, String> {
    match parse_setting("ip_version", Some(text)) {
        Ok(Setting::IpVersion(version)) => Ok(version),
        _ => Err("one of ipv4, ipv4-mapped-ipv6 and ipv6".to_owned()),
    }
}

fn parse_definition(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it has no '='")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn check_option(text: &str) -> Result<String, String> {
    parse_option(text).map(|_| text.to_owned())
}

fn parse_option(text: &str) -> Result<Setting, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    parse_setting(name, value).map_err(|error| error.to_string())
}
