//! `turtle bench`: what it writes, and what it refuses before it measures anything.

mod common;

use std::path::Path;

use common::{json, turtle};
use serde_json::json as value;
use turtle_buffers::Strategy;

/// A small record with the fields that benches/rivals writes.
fn rivals() -> String {
    let metric = value!({"name": "throughput", "unit": "M/s", "figure": "ratio"});
    let latency = |name: &str| value!({"name": name, "unit": "ns", "figure": "ratio"});
    let estimate = value!({"median": 1.25, "low": 1.2, "high": 1.3});
    let line = |metric: &serde_json::Value, bar: serde_json::Value, holds: bool| {
        value!({
            "metric": metric, "subject": "turn", "reference": "Mutex<VecDeque>", "estimate": estimate,
            "same": {"median": 1.0, "low": 0.99, "high": 1.01}, "bar": bar, "holds": holds,
        })
    };
    let record = value!({
        "machine": {"rustc": "rustc 1", "cxx": "c++ 1", "commit": "abc</script>", "load_average": "0.1 0.2 0.3 1/99 4711"},
        "quick": true, "missing": [],
        "rows": [
            {
                "scenario": "single", "row": "1x1, cap 8", "work": [["Mutex<VecDeque>", 9], ["turn", 9]],
                "rounds": [{"order": [0, 1], "reference": [[8.0], [9.0], [8.5]], "subjects": [[8.2], [10.0]]}],
                "lines": [line(&metric, value!({"at_least": 1.2}), true)],
            },
            {
                "scenario": "lone", "row": "idle ring", "work": [["Mutex<VecDeque>", 9], ["turn", 9]],
                "rounds": [{
                    "order": [0, 1], "reference": [[80.0, 900.0], [81.0, 950.0], [82.0, 910.0]],
                    "subjects": [[80.0, 905.0], [85.0, 1000.0]],
                }],
                "lines": [
                    line(&latency("p50"), value!({"at_most": 1.05}), false),
                    line(&latency("p99"), value!(null), false),
                ],
            },
        ],
        "means": [],
    });
    record.to_string()
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_quick_look_writes_a_record_and_a_page_that_needs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (html, record, other) = (
        path(folder.path(), "r.html"),
        path(folder.path(), "r.json"),
        path(folder.path(), "rivals.json"),
    );
    std::fs::write(&other, rivals()).unwrap();
    let arguments = [
        "bench",
        "--quick",
        "--reps",
        "1",
        "--threads",
        "1x1,2x1",
        "--capacity",
        "64",
    ];
    let files = ["--html", &html, "--json", &record, "--rivals", &other];
    let printed = turtle(&[&arguments[..], &files[..]].concat()).ok();
    assert!(
        printed.contains("million items/s") && printed.contains("p99.9"),
        "{printed}"
    );

    let record = json(&std::fs::read_to_string(&record).unwrap());
    assert_eq!(record["schema"], "turtle-bench-1");
    assert_eq!(record["settings"]["capacity"], 64);
    assert!(record["machine"]["cores_online"].as_u64().unwrap() >= 1);
    for strategy in Strategy::ALL {
        let name = strategy.name();
        let rows = record["throughput"].as_array().unwrap();
        for batch in [1, 64] {
            let row = rows
                .iter()
                .find(|row| row["strategy"] == name && row["batch"] == batch);
            let row = row.unwrap_or_else(|| panic!("{name} in batches of {batch} is missing"));
            assert!(row["median"].as_f64().unwrap() > 0.0);
            assert_eq!(row["samples"].as_array().unwrap().len(), 1);
        }
        for kind in ["lone", "wake"] {
            let rows = record[kind].as_array().unwrap();
            let row = rows.iter().find(|row| row["strategy"] == name).unwrap();
            let quantile = |q: &str| row["quantiles"][q].as_u64().unwrap();
            assert!(
                0 < quantile("p50") && quantile("p50") <= quantile("max"),
                "{row}"
            );
        }
    }
    // One producer and one consumer: measured at 1x1 only.
    let rows = record["throughput"].as_array().unwrap();
    assert!(
        !rows
            .iter()
            .any(|row| row["strategy"] == "spsc" && row["producers"] == 2)
    );
    assert!(
        rows.iter()
            .any(|row| row["strategy"] == "turn" && row["producers"] == 2)
    );
    assert_eq!(record["bars"].as_array().unwrap().len(), 2);

    check_page(&std::fs::read_to_string(&html).unwrap());
}

