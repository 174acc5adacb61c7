//! Python's values, and how they are printed.

use std::fmt::Write;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
}

impl Value {
    pub fn truth(&self) -> bool {
        match self {
            Value::None => false,
            Value::Bool(value) => *value,
            Value::Integer(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::Tuple(items) | Value::List(items) => !items.is_empty(),
        }
    }

    /// As an integer, which a truth value is too.
    pub fn integer(&self) -> Option<i128> {
        match self {
            Value::Bool(value) => Some(i128::from(*value)),
            Value::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// As a number with a fraction, which an integer is too.
    pub fn float(&self) -> Option<f64> {
        match self {
            Value::Float(value) => Some(*value),
            other => other.integer().map(|value| value as f64),
        }
    }

    /// What `type()` calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Integer(_) => "int",
            Value::Float(_) => "float",
            Value::Text(_) => "str",
            Value::Tuple(_) => "tuple",
            Value::List(_) => "list",
        }
    }

    /// As `str()` gives it.
    pub fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            other => other.representation(),
        }
    }

    /// As `repr()` gives it.
    pub fn representation(&self) -> String {
        match self {
            Value::None => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => float(*value),
            Value::Text(text) => quoted(text),
            Value::Tuple(items) if items.len() == 1 => format!("({},)", items[0].representation()),
            Value::Tuple(items) => format!("({})", list(items)),
            Value::List(items) => format!("[{}]", list(items)),
        }
    }
}

fn list(items: &[Value]) -> String {
    items.iter().map(Value::representation).collect::<Vec<_>>().join(", ")
}

/// The shortest digits that give the number back, with an exponent where Python has one.
fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => {
                let (sign, exponent) =
                    exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
                format!("{digits}e{sign}{exponent:0>2}")
            }
            None => text,
        };
    }
    format!("{value:?}")
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\\' => quoted.push_str("\\\\"),
            c if c == quote => drop(write!(quoted, "\\{c}")),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => drop(write!(quoted, "\\x{:02x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}
