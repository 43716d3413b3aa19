//! Pushes the lines of many files into a shared ring: the Rust half of the demo.
//!
//! `cpp_examples/line_producer.cpp` writes the same records, `scripts/demo.py` reads them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use turtle_buffers::erased::{self, DynProducer, Outcome};
use turtle_buffers::{OpenMode, Options};

use crate::fail::Fail;

/// Push the lines of many files, numbered, into a shared ring of records.
///
/// Lines are numbered from 0 through all files together. A record is a head of 24 bytes, all
/// little-endian, and the line's bytes without its newline: producer (u32), 0 (u32), line number
/// (u64), nanoseconds of the monotonic clock just before the push (u64). Lines end at a newline byte
/// only. The ring must exist; it is not closed at the end, for there may be other producers.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Name of an existing shared ring of records: /lines.
    ring: String,
    /// A file that lists the files to read, one path a line.
    #[arg(long, value_name = "LIST")]
    files: PathBuf,
    /// Number of the first line to push: where a producer that was killed goes on.
    #[arg(long, value_name = "N", default_value_t = 0)]
    start: u64,
    /// Push under this session, any number but 0: go on behind the last line that arrived, however
    /// the last run with this number ended. The other arguments are those of that run. For engines
    /// that keep a record of each participant.
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    session: Option<u64>,
    /// This producer's number, below --producers.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    producer: u32,
    /// How many producers share the lines: each pushes those whose number modulo this is its own.
    #[arg(long, value_name = "P", default_value_t = 1)]
    producers: u32,
    /// Stop after this many lines.
    #[arg(long, value_name = "N")]
    stop_after: Option<u64>,
    /// Write this process's number to a file.
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Report progress as one JSON object a line.
    #[arg(long)]
    progress_json: bool,
}

/// Bytes before the line in a record.
const HEAD: usize = 24;

/// The record of a line, in `record`.
fn encode(record: &mut Vec<u8>, producer: u32, number: u64, nanos: u64, line: &[u8]) {
    record.clear();
    record.extend_from_slice(&producer.to_le_bytes());
    record.extend_from_slice(&0_u32.to_le_bytes());
    record.extend_from_slice(&number.to_le_bytes());
    record.extend_from_slice(&nanos.to_le_bytes());
    record.extend_from_slice(line);
}

/// The clock that every process of the machine shares.
fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is writable; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

struct Progress<'a> {
    arguments: &'a Arguments,
    began: Instant,
    told: Instant,
    pushed: u64,
    line: u64,
}

