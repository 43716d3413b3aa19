//! Where the parts of an exchange ring lie.

use std::alloc::Layout;

use super::words::LONGEST;
use super::{Fields, Header, Place, Record, Slot};
use crate::atomic::{LEAST_SLOTS, Tracker, Word};
use crate::error::BuildError;
use crate::strategy::{Geometry, Shape};

/// A line, which moves between caches as one.
pub(super) const LINE: usize = 64;
/// Before the payload in shared memory: who pushed the cell last.
const TAG_BYTES: usize = 8;
/// Bytes from one single element to the next, at least: two in a line. With four
/// a lone item takes a third longer (its producer writes into the line that the
/// consumer has just read), with one a row of them is a fifth slower.
const SMALLEST: usize = 32;
/// Fewer bits than that for the phase would come round too soon.
const LEAST_PHASE_BITS: u32 = 20;

/// How a cell lies: in one array its tag (in shared memory) and a place for one
/// element, in another a line for a run.
///
/// Small single elements lie two in a line: a side that goes on alone moves one
/// line for two of them. (Cells wander from slot to slot, so then neighbours are
/// written by different threads; measured, it is worth it.) A run fills a line
/// by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CellLayout {
    /// From the cell to its tag.
    pub(super) tag: usize,
    /// From the cell to its element.
    pub(super) payload: usize,
    /// From cell to cell.
    pub(super) stride: usize,
    pub(super) align: usize,
    /// Elements of a run: as many as fit a line, and 1 at least. If it is 1,
    /// there is no second array.
    pub(super) elements: usize,
    /// From a run to its first element.
    pub(super) run_payload: usize,
    /// From run to run.
    pub(super) run_stride: usize,
}

impl CellLayout {
    pub(super) const fn of(size: usize, align: usize, shared: bool) -> Self {
        let elements = match LINE.checked_div(size) {
            None | Some(0) => 1,
            Some(n) if n > LONGEST => LONGEST,
            Some(n) => n,
        };
        // Models keep state beside each payload.
        let tag = size_of::<Tracker>().next_multiple_of(8);
        let payload = if shared { tag + TAG_BYTES } else { tag }.next_multiple_of(align);
        let bytes = payload + size;
        let wide = if align > LINE { align } else { LINE };
        let stride = if elements == 1 {
            let bytes = if bytes == 0 { 1 } else { bytes };
            bytes.next_multiple_of(wide)
        } else {
            // None lies in two lines. An alignment may be above the size.
            let least = if align > SMALLEST { align } else { SMALLEST };
            let bytes = bytes.next_power_of_two();
            if bytes < least { least } else { bytes }
        };
        let run_payload = tag.next_multiple_of(align);
        Self {
            tag,
            payload,
            stride,
            align: wide,
            elements,
            run_payload,
            run_stride: (run_payload + elements * size).next_multiple_of(wide),
        }
    }
}

/// Offsets of the parts, from the ring's start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    pub(super) slots: usize,
    pub(super) announced: usize,
    pub(super) records: usize,
    pub(super) places: usize,
    pub(super) cells: usize,
    pub(super) runs: usize,
    pub(super) whole: Layout,
    /// How many slots, participants of each side (a power of two), cells.
    pub(super) slot_count: usize,
    pub(super) participants: usize,
    pub(super) cell_count: usize,
    pub(super) fields: Fields,
}

impl Parts {
    pub(super) fn of<Sh: Shape>(geometry: &Geometry<Sh>) -> Result<Self, BuildError> {
        let (capacity, asked) = (geometry.capacity, geometry.participants);
        let too_large = || {
            BuildError::Invalid(format!(
                "{capacity} elements of {} bytes do not fit the address space",
                geometry.shape.size()
            ))
        };
        if asked == 0 || asked > 1 << 16 {
            return Err(BuildError::Invalid(format!(
                "max_threads is {asked}; it must be 1 to 65,536"
            )));
        }
        let cell = CellLayout::of(
            geometry.shape.size(),
            geometry.shape.align(),
            geometry.shared,
        );
        let participants = asked.next_power_of_two();
        // So many that the slot of a push that finds room is never one whose
        // run is not popped to its end (I8).
        let slot_count = (capacity.checked_add(cell.elements - 1))
            .ok_or_else(too_large)?
            .max(LEAST_SLOTS);
        let cell_count = slot_count
            .checked_add(2 * participants)
            .ok_or_else(too_large)?;
        if Fields::phase_bits(cell_count as u64, participants as u64) < LEAST_PHASE_BITS {
            return Err(BuildError::Invalid(format!(
                "a capacity of {capacity} for {asked} threads leaves too few bits to count laps; \
                 ask for less of either"
            )));
        }
        let array = |bytes: Option<usize>, align| {
            let bytes = bytes.ok_or_else(too_large)?;
            Layout::from_size_align(bytes, align).map_err(|_| too_large())
        };
        let mut whole = Layout::new::<Header>();
        let mut add = |part: Layout| {
            let (longer, at) = whole.extend(part).map_err(|_| too_large())?;
            whole = longer;
            Ok::<_, BuildError>(at)
        };
        let slots = add(array(slot_count.checked_mul(size_of::<Slot>()), 128)?)?;
        let announced = add(array(Some(2 * participants * size_of::<Word>()), 128)?)?;
        let records = add(array(Some(2 * participants * size_of::<Record>()), 128)?)?;
        let places = add(array(Some(2 * participants * size_of::<Place>()), 128)?)?;
        let cells = add(array(
            cell_count.checked_mul(cell.stride),
            cell.align.max(128),
        )?)?;
        let runs = if cell.elements == 1 {
            cells
        } else {
            let bytes = cell_count.checked_mul(cell.run_stride);
            add(array(bytes, cell.align.max(128))?)?
        };
        Ok(Self {
            slots,
            announced,
            records,
            places,
            cells,
            runs,
            whole: whole.pad_to_align(),
            slot_count,
            participants,
            cell_count,
            fields: Fields::of(cell_count as u64, participants as u64),
        })
    }
}
