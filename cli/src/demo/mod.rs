//! `tapsock demo`: shows, with figures, what the stack does with the kernel at the other end of its link.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value, json};
use tapsock_driver::auto::{LinkKind, Refusal};
use tapsock_driver::pcapng::CaptureStats;

use crate::attach::{Attach, Attached, Peer, Tell, Wish};
use crate::capturing::Capturing;
use crate::failure::Failure;
use crate::report::{Audience, Check, Outcome, Report};
use crate::work::{Figures, Watch};
use checks::Trial;
use sides::{Lab, Side};

mod checks;
mod sides;

/// How long a single check may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the capture goes, unless told.
const CAPTURE: &str = "tapsock-demo.pcapng";

/// The options of `tapsock demo`.
#[derive(Args, Debug)]
pub struct Options {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Link to use: auto, tap, veth (or packet), unix, memory
    #[arg(long, value_name = "KIND", default_value = "auto")]
    link: Wish,
    /// Where to write what passed over the link (the bulk parts are left out): tapsock-demo.pcapng, unless told
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Largest IP packet of the link, in bytes. The kernel has IPv6 from 1280 on
    #[arg(long, value_name = "BYTES", default_value_t = 1500, value_parser = clap::value_parser!(u32).range(576..=65_521))]
    mtu: u32,
    /// Less data and fewer rounds
    #[arg(long)]
    quick: bool,
    /// A setting of the stack by its sysctl name, such as net.ipv4.tcp_sack=0; may be given several times
    #[arg(long = "set", value_name = "NAME=VALUE")]
    settings: Vec<String>,
}

/// Runs it. The status is 1 where a check has failed.
///
/// # Errors
/// Where not even a link can be opened.
pub fn main(options: &Options) -> Result<ExitCode, Failure> {
    let begin = Instant::now();
    let mut captured = match captured(options) {
        Ok(captured) => captured,
        Err(failure) if !failure.refusals().is_empty() => return Ok(no_link(options, &failure)),
        Err(failure) => return Err(failure),
    };
    captured.finish_capture_when_interrupted()?;
    let capture = captured.capture.take();
    let kind: LinkKind = captured.link.parse().map_err(Failure::new)?;
    let refused = std::mem::take(&mut captured.refused);

    let audience = if options.json { Audience::Programs } else { Audience::People };
    let mut report = Report::new(audience);
    report.heading("Link");
    report.say(&format!("  {kind}: {}", describe(kind)));
    for refusal in &refused {
        report.say(&format!("  not {refusal}"));
    }
    if let Peer::Host(..) = captured.peer {
        report.say("  no kernel at the other end: a second tapsock host takes its place");
    }

    let no_kernel = match (&captured.peer, refused.first()) {
        (Peer::Kernel(..), _) => None,
        (_, Some(refusal)) => Some(format!("no kernel at the other end of the link: {refusal}")),
        (_, None) => Some(format!("no kernel at the other end of the link: --link {kind}")),
    };
    let lab = Lab::new(captured)?;
    run(&mut report, &lab, checks::functions(options.mtu as usize), no_kernel.as_deref());
    lab.shut_down();
    let stats = capture.as_ref().map(Capturing::finish).transpose()?.unwrap_or_default();
    let file = capture.as_ref().map(Capturing::path).unwrap_or(Path::new(CAPTURE));

    // A link of its own, so that what is measured is not copied to a file.
    let lab = Lab::new(attach(options, Wish::Kind(kind)).open(options.link, Tell::Nothing)?)?;
    run(&mut report, &lab, checks::measurements(options.quick), no_kernel.as_deref());
    lab.shut_down();

    report.heading("Capture");
    report.say(&format!("  {}: {} frames", file.display(), stats.written));
    report.finish(object(file, kind, &refused, stats), begin.elapsed());
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn attach(options: &Options, link: Wish) -> Attach {
    Attach { link: Some(link), mtu: options.mtu, settings: options.settings.clone(), ..Attach::default() }
}

/// What is to be captured. The capture goes into the current directory, unless told, or where that belongs to
/// somebody else, into the temporary one.
fn captured(options: &Options) -> Result<Attached, Failure> {
    let elsewhere = std::env::temp_dir().join(format!("{}-{CAPTURE}", std::process::id()));
    let attach = attach(options, options.link);
    let captured = match &options.capture {
        Some(file) => Attach { capture: Some(file.clone()), ..attach },
        None => Attach { capture: Some(CAPTURE.into()), capture_otherwise: Some(elsewhere), ..attach },
    };
    captured.open(options.link, Tell::Nothing)
}

/// There is nothing to show. Programs get their object all the same.
fn no_link(options: &Options, failure: &Failure) -> ExitCode {
    if options.json {
        let mut object = Map::new();
        object.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        object.insert("link".to_owned(), Value::Null);
        object.insert("refused".to_owned(), refusals(failure.refusals()));
        object.insert("reason".to_owned(), json!(failure.reason()));
        object.insert("ok".to_owned(), json!(false));
        object.insert("checks".to_owned(), json!([]));
        println!("{:#}", Value::Object(object));
    }
    crate::complain(failure);
    ExitCode::FAILURE
}

fn describe(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Tap => {
            "a TAP device in a namespace of its own; frames of 64 KiB, checksums left to the device"
        }
        LinkKind::Veth => "a veth pair in a namespace of its own, and a packet socket on one end",
        LinkKind::Unix => "a pair of local sockets in this process",
        LinkKind::Memory => "a wire in this process's memory",
    }
}

