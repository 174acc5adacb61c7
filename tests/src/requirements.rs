//! The table of requirements, `docs/rfc.md`: made from the lists in `docs/rfc` and the citations in code and tests.
//!
//! A citation is a comment of its own line, `//= RFC 9293 MUST-36` or `//= RFC 5961 §3.2 MUST-1`, above the code that
//! does it, and with `, type=test` above the test, or in the packet script, that proves it. `docs/rfc/NNNN.tsv` names
//! what RFC NNNN requires; `docs/rfc/not-applicable.tsv` says why some of it does not apply, and `docs/rfc/no-script.tsv`
//! why no packet script shows some of what a test proves: a requirement, a section (`§4.5 *`) or all of an RFC (`*`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// Where something is cited.
#[derive(Clone, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Place {
    /// Path from the root of the project.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
}

/// Who cites one requirement.
#[derive(Clone, Debug, Default)]
pub struct Cited {
    /// Code that does it.
    pub code: Vec<Place>,
    /// Tests that prove it.
    pub tests: Vec<Place>,
}

/// What one RFC requires.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// What the RFC is about.
    pub title: String,
    /// How the list was made, and what it leaves out.
    pub note: String,
    /// For each requirement its name, as citations have it after the RFC's number, and what it asks.
    pub rows: Vec<(String, String)>,
}

/// The RFCs of which each MUST and MUST NOT is shown by a packet script, or has a line that says why none can.
const SCRIPTED: [u32; 15] =
    [9293, 6298, 5681, 6675, 2018, 2883, 7323, 8985, 9438, 5961, 6528, 6056, 7413, 3168, 5682];

/// The RFCs of the internet layer, of which a test against the kernel shows as much as a script: scripts have no links.
const INTERNET: [u32; 12] = [1122, 4443, 8200, 8201, 4861, 4862, 5227, 6724, 7217, 2131, 9776, 9777];

/// What becomes of one requirement.
enum Standing<'a> {
    /// Nothing does it.
    Missing,
    /// Something does it, and nothing proves that.
    Open,
    Proved,
    /// Something else is done on purpose.
    Differs(&'a str),
    /// It does not apply.
    Apart(&'a str),
}

impl<'a> Standing<'a> {
    /// By a reason of `not-applicable.tsv`: one that begins with "as Linux" or "differs: " is of the first kind.
    fn by_reason(reason: &'a str) -> Self {
        match reason.strip_prefix("differs: ") {
            Some(reason) => Standing::Differs(reason),
            None if reason.starts_with("as Linux") => Standing::Differs(reason),
            None => Standing::Apart(reason),
        }
    }
}

/// All that the table is made of.
struct Sources {
    cited: BTreeMap<String, Cited>,
    lists: BTreeMap<u32, List>,
    /// Why some requirements do not apply, by what a citation of them would be.
    reasons: BTreeMap<String, String>,
    /// Why no packet script shows some, likewise.
    unscripted: BTreeMap<String, String>,
}

/// All citations below `root`, by what they cite ("RFC 9293 MUST-36").
///
/// ```
/// let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
/// let cited = tapsock_tests::requirements::citations(root).unwrap();
/// assert!(!cited["RFC 9293 MUST-36"].tests.is_empty());
/// ```
pub fn citations(root: &Path) -> io::Result<BTreeMap<String, Cited>> {
    let mut found: BTreeMap<String, Cited> = BTreeMap::new();
    for path in sources(root)? {
        let file = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        for (index, line) in fs::read_to_string(&path)?.lines().enumerate() {
            let Some(cited) = line.trim_start().strip_prefix("//= ") else { continue };
            let place = Place { file: file.clone(), line: index + 1 };
            match cited.strip_suffix(", type=test") {
                Some(what) => found.entry(what.to_string()).or_default().tests.push(place),
                None => found.entry(cited.to_string()).or_default().code.push(place),
            }
        }
    }
    Ok(found)
}

/// What the RFCs require whose lists stand in `docs/rfc`, by number.
///
/// ```
/// let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
/// let lists = tapsock_tests::requirements::lists(root).unwrap();
/// assert_eq!(lists[&5961].rows[0].0, "§3.2 MUST-1");
/// ```
pub fn lists(root: &Path) -> io::Result<BTreeMap<u32, List>> {
    let mut lists = BTreeMap::new();
    for entry in fs::read_dir(root.join("docs/rfc"))? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|name| name.to_string_lossy().parse().ok());
        let Some(number) = number else { continue };
        let text = fs::read_to_string(&path)?;
        let mut notes = text.lines().filter_map(|line| line.strip_prefix("# ")).map(String::from);
        let rows = text.lines().filter_map(|line| line.split_once('\t'));
        let list = List {
            title: notes.next().unwrap_or_default(),
            note: notes.collect::<Vec<_>>().join(" "),
            rows: rows.map(|(id, what)| (id.to_string(), what.to_string())).collect(),
        };
        lists.insert(number, list);
    }
    Ok(lists)
}

