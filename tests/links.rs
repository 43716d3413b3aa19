//! Names agree: between the code, its tables, the README, the header and the changelog.
//!
//! Ties names and orderings, not meanings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use turtle_buffers::Strategy;
use turtle_buffers::atomic::Step;
use turtle_buffers::strategy::Arity;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All Rust files below these folders that are there.
fn rust_files(folders: &[&str]) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = folders.iter().map(|f| root().join(f)).collect();
    let mut files = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            if path.ends_with("target") {
                continue;
            }
            open.extend(std::fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// A source file up to its unit tests.
fn without_tests(source: &str) -> &str {
    source.split("\n#[cfg(test)]\nmod tests").next().unwrap()
}

/// One row of a step table; several steps may share one.
#[derive(Debug)]
struct Row {
    names: Vec<String>,
    order: String,
    pairs: Vec<String>,
}

fn in_backticks(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_string)
        .collect()
}

fn step_table(source: &str) -> Vec<Row> {
    source
        .lines()
        .skip_while(|line| *line != "//! # Steps")
        .skip(1)
        .take_while(|line| !line.starts_with("//! # ") && line.starts_with("//!"))
        .filter(|line| line.starts_with("//! | `"))
        .map(|line| {
            let cells: Vec<_> = line
                .trim_start_matches("//! ")
                .trim_matches('|')
                .split('|')
                .collect();
            assert_eq!(
                cells.len(),
                5,
                "step | access | order | pairs with | why: {line}"
            );
            Row {
                names: in_backticks(cells[0]),
                order: cells[2].trim().to_string(),
                pairs: in_backticks(cells[3]),
            }
        })
        .collect()
}

/// The orderings each step is used with: `P::acquire(PUSH_TURN)`.
fn uses(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let source = without_tests(source);
    let code: String = source
        .lines()
        .map(|l| l.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n");
    for profile in ["P::", "Tuned::"] {
        for (at, _) in code.match_indices(profile) {
            let rest = &code[at + profile.len()..];
            let Some((order, rest)) = rest.split_once('(') else {
                continue;
            };
            let Some((step, _)) = rest.split_once(')') else {
                continue;
            };
            let is_step =
                step.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !step.is_empty();
            if is_step && order.chars().all(|c| c.is_ascii_lowercase() || c == '_') {
                uses.entry(step.to_string())
                    .or_default()
                    .insert(order.to_string());
            }
        }
    }
    uses
}

fn table_agrees(path: &str, steps: &[Step]) {
    let source = read(path);
    let table = step_table(&source);
    let names: Vec<&str> = table
        .iter()
        .flat_map(|r| r.names.iter().map(String::as_str))
        .collect();
    let declared: Vec<&str> = steps.iter().map(|s| s.name()).collect();
    assert_eq!(
        names, declared,
        "{path}: table (left) and steps! (right), in order"
    );
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "{path}: twice"
    );

    // The parts of a module that has some.
    let mut parts = source;
    if let Ok(files) = std::fs::read_dir(root().join(path.trim_end_matches(".rs"))) {
        for file in files {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            parts.push_str(&text);
        }
    }
    let source = parts;
    let uses = uses(&source);
    for row in &table {
        for name in &row.names {
            if row.order == "–" {
                // No access of its own, only a place that the mutants can take away.
                let skipped = without_tests(&source).contains(&format!("skip({name})"));
                assert!(skipped, "{path}: {name} has no order and is used nowhere");
                continue;
            }
            let used = uses
                .get(name)
                .unwrap_or_else(|| panic!("{path}: {name} is used nowhere"));
            let used: Vec<_> = used.iter().map(String::as_str).collect();
            assert_eq!(
                used,
                [row.order.as_str()],
                "{path}: {name}, code (left) and table (right)"
            );
        }
        for pair in &row.pairs {
            assert!(
                declared.contains(&pair.as_str()),
                "{path}: {:?} pairs with {pair}?",
                row.names
            );
        }
    }
    let known: BTreeSet<_> = uses.keys().map(String::as_str).collect();
    let surplus: Vec<_> = known.iter().filter(|n| !declared.contains(n)).collect();
    assert!(surplus.is_empty(), "{path}: not declared here: {surplus:?}");
}

macro_rules! step_tables {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {
        #[test]
        fn steps_in_tables_and_code_agree() {
            $(
                let path = concat!("src/strategy/", stringify!($module), ".rs");
                table_agrees(path, turtle_buffers::strategy::$module::STEPS);
                assert_eq!(
                    Strategy::$variant.traits().steps,
                    turtle_buffers::strategy::$module::STEPS,
                    "{path}: TRAITS.steps"
                );
                assert_eq!(Strategy::$variant.name(), stringify!($module), "the name is the module's");
            )+
            table_agrees("src/wait.rs", turtle_buffers::wait::STEPS);
        }
    };
}
turtle_buffers::for_each_strategy!(step_tables);

