//! What has a bound, and what shows that it holds: `docs/bounds.md` against the sources.

use std::path::Path;
use std::{fs, io};

use tapsock::Counter;
use tapsock_stack::config::Config;

use crate::requirements::sources;

/// The page, from the root of the project.
const PAGE: &str = "docs/bounds.md";
/// What strangers, other processes and files can fill, as the page says.
const CODE: [&str; 6] = [
    "stack/src",
    "sockets/src/services.rs",
    "socket-api/src/resolve",
    "socket-api/src/control",
    "socket-api/src/engine",
    "tap-driver/src",
];
/// What of that has its bounds and its tests beside it.
const LEFT_OUT: [&str; 1] = ["stack/src/tcp"];
/// Where the tests of a source begin that has its own.
const OWN_TESTS: &str = "#[cfg(test)]\nmod tests {";

/// A constant that bounds something, by its name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Bound {
    name: String,
    /// Its source, from the root of the project.
    file: String,
}

/// The bounds without a row, and the rows without a bound, a setting, a counter or a test.
///
/// ```
/// let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
/// assert_eq!(tapsock_tests::bounded::complaints(root).unwrap(), [""; 0]);
/// ```
pub fn complaints(root: &Path) -> io::Result<Vec<String>> {
    let page = fs::read_to_string(root.join(PAGE))?;
    let [tables, settings, numbers] = [
        "Tables and queues",
        "Settings that bound a table or a queue",
        "Numbers that bound no table and no queue",
    ]
    .map(|title| rows(&page, title));
    let mut complaints = Vec::new();
    let mut listed: Vec<Bound> = Vec::new();
    for row in tables.iter().chain(&numbers) {
        let [name, file] = [0, 1].map(|at| quoted(row.get(at).unwrap_or(&"")).concat());
        listed.push(Bound { name, file });
    }
    let bounds = bounds(root)?;
    for bound in &bounds {
        match listed.iter().filter(|row| *row == bound).count() {
            1 => {}
            0 => complaints.push(format!("{PAGE} does not say what fills {} of {}", bound.name, bound.file)),
            _ => complaints.push(format!("{PAGE} has {} of {} twice", bound.name, bound.file)),
        }
    }
    for row in listed.iter().filter(|row| !bounds.contains(row)) {
        complaints.push(format!("{PAGE}: there is no {} in {}", row.name, row.file));
    }
    for row in &settings {
        let name = quoted(row[0]).concat();
        if !Config::names().any(|known| known == name) {
            complaints.push(format!("{PAGE}: there is no setting {name}"));
        }
    }
    for row in tables.iter().chain(&settings) {
        let [.., told, filled] = row[..] else { continue };
        complaints.extend(untold(told).map(|what| format!("{PAGE}: {}: {what}", row[0])));
        complaints.extend(unfilled(root, filled)?.map(|what| format!("{PAGE}: {}: {what}", row[0])));
    }
    Ok(complaints)
}

/// The cells of each row of the table under a title.
fn rows<'a>(page: &'a str, title: &str) -> Vec<Vec<&'a str>> {
    let parts = page.split("\n## ").find_map(|part| part.strip_prefix(title)).unwrap_or_default();
    let rows = parts.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |").map(|_| line));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// What is wrong with how the rest is counted or told.
fn untold(cell: &str) -> Option<String> {
    if !cell.starts_with('`') {
        return (!cell.starts_with("told"))
            .then(|| format!("\"{cell}\" says neither a counter nor how it is told"));
    }
    let is_errno = |name: &str| name.starts_with('E') && !name.contains(|letter: char| letter.is_lowercase());
    let known = |name: &&str| is_errno(name) || Counter::ALL.iter().any(|counter| counter.name() == *name);
    quoted(cell).into_iter().find(|name| !known(name)).map(|name| format!("there is no counter {name}"))
}

/// What is wrong with the test that a row names.
fn unfilled(root: &Path, cell: &str) -> io::Result<Option<String>> {
    let [file, test] = quoted(cell)[..] else { return Ok(Some(format!("\"{cell}\" names no test"))) };
    let text = match fs::read_to_string(root.join(file)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(format!("there is no {file}")));
        }
        Err(error) => return Err(error),
    };
    let begins = format!("fn {test}(");
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.starts_with(&begins)).unwrap_or_default();
    let is_test =
        lines[..at].iter().rev().take_while(|line| line.starts_with('#')).any(|line| *line == "#[test]");
    Ok((!is_test).then(|| format!("{file} has no test {test}")))
}

/// All bounds of the code that the page is about.
fn bounds(root: &Path) -> io::Result<Vec<Bound>> {
    let mut found = Vec::new();
    for path in sources(root)? {
        let place = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let within = |folders: &[&str]| folders.iter().any(|folder| place.starts_with(folder));
        let is_test = place.split('/').any(|part| part == "tests" || part == "tests.rs");
        if !within(&CODE) || within(&LEFT_OUT) || is_test {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let code = text.split(OWN_TESTS).next().unwrap_or_default();
        found.extend(code.lines().filter_map(bound_of).map(|name| Bound { name, file: place.clone() }));
    }
    Ok(found)
}

/// The name of the constant that a line defines, where it is a number of things and called as bounds are.
fn bound_of(line: &str) -> Option<String> {
    let (_, constant) =
        line.split_once("const ").filter(|(before, _)| before.trim().is_empty() || before.contains("pub"))?;
    let (name, rest) = constant.split_once(':')?;
    let kind = rest.split('=').next().unwrap_or_default().trim();
    let counts = ["usize", "u64", "u32", "u16", "u8", "i32"].contains(&kind) || kind.starts_with("[usize");
    let words: Vec<&str> = name.split('_').collect();
    let (first, last) = (*words.first()?, *words.last()?);
    let bounds = ["MAX", "QUEUE", "OUTBOX"].contains(&first) || ["MAX", "LIMIT", "LIMITS"].contains(&last);
    (counts && bounds).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_known_by_their_names() {
        let found = |line| bound_of(line);
        for line in [
            "const MAX_A: usize = 1;",
            "    pub(super) const A_MAX: u64 = 1;",
            "const LIMITS: [usize; 4] = X;",
            "const MAX_A: u16 = 1;",
            "const A_LIMIT: i32 = 1;",
            "const OUTBOX_A: usize = 1;",
        ] {
            assert!(found(line).is_some(), "{line}");
        }
        for line in [
            "const A: usize = 1;",
            "const MAX_A: Duration = B;",
            "// const MAX_A: usize = 1;",
            "let a = MAX;",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }

    #[test]
    fn a_row_says_how_the_rest_is_told_and_names_a_test() {
        assert_eq!(untold("`IpOutDiscards`, `EAGAIN`"), None);
        assert_eq!(untold("told: so many"), None);
        assert!(untold("`IpOutDiscarded`").is_some());
        assert!(untold("").is_some());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate has a folder above it");
        let here = |test: &str| {
            unfilled(root, &format!("`tests/src/bounded.rs`: `{test}`")).expect("it can be read")
        };
        assert_eq!(here("bounds_are_known_by_their_names"), None);
        assert!(here("bound_of").is_some(), "no test");
        assert!(here("nothing_at_all").is_some());
        assert!(unfilled(root, "`tests/src/nowhere.rs`: `a`").expect("it is not there").is_some());
    }
}
