//! The regular expressions of `grep`: the basic ones, but for groups, backward references and counts.

/// A pattern, ready to look for.
pub(super) struct Pattern {
    steps: Vec<Step>,
    from_start: bool,
    to_end: bool,
    any_case: bool,
}

struct Step {
    one: One,
    repeated: bool,
}

enum One {
    Char(char),
    Any,
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Pattern {
    /// Reads a pattern; with `fixed`, every character stands for itself.
    pub fn new(pattern: &str, fixed: bool, extended: bool, any_case: bool) -> Result<Pattern, String> {
        let folded = if any_case { pattern.to_lowercase() } else { pattern.to_owned() };
        let mut rest = folded.as_str();
        let from_start = !fixed && take(&mut rest, "^");
        let to_end = !fixed && rest.ends_with('$') && !rest.ends_with("\\$");
        if to_end {
            rest = &rest[..rest.len() - 1];
        }
        let mut steps: Vec<Step> = Vec::new();
        let mut letters = rest.chars().peekable();
        while let Some(letter) = letters.next() {
            let one = match letter {
                _ if fixed => One::Char(letter),
                '.' => One::Any,
                '[' => set(&mut letters)?,
                '*' if !steps.is_empty() => {
                    steps.iter_mut().last().into_iter().for_each(|step| step.repeated = true);
                    continue;
                }
                '\\' => match letters.next() {
                    Some(c) if c.is_ascii_alphanumeric() || (!extended && "(){}+?|".contains(c)) => {
                        return Err(format!("the pattern '{pattern}' has '\\{c}', which is not supported"));
                    }
                    Some(c) => One::Char(c),
                    None => return Err(format!("the pattern '{pattern}' ends in a backslash")),
                },
                c if extended && "(){}+?|".contains(c) => {
                    return Err(format!("the pattern '{pattern}' has '{c}', which is not supported"));
                }
                c => One::Char(c),
            };
            steps.push(Step { one, repeated: false });
        }
        Ok(Pattern { steps, from_start, to_end, any_case })
    }

    /// Whether the pattern stands somewhere in the line. Time is bounded by the product of their lengths.
    pub fn stands_in(&self, line: &str) -> bool {
        let folded;
        let line = if self.any_case {
            folded = line.to_lowercase();
            &folded
        } else {
            line
        };
        let mut states = vec![false; self.steps.len() + 1];
        self.enter(&mut states, 0);
        for letter in line.chars() {
            if self.matched(&states) && !self.to_end {
                return true;
            }
            let mut next = vec![false; states.len()];
            for (index, step) in self.steps.iter().enumerate().filter(|(index, _)| states[*index]) {
                if step.one.is(letter) {
                    self.enter(&mut next, if step.repeated { index } else { index + 1 });
                }
            }
            if !self.from_start {
                self.enter(&mut next, 0);
            }
            states = next;
        }
        self.matched(&states)
    }

    fn matched(&self, states: &[bool]) -> bool {
        states[self.steps.len()]
    }

    /// Enters a state, and those behind it that a repetition of nothing leads to.
    fn enter(&self, states: &mut [bool], mut index: usize) {
        states[index] = true;
        while self.steps.get(index).is_some_and(|step| step.repeated) {
            index += 1;
            states[index] = true;
        }
    }
}

impl One {
    fn is(&self, letter: char) -> bool {
        match self {
            One::Char(c) => *c == letter,
            One::Any => true,
            One::Set { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *negated
            }
        }
    }
}

/// A set, its `[` taken.
fn set(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<One, String> {
    let negated = letters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        match letters.next() {
            None => return Err("'[' without its ']' in a pattern".to_owned()),
            Some(']') if !ranges.is_empty() => return Ok(One::Set { negated, ranges }),
            Some('[') if letters.peek() == Some(&':') => {
                return Err("classes of characters are not supported in patterns".to_owned());
            }
            Some(from) => {
                let mut ahead = letters.clone();
                match (ahead.next(), ahead.next()) {
                    (Some('-'), Some(to)) if to != ']' => {
                        ranges.push((from, to));
                        *letters = ahead;
                    }
                    _ => ranges.push((from, from)),
                }
            }
        }
    }
}

fn take(rest: &mut &str, prefix: &str) -> bool {
    match rest.strip_prefix(prefix) {
        Some(behind) => {
            *rest = behind;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn stands(pattern: &str, line: &str) -> bool {
        Pattern::new(pattern, false, false, false).unwrap().stands_in(line)
    }

    #[test]
    fn patterns_stand_where_grep_finds_them() {
        assert!(stands(" 0A ", "1: 00000000:1F90 0A 0"));
        assert!(stands("", "x"));
        assert!(stands("^a.c$", "abc"));
        assert!(!stands("^a.c$", "abcd"));
        assert!(!stands("^b", "ab"));
        assert!(stands("b$", "bab"));
        assert!(stands("Tcp.*Retrans", "TcpRetransSegs"));
        assert!(stands("x[0-9a]*y", "xy"));
        assert!(stands("x[^0-9]y", "xzy"));
        assert!(!stands("x[^0-9]y", "x1y"));
        assert!(stands("1\\.5", "1.5"));
        assert!(!stands("1\\.5", "1x5"));
        assert!(stands("*", "a*"));
        assert!(stands("a+", "a+"));
        assert!(Pattern::new("a.", true, false, false).unwrap().stands_in("a."));
        assert!(!Pattern::new("a.", true, false, false).unwrap().stands_in("ab"));
        assert!(Pattern::new("TCP", false, false, true).unwrap().stands_in("tcp"));
    }

    #[test]
    fn what_is_not_known_is_refused_and_repetitions_take_no_time() {
        assert!(Pattern::new("a\\|b", false, false, false).is_err());
        assert!(Pattern::new("a|b", false, true, false).is_err());
        assert!(Pattern::new("[a", false, false, false).is_err());
        assert!(Pattern::new("a\\", false, false, false).is_err());
        assert!(!stands(&"a*".repeat(50).replace("a*a*", "a*a*b"), &"a".repeat(2000)));
    }
}
