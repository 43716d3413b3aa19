//! Shared memory: segments by name or by descriptor, and who is alive in them.
//!
//! # How a segment comes to be
//! It is made under a temporary name, its space is really allocated, it is mapped and
//! initialised, and only then renamed, never replacing anything. So whoever can open the name
//! finds it complete, and a creator that dies half-way leaves only a temporary file that the next
//! creation sweeps away.
//!
//! # Who is alive
//! Locks of open file descriptions (`F_OFD_SETLK`), which the kernel frees when their owner dies,
//! however it dies:
//!
//! | byte | lock | meaning |
//! |---|---|---|
//! | 0 | read | *presence*: one for each attached [`Segment`] |
//! | 0 | write | an unused segment, or a dead creator's temporary file, is being removed |
//! | `role` ≥ 1 | write | one owner of that role: [`Segment::try_own`] |
//!
//! A mapping keeps its open file description alive, locks included, and forked children inherit
//! both. So the mapping uses one description that is never locked, and each lock has a
//! description of its own, which [`fork`](super::fork) takes away from children.

use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

mod draft;
mod error;
mod locks;

pub(in crate::os) use self::draft::remove_if_same;
use self::draft::{Draft, allocate, sweep};
use self::error::{BELL, TEMPORARY, check_name};
pub use self::error::{SegmentError, SegmentInfo};
pub use self::locks::RoleLock;
use self::locks::{PRESENCE, is_locked, present, set_lock, unlock};
use super::fork::LockFd;

/// Where Linux keeps named shared memory; `shm_open` of the C library uses the same place.
const PLACE: &str = "/dev/shm";

/// What a descriptor's size seals must at least be before it is mapped.
const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

/// A mapping of shared memory. Dropping it unmaps and leaves; it never removes the name.
///
/// After a fork the child keeps the mapping and counts as not attached until it calls
/// [`attend`](Self::attend) or any method that asks about others.
#[derive(Debug)]
pub struct Segment {
    base: NonNull<u8>,
    len: usize,
    name: Option<String>,
    /// The description of the mapping. Never locked.
    file: File,
    /// Carries the presence lock.
    presence: LockFd,
}

// SAFETY: the mapping belongs to the process, not to a thread; the struct hands out only its
// address.
unsafe impl Send for Segment {}
// SAFETY: as above; all methods are system calls on descriptors.
unsafe impl Sync for Segment {}

impl Segment {
    /// Creates `name` with `len` bytes, permission bits `mode` exactly (the umask has no say),
    /// and what `init` writes.
    ///
    /// `init` gets the base of `len` zero bytes, page-aligned, that nobody else can see yet.
    ///
    /// # Errors
    /// [`SegmentError::Exists`] when the name is taken; `Name`; `NoSpace` when shared memory has
    /// no room for all of it; whatever `init` returns. Nothing is left behind.
    pub fn create(
        name: &str,
        len: usize,
        mode: u32,
        init: impl FnOnce(*mut u8) -> Result<(), SegmentError>,
    ) -> Result<Segment, SegmentError> {
        let path = shm_file(name)?;
        if path.symlink_metadata().is_ok() {
            return Err(SegmentError::Exists);
        }
        Draft::new(len, mode, init)?
            .publish(name)
            .map_err(|(_, error)| error)
    }

