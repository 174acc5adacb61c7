//! Operators on values, with Python's results and errors.

use std::cmp::Ordering;

use super::format::formatted;
use super::tree::{Operator, Relation};
use super::value::Value;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Error {
    /// What Python says.
    Python(String),
    /// Python would know more.
    Foreign(String),
}

pub(super) type Evaluated<T> = Result<T, Error>;

pub(super) fn python<T>(message: impl Into<String>) -> Evaluated<T> {
    Err(Error::Python(message.into()))
}

/// Integers as large as Python's are left to it.
fn large<T>() -> Evaluated<T> {
    Err(Error::Foreign("integers of more than 128 bits".to_owned()))
}

pub(super) fn binary(operator: Operator, left: &Value, right: &Value) -> Evaluated<Value> {
    match (operator, left, right) {
        (Operator::Remainder, Value::Text(_), Value::List(_)) => {
            Err(Error::Foreign("formatting a list".to_owned()))
        }
        (Operator::Remainder, Value::Text(format), _) => formatted(format, right).map(Value::Text),
        (Operator::Add, Value::Text(left), Value::Text(right)) => Ok(Value::Text(format!("{left}{right}"))),
        (Operator::Or | Operator::Xor | Operator::And, Value::Bool(left), Value::Bool(right)) => {
            Ok(Value::Bool(match operator {
                Operator::Or => left | right,
                Operator::Xor => left ^ right,
                _ => left & right,
            }))
        }
        _ => match (left.integer(), right.integer()) {
            (Some(left), Some(right)) => integers(operator, left, right),
            _ => floats(operator, left, right),
        },
    }
}

fn integers(operator: Operator, left: i128, right: i128) -> Evaluated<Value> {
    let result = match operator {
        Operator::Or => Some(left | right),
        Operator::Xor => Some(left ^ right),
        Operator::And => Some(left & right),
        Operator::ShiftLeft | Operator::ShiftRight if right < 0 => {
            return python("ValueError: negative shift count");
        }
        Operator::ShiftLeft => {
            u32::try_from(right).ok().filter(|by| *by < 127).and_then(|by| left.checked_mul(1i128 << by))
        }
        Operator::ShiftRight => Some(left >> u32::try_from(right).unwrap_or(127).min(127)),
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide | Operator::FloorDivide | Operator::Remainder if right == 0 => {
            return python("ZeroDivisionError: division by zero");
        }
        Operator::Divide => return Ok(Value::Float(left as f64 / right as f64)),
        Operator::FloorDivide => {
            let quotient = left.checked_div(right);
            quotient.map(|quotient| quotient - i128::from(left % right != 0 && (left < 0) != (right < 0)))
        }
        Operator::Remainder => {
            let remainder = left.checked_rem(right);
            remainder.map(|rest| if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest })
        }
        Operator::Power if right < 0 => return Err(Error::Foreign("negative powers".to_owned())),
        Operator::Power => u32::try_from(right).ok().and_then(|right| left.checked_pow(right)),
    };
    result.map_or_else(large, |value| Ok(Value::Integer(value)))
}

fn floats(operator: Operator, left: &Value, right: &Value) -> Evaluated<Value> {
    let (Some(a), Some(b)) = (left.float(), right.float()) else {
        return match (left, right) {
            (Value::Text(_) | Value::Tuple(_) | Value::List(_), _)
            | (_, Value::Text(_) | Value::Tuple(_) | Value::List(_)) => {
                Err(Error::Foreign(format!("this operation on {} and {}", left.kind(), right.kind())))
            }
            _ => python(format!(
                "TypeError: unsupported operand type(s) for {}: '{}' and '{}'",
                sign(operator),
                left.kind(),
                right.kind()
            )),
        };
    };
    let by_zero = b == 0.0;
    Ok(Value::Float(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide | Operator::FloorDivide | Operator::Remainder if by_zero => {
            return python("ZeroDivisionError: division by zero");
        }
        Operator::Divide => a / b,
        Operator::FloorDivide => ((a - remainder(a, b)) / b).round(),
        Operator::Remainder => remainder(a, b),
        Operator::Power => {
            let power = a.powf(b);
            if !power.is_finite() {
                return Err(Error::Foreign("this power".to_owned()));
            }
            power
        }
        Operator::Or | Operator::Xor | Operator::And | Operator::ShiftLeft | Operator::ShiftRight => {
            return python(format!(
                "TypeError: unsupported operand type(s) for {}: '{}' and '{}'",
                sign(operator),
                left.kind(),
                right.kind()
            ));
        }
    }))
}

