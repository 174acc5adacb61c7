//! The table of socket options, `docs/sockets.md`: what each socket answers when it is asked, and which test sees what the
//! option does.
//!
//! The options are the constants of `sockets/src/constants.rs` that some socket reads or sets. Those of Linux that none
//! does stand in `docs/sockets/absent.tsv`, each with the reason, and have to be refused by all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use tapsock::Host;
use tapsock::bsd::{SOL_ICMPV6, SOL_IP, SOL_IPV6, SOL_RAW, SOL_SOCKET, SOL_TCP, SOL_UDP};

use crate::differential::{
    DIFFERENCES, KERNEL_RELEASE, Sockets, UNLIKE_OPTIONS, UNLIKE_STATES, UnlikeOption, UnlikeStates,
};

mod asked;
mod kinds;

use asked::ask;
pub use kinds::complaints_of_kinds;

/// A name in the headers, and the level that its prefix stands for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Named {
    /// As in C: `SO_RCVBUF`.
    pub name: String,
    /// `SOL_SOCKET` and the like.
    pub level: i32,
    /// The option's number.
    pub number: i32,
    /// What it does, or why it is not there.
    pub about: String,
    /// Whether it names a control message, as IPV6_HOPLIMIT does: that is there whether it is an option too or not.
    pub message: bool,
}

/// The levels, by the prefix of the names.
const LEVELS: [(&str, i32); 8] = [
    ("SO_", SOL_SOCKET),
    ("IP_", SOL_IP),
    ("IPV6_", SOL_IPV6),
    ("TCP_", SOL_TCP),
    ("UDP_", SOL_UDP),
    ("ICMP_", SOL_RAW),
    ("ICMP6_", SOL_ICMPV6),
    // Over IPv6 they have the same numbers.
    ("MCAST_", SOL_IP),
];

/// The whole of `docs/sockets.md`.
pub fn table(root: &Path) -> io::Result<String> {
    let host = Host::builder().privileged().start()?;
    let (mut rows, mut refused, idle) = (String::new(), String::new(), idle(root)?);
    for option in constants(&fs::read_to_string(root.join("sockets/src/constants.rs"))?) {
        let row = ask(&host, &option)?;
        if row.sockets.is_empty() {
            continue;
        }
        let test = effect(root, &option.name)?.unwrap_or_else(|complaint| complaint);
        let Named { name, about, .. } = &option;
        let (get, set, sockets) = (row.which(&row.get), row.which(&row.set), row.sockets.join(" "));
        let without: Vec<&str> = row
            .sockets
            .iter()
            .copied()
            .filter(|kind| idle.contains(&(name.clone(), (*kind).to_owned())))
            .collect();
        let about = match without.is_empty() {
            true => about.clone(),
            false => {
                format!("{about} On {} it changes nothing: Linux does nothing either.", without.join(" "))
            }
        };
        let defaults = row.defaults();
        writeln!(rows, "| {name} | {about} | {sockets} | {get} | {set} | {defaults} | {test} |")
            .map_err(io::Error::other)?;
    }
    for option in absent(root)? {
        writeln!(refused, "| {} | {} |", option.name, option.about).map_err(io::Error::other)?;
    }
    let (differences, kinds) = (differences(root)?, unlike_kinds(root)?);
    Ok(format!(
        "# Socket options\n\n\
         Made by asking the sockets: `cargo run -p tapsock-tests --bin sockets_table`. An option acts, or it is refused \
         with ENOPROTOOPT; where Linux takes one and does nothing, it may be taken here too, and then the table says \
         that, and a test runs the same program with it and without it on both. What depends on the kind of socket is given for each.\n\n\
         | option | what | sockets | get | set | default | test |\n|---|---|---|---|---|---|---|\n{rows}\n\
         ## Refused\n\nOptions of Linux that no socket here has, as yet or for good.\n\n| option | why |\n|---|---|\n\
         {refused}\n## Kinds of sockets that have an option on Linux alone\n\n\
         Every option is read and set on a fresh socket of each kind, on both. But for the refused ones above and for these the \
         answers are the same.\n\n\
         | option | sockets | Linux | here | why |\n|---|---|---|---|---|\n{kinds}\n## Where calls differ from {KERNEL_RELEASE}\n\n\
         [std.md](sockets/std.md) tells of the standard library's own tests. Those that a program or a sequence of calls on both stacks meets are known to the tests, which fail where one is \
         gone.\n\n| call | Linux | here | why | test |\n|---|---|---|---|---|\n{differences}"
    ))
}

