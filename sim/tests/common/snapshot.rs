//! Tables under review: they stand in a file, and a figure that moves fails the test until somebody has looked.

use std::path::Path;

/// Compares `table` with the one in `tests/NAME.txt`. `TAPSOCK_BLESS=1` writes that file anew, and the diff shows what
/// changed.
pub fn assert_as_reviewed(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/{name}.txt"));
    if std::env::var_os("TAPSOCK_BLESS").is_some() {
        std::fs::write(&path, table).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap();
    assert!(alike(&known, table), "the table says\n{known}\nand it is\n{table}");
}

/// Whether all figures of two tables are within a tenth, or a twentieth of their unit.
fn alike(a: &str, b: &str) -> bool {
    let words = |table: &str| table.split_whitespace().map(String::from).collect::<Vec<_>>();
    let (a, b) = (words(a), words(b));
    a.len() == b.len()
        && a.iter().zip(&b).all(|(a, b)| match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => (a - b).abs() <= (a.max(b) * 0.1).max(0.05),
            _ => a == b,
        })
}
