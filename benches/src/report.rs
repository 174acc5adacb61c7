//! What was measured: medians, the table for people, and the lines for programs.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

/// Whether a case is won by more or by less.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Better {
    More,
    Less,
}

/// The values of one contender, one a round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(pub(crate) Vec<f64>);

impl Values {
    pub(crate) fn median(&self) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let (lower, upper) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
        Some((lower + upper) / 2.0)
    }

    fn least(&self) -> Option<f64> {
        self.0.iter().copied().reduce(f64::min)
    }

    fn most(&self) -> Option<f64> {
        self.0.iter().copied().reduce(f64::max)
    }
}

/// The median, and where there are several the least and the most.
impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = [self.median(), self.least(), self.most()].map(|figure| figure.map(three_digits));
        match figures {
            [Some(median), Some(least), Some(most)] if self.0.len() > 1 => {
                write!(f, "{median} ({least}–{most})")
            }
            [median, ..] => f.write_str(&median.unwrap_or_default()),
        }
    }
}

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) ours: Values,
    /// Ours over a TAP of which no offload is used.
    pub(crate) plain: Values,
    pub(crate) veth: Values,
    pub(crate) smoltcp: Values,
    /// What the device carries with hardly any stack.
    pub(crate) device: Values,
    /// The same with one copy of each byte.
    pub(crate) copying: Values,
    /// CPU time, of which `cost` says for what: ours, that of the kernel across from us, that of the kernel in our place, and
    /// those of hardly any stack, without and with a copy.
    pub(crate) cpu: Values,
    pub(crate) far_cpu: Values,
    pub(crate) veth_cpu: Values,
    pub(crate) device_cpu: Values,
    pub(crate) copying_cpu: Values,
    pub(crate) cost: Cost,
}

/// What CPU time is told for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Cost {
    /// Seconds for 10^9 bytes moved.
    Gigabyte,
    /// Microseconds for a round trip, a connection or a datagram.
    Operation,
}

impl Cost {
    /// Of `cpu` seconds in all, for so many bytes or operations.
    pub(crate) fn of(self, cpu: f64, count: u64) -> f64 {
        let unit = match self {
            Cost::Gigabyte => 1e9,
            Cost::Operation => 1e6,
        };
        cpu * unit / count as f64
    }
}

impl Row {
    pub(crate) fn new(case: impl Into<String>, unit: &'static str, better: Better) -> Self {
        let none = Values::default;
        Row {
            case: case.into(),
            unit,
            better,
            ours: none(),
            plain: none(),
            veth: none(),
            smoltcp: none(),
            device: none(),
            copying: none(),
            cpu: none(),
            far_cpu: none(),
            veth_cpu: none(),
            device_cpu: none(),
            copying_cpu: none(),
            cost: Cost::Operation,
        }
    }

    /// Ours to veth, so that more is better.
    fn ratio(&self) -> Option<f64> {
        let (ours, veth) = (self.ours.median()?, self.veth.median()?);
        Some(match self.better {
            Better::More => ours / veth,
            Better::Less => veth / ours,
        })
    }

