//! `turtle produce`: numbered lines arrive whole, and mistakes are named.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Named, json, name, no_shared_memory, turtle};
use turtle_buffers::Strategy;

/// Empty lines, a carriage return, bytes that are no text, no newline at the very end.
const FILES: [&[u8]; 4] = [
    b"zero\n\nwith\rreturn\n",
    b"",
    b"nul\0byte\n\xff\xfe\r\n",
    b"last",
];
const LINES: [&[u8]; 6] = [
    b"zero",
    b"",
    b"with\rreturn",
    b"nul\0byte",
    b"\xff\xfe\r",
    b"last",
];

struct Input {
    folder: tempfile::TempDir,
}

impl Input {
    fn new(files: &[&[u8]]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut list = String::new();
        for (i, bytes) in files.iter().enumerate() {
            let path = folder.path().join(format!("file {i}"));
            std::fs::write(&path, bytes).unwrap();
            list += &format!("{}\n", path.display());
        }
        std::fs::write(folder.path().join("list"), list).unwrap();
        Self { folder }
    }
    fn list(&self) -> PathBuf {
        self.folder.path().join("list")
    }
}

fn start(ring: &str, list: &Path, options: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_turtle"))
        .args(["produce", ring, "--files"])
        .arg(list)
        .args(options)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Producer, line number, line; the stamp must lie between those of the test.
fn decode(record: &[u8], after: u64) -> (u32, u64, Vec<u8>) {
    let u32_at = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().unwrap());
    assert_eq!(u32_at(4), 0);
    let stamp = u64_at(16);
    assert!(after <= stamp && stamp <= now(), "{after} {stamp}");
    (u32_at(0), u64_at(8), record[24..].to_vec())
}

fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is writable.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

fn finish(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{err}");
    err
}

#[test]
fn every_line_arrives_numbered_and_whole() {
    if no_shared_memory() {
        return;
    }
    let input = Input::new(&FILES);
    for strategy in Strategy::ALL {
        // Two slots: the producer has to wait.
        let named = Named::new(&format!("whole-{strategy}"), *strategy, 2, 100, true);
        let began = now();
        let pid = input.folder.path().join("pid");
        let child = start(
            &named.name,
            &input.list(),
            &["--pid-file", pid.to_str().unwrap(), "--progress-json"],
        );
        for (i, line) in LINES.iter().enumerate() {
            assert_eq!(
                decode(&named.pop(), began),
                (0, i as u64, line.to_vec()),
                "{strategy}"
            );
        }
        assert_eq!(
            std::fs::read_to_string(&pid).unwrap(),
            format!("{}\n", child.id())
        );
        let err = finish(child);
        let last = json(err.lines().last().unwrap());
        assert_eq!(
            (&last["pushed"], &last["line"], &last["done"]),
            (&6.into(), &5.into(), &true.into())
        );
        assert!(named.ring().is_empty() && !named.ring().is_closed());
    }
}

#[test]
fn producers_share_the_lines() {
    if no_shared_memory() {
        return;
    }
    let input = Input::new(&FILES);
    let named = Named::new("shared", Strategy::Turn, 64, 100, true);
    let began = now();
    for (options, me, wanted) in [
        (
            vec!["--producers", "2", "--producer", "1"],
            1,
            vec![1, 3, 5],
        ),
        (
            vec!["--producers", "2", "--producer", "0", "--start", "1"],
            0,
            vec![2, 4],
        ),
        (vec!["--start", "4"], 0, vec![4, 5]),
        (vec!["--stop-after", "2", "--start", "1"], 0, vec![1, 2]),
        (vec!["--stop-after", "0"], 0, vec![]),
        (vec!["--start", "6"], 0, vec![]),
    ] {
        finish(start(&named.name, &input.list(), &options));
        for number in wanted {
            let line = LINES[usize::try_from(number).unwrap()].to_vec();
            assert_eq!(
                decode(&named.pop(), began),
                (me, number, line),
                "{options:?}"
            );
        }
        assert!(named.ring().is_empty(), "{options:?}");
    }
}