impl Progress<'_> {
    /// Looks at the clock every 256 lines, speaks every second.
    fn step(&mut self, line: u64) {
        self.pushed += 1;
        self.line = line;
        if self.pushed.is_multiple_of(256) && self.told.elapsed() >= Duration::from_secs(1) {
            self.told = Instant::now();
            self.tell(false);
        }
    }

    fn tell(&self, done: bool) {
        let seconds = self.began.elapsed().as_secs_f64();
        let producer = self.arguments.producer;
        if self.arguments.progress_json {
            let line = json!({
                "producer": producer, "pushed": self.pushed, "line": self.line,
                "seconds": seconds, "done": done,
            });
            eprintln!("{line}");
        } else {
            let word = if done { "done, " } else { "" };
            eprintln!(
                "producer {producer}: {word}{} lines in {seconds:.1} s",
                self.pushed
            );
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Fail> {
    if arguments.producer >= arguments.producers {
        return Err(Fail::Usage(format!(
            "--producer {} with --producers {}: producers are numbered from 0",
            arguments.producer, arguments.producers
        )));
    }
    let options = Options {
        path: Some(arguments.ring.clone()),
        open: OpenMode::Attach,
        capacity: 0,
        elem_size: 0,
        ..Options::default()
    };
    // SAFETY: no drop hook is given.
    let ring = unsafe { erased::open(&options, None) }
        .map_err(|error| Fail::opening(&arguments.ring, &error))?;
    if !ring.has_records() {
        return Err(Fail::Refused(format!(
            "{} holds elements of {} bytes, not records; create it with records",
            arguments.ring,
            ring.elem_size()
        )));
    }
    let room = ring.elem_size();
    let (producer, done) = match arguments.session {
        None => ring.producer().map(|producer| (producer, 0)),
        Some(session) => ring
            .producer_as(session)
            .map(|(producer, was)| (producer, was.done)),
    }
    .map_err(|error| Fail::opening(&arguments.ring, &error))?;
    if let Some(path) = &arguments.pid_file {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| Fail::doing(path.display(), error))?;
    }
    let began = Instant::now();
    let mut progress = Progress {
        arguments,
        began,
        told: began,
        pushed: 0,
        line: 0,
    };
    push_all(arguments, &*producer, done, room, &mut progress)?;
    progress.tell(true);
    Ok(())
}

fn push_all(
    arguments: &Arguments,
    producer: &dyn DynProducer,
    mut done: u64,
    room: usize,
    progress: &mut Progress<'_>,
) -> Result<(), Fail> {
    let mut number = 0_u64;
    let (mut line, mut record) = (Vec::new(), Vec::new());
    let mut list = open(&arguments.files)?;
    let mut path = Vec::new();
    while read_line(&mut list, &mut path, &arguments.files)? {
        let name = PathBuf::from(std::ffi::OsString::from(path_of(&path)));
        let mut file = open(&name)?;
        while read_line(&mut file, &mut line, &name)? {
            let this = number;
            number += 1;
            let mine = this % u64::from(arguments.producers) == u64::from(arguments.producer);
            if this < arguments.start || !mine {
                continue;
            }
            if done > 0 {
                done -= 1; // it arrived already
                continue;
            }
            if arguments
                .stop_after
                .is_some_and(|limit| progress.pushed >= limit)
            {
                return Ok(());
            }
            if HEAD + line.len() > room {
                return Err(Fail::Refused(format!(
                    "{}: line {this} has {} bytes; a record of this ring has room for {}",
                    name.display(),
                    line.len(),
                    room.saturating_sub(HEAD)
                )));
            }
            encode(
                &mut record,
                arguments.producer,
                this,
                monotonic_nanos(),
                &line,
            );
            // SAFETY: the record's bytes are readable for its length.
            match unsafe { producer.push_record(record.as_ptr(), record.len(), None) } {
                Outcome::Ok => progress.step(this),
                Outcome::Closed => {
                    return Err(Fail::Refused(format!("the ring was closed at line {this}")));
                }
                other => {
                    return Err(Fail::Refused(format!(
                        "line {this} was not pushed: {other:?}"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn path_of(bytes: &[u8]) -> &std::ffi::OsStr {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes)
}

fn open(path: &Path) -> Result<BufReader<File>, Fail> {
    File::open(path)
        .map(|file| BufReader::with_capacity(1 << 18, file))
        .map_err(|error| Fail::doing(path.display(), error))
}

/// The next line without its newline; false at the end.
fn read_line(file: &mut impl BufRead, line: &mut Vec<u8>, path: &Path) -> Result<bool, Fail> {
    line.clear();
    let got = file
        .read_until(b'\n', line)
        .map_err(|error| Fail::doing(path.display(), error))?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(got > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_the_documented_bytes() {
        let mut record = vec![9; 3];
        encode(&mut record, 0x0102_0304, 0x1122_3344_5566_7788, 5, b"ab");
        let mut wanted = vec![4, 3, 2, 1, 0, 0, 0, 0];
        wanted.extend([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        wanted.extend([5, 0, 0, 0, 0, 0, 0, 0]);
        wanted.extend(b"ab");
        assert_eq!(record, wanted);
        assert_eq!(record.len(), HEAD + 2);
    }

    #[test]
    fn lines_end_at_newlines_only() {
        let mut text: &[u8] = b"one\n\ntwo\r\n\xff\0\nlast";
        let mut lines = Vec::new();
        let mut line = Vec::new();
        while read_line(&mut text, &mut line, Path::new("text")).unwrap() {
            lines.push(line.clone());
        }
        let wanted: [&[u8]; 5] = [b"one", b"", b"two\r", b"\xff\0", b"last"];
        assert_eq!(lines, wanted);
    }
}
