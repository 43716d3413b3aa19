//! Shared rings by name: `turtle ls`, `turtle unlink`, and the list that `doctor` shows.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use turtle_buffers::os::segment::{Segment, SegmentInfo};
use turtle_buffers::segment::{FLAG_RECORDS, HEAD_BYTES, Head, MAGIC};
use turtle_buffers::{OpenMode, Options, Strategy, erased};

use crate::fail::Fail;
use crate::table::{bytes, table};

/// List the shared rings on this machine.
///
/// A ring is in use while any process is attached to it, however that process might end; otherwise
/// it is stale: what is inside can still be popped, but nobody is there.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print one JSON array instead of a table.
    #[arg(long)]
    json: bool,
}

/// Remove the name of a shared ring.
///
/// Processes that are attached keep working on what they have; the memory goes with the last of them.
#[derive(Debug, Args)]
pub(crate) struct Unlink {
    /// The ring's name, with its slash: /ticks.
    name: String,
    /// Remove it only if nobody is attached; otherwise fail.
    #[arg(long)]
    stale: bool,
}

/// Where named segments lie; the library lists them from the same place.
const PLACE: &str = "/dev/shm";

/// A segment with this library's magic at its start.
#[derive(Debug)]
pub(crate) struct Found {
    info: SegmentInfo,
    /// What its head says, or why that cannot be believed.
    head: Result<Head, String>,
    /// Elements inside and whether it is closed, where this user may attach.
    state: Option<(u64, bool)>,
}

/// Every shared ring that this user may read, sorted by name.
pub(crate) fn found() -> Vec<Found> {
    let infos = Segment::list(|first| first.starts_with(&MAGIC));
    infos
        .into_iter()
        .map(|info| {
            let head = head(&info);
            // Only a ring whose head is whole is worth attaching to.
            let state = head.is_ok().then(|| state(&info.name)).flatten();
            Found { info, head, state }
        })
        .collect()
}

fn head(info: &SegmentInfo) -> Result<Head, String> {
    let mut first = [0; HEAD_BYTES];
    File::open(Path::new(PLACE).join(info.name.trim_start_matches('/')))
        .and_then(|file| file.read_exact_at(&mut first, 0))
        .map_err(|error| error.to_string())?;
    let length = usize::try_from(info.bytes).unwrap_or(usize::MAX);
    Head::decode(&first, length).map_err(|error| error.to_string())
}

fn state(name: &str) -> Option<(u64, bool)> {
    let options = Options {
        path: Some(name.to_owned()),
        open: OpenMode::Attach,
        capacity: 0,
        elem_size: 0,
        ..Options::default()
    };
    // SAFETY: no drop hook is given.
    let ring = unsafe { erased::open(&options, None) }.ok()?;
    let stats = ring.stats();
    Some((stats.len, stats.closed))
}

impl Found {
    fn strategy(&self) -> Option<String> {
        let number = self.head.as_ref().ok()?.strategy;
        Some(Strategy::from_number(number).map_or_else(
            || format!("number {number}, not in this build"),
            |s| s.to_string(),
        ))
    }

    /// Bytes of an element as its user sees it: without a record's length word.
    fn elem_size(&self) -> Option<u64> {
        let head = self.head.as_ref().ok()?;
        let lead = if self.records()? {
            head.elem_align.max(8)
        } else {
            0
        };
        Some(head.elem_size.saturating_sub(lead))
    }

    fn records(&self) -> Option<bool> {
        Some(self.head.as_ref().ok()?.flags & FLAG_RECORDS != 0)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "name": self.info.name,
            "bytes": self.info.bytes,
            "in_use": self.info.in_use,
            "mode": format!("{:04o}", self.info.mode),
            "owner": self.info.owner,
            "strategy": self.strategy(),
            "capacity": self.head.as_ref().ok().map(|head| head.capacity),
            "elem_size": self.elem_size(),
            "max_threads": self.head.as_ref().ok().map(|head| head.participants).filter(|&n| n > 0),
            "records": self.records(),
            "len": self.state.map(|(len, _)| len),
            "closed": self.state.map(|(_, closed)| closed),
            "trouble": self.head.as_ref().err(),
        })
    }

    fn row(&self) -> [String; 7] {
        let known = |value: Option<String>| value.unwrap_or_else(|| "?".into());
        let elements = self.elem_size().map(|size| match self.records() {
            Some(true) => format!("records up to {}", bytes(size)),
            _ => bytes(size),
        });
        let inside = self.head.as_ref().ok().map(|head| match self.state {
            Some((len, closed)) => {
                format!(
                    "{len} of {}{}",
                    head.capacity,
                    if closed { ", closed" } else { "" }
                )
            }
            None => format!("? of {}", head.capacity),
        });
        let state = match &self.head {
            Err(why) => why.clone(),
            Ok(_) if self.info.in_use => "in use".into(),
            Ok(_) => "stale: nobody is attached".into(),
        };
        [
            self.info.name.clone(),
            known(self.strategy()),
            known(inside),
            known(elements),
            bytes(self.info.bytes),
            format!("{:04o}", self.info.mode),
            state,
        ]
    }
}

/// The table of `found`, or a sentence that there is nothing.
pub(crate) fn text(found: &[Found]) -> String {
    if found.is_empty() {
        return "No shared rings.".into();
    }
    let mut table = table(&[
        "ring", "strategy", "inside", "element", "memory", "mode", "state",
    ]);
    for ring in found {
        table.add_row(ring.row());
    }
    table.to_string()
}

pub(crate) fn list(arguments: &List) -> Result<(), Fail> {
    let found = found();
    if arguments.json {
        println!("{:#}", Value::from_iter(found.iter().map(Found::json)));
    } else {
        println!("{}", text(&found));
    }
    Ok(())
}

pub(crate) fn unlink(arguments: &Unlink) -> Result<(), Fail> {
    let name = &arguments.name;
    let fail = |error| Fail::segment(name, &error);
    if !arguments.stale {
        Segment::unlink(name).map_err(fail)?;
    } else if !Segment::unlink_stale(name).map_err(fail)? {
        return Err(Fail::Refused(format!(
            "{name}: a process is attached; nothing was removed"
        )));
    }
    println!("{name} is removed");
    Ok(())
}