fn object(file: &Path, kind: LinkKind, refused: &[Refusal], stats: CaptureStats) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    object.insert("link".to_owned(), json!(kind.name()));
    object.insert("refused".to_owned(), refusals(refused));
    let capture = json!({"file": file, "frames": stats.written, "frames_dropped": stats.dropped});
    object.insert("capture".to_owned(), capture);
    object
}

fn refusals(refused: &[Refusal]) -> Value {
    let told = |refusal: &Refusal| json!({"link": refusal.kind.name(), "errno": refusal.errno, "reason": refusal.reason});
    refused.iter().map(told).collect()
}

/// Makes the trials one after the other. Where there is no kernel, each is skipped, and made with the second host.
fn run(report: &mut Report, lab: &Lab, trials: Vec<Trial>, no_kernel: Option<&str>) {
    let mut heading = "";
    for trial in trials {
        if trial.heading != heading {
            heading = trial.heading;
            report.heading(heading);
        }
        if let Some(reason) = no_kernel {
            let (name, title) = trial.names("kernel", "the kernel");
            let outcome = Outcome::Skipped(reason.to_owned());
            report.end(&indicatif::ProgressBar::hidden(), Check { name, title, outcome });
        }
        if let Err(failure) = lab.peer.address(trial.family()) {
            let (name, title) = trial.names("kernel", "the kernel");
            let outcome = Outcome::Skipped(failure.reason().to_owned());
            report.end(&indicatif::ProgressBar::hidden(), Check { name, title, outcome });
            continue;
        }
        let (name, title) = match no_kernel {
            None => trial.names("kernel", "the kernel"),
            Some(_) => trial.names("host", "the second host"),
        };
        let bar = report.begin(&title, trial.bytes());
        let watched = bar.clone();
        let watch: Watch = Arc::new(move |position| watched.set_position(position));
        let outcome = within(PATIENCE, lab.ours.clone(), lab.peer.clone(), trial, watch);
        report.end(&bar, Check { name, title, outcome });
    }
}

/// Makes a trial in a thread of its own, and does not wait for one that never ends.
fn within(limit: Duration, ours: Arc<dyn Side>, peer: Arc<dyn Side>, trial: Trial, watch: Watch) -> Outcome {
    let (done, finished) = mpsc::channel::<Result<(Figures, Result<(), String>), Failure>>();
    let work = move || {
        let figures = trial.make(&*ours, &*peer, &watch);
        // Whoever hears of the end may end the hosts: the last handle is to be theirs.
        drop((ours, peer));
        done.send(figures)
    };
    if let Err(error) = thread::Builder::new().name("trial".to_owned()).spawn(work) {
        return Outcome::Failed(format!("no thread: {error}"), None);
    }
    match finished.recv_timeout(limit) {
        Ok(Ok((figures, Ok(())))) => Outcome::Ok(figures),
        Ok(Ok((figures, Err(reason)))) => Outcome::Failed(reason, Some(figures)),
        Ok(Err(failure)) => Outcome::Failed(failure.reason().to_owned(), None),
        Err(RecvTimeoutError::Timeout) => {
            Outcome::Failed(format!("not done after {} s", limit.as_secs()), None)
        }
        Err(RecvTimeoutError::Disconnected) => Outcome::Failed("it panicked".to_owned(), None),
    }
}
