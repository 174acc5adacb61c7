//! One script in one family: from text to result.

use core::fmt;

use tapsock_stack::config::Config;
use tapsock_stack::iface::IpCidr;

use super::failure::Failure;
use super::kernel::KernelTarget;
use super::rules::Rules;
use super::session::Session;
use super::stack::{Network, StackTarget};
use super::target::Target;
use super::trace::TraceEntry;
use crate::ast::{IpVersion, Position, Script, Setting};
use crate::parser::{Definitions, parse_with};

/// What a script runs on.
///
/// ```
/// use tapsock_conformance::run::On;
///
/// assert_eq!(On::default(), On::Stack);
/// ```
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum On {
    /// tapsock's stack, in virtual time.
    #[default]
    Stack,
    /// The running kernel, in real time, in the network namespace of the process: which is to be one of its own.
    Kernel,
}

/// What all scripts of a run have in common.
///
/// ```
/// use tapsock_conformance::run::Options;
///
/// assert!(Options::default().definitions.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What they run on.
    pub on: On,
    /// `-D NAME=value`.
    pub definitions: Vec<(String, String)>,
    /// Options that come before a script's own.
    pub settings: Vec<Setting>,
}

/// How a script ended.
///
/// ```
/// use tapsock_conformance::run::Verdict;
///
/// assert_eq!(Verdict::Passed.to_string(), "passed");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// All was as the script says.
    Passed,
    /// Something was not.
    Failed(Failure),
    /// It is not for this family, or was not to be run.
    Skipped(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Passed => "passed",
            Verdict::Failed(_) => "failed",
            Verdict::Skipped(_) => "skipped",
        })
    }
}

/// A script's run in one family.
///
/// ```
/// use tapsock_conformance::ast::IpVersion;
/// use tapsock_conformance::run::{Options, Verdict, run};
///
/// let script = "
///     0   socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
///     +0  bind(3, ..., ...) = 0
///     +0  listen(3, 1) = 0
///     +.1 < S 0:0(0) win 65535 <mss 1000>
///     +0  > S. 0:0(0) ack 1 <mss 1460>
/// ";
/// let report = run("handshake.pkt", script, IpVersion::V4, &Options::default());
/// assert_eq!(report.verdict, Verdict::Passed);
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    /// The script's name, which is its path.
    pub name: String,
    /// The family.
    pub version: IpVersion,
    /// How it ended.
    pub verdict: Verdict,
    /// The line of the script that the failure is about.
    pub source: String,
    /// What happened.
    pub trace: Vec<TraceEntry>,
    /// What is to be known of the run: settings that the target has not, commands that mean nothing to it.
    pub notes: Vec<String>,
}

/// Runs a script. `name` is its path: files that it names are looked for beside it.
pub fn run(name: &str, text: &str, version: IpVersion, options: &Options) -> Report {
    if !is_for(name, version) {
        return Report::without_events(
            name,
            version,
            Verdict::Skipped("it is for the other family".to_owned()),
        );
    }
    if let (On::Kernel, Some(why)) = (options.on, apart(text)) {
        return Report::without_events(name, version, Verdict::Skipped(format!("not on the kernel: {why}")));
    }
    match parse_with(name, text, &definitions(version, options)) {
        Ok(script) => run_parsed(&script, version, options),
        Err(errors) => {
            let reason = errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("; ");
            let failure = Failure::new(errors[0].at, reason);
            let report = Report::without_events(name, version, Verdict::Failed(failure));
            Report { source: errors[0].line.clone(), ..report }
        }
    }
}

/// Runs a script that was parsed, whatever its name says of families.
///
/// ```
/// use tapsock_conformance::ast::IpVersion;
/// use tapsock_conformance::parse;
/// use tapsock_conformance::run::{Options, Verdict, run_parsed};
///
/// let script = parse("s.pkt", "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3").unwrap();
/// assert_eq!(run_parsed(&script, IpVersion::V6, &Options::default()).verdict, Verdict::Passed);
/// ```
pub fn run_parsed(script: &Script, version: IpVersion, options: &Options) -> Report {
    match rules(script, version, options) {
        Ok(rules) if rules.dry_run => {
            let verdict = Verdict::Skipped("it was only to be parsed".to_owned());
            Report::without_events(&script.name, version, verdict)
        }
        Ok(rules) => match options.on {
            On::Stack => on_stack(script, version, &rules),
            On::Kernel => on_kernel(script, version, &rules),
        },
        Err(failure) => Report::of(script, version, Err(failure), (Vec::new(), Vec::new())),
    }
}

