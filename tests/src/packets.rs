//! The table of packets that differ from the kernel's: `docs/packets.tsv`, shown in `docs/conformance.md`.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

/// Before the table, and behind it.
const MARKS: [&str; 2] =
    ["<!-- packets: made of docs/packets.tsv by packets_table -->\n", "<!-- /packets -->\n"];

/// All of `docs/conformance.md`, with the table as `docs/packets.tsv` is now.
///
/// # Errors
/// Those of reading; a page without the marks, or rows that have not five cells each, are invalid data.
pub fn page(root: &Path) -> io::Result<String> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let page = fs::read_to_string(root.join("docs/conformance.md"))?;
    let (before, rest) = page.split_once(MARKS[0]).ok_or_else(|| invalid("no place for the table"))?;
    let (_, behind) = rest.split_once(MARKS[1]).ok_or_else(|| invalid("no end of the table"))?;
    let mut table = "| what | Linux 6.18 | tapsock | why |\n|---|---|---|---|\n".to_owned();
    for row in fs::read_to_string(root.join("docs/packets.tsv"))?.lines() {
        let [what, linux, ours, why, _test] = row.split('\t').collect::<Vec<_>>()[..] else {
            return Err(invalid(row));
        };
        // A frame a line.
        let [linux, ours] = [linux, ours].map(|frames| frames.replace("; ", "<br>"));
        let _ = writeln!(table, "| {what} | {linux} | {ours} | {why} |");
    }
    Ok([before, MARKS[0], &table, MARKS[1], behind].concat())
}
