//! Other processes. They are this test program, run again with `TURTLE_TEST_CASE` naming what to
//! do; both sides talk in lines over pipes, so nobody sleeps to wait for the other.
#![allow(clippy::disallowed_types)] // counts names

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use turtle_buffers::os::segment::Segment;

/// A name in shared memory that is removed at the end, however the test ends.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl Name {
    pub(crate) fn new(label: &str) -> Name {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Name(format!(
            "/turtle-test-{}-{number}-{label}",
            std::process::id()
        ))
    }
    pub(crate) fn file(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.0[1..])
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.0);
    }
}

/// What this process was started to do, and with what, if it is a peer.
pub(crate) fn case() -> Option<(String, String)> {
    let case = std::env::var("TURTLE_TEST_CASE").ok()?;
    Some((
        case,
        std::env::var("TURTLE_TEST_ARGUMENT").unwrap_or_default(),
    ))
}

/// In a peer: says a line to the process that started it.
pub(crate) fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n@{what}").unwrap();
    out.flush().unwrap();
}

/// In a peer: waits for a line, or for the end of the process that started it.
pub(crate) fn listen() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[derive(Debug)]
pub(crate) struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts the test `child_entry` of this program as `case`. (Not `--exact`: it may lie in a
    /// module.)
    pub(crate) fn start(case: &str, argument: &str) -> Peer {
        Peer::start_with(case, argument, &[])
    }

    pub(crate) fn start_with(case: &str, argument: &str, environment: &[(&str, &str)]) -> Peer {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_entry", "--nocapture", "--test-threads=1"])
            .env("TURTLE_TEST_CASE", case)
            .env("TURTLE_TEST_ARGUMENT", argument)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Peer {
            child,
            input,
            output,
        }
    }

    /// The next line that the case itself said.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> String {
        self.hear_or_end()
            .unwrap_or_else(|end| panic!("the peer said nothing more: {end}"))
    }

    /// The next line, or how the peer ended.
    pub(crate) fn hear_or_end(&mut self) -> Result<String, ExitStatus> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return Err(self.child.wait().unwrap());
            }
            if let Some(said) = line.strip_prefix('@') {
                return Ok(said.trim_end().to_owned());
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, what: &str) {
        assert_eq!(self.hear(), what);
    }

    pub(crate) fn tell(&mut self, what: &str) {
        writeln!(self.input.as_mut().unwrap(), "{what}").unwrap();
    }

    pub(crate) fn id(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    /// Lets the peer go on to its end, which must be a good one.
    #[track_caller]
    pub(crate) fn finish(mut self) {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let end = self.child.wait().unwrap();
        assert!(end.success(), "{end}: {rest}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