/// What is wrong with the lists and the citations: names that no list has, names twice, reasons in vain.
pub fn complaints(root: &Path) -> io::Result<Vec<String>> {
    let sources = Sources::read(root)?;
    let mut known = BTreeSet::new();
    let mut complaints = Vec::new();
    for (number, list) in &sources.lists {
        for (id, _) in &list.rows {
            if !known.insert(format!("RFC {number} {id}")) {
                complaints.push(format!("RFC {number} {id} is listed twice"));
            }
        }
    }
    for (what, cited) in sources.cited.iter().filter(|(what, _)| is_numbered(what)) {
        if let (false, Some(place)) = (known.contains(what), cited.code.iter().chain(&cited.tests).next()) {
            complaints.push(format!("{}:{}: no list has {what}", place.file, place.line));
        }
    }
    for what in sources.reasons.keys() {
        if !known.contains(what) {
            complaints.push(format!("not-applicable.tsv: no list has {what}"));
        }
        if sources.cited.get(what).is_some_and(|cited| !cited.tests.is_empty()) {
            complaints.push(format!("not-applicable.tsv: a test proves {what}"));
        }
    }
    complaints.extend(sources.without_scripts());
    Ok(complaints)
}

/// The whole of `docs/rfc.md`.
pub fn table(root: &Path) -> io::Result<String> {
    Sources::read(root)?.table().map_err(io::Error::other)
}

impl Sources {
    fn read(root: &Path) -> io::Result<Sources> {
        let reasons = reasons_of(&root.join("docs/rfc/not-applicable.tsv"))?;
        let unscripted = reasons_of(&root.join("docs/rfc/no-script.tsv"))?;
        Ok(Sources { cited: citations(root)?, lists: lists(root)?, reasons, unscripted })
    }

    /// What no packet script shows, though one should, and reasons in vain.
    fn without_scripts(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut idle: BTreeSet<&str> = self.unscripted.keys().map(String::as_str).collect();
        for number in SCRIPTED.into_iter().chain(INTERNET) {
            let rows = self.lists.get(&number).map_or(&[][..], |list| &list.rows);
            for (id, _) in rows.iter().filter(|(id, _)| id.contains("MUST-")) {
                let what = format!("RFC {number} {id}");
                if self.is_shown(number, &what) {
                    if idle.remove(what.as_str()) {
                        complaints.push(format!("no-script.tsv: {what} is shown"));
                    }
                } else if !self.reasons.contains_key(&what) {
                    match self.why_unscripted(number, id) {
                        Some((reason, _)) => _ = idle.remove(reason),
                        None => complaints.push(format!("no packet script shows {what}")),
                    }
                }
            }
        }
        complaints.extend(idle.into_iter().map(|what| format!("no-script.tsv: nothing needs {what}")));
        complaints
    }

    /// Whether a script shows this requirement, or what does as well.
    fn is_shown(&self, number: u32, what: &str) -> bool {
        let tests = self.cited.get(what).map_or(&[][..], |cited| &cited.tests);
        let is_against_the_kernel = |file: &str| file.starts_with("tests/tests/kernel_");
        tests.iter().any(|Place { file, .. }| {
            file.ends_with(".pkt") || (INTERNET.contains(&number) && is_against_the_kernel(file))
        })
    }

    /// Which line of `no-script.tsv` speaks of this requirement, and why: its own, that of its section, or that of its RFC.
    fn why_unscripted(&self, number: u32, id: &str) -> Option<(&str, &str)> {
        let section = id.split(' ').next().unwrap_or_default();
        let names =
            [format!("RFC {number} {id}"), format!("RFC {number} {section} *"), format!("RFC {number} *")];
        let found = names.iter().find_map(|name| self.unscripted.get_key_value(name));
        found.map(|(name, why)| (name.as_str(), why.as_str()))
    }

