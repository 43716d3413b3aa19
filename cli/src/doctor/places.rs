//! File systems where a ring file might lie: what they are and whether they bypass the page cache.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::table::{table, yes};

/// A directory and what it lies on.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Such as "ext4"; None where the system does not tell.
    kind: Option<String>,
    /// Mapped files are the memory itself.
    dax: bool,
    /// Files can be written around the page cache.
    direct: bool,
}

pub(super) fn all() -> Vec<Place> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let here = std::env::current_dir().ok();
    let mut paths: Vec<PathBuf> = here.into_iter().collect();
    for path in ["/tmp", "/dev/shm"].map(PathBuf::from) {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| place(path, &mounts))
        .collect()
}

fn place(path: PathBuf, mounts: &str) -> Place {
    let mount = mount_of(&path, mounts);
    Place {
        kind: mount.as_ref().map(|(kind, _)| kind.clone()),
        dax: mount.is_some_and(|(_, options)| {
            options.split(',').any(|o| o == "dax" || o == "dax=always")
        }),
        direct: direct(&path),
        path,
    }
}

/// File system and its options for the longest mount point that `path` begins with; the last of
/// several mounts on one point is the one that counts.
fn mount_of(path: &Path, mounts: &str) -> Option<(String, String)> {
    let mut best: Option<(usize, (String, String))> = None;
    for (point, kind, options) in mounts.lines().filter_map(mount) {
        let longest = best.as_ref().map_or(0, |(length, _)| *length);
        if path.starts_with(&point) && point.len() >= longest {
            best = Some((point.len(), (kind.to_owned(), options.to_owned())));
        }
    }
    best.map(|(_, found)| found)
}

/// Point, file system and options of a line of `/proc/self/mountinfo`. As proc(5) has it: id, parent,
/// device, root, POINT, options, tags, a dash, KIND, source, OPTIONS.
fn mount(line: &str) -> Option<(String, &str, &str)> {
    let (front, back) = line.split_once(" - ")?;
    let point = front.split(' ').nth(4)?.replace("\\040", " ");
    let mut back = back.split(' ');
    Some((point, back.next()?, back.nth(1).unwrap_or_default()))
}

/// Asks by opening a file without a name, which vanishes by itself.
fn direct(path: &Path) -> bool {
    File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE | libc::O_DIRECT)
        .open(path)
        .is_ok()
}

impl Place {
    pub(super) fn json(&self) -> Value {
        json!({
            "path": self.path.to_string_lossy(),
            "file_system": self.kind,
            "dax": self.dax,
            "direct_io": self.direct,
        })
    }
}

pub(super) fn print(places: &[Place]) {
    let mut table = table(&["directory", "file system", "DAX", "direct I/O"]);
    for place in places {
        table.add_row([
            &*place.path.to_string_lossy(),
            place.kind.as_deref().unwrap_or("unknown"),
            yes(place.dax),
            yes(place.direct),
        ]);
    }
    println!("\nFile systems (for the persistent engine, which is planned)\n{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_last_mount_point_counts() {
        let mounts = "\
1 0 8:1 / / rw - ext4 /dev/a rw,discard
2 1 0:5 / /dev rw - devtmpfs dev rw
3 2 0:6 / /dev/shm rw shared:2 - tmpfs shm rw,size=64k
4 1 8:2 / /data\\040x rw - xfs /dev/b rw,dax=always
5 1 8:3 / /data\\040x rw - xfs /dev/c rw,noquota";
        let kind = |path: &str| mount_of(Path::new(path), mounts).unwrap();
        assert_eq!(kind("/home/x").0, "ext4");
        assert_eq!(kind("/dev/shm").0, "tmpfs");
        assert_eq!(kind("/device").0, "ext4");
        assert_eq!(kind("/data x/y"), ("xfs".into(), "rw,noquota".into()));
        assert!(mount_of(Path::new("/x"), "").is_none());
    }

    #[test]
    fn the_directory_of_the_tests_is_somewhere() {
        let places = all();
        let here = std::env::current_dir().unwrap();
        assert!(
            places
                .iter()
                .any(|place| place.path == here && place.kind.is_some()),
            "{places:?}"
        );
    }
}
