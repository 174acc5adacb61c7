//! `'cwnd=%d' % tcpi_snd_cwnd`: formatting by `%`.

use super::operators::{Error, Evaluated, python};
use super::value::Value;

/// The widest field, so that no text asks for more than a message may have.
const WIDTH_MAX: usize = 1000;

/// The format with its arguments in place: a tuple's items, or the one value.
pub(super) fn formatted(format: &str, arguments: &Value) -> Evaluated<String> {
    let mut arguments = match arguments {
        Value::Tuple(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    }
    .iter();
    let mut text = String::new();
    let mut letters = format.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let spec = Spec::read(&mut letters)?;
        if spec.conversion == '%' {
            text.push('%');
            continue;
        }
        match arguments.next() {
            Some(value) => text.push_str(&spec.apply(value)?),
            None => return python("TypeError: not enough arguments for format string"),
        }
    }
    match arguments.next() {
        None => Ok(text),
        Some(_) => python("TypeError: not all arguments converted during string formatting"),
    }
}

/// `-08.3f`, behind a `%`.
struct Spec {
    left: bool,
    zeros: bool,
    plus: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
    conversion: char,
}

impl Spec {
    fn read(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Evaluated<Spec> {
        let (mut left, mut zeros, mut plus, mut alternate) = (false, false, false, false);
        while let Some(flag) = letters.next_if(|c| "-0+#".contains(*c)) {
            match flag {
                '-' => left = true,
                '0' => zeros = true,
                '+' => plus = true,
                _ => alternate = true,
            }
        }
        let width = number(letters)?.unwrap_or(0);
        let precision = match letters.next_if_eq(&'.') {
            Some(_) => Some(number(letters)?.unwrap_or(0)),
            None => None,
        };
        while letters.next_if(|c| "hlL".contains(*c)).is_some() {}
        match letters.next() {
            Some(conversion) => Ok(Spec { left, zeros, plus, alternate, width, precision, conversion }),
            None => python("ValueError: incomplete format"),
        }
    }

    fn apply(&self, value: &Value) -> Evaluated<String> {
        let (sign, digits) = match self.conversion {
            's' | 'r' => {
                let text = if self.conversion == 's' { value.text() } else { value.representation() };
                let cut = self.precision.unwrap_or(usize::MAX);
                return Ok(self.padded(String::new(), text.chars().take(cut).collect(), false));
            }
            'd' | 'i' | 'u' => signed(self.whole(value)?, |magnitude| magnitude.to_string()),
            'x' => signed(self.whole(value)?, |magnitude| format!("{}{magnitude:x}", self.mark("0x"))),
            'X' => signed(self.whole(value)?, |magnitude| format!("{}{magnitude:X}", self.mark("0X"))),
            'o' => signed(self.whole(value)?, |magnitude| format!("{}{magnitude:o}", self.mark("0o"))),
            'f' | 'F' => {
                let Some(value) = value.float() else {
                    return python(format!("TypeError: must be real number, not {}", value.kind()));
                };
                let digits = format!("{:.*}", self.precision.unwrap_or(6), value.abs());
                (if value.is_sign_negative() { "-" } else { "" }, digits)
            }
            other => return Err(Error::Foreign(format!("the format '%{other}'"))),
        };
        let sign = if sign.is_empty() && self.plus { "+" } else { sign };
        Ok(self.padded(sign.to_owned(), digits, true))
    }

    fn mark(&self, mark: &'static str) -> &'static str {
        if self.alternate { mark } else { "" }
    }

    fn whole(&self, value: &Value) -> Evaluated<i128> {
        match value {
            Value::Float(value) if "diu".contains(self.conversion) && value.is_finite() => {
                Ok(value.trunc() as i128)
            }
            other => match other.integer() {
                Some(value) => Ok(value),
                None if "diu".contains(self.conversion) => python(format!(
                    "TypeError: %{} format: a real number is required, not {}",
                    self.conversion,
                    other.kind()
                )),
                None => python(format!(
                    "TypeError: %{} format: an integer is required, not {}",
                    self.conversion,
                    other.kind()
                )),
            },
        }
    }

    fn padded(&self, sign: String, text: String, number: bool) -> String {
        let missing = self.width.saturating_sub(sign.chars().count() + text.chars().count());
        match (self.left, self.zeros && number) {
            (true, _) => sign + &text + &" ".repeat(missing),
            (false, true) => sign + &"0".repeat(missing) + &text,
            (false, false) => " ".repeat(missing) + &sign + &text,
        }
    }
}

fn signed(value: i128, digits: impl Fn(u128) -> String) -> (&'static str, String) {
    (if value < 0 { "-" } else { "" }, digits(value.unsigned_abs()))
}

fn number(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Evaluated<Option<usize>> {
    let mut number = None;
    while let Some(digit) = letters.next_if(char::is_ascii_digit) {
        let value = number.unwrap_or(0) * 10 + digit.to_digit(10).unwrap_or(0) as usize;
        if value > WIDTH_MAX {
            return Err(Error::Foreign("a format so wide".to_owned()));
        }
        number = Some(value);
    }
    Ok(number)
}
