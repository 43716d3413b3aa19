//! How a ring is built or attached.

use std::ffi::{CStr, c_char, c_void};
use std::mem::offset_of;

use turtle_buffers::erased::DropHook;
use turtle_buffers::{OpenMode, Options, Strategy};

use crate::boundary::{Answer, Refused, guard, invalid, refuse, usable};
use crate::status::{TURTLE_ERR_INVALID, TURTLE_ERR_UNSUPPORTED, turtle_status};

/// Strategy: attach to whatever is there; where nothing is, create the default one, TURTLE_WAIT_FREE.
pub const TURTLE_ANY: u32 = u32::MAX;

/// Flag: create the ring of that name if there is none. Without TURTLE_EXCLUSIVE an existing one is attached.
pub const TURTLE_CREATE: u32 = 1;
/// Flag: attach to the ring of that name; alone, a missing one is TURTLE_ERR_NOT_FOUND.
pub const TURTLE_ATTACH: u32 = 2;
/// Flag, with TURTLE_CREATE: an existing ring of that name is TURTLE_ERR_EXISTS.
pub const TURTLE_EXCLUSIVE: u32 = 4;
/// Flag: a slot holds a length and up to `elem_size` bytes. Use the `_record` calls.
pub const TURTLE_RECORDS: u32 = 8;

/// Patience: none. A call that does not succeed at once lets others help.
pub const TURTLE_IMPATIENT: u32 = u32::MAX;

/// Durability: as safe as the process. The only one of rings in memory.
pub const TURTLE_PROCESS: u32 = 0;
/// Durability: handed to the system; survives the process (persistent strategy).
pub const TURTLE_BUFFERED: u32 = 1;
/// Durability: on the disk when the call returns (persistent strategy).
pub const TURTLE_SYNC: u32 = 2;

/// How a ring is built or attached. Call turtle_options_init, then set what you want otherwise.
///
/// Fields are appended, never reordered. A caller with an older, smaller struct gets the defaults of what it does not
/// know. A caller with a newer, larger one is served if the bytes that this library does not know are zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct turtle_options {
    /// Bytes of this struct as the caller knows it, a multiple of 8. Set by turtle_options_init.
    pub struct_size: usize,
    /// TURTLE_TURN, TURTLE_SPSC, ... or TURTLE_ANY (the default).
    pub strategy: u32,
    /// TURTLE_CREATE | TURTLE_ATTACH | TURTLE_EXCLUSIVE | TURTLE_RECORDS; without the first two: create or attach.
    pub flags: u32,
    /// TURTLE_PROCESS; the others are for the persistent strategy only.
    pub durability: u32,
    /// Participants of each side, for strategies that keep a record of each: 1 to 65536; 0 means 64, or, where a ring is
    /// there, as many as it has. Others ignore it.
    pub max_threads: u32,
    /// Elements, at least 1; any number, kept exactly. With TURTLE_ATTACH 0 means: whatever is there. Default 1024.
    pub capacity: usize,
    /// Bytes of an element or of the longest record, 1 to 16777216. With a path 0 means: whatever is there (size,
    /// alignment and TURTLE_RECORDS are taken from the ring; turtle_get_stats tells them). Default 8.
    pub elem_size: usize,
    /// Alignment of a slot in bytes, a power of two up to 4096; 0 means 8. Only calls that lend a slot need it:
    /// elements that are copied may lie anywhere.
    pub elem_align: usize,
    /// NULL: private memory. "/ticks", with one slash in front and 1 to 250 bytes after it: shared memory of that name.
    /// Anything else with a slash or a dot: a file (persistent strategy).
    pub path: *const c_char,
    /// Called for each element that is left when a private ring ends, oldest first, by whichever thread frees the last
    /// handle. It must not throw and must not call into this ring. NULL: nothing is called. Private rings only.
    pub drop: Option<unsafe extern "C" fn(elem: *mut c_void, ctx: *mut c_void)>,
    /// Passed to `drop`.
    pub drop_ctx: *mut c_void,
    /// Permission bits of a shared ring that is created; 0 means 0600 (octal).
    pub mode: u32,
    /// Attempts that a call of such a strategy makes before it lets others help: a knob that makes calls faster or
    /// slower, never different. 0: the strategy's choice. TURTLE_IMPATIENT: none, it asks at once. Of this process.
    pub patience: u32,
}

