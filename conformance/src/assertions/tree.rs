//! Statements and expressions of Python, as far as they are known.

use crate::ast::Position;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    Assert {
        at: Position,
        condition: Expression,
        message: Option<Expression>,
    },
    /// `a = b = 1`.
    Assign {
        names: Vec<String>,
        value: Expression,
    },
    /// `a += 1`.
    Update {
        at: Position,
        name: String,
        operator: Operator,
        value: Expression,
    },
    Evaluate(Expression),
    Pass,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expression {
    pub at: Position,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    None,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    Name(String),
    Tuple(Vec<Expression>),
    List(Vec<Expression>),
    Not(Box<Expression>),
    Signed {
        sign: Sign,
        operand: Box<Expression>,
    },
    Binary {
        operator: Operator,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    /// `a < b <= c`: each with the one before it.
    Comparison {
        first: Box<Expression>,
        rest: Vec<(Relation, Expression)>,
    },
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    /// `a if c else b`.
    Choice {
        condition: Box<Expression>,
        then: Box<Expression>,
        otherwise: Box<Expression>,
    },
    Call {
        function: String,
        arguments: Vec<Expression>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sign {
    Minus,
    Plus,
    Invert,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Or,
    Xor,
    And,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Remainder,
    Power,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Is,
    IsNot,
}
