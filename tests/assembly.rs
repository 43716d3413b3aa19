//! The atomics door costs nothing: a successful `try_push` and `try_pop` of
//! the turn ring execute the same instructions as the same algorithm written
//! on plain `std` atomics (`examples/assembly_probe.rs`).
//!
//! The probe runs each call under the processor's trap flag and prints the
//! address of every instruction; `objdump` says what they are. For each of a
//! dozen calls the locked instructions and fences must be the same, there must
//! be no call to anything, and at most 5 % more instructions. How many calls
//! have exactly the same kinds of instructions is printed.
#![cfg(not(any(turtle_loom, shuttle, turtle_trace, turtle_mutate)))]

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Instructions by address, and addresses of the probes, from `objdump`.
struct Listing {
    code: HashMap<u64, String>,
    symbols: HashMap<String, u64>,
}

fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("assembly");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--offline",
            "--example",
            "assembly_probe",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(root)
        // As it ships, whatever this test was built with.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_PROFILE_RELEASE_LTO")
        .env_remove("CARGO_PROFILE_RELEASE_CODEGEN_UNITS")
        .output()
        .expect("cargo starts");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    target.join("release/examples/assembly_probe")
}

fn text(command: &mut Command) -> String {
    let out = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).expect("text")
}

fn listing(probe: &Path) -> Listing {
    let dump = text(
        Command::new("objdump")
            .args(["-d", "-M", "intel", "--no-show-raw-insn"])
            .arg(probe),
    );
    let mut listing = Listing {
        code: HashMap::new(),
        symbols: HashMap::new(),
    };
    for line in dump.lines() {
        if let Some((address, name)) = line.strip_suffix(">:").and_then(|l| l.split_once(" <")) {
            if name.starts_with("probe_") {
                listing.symbols.insert(
                    name.to_string(),
                    u64::from_str_radix(address, 16).expect("hex"),
                );
            }
        } else if let Some((address, code)) = line.split_once(":\t")
            && let Ok(address) = u64::from_str_radix(address.trim(), 16)
        {
            listing.code.insert(address, code.trim().to_string());
        }
    }
    listing
}

/// An instruction without its registers and numbers: `lock cmpxchg mem,reg`.
fn kind(code: &str) -> String {
    let code = code.split(['#', '<']).next().unwrap_or(code).trim();
    let mut words: Vec<_> = code.split_whitespace().collect();
    let mnemonics = if words.first() == Some(&"lock") { 2 } else { 1 };
    let operands = words.split_off(mnemonics.min(words.len())).join(" ");
    // Jumps differ in sense with the layout of blocks, and go nowhere else here.
    let name = match words.join(" ") {
        jump if jump.starts_with('j') && jump != "jmp" => "jcc".to_string(),
        other => other,
    };
    let operands: Vec<_> = operands
        .split(',')
        .filter(|o| !o.is_empty() && name != "jcc")
        .map(|operand| match operand.chars().next() {
            _ if operand.contains('[') => "mem",
            Some(c) if c.is_ascii_digit() => "number",
            _ => "reg",
        })
        .collect();
    if operands.is_empty() {
        name
    } else {
        format!("{name} {}", operands.join(","))
    }
}