/// Bytes that `turtle_options_init` of version 0.1 writes. It has no size to go by, so it never writes more: should
/// fields be appended, the header will map the name to a successor.
const FIRST_SIZE: usize = 80;
const _: () =
    assert!(size_of::<turtle_options>() == FIRST_SIZE && offset_of!(turtle_options, mode) == 72);

/// A larger struct than this is taken for an uninitialised `struct_size`.
const LARGEST_SIZE: usize = 4096;

impl Default for turtle_options {
    fn default() -> Self {
        let options = Options::default();
        Self {
            struct_size: size_of::<Self>(),
            strategy: TURTLE_ANY,
            flags: 0,
            durability: TURTLE_PROCESS,
            max_threads: options.max_threads,
            capacity: options.capacity,
            elem_size: options.elem_size,
            elem_align: options.elem_align,
            path: std::ptr::null(),
            drop: None,
            drop_ctx: std::ptr::null_mut(),
            mode: 0,
            patience: 0,
        }
    }
}

/// Sets every field to its default: a private ring of the default strategy for 1024 elements of 8 bytes.
///
/// Returns TURTLE_OK, or TURTLE_ERR_INVALID for a null or misaligned pointer.
/// Threads: any. Progress: always returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn turtle_options_init(options: *mut turtle_options) -> turtle_status {
    guard(|| {
        if !usable(options) {
            return Err(invalid(
                "options is null or misaligned; pass the address of a turtle_options",
            ));
        }
        // SAFETY: writable for the struct, as documented; checked above as far as it can be.
        unsafe { options.write(turtle_options::default()) };
        Ok(())
    })
}

/// Reads what the caller's struct says, whichever version of it that is.
///
/// # Safety
/// `options` is null or readable for the number of bytes that its first field says.
pub(crate) unsafe fn read(options: *const turtle_options) -> Result<turtle_options, Refused> {
    if !usable(options) {
        return Err(invalid(
            "options is null or misaligned; pass the address of a turtle_options",
        ));
    }
    // SAFETY: at least the first field is readable.
    let size = unsafe { (*options).struct_size };
    if size < size_of::<usize>() || size % 8 != 0 || size > LARGEST_SIZE {
        return Err(refuse(
            TURTLE_ERR_INVALID,
            format!(
                "struct_size is {size}; call turtle_options_init first, or set it to sizeof(turtle_options)"
            ),
        ));
    }
    let known = size_of::<turtle_options>();
    let mut read = turtle_options::default();
    // SAFETY: the caller's struct has `size` bytes. Fields are whole because the size is a multiple of 8, and every
    // bit pattern is a value of each: the function pointer is an option, and is a function by the caller's word.
    unsafe {
        let from = options.cast::<u8>();
        std::ptr::copy_nonoverlapping(from, (&raw mut read).cast::<u8>(), size.min(known));
        if size > known
            && std::slice::from_raw_parts(from.add(known), size - known)
                .iter()
                .any(|&byte| byte != 0)
        {
            return Err(refuse(
                TURTLE_ERR_UNSUPPORTED,
                format!(
                    "bytes {known} to {size} of the options are not zero, and this library ({}) does not know them; \
                     a newer one may",
                    turtle_buffers::VERSION
                ),
            ));
        }
    }
    Ok(read)
}

/// Translates the options, leaving judgement about sizes and names to the core.
///
/// # Safety
/// `path` is null or a text that ends with a NUL.
pub(crate) unsafe fn translate(
    options: &turtle_options,
) -> Result<(Options, Option<DropHook>), Refused> {
    // SAFETY: the caller's promise.
    let path = unsafe { path_of(options.path) }?;
    let open = open_mode(options.flags, path.is_some())?;
    durability(options.durability)?;
    if options.mode & !0o777 != 0 {
        return Err(invalid(
            "mode has bits beyond 0777; it takes permission bits only",
        ));
    }
    let translated = Options {
        strategy: strategy(options.strategy)?,
        capacity: options.capacity,
        elem_size: options.elem_size,
        elem_align: options.elem_align,
        records: options.flags & TURTLE_RECORDS != 0,
        path,
        open,
        mode: if options.mode == 0 {
            0o600
        } else {
            options.mode
        },
        max_threads: options.max_threads,
        patience: patience(options.patience),
    };
    let hook = options.drop.map(|call| DropHook {
        call,
        context: options.drop_ctx,
    });
    Ok((translated, hook))
}