fn check_page(page: &str) {
    for outside in [
        "http:", "https:", "src=", "href=", "<link", "@import", "url(", "<iframe", "<img",
    ] {
        assert!(
            !page.contains(outside),
            "the page refers to something outside: {outside}"
        );
    }
    // The only script element holds data, and the record's own text cannot end it.
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script>").count(), 1);
    let data = page
        .split_once("<script type=\"application/json\" id=\"record\">")
        .unwrap()
        .1;
    let record = json(data.split_once("</script>").unwrap().0);
    assert_eq!(record["rivals"]["machine"]["commit"], "abc</script>");
    // Bars come first.
    let places = [
        "Bars: 1 of 2 hold",
        "Beside rivals",
        "The engines alone",
        "<h2>Machine",
        "Raw record",
    ];
    let found: Vec<_> = places
        .iter()
        .map(|part| page.find(part).unwrap_or_else(|| panic!("{part}")))
        .collect();
    assert!(found.is_sorted(), "{found:?}");
    assert!(page.contains("✓ holds") && page.contains("✗ misses"));
    assert!(page.contains(">0.1 0.2 0.3<"), "the averages alone");
    assert!(page.contains("A quick look"));
    assert!(page.contains("Mutex&lt;VecDeque&gt;") && !page.contains("<VecDeque"));
    assert!(!page.contains("NaN"));
    for element in [
        "svg", "table", "figure", "section", "details", "tbody", "div", "text",
    ] {
        let opened = page.matches(&format!("<{element} ")).count()
            + page.matches(&format!("<{element}>")).count();
        assert_eq!(
            opened,
            page.matches(&format!("</{element}>")).count(),
            "{element}"
        );
        assert!(opened > 0, "{element}");
    }
    assert_eq!(
        page.matches("<svg").count(),
        page.matches("role=\"img\" aria-label=").count()
    );
}

#[test]
fn without_rivals_the_page_has_no_bars() {
    let folder = tempfile::tempdir().unwrap();
    let html = path(folder.path(), "r.html");
    turtle(&[
        "bench",
        "--quick",
        "--reps",
        "1",
        "--threads",
        "1x1",
        "--strategy",
        "spsc",
        "--html",
        &html,
    ])
    .ok();
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(!page.contains("Bars:") && !page.contains("Beside rivals"));
    assert!(
        page.contains("The engines alone")
            && page.contains("spsc 1x1")
            && !page.contains("turn 1x1")
    );
}

#[test]
fn mistakes_are_told_before_anything_is_measured() {
    turtle(&["bench", "--strategy", "nonsense"])
        .fails(2, "there is no strategy called \"nonsense\"");
    turtle(&["bench", "--threads", "0x1"]).fails(2, "not a number of threads");
    turtle(&["bench", "--threads", "two"]).fails(2, "such as 2x2");
    turtle(&["bench", "--capacity", "0"]).fails(2, "0 is not in");
    turtle(&["bench", "--strategy", "spsc", "--threads", "2x2"]).fails(2, "no engine");
    let folder = tempfile::tempdir().unwrap();
    let missing = path(folder.path(), "missing/r.html");
    turtle(&["bench", "--html", &missing]).fails(1, "missing");
    turtle(&["bench", "--rivals", &missing]).fails(1, "missing");
    let broken = path(folder.path(), "broken.json");
    std::fs::write(&broken, "{").unwrap();
    turtle(&["bench", "--rivals", &broken]).fails(3, "broken.json");
    std::fs::write(&broken, "{\"rows\": 1}").unwrap();
    turtle(&["bench", "--rivals", &broken]).fails(3, "no record of benches/rivals");
}
