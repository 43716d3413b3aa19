//! The spoiler: words of a segment, and wrong values for them.

use turtle_buffers::os::segment::Segment;

use crate::support::Random;

/// The words behind the head, as a hostile process sees them.
pub(crate) struct Words<'a>(pub(crate) &'a Segment);

impl Words<'_> {
    fn count(&self) -> usize {
        self.0.len() / 8
    }
    fn read(&self, index: usize) -> u64 {
        assert!(index < self.count());
        // SAFETY: inside the mapping and aligned; volatile, for others write too.
        unsafe { self.0.base().cast::<u64>().add(index).read_volatile() }
    }
    fn write(&self, index: usize, value: u64) {
        assert!(index < self.count());
        // SAFETY: as above.
        unsafe { self.0.base().cast::<u64>().add(index).write_volatile(value) };
    }

    /// A word that matters: benches, the engine's header, a slot.
    fn choose(&self, random: &mut Random) -> usize {
        let index = match random.below(8) {
            0 => 16 + 16 * random.below(4) + random.below(3), // benches, 128 bytes apart
            1..=4 => 80 + 16 * random.below(4) + random.below(2), // the engine's header
            _ => 80 + random.below(self.count() - 80),
        };
        index.min(self.count() - 1)
    }

    pub(crate) fn spoil(&self, random: &mut Random) {
        let index = self.choose(random);
        let now = self.read(index);
        let step = 1_u64 << random.below(64);
        let value = match random.below(14) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << 63,
            3 => now ^ step,
            4 => now.wrapping_add(1),
            5 => now.wrapping_sub(1),
            6 => now.wrapping_add(step),
            7 => now.wrapping_sub(step),
            8 => now | 1 << 63,
            9 => u64::MAX - random.below(64) as u64,
            10 => (1 << 63) - 1 - random.below(64) as u64,
            11 => random.below(200) as u64,
            12 => self.read(self.choose(random)),
            _ => random.word(),
        };
        self.write(index, value);
        if random.one_in(4) {
            // The same value elsewhere: words that agree get further.
            for _ in 0..1 + random.below(6) {
                self.write(
                    self.choose(random),
                    value.wrapping_add(random.below(3) as u64),
                );
            }
        }
    }
}