/// The words in capitals of a piece of a proof, such as steps have for names.
fn capitals(text: &str) -> Vec<&str> {
    text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
        .filter(|word| word.len() > 2 && word.chars().any(|c| c.is_ascii_uppercase()))
        .collect()
}

/// A model spells its steps as the code does, in the order of the table, and says
/// which of them it has not.
#[test]
fn models_spell_their_steps_as_the_code_does() {
    let mut models = 0;
    for strategy in Strategy::ALL {
        let path = format!("proofs/{strategy}/Model.v");
        if !root().join(&path).exists() {
            continue;
        }
        models += 1;
        let source = read(&path);
        let steps = source.split_once("Inductive step :=").expect("its steps").1;
        let modelled = capitals(steps.split_once('.').expect("an end").0);
        let missing = source.split_once("(* Not in the model:");
        let missing = capitals(missing.map_or("", |(_, list)| list.split_once("*)").unwrap().0));
        let mut left = modelled.iter().peekable();
        for step in strategy.traits().steps {
            if left.peek() == Some(&&step.name()) {
                left.next();
                assert!(
                    !missing.contains(&step.name()),
                    "{path}: {} twice",
                    step.name()
                );
            } else {
                assert!(
                    missing.contains(&step.name()),
                    "{path}: where is {}?",
                    step.name()
                );
            }
        }
        let rest: Vec<_> = left.collect();
        assert!(
            rest.is_empty(),
            "{path}: no such steps, or out of order: {rest:?}"
        );
        let steps = strategy.traits().steps;
        let unknown = missing
            .iter()
            .find(|name| steps.iter().all(|s| s.name() != **name));
        assert_eq!(unknown, None, "{path}: no step of the code");
    }
    assert!(models >= 3, "{models} models");
}

#[test]
fn module_docs_have_their_sections_in_order() {
    for strategy in Strategy::ALL {
        let path = format!("src/strategy/{strategy}.rs");
        let source = read(&path);
        let sections: Vec<&str> = source
            .lines()
            .filter_map(|l| l.strip_prefix("//! # "))
            .collect();
        let usual = [
            "Idea",
            "State",
            "Invariants",
            "Steps",
            "Linearization",
            "Progress",
            "Limits",
            "Evidence",
        ];
        assert_eq!(sections, usual, "{path}");
        assert!(
            source.contains("//! Source: "),
            "{path}: where the algorithm comes from"
        );
        let files: Vec<_> = source
            .lines()
            .skip_while(|l| *l != "//! # Evidence")
            .take_while(|l| l.starts_with("//!"))
            .flat_map(in_backticks)
            .filter(|f| f.contains('/'))
            .collect();
        assert!(!files.is_empty(), "{path}: no evidence is named");
        for file in files {
            assert!(
                root().join(&file).exists(),
                "{path} names {file}, which is not there"
            );
        }
    }
}

fn row<'a>(text: &'a str, strategy: Strategy, path: &str) -> &'a str {
    let start = format!("| `{strategy}` |");
    let mut rows = text.lines().filter(|l| l.starts_with(&start));
    let row = rows
        .next()
        .unwrap_or_else(|| panic!("{path} has no row that begins {start:?}"));
    assert!(rows.next().is_none(), "{path} has two rows for {strategy}");
    row
}

/// A row of the README's table begins with the name and says "many to many" or
/// "one to one": what the code enforces.
#[test]
fn the_readme_lists_every_strategy_as_it_is() {
    let readme = read("README.md");
    let word = |arity| if arity == Arity::Many { "many" } else { "one" };
    for &strategy in Strategy::ALL {
        let traits = strategy.traits();
        let arity = format!("{} to {}", word(traits.producers), word(traits.consumers));
        let row = row(&readme, strategy, "README.md");
        assert!(
            row.contains(&arity),
            "README.md says nothing of {arity:?}: {row}"
        );
        let file = format!("src/strategy/{strategy}.rs");
        assert!(
            row.contains(&file),
            "README.md: the row leads to {file}: {row}"
        );
    }
    let rows = readme
        .lines()
        .filter(|l| l.starts_with("| `") && l.contains("src/strategy/"))
        .count();
    assert_eq!(
        rows,
        Strategy::ALL.len(),
        "README.md has rows for strategies that are not there"
    );
}

