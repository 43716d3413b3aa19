//! Mutants of the exchange ring, each in a process of its own: what is left out
//! is left out in all threads.

use std::process::Command;

use turtle_buffers::atomic::mutate;
use turtle_buffers::strategy::wait_free::{CHOICES, STEPS};

const CHILD: &str = "TURTLE_COST_LEFT_OUT";

/// What `scene` says of the engine without this step or choice. `test` is the
/// name of the test that asks; in the process that it starts the answer is `None`.
///
/// # Panics
/// If the scene notices nothing, or does not come by.
pub(crate) fn without(
    name: &str,
    test: &str,
    scene: impl Fn() -> Result<(), String>,
) -> Option<String> {
    if std::env::var_os(CHILD).is_some_and(|asked| asked == name) {
        let mut all = STEPS.iter().chain(CHOICES);
        let step = all.find(|step| step.name() == name).expect("a step");
        mutate::leave_out(Some(*step));
        let said = scene();
        assert!(mutate::times_left_out() > 0, "nobody comes by {name}");
        println!("CAUGHT {}", said.expect_err("a fault"));
        return None;
    }
    if std::env::var_os(CHILD).is_some() {
        return None; // of a test that asks for several
    }
    let mut child = Command::new(std::env::current_exe().expect("this test"));
    let child = child
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, name);
    let ended = child.output().expect("a process");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let told = said.lines().find_map(|line| line.split_once("CAUGHT "));
    let Some((_, what)) = told else {
        let also = String::from_utf8_lossy(&ended.stderr);
        panic!("{name} left out: {said}{also}");
    };
    println!("without {name}: {what}");
    Some(what.to_string())
}
