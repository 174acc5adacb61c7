//! Statements at work.

use std::collections::HashMap;

use super::Failure;
use super::operators::{Error, Evaluated, binary, holds, python};
use super::tree::{Expression, Kind, Operator, Relation, Sign, Statement};
use super::value::Value;
use crate::ast::Position;

/// The longest text that a block may make or print, so that no loop of additions grows without bound.
const TEXT_MAX: usize = 1 << 20;

pub(super) struct Scope<'a> {
    pub variables: &'a mut HashMap<String, Value>,
    pub printed: &'a mut String,
}

impl Scope<'_> {
    pub fn statement(&mut self, statement: &Statement) -> Result<(), Failure> {
        match statement {
            Statement::Pass => {}
            Statement::Evaluate(expression) => drop(self.value(expression)?),
            Statement::Assign { names, value } => {
                let value = self.value(value)?;
                for name in names {
                    self.variables.insert(name.clone(), value.clone());
                }
            }
            Statement::Update { at, name, operator, value } => {
                let left = self.name(name).map_err(|error| failure(*at, error))?;
                let right = self.value(value)?;
                let updated = binary(*operator, &left, &right).map_err(|error| failure(*at, error))?;
                self.variables.insert(name.clone(), updated);
            }
            Statement::Assert { at, condition, message } => {
                if !self.value(condition)?.truth() {
                    let message = match message {
                        Some(message) => format!("AssertionError: {}", self.value(message)?.text()),
                        None => "AssertionError".to_owned(),
                    };
                    return Err(Failure::Failed { at: *at, message });
                }
            }
        }
        Ok(())
    }

    fn value(&mut self, expression: &Expression) -> Result<Value, Failure> {
        let at = expression.at;
        Ok(match &expression.kind {
            Kind::None => Value::None,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Integer(value) => Value::Integer(*value),
            Kind::Float(value) => Value::Float(*value),
            Kind::Text(text) => Value::Text(text.clone()),
            Kind::Name(name) => self.name(name).map_err(|error| failure(at, error))?,
            Kind::Tuple(items) => Value::Tuple(self.values(items)?),
            Kind::List(items) => Value::List(self.values(items)?),
            Kind::Not(operand) => Value::Bool(!self.value(operand)?.truth()),
            Kind::Signed { sign, operand } => {
                let operand = self.value(operand)?;
                signed(*sign, &operand).map_err(|error| failure(at, error))?
            }
            Kind::Binary { operator, left, right } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(at, *operator, &left, &right)?
            }
            Kind::Comparison { first, rest } => Value::Bool(self.comparison(at, first, rest)?),
            Kind::And(left, right) => {
                let left = self.value(left)?;
                if left.truth() { self.value(right)? } else { left }
            }
            Kind::Or(left, right) => {
                let left = self.value(left)?;
                if left.truth() { left } else { self.value(right)? }
            }
            Kind::Choice { condition, then, otherwise } => {
                let chosen = if self.value(condition)?.truth() { then } else { otherwise };
                self.value(chosen)?
            }
            Kind::Call { function, arguments } => {
                let arguments = self.values(arguments)?;
                self.call(function, &arguments).map_err(|error| failure(at, error))?
            }
        })
    }

    fn values(&mut self, expressions: &[Expression]) -> Result<Vec<Value>, Failure> {
        expressions.iter().map(|expression| self.value(expression)).collect()
    }

    fn name(&self, name: &str) -> Evaluated<Value> {
        match self.variables.get(name) {
            Some(value) => Ok(value.clone()),
            None => python(format!("NameError: name '{name}' is not defined")),
        }
    }

    fn binary(
        &self,
        at: Position,
        operator: Operator,
        left: &Value,
        right: &Value,
    ) -> Result<Value, Failure> {
        let value = binary(operator, left, right).map_err(|error| failure(at, error))?;
        match &value {
            Value::Text(text) if text.len() > TEXT_MAX => {
                Err(Failure::Foreign { at, what: "a text so long".to_owned() })
            }
            _ => Ok(value),
        }
    }

    /// Each with the one before it, as far as all hold.
    fn comparison(
        &mut self,
        at: Position,
        first: &Expression,
        rest: &[(Relation, Expression)],
    ) -> Result<bool, Failure> {
        let mut left = self.value(first)?;
        for (relation, right) in rest {
            let right = self.value(right)?;
            if !holds(*relation, &left, &right).map_err(|error| failure(at, error))? {
                return Ok(false);
            }
            left = right;
        }
        Ok(true)
    }

    fn call(&mut self, function: &str, arguments: &[Value]) -> Evaluated<Value> {
        match (function, arguments) {
            ("print", values) => {
                let words: Vec<String> = values.iter().map(Value::text).collect();
                if self.printed.len() > TEXT_MAX {
                    return Err(Error::Foreign("so much to print".to_owned()));
                }
                self.printed.push_str(&words.join(" "));
                self.printed.push('\n');
                Ok(Value::None)
            }
            ("abs", [value]) => match value {
                Value::Float(value) => Ok(Value::Float(value.abs())),
                other => whole(other, function).map(|value| Value::Integer(value.saturating_abs())),
            },
            ("min" | "max", [Value::Tuple(items) | Value::List(items)]) => extreme(function, items),
            ("min" | "max", items) if items.len() > 1 => extreme(function, items),
            ("int", [Value::Float(value)]) if value.abs() < 1e30 => Ok(Value::Integer(value.trunc() as i128)),
            ("int", [value]) if value.integer().is_some() => whole(value, function).map(Value::Integer),
            ("float", [value]) if value.float().is_some() => Ok(Value::Float(value.float().unwrap_or(0.0))),
            ("str", [value]) => Ok(Value::Text(value.text())),
            ("repr", [value]) => Ok(Value::Text(value.representation())),
            ("bool", [value]) => Ok(Value::Bool(value.truth())),
            ("len", [Value::Text(text)]) => Ok(Value::Integer(text.chars().count() as i128)),
            ("len", [Value::Tuple(items) | Value::List(items)]) => Ok(Value::Integer(items.len() as i128)),
            ("round", [Value::Float(value)]) if value.abs() < 1e30 => {
                Ok(Value::Integer(value.round_ties_even() as i128))
            }
            ("round", [value]) if value.integer().is_some() => whole(value, function).map(Value::Integer),
            ("sum", [Value::Tuple(items) | Value::List(items)]) => {
                items.iter().try_fold(Value::Integer(0), |sum, item| binary(Operator::Add, &sum, item))
            }
            ("hex", [value]) if value.integer().is_some() => {
                let value = whole(value, function)?;
                let sign = if value < 0 { "-" } else { "" };
                Ok(Value::Text(format!("{sign}{:#x}", value.unsigned_abs())))
            }
            _ => Err(Error::Foreign(format!("the function '{function}' with these arguments"))),
        }
    }
}