/// On every engine that keeps a record of each participant: killed again and again, it goes on.
#[test]
fn a_session_goes_on_behind_the_last_line() {
    if no_shared_memory() {
        return;
    }
    let text: String = (0..300).map(|line| format!("{line}\n")).collect();
    let input = Input::new(&[text.as_bytes()]);
    let recorders = Strategy::ALL
        .iter()
        .filter(|s| s.traits().records && s.traits().shared);
    for strategy in recorders {
        let named = Named::new(&format!("session-{strategy}"), *strategy, 4, 100, true);
        let began = now();
        let options = ["--session", "5", "--producers", "2", "--producer", "1"];
        let mut numbers = (0..300).filter(|number| number % 2 == 1);
        let mut arrives = || {
            let number = numbers.next().unwrap();
            let line = number.to_string().into_bytes();
            assert_eq!(decode(&named.pop(), began), (1, number, line), "{strategy}");
        };
        for _ in 0..3 {
            let mut child = start(&named.name, &input.list(), &options);
            (0..20).for_each(|_| arrives());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let last = start(&named.name, &input.list(), &options);
        (0..90).for_each(|_| arrives());
        finish(last);
        assert!(named.ring().is_empty(), "{strategy}");
    }
}

#[test]
fn a_line_that_does_not_fit_is_named_and_not_cut() {
    if no_shared_memory() {
        return;
    }
    let exact = [b'x'; 37];
    let long = [b'y'; 38];
    let input = Input::new(&[&exact, &[b"ok\n", &long[..]].concat()]);
    let named = Named::new("long", Strategy::Turn, 8, 61, true);
    let ran = turtle(&[
        "produce",
        &named.name,
        "--files",
        input.list().to_str().unwrap(),
    ]);
    ran.fails(
        1,
        "file 1: line 2 has 38 bytes; a record of this ring has room for 37",
    );
    let began = 0;
    assert_eq!(decode(&named.pop(), began).2, exact);
    assert_eq!(decode(&named.pop(), began).2, b"ok");
    assert!(named.ring().is_empty());
}

#[test]
fn refusals_have_a_reason_and_a_status() {
    let input = Input::new(&FILES);
    let list = input.list();
    let list = list.to_str().unwrap();
    turtle(&[
        "produce",
        "/x",
        "--files",
        list,
        "--producer",
        "2",
        "--producers",
        "2",
    ])
    .fails(2, "numbered from 0");
    turtle(&["produce", "/x", "--files", list, "--session", "0"]).fails(2, "--session");
    turtle(&["produce", "no-slash", "--files", list]).fails(2, "no slash in front");
    turtle(&["produce", "/x"]).fails(2, "--files");
    if no_shared_memory() {
        return;
    }
    turtle(&["produce", &name("missing"), "--files", list]).fails(1, "missing");
    let plain = Named::new("plain", Strategy::Turn, 8, 64, false);
    turtle(&["produce", &plain.name, "--files", list]).fails(1, "not records");
    let named = Named::new("refusals", Strategy::Spsc, 8, 64, true);
    turtle(&["produce", &named.name, "--files", "/nonexistent/list"]).fails(1, "/nonexistent/list");
    let gone = input.folder.path().join("file 0");
    std::fs::remove_file(&gone).unwrap();
    turtle(&["produce", &named.name, "--files", list]).fails(1, "file 0");
    std::fs::write(&gone, FILES[0]).unwrap();
    // One producer at a time: the side is taken here.
    let side = named.ring.clone().unwrap().producer().unwrap();
    turtle(&["produce", &named.name, "--files", list]).fails(1, "allows one producer");
    drop(side);
    named.ring().close();
    turtle(&["produce", &named.name, "--files", list]).fails(1, "closed at line 0");
}
