//! Writes the table of `docs/conformance.md` anew.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    fs::write(root.join("docs/conformance.md"), tapsock_tests::packets::page(root)?)
}