/// Zero is for callers who know of no such field.
fn patience(attempts: u32) -> Option<u32> {
    match attempts {
        0 => None,
        TURTLE_IMPATIENT => Some(0),
        attempts => Some(attempts),
    }
}

fn strategy(number: u32) -> Result<Option<Strategy>, Refused> {
    if number == TURTLE_ANY {
        return Ok(None);
    }
    Strategy::from_number(number).map(Some).ok_or_else(|| {
        let there: Vec<_> = Strategy::ALL
            .iter()
            .map(|&s| format!("{} ({s})", s as u32))
            .collect();
        refuse(
            TURTLE_ERR_UNSUPPORTED,
            format!(
                "strategy {number} is not in this build; it has {}",
                there.join(", ")
            ),
        )
    })
}

fn open_mode(flags: u32, named: bool) -> Result<OpenMode, Refused> {
    let unknown = flags & !(TURTLE_CREATE | TURTLE_ATTACH | TURTLE_EXCLUSIVE | TURTLE_RECORDS);
    if unknown != 0 {
        return Err(refuse(
            TURTLE_ERR_INVALID,
            format!(
                "flags has the unknown bits {unknown:#x}; see TURTLE_CREATE and its neighbours"
            ),
        ));
    }
    let has = |flag| flags & flag != 0;
    if has(TURTLE_EXCLUSIVE) && (!has(TURTLE_CREATE) || has(TURTLE_ATTACH)) {
        return Err(invalid(
            "TURTLE_EXCLUSIVE goes with TURTLE_CREATE, and not with TURTLE_ATTACH",
        ));
    }
    if !named && has(TURTLE_ATTACH) && !has(TURTLE_CREATE) {
        return Err(invalid(
            "a private ring cannot be attached; give a path such as \"/ticks\"",
        ));
    }
    Ok(
        match (
            has(TURTLE_CREATE),
            has(TURTLE_ATTACH),
            has(TURTLE_EXCLUSIVE),
        ) {
            (_, _, true) => OpenMode::CreateNew,
            (false, true, _) => OpenMode::Attach,
            _ => OpenMode::CreateOrAttach,
        },
    )
}

fn durability(durability: u32) -> Answer {
    match durability {
        TURTLE_PROCESS => Ok(()),
        TURTLE_BUFFERED | TURTLE_SYNC => Err(refuse(
            TURTLE_ERR_UNSUPPORTED,
            "rings in memory are TURTLE_PROCESS durable; the persistent strategy is not in this build",
        )),
        _ => Err(invalid(
            "durability is none of TURTLE_PROCESS, TURTLE_BUFFERED, TURTLE_SYNC",
        )),
    }
}

