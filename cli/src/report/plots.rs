//! The rows of a record of `benches/rivals` as plots: one a row, with what was really measured.

use std::fmt::Write;

use serde_json::Value;
use turtle_buffers::Strategy;

use super::figure;
use super::rivals::{list, scenario, text};
use super::svg::{self, Bar, Curve};
use super::text::{escape, number, table};
use crate::bench::stats::Spread;

/// What one subject's runs measured, by metric.
struct Measured<'a> {
    name: &'a str,
    /// Which of this library's engines it is, if it is one.
    ours: Option<Strategy>,
    /// One list for each metric.
    values: Vec<Vec<f64>>,
}

fn measured<'a>(row: &'a Value, metrics: usize) -> Vec<Measured<'a>> {
    let names: Vec<&str> = list(&row["work"])
        .iter()
        .map(|work| text(&work[0]))
        .collect();
    let rounds = list(&row["rounds"]);
    let pick = |samples: Vec<&Value>| -> Vec<Vec<f64>> {
        (0..metrics)
            .map(|m| {
                samples
                    .iter()
                    .filter_map(|sample| sample[m].as_f64())
                    .collect()
            })
            .collect()
    };
    names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            // Subject 0 is the reference as its own subject; the runs around the others count, too.
            let mut samples: Vec<&Value> =
                rounds.iter().map(|round| &round["subjects"][i]).collect();
            if i == 0 {
                samples.extend(rounds.iter().flat_map(|round| list(&round["reference"])));
            }
            Measured {
                name,
                // An engine called through the C interface is ours as well.
                ours: name.strip_suffix(" by C").unwrap_or(name).parse().ok(),
                values: pick(samples),
            }
        })
        .filter(|measured| measured.values.iter().all(|values| !values.is_empty()))
        .collect()
}

/// One plot for each row. A row that was taken against several references is drawn once, with the
/// most subjects.
pub(super) fn plots(record: &Value) -> String {
    let rows = list(&record["rows"]);
    let mut html = String::new();
    let mut drawn: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    let mut group = "";
    for row in rows {
        let (key, name) = (text(&row["scenario"]), text(&row["row"]));
        let mut subjects: Vec<&str> = list(&row["work"])
            .iter()
            .map(|work| text(&work[0]))
            .collect();
        subjects.sort_unstable();
        let shown = drawn
            .iter()
            .any(|(k, n, s)| *k == key && *n == name && subjects.iter().all(|x| s.contains(x)));
        let Some(first) = list(&row["lines"]).first() else {
            continue;
        };
        if shown {
            continue;
        }
        drawn.push((key, name, subjects));
        if key != group {
            let close = if group.is_empty() { "" } else { "</div>\n" };
            group = key;
            let _ = writeln!(
                html,
                "{close}<h3>{}</h3>\n<div class=\"plots\">",
                escape(&scenario(key))
            );
        }
        html += &plot(row, name, text(&first["metric"]["unit"]));
    }
    if !group.is_empty() {
        html += "</div>\n";
    }
    html
}

fn metric_names(row: &Value) -> Vec<&str> {
    let mut names = Vec::new();
    for line in list(&row["lines"]) {
        let name = text(&line["metric"]["name"]);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn plot(row: &Value, name: &str, unit: &str) -> String {
    let metrics = metric_names(row);
    let all = measured(row, metrics.len());
    let title = format!("{}: {name}", scenario(text(&row["scenario"])));
    let colour = |measured: &Measured<'_>| {
        measured
            .ours
            .map_or_else(|| "rival".to_owned(), super::colour)
    };
    let mut numbers = Vec::new();
    for measured in &all {
        for (metric, values) in metrics.iter().zip(&measured.values) {
            let spread = Spread::of(values);
            numbers.push(vec![
                measured.name.to_owned(),
                (*metric).to_owned(),
                number(spread.median),
                number(spread.low),
                number(spread.high),
                values.len().to_string(),
            ]);
        }
    }
    let numbers = table(
        &["subject", "metric", "median", "lowest", "highest", "runs"],
        &numbers,
    );
    if metrics.len() > 1 {
        let rows: Vec<_> = all
            .iter()
            .map(|measured| {
                let values = measured
                    .values
                    .iter()
                    .map(|values| Some(Spread::of(values).median))
                    .collect();
                (
                    Curve {
                        label: measured.name.to_owned(),
                        colour: colour(measured),
                        values,
                    },
                    measured.ours.is_some(),
                )
            })
            .collect();
        let note = format!(
            "{}; medians over the repetitions, log scale, less is better",
            metrics.join(" and ")
        );
        return figure(
            &escape(name),
            &escape(&note),
            &svg::dots(&title, &metrics, &rows),
            &numbers,
        );
    }
    let share = unit == "core";
    let bars: Vec<_> = all
        .iter()
        .map(|measured| {
            let Spread { median, low, high } = Spread::of(&measured.values[0]);
            let scale = if share { 100.0 } else { 1.0 };
            let spread = Spread {
                median: median * scale,
                low: low * scale,
                high: high * scale,
            };
            Bar {
                label: measured.name.to_owned(),
                colour: colour(measured),
                ours: measured.ours.is_some(),
                spread,
            }
        })
        .collect();
    let note = match unit {
        "M/s" => "million items/s, more is better; whiskers: lowest and highest".to_owned(),
        "core" => "% of a core, less is better; whiskers: lowest and highest".to_owned(),
        unit => format!("{unit}, less is better; whiskers: lowest and highest"),
    };
    figure(
        &escape(name),
        &escape(&note),
        &svg::bars(&title, &bars),
        &numbers,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_reference_counts_all_its_runs() {
        let row = json!({
            "work": [["ArrayQueue", 9], ["turn", 9], ["spsc by C", 9]],
            "rounds": [{
                "order": [0, 1, 2], "reference": [[10.0], [12.0], [11.0]],
                "subjects": [[11.0], [17.0], [18.0]],
            }],
        });
        let all = measured(&row, 1);
        assert_eq!(all[0].values[0], [11.0, 10.0, 12.0, 11.0]);
        assert_eq!(all[1].values[0], [17.0]);
        assert!(all[1].ours.is_some() && all[0].ours.is_none());
        assert_eq!(all[2].ours, Some(Strategy::Spsc), "through C as well");
    }

    #[test]
    fn a_row_is_drawn_once_with_the_most_subjects() {
        let row = |work: Value| {
            json!({
                "scenario": "single", "row": "1x1", "work": work,
                "rounds": [{"reference": [[1.0]], "subjects": [[1.0], [2.0], [3.0]]}],
                "lines": [{"metric": {"name": "throughput", "unit": "M/s"}}],
            })
        };
        let record = json!({"rows": [
            row(json!([["a", 1], ["turn", 1], ["b", 1]])),
            row(json!([["b", 1], ["turn", 1]])),
            row(json!([["c", 1], ["turn", 1]])),
        ]});
        assert_eq!(plots(&record).matches("<svg").count(), 2);
    }
}
