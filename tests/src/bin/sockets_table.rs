//! Writes `docs/sockets.md` anew.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let table = tapsock_tests::socket_options::table(root)?;
    fs::write(root.join("docs/sockets.md"), table)
}
