//! The page that `turtle bench --html` writes: everything inside, nothing fetched, no script run.

mod plots;
pub(crate) mod rivals;
mod svg;
mod text;

use serde_json::Value;
use turtle_buffers::Strategy;

use crate::bench::record::{Latency, QUANTILES, Record, Throughput};
use svg::{Bar, Curve};
use text::{date, definition, escape, number, table};

const STYLE: &str = include_str!("report/style.css");

/// The page for `whole`, the JSON record, and the samples it was made from.
pub(crate) fn page(whole: &Value, record: &Record) -> String {
    let mut body = String::new();
    body += &head(whole);
    if let Some(rivals) = whole.get("rivals").filter(|rivals| !rivals.is_null()) {
        body += &rivals::sections(rivals);
    }
    body += &own(record);
    body += &machine(whole);
    body += &raw(whole);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>turtle-buffers: measured</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn head(whole: &Value) -> String {
    let machine = &whole["machine"];
    let settings = &whole["settings"];
    let mut html = format!(
        "<header>\n<h1>turtle-buffers, measured</h1>\n<p class=\"soft\">Version {} on {}, {} of {} cores, {} {}. {}.</p>\n",
        escape(whole["version"].as_str().unwrap_or("?")),
        escape(machine["cpu"].as_str().unwrap_or("an unknown processor")),
        machine["cores_allowed"].as_array().map_or(0, Vec::len),
        machine["cores_online"],
        escape(machine["os"].as_str().unwrap_or("?")),
        escape(machine["kernel"].as_str().unwrap_or("?")),
        date(whole["finished_unix"].as_u64().unwrap_or(0)),
    );
    let quick = [&settings["quick"], &whole["rivals"]["quick"]];
    if quick.iter().any(|quick| quick.as_bool() == Some(true)) {
        html += "<p class=\"warn\">A quick look: short runs, few repetitions. Not a record.</p>\n";
    }
    if settings["debug_build"].as_bool() == Some(true) {
        html += "<p class=\"warn\">A debug build: these figures mean nothing.</p>\n";
    }
    html + "</header>\n"
}

/// A figure with its caption and, folded away, its numbers.
fn figure(caption: &str, note: &str, drawing: &str, numbers: &str) -> String {
    format!(
        "<figure>\n<figcaption>{caption}<span class=\"soft\">{note}</span></figcaption>\n\
         <div class=\"scroll\">{drawing}</div>\n\
         <details><summary>Numbers</summary><div class=\"scroll\">{numbers}</div></details>\n</figure>\n"
    )
}

/// The colour of a strategy: always the same one, whatever else is in a plot.
fn colour(strategy: Strategy) -> String {
    format!("s{}", strategy as u32 % 7)
}

fn own(record: &Record) -> String {
    let mut html = String::from("<section>\n<h2>The engines alone</h2>\n<div class=\"plots\">\n");
    for (batched, caption) in [(false, "One item a call"), (true, "64 items a call")] {
        let rows: Vec<_> = record
            .throughput
            .iter()
            .filter(|row| (row.job.batch > 1) == batched)
            .collect();
        html += &throughput(caption, &rows);
    }
    html += &latency(
        "A lone item",
        "from the push to a polling consumer, idle ring; log scale, less is better",
        &record.lone,
    );
    html += &latency(
        "Waking a sleeper",
        "from the push until a blocked pop has returned; log scale, less is better",
        &record.wake,
    );
    html + "</div>\n</section>\n"
}

fn throughput(caption: &str, rows: &[&Throughput]) -> String {
    let mut bars = Vec::new();
    let mut numbers = Vec::new();
    for row in rows {
        let spread = row.spread();
        let shape = format!("{}x{}", row.job.producers, row.job.consumers);
        bars.push(Bar {
            label: format!("{} {shape}", row.job.strategy),
            colour: colour(row.job.strategy),
            ours: true,
            spread,
        });
        numbers.push(vec![
            row.job.strategy.to_string(),
            shape,
            number(spread.median),
            number(spread.low),
            number(spread.high),
            row.samples.len().to_string(),
        ]);
    }
    figure(
        caption,
        "million items/s, producers x consumers; whiskers: lowest and highest",
        &svg::bars(&format!("{caption}: throughput of each engine"), &bars),
        &table(
            &["engine", "threads", "median", "lowest", "highest", "runs"],
            &numbers,
        ),
    )
}

fn latency(caption: &str, note: &str, rows: &[Latency]) -> String {
    let names: Vec<_> = QUANTILES.iter().map(|(_, name)| *name).collect();
    let curves: Vec<_> = rows
        .iter()
        .map(|row| Curve {
            label: row.strategy.to_string(),
            colour: colour(row.strategy),
            values: QUANTILES
                .iter()
                .map(|(q, _)| row.resolves(*q).then(|| row.quantile(*q) as f64))
                .collect(),
        })
        .collect();
    let numbers: Vec<_> = curves
        .iter()
        .map(|curve| {
            let cell = |value: &Option<f64>| value.map_or("too few samples".to_owned(), number);
            [curve.label.clone()]
                .into_iter()
                .chain(curve.values.iter().map(cell))
                .collect()
        })
        .collect();
    let heads: Vec<_> = ["engine"]
        .into_iter()
        .chain(names.iter().copied())
        .collect();
    figure(
        caption,
        note,
        &svg::percentiles(
            &format!("{caption}: latency percentiles of each engine"),
            &names,
            &curves,
        ),
        &table(&heads, &numbers),
    )
}

/// A JSON value without its punctuation.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(is) => crate::table::yes(*is).into(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn machine(whole: &Value) -> String {
    let mut html = String::from("<section>\n<h2>Machine</h2>\n<dl>\n");
    let machine = &whole["machine"];
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let features = machine["features"]
        .as_object()
        .map_or_else(String::new, |features| {
            let here = features
                .iter()
                .filter(|(_, here)| here.as_bool() == Some(true));
            here.map(|(name, _)| name.clone())
                .collect::<Vec<_>>()
                .join(", ")
        });
    let caches = machine["caches"]
        .as_array()
        .map_or_else(String::new, |caches| {
            let each = caches.iter().map(|cache| {
                format!(
                    "L{} {} {}",
                    cache["level"],
                    text(&cache["kind"]),
                    crate::table::bytes(cache["bytes"].as_u64().unwrap_or(0))
                )
            });
            each.collect::<Vec<_>>().join(", ")
        });
    let mut rows = vec![
        ("Processor", text(&machine["cpu"])),
        (
            "Cores",
            format!(
                "{} online, allowed here: {}",
                machine["cores_online"],
                plain(&machine["cores_allowed"])
            ),
        ),
        ("Caches", caches),
        ("Features", features),
        (
            "Kernel",
            format!("{} {}", text(&machine["os"]), text(&machine["kernel"])),
        ),
        (
            "Asymmetric barrier",
            format!(
                "{} in a process, {} between processes",
                plain(&machine["membarrier"]["private"]),
                plain(&machine["membarrier"]["shared"])
            ),
        ),
    ];
    let rivals = &whole["rivals"]["machine"];
    if rivals.is_object() {
        rows.push((
            "Rivals built by",
            format!("{}; {}", text(&rivals["rustc"]), text(&rivals["cxx"])),
        ));
        rows.push(("Commit", text(&rivals["commit"])));
        // What follows in /proc/loadavg are counts and a number of a process.
        let load = text(&rivals["load_average"]);
        let averages: Vec<_> = load.split(' ').take(3).collect();
        rows.push(("Load before", averages.join(" ")));
    }
    html += &rows
        .iter()
        .map(|(what, value)| definition(what, value))
        .collect::<String>();
    html += "</dl>\n<h2>How</h2>\n<dl>\n";
    if let Some(settings) = whole["settings"].as_object() {
        for (what, value) in settings {
            html += &definition(&what.replace('_', " "), &plain(value));
        }
    }
    html + "</dl>\n<p>What this does not show: other machines, more threads than there are cores beyond path length and \
            waiting, items of other sizes (the rows with rivals have some), and other work at the same time.</p>\n</section>\n"
}

fn raw(whole: &Value) -> String {
    // "</script" would end the element and "<!--" change its meaning; "<" occurs in strings only,
    // where this is the same character.
    let record = whole.to_string().replace('<', "\\u003c");
    format!(
        "<section>\n<h2>Raw record</h2>\n<p>Every sample is in this page, as JSON in the element with the id \
         <code>record</code>.</p>\n<script type=\"application/json\" id=\"record\">{record}</script>\n</section>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_record_cannot_end_its_element() {
        let html = raw(&json!({"x": "</script><b>"}));
        assert_eq!(html.matches("</script>").count(), 1);
        let start = html.find("\"record\">").unwrap() + 9;
        let end = html.find("</script>").unwrap();
        let back: Value = serde_json::from_str(&html[start..end]).unwrap();
        assert_eq!(back["x"], "</script><b>");
    }
}