impl Report {
    /// Of a script that did not come to its events.
    fn without_events(name: &str, version: IpVersion, verdict: Verdict) -> Self {
        let (name, source) = (name.to_owned(), String::new());
        Report { name, version, verdict, source, trace: Vec::new(), notes: Vec::new() }
    }

    fn of(
        script: &Script,
        version: IpVersion,
        outcome: Result<(), Failure>,
        (trace, notes): (Vec<TraceEntry>, Vec<String>),
    ) -> Self {
        let source = outcome.as_ref().err().map_or("", |failure| script.line(failure.at.line)).to_owned();
        let verdict = outcome.map_or_else(Verdict::Failed, |()| Verdict::Passed);
        Report { name: script.name.clone(), version, verdict, source, trace, notes }
    }
}

/// Why a script is not for the running kernel, where one of its comments says so: `// Not on the kernel: …`.
///
/// ```
/// use tapsock_conformance::run::apart;
///
/// assert_eq!(apart("// Not on the kernel: it has no such setting.\n"), Some("it has no such setting."));
/// assert_eq!(apart("// The kernel has it.\n"), None);
/// ```
pub fn apart(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.trim_start().strip_prefix("// Not on the kernel: "))
}

/// Whether a script is for a family, by the end of its name.
pub fn is_for(name: &str, version: IpVersion) -> bool {
    match version {
        IpVersion::V6 => !name.ends_with("v4.pkt"),
        IpVersion::V4 | IpVersion::V4MappedV6 => !name.ends_with("v6.pkt"),
    }
}

/// What a script of the family may call by name, unless it is defined otherwise: the collections that there are use
/// these.
fn definitions(version: IpVersion, options: &Options) -> Definitions {
    let v6 = version == IpVersion::V6;
    let pick = |v4, six| if v6 { six } else { v4 };
    let v4_calls = version == IpVersion::V4;
    let mut defined = Definitions::new()
        .with("TFO_COOKIE", pick("3021b9d889017eeb", "c1d1e9742a47a9bc"))
        .with("TFO_COOKIE_ZERO", pick("b7c12350a90dc8f5", "82af1a8f9a205c34"))
        .with("CMSG_LEVEL_IP", if v4_calls { "SOL_IP" } else { "SOL_IPV6" })
        .with("CMSG_TYPE_RECVERR", if v4_calls { "IP_RECVERR" } else { "IPV6_RECVERR" });
    if !v6 {
        defined.define("CODE", "host_unreachable");
    }
    options.definitions.iter().for_each(|(name, value)| defined.define(name, value));
    defined
}

fn rules(script: &Script, version: IpVersion, options: &Options) -> Result<Rules, Failure> {
    let mut rules = Rules::of(version);
    for setting in &options.settings {
        rules.apply(setting).map_err(|why| Failure::new(START, why))?;
    }
    for option in &script.options {
        rules.apply(&option.setting).map_err(|why| Failure::new(option.at, why))?;
    }
    Ok(rules)
}

fn on_stack(script: &Script, version: IpVersion, rules: &Rules) -> Report {
    match StackTarget::new(&network(rules), Config::default()) {
        Ok(mut target) => on(&mut target, script, version, rules),
        Err(why) => Report::of(script, version, Err(Failure::new(START, why)), (Vec::new(), Vec::new())),
    }
}

fn on_kernel(script: &Script, version: IpVersion, rules: &Rules) -> Report {
    match KernelTarget::new(&network(rules)) {
        Ok(mut target) => on(&mut target, script, version, rules),
        Err(why) => Report::of(script, version, Err(Failure::new(START, why)), (Vec::new(), Vec::new())),
    }
}

fn on(target: &mut dyn Target, script: &Script, version: IpVersion, rules: &Rules) -> Report {
    let mut session = Session::new(script, rules, target);
    let outcome = session.run();
    Report::of(script, version, outcome, session.into_story())
}

fn network(rules: &Rules) -> Network {
    Network {
        local: (!rules.any_ip).then(|| IpCidr::new(rules.local, rules.prefix)),
        peers: IpCidr::new(rules.remote, rules.remote_prefix),
        mtu: rules.mtu as usize,
        segments: true,
    }
}

/// Where a failure stands that is of no line.
const START: Position = Position { line: 1, column: 1 };