/// With the divisor's sign.
fn remainder(a: f64, b: f64) -> f64 {
    let rest = a % b;
    match rest {
        0.0 => 0.0f64.copysign(b),
        rest if (rest < 0.0) != (b < 0.0) => rest + b,
        rest => rest,
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Or => "|",
        Operator::Xor => "^",
        Operator::And => "&",
        Operator::ShiftLeft => "<<",
        Operator::ShiftRight => ">>",
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::FloorDivide => "//",
        Operator::Remainder => "%",
        Operator::Power => "** or pow()",
    }
}

pub(super) fn holds(relation: Relation, left: &Value, right: &Value) -> Evaluated<bool> {
    let order = |sign: &str| ordered(sign, left, right);
    Ok(match relation {
        Relation::Equal => equal(left, right),
        Relation::NotEqual => !equal(left, right),
        Relation::Less => order("<")? == Some(Ordering::Less),
        Relation::LessOrEqual => matches!(order("<=")?, Some(Ordering::Less | Ordering::Equal)),
        Relation::Greater => order(">")? == Some(Ordering::Greater),
        Relation::GreaterOrEqual => matches!(order(">=")?, Some(Ordering::Greater | Ordering::Equal)),
        Relation::In => contains(left, right)?,
        Relation::NotIn => !contains(left, right)?,
        Relation::Is => *left == Value::None && *right == Value::None || identity(left, right)?,
        Relation::IsNot => !holds(Relation::Is, left, right)?,
    })
}

/// Identity is sure of `None` only: of numbers it depends on the interpreter.
fn identity(left: &Value, right: &Value) -> Evaluated<bool> {
    match (left, right) {
        (Value::None, _) | (_, Value::None) => Ok(false),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        _ => Err(Error::Foreign("'is' of values".to_owned())),
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Tuple(left), Value::Tuple(right)) | (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        _ => match (left.integer(), right.integer()) {
            (Some(left), Some(right)) => left == right,
            _ => match (left.float(), right.float()) {
                (Some(left), Some(right)) => left == right,
                _ => left == right,
            },
        },
    }
}

fn ordered(sign: &str, left: &Value, right: &Value) -> Evaluated<Option<Ordering>> {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => return Ok(Some(left.cmp(right))),
        (Value::Tuple(_), Value::Tuple(_)) | (Value::List(_), Value::List(_)) => {
            return Err(Error::Foreign("the order of sequences".to_owned()));
        }
        _ => {}
    }
    if let (Some(left), Some(right)) = (left.integer(), right.integer()) {
        return Ok(Some(left.cmp(&right)));
    }
    match (left.float(), right.float()) {
        (Some(left), Some(right)) => Ok(left.partial_cmp(&right)),
        _ => python(format!(
            "TypeError: '{sign}' not supported between instances of '{}' and '{}'",
            left.kind(),
            right.kind()
        )),
    }
}

fn contains(item: &Value, items: &Value) -> Evaluated<bool> {
    match (item, items) {
        (_, Value::Tuple(items) | Value::List(items)) => Ok(items.iter().any(|other| equal(item, other))),
        (Value::Text(part), Value::Text(text)) => Ok(text.contains(part.as_str())),
        _ => python(format!("TypeError: argument of type '{}' is not iterable", items.kind())),
    }
}