/// Which kinds of sockets answer unlike on Linux, and why: what `docs/sockets/kinds.tsv` says.
fn unlike_kinds(root: &Path) -> io::Result<String> {
    let mut rows = String::new();
    for row in kinds::unlike(root)? {
        let (kinds, kinds::Unlike { option, kernel, ours, why, .. }) = (row.kinds.join(" "), row);
        writeln!(rows, "| {option} | {kinds} | {kernel} | {ours} | {why} |").map_err(io::Error::other)?;
    }
    Ok(rows)
}

/// What differs, and why: what `docs/sockets/differences.tsv` says, and what the tests know.
///
/// Errors: a line that is malformed or gives no reason.
fn differences(root: &Path) -> io::Result<String> {
    let mut rows = String::new();
    let mut row = |cells: [&str; 5]| {
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(rows, "| {} |", cells.join(" | ")).map_err(io::Error::other)
    };
    for line in fs::read_to_string(root.join("docs/sockets/differences.tsv"))?.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let cells: [&str; 5] = cells.try_into().unwrap_or([""; 5]);
        if cells.contains(&"") {
            return Err(io::Error::other(format!(
                "differences.tsv has no five cells, or an empty one, in: {line}"
            )));
        }
        let [call, kernel, ours, reason, test] = cells;
        row([call, kernel, ours, reason, &shown_test(test)])?;
    }
    for known in DIFFERENCES {
        let sockets = match known.of {
            Sockets::Local => "AF_UNIX",
            Sockets::Internet => "AF_INET, AF_INET6",
        };
        row([
            &format!("{} ({sockets})", known.what),
            &code(known.kernel),
            &code(known.ours),
            known.reason,
            KNOWN,
        ])?;
    }
    for UnlikeOption { name, of, kernel, ours, reason, .. } in UNLIKE_OPTIONS {
        row([&format!("{name}: {of}"), &code(kernel), &code(ours), reason, VALUES])?;
    }
    for UnlikeStates { names, reason, .. } in UNLIKE_STATES {
        row([
            &format!("{names} of a stream that was connected"),
            "another value",
            "its own",
            reason,
            STATES,
        ])?;
    }
    Ok(rows)
}

/// What options say of what has become of a socket.
const STATES: &str = "options_of_all_states";

/// The tests that meet what programs and sequences on both stacks know.
const KNOWN: &str = "every_known_difference_shows";
const VALUES: &str = "options_of_all_values_and_lengths";

/// A test as the tables name it.
fn shown_test(test: &str) -> String {
    let (file, name) = test.split_once("::").unwrap_or(("", test));
    let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem}::{name}")
}

/// Differences whose test is not there.
fn untested(root: &Path) -> io::Result<Vec<String>> {
    let list = fs::read_to_string(root.join("docs/sockets/differences.tsv"))?;
    let named = list.lines().map(|line| line.rsplit('\t').next().unwrap_or_default());
    let is_there = |test: &str| {
        let Some((file, name)) = test.split_once("::") else { return false };
        // Those that run programs on both stacks.
        file.starts_with("tests/tests/")
            && fs::read_to_string(root.join(file)).is_ok_and(|source| body_of(&source, name).is_some())
    };
    Ok(named
        .filter(|test| !is_there(test))
        .map(|test| format!("differences.tsv: {test} is no test on both stacks"))
        .collect())
}

