//! The command `turtle`: what this machine can run, which rings are there, how fast they are, and
//! whether a recorded history is that of a queue.
//!
//! Facts go to standard output, progress and complaints to standard error. Exit status: 0 done,
//! 1 refused or failed, 2 wrong usage, 3 what is there is damaged or no ring.

mod bench;
mod check;
mod doctor;
mod fail;
mod produce;
mod report;
mod rings;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Look at, measure and feed the rings of turtle-buffers.
///
/// A ring is a bounded first-in-first-out queue; a shared ring has a name such as /ticks and is used
/// by several processes at once. The subcommands say what this machine can run (doctor), which
/// shared rings are there (ls), how fast the engines are here (bench), take a ring's name away
/// (unlink), and whether a queue, of any library, answered as a queue must (check).
#[derive(Debug, Parser)]
#[command(name = "turtle", version, max_term_width = 100, after_help = AFTER)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Exit status: 0 done; 1 refused or failed; 2 wrong usage; 3 what is there is damaged or no ring.
Facts go to standard output, progress and complaints to standard error.

Examples:
  turtle doctor                                what runs here, and why something does not
  turtle doctor --json | jq .strategies        the same for programs
  turtle ls                                    shared rings on this machine
  turtle bench --quick --html report.html      a quick look; open report.html in a browser
  turtle unlink /ticks                         remove the name of a shared ring
  turtle check history.jsonl --svg error.svg   was every answer of a recorded queue right";

#[derive(Debug, Subcommand)]
enum Command {
    Doctor(doctor::Arguments),
    Ls(rings::List),
    Unlink(rings::Unlink),
    Bench(bench::Arguments),
    Check(check::Arguments),
    Produce(produce::Arguments),
}

fn main() -> ExitCode {
    // A reader that goes away (`turtle ls | head`) ends the program quietly, as it does other tools.
    // SAFETY: no other thread runs yet; the default action replaces Rust's "ignore".
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let done = |()| ExitCode::SUCCESS;
    let outcome = match Arguments::parse().command {
        Command::Doctor(arguments) => doctor::run(&arguments).map(done),
        Command::Ls(arguments) => rings::list(&arguments).map(done),
        Command::Unlink(arguments) => rings::unlink(&arguments).map(done),
        Command::Bench(arguments) => bench::run(&arguments).map(done),
        Command::Check(arguments) => check::run(&arguments),
        Command::Produce(arguments) => produce::run(&arguments).map(done),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("turtle: {failure}");
            failure.code()
        }
    }
}
