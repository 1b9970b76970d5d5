//! The chart: throughput as a ratio to each workload's first row, a group of bars for each workload.

use std::fmt::Write;

use crate::cores::Placement;
use crate::record::{Record, Run};
use crate::row::Row;

/// The number of connections that is shown.
const CONNECTIONS: usize = 64;
const WIDTH: f64 = 760.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 16.0;
const STEP: f64 = 20.0;
const TITLE: f64 = 28.0;
const GAP: f64 = 10.0;
/// The ratio at the right edge; longer bars are cut there.
const MOST: f64 = 1.5;

/// The chart as SVG.
pub(crate) fn svg(record: &Record) -> String {
    let groups: Vec<_> =
        record.runs.iter().map(|run| (run, bars(run))).filter(|(_, bars)| bars.len() > 1).collect();
    let mut body = String::new();
    let mut y = GAP;
    for (run, bars) in &groups {
        group(&mut body, run, bars, &mut y);
    }
    let height = y + GAP;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" role=\"img\" aria-label=\"Throughput against bare axum\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn bars(run: &Run) -> Vec<&Row> {
    run.rows.iter().filter(|row| row.connections == CONNECTIONS).collect()
}

fn group(out: &mut String, run: &Run, bars: &[&Row], y: &mut f64) {
    let text_y = *y + TITLE * 0.6;
    let cores = match run.cores {
        Placement::Pinned => "",
        Placement::Shared => ", shared CPUs",
    };
    let _ = writeln!(
        out,
        "<text x=\"{GAP}\" y=\"{text_y}\" font-weight=\"bold\" fill=\"#222\">{}: requests/s against the first, {CONNECTIONS} connections{cores}</text>",
        escape(&run.title)
    );
    *y += TITLE;
    let scale = (WIDTH - LEFT - RIGHT) / MOST;
    for (at, row) in bars.iter().enumerate() {
        bar(out, row, at == 0, *y, scale);
        *y += STEP;
    }
    *y += GAP;
}

fn bar(out: &mut String, row: &Row, is_base: bool, y: f64, scale: f64) {
    let ratio = row.ratio;
    let width = ratio.min(MOST) * scale;
    let fill = match () {
        () if is_base => "#9aa5b1",
        () if row.name.starts_with("hhrf") => "#d9480f",
        () => "#4c7ca8",
    };
    let (text_y, label_x, value_x) = (y + BAR * 0.75, LEFT - 6.0, LEFT + width + 6.0);
    let _ = writeln!(
        out,
        "<text x=\"{label_x}\" y=\"{text_y}\" text-anchor=\"end\" fill=\"#222\">{}</text>\
         <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>\
         <text x=\"{value_x:.1}\" y=\"{text_y}\" fill=\"#222\">{ratio:.2}</text>",
        escape(&row.name)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("a < b & c"), "a &lt; b &amp; c");
    }

    #[test]
    fn a_record_without_rows_is_an_empty_picture() {
        let svg = svg(&Record::default());
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("<text"));
    }
}
