//! The table of requirements, `docs/rfc.md`: made from the citations that stand in code and tests.
//!
//! A citation is a comment of its own line, `//= RFC 9293 MUST-36`, above the code that does it, and with
//! `, type=test` above the test that proves it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

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

/// The whole of `docs/rfc.md`.
pub fn table(root: &Path) -> io::Result<String> {
    let cited = citations(root)?;
    let list = fs::read_to_string(root.join("docs/rfc/9293.tsv"))?;
    let reasons = fs::read_to_string(root.join("docs/rfc/not-applicable.tsv")).unwrap_or_default();
    let reasons: BTreeMap<&str, &str> = reasons.lines().filter_map(|line| line.split_once('\t')).collect();
    let (mut open, mut done, mut apart) = (String::new(), String::new(), String::new());
    for (id, what) in list.lines().filter_map(|line| line.split_once('\t')) {
        let none = Cited::default();
        let cited = cited.get(&format!("RFC 9293 {id}")).unwrap_or(&none);
        let row = format!("| {id} | {what} | {} | {} |", places(&cited.code), places(&cited.tests));
        let into = match (cited.tests.is_empty(), reasons.get(id)) {
            (false, _) => &mut done,
            (true, Some(reason)) => {
                writeln!(apart, "| {id} | {what} | {reason} |").map_err(io::Error::other)?;
                continue;
            }
            (true, None) => &mut open,
        };
        writeln!(into, "{row}").map_err(io::Error::other)?;
    }
    let sections = sections(&cited);
    Ok(format!(
        "# Requirements, and what proves them\n\n\
         Made from the citations in the code by `cargo run -p tapsock-tests --bin rfc_table`; the names are those of \
         RFC 9293, appendix B.\n\n\
         ## RFC 9293: no test yet\n\n| | what | code | test |\n|---|---|---|---|\n{open}\n\
         ## RFC 9293: proved\n\n| | what | code | test |\n|---|---|---|---|\n{done}\n\
         ## RFC 9293: set apart\n\n| | what | why |\n|---|---|---|\n{apart}\n\
         ## Sections cited\n\n| section | code | tests |\n|---|---|---|\n{sections}"
    ))
}

fn sections(cited: &BTreeMap<String, Cited>) -> String {
    let numbered = |what: &str| ["MUST-", "SHLD-", "MAY-", "REC-"].iter().any(|kind| what.contains(kind));
    let rows = cited.iter().filter(|(what, _)| !numbered(what));
    rows.map(|(what, cited)| format!("| {what} | {} | {} |\n", cited.code.len(), cited.tests.len())).collect()
}

/// The files only: lines would change with every edit above them.
fn places(places: &[Place]) -> String {
    let mut files: Vec<&str> = places.iter().map(|place| place.file.as_str()).collect();
    files.sort_unstable();
    files.dedup();
    files.join(", ")
}

/// All Rust sources of the project, in order.
fn sources(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                left.push(path);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
