//! Builds the C++ shim when its headers are there, and records how everything was built.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One rival that exists only as a C++ header.
struct Header {
    cfg: &'static str,
    package: &'static str,
    names: &'static [&'static str],
    /// What is linked beside the header.
    library: Option<&'static str>,
}

const HEADERS: [Header; 4] = [
    Header {
        cfg: "have_moodycamel",
        package: "libconcurrentqueue-dev",
        names: &[
            "concurrentqueue/concurrentqueue.h",
            "concurrentqueue/moodycamel/concurrentqueue.h",
            "concurrentqueue.h",
        ],
        library: None,
    },
    Header {
        cfg: "have_boost",
        package: "libboost-dev",
        names: &["boost/lockfree/spsc_queue.hpp"],
        library: None,
    },
    Header {
        cfg: "have_boost_queue",
        package: "libboost-dev",
        names: &["boost/lockfree/queue.hpp"],
        library: None,
    },
    Header {
        cfg: "have_tbb",
        package: "libtbb-dev",
        names: &["oneapi/tbb/concurrent_queue.h"],
        library: Some("tbb"),
    },
];

fn main() {
    println!("cargo::rerun-if-changed=shim/shim.cpp");
    println!("cargo::rerun-if-changed=shim/loops.hpp");
    c_interface();
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");

    let flags = env::var("CARGO_ENCODED_RUSTFLAGS")
        .unwrap_or_default()
        .replace('\u{1f}', " ");
    let native = flags.contains("target-cpu=native");
    println!("cargo::rustc-env=RIVALS_RUSTFLAGS={flags}");
    println!(
        "cargo::rustc-env=RIVALS_RUSTC={}",
        first_line(&env::var("RUSTC").unwrap_or("rustc".into()))
    );

    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(3)
        .flag("-DNDEBUG")
        .warnings(false)
        .file("shim/shim.cpp");
    if native {
        build.flag("-march=native");
    }
    let compiler = build.try_get_compiler().map(|c| c.path().to_path_buf());
    cpp_interface(compiler.as_deref().ok(), native);

    let mut any = false;
    let mut libraries = Vec::new();
    for header in &HEADERS {
        println!("cargo::rustc-check-cfg=cfg({})", header.cfg);
        let found = match &compiler {
            Ok(path) => header.names.iter().find(|name| compiles(path, name)),
            Err(_) => None,
        };
        let reason = header.cfg.to_uppercase();
        match found {
            Some(name) => {
                any = true;
                println!("cargo::rustc-cfg={}", header.cfg);
                println!("cargo::rustc-env={reason}=");
                build.define(&reason, Some(format!("<{name}>").as_str()));
                libraries.extend(header.library);
            }
            None if compiler.is_err() => println!("cargo::rustc-env={reason}=no C++ compiler"),
            None => println!(
                "cargo::rustc-env={reason}=header not found (Debian: {})",
                header.package
            ),
        }
    }
    println!(
        "cargo::rustc-env=RIVALS_CXX={}",
        compiler
            .as_ref()
            .map(|p| first_line(&p.to_string_lossy()))
            .unwrap_or_default()
    );
    if any {
        build.compile("rivals_shim");
    }
    for library in libraries {
        println!("cargo::rustc-link-lib={library}");
    }
}

/// Compiles the loops over turtle.hpp as a shared library, which is loaded at run time after turtle's own.
fn cpp_interface(compiler: Option<&Path>, native: bool) {
    println!("cargo::rustc-check-cfg=cfg(have_cpp_shim)");
    println!("cargo::rerun-if-changed=shim/turtle.cpp");
    println!("cargo::rerun-if-changed=../../include/turtle.hpp");
    let Some(compiler) = compiler else { return };
    let library =
        PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("librivals_turtle.so");
    let mut command = Command::new(compiler);
    command.args(["-std=c++17", "-O3", "-DNDEBUG", "-fPIC", "-shared"]);
    if native {
        command.arg("-march=native");
    }
    let built = command
        .args(["-I../../include", "shim/turtle.cpp", "-o"])
        .arg(&library)
        .status();
    if built.is_ok_and(|status| status.success()) {
        println!("cargo::rustc-cfg=have_cpp_shim");
        println!("cargo::rustc-env=RIVALS_TURTLE={}", library.display());
    }
}

/// Compiles the C shim, which opens turtle's shared library at run time.
fn c_interface() {
    println!("cargo::rustc-check-cfg=cfg(have_c_shim)");
    println!("cargo::rerun-if-changed=shim/turtle.c");
    println!("cargo::rerun-if-changed=../../include/turtle.h");
    let built = cc::Build::new()
        .opt_level(3)
        .include("../../include")
        .file("shim/turtle.c")
        .try_compile("rivals_turtle");
    if built.is_ok() {
        println!("cargo::rustc-cfg=have_c_shim");
        println!("cargo::rustc-link-lib=dl");
    }
}

/// The first line of `<tool> --version`.
fn first_line(tool: &str) -> String {
    Command::new(tool)
        .arg("--version")
        .output()
        .ok()
        .and_then(|o| {
            String::from_utf8_lossy(&o.stdout)
                .lines()
                .next()
                .map(str::to_owned)
        })
        .unwrap_or_default()
}

/// Whether the compiler accepts a file that includes `header` and nothing else.
fn compiles(compiler: &PathBuf, header: &str) -> bool {
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let source = out.join("probe.cpp");
    std::fs::write(&source, format!("#include <{header}>\n")).expect("OUT_DIR is writable");
    Command::new(compiler)
        .args(["-std=c++17", "-fsyntax-only"])
        .arg(&source)
        .output()
        .is_ok_and(|o| o.status.success())
}
