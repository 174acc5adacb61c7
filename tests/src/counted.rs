//! What counts, and what shows that it does.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

use tapsock::Counter;

use crate::requirements::sources;

/// Where counters are counted up.
const CODE: [&str; 3] = ["stack/src", "sockets/src", "socket-api/src"];
/// Where they are declared, which is neither.
const DECLARATIONS: &str = "stack/src/counters.rs";
/// Where the tests of a source begin that has its own.
const OWN_TESTS: &str = "#[cfg(test)]\nmod tests {";

/// The counters that nothing adds to, and those that no test and no packet script names but in its
/// comments: nobody would notice that they
/// stand still.
///
/// ```
/// let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
/// assert_eq!(tapsock_tests::counted::complaints(root).unwrap(), [""; 0]);
/// ```
pub fn complaints(root: &Path) -> io::Result<Vec<String>> {
    let (mut counted, mut named) = (BTreeSet::new(), BTreeSet::new());
    for path in sources(root)? {
        let text = fs::read_to_string(&path)?;
        let place = path.strip_prefix(root).unwrap_or(&path);
        let is_script = place.extension().is_some_and(|ending| ending == "pkt");
        let is_test = place.components().any(|part| part.as_os_str() == "tests")
            || place.file_name().is_some_and(|name| name == "tests.rs");
        if is_script || is_test {
            named.extend(names(&text).map(str::to_owned));
            continue;
        }
        let (code, tests) = text.split_once(OWN_TESTS).unwrap_or((&text, ""));
        named.extend(names(tests).map(str::to_owned));
        if CODE.iter().any(|folder| place.starts_with(folder)) && place != Path::new(DECLARATIONS) {
            let uses = code.split("Counter::").skip(1);
            counted.extend(uses.filter_map(|rest| words(rest).next()).map(str::to_owned));
        }
    }
    let mut complaints = Vec::new();
    for name in Counter::ALL.iter().map(|counter| counter.name()) {
        if !counted.contains(name) {
            complaints.push(format!("nothing adds to {name}"));
        }
        if !named.contains(name) {
            complaints.push(format!("no test names {name}"));
        }
    }
    Ok(complaints)
}

/// The words of a test or of a packet script that do something: not those of its comments.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| words(line.split(" // ").next().unwrap_or_default()))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_names_nothing() {
        let text = "//! One\n/// Two\nfn f() { // Three\n    // Four\n    count(Counter::Five); // Six\n}\n+0 `nstat | grep Seven`";
        let named: Vec<&str> = names(text).collect();
        assert_eq!(named, ["fn", "f", "count", "Counter", "Five", "0", "nstat", "grep", "Seven"]);
    }
}
