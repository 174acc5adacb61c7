//! Assertions, with one thing in them altered.

use core::ops::Range;

use tapsock_conformance::ast::Code;

use crate::conditions::conditions;

/// The code with each comparison of an assertion turned round, and each number in it that has to be met.
pub fn altered_code(code: &Code) -> Vec<(String, Code)> {
    let mut altered = Vec::new();
    let mut add = |what: String, at: Range<usize>, with: &str| {
        let text = [&code.text[..at.start], with, &code.text[at.end..]].concat();
        altered.push((what, Code { text, ..code.clone() }));
    };
    for condition in conditions(&code.text) {
        let text = &code.text[condition.clone()];
        let operators = operators(text);
        let moved = |at: &Range<usize>| at.start + condition.start..at.end + condition.start;
        for (at, opposite) in &operators {
            add(format!("another comparison in {}", text.trim()), moved(at), opposite);
        }
        if operators.iter().all(|(_, opposite)| *opposite == "!=") {
            for at in numbers(text) {
                let other = text[at.clone()].parse::<u64>().unwrap() + 1;
                add(format!("another constant in {}", text.trim()), moved(&at), &other.to_string());
            }
        }
    }
    altered
}

/// Comparisons, with what turns them round.
fn operators(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let opposites = [("==", "!="), ("!=", "=="), ("<=", ">"), (">=", "<"), ("<", ">="), (">", "<=")];
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match opposites.iter().find(|(operator, _)| text[at..].starts_with(operator)) {
            Some((operator, opposite)) => {
                found.push((at..at + operator.len(), *opposite));
                at += operator.len();
            }
            None => at += 1,
        }
    }
    found
}

/// Decimal numbers that stand alone.
fn numbers(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let is_word = |at: usize| bytes.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        while is_word(at) {
            at += 1;
        }
        if at > start && bytes[start..at].iter().all(u8::is_ascii_digit) {
            found.push(start..at);
        }
        at = at.max(start + 1);
    }
    found
}
