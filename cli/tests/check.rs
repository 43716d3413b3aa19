//! `turtle check`: verdicts on recorded histories, and what it says about files that are none.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Ran, json, turtle};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs `turtle check -` with this text as its input.
fn checked(text: &str, arguments: &[&str]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_turtle"))
        .args(["check", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was built");
    let mut input = child.stdin.take().expect("a pipe");
    // It may refuse its arguments and end before it has read anything.
    let _ = input.write_all(text.as_bytes());
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    Ran {
        status: output.status.code().expect("it was not killed"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// "0 push 7 1-2" as a line of JSON; without a return it never returned.
fn line(event: &str) -> String {
    let words: Vec<&str> = event.split_whitespace().collect();
    let [thread, op, value @ .., stamps] = &words[..] else {
        panic!("not an event: {event}")
    };
    let (call, ret) = stamps.split_once('-').unwrap();
    let ret = if ret.is_empty() { "null" } else { ret };
    let value = value
        .first()
        .map_or(String::new(), |value| format!(",\"value\":{value}"));
    format!("{{\"thread\":{thread},\"call\":{call},\"ret\":{ret},\"op\":\"{op}\"{value}}}\n")
}

fn lines(events: &str) -> String {
    events.split(';').map(line).collect()
}

// The worked examples of docs/checking.md: of models (tests/check/peers.rs), the last of the real code.

/// Name of the file, and of the picture.
const EXAMPLES: [&str; 5] = [
    "turn-false-empty",
    "freeze-false-empty",
    "lap-overtaken",
    "wcq-lost",
    "wcq-recorded",
];

/// Compares a file with what it should be; with `TURTLE_BLESS=1` it is written first.
fn is(file: &Path, text: &str) {
    if std::env::var_os("TURTLE_BLESS").is_some() {
        std::fs::write(file, text).unwrap();
    }
    let there = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        there == text,
        "{} differs; TURTLE_BLESS=1 writes it anew. It should be:\n{text}",
        file.display()
    );
}

#[test]
fn known_defects_of_peers_get_the_documented_verdicts() {
    let page = std::fs::read_to_string(root().join("docs/checking.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in EXAMPLES {
        let svg = folder.path().join("picture.svg");
        let ran = Command::new(env!("CARGO_BIN_EXE_turtle"))
            .current_dir(root().join("tests/check/histories"))
            .args(["check", &format!("{name}.jsonl"), "--svg"])
            .arg(&svg)
            .output()
            .unwrap();
        assert_eq!(ran.status.code(), Some(1), "{name}");
        let out = String::from_utf8(ran.stdout).unwrap();
        // How long it took and where the picture is are not part of the verdict.
        let verdict = out.split("\nread in ").next().unwrap().to_owned() + "\n";
        is(
            &root().join(format!("tests/check/histories/{name}.txt")),
            &verdict,
        );
        let shown = verdict.split("\nWhy: ").next().unwrap().trim_end();
        assert!(
            page.contains(shown),
            "docs/checking.md does not show the verdict on {name}:\n{shown}"
        );
        let picture = std::fs::read_to_string(&svg).unwrap();
        is(&root().join(format!("docs/checking-{name}.svg")), &picture);
        assert!(page.contains(&format!("(checking-{name}.svg)")), "{name}");
        assert!(picture.len() < 12_000, "{name}: {} bytes", picture.len());
    }
}

// One wrong history of each class; the first line of the answer names the class.

#[test]
fn a_wrong_history_of_each_class_is_refused() {
    let classes: [(&str, &[&str], &str); 13] = [
        ("never-pushed", &[], "0 push 1 0-1; 1 pop 2 2-3"),
        ("popped-before-push", &[], "1 pop 1 0-1; 0 push 1 2-3"),
        (
            "popped-twice",
            &[],
            "0 push 1 0-1; 1 pop 1 2-3; 2 pop 1 2-3",
        ),
        (
            "lost",
            &["--drained"],
            "0 push 1 0-1; 0 push 2 2-3; 1 pop 1 4-5",
        ),
        (
            "order-inversion",
            &[],
            "0 push 1 0-1; 1 push 2 2-3; 2 pop 2 4-5; 2 pop 1 6-7",
        ),
        (
            "order-cycle",
            &[],
            "0 push 1 0-9; 0 push 2 0-9; 2 pop 2 10-11; 2 pop 1 12-13",
        ),
        (
            "false-empty",
            &[],
            "0 push 1 0-1; 2 pop_empty 3-4; 2 pop 1 5-6",
        ),
        (
            "false-full",
            &["--capacity", "2"],
            "0 push 1 0-1; 1 push_full 3-4; 2 pop 1 5-6",
        ),
        (
            "over-capacity",
            &["--capacity", "1"],
            "0 push 1 0-1; 0 push 2 2-3; 1 pop 1 4-5; 1 pop 2 6-7",
        ),
        (
            "unjustified-busy",
            &[],
            "0 push 1 0-1; 1 pop_busy 2-3; 1 pop 1 4-5",
        ),
        ("closed-too-early", &[], "0 pop_closed 0-1; 1 close 2-3"),
        ("accepted-after-close", &[], "1 close 2-3; 0 push 1 4-5"),
        (
            "closed-with-items",
            &[],
            "1 close 2-3; 0 push 1 0-5; 2 pop_closed 4-6",
        ),
    ];
    for (class, arguments, events) in classes {
        // Among right ones, before and after it.
        let many: String = (0..50)
            .map(|n| {
                lines(&format!(
                    "7 push 8{n} {}-{}; 8 pop 8{n} {}-{}",
                    n + 100,
                    n + 101,
                    n + 102,
                    n + 103
                ))
            })
            .collect();
        let text = if class == "accepted-after-close" || class.starts_with("closed") {
            lines(events)
        } else {
            lines(events) + &many
        };
        let ran = checked(&text, arguments);
        assert_eq!(ran.status, 1, "{class}: {}{}", ran.out, ran.err);
        let first = ran.out.lines().next().unwrap();
        assert_eq!(first, format!("standard input: wrong, {class}"));
        assert!(
            ran.out.contains("The smallest part that is wrong, "),
            "{}",
            ran.out
        );

        let record = json(&checked(&text, &[arguments, &["--json"]].concat()).out);
        assert_eq!(record["schema"], "turtle-check-1");
        assert_eq!(
            (&record["verdict"], &record["violation"]["kind"]),
            (&"wrong".into(), &class.into())
        );
        let events = record["smallest"]["events"].as_array().unwrap();
        assert!(
            (1..=4).contains(&events.len()) && record["smallest"]["minimal"] == true,
            "{record}"
        );
        // Its own part, as a history, is wrong in the same way.
        let part: String = events
            .iter()
            .map(|event| {
                let mut event = event.clone();
                event.as_object_mut().unwrap().shift_remove("line");
                format!("{event}\n")
            })
            .collect();
        let again = checked(&part, arguments);
        assert!(
            again
                .out
                .starts_with(&format!("standard input: wrong, {class}\n")),
            "{part}{}",
            again.out
        );
    }
}

#[test]
fn a_right_history_is_fine() {
    let text =
        "\n{\"history\":1,\"capacity\":2,\"initial\":[\"a\"],\"drained\":true,\"unit\":\"ns\"}\n\n"
            .to_owned()
            + &lines(
                "0 push \"b\" 1-2; 1 push_full 3-4; 2 pop \"a\" 5-6; 2 pop \"b\" 7-8; 2 pop_empty 9-10",
            );
    let printed = checked(&text, &[]).ok();
    assert!(
        printed.starts_with("standard input: fine\n5 events explained"),
        "{printed}"
    );
    assert!(printed.contains("operations a second"), "{printed}");
    let record = json(&checked(&text, &["--json"]).ok());
    assert_eq!(record["verdict"], "fine");
    assert_eq!(
        (&record["capacity"], &record["report"]["full"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        (&record["violation"], &record["smallest"]),
        (&Value::Null, &Value::Null)
    );
    assert!(record["operations_per_second"].as_f64().unwrap() > 0.0);
    // What is said on the command line goes first.
    assert_eq!(checked(&text, &["--capacity", "1"]).status, 1);
    assert!(
        checked(&text, &["--unbounded"])
            .out
            .contains("wrong, false-full")
    );
    checked("", &[]).ok();
}

#[test]
fn names_come_back_in_the_verdict() {
    let text = lines("\"producer<1>\" push \"job-7\" 1-2; \"worker\" pop_empty 3-4; 5 pop -1 5-6");
    let ran = checked(&text, &[]);
    assert!(
        ran.out
            .contains("A pop of thread 5 returned -1, which nobody pushed."),
        "{}",
        ran.out
    );
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("a.svg");
    let text = lines("\"producer<1>\" push \"job-7\" 1-2; \"worker\" pop_empty 3-4");
    let ran = checked(&text, &["--svg", svg.to_str().unwrap()]);
    assert!(
        ran.out.contains("push(job-7)") && ran.out.contains("thread worker"),
        "{}",
        ran.out
    );
    let picture = std::fs::read_to_string(&svg).unwrap();
    assert!(
        picture.contains("push job-7") && picture.contains("producer&lt;1&gt;"),
        "{picture}"
    );
    let record = json(&checked(&text, &["--json"]).out);
    let first = &record["smallest"]["events"][0];
    assert_eq!(
        (&first["thread"], &first["value"]),
        (&"producer<1>".into(), &"job-7".into())
    );
}

#[test]
fn bad_input_is_told_with_its_line() {
    let good = line("0 push 1 0-1");
    let bad = [
        ("{\n", "line 2: EOF"),
        ("[1,2]\n", "line 2: "),
        (
            "{\"thread\":0,\"call\":1,\"op\":\"close\"}\n",
            "missing field `ret`",
        ),
        (&line("0 push 1-2"), "a \"push\" needs its \"value\""),
        (&line("0 pop 1-2"), "\"pop_empty\" took none"),
        (
            &line("0 pop_empty 1 1-2"),
            "a \"pop_empty\" has no \"value\"",
        ),
        (
            &line("0 enqueue 1 1-2"),
            "there is no operation \"enqueue\"; the operations are push, pop, push_full",
        ),
        (
            &line("0 push 1.5 1-2"),
            "a whole number of 64 bits or a string",
        ),
        (
            &line("0 push 2 3-2"),
            "line 2: the return is before the call",
        ),
        (
            &line("0 pop_empty 3-"),
            "line 2: an operation that never returned has no answer",
        ),
        (&line("0 push 2 1-2305843009213693952"), "2^61"),
        (
            &line("0 push 1 3-4"),
            "lines 1 and 2: The value 1 was pushed twice",
        ),
        (
            &line("0 push_full 3-4"),
            "line 2: a push answered Full, and nothing says what fits: give --capacity N",
        ),
        ("{\"history\":1}\n", "line 2: missing field `thread`"),
    ];
    for (text, why) in bad {
        checked(&(good.clone() + text), &[]).fails(2, why);
    }
    checked("{\"history\":2}\n", &[]).fails(2, "line 1: this is version 2 of the format");
    checked("{\"history\":1,\"capcity\":4}\n", &[]).fails(2, "unknown field `capcity`");
    checked(&good, &["--capacity", "1", "--unbounded"]).fails(2, "cannot be used with");
    checked(&good, &["--capacity", "x"]).fails(2, "invalid value");
    turtle(&["check"]).fails(2, "<FILE>");
    turtle(&["check", "/nowhere/h.jsonl"]).fails(2, "/nowhere/h.jsonl: No such file");
    checked(&good, &["--svg", "/nowhere/at/all.svg"]).fails(2, "there is no such folder");
}

#[test]
fn help_says_what_a_line_is() {
    let help = turtle(&["check", "--help"]).ok();
    for word in [
        "\"op\":\"push\"",
        "pop_unknown",
        "--svg",
        "Exit status: 0",
        "docs/checking.md",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}
