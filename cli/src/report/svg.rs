//! Plots as inline SVG. Colours are classes and variables of the page's style, so that they follow
//! the reader's light or dark scheme.

use std::fmt::Write;

use super::text::{escape, number};
use crate::bench::stats::Spread;

/// Width of every drawing in its own units, which are about pixels: two fit side by side on a desk.
const WIDTH: f64 = 540.0;

/// One bar of a bar chart.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    /// A variable of the style, without its dashes.
    pub(super) colour: String,
    /// Ours stand out.
    pub(super) ours: bool,
    pub(super) spread: Spread,
}

/// One line of a percentile plot, or the points of one row of a dot plot.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) label: String,
    pub(super) colour: String,
    /// One for each place on the axis; None where there is too little to say.
    pub(super) values: Vec<Option<f64>>,
}

/// Round values from 0 to `top` or just above.
pub(super) fn ticks(top: f64) -> Vec<f64> {
    let top = if top > 0.0 { top } else { 1.0 };
    let unit = 10_f64.powf((top / 5.0).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .map(|m| m * unit)
        .into_iter()
        .find(|step| step * 5.0 >= top);
    let step = step.unwrap_or(unit * 10.0);
    (0..=(top / step).ceil() as u32)
        .map(|i| f64::from(i) * step)
        .collect()
}

/// 1, 2 and 5 times powers of ten, from just below `low` to just above `high`; powers alone when
/// that would be many.
pub(super) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let steps: &[f64] = if last - first > 3 {
        &[1.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let all: Vec<f64> = (first..=last)
        .flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)))
        .collect();
    let from = all.iter().rposition(|tick| *tick <= low).unwrap_or(0);
    let to = all
        .iter()
        .position(|tick| *tick >= high)
        .unwrap_or(all.len() - 1);
    all[from..=to.max(from)].to_vec()
}

fn open(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>"
    )
}

/// Room for labels at the left. Fonts differ; 8 units a letter is more than most need.
fn margin<'a>(labels: impl Iterator<Item = &'a str>) -> f64 {
    let longest = labels.map(|label| label.chars().count()).max().unwrap_or(0);
    (14.0 + 8.0 * longest as f64).clamp(80.0, 240.0)
}

/// Horizontal bars from 0 with whiskers, each with its value.
pub(super) fn bars(title: &str, bars: &[Bar]) -> String {
    let margin = margin(bars.iter().map(|bar| &*bar.label));
    const RIGHT: f64 = 50.0;
    const ROW: f64 = 26.0;
    let top = bars.iter().map(|bar| bar.spread.high).fold(0.0, f64::max);
    let ticks = ticks(top);
    let end = ticks[ticks.len() - 1];
    let x = |value: f64| margin + value / end * (WIDTH - margin - RIGHT);
    let foot = 8.0 + ROW * bars.len() as f64;
    let mut svg = open(title, foot + 24.0);
    for tick in &ticks {
        let at = x(*tick);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"4\" y2=\"{foot}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            foot + 16.0,
            tick_label(*tick)
        );
    }
    for (i, bar) in bars.iter().enumerate() {
        let y = 8.0 + ROW * i as f64;
        let middle = y + ROW / 2.0 - 2.0;
        let Spread { median, low, high } = bar.spread;
        let weight = if bar.ours { " class=\"ours\"" } else { "" };
        let _ = write!(
            svg,
            "<text{weight} x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{margin}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\" fill=\"var(--{})\"/>",
            margin - 8.0,
            middle + 4.5,
            escape(&bar.label),
            y + 2.0,
            (x(median) - margin).max(1.0),
            ROW - 8.0,
            bar.colour,
        );
        let (a, b) = (x(low), x(high));
        let _ = write!(
            svg,
            "<path class=\"whisker\" d=\"M{a:.1} {m:.1}H{b:.1}M{a:.1} {t:.1}v8M{b:.1} {t:.1}v8\"/>\
             <text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            b + 6.0,
            middle + 4.5,
            number(median),
            m = middle,
            t = middle - 4.0,
        );
    }
    svg + "</svg>"
}

