//! `include/turtle.h` is what these sources say. With TURTLE_BLESS=1 it is written anew.

use std::fmt::Write;
use std::path::Path;

use turtle_buffers::Strategy;
use turtle_buffers::strategy::Arity;

/// In the order of the header.
const SOURCES: [&str; 10] = [
    "src/status.rs",
    "src/options.rs",
    "src/stats.rs",
    "src/calls.rs",
    "src/ring.rs",
    "src/producer.rs",
    "src/consumer.rs",
    "src/session.rs",
    "src/history.rs",
    "src/boundary.rs",
];

fn generate() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config =
        cbindgen::Config::from_file(here.join("cbindgen.toml")).expect("cbindgen.toml reads");
    config.after_includes = Some(version() + &strategies());
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(here.join(source));
    }
    let mut header = Vec::new();
    builder
        .generate()
        .expect("the sources parse")
        .write(&mut header);
    String::from_utf8(header).expect("the sources are UTF-8")
}

fn version() -> String {
    let parts: Vec<&str> = env!("CARGO_PKG_VERSION").split('.').collect();
    let [major, minor, patch] = parts[..] else {
        panic!("a version has three parts")
    };
    format!(
        "\n/** The version of this header. */\n#define TURTLE_VERSION \"{major}.{minor}.{patch}\"\n\
         #define TURTLE_VERSION_MAJOR {major}\n#define TURTLE_VERSION_MINOR {minor}\n\
         #define TURTLE_VERSION_PATCH {patch}\n"
    )
}

/// One constant each, from the core's table: adding a strategy there is enough.
fn strategies() -> String {
    let mut text = String::new();
    for &strategy in Strategy::ALL {
        let traits = strategy.traits();
        let side = |arity| if arity == Arity::One { "one" } else { "many" };
        let (producers, consumers) = (side(traits.producers), side(traits.consumers));
        writeln!(
            text,
            "\n/**\n * Strategy: producers {producers}, consumers {consumers}.\n * Its calls return {}.\n * A stopped thread {}.\n */\n\
             #define TURTLE_{} {}",
            traits.returns,
            traits.stopped_thread,
            strategy.name().to_uppercase(),
            strategy as u32
        )
        .expect("strings take everything");
    }
    text
}

fn checked_in() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include/turtle.h")
}

#[test]
fn the_header_is_up_to_date() {
    let fresh = generate();
    if std::env::var_os("TURTLE_BLESS").is_some_and(|bless| bless == "1") {
        std::fs::write(checked_in(), &fresh).expect("include/ is writable");
    }
    let there = std::fs::read_to_string(checked_in()).expect("include/turtle.h is checked in");
    let first = there
        .lines()
        .zip(fresh.lines())
        .position(|(old, new)| old != new);
    assert!(
        there == fresh,
        "include/turtle.h is stale (first at line {}); run: make header",
        first.unwrap_or_else(|| there.lines().count().min(fresh.lines().count())) + 1
    );
}

#[test]
fn every_strategy_is_in_the_header_with_its_number() {
    let there = generate();
    // Numbers are part of the interface: those that were given away stay as they are.
    let given = [("TURN", 0), ("SPSC", 1)];
    for (name, number) in given {
        assert!(
            there.contains(&format!("#define TURTLE_{name} {number}\n")),
            "{name} is {number}"
        );
    }
    for (at, &strategy) in Strategy::ALL.iter().enumerate() {
        assert_eq!(strategy as usize, at, "numbers are given away in order");
        let line = format!("#define TURTLE_{} {at}\n", strategy.name().to_uppercase());
        assert!(there.contains(&line), "{strategy} is not in the header");
    }
}

#[test]
fn every_exported_function_is_in_the_header_with_a_text() {
    let header = generate();
    let (_, header) = header
        .split_once("extern \"C\" {")
        .expect("C++ may include it");
    let mut functions = 0;
    for source in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let text = std::fs::read_to_string(source.unwrap().path()).unwrap();
        for (at, _) in text.match_indices("#[unsafe(no_mangle)]") {
            let (_, after) = text[at..].split_once("fn ").unwrap();
            let name = after.split(['(', '<']).next().unwrap();
            let declared = header
                .find(&format!("{name}("))
                .unwrap_or_else(|| panic!("{name} is not in the header"));
            let before = header[..declared].trim_end_matches(|c| c != '/');
            let comment = &before[before
                .rfind("/**")
                .unwrap_or_else(|| panic!("{name} has no text"))..];
            assert!(
                comment.contains("Threads") || comment.contains("As turtle_"),
                "{name} names no thread rule"
            );
            functions += 1;
        }
    }
    assert!(functions >= 48, "only {functions} functions found");
}