fn whole(value: &Value, function: &str) -> Evaluated<i128> {
    value.integer().ok_or_else(|| Error::Foreign(format!("the function '{function}' of a {}", value.kind())))
}

fn extreme(function: &str, items: &[Value]) -> Evaluated<Value> {
    let relation = if function == "min" { Relation::Less } else { Relation::Greater };
    let Some((first, rest)) = items.split_first() else {
        return python(format!("ValueError: {function}() iterable argument is empty"));
    };
    rest.iter().try_fold(first.clone(), |best, item| {
        Ok(if holds(relation, item, &best)? { item.clone() } else { best })
    })
}

fn signed(sign: Sign, operand: &Value) -> Evaluated<Value> {
    let name = match sign {
        Sign::Minus => "-",
        Sign::Plus => "+",
        Sign::Invert => "~",
    };
    match (sign, operand, operand.integer()) {
        (Sign::Minus, Value::Float(value), _) => Ok(Value::Float(-value)),
        (Sign::Plus, Value::Float(value), _) => Ok(Value::Float(*value)),
        (Sign::Minus, _, Some(value)) => match value.checked_neg() {
            Some(value) => Ok(Value::Integer(value)),
            None => Err(Error::Foreign("integers of more than 128 bits".to_owned())),
        },
        (Sign::Plus, _, Some(value)) => Ok(Value::Integer(value)),
        (Sign::Invert, _, Some(value)) => Ok(Value::Integer(!value)),
        _ => python(format!("TypeError: bad operand type for unary {name}: '{}'", operand.kind())),
    }
}

fn failure(at: Position, error: Error) -> Failure {
    match error {
        Error::Python(message) => Failure::Failed { at, message },
        Error::Foreign(what) => Failure::Foreign { at, what },
    }
}
