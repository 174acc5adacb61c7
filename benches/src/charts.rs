//! The figures drawn: a chart for each kind of case, in which each case has a bar for each contender.

use std::error::Error;
use std::io;
use std::path::Path;

use plotters::prelude::*;

use crate::report::Row;

/// Which rows go into which file, and what stands above them.
const CHARTS: [Chart; 4] = [
    Chart { file: "bulk.svg", title: "Bulk, Gbit/s: more is better", begins: "bulk_", ends: "" },
    Chart {
        file: "round_trip.svg",
        title: "Round trips, median in µs: less is better",
        begins: "round_trip/",
        ends: "/p50",
    },
    Chart {
        file: "connect_close.svg",
        title: "Connections opened, used and closed a second: more is better",
        begins: "connect_close/",
        ends: "",
    },
    Chart { file: "udp.svg", title: "Datagrams a second: more is better", begins: "udp_", ends: "/plain" },
];

const WIDTH: u32 = 960;
/// Pixels of a bar, of the gap between two cases, and of what stands above and below them.
const BAR: u32 = 11;
const GAP: u32 = 10;
const FRAME: u32 = 110;
/// Pixels for the names of cases.
const NAMES: u32 = 300;

const CONTENDERS: [(&str, RGBColor); 3] = [
    ("tapsock", RGBColor(31, 119, 180)),
    ("kernel over veth", RGBColor(150, 150, 150)),
    ("smoltcp", RGBColor(214, 140, 60)),
];

struct Chart {
    file: &'static str,
    title: &'static str,
    begins: &'static str,
    ends: &'static str,
}

/// Draws what was measured into SVG files in `folder`.
///
/// Errors: what creating and writing them says.
pub(crate) fn draw(rows: &[Row], folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for chart in CHARTS {
        let wanted = |row: &&Row| {
            row.case.starts_with(chart.begins) && row.case.ends_with(chart.ends) && row.unit != "Jain"
        };
        let rows: Vec<&Row> = rows.iter().filter(wanted).collect();
        if !rows.is_empty() {
            chart
                .draw(&rows, &folder.join(chart.file))
                .map_err(|error| io::Error::other(error.to_string()))?;
        }
    }
    Ok(())
}

impl Chart {
    fn draw(&self, rows: &[&Row], path: &Path) -> Result<(), Box<dyn Error>> {
        let (bars, step) = (CONTENDERS.len() as u32, CONTENDERS.len() as u32 * BAR + GAP);
        let height = rows.len() as u32 * step;
        let most = rows.iter().flat_map(|row| figures(row)).flatten().fold(0.0, f64::max);
        let area = SVGBackend::new(path, (WIDTH, height + FRAME)).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 18))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(NAMES)
            .build_cartesian_2d(0.0..most * 1.05, 0..height as i32)?;
        let name = |at: &i32| {
            // From the top down, in the order of the table.
            let index = (height as i32 - 1 - at) / step as i32;
            rows.get(index as usize).map_or_else(String::new, |row| row.case.clone())
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .disable_y_axis()
            .x_max_light_lines(1)
            .y_labels(rows.len())
            .y_label_formatter(&|_| String::new())
            .x_label_formatter(&|value| format!("{value:.0}"))
            .draw()?;
        for (place, (contender, color)) in (0u32..).zip(CONTENDERS) {
            let top = |index: usize| (height - index as u32 * step - place * BAR) as i32;
            let bars = rows.iter().enumerate().filter_map(|(index, row)| {
                let value = figures(row)[place as usize]?;
                Some(Rectangle::new(
                    [(0.0, top(index)), (value, top(index) - BAR as i32 + 1)],
                    color.filled(),
                ))
            });
            let drawn = chart.draw_series(bars)?;
            drawn
                .label(contender)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 10, y + 5)], color.filled()));
        }
        let style = ("sans-serif", 12).into_font().color(&BLACK);
        for index in 0..rows.len() {
            let middle = height - index as u32 * step - bars * BAR / 2;
            let (_, y) = chart.backend_coord(&(0.0, middle as i32));
            area.draw_text(&name(&(middle as i32)), &style, (14, y - 6))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.9))
            .border_style(BLACK)
            .draw()?;
        area.present()?;
        Ok(())
    }
}

/// The medians in the order of the contenders.
fn figures(row: &Row) -> [Option<f64>; 3] {
    [row.ours.median(), row.veth.median(), row.smoltcp.median()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Better;

    #[test]
    fn each_kind_of_case_has_a_chart() {
        let folder = std::env::temp_dir().join(format!("tapsock-charts-{}", std::process::id()));
        let mut row = Row::new("bulk_send/ipv4/across", "Gbit/s", Better::More);
        (row.ours.0, row.veth.0) = (vec![50.0], vec![40.0]);
        let other = Row { case: "round_trip/across/p50".into(), unit: "µs", ..row.clone() };
        draw(&[row, other], &folder).unwrap();
        let bulk = std::fs::read_to_string(folder.join("bulk.svg")).unwrap();
        assert!(bulk.contains("bulk_send/ipv4/across") && bulk.contains("kernel over veth"), "{bulk}");
        assert!(folder.join("round_trip.svg").exists() && !folder.join("udp.svg").exists());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
