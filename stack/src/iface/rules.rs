//! Rules: whose packets look for their way in which table (policy routing).

use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU32;

use super::IpCidr;
use super::route::TableError;

/// Rules that a stack can have.
pub const MAX_RULES: usize = 256;

/// The number of a routing table.
///
/// ```
/// use tapsock_stack::iface::TableId;
///
/// assert_eq!((TableId::MAIN.to_string(), TableId(7).to_string()), ("main".into(), "7".into()));
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct TableId(pub u32);

impl TableId {
    /// The table that routes stand in unless they say otherwise.
    pub const MAIN: TableId = TableId(254);
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            TableId::MAIN => f.write_str("main"),
            TableId(number) => number.fmt(f),
        }
    }
}

/// Whose packets look in a table (ip-rule(8)): those that all of what is given is true of.
///
/// ```
/// use tapsock_stack::iface::{Rule, TableId};
///
/// let rule = Rule::from_prefix(100, "10.1.0.0/16".parse().unwrap(), TableId(7));
/// assert_eq!(rule.to_string(), "100: from 10.1.0.0/16 lookup 7");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Lesser ones are looked at first.
    pub priority: u32,
    /// The network of the packet's source. A packet whose source is yet to be chosen is of none.
    pub from: Option<IpCidr>,
    /// The network of its destination.
    pub to: Option<IpCidr>,
    /// Its mark (`SO_MARK`).
    pub mark: Option<NonZeroU32>,
    /// The table.
    pub table: TableId,
}

impl Rule {
    /// The rule that is there from the start: all packets look in the main table.
    pub const MAIN: Rule = Rule { priority: 32_766, from: None, to: None, mark: None, table: TableId::MAIN };

    /// Packets from `prefix` look in `table`.
    pub const fn from_prefix(priority: u32, prefix: IpCidr, table: TableId) -> Self {
        Rule { priority, from: Some(prefix), table, ..Rule::MAIN }
    }

    fn suits(&self, destination: IpAddr, source: Option<IpAddr>, mark: Option<NonZeroU32>) -> bool {
        self.from.is_none_or(|from| source.is_some_and(|source| from.contains(source)))
            && self.to.is_none_or(|to| to.contains(destination))
            && (self.mark.is_none() || self.mark == mark)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: from ", self.priority)?;
        match self.from {
            Some(from) => write!(f, "{from}")?,
            None => f.write_str("all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if let Some(mark) = self.mark {
            write!(f, " fwmark {mark:#x}")?;
        }
        write!(f, " lookup {}", self.table)
    }
}

/// All rules, in their order.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { rules: vec![Rule::MAIN] }
    }
}

impl Rules {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }

    pub(super) fn add(&mut self, rule: Rule) -> Result<(), TableError> {
        if self.rules.contains(&rule) {
            return Err(TableError::Exists);
        }
        if self.rules.len() >= MAX_RULES {
            return Err(TableError::Full);
        }
        let place = self.rules.partition_point(|other| other.priority <= rule.priority);
        self.rules.insert(place, rule);
        Ok(())
    }

    pub(super) fn remove(&mut self, rule: &Rule) -> Result<(), TableError> {
        let place = self.rules.iter().position(|other| other == rule).ok_or(TableError::NotFound)?;
        self.rules.remove(place);
        Ok(())
    }

    /// The tables that such packets look in, one after the other.
    pub(super) fn tables(
        &self,
        destination: IpAddr,
        source: Option<IpAddr>,
        mark: Option<NonZeroU32>,
    ) -> impl Iterator<Item = TableId> {
        self.rules.iter().filter(move |rule| rule.suits(destination, source, mark)).map(|rule| rule.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(rules: &Rules, destination: &str, source: Option<&str>, mark: u32) -> Vec<u32> {
        let source = source.map(|source| source.parse().unwrap());
        let tables = rules.tables(destination.parse().unwrap(), source, NonZeroU32::new(mark));
        tables.map(|table| table.0).collect()
    }

    #[test]
    fn rules_are_asked_in_their_order() {
        let mut rules = Rules::default();
        let cidr = |text: &str| text.parse::<IpCidr>().unwrap();
        rules
            .add(Rule {
                to: Some(cidr("10.2.0.0/16")),
                ..Rule { priority: 200, table: TableId(2), ..Rule::MAIN }
            })
            .unwrap();
        rules.add(Rule::from_prefix(100, cidr("10.1.0.0/16"), TableId(1))).unwrap();
        rules.add(Rule { mark: NonZeroU32::new(9), priority: 100, table: TableId(3), ..Rule::MAIN }).unwrap();
        rules.add(Rule { priority: 40_000, table: TableId(4), ..Rule::MAIN }).unwrap();
        assert_eq!(tables(&rules, "10.2.0.1", Some("10.1.0.1"), 9), [1, 3, 2, 254, 4]);
        assert_eq!(tables(&rules, "10.2.0.1", None, 0), [2, 254, 4]);
        assert_eq!(tables(&rules, "fd00::1", Some("fd00::2"), 9), [3, 254, 4]);
    }

    #[test]
    fn rules_are_bounded() {
        let mut rules = Rules::default();
        for priority in 1..MAX_RULES as u32 {
            rules.add(Rule { priority, ..Rule::MAIN }).unwrap();
        }
        assert_eq!(rules.add(Rule { priority: 0, ..Rule::MAIN }), Err(TableError::Full));
    }
}
