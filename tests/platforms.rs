//! Systems that are not supported are refused at compile time, in words.
//!
//! `src/platform.rs` is compiled for other targets. Where the target's standard library is not
//! installed, which is the rule, the file is compiled alone: it needs nothing but `compile_error!`,
//! which is then declared by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that goes at the end of the test.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What rustc says when it compiles `src/platform.rs` for `target`; `None` if it cannot try.
fn compiled_for(target: &str) -> Option<(bool, String)> {
    let folder = std::env::temp_dir().join(format!("turtle-{target}-{}", std::process::id()));
    let folder = Folder(folder);
    std::fs::create_dir_all(&folder.0).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/platform.rs");
    let alone = folder.0.join("alone.rs");
    let text = format!(
        "#![feature(no_core, rustc_attrs)]\n#![allow(internal_features)]\n#![no_core]\n\
         #[rustc_builtin_macro]\nmacro_rules! compile_error {{ ($text:expr) => {{}} }}\n\
         #[path = {source:?}]\nmod platform;\n"
    );
    std::fs::write(&alone, text).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--crate-type=lib", "--edition=2024", "--emit=metadata"])
        .args(["--target", target, "--out-dir"])
        .arg(&folder.0)
        .arg(&alone)
        // Two features that no stable compiler lets a crate use, in a file that is thrown away.
        .env("RUSTC_BOOTSTRAP", "1")
        .output();
    let output = match output {
        Ok(output) => output,
        Err(why) => {
            println!("SKIP: no rustc to ask about {target}: {why}");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // A compiler for which the trick does not work, or that does not know the target.
    if said.contains("rustc_builtin_macro") || said.contains("could not find specification") {
        println!("SKIP: this rustc cannot be asked about {target}: {said}");
        return None;
    }
    Some((output.status.success(), said))
}

#[test]
fn windows_and_32_bit_targets_are_refused_in_words() {
    for (target, words) in [
        (
            "x86_64-pc-windows-msvc",
            &["does not support this system", "Windows is not"][..],
        ),
        ("aarch64-pc-windows-gnullvm", &["Windows is not supported"]),
        ("i686-unknown-linux-gnu", &["needs a 64-bit target"]),
        (
            "armv7-unknown-linux-gnueabihf",
            &["32-bit targets are not supported"],
        ),
        (
            "i686-pc-windows-msvc",
            &["Windows is not supported", "needs a 64-bit target"],
        ),
    ] {
        let Some((good, said)) = compiled_for(target) else {
            continue;
        };
        assert!(!good, "{target} is accepted");
        for word in words {
            assert!(said.contains(word), "{target}: {word:?} is not in: {said}");
        }
    }
}

#[test]
fn supported_targets_are_not() {
    for target in [
        "x86_64-unknown-linux-gnu",
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-gnu",
        "aarch64-apple-darwin",
    ] {
        if let Some((_, said)) = compiled_for(target) {
            assert!(!said.contains("turtle-buffers"), "{target}: {said}");
        }
    }
}
