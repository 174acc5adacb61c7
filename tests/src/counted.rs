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

/// The counters that nothing adds to, and those that no test and no packet script names: nobody would notice that they
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
            named.extend(words(&text).map(str::to_owned));
            continue;
        }
        let (code, tests) = text.split_once(OWN_TESTS).unwrap_or((&text, ""));
        named.extend(words(tests).map(str::to_owned));
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

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| !word.is_empty())
}