/// What a call has given, as the tests write it down.
fn code(outcome: &str) -> String {
    if outcome.is_empty() { "nothing".to_owned() } else { format!("`{outcome}`") }
}

/// What is wrong with the table: options without a test, and absent ones that are there.
pub fn complaints(root: &Path) -> io::Result<Vec<String>> {
    let host = Host::builder().privileged().start()?;
    let mut found = Vec::new();
    let options = constants(&fs::read_to_string(root.join("sockets/src/constants.rs"))?);
    let refused = absent(root)?;
    for option in &options {
        if ask(&host, option)?.sockets.is_empty() {
            let named = refused.iter().any(|other| other.name == option.name);
            // What else is no option is a value of one's, and its number another's.
            if option.message && !named {
                found.push(format!("{} is neither an option nor among the absent", option.name));
            }
        } else if let Err(complaint) = effect(root, &option.name)? {
            found.push(complaint);
        }
    }
    for (name, kind) in idle(root)? {
        let there =
            options.iter().find(|option| option.name == name).map(|option| ask(&host, option)).transpose()?;
        if !there.is_some_and(|row| row.set.contains(&&*kind)) {
            found.push(format!("{name} is said to change nothing on {kind}, which does not have it"));
        }
    }
    for option in refused {
        let same = |other: &&Named| (other.level, other.number) == (option.level, option.number);
        // The message of that name is there all the same.
        if options.iter().find(same).is_some_and(|other| !other.message) {
            found.push(format!("{} is among the constants", option.name));
        }
        if !ask(&host, &option)?.sockets.is_empty() {
            found.push(format!("{} is there after all", option.name));
        }
    }
    found.extend(untested(root)?);
    Ok(found)
}

/// The options among the constants of a source file.
///
/// ```
/// let options = tapsock_tests::socket_options::constants("/// Idle.\nSO_KEEPALIVE = 9;\nAF_INET = 2;\n");
/// assert_eq!((options.len(), options[0].number, &*options[0].about), (1, 9, "Idle."));
/// let messages = tapsock_tests::socket_options::constants("IPV6_TCLASS = 67;\nIPV6_HOPLIMIT = 52, message;\n");
/// assert_eq!([messages[0].message, messages[1].message], [false, true]);
/// ```
pub fn constants(source: &str) -> Vec<Named> {
    let (mut found, mut about) = (Vec::new(), String::new());
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            about = if about.is_empty() { text.to_string() } else { format!("{about} {text}") };
            continue;
        }
        let about = core::mem::take(&mut about);
        let Some((name, value)) = line.trim_end_matches(';').split_once(" = ") else { continue };
        let (number, message) = match value.strip_suffix(", message") {
            Some(number) => (number, true),
            None => (value, false),
        };
        let level = LEVELS.iter().find(|(prefix, _)| name.starts_with(prefix));
        // The values of one option bear such names too.
        if let (Some((_, level)), Ok(number), false) = (level, number.parse(), name.contains("PMTUDISC")) {
            found.push(Named { name: name.to_string(), level: *level, number, about, message });
        }
    }
    found
}

/// The options that are not there: name, number, and why, with tabs between.
fn absent(root: &Path) -> io::Result<Vec<Named>> {
    let list = fs::read_to_string(root.join("docs/sockets/absent.tsv"))?;
    let rows = list.lines().map(|line| {
        let mut parts = line.split('\t');
        let (name, number, about) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
        let (_, level) = LEVELS.iter().find(|(prefix, _)| name.starts_with(prefix))?;
        Some(Named {
            name: name.to_string(),
            level: *level,
            number,
            about: about.to_string(),
            message: false,
        })
    });
    rows.collect::<Option<_>>().ok_or(io::Error::other("a line of absent.tsv is malformed"))
}

