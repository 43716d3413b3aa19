//! The table for people and the record for programs.

use serde::Serialize;

use crate::machine::Machine;
use crate::runner::{Figure, Line, Measured, Metric};
use crate::scenario::MEAN_BARS;
use crate::stats::{Bar, Estimate};

/// How to read the table.
pub const HEADER: &str = "\
Figures are medians of paired ratios with their 95 % bootstrap interval.
  throughput: subject / reference, above 1 the subject is faster
  time, p50, p99: subject / reference, below 1 the subject is faster
  cpu share: the subject's own value
A/A is the reference against itself in the same rounds: smaller differences mean nothing.
A bar holds when the better end of the interval reaches it and the median is within 3 % of it.";

/// Geometric mean of a subject's rows in a scenario.
#[derive(Debug, Serialize)]
pub struct Mean {
    scenario: &'static str,
    metric: Metric,
    subject: String,
    reference: String,
    rows: usize,
    estimate: Estimate,
    bar: Option<Bar>,
    holds: Option<bool>,
}

/// Everything about one invocation.
#[derive(Debug, Serialize)]
pub struct Record<'a> {
    /// Where.
    pub machine: &'a Machine,
    /// Repetitions of each row.
    pub reps: usize,
    /// Length of a run, seconds.
    pub run_seconds: f64,
    /// A quick look is not a record.
    pub quick: bool,
    /// How threads were placed.
    pub pinning: &'static str,
    /// How failed attempts wait.
    pub waiting: &'static str,
    /// Rivals left out, and why.
    pub missing: Vec<(&'static str, &'static str)>,
    /// Rows with all raw repetitions.
    pub rows: &'a [Measured],
    /// Means over rows.
    pub means: &'a [Mean],
}

fn interval(estimate: &Estimate, percent: bool) -> String {
    let show = |value: f64| {
        if percent {
            format!("{:.3} %", value * 100.0)
        } else {
            format!("{value:.3}")
        }
    };
    format!(
        "{} [{}, {}]",
        show(estimate.median),
        show(estimate.low),
        show(estimate.high)
    )
}

fn verdict(bar: Option<Bar>, estimate: &Estimate) -> String {
    bar.map(|bar| format!("bar {bar}: {}", bar.verdict(estimate)))
        .unwrap_or_default()
}

fn value(value: f64, metric: &Metric) -> String {
    match metric.unit {
        "core" => format!("{:.3} %", value * 100.0),
        unit => format!("{value:.1} {unit}"),
    }
}

/// Title of a row's block.
pub fn title(measured: &Measured) -> String {
    let reference = &measured.work[0].0;
    let mut text = format!(
        "{} | {} | reference {reference}",
        measured.scenario, measured.row
    );
    if measured.discarded > 0 {
        text += &format!(
            " | {} rounds taken again: others used the machine",
            measured.discarded
        );
    }
    text
}

/// One line of the table.
pub fn line(line: &Line) -> String {
    let percent = line.metric.figure == Figure::Value;
    format!(
        "  {:<24} {:<10} {:>12} vs {:>12}  {:<25}  A/A {:<22}  {}",
        line.subject,
        line.metric.name,
        value(line.subject_value, &line.metric),
        value(line.reference_value, &line.metric),
        interval(&line.estimate, percent),
        interval(&line.same, false),
        verdict(line.bar, &line.estimate),
    )
    .trim_end()
    .to_owned()
}

