//! Numbers of a ring.

use turtle_buffers::erased::DynRing;

use crate::options::TURTLE_RECORDS;

/// What a ring is and what has happened to it. Set `struct_size` to sizeof(turtle_stats), then call turtle_get_stats.
///
/// `pushed` and `popped` are exact and the same for all processes; the counters after them are what this process saw,
/// and calls on the ring itself by several threads at once may lose a count. Fields are appended, never reordered.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct turtle_stats {
    /// Bytes of this struct as the caller knows it. Set by the caller.
    pub struct_size: usize,
    /// Which engine: TURTLE_TURN, TURTLE_SPSC, ...
    pub strategy: u32,
    /// TURTLE_RECORDS, or 0.
    pub flags: u32,
    /// Elements it can hold.
    pub capacity: u64,
    /// Bytes of an element, or of the longest record.
    pub elem_size: u64,
    /// Alignment of a slot in bytes.
    pub elem_align: u64,
    /// 1 if it lies in shared memory.
    pub is_shared: u32,
    /// 1 if it has been closed.
    pub is_closed: u32,
    /// Elements inside, about.
    pub len: u64,
    /// Elements pushed since it was built.
    pub pushed: u64,
    /// Elements popped since it was built.
    pub popped: u64,
    /// Pushes that found it full.
    pub full: u64,
    /// Pops that found it empty.
    pub empty: u64,
    /// Calls that found another one halfway.
    pub busy: u64,
    /// Times that a call went to sleep.
    pub waits: u64,
    /// Sleepers woken.
    pub wakes: u64,
    /// Calls completed for another thread (strategies that help).
    pub helps: u64,
    /// Participants that this process found dead (shared rings of strategies that keep records).
    pub dead_participants: u64,
}

pub(crate) fn of(ring: &dyn DynRing) -> turtle_stats {
    let stats = ring.stats();
    turtle_stats {
        struct_size: size_of::<turtle_stats>(),
        strategy: ring.strategy() as u32,
        flags: if ring.has_records() {
            TURTLE_RECORDS
        } else {
            0
        },
        capacity: stats.capacity,
        elem_size: ring.elem_size() as u64,
        elem_align: ring.elem_align() as u64,
        is_shared: u32::from(ring.is_shared()),
        is_closed: u32::from(stats.closed),
        len: stats.len,
        pushed: stats.pushed,
        popped: stats.popped,
        full: stats.full,
        empty: stats.empty,
        busy: stats.busy,
        waits: stats.waits,
        wakes: stats.wakes,
        helps: stats.helps,
        dead_participants: stats.dead_participants,
    }
}

// No padding: a caller that knows fewer fields gets whole ones.
const _: () = assert!(size_of::<turtle_stats>() == 128);