/// The options that a kind of socket has, and that change nothing there, neither on Linux nor here.
pub fn idle(root: &Path) -> io::Result<BTreeSet<(String, String)>> {
    let list = fs::read_to_string(root.join("docs/sockets/idle.tsv"))?;
    let mut found = BTreeSet::new();
    for line in list.lines() {
        let (name, kinds) =
            line.split_once('\t').ok_or(io::Error::other("a line of idle.tsv is malformed"))?;
        found.extend(kinds.split(' ').map(|kind| (name.to_owned(), kind.to_owned())));
    }
    Ok(found)
}

/// The test of an option's effect, which `docs/sockets/effects.tsv` names: as the table shows it, or what is wrong with it.
/// It has to be there, to name the option, and to do more than to set and read options.
fn effect(root: &Path, name: &str) -> io::Result<Result<String, String>> {
    let list = fs::read_to_string(root.join("docs/sockets/effects.tsv"))?;
    let row = list.lines().find_map(|line| line.split_once('\t').filter(|(option, _)| *option == name));
    let Some((file, test)) = row.and_then(|(_, test)| test.split_once("::")) else {
        return Ok(Err(format!("docs/sockets/effects.tsv names no test of what {name} does")));
    };
    let Ok(source) = fs::read_to_string(root.join(file)) else {
        return Ok(Err(format!("the test of {name} stands in {file}, which is not there")));
    };
    Ok(match body_of(&source, test) {
        None => Err(format!("the test of {name} is {test}, which is not in {file}")),
        Some(body) if !words(&body).any(|word| word == name) => Err(format!("{test} does not name {name}")),
        Some(body) if !words(&body).any(|word| CALLS.contains(&word)) => {
            Err(format!("{test} makes no call that {name} could have changed"))
        }
        Some(_) => {
            let stem = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok(format!("{stem}::{test}"))
        }
    })
}

/// The calls by which tests see what an option does.
const CALLS: [&str; 24] = [
    "accept",
    "bind",
    "connect",
    "connected",
    "listen",
    "receive",
    "recv",
    "recvmsg",
    "run",
    "send",
    "settle",
    "sleep",
    "socket",
    "socketpair",
    "try_connect",
    "try_recv",
    "try_send",
    "poll",
    "pair",
    "sent",
    "told",
    "arrived",
    "listener",
    "loop_until_full",
];

/// A test function of `source`, with what it calls in the same file.
///
/// ```
/// let source = "#[test]\nfn works() {\n    helper();\n}\n\nfn helper() {\n    send();\n}\n";
/// assert!(tapsock_tests::socket_options::body_of(source, "works").unwrap().contains("send"));
/// assert_eq!(tapsock_tests::socket_options::body_of(source, "helper"), None, "it is no test");
/// ```
pub fn body_of(source: &str, test: &str) -> Option<String> {
    let functions: BTreeMap<&str, (bool, &str)> = functions(source);
    let (is_test, body) = functions.get(test)?;
    if !is_test {
        return None;
    }
    let mut whole = (*body).to_owned();
    for (name, (_, other)) in &functions {
        if *name != test && words(body).any(|word| word == *name) {
            whole += other;
        }
    }
    Some(whole)
}

/// The functions of a file that are in no module: their names, whether they are tests, and their text.
fn functions(source: &str) -> BTreeMap<&str, (bool, &str)> {
    let mut found = BTreeMap::new();
    let (mut marked, mut current, mut at) = (false, None, 0);
    for line in source.split_inclusive('\n') {
        let text = line.trim_end();
        if text == "#[test]" {
            marked = true;
        } else if let Some(name) = text.strip_prefix("fn ").and_then(|rest| rest.split(['(', '<']).next()) {
            current = Some((name, core::mem::take(&mut marked), at));
        } else if text == "}"
            && let Some((name, is_test, start)) = current.take()
        {
            found.insert(name, (is_test, &source[start..at]));
        }
        at += line.len();
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
}