/// Means of every subject that has several rows against the same reference.
pub fn means(rows: &[Measured]) -> Vec<Mean> {
    let lines: Vec<&Line> = rows.iter().flat_map(|row| &row.lines).collect();
    let key = |line: &Line| {
        (
            line.scenario,
            line.metric.name,
            line.subject.clone(),
            line.reference.clone(),
        )
    };
    let mut keys = Vec::new();
    for line in &lines {
        if line.metric.figure == Figure::Ratio && !keys.contains(&key(line)) {
            keys.push(key(line));
        }
    }
    keys.into_iter()
        .filter_map(|wanted| {
            let of: Vec<&&Line> = lines.iter().filter(|line| key(line) == wanted).collect();
            let first = of[0];
            let bar = MEAN_BARS
                .iter()
                .find(|b| {
                    (b.scenario, b.subject, b.reference)
                        == (first.scenario, &*first.subject, &*first.reference)
                })
                .map(|b| b.bar);
            if of.len() < 2 {
                return None;
            }
            let samples: Vec<&[f64]> = of.iter().map(|line| &*line.samples).collect();
            let estimate = Estimate::of_rows(&samples);
            Some(Mean {
                scenario: first.scenario,
                metric: first.metric,
                subject: first.subject.clone(),
                reference: first.reference.clone(),
                rows: of.len(),
                estimate,
                bar,
                holds: bar.map(|bar| bar.holds(&estimate)),
            })
        })
        .collect()
}

/// One line of the means.
pub fn mean(mean: &Mean) -> String {
    format!(
        "  {:<7} {:<24} {:<10} vs {:<22} over {} rows  {:<25}  {}",
        mean.scenario,
        mean.subject,
        mean.metric.name,
        mean.reference,
        mean.rows,
        interval(&mean.estimate, false),
        verdict(mean.bar, &mean.estimate),
    )
    .trim_end()
    .to_owned()
}

/// How many bars hold, of how many judged.
pub fn score(rows: &[Measured], means: &[Mean]) -> (usize, usize) {
    let judged: Vec<bool> = rows
        .iter()
        .flat_map(|row| row.lines.iter().filter_map(|line| line.holds))
        .chain(means.iter().filter_map(|mean| mean.holds))
        .collect();
    (judged.iter().filter(|holds| **holds).count(), judged.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(row: &str, samples: &[f64]) -> Measured {
        let metric = Metric {
            name: "throughput",
            unit: "M/s",
            figure: Figure::Ratio,
        };
        let estimate = Estimate::of_ratios(samples);
        let line = Line {
            scenario: "single",
            row: row.to_owned(),
            metric,
            subject: "turn".to_owned(),
            reference: "ArrayQueue".to_owned(),
            subject_value: 50.0,
            reference_value: 40.0,
            estimate,
            same: Estimate::of_ratios(&[1.0]),
            samples: samples.to_vec(),
            bar: Some(Bar::AtLeast(0.9)),
            holds: Some(Bar::AtLeast(0.9).holds(&estimate)),
        };
        Measured {
            scenario: "single",
            row: row.to_owned(),
            work: vec![("ArrayQueue".to_owned(), 1)],
            rounds: Vec::new(),
            discarded: 0,
            lines: vec![line],
        }
    }

    #[test]
    fn the_mean_over_rows_meets_its_own_bar() {
        let rows = [row("1x1", &[1.5; 7]), row("2x2", &[1.0; 7])];
        let means = means(&rows);
        assert_eq!(means.len(), 1);
        assert!((means[0].estimate.median - 1.5_f64.sqrt()).abs() < 1e-9);
        assert_eq!(means[0].holds, Some(true));
        assert_eq!(score(&rows, &means), (3, 3));

        let slow = [row("1x1", &[1.0; 7]), row("2x2", &[0.8; 7])];
        let slow_means = super::means(&slow);
        assert_eq!(slow_means[0].holds, Some(false));
        assert_eq!(score(&slow, &slow_means), (1, 3));
    }

    #[test]
    fn a_line_says_what_it_is_compared_with() {
        let rows = [row("1x1", &[0.5; 7])];
        let text = line(&rows[0].lines[0]);
        for part in [
            "turn",
            "0.500 [0.500, 0.500]",
            "A/A 1.000",
            "bar >= 0.9: misses",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(title(&rows[0]).contains("reference ArrayQueue"));
    }
}
