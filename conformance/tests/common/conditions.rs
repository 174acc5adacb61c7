//! What assertions in scripts say.

use core::ops::Range;

/// Where the conditions of assertions stand, without the messages behind them.
pub fn conditions(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (keyword, _) in text.match_indices("assert ") {
        let start = keyword + "assert ".len();
        let mut depth = 0;
        let end = text[start..].char_indices().find(|(_, letter)| match letter {
            '(' | '[' => {
                depth += 1;
                false
            }
            ')' | ']' => {
                depth -= 1;
                false
            }
            ',' | ';' | '\n' => depth == 0,
            _ => false,
        });
        found.push(start..end.map_or(text.len(), |(at, _)| start + at));
    }
    found
}
