//! `$((15*1024*1024))`: the shell's arithmetic over 64-bit numbers, with C's operators and precedence.

/// How deep parentheses and signs may stand in each other.
const DEPTH_MAX: usize = 32;

/// The value of an expression; `variable` gives the values of names, 0 where there is none.
pub(super) fn value(expression: &str, variable: &dyn Fn(&str) -> String) -> Result<i64, String> {
    let mut parser = Parser { rest: expression, variable, depth: 0 };
    let value = parser.binary(0)?;
    match parser.rest.trim() {
        "" => Ok(value),
        rest => Err(format!("unexpected '{rest}' in the arithmetic '{expression}'")),
    }
}

struct Parser<'a> {
    rest: &'a str,
    variable: &'a dyn Fn(&str) -> String,
    depth: usize,
}

/// Operators by rising precedence; of two that begin alike the longer stands first.
const LEVELS: &[&[&str]] = &[
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Parser<'_> {
    fn binary(&mut self, level: usize) -> Result<i64, String> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        loop {
            self.rest = self.rest.trim_start();
            let Some(operator) = operators.iter().find(|operator| self.is_next(operator)) else {
                return Ok(left);
            };
            self.rest = &self.rest[operator.len()..];
            let right = self.binary(level + 1)?;
            left = apply(operator, left, right)?;
        }
    }

    /// Whether the operator comes, and not a longer one that begins like it.
    fn is_next(&self, operator: &str) -> bool {
        let longer = ["||", "&&", "<<", ">>", "<=", ">="];
        self.rest.starts_with(operator)
            && !longer.iter().any(|longer| longer.len() > operator.len() && self.rest.starts_with(longer))
    }

    fn unary(&mut self) -> Result<i64, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("this arithmetic is too deep".to_owned());
        }
        self.rest = self.rest.trim_start();
        let value = match self.rest.chars().next() {
            Some('-') => self.signed()?.wrapping_neg(),
            Some('+') => self.signed()?,
            Some('~') => !self.signed()?,
            Some('!') => i64::from(self.signed()? == 0),
            Some('(') => {
                self.rest = &self.rest[1..];
                let value = self.binary(0)?;
                self.rest = self.rest.trim_start();
                self.rest = self.rest.strip_prefix(')').ok_or("'(' without its ')' in arithmetic")?;
                value
            }
            _ => self.operand()?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn signed(&mut self) -> Result<i64, String> {
        self.rest = &self.rest[1..];
        self.unary()
    }

    fn operand(&mut self) -> Result<i64, String> {
        let rest = self.rest.strip_prefix('$').unwrap_or(self.rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return number(word);
        }
        match word {
            "" => Err("a number is missing in arithmetic".to_owned()),
            name => match (self.variable)(name).trim() {
                "" => Ok(0),
                value => number(value),
            },
        }
    }
}

fn number(text: &str) -> Result<i64, String> {
    let (text_of_radix, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    i64::from_str_radix(text_of_radix, radix).map_err(|_| format!("'{text}' is no number"))
}

fn apply(operator: &str, left: i64, right: i64) -> Result<i64, String> {
    let shift =
        |by: i64| u32::try_from(by).ok().filter(|by| *by < 64).ok_or("a shift out of range in arithmetic");
    Ok(match operator {
        "||" => i64::from(left != 0 || right != 0),
        "&&" => i64::from(left != 0 && right != 0),
        "|" => left | right,
        "^" => left ^ right,
        "&" => left & right,
        "==" => i64::from(left == right),
        "!=" => i64::from(left != right),
        "<=" => i64::from(left <= right),
        ">=" => i64::from(left >= right),
        "<" => i64::from(left < right),
        ">" => i64::from(left > right),
        "<<" => left.wrapping_shl(shift(right)?),
        ">>" => left.wrapping_shr(shift(right)?),
        "+" => left.wrapping_add(right),
        "-" => left.wrapping_sub(right),
        "*" => left.wrapping_mul(right),
        "/" | "%" if right == 0 => return Err("division by zero in arithmetic".to_owned()),
        "/" => left.wrapping_div(right),
        _ => left.wrapping_rem(right),
    })
}

#[cfg(test)]
mod tests {
    use super::value;

    fn of(expression: &str) -> Result<i64, String> {
        value(expression, &|name| if name == "a" { "7".to_owned() } else { String::new() })
    }

    #[test]
    fn operators_bind_as_in_c() {
        assert_eq!(of("15*1024*1024"), Ok(15_728_640));
        assert_eq!(of(" 1 + 2 * 3 - 4 / 2 "), Ok(5));
        assert_eq!(of("(1 + 2) * 3 % 5"), Ok(4));
        assert_eq!(of("1 << 4 | 1 == 1"), Ok(17));
        assert_eq!(of("-2 + +3"), Ok(1));
        assert_eq!(of("!0 + ~0"), Ok(0));
        assert_eq!(of("3 > 2 && 2 >= 3 || 0"), Ok(0));
        assert_eq!(of("0x10 + 010"), Ok(24));
        assert_eq!(of("a + $a + b"), Ok(14));
    }

    #[test]
    fn mistakes_have_words_and_nothing_panics() {
        assert!(of("1 +").unwrap_err().contains("missing"));
        assert!(of("(1").unwrap_err().contains("without"));
        assert!(of("1 / 0").unwrap_err().contains("zero"));
        assert!(of("1 2").unwrap_err().contains("unexpected"));
        assert!(of("09").unwrap_err().contains("no number"));
        assert!(of("1 << 64").unwrap_err().contains("shift"));
        assert!(of(&"(".repeat(100_000)).unwrap_err().contains("deep"));
        assert_eq!(of("-9223372036854775807 - 1 / -1"), Ok(-9223372036854775806));
    }
}