    /// Maps the segment `name`, to read and write.
    ///
    /// # Errors
    /// `NotFound`; `Permission`; `Foreign` for anything but a non-empty regular file that belongs
    /// to this user, to root, or, group-writable, to a group of this process. (A stranger's file
    /// could be cut short under us.)
    pub fn open(name: &str) -> Result<Segment, SegmentError> {
        let file = open_file(&shm_file(name)?).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP | libc::EISDIR | libc::ENXIO) => {
                SegmentError::Foreign(format!("{name} is not a regular file"))
            }
            _ => error.into(),
        })?;
        trust(&file.metadata()?).map_err(|why| SegmentError::Foreign(format!("{name} {why}")))?;
        let segment = Segment::attach(file, Some(name.to_owned()))?;
        // Removal of an unused segment excludes presence, so it is seen here if it came first.
        if segment.file.metadata()?.nlink() == 0 {
            return Err(SegmentError::NotFound);
        }
        Ok(segment)
    }

    /// Opens `name`, or creates it as [`create`](Self::create) does; `true` when this call
    /// created it.
    ///
    /// Of several processes that race, exactly one creates.
    ///
    /// # Errors
    /// As `open` and `create`, except `Exists` and `NotFound`.
    pub fn open_or_create(
        name: &str,
        len: usize,
        mode: u32,
        init: impl FnOnce(*mut u8) -> Result<(), SegmentError>,
    ) -> Result<(Segment, bool), SegmentError> {
        match Segment::open(name) {
            Err(SegmentError::NotFound) => {}
            answer => return answer.map(|segment| (segment, false)),
        }
        let mut draft = Draft::new(len, mode, init)?;
        loop {
            draft = match draft.publish(name) {
                Ok(segment) => return Ok((segment, true)),
                Err((draft, SegmentError::Exists)) => draft,
                Err((_, error)) => return Err(error),
            };
            match Segment::open(name) {
                Err(SegmentError::NotFound) => {}
                answer => return answer.map(|segment| (segment, false)),
            }
        }
    }

    /// Removes the name, and the FIFO beside it. Processes that are attached keep their mapping,
    /// and the FIFO if they have it open.
    ///
    /// # Errors
    /// `Name`, `NotFound`, `Permission`.
    pub fn unlink(name: &str) -> Result<(), SegmentError> {
        let path = shm_file(name)?;
        let facts = path.symlink_metadata()?;
        std::fs::remove_file(path)?;
        remove_bell(&facts);
        Ok(())
    }

    /// Removes the name if nobody is attached, in one step with the check; says whether it did.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn unlink_stale(name: &str) -> Result<bool, SegmentError> {
        let segment = Segment::open(name)?;
        // Read to write lock in one step; refused while anybody else holds a read lock.
        if !set_lock(segment.presence.as_fd(), libc::F_WRLCK, PRESENCE)? {
            return Ok(false);
        }
        let removed = remove_if_same(&shm_file(name)?, &segment.file)?;
        if removed {
            remove_bell(&segment.facts()?);
        }
        Ok(removed)
    }

    /// Makes an unnamed segment that can never change its length, to be handed to a child or over
    /// a socket.
    ///
    /// # Errors
    /// As [`create`](Self::create), without names.
    pub fn memfd(
        label: &str,
        len: usize,
        init: impl FnOnce(*mut u8) -> Result<(), SegmentError>,
    ) -> Result<Segment, SegmentError> {
        let label = CString::new(label)
            .map_err(|_| SegmentError::Name("a label has no NUL byte".into()))?;
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        // Kernels before 6.3 do not know the flag that says "never executable"; some later ones
        // insist on it.
        // SAFETY: the label ends with a NUL and lives through the calls.
        let file = owned(unsafe { libc::memfd_create(label.as_ptr(), flags | libc::MFD_NOEXEC_SEAL) })
                // SAFETY: as above.
                .or_else(|_| owned(unsafe { libc::memfd_create(label.as_ptr(), flags) }))?;
        allocate(&file, len)?;
        // SAFETY: the descriptor is open; this adds seals.
        if unsafe {
            libc::fcntl(
                file.as_raw_fd(),
                libc::F_ADD_SEALS,
                SEALS | libc::F_SEAL_SEAL,
            )
        } < 0
        {
            return Err(io::Error::last_os_error().into());
        }
        let segment = Segment::attach(file, None)?;
        init(segment.base.as_ptr())?;
        Ok(segment)
    }

    /// Maps a descriptor of a segment made by [`memfd`](Self::memfd), perhaps in another process.
    ///
    /// # Errors
    /// `Foreign` when its length is not sealed, or zero.
    pub fn from_fd(fd: OwnedFd) -> Result<Segment, SegmentError> {
        // SAFETY: the descriptor is open; this reads its seals.
        let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & SEALS != SEALS {
            return Err(SegmentError::Foreign(
                "the descriptor is not a memfd of sealed length".into(),
            ));
        }
        // It may have come through an exec; it goes no further by itself.
        // SAFETY: the descriptor is open; this sets a flag.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error().into());
        }
        // The sender maps through the same description, which is never locked.
        Segment::attach(fd.into(), None)
    }

    /// Where the mapping begins; page-aligned.
    #[must_use]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Length in bytes, as it was when mapped.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // a mapping is never empty
    pub fn len(&self) -> usize {
        self.len
    }

    /// The name it was created or opened under; `None` for a descriptor.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The descriptor of the mapping, to be handed to a child or over a socket. It carries no
    /// locks.
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// What the kernel says of its file.
    pub(in crate::os) fn facts(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Makes this process count as attached. Needed only in a forked child; elsewhere it does
    /// nothing.
    ///
    /// # Errors
    /// The system is out of descriptors, or the segment is being removed.
    pub fn attend(&self) -> io::Result<()> {
        self.presence.renew(self.file.as_fd(), |fd| {
            if set_lock(fd, libc::F_RDLCK, PRESENCE)? {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })
    }

    /// Whether anybody else is attached: another process, or another [`Segment`] of this one. If
    /// not, and this one goes, the segment is stale.
    ///
    /// # Errors
    /// As [`attend`](Self::attend).
    pub fn in_use_elsewhere(&self) -> io::Result<bool> {
        self.attend()?;
        is_locked(self.presence.as_fd(), PRESENCE)
    }

    /// Removes temporary files whose creators died, and returns how many.
    /// [`create`](Self::create) calls it.
    pub fn sweep_leftovers() -> usize {
        let files = entries()
            .filter(|path| file_name(path).is_some_and(|name| name.starts_with(TEMPORARY)));
        files.filter(|path| sweep(path).unwrap_or(false)).count()
    }

    /// Lists the named segments whose first bytes (at most a page) `is_ours` accepts, sorted by
    /// name.
    ///
    /// Segments that this user may not read are left out.
    pub fn list(is_ours: impl Fn(&[u8]) -> bool) -> Vec<SegmentInfo> {
        let look = |path: PathBuf| -> Option<SegmentInfo> {
            let name = file_name(&path)
                .filter(|name| !name.starts_with(TEMPORARY) && !name.starts_with(BELL))?;
            let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
            let file = File::options()
                .read(true)
                .custom_flags(flags)
                .open(&path)
                .ok()?;
            let facts = file.metadata().ok().filter(Metadata::is_file)?;
            let mut first = [0; 4096];
            let got = file.read_at(&mut first, 0).ok()?;
            is_ours(&first[..got]).then_some(())?;
            Some(SegmentInfo {
                name: format!("/{name}"),
                bytes: facts.len(),
                in_use: is_locked(file.as_fd(), PRESENCE).ok()?,
                mode: facts.mode() & 0o777,
                owner: facts.uid(),
            })
        };
        let mut found: Vec<_> = entries().filter_map(look).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// Tries to own `role` (1 or more) for as long as the returned lock lives. `None`: somebody
    /// alive owns it.
    ///
    /// The kernel frees the role when its owner dies. A child that is between fork and exec at
    /// that moment can delay this by as long as that takes.
    ///
    /// # Errors
    /// `Unsupported` for role 0 or above 2^63 - 2; the system is out of descriptors.
    pub fn try_own(&self, role: u64) -> Result<Option<RoleLock>, SegmentError> {
        if role == PRESENCE || role >= i64::MAX as u64 {
            return Err(SegmentError::Unsupported(format!(
                "role {role}: roles are 1 to 2^63 - 2"
            )));
        }
        self.attend()?;
        Ok(RoleLock::take(self.file.as_fd(), role)?)
    }

    /// Whether somebody alive owns `role`, this process included. Old news as soon as it is
    /// returned.
    ///
    /// # Errors
    /// `role` is above 2^63 - 2, or as [`attend`](Self::attend).
    pub fn role_is_owned(&self, role: u64) -> io::Result<bool> {
        self.attend()?;
        is_locked(self.presence.as_fd(), role)
    }

    /// Maps `file` whole and takes the presence lock.
    fn attach(file: File, name: Option<String>) -> Result<Segment, SegmentError> {
        let presence = present(&file)?
            .ok_or_else(|| SegmentError::Foreign("it stays locked by somebody".into()))?;
        Segment::map(file, presence, name)
    }

    fn map(file: File, presence: LockFd, name: Option<String>) -> Result<Segment, SegmentError> {
        let len = file.metadata()?.len();
        let len = usize::try_from(len)
            .ok()
            .filter(|&len| len > 0 && len <= isize::MAX as usize)
            .ok_or_else(|| SegmentError::Foreign(format!("{len} bytes cannot be mapped")))?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; it cannot disturb existing
        // memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                access,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error().into());
        }
        let base = NonNull::new(base.cast()).expect("mmap does not choose address 0");
        let segment = Segment {
            base,
            len,
            name,
            file,
            presence,
        };
        // Whoever changed the length meanwhile is no friend; later changes are outside the trust
        // model.
        if segment.file.metadata()?.len() != len as u64 {
            return Err(SegmentError::Foreign("its length changes".into()));
        }
        Ok(segment)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `map`; whoever uses its memory borrows or owns the
        // Segment.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
        unlock(&self.presence, PRESENCE);
    }
}

/// Why a file is not to be mapped, if so.
fn trust(facts: &Metadata) -> Result<(), String> {
    if !facts.is_file() {
        return Err("is not a regular file".into());
    }
    // SAFETY: these two take nothing and cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let in_our_group = || facts.gid() == group || groups().contains(&facts.gid());
    if facts.uid() == user || facts.uid() == 0 || (facts.mode() & 0o020 != 0 && in_our_group()) {
        return Ok(());
    }
    let owner = facts.uid();
    Err(format!(
        "belongs to user {owner}; between users, share it through a common group (mode 0660)"
    ))
}

/// The supplementary groups of this process.
fn groups() -> Vec<libc::gid_t> {
    // SAFETY: a size of 0 only asks for the number.
    let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: the buffer has room for `count` entries.
    let got = unsafe { libc::getgroups(count.max(0), groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(got).unwrap_or(0));
    groups
}

fn entries() -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(PLACE)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// The file of the segment `name`, if the name is good.
pub(in crate::os) fn shm_file(name: &str) -> Result<PathBuf, SegmentError> {
    check_name(name)?;
    Ok(Path::new(PLACE).join(&name[1..]))
}

/// The FIFO beside the segment that these are the facts of.
pub(in crate::os) fn bell_of(segment: &Metadata) -> PathBuf {
    Path::new(PLACE).join(format!("{BELL}{:x}", segment.ino()))
}

/// Removes the FIFO beside a segment whose name is gone. Another user's stays: it is an empty file,
/// and goes when that user next creates a segment.
fn remove_bell(segment: &Metadata) {
    let path = bell_of(segment);
    let is_fifo = |facts: Metadata| facts.file_type().is_fifo();
    if path.symlink_metadata().is_ok_and(is_fifo) {
        let _ = std::fs::remove_file(path);
    }
}

/// Removes FIFOs whose segments are gone: their names were removed by other means.
fn sweep_bells() {
    let is_bell = |path: &PathBuf| file_name(path).is_some_and(|name| name.starts_with(BELL));
    let bells: Vec<PathBuf> = entries().filter(is_bell).collect();
    if bells.is_empty() {
        return;
    }
    // Looked at after the FIFOs: a segment is there before its FIFO is.
    let others = entries().filter(|path| !is_bell(path));
    let there: std::collections::HashSet<PathBuf> = others
        .filter_map(|path| Some(bell_of(&path.symlink_metadata().ok()?)))
        .collect();
    for bell in bells.iter().filter(|bell| !there.contains(*bell)) {
        let _ = std::fs::remove_file(bell);
    }
}

pub(in crate::os) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("names with NUL bytes were refused")
}

/// Opens what is there, to read and write. Never waits (for the other end of a FIFO), never
/// follows a link.
pub(in crate::os) fn open_file(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    File::options()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
}

fn owned(fd: libc::c_int) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { File::from_raw_fd(fd) })
}