    fn standing(&self, what: &str) -> Standing<'_> {
        let cited = self.cited.get(what);
        if cited.is_some_and(|cited| !cited.tests.is_empty()) {
            return Standing::Proved;
        }
        match self.reasons.get(what) {
            Some(reason) => Standing::by_reason(reason),
            None if cited.is_some_and(|cited| !cited.code.is_empty()) => Standing::Open,
            None => Standing::Missing,
        }
    }

    fn table(&self) -> Result<String, fmt::Error> {
        let [mut summary, mut missing, mut open, mut rest] = [const { String::new() }; 4];
        let mut total = [0; 6];
        for (number, list) in &self.lists {
            let [mut proved, mut differs, mut apart] = [const { String::new() }; 3];
            let mut counts = [list.rows.len(), 0, 0, 0, 0, 0];
            for (id, asked) in &list.rows {
                let what = format!("RFC {number} {id}");
                let none = Cited::default();
                let cited = self.cited.get(&what).unwrap_or(&none);
                let code = places(&cited.code);
                match self.standing(&what) {
                    Standing::Proved => {
                        counts[1] += 1;
                        let tests = places(&cited.tests);
                        let why = match self.why_unscripted(*number, id) {
                            Some((_, why)) if !self.is_shown(*number, &what) => {
                                format!("; no script: {why}")
                            }
                            _ => String::new(),
                        };
                        writeln!(proved, "| {id} | {asked} | {code} | {tests}{why} |")?;
                    }
                    Standing::Differs(reason) => {
                        counts[2] += 1;
                        writeln!(differs, "| {id} | {asked} | {reason} |")?;
                    }
                    Standing::Apart(reason) => {
                        counts[3] += 1;
                        writeln!(apart, "| {id} | {asked} | {reason} |")?;
                    }
                    Standing::Open => {
                        counts[4] += 1;
                        writeln!(open, "| RFC {number} {id} | {asked} | {code} |")?;
                    }
                    Standing::Missing => {
                        counts[5] += 1;
                        writeln!(missing, "| RFC {number} {id} | {asked} |")?;
                    }
                }
            }
            writeln!(
                summary,
                "| RFC {number}: {} | {} |",
                list.title,
                counts.map(|n| n.to_string()).join(" | ")
            )?;
            total.iter_mut().zip(counts).for_each(|(total, count)| *total += count);
            writeln!(rest, "## RFC {number}: {}\n\n{}", list.title, list.note)?;
            section(&mut rest, "Proved", "| | what | code | test |\n|---|---|---|---|", &proved)?;
            let head = "| | what | why |\n|---|---|---|";
            section(&mut rest, "Differs on purpose", head, &differs)?;
            section(&mut rest, "Set apart", head, &apart)?;
            rest.push('\n');
        }
        writeln!(summary, "| all | {} |", total.map(|n| n.to_string()).join(" | "))?;
        Ok(format!(
            "# Requirements, and what proves them\n\n\
             Made from the lists in `docs/rfc` and the citations in the code by \
             `cargo run -p tapsock-tests --bin rfc_table`. The names are those of RFC 9293, appendix B; elsewhere \
             a section, and which MUST, MUST NOT, SHALL or REQUIRED of it, counted.\n\n\
             | | required | proved by a test | differs on purpose | set apart | no test yet | not done yet |\n\
             |---|---|---|---|---|---|---|\n{summary}\n\
             ## Not done yet\n\n| | what |\n|---|---|\n{missing}\n\
             ## No test yet\n\n| | what | code |\n|---|---|---|\n{open}\n\
             {rest}## Sections cited\n\n| section | code | tests |\n|---|---|---|\n{}",
            self.sections()
        ))
    }

    /// How often sections are cited, where no requirement is named.
    fn sections(&self) -> String {
        let rows = self.cited.iter().filter(|(what, _)| !is_numbered(what));
        rows.map(|(what, cited)| format!("| {what} | {} | {} |\n", cited.code.len(), cited.tests.len()))
            .collect()
    }
}

/// The reasons in a file, by what a citation of the requirement would be.
fn reasons_of(path: &Path) -> io::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(path)?;
    let reasons = text.lines().filter_map(|line| {
        let (rfc, rest) = line.split_once('\t')?;
        let (id, reason) = rest.split_once('\t')?;
        Some((format!("RFC {rfc} {id}"), reason.to_string()))
    });
    Ok(reasons.collect())
}

fn section(into: &mut String, title: &str, head: &str, rows: &str) -> fmt::Result {
    if rows.is_empty() { Ok(()) } else { write!(into, "\n### {title}\n\n{head}\n{rows}") }
}

/// Whether what is cited is one requirement, not a section.
fn is_numbered(what: &str) -> bool {
    ["MUST-", "SHLD-", "MAY-", "REC-", "RULE-"].iter().any(|kind| what.contains(kind))
}

/// The files only: lines would change with every edit above them.
fn places(places: &[Place]) -> String {
    let mut files: Vec<&str> = places.iter().map(|place| place.file.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    files.join(", ")
}

/// All Rust sources and packet scripts of the project, in order.
pub(crate) fn sources(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                left.push(path);
            } else if [".rs", ".pkt"].iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
