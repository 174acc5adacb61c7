//! The header is what cbindgen makes of the crate.

use std::path::Path;
use std::{env, fs};

#[test]
fn the_header_is_not_stale() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_root_or_default(root);
    let mut made = Vec::new();
    cbindgen::Builder::new().with_crate(root).with_config(config).generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let path = root.join("include/tapsock.h");
    if env::var_os("TAPSOCK_WRITE_HEADER").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == kept,
        "include/tapsock.h is stale: run `TAPSOCK_WRITE_HEADER=1 cargo test -p tapsock-c --test header`"
    );
}