    /// The row as one JSON object.
    pub(crate) fn to_json(&self) -> String {
        let cost = |cpu: &Values, cost| cpu.median().filter(|_| self.cost == cost);
        let line = Line {
            case: &self.case,
            unit: self.unit,
            ours: self.ours.median(),
            veth: self.veth.median(),
            plain: self.plain.median(),
            smoltcp: self.smoltcp.median(),
            device: self.device.median(),
            device_copying: self.copying.median(),
            ratio: self.ratio(),
            min: self.ours.least(),
            max: self.ours.most(),
            veth_min: self.veth.least(),
            veth_max: self.veth.most(),
            cpu_s_per_gb: cost(&self.cpu, Cost::Gigabyte),
            far_cpu_s_per_gb: cost(&self.far_cpu, Cost::Gigabyte),
            veth_cpu_s_per_gb: cost(&self.veth_cpu, Cost::Gigabyte),
            device_cpu_s_per_gb: cost(&self.device_cpu, Cost::Gigabyte),
            device_copying_cpu_s_per_gb: cost(&self.copying_cpu, Cost::Gigabyte),
            cpu_us_each: cost(&self.cpu, Cost::Operation),
            far_cpu_us_each: cost(&self.far_cpu, Cost::Operation),
            veth_cpu_us_each: cost(&self.veth_cpu, Cost::Operation),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    case: &'a str,
    unit: &'a str,
    ours: Option<f64>,
    veth: Option<f64>,
    plain: Option<f64>,
    smoltcp: Option<f64>,
    device: Option<f64>,
    device_copying: Option<f64>,
    ratio: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    veth_min: Option<f64>,
    veth_max: Option<f64>,
    cpu_s_per_gb: Option<f64>,
    far_cpu_s_per_gb: Option<f64>,
    veth_cpu_s_per_gb: Option<f64>,
    device_cpu_s_per_gb: Option<f64>,
    device_copying_cpu_s_per_gb: Option<f64>,
    cpu_us_each: Option<f64>,
    far_cpu_us_each: Option<f64>,
    veth_cpu_us_each: Option<f64>,
}

/// All rows as a table.
pub(crate) struct Report<'a>(pub(crate) &'a [Row]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header([
            "case",
            "unit",
            "ours",
            "veth",
            "ratio",
            "plain TAP",
            "smoltcp",
            "device",
            "and a copy",
            "CPU",
            "far side's",
            "veth's",
            "device's",
            "and a copy's",
        ]);
        for row in self.0 {
            let figures = [
                row.ratio(),
                row.plain.median(),
                row.smoltcp.median(),
                row.device.median(),
                row.copying.median(),
                row.cpu.median(),
                row.far_cpu.median(),
                row.veth_cpu.median(),
                row.device_cpu.median(),
                row.copying_cpu.median(),
            ];
            let cells = figures.map(|figure| figure.map_or_else(String::new, three_digits));
            let front = [row.case.clone(), row.unit.to_owned(), row.ours.to_string(), row.veth.to_string()];
            table.add_row(front.into_iter().chain(cells));
        }
        table.column_iter_mut().skip(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        write!(f, "{table}")
    }
}

/// `value` with three significant digits, or all that stand before the point.
fn three_digits(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0..100.0 => format!("{value:.1}"),
        1.0..10.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(Values(vec![]).median(), None);
        assert_eq!(Values(vec![3.0]).median(), Some(3.0));
        assert_eq!(Values(vec![9.0, 1.0, 2.0]).median(), Some(2.0));
        assert_eq!(Values(vec![4.0, 1.0, 2.0, 9.0]).median(), Some(3.0));
    }

    #[test]
    fn more_is_better_in_every_ratio() {
        for (better, ratio) in [(Better::More, 2.0), (Better::Less, 0.5)] {
            let mut row = Row::new("case", "unit", better);
            (row.ours.0, row.veth.0) = (vec![10.0], vec![5.0]);
            assert_eq!(row.ratio(), Some(ratio));
            assert!(row.to_json().starts_with(r#"{"case":"case","unit":"unit","ours":10.0,"veth":5.0,"#));
        }
    }

    #[test]
    fn what_is_told_of_several_rounds() {
        let told = [vec![], vec![1.5], vec![1.0, 3.0, 2.25]].map(|values| Values(values).to_string());
        assert_eq!(told, ["", "1.50", "2.25 (1.00–3.00)"]);
        assert_eq!(Cost::Gigabyte.of(0.5, 2_000_000_000), 0.25);
        assert_eq!(Cost::Operation.of(0.5, 100_000), 5.0);
        let mut row = Row::new("case", "unit", Better::More);
        row.cpu.0.push(3.0);
        assert!(
            row.to_json().contains(r#""cpu_us_each":3.0"#)
                && row.to_json().contains(r#""cpu_s_per_gb":null"#)
        );
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!([1234.5, 12.34, 1.234, 0.1234].map(three_digits), ["1234", "12.3", "1.23", "0.123"]);
    }
}