/// The name of a shared ring.
///
/// # Safety
/// `path` is null or a text that ends with a NUL.
pub(crate) unsafe fn path_of(path: *const c_char) -> Result<Option<String>, Refused> {
    if path.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let Ok(name) = unsafe { CStr::from_ptr(path) }.to_str() else {
        return Err(invalid("the path is not UTF-8; choose another name"));
    };
    let shared = name
        .strip_prefix('/')
        .is_some_and(|rest| !rest.contains('/'));
    if !shared && name.contains(['/', '.']) {
        return Err(refuse(
            TURTLE_ERR_UNSUPPORTED,
            format!(
                "{name:?} is a file, and files belong to the persistent strategy, which is not in this build; \
                 shared memory has one slash in front and no other, such as \"/ticks\""
            ),
        ));
    }
    // Whatever else is wrong with it, the core says.
    Ok(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroI32;

    fn status<T>(answer: Result<T, Refused>) -> i32 {
        answer
            .err()
            .map_or(0, |Refused(status)| NonZeroI32::get(status))
    }

    #[test]
    fn flags_choose_how_to_open() {
        let invalid = Err(TURTLE_ERR_INVALID);
        let expected = [
            (0, Ok(OpenMode::CreateOrAttach)),
            (TURTLE_CREATE, Ok(OpenMode::CreateOrAttach)),
            (TURTLE_ATTACH, Ok(OpenMode::Attach)),
            (TURTLE_CREATE | TURTLE_ATTACH, Ok(OpenMode::CreateOrAttach)),
            (TURTLE_EXCLUSIVE, invalid),
            (TURTLE_EXCLUSIVE | TURTLE_CREATE, Ok(OpenMode::CreateNew)),
            (TURTLE_EXCLUSIVE | TURTLE_ATTACH, invalid),
            (TURTLE_EXCLUSIVE | TURTLE_ATTACH | TURTLE_CREATE, invalid),
            (16, invalid),
        ];
        for (flags, mode) in expected {
            assert_eq!(
                open_mode(flags, true).map_err(|e| e.0.get()),
                mode,
                "flags {flags}"
            );
            if mode.is_ok() {
                let same = open_mode(flags | TURTLE_RECORDS, true).map_err(|e| e.0.get());
                assert_eq!(same, mode, "records have no say in it");
            }
        }
        assert_eq!(status(open_mode(TURTLE_ATTACH, false)), TURTLE_ERR_INVALID);
        assert_eq!(
            status(open_mode(TURTLE_CREATE | TURTLE_EXCLUSIVE, false)),
            0
        );
    }

    #[test]
    fn patience_has_a_default_and_none_at_all() {
        let of = |attempts| patience(attempts);
        assert_eq!(turtle_options::default().patience, 0);
        assert_eq!(
            [of(0), of(1), of(TURTLE_IMPATIENT)],
            [None, Some(1), Some(0)]
        );
    }

    #[test]
    fn every_strategy_has_its_number_and_no_other_is_taken() {
        for &there in Strategy::ALL {
            assert_eq!(strategy(there as u32).unwrap(), Some(there));
        }
        assert_eq!(strategy(TURTLE_ANY).unwrap(), None);
        let first_free = Strategy::ALL.iter().map(|&s| s as u32).max().unwrap() + 1;
        for number in [first_free, 1000, u32::MAX - 1] {
            assert_eq!(status(strategy(number)), TURTLE_ERR_UNSUPPORTED);
        }
    }

    #[test]
    fn paths_are_sorted_by_their_slashes_and_dots() {
        let of = |path: &CStr| {
            // SAFETY: a text that ends with a NUL.
            unsafe { path_of(path.as_ptr()) }
        };
        assert_eq!(of(c"/ticks").unwrap().as_deref(), Some("/ticks"));
        assert_eq!(of(c"/ticks.v1").unwrap().as_deref(), Some("/ticks.v1"));
        for file in [c"/a/b", c"a/b", c"./a", c"ring.tb"] {
            assert_eq!(status(of(file)), TURTLE_ERR_UNSUPPORTED, "{file:?}");
        }
        assert_eq!(status(of(c"/\xff")), TURTLE_ERR_INVALID);
        assert_eq!(
            of(c"ticks").unwrap().as_deref(),
            Some("ticks"),
            "the core refuses it"
        );
    }

    #[test]
    fn an_older_struct_gets_defaults_and_a_newer_one_must_be_zero_beyond() {
        #[repr(C, align(8))]
        struct Newer {
            known: turtle_options,
            unknown: [u64; 2],
        }
        let mut newer = Newer {
            known: turtle_options::default(),
            unknown: [0; 2],
        };
        let mut read_with = |size: usize, unknown: u64| {
            newer.known.struct_size = size;
            newer.known.capacity = 7;
            newer.known.mode = 0o640;
            newer.unknown[1] = unknown;
            // SAFETY: readable for 16 bytes more than the struct.
            unsafe { read((&raw const newer).cast()) }
        };
        let whole = size_of::<turtle_options>();
        assert_eq!(read_with(whole, 1).unwrap().mode, 0o640);
        assert_eq!(read_with(whole + 16, 0).unwrap().mode, 0o640);
        assert_eq!(status(read_with(whole + 16, 1)), TURTLE_ERR_UNSUPPORTED);
        let older = read_with(offset_of!(turtle_options, mode), 1).unwrap();
        assert_eq!((older.capacity, older.mode), (7, 0));
        let oldest = read_with(size_of::<usize>(), 1).unwrap();
        assert_eq!((oldest.capacity, oldest.strategy), (1024, TURTLE_ANY));
        for wild in [0, 7, whole + 4, LARGEST_SIZE + 8, usize::MAX] {
            assert_eq!(
                status(read_with(wild, 0)),
                TURTLE_ERR_INVALID,
                "struct_size {wild}"
            );
        }
    }
}