#[test]
fn the_header_has_the_numbers() {
    let path = "include/turtle.h";
    if !root().join(path).exists() {
        println!("skipped: there is no {path}");
        return;
    }
    let header = read(path);
    for &strategy in Strategy::ALL {
        let name = format!("TURTLE_{}", strategy.name().to_uppercase());
        let number = header.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(&name))
                .then(|| words.next())?
        });
        assert_eq!(
            number,
            Some(&*(strategy as u32).to_string()),
            "{path}: #define {name}"
        );
    }
}

#[test]
fn the_changelog_mentions_every_strategy() {
    let changelog = read("CHANGELOG.md");
    for strategy in Strategy::ALL {
        assert!(
            changelog.contains(&format!("`{strategy}`")),
            "CHANGELOG.md: nothing of `{strategy}`"
        );
    }
}

/// Every `unsafe` block and impl has its reason. (clippy says so too, but not
/// inside macros, and an `allow` for it must give a reason.)
#[test]
fn every_unsafe_block_says_why() {
    let mut missing = Vec::new();
    for file in rust_files(&["src", "cli", "bindings/c/src", "bindings/python/src"]) {
        let source = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = source.lines().collect();
        let mut allowed_until = 0;
        for (at, line) in lines.iter().enumerate() {
            if line.contains("allow(clippy::undocumented_unsafe_blocks)") {
                assert!(
                    line.contains("//"),
                    "{}:{}: an allow needs a reason",
                    shown(&file),
                    at + 1
                );
                let indent = line.len() - line.trim_start().len();
                let end = (at + 1..lines.len())
                    .find(|&l| lines[l].starts_with(&format!("{}}}", " ".repeat(indent))));
                allowed_until = end.unwrap_or(lines.len());
            }
            let code = line.split("//").next().unwrap();
            let block = code.contains("unsafe {") || code.trim_start().starts_with("unsafe impl");
            if !block || at < allowed_until {
                continue;
            }
            // The comment stands above the statement, or inside it above the line.
            let from = (0..at)
                .rev()
                .take(8)
                .take_while(|&l| !lines[l].trim().is_empty())
                .last()
                .unwrap_or(at);
            if !lines[from..=at].iter().any(|l| l.contains("SAFETY:")) {
                missing.push(format!("{}:{}: {}", shown(&file), at + 1, line.trim()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no SAFETY comment:\n{}",
        missing.join("\n")
    );
}

/// Only doors choose by target or model checker. What is being built is out of
/// ordinary builds, which is said in the table of strategies and nowhere else.
#[test]
fn strategies_have_no_cfg_of_their_own() {
    for file in rust_files(&[
        "src/strategy",
        "src/ring.rs",
        "src/wait.rs",
        "src/erased.rs",
        "src/asynchronous.rs",
    ]) {
        for (at, line) in std::fs::read_to_string(&file).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let other = code.contains("cfg") && !code.contains("#[cfg(test)]");
            assert!(!other, "{}:{}: {}", shown(&file), at + 1, line.trim());
        }
    }
}

/// A strategy's name stands in its own file, in the table, and nowhere else.
#[test]
fn nobody_branches_on_a_strategy() {
    let own = |file: &str| {
        Strategy::ALL
            .iter()
            .any(|s| file == format!("src/strategy/{s}.rs"))
            || ["src/strategy/mod.rs", "src/check", "src/lib.rs"]
                .iter()
                .any(|f| file.starts_with(f))
    };
    for file in rust_files(&["src"]) {
        let name = shown(&file);
        if own(&name) {
            continue;
        }
        let source = std::fs::read_to_string(&file).unwrap();
        for (at, line) in without_tests(&source).lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for strategy in Strategy::ALL {
                let variant = format!("Strategy::{strategy:?}");
                assert!(
                    !code.contains(&variant),
                    "{name}:{}: {}",
                    at + 1,
                    line.trim()
                );
            }
        }
    }
}

/// A step, a test or a file that a document names is there.
#[test]
fn documents_name_files_that_exist() {
    let mut missing = Vec::new();
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/guarantees.md",
        "docs/trust.md",
    ];
    for path in documents.into_iter().filter(|p| root().join(p).exists()) {
        let text = read(path);
        for file in in_backticks(&text) {
            let looks_like_one = ["src/", "tests/", "docs/", "include/", "scripts/", "tools/"]
                .iter()
                .any(|folder| file.starts_with(folder))
                && file
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if looks_like_one && !root().join(&file).exists() {
                missing.push(format!("{path}: {file}"));
            }
        }
    }
    assert!(missing.is_empty(), "not there:\n{}", missing.join("\n"));
}
