//! The record of `benches/rivals`: its bars in a table, its rows as plots. The schema is in that
//! crate's README; what is missing is left out, never guessed.

use std::fmt::Write;

use serde_json::{Value, json};

use super::plots;
use super::text::escape;

/// What the scenarios are called, and what their figures are.
const SCENARIOS: [(&str, &str); 17] = [
    ("pair", "Push and pop in turn on one thread"),
    ("single", "One item a call"),
    ("batch", "64 items a call"),
    ("wait-free", "The wait-free engine, one item a call"),
    ("wait-free-64", "The same with 64 elements"),
    ("wait-free-size", "The same with larger items"),
    (
        "wait-free-peers",
        "The same against another bounded queue without stuck points",
    ),
    ("spsc", "One producer, one consumer"),
    ("spsc-batch", "One producer, one consumer, 64 items a call"),
    ("lone", "A lone item through an idle ring"),
    ("size", "Larger items"),
    ("c", "Push and pop in turn through the C interface"),
    ("c-size", "Larger items through the C interface"),
    (
        "cpp",
        "Through turtle.hpp, one thread, against the C interface",
    ),
    (
        "cpp-single",
        "Through turtle.hpp, one item at a time, threads",
    ),
    ("wake", "Waking a blocked pop"),
    ("idle", "Processor time of a blocked pop"),
];

pub(super) fn scenario(key: &str) -> String {
    let known = SCENARIOS.iter().find(|(name, _)| *name == key);
    known.map_or_else(|| key.to_owned(), |(_, title)| (*title).to_owned())
}

/// Says what a record lacks to be one.
pub(crate) fn check(record: &Value) -> Result<(), String> {
    let rows = record["rows"]
        .as_array()
        .ok_or("there is no list \"rows\"")?;
    for (i, row) in rows.iter().enumerate() {
        for field in ["scenario", "row"] {
            row[field]
                .as_str()
                .ok_or(format!("row {i} has no text \"{field}\""))?;
        }
        for field in ["lines", "rounds", "work"] {
            row[field]
                .as_array()
                .ok_or(format!("row {i} has no list \"{field}\""))?;
        }
    }
    Ok(())
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// One bar: a line of a row, or a mean over rows.
struct Judged<'a> {
    scenario: &'a str,
    /// "1x1, cap 1024", or "geometric mean of 4 rows".
    row: String,
    line: &'a Value,
}

impl Judged<'_> {
    fn is_share(&self) -> bool {
        self.line["metric"]["figure"] == "value"
    }

    fn amount(&self, value: &Value) -> String {
        match value.as_f64() {
            Some(value) if self.is_share() => format!("{:.3} %", value * 100.0),
            Some(value) => format!("{value:.3}"),
            None => "?".into(),
        }
    }

    fn estimate(&self, of: &str, share: bool) -> String {
        let estimate = &self.line[of];
        if estimate.is_null() {
            return String::new();
        }
        let show = |value: &Value| {
            if share {
                self.amount(value)
            } else {
                format!("{:.3}", value.as_f64().unwrap_or(f64::NAN))
            }
        };
        format!(
            "{} [{}, {}]",
            show(&estimate["median"]),
            show(&estimate["low"]),
            show(&estimate["high"])
        )
    }

    fn bar(&self) -> String {
        let sign = if self.line["bar"].get("at_least").is_some() {
            "at_least"
        } else {
            "at_most"
        };
        let symbol = if sign == "at_least" { "≥" } else { "≤" };
        let value = &self.line["bar"][sign];
        if self.is_share() {
            format!("{symbol} {} %", value.as_f64().unwrap_or(f64::NAN) * 100.0)
        } else {
            format!("{symbol} {}x", value)
        }
    }

    fn holds(&self) -> Option<bool> {
        self.line["holds"].as_bool()
    }

    fn what(&self) -> String {
        let metric = text(&self.line["metric"]["name"]);
        let subject = text(&self.line["subject"]);
        let reference = text(&self.line["reference"]);
        format!("{subject} against {reference}, {metric}")
    }

    fn json(&self) -> Value {
        json!({
            "scenario": self.scenario,
            "row": self.row,
            "subject": self.line["subject"],
            "reference": self.line["reference"],
            "metric": self.line["metric"]["name"],
            "bar": self.line["bar"],
            "estimate": self.line["estimate"],
            "same": self.line["same"],
            "holds": self.line["holds"],
        })
    }
}

/// Every line and mean that has a bar, in the order of the record, means after their rows.
fn judged(record: &Value) -> Vec<Judged<'_>> {
    let mut all = Vec::new();
    for row in list(&record["rows"]) {
        for line in list(&row["lines"])
            .iter()
            .filter(|line| !line["bar"].is_null())
        {
            all.push(Judged {
                scenario: text(&row["scenario"]),
                row: text(&row["row"]).to_owned(),
                line,
            });
        }
    }
    for mean in list(&record["means"])
        .iter()
        .filter(|mean| !mean["bar"].is_null())
    {
        let key = text(&mean["scenario"]);
        let row = format!("geometric mean of {} rows", mean["rows"]);
        let after = all
            .iter()
            .rposition(|judged| judged.scenario == key)
            .map_or(all.len(), |last| last + 1);
        all.insert(
            after,
            Judged {
                scenario: key,
                row,
                line: mean,
            },
        );
    }
    all
}