/// Latency percentiles: one line each, logarithmic upwards, places evenly apart.
pub(super) fn percentiles(title: &str, places: &[&str], curves: &[Curve]) -> String {
    const LEFT: f64 = 64.0;
    const RIGHT: f64 = 92.0;
    const TOP: f64 = 10.0;
    const HEIGHT: f64 = 250.0;
    let known = || {
        curves
            .iter()
            .flat_map(|curve| curve.values.iter().flatten())
    };
    let low = known().copied().fold(f64::INFINITY, f64::min).max(1.0);
    let high = known().copied().fold(low, f64::max);
    let ticks = log_ticks(
        if low.is_finite() { low } else { 1.0 },
        if high.is_finite() { high } else { 10.0 },
    );
    let (bottom, top) = (
        ticks[0].ln(),
        ticks[ticks.len() - 1].ln().max(ticks[0].ln() + 1.0),
    );
    let y = |value: f64| TOP + HEIGHT - (value.max(1.0).ln() - bottom) / (top - bottom) * HEIGHT;
    let x = |i: usize| {
        LEFT + 16.0 + i as f64 * (WIDTH - LEFT - RIGHT - 16.0) / (places.len() - 1).max(1) as f64
    };
    let mut svg = open(title, TOP + HEIGHT + 26.0);
    for tick in &ticks {
        let at = y(*tick);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            nanos(*tick)
        );
    }
    for (i, place) in places.iter().enumerate() {
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(i),
            TOP + HEIGHT + 18.0,
            escape(place)
        );
    }
    let mut labels = Vec::new();
    for (n, curve) in curves.iter().enumerate() {
        let points: Vec<(usize, f64, f64)> = curve
            .values
            .iter()
            .enumerate()
            .filter_map(|(i, value)| Some((i, x(i), y((*value)?))))
            .collect();
        let Some(last) = points.last() else { continue };
        // No line across a place that nothing is known about.
        let mut path = String::new();
        for (n, (i, x, y)) in points.iter().enumerate() {
            let joined = n > 0 && points[n - 1].0 + 1 == *i;
            let _ = write!(path, "{}{x:.1} {y:.1}", if joined { 'L' } else { 'M' });
        }
        let _ = write!(
            svg,
            "<path class=\"curve\" stroke=\"var(--{})\" d=\"{path}\"/>",
            curve.colour
        );
        for (_, x, y) in &points {
            svg += &mark(n, *x, *y, &curve.colour);
        }
        labels.push((last.2, last.1, curve));
    }
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut floor = f64::MIN;
    for (wanted, at, curve) in labels {
        let y = wanted.max(floor);
        floor = y + 17.0;
        let _ = write!(
            svg,
            "<text class=\"ours\" x=\"{:.1}\" y=\"{:.1}\" style=\"fill: var(--{})\">{}</text>",
            at + 11.0,
            y + 4.5,
            curve.colour,
            escape(&curve.label)
        );
    }
    svg + "</svg>"
}

/// Rows with several marked values each on a common logarithmic axis: median and 99th percentile.
pub(super) fn dots(title: &str, names: &[&str], rows: &[(Curve, bool)]) -> String {
    let margin = margin(rows.iter().map(|(row, _)| &*row.label));
    const RIGHT: f64 = 26.0;
    const ROW: f64 = 26.0;
    let known = || {
        rows.iter()
            .flat_map(|(row, _)| row.values.iter().flatten())
            .copied()
    };
    let low = known().fold(f64::INFINITY, f64::min).max(1.0);
    let high = known().fold(low, f64::max);
    let ticks = log_ticks(
        if low.is_finite() { low } else { 1.0 },
        if high.is_finite() { high } else { 10.0 },
    );
    let (from, to) = (
        ticks[0].ln(),
        ticks[ticks.len() - 1].ln().max(ticks[0].ln() + 1.0),
    );
    let x =
        |value: f64| margin + (value.max(1.0).ln() - from) / (to - from) * (WIDTH - margin - RIGHT);
    let foot = 28.0 + ROW * rows.len() as f64;
    let mut svg = open(title, foot + 24.0);
    let mut at = margin;
    for (n, name) in names.iter().enumerate() {
        svg += &mark(n, at + 5.0, 10.0, "ink");
        let _ = write!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"14\">{}</text>",
            at + 16.0,
            escape(name)
        );
        at += 70.0;
    }
    for tick in &ticks {
        let at = x(*tick);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"24\" y2=\"{foot}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            foot + 16.0,
            nanos(*tick)
        );
    }
    for (i, (row, ours)) in rows.iter().enumerate() {
        let y = 28.0 + ROW * (i as f64 + 0.5);
        let weight = if *ours { " class=\"ours\"" } else { "" };
        let _ = write!(
            svg,
            "<text{weight} x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            margin - 8.0,
            y + 4.5,
            escape(&row.label)
        );
        let places: Vec<f64> = row.values.iter().flatten().map(|value| x(*value)).collect();
        if let (Some(first), Some(last)) = (places.first(), places.last()) {
            let _ = write!(
                svg,
                "<line stroke=\"var(--{})\" stroke-width=\"2\" x1=\"{first:.1}\" x2=\"{last:.1}\" y1=\"{y}\" y2=\"{y}\"/>",
                row.colour
            );
        }
        for (n, value) in row.values.iter().enumerate() {
            if let Some(value) = value {
                svg += &mark(n, x(*value), y, &row.colour);
            }
        }
    }
    svg + "</svg>"
}