/// What a call executes, in order; one list a call.
fn paths(listing: &Listing, output: &str, name: &str) -> Vec<Vec<String>> {
    let start = listing
        .symbols
        .get(name)
        .unwrap_or_else(|| panic!("no symbol {name}"));
    let calls: Vec<_> = output
        .lines()
        .filter(|line| line.split(' ').next() == Some(name))
        .map(|line| {
            let (_, offsets) = line.split_once(": ").expect("name, number, offsets");
            offsets
                .split(' ')
                .map(|offset| {
                    let at = start + offset.parse::<u64>().expect("an offset");
                    listing
                        .code
                        .get(&at)
                        .unwrap_or_else(|| panic!("no instruction at {at:x}"))
                        .clone()
                })
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(calls.len() > 1, "{name} was not run: {output}");
    calls
}

fn kinds(path: &[String]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for code in path {
        *kinds.entry(kind(code)).or_default() += 1;
    }
    kinds
}

/// Instructions that order memory or lock a line.
fn costly(path: &[String]) -> Vec<String> {
    let mut costly: Vec<_> = path
        .iter()
        .filter(|code| {
            code.starts_with("lock ") || code.starts_with("xchg") || code.contains("fence")
        })
        .map(|code| kind(code))
        .collect();
    costly.sort();
    costly
}

/// Instructions, without saving and restoring registers: how many a function
/// saves depends on its slow path, which is not compared.
fn work(path: &[String]) -> usize {
    path.iter()
        .filter(|code| !code.starts_with("push ") && !code.starts_with("pop "))
        .count()
}

/// `None` if `one` does what `other` does, and not more; otherwise what differs.
fn difference(one: &[String], other: &[String]) -> Option<String> {
    let same_locks = costly(one) == costly(other);
    // Up to 5 %: the compiler may keep a value in a register here and not there.
    let near = work(one) * 20 <= work(other) * 21;
    let leaf = !one.iter().any(|code| code.starts_with("call"));
    if same_locks && near && leaf {
        return None;
    }
    let (a, b) = (kinds(one), kinds(other));
    let mut text = format!("{} and {} instructions", one.len(), other.len());
    for kind in a
        .keys()
        .chain(b.keys())
        .collect::<std::collections::BTreeSet<_>>()
    {
        let (a, b) = (a.get(kind).unwrap_or(&0), b.get(kind).unwrap_or(&0));
        if a != b {
            text += &format!("\n  {a} and {b} of `{kind}`");
        }
    }
    Some(format!(
        "{text}\n--- one\n{}\n--- other\n{}",
        one.join("\n"),
        other.join("\n")
    ))
}

#[test]
fn push_and_pop_are_what_plain_atomics_give() {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        println!("skipped: instructions are followed on x86-64 Linux only");
        return;
    }
    if Command::new("objdump").arg("--version").output().is_err() {
        println!("skipped: there is no objdump (package binutils)");
        return;
    }
    let probe = build();
    let listing = listing(&probe);
    let output = text(&mut Command::new(&probe));
    for side in ["push", "pop"] {
        let calls = |who: &str| paths(&listing, &output, &format!("probe_{who}_{side}"));
        let (tuned, plain, strict) = (calls("tuned"), calls("plain"), calls("strict"));
        for (number, (tuned, plain)) in tuned.iter().zip(&plain).enumerate() {
            if let Some(difference) = difference(tuned, plain) {
                panic!("try_{side}, call {number}: the ring and plain atomics: {difference}");
            }
        }
        let exact = tuned
            .iter()
            .zip(&plain)
            .filter(|(a, b)| kinds(a) == kinds(b))
            .count();
        println!(
            "try_{side}: {} instructions, {} on plain atomics, {} of them costly: {}; {exact} of {} calls have the very same kinds",
            work(&tuned[0]),
            work(&plain[0]),
            costly(&tuned[0]).len(),
            costly(&tuned[0]).join(", "),
            tuned.len(),
        );
        // The test can fail: sequential consistency everywhere costs a locked store.
        let found = difference(&strict[0], &plain[0]);
        assert!(
            found.is_some(),
            "try_{side}: the strict profile looks the same"
        );
    }
}

#[test]
fn kinds_leave_out_what_does_not_matter() {
    assert_eq!(
        kind("mov    rax,QWORD PTR [rdi+0x8]"),
        kind("mov    rcx,QWORD PTR [rsi]")
    );
    assert_eq!(
        kind("jne    17c40 <probe_tuned_push+0x70>"),
        kind("je     90")
    );
    assert_eq!(
        kind("lock cmpxchg QWORD PTR [rcx],r9"),
        "lock cmpxchg mem,reg"
    );
    assert_ne!(
        kind("mov    QWORD PTR [rdx],rax"),
        kind("xchg   QWORD PTR [rdx],rax")
    );
    let path = |codes: &[&str]| codes.iter().map(ToString::to_string).collect::<Vec<_>>();
    let plain = path(&["mov    QWORD PTR [rdx],rax"]);
    assert!(difference(&plain, &path(&["xchg   QWORD PTR [rdx],rax"])).is_some());
    assert!(difference(&plain, &plain).is_none());
}