/// The bars for the JSON report.
pub(crate) fn bars_json(record: &Value) -> Value {
    judged(record).iter().map(Judged::json).collect()
}

/// The page's sections about rivals: the bars first, then the plots.
pub(super) fn sections(record: &Value) -> String {
    let all = judged(record);
    let held = all
        .iter()
        .filter(|judged| judged.holds() == Some(true))
        .count();
    let mut html = format!(
        "<section>\n<h2>Bars: {held} of {} hold</h2>\n\
         <p class=\"soft\">A figure is the median of paired ratios, subject over reference, with its 95 % bootstrap \
         interval; for time and latency less is better, for throughput more. A/A is the reference against itself in \
         the same rounds: what the row cannot resolve. A bar holds when the better end of the interval reaches it and \
         the median is within 3 % of it.</p>\n",
        all.len()
    );
    html += "<div class=\"scroll\"><table class=\"bars\"><thead><tr><th scope=\"col\">what</th><th scope=\"col\">bar</th>\
             <th scope=\"col\">measured [95 %]</th><th scope=\"col\">A/A</th><th scope=\"col\">verdict</th></tr></thead>\n";
    let mut group = "";
    for judged in &all {
        if judged.scenario != group {
            let close = if group.is_empty() { "" } else { "</tbody>" };
            group = judged.scenario;
            let _ = writeln!(
                html,
                "{close}<tbody><tr><th scope=\"rowgroup\" colspan=\"5\">{}</th></tr>",
                escape(&scenario(group))
            );
        }
        let verdict = match judged.holds() {
            Some(true) => "<span class=\"good\">✓ holds</span>",
            Some(false) => "<span class=\"bad\">✗ misses</span>",
            None => "not judged",
        };
        let _ = writeln!(
            html,
            "<tr><td class=\"what\">{}<span class=\"soft\">{}</span></td><td class=\"figure\" data-name=\"bar\">{}</td><td class=\"figure\" data-name=\"measured\">{}</td>\
             <td class=\"figure\" data-name=\"A/A\">{}</td><td>{verdict}</td></tr>",
            escape(&judged.what()),
            escape(&judged.row),
            escape(&judged.bar()),
            escape(&judged.estimate("estimate", true)),
            escape(&judged.estimate("same", false)),
        );
    }
    html += if group.is_empty() {
        "</table></div>\n</section>\n"
    } else {
        "</tbody></table></div>\n</section>\n"
    };
    html += "<section>\n<h2>Beside rivals</h2>\n";
    for missing in list(&record["missing"]) {
        let _ = writeln!(
            html,
            "<p class=\"warn\">Left out: {}: {}</p>",
            escape(text(&missing[0])),
            escape(text(&missing[1]))
        );
    }
    html += &plots::plots(record);
    html + "</section>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Value {
        let metric = json!({"name": "throughput", "unit": "M/s", "figure": "ratio"});
        let estimate = json!({"median": 1.5, "low": 1.4, "high": 1.6});
        json!({
            "quick": false, "missing": [["boost", "no headers"]],
            "rows": [{
                "scenario": "single", "row": "1x1, cap 8", "work": [["ArrayQueue", 9], ["turn", 9]],
                "rounds": [{"order": [0, 1], "reference": [[10.0], [12.0], [11.0]], "subjects": [[11.0], [17.0]]}],
                "lines": [{
                    "metric": metric, "subject": "turn", "reference": "ArrayQueue", "estimate": estimate,
                    "same": {"median": 1.0, "low": 0.99, "high": 1.01}, "bar": {"at_least": 0.9}, "holds": true,
                }],
            }],
            "means": [{
                "scenario": "single", "metric": metric, "subject": "turn", "reference": "ArrayQueue", "rows": 4,
                "estimate": estimate, "bar": {"at_least": 2.0}, "holds": false,
            }],
        })
    }

    #[test]
    fn bars_and_means_are_judged_side_by_side() {
        let record = record();
        assert_eq!(check(&record), Ok(()));
        let html = sections(&record);
        for part in [
            "Bars: 1 of 2 hold",
            "✓ holds",
            "✗ misses",
            "≥ 0.9x",
            "1.500 [1.400, 1.600]",
            "1.000 [0.990, 1.010]",
            "geometric mean of 4 rows",
            "Left out: boost: no headers",
        ] {
            assert!(html.contains(part), "{part}: {html}");
        }
        assert_eq!(bars_json(&record).as_array().unwrap().len(), 2);
    }

    #[test]
    fn every_scenario_that_is_measured_has_a_title() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../benches/rivals/src/scenario.rs"
        );
        let source = std::fs::read_to_string(path).unwrap();
        let keys: Vec<&str> = source
            .split("scenario: \"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        assert!(keys.len() > 10, "{keys:?}");
        for key in keys {
            assert_ne!(scenario(key), key, "in SCENARIOS");
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for wrong in [
            json!({}),
            json!([]),
            json!({"rows": [{}]}),
            json!({"rows": [{"scenario": "a", "row": "b"}]}),
        ] {
            assert!(check(&wrong).is_err(), "{wrong}");
        }
    }
}
