//! Every program in `examples/` runs to its end; each asserts its own result. Cargo builds them
//! before it runs this test.

use std::path::Path;
use std::process::Command;

const HERE: [&str; 6] = [
    "batch",
    "choose_engine",
    "processes",
    "quickstart",
    "threads",
    "zero_copy",
];
/// Run by `tests/assembly.rs`.
const ELSEWHERE: [&str; 1] = ["assembly_probe"];

#[test]
fn every_example_is_run_by_some_test() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found: Vec<String> = sources
        .read_dir()
        .expect("there are examples")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .into_string()
                .expect("plain names")
        })
        .collect();
    found.sort();
    let mut known: Vec<String> = HERE
        .iter()
        .chain(&ELSEWHERE)
        .map(|name| format!("{name}.rs"))
        .collect();
    known.sort();
    assert_eq!(found, known);
}

#[test]
fn every_example_ends_well() {
    let this = std::env::current_exe().expect("this test is a file");
    // target/PROFILE/deps/THIS -> target/PROFILE/examples
    let built = this
        .ancestors()
        .nth(2)
        .expect("tests lie in deps")
        .join("examples");
    let shared_memory = turtle_buffers::os::machine::machine()
        .shared_memory
        .is_some();
    for name in HERE {
        if name == "processes" && !shared_memory {
            println!("SKIP: examples/processes.rs: there is no shared memory here");
            continue;
        }
        let output = Command::new(built.join(name))
            .output()
            .unwrap_or_else(|error| panic!("{name}: {error}; `cargo test` builds the examples"));
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{name}: {}\n{said}{complaint}",
            output.status
        );
        assert!(!said.trim().is_empty(), "{name} says nothing");
    }
}