/// A mark whose shape, not only its colour, tells series apart.
fn mark(series: usize, x: f64, y: f64, colour: &str) -> String {
    let shape = match series % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\""),
        1 => format!("<path d=\"M{x:.1} {:.1}l6 6l-6 6l-6 -6z\"", y - 6.0),
        2 => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"8.5\" height=\"8.5\"",
            x - 4.25,
            y - 4.25
        ),
        _ => format!("<path d=\"M{x:.1} {:.1}l6 10h-12z\"", y - 6.0),
    };
    format!("{shape} fill=\"var(--{colour})\" stroke=\"var(--paper)\" stroke-width=\"1.5\"/>")
}

fn tick_label(value: f64) -> String {
    if value == 0.0 {
        "0".into()
    } else {
        format!("{}", (value * 1e6).round() / 1e6)
    }
}

/// "200 ns", "5 µs", "1 ms".
fn nanos(value: f64) -> String {
    match value {
        1e6.. => format!("{} ms", tick_label(value / 1e6)),
        1e3.. => format!("{} µs", tick_label(value / 1e3)),
        _ => format!("{} ns", tick_label(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_top() {
        assert_eq!(ticks(87.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(0.0), ticks(1.0));
        for top in [0.003, 0.7, 1.0, 3.3, 42.0, 99_999.0] {
            let ticks = ticks(top);
            assert!(
                ticks[ticks.len() - 1] >= top && ticks.len() <= 7,
                "{top}: {ticks:?}"
            );
        }
    }

    #[test]
    fn logarithmic_ticks_enclose_the_values() {
        assert_eq!(log_ticks(130.0, 900.0), [100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(
            log_ticks(3.0, 4e6),
            [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7]
        );
        let same = log_ticks(100.0, 100.0);
        assert!(
            same[0] <= 100.0 && same[same.len() - 1] >= 100.0,
            "{same:?}"
        );
    }

    #[test]
    fn a_plot_of_nothing_is_still_a_plot() {
        let nothing = Curve {
            label: "none".into(),
            colour: "s0".into(),
            values: vec![None, None],
        };
        for svg in [
            percentiles("t", &["p50", "p99"], &[nothing]),
            bars("t", &[]),
            dots("t", &[], &[]),
        ] {
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_line_has_a_gap_where_nothing_is_known() {
        let values = vec![Some(10.0), Some(20.0), None, Some(40.0)];
        let curve = Curve {
            label: "x".into(),
            colour: "s0".into(),
            values,
        };
        let svg = percentiles("t", &["a", "b", "c", "d"], &[curve]);
        let path = svg
            .split_once(" d=\"M")
            .unwrap()
            .1
            .split_once('"')
            .unwrap()
            .0;
        assert_eq!(
            (path.matches('L').count(), path.matches('M').count()),
            (1, 1),
            "{path}"
        );
        assert_eq!(svg.matches("<circle").count(), 3);
    }

    #[test]
    fn a_value_has_its_unit() {
        assert_eq!(
            [nanos(200.0), nanos(5e3), nanos(1e6)],
            ["200 ns", "5 µs", "1 ms"]
        );
    }
}
