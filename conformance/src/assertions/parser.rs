//! Python's grammar, as far as it is known. What it doesn't know is foreign: Python itself then says whether it is
//! wrong.

use super::Failure;
use super::lexer::{Kind as Lexeme, Token, foreign, tokens};
use super::tree::{Expression, Kind, Operator, Relation, Sign, Statement};
use crate::ast::{Code, Position};

/// How deep expressions may stand in each other.
const DEPTH_MAX: usize = 32;

/// How many operators a statement may have: each stands within the tree of the next.
const OPERATORS_MAX: usize = 256;

/// The functions that are known.
pub(super) const FUNCTIONS: &[&str] =
    &["print", "abs", "min", "max", "int", "float", "str", "repr", "bool", "len", "round", "sum", "hex"];

/// Words that can't be names.
const RESERVED: &[&str] = &[
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else",
    "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal", "not",
    "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// The statements of a block.
pub(super) fn parse(code: &Code) -> Result<Vec<Statement>, Failure> {
    let tokens = tokens(code)?;
    let mut parser = Parser { tokens: &tokens, depth: 0, operators: 0 };
    let mut statements = Vec::new();
    while let Some(token) = parser.tokens.first() {
        if token.kind == Lexeme::Break {
            parser.tokens = &parser.tokens[1..];
            continue;
        }
        parser.operators = 0;
        statements.push(parser.statement()?);
        if !parser.take_break() {
            return parser.unknown();
        }
    }
    Ok(statements)
}

struct Parser<'a> {
    tokens: &'a [Token],
    depth: usize,
    operators: usize,
}

type Parsed<T> = Result<T, Failure>;

