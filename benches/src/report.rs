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
    /// CPU seconds for each 10^9 bytes moved: ours, that of the kernel across from us, that of the kernel in our place, and
    /// that of hardly any stack.
    pub(crate) cpu: Values,
    pub(crate) far_cpu: Values,
    pub(crate) veth_cpu: Values,
    pub(crate) device_cpu: Values,
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
            cpu: none(),
            far_cpu: none(),
            veth_cpu: none(),
            device_cpu: none(),
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
        let line = Line {
            case: &self.case,
            unit: self.unit,
            ours: self.ours.median(),
            veth: self.veth.median(),
            plain: self.plain.median(),
            smoltcp: self.smoltcp.median(),
            device: self.device.median(),
            ratio: self.ratio(),
            min: self.ours.least(),
            max: self.ours.most(),
            cpu_s_per_gb: self.cpu.median(),
            far_cpu_s_per_gb: self.far_cpu.median(),
            veth_cpu_s_per_gb: self.veth_cpu.median(),
            device_cpu_s_per_gb: self.device_cpu.median(),
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
    ratio: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    cpu_s_per_gb: Option<f64>,
    far_cpu_s_per_gb: Option<f64>,
    veth_cpu_s_per_gb: Option<f64>,
    device_cpu_s_per_gb: Option<f64>,
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
            "min",
            "max",
            "veth",
            "ratio",
            "plain TAP",
            "smoltcp",
            "device",
            "CPU s/GB",
            "far side",
            "veth's",
            "device's",
        ]);
        for row in self.0 {
            let figures = [
                row.ours.median(),
                row.ours.least(),
                row.ours.most(),
                row.veth.median(),
                row.ratio(),
                row.plain.median(),
                row.smoltcp.median(),
                row.device.median(),
                row.cpu.median(),
                row.far_cpu.median(),
                row.veth_cpu.median(),
                row.device_cpu.median(),
            ];
            let cells = figures.map(|figure| figure.map_or_else(String::new, three_digits));
            table.add_row([row.case.clone(), row.unit.to_owned()].into_iter().chain(cells));
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
    fn figures_have_three_digits() {
        assert_eq!([1234.5, 12.34, 1.234, 0.1234].map(three_digits), ["1234", "12.3", "1.23", "0.123"]);
    }
}
