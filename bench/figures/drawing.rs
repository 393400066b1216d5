use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

const SIZE: (u32, u32) = (900, 760);
/// The axis of time, in milliseconds.
const MS: (f64, f64) = (1.0, 200.0);
const INK: RGBColor = RGBColor(40, 40, 46);
const BARS: RGBColor = RGBColor(96, 140, 196);
const MEDIAN: RGBColor = RGBColor(20, 110, 70);
const TAIL: RGBColor = RGBColor(176, 60, 40);
const FONT: &str = "Helvetica, Arial, sans-serif";

/// How the time from POST to settled is distributed at one rate.
struct Panel {
    jobs_per_second: u64,
    jobs: u64,
    p50_ms: f64,
    p99_ms: f64,
    /// From and to, in milliseconds, and how many jobs of a hundred.
    bars: Vec<(f64, f64, f64)>,
}

/// The histograms among the documents, as one picture: a panel for each rate, one axis of time.
pub(super) fn of(documents: &[Value]) -> String {
    let panels: Vec<Panel> =
        documents.iter().filter(|document| document["histogram"] == "holdfast").map(panel).collect();
    assert!(!panels.is_empty(), "no histogram to draw");
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).unwrap();
        let title = ("sans-serif", 20).into_font().color(&INK);
        let area = area.titled("From POST to settled, by jobs per second", title).unwrap();
        let parts = area.split_evenly((panels.len(), 1));
        let highest = panels.iter().flat_map(|panel| &panel.bars).map(|bar| bar.2).fold(1.0, f64::max) * 1.15;
        let last = panels.len() - 1;
        for (place, (part, panel)) in parts.iter().zip(&panels).enumerate() {
            draw(part, panel, highest, place == last);
        }
        area.present().unwrap();
    }
    // Whoever looks at it has other fonts than whoever measured the texts.
    svg.replace("font-family=\"sans-serif\"", &format!("font-family=\"{FONT}\"")) + "\n"
}

fn panel(document: &Value) -> Panel {
    let number = |field: &str| document[field].as_f64().unwrap();
    let jobs = document["jobs"].as_u64().unwrap();
    let buckets: Vec<(f64, f64)> = document["buckets_up_to_us"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| (bucket[0].as_f64().unwrap() / 1_000.0, bucket[1].as_f64().unwrap()))
        .collect();
    let bars = buckets
        .windows(2)
        .filter(|pair| pair[1].1 > 0.0)
        .map(|pair| (pair[0].0.max(MS.0), pair[1].0.min(MS.1), pair[1].1 * 100.0 / jobs as f64))
        .collect();
    let jobs_per_second = document["jobs_per_second"].as_u64().unwrap();
    Panel { jobs_per_second, jobs, p50_ms: number("p50_ms"), p99_ms: number("p99_ms"), bars }
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel, highest: f64, last: bool) {
    let small = |color: &RGBColor| ("sans-serif", 13).into_font().color(color);
    let mut chart = ChartBuilder::on(area)
        .margin(6)
        .margin_right(16)
        .y_label_area_size(52)
        .x_label_area_size(if last { 42 } else { 22 })
        .build_cartesian_2d((MS.0..MS.1).log_scale(), 0.0..highest)
        .unwrap();
    chart
        .configure_mesh()
        .x_desc(if last { "milliseconds from when the POST was due, logarithmic" } else { "" })
        .y_desc("% of jobs")
        .y_labels(4)
        .x_label_formatter(&|ms| format!("{ms}"))
        .y_label_formatter(&|share| format!("{share:.0}"))
        .label_style(small(&INK))
        .axis_desc_style(small(&INK))
        .light_line_style(RGBColor(238, 238, 240))
        .bold_line_style(RGBColor(222, 222, 226))
        .draw()
        .unwrap();
    let bars = panel.bars.iter().map(|(from, to, share)| Rectangle::new([(*from, 0.0), (*to, *share)], BARS.filled()));
    chart.draw_series(bars).unwrap();
    for (name, ms, color, line) in [("p50", panel.p50_ms, MEDIAN, 0.93), ("p99", panel.p99_ms, TAIL, 0.93)] {
        let ms = ms.clamp(MS.0, MS.1);
        chart.draw_series([PathElement::new([(ms, 0.0), (ms, highest)], color.stroke_width(2))]).unwrap();
        let text = format!("{name} {ms:.1} ms");
        chart.draw_series([Text::new(text, (ms * 1.02, highest * line), small(&color))]).unwrap();
    }
    let said = format!("{} jobs/s ({} jobs)", panel.jobs_per_second, panel.jobs);
    let bold = ("sans-serif", 15).into_font().color(&INK);
    chart.draw_series([Text::new(said, (MS.0 * 1.04, highest * 0.95), bold)]).unwrap();
}