impl Parser<'_> {
    fn statement(&mut self) -> Parsed<Statement> {
        let at = self.at();
        if self.take_word("assert") {
            let condition = self.expression()?;
            let message = if self.take(",") { Some(self.expression()?) } else { None };
            return Ok(Statement::Assert { at, condition, message });
        }
        if self.take_word("pass") {
            return Ok(Statement::Pass);
        }
        let mut value = self.expressions()?;
        if let Some(operator) = self.update() {
            let Kind::Name(name) = value.kind else { return foreign(at, "an update of anything but a name") };
            let value = self.expressions()?;
            return Ok(Statement::Update { at, name, operator, value });
        }
        let mut names = Vec::new();
        while self.take("=") {
            let Kind::Name(name) = value.kind else {
                return foreign(at, "an assignment to anything but a name");
            };
            names.push(name);
            value = self.expressions()?;
        }
        Ok(if names.is_empty() { Statement::Evaluate(value) } else { Statement::Assign { names, value } })
    }

    fn update(&mut self) -> Option<Operator> {
        const UPDATES: &[(&str, Operator)] = &[
            ("+=", Operator::Add),
            ("-=", Operator::Subtract),
            ("*=", Operator::Multiply),
            ("/=", Operator::Divide),
            ("//=", Operator::FloorDivide),
            ("%=", Operator::Remainder),
            ("**=", Operator::Power),
            ("<<=", Operator::ShiftLeft),
            (">>=", Operator::ShiftRight),
            ("&=", Operator::And),
            ("|=", Operator::Or),
            ("^=", Operator::Xor),
        ];
        self.take_one(UPDATES)
    }

    /// `a`, or a tuple without parentheses.
    fn expressions(&mut self) -> Parsed<Expression> {
        let at = self.at();
        let first = self.expression()?;
        if !self.is_next(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take(",") {
            if matches!(self.peek(), Some(Lexeme::Break | Lexeme::Sign("=")) | None) {
                break;
            }
            items.push(self.expression()?);
        }
        Ok(Expression { at, kind: Kind::Tuple(items) })
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.deeper(|parser| {
            let at = parser.at();
            let then = parser.disjunction()?;
            if !parser.take_word("if") {
                return Ok(then);
            }
            let condition = parser.disjunction()?;
            if !parser.take_word("else") {
                return parser.unknown();
            }
            let otherwise = parser.expression()?;
            let kind = Kind::Choice {
                condition: Box::new(condition),
                then: Box::new(then),
                otherwise: Box::new(otherwise),
            };
            Ok(Expression { at, kind })
        })
    }

    fn disjunction(&mut self) -> Parsed<Expression> {
        let at = self.at();
        let mut left = self.conjunction()?;
        while self.take_word("or") {
            self.one_more()?;
            let right = self.conjunction()?;
            left = Expression { at, kind: Kind::Or(Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Parsed<Expression> {
        let at = self.at();
        let mut left = self.negation()?;
        while self.take_word("and") {
            self.one_more()?;
            let right = self.negation()?;
            left = Expression { at, kind: Kind::And(Box::new(left), Box::new(right)) };
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<Expression> {
        let at = self.at();
        if !self.take_word("not") {
            return self.comparison();
        }
        let operand = self.deeper(Parser::negation)?;
        Ok(Expression { at, kind: Kind::Not(Box::new(operand)) })
    }

    fn comparison(&mut self) -> Parsed<Expression> {
        let at = self.at();
        let first = self.binary(0)?;
        let mut rest = Vec::new();
        while let Some(relation) = self.relation() {
            rest.push((relation, self.binary(0)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(Expression { at, kind: Kind::Comparison { first: Box::new(first), rest } })
    }

    fn relation(&mut self) -> Option<Relation> {
        const RELATIONS: &[(&str, Relation)] = &[
            ("==", Relation::Equal),
            ("!=", Relation::NotEqual),
            ("<", Relation::Less),
            ("<=", Relation::LessOrEqual),
            (">", Relation::Greater),
            (">=", Relation::GreaterOrEqual),
        ];
        if let Some(relation) = self.take_one(RELATIONS) {
            return Some(relation);
        }
        if self.take_word("in") {
            return Some(Relation::In);
        }
        if self.take_word("is") {
            return Some(if self.take_word("not") { Relation::IsNot } else { Relation::Is });
        }
        let before = self.tokens;
        if self.take_word("not") && self.take_word("in") {
            return Some(Relation::NotIn);
        }
        self.tokens = before;
        None
    }

    fn binary(&mut self, level: usize) -> Parsed<Expression> {
        const LEVELS: &[&[(&str, Operator)]] = &[
            &[("|", Operator::Or)],
            &[("^", Operator::Xor)],
            &[("&", Operator::And)],
            &[("<<", Operator::ShiftLeft), (">>", Operator::ShiftRight)],
            &[("+", Operator::Add), ("-", Operator::Subtract)],
            &[
                ("*", Operator::Multiply),
                ("//", Operator::FloorDivide),
                ("/", Operator::Divide),
                ("%", Operator::Remainder),
            ],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.signed() };
        let at = self.at();
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.take_one(operators) {
            self.one_more()?;
            let right = self.binary(level + 1)?;
            left = binary(at, operator, left, right);
        }
        Ok(left)
    }

    fn signed(&mut self) -> Parsed<Expression> {
        const SIGNS: &[(&str, Sign)] = &[("-", Sign::Minus), ("+", Sign::Plus), ("~", Sign::Invert)];
        let at = self.at();
        match self.take_one(SIGNS) {
            Some(sign) => {
                let operand = Box::new(self.deeper(Parser::signed)?);
                Ok(Expression { at, kind: Kind::Signed { sign, operand } })
            }
            None => self.power(),
        }
    }

    fn power(&mut self) -> Parsed<Expression> {
        let at = self.at();
        let base = self.operand()?;
        if !self.take("**") {
            return Ok(base);
        }
        let exponent = self.deeper(Parser::signed)?;
        Ok(binary(at, Operator::Power, base, exponent))
    }

    fn operand(&mut self) -> Parsed<Expression> {
        let Some((Token { at, kind }, rest)) = self.tokens.split_first() else { return self.unknown() };
        let at = *at;
        let kind = match kind {
            Lexeme::Integer(value) => Kind::Integer(*value),
            Lexeme::Float(value) => Kind::Float(*value),
            Lexeme::Text(text) => Kind::Text(text.clone()),
            Lexeme::Word(word) if RESERVED.contains(&word.as_str()) => return self.unknown(),
            Lexeme::Word(word) => {
                self.tokens = rest;
                return self.word(at, word);
            }
            Lexeme::Sign("(") => {
                self.tokens = rest;
                return self.parenthesis(at);
            }
            Lexeme::Sign("[") => {
                self.tokens = rest;
                let (items, _) = self.items("]")?;
                return self.closed(at, Kind::List(items));
            }
            _ => return self.unknown(),
        };
        self.tokens = rest;
        self.closed(at, kind)
    }

    fn word(&mut self, at: Position, word: &str) -> Parsed<Expression> {
        let kind = match word {
            "True" => Kind::Bool(true),
            "False" => Kind::Bool(false),
            "None" => Kind::None,
            function if self.take("(") => {
                if !FUNCTIONS.contains(&function) {
                    return foreign(at, &format!("the function '{function}'"));
                }
                let (arguments, _) = self.items(")")?;
                Kind::Call { function: function.to_owned(), arguments }
            }
            name => Kind::Name(name.to_owned()),
        };
        self.closed(at, kind)
    }

    /// A tuple, or an expression alone.
    fn parenthesis(&mut self, at: Position) -> Parsed<Expression> {
        let (mut items, comma) = self.items(")")?;
        match items.pop() {
            Some(only) if items.is_empty() && !comma => self.closed(at, only.kind),
            last => {
                items.extend(last);
                self.closed(at, Kind::Tuple(items))
            }
        }
    }

    /// Expressions with commas between them up to `close`; and whether a comma stands behind the last.
    fn items(&mut self, close: &str) -> Parsed<(Vec<Expression>, bool)> {
        let (mut items, mut comma) = (Vec::new(), false);
        while !self.take(close) {
            if !items.is_empty() && !comma {
                return self.unknown();
            }
            items.push(self.expression()?);
            comma = self.take(",");
        }
        Ok((items, comma))
    }

    /// What stands behind an operand must not belong to it: attributes, indices, strings side by side.
    fn closed(&mut self, at: Position, kind: Kind) -> Parsed<Expression> {
        match self.peek() {
            Some(Lexeme::Sign(".")) => foreign(self.at(), "attributes and methods"),
            Some(Lexeme::Sign("[" | "(")) => foreign(self.at(), "indices and calls of values"),
            _ => Ok(Expression { at, kind }),
        }
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return foreign(self.at(), &format!("expressions more than {DEPTH_MAX} deep in each other"));
        }
        let parsed = parse(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn one_more(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            return foreign(self.at(), &format!("statements of more than {OPERATORS_MAX} operators"));
        }
        Ok(())
    }

    fn peek(&self) -> Option<&Lexeme> {
        self.tokens.first().map(|token| &token.kind)
    }

    fn at(&self) -> Position {
        self.tokens.first().map_or(Position { line: 1, column: 1 }, |token| token.at)
    }

    fn is_next(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Lexeme::Sign(next)) if *next == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let there = self.is_next(sign);
        if there {
            self.tokens = &self.tokens[1..];
        }
        there
    }

    fn take_word(&mut self, word: &str) -> bool {
        let there = matches!(self.peek(), Some(Lexeme::Word(next)) if next == word);
        if there {
            self.tokens = &self.tokens[1..];
        }
        there
    }

    fn take_break(&mut self) -> bool {
        let there = self.peek() == Some(&Lexeme::Break);
        if there {
            self.tokens = &self.tokens[1..];
        }
        there
    }

    fn take_one<T: Copy>(&mut self, signs: &[(&str, T)]) -> Option<T> {
        let (_, found) = signs.iter().find(|(sign, _)| self.is_next(sign))?;
        self.tokens = &self.tokens[1..];
        Some(*found)
    }

    fn unknown<T>(&self) -> Parsed<T> {
        let what = match self.peek() {
            Some(Lexeme::Word(word)) => format!("'{word}' here"),
            Some(Lexeme::Sign(sign)) => format!("'{sign}' here"),
            Some(Lexeme::Integer(_) | Lexeme::Float(_)) => "a number here".to_owned(),
            Some(Lexeme::Text(_)) => "a string here".to_owned(),
            Some(Lexeme::Break) | None => "a statement that ends here".to_owned(),
        };
        foreign(self.at(), &what)
    }
}

fn binary(at: Position, operator: Operator, left: Expression, right: Expression) -> Expression {
    Expression { at, kind: Kind::Binary { operator, left: Box::new(left), right: Box::new(right) } }
}
