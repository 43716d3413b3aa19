//! Sorting by a number: most of a check's time goes here.

/// Bits of one pass, and so the size of its table of counts: 16 KiB, which stays in the first cache.
const BITS: u32 = 11;
/// Up to so many items are sorted by moving one after the other to its place.
const FEW: usize = 64;

/// What has a number to be sorted by. (A trait and not a closure: one copy of the code for each
/// type, which is felt in the size of the C library.)
pub(super) trait Numbered: Copy {
    fn number(&self) -> u64;
}

impl Numbered for u64 {
    fn number(&self) -> u64 {
        *self
    }
}

impl<A: Copy> Numbered for (u64, A) {
    fn number(&self) -> u64 {
        self.0
    }
}

impl<A: Copy, B: Copy> Numbered for (u64, A, B) {
    fn number(&self) -> u64 {
        self.0
    }
}

/// Sorts by the number, of a pair or a triple by the first; those with equal ones keep their order.
///
/// One pass for every 11 bits by which the numbers differ, each a walk through all items. Stamps and
/// numbered values need two or three, where comparing takes twenty.
#[inline(never)]
pub(super) fn sort_by_number<T: Numbered>(items: &mut Vec<T>) {
    if items.is_sorted_by_key(T::number) {
        return;
    }
    if items.len() <= FEW {
        for end in 1..items.len() {
            let item = items[end];
            let after = |other: &T| other.number() <= item.number();
            let place = items[..end].partition_point(after);
            items.copy_within(place..end, place + 1);
            items[place] = item;
        }
        return;
    }
    let (mut least, mut most) = (u64::MAX, 0);
    for item in items.iter() {
        let number = item.number();
        (least, most) = (least.min(number), most.max(number));
    }
    let bits = u64::BITS - (most - least).leading_zeros();
    let mut other = items.clone();
    for pass in 0..bits.div_ceil(BITS) {
        let digit =
            |item: &T| ((item.number() - least) >> (pass * BITS)) as usize & ((1 << BITS) - 1);
        let mut places = [0; 1 << BITS];
        for item in items.iter() {
            places[digit(item)] += 1;
        }
        // Nothing to do where all have the same digit.
        if places.contains(&items.len()) {
            continue;
        }
        let mut sum = 0;
        for place in &mut places {
            sum += std::mem::replace(place, sum);
        }
        for item in items.iter() {
            let place = &mut places[digit(item)];
            other[*place] = *item;
            *place += 1;
        }
        std::mem::swap(items, &mut other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sorts_and_keeps_the_order_of_equals() {
        let mut random = 1_u64;
        for (len, range) in [
            (0, 1),
            (1, 1),
            (60, 50),
            (60, 5),
            (300, 50),
            (5000, 7),
            (5000, 3000),
            (5000, u64::MAX),
        ] {
            for base in [0, u64::MAX - range.saturating_sub(1)] {
                let mut items: Vec<(u64, usize)> = (0..len)
                    .map(|i| {
                        random = random
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1);
                        (base.saturating_add((random >> 3) % range), i)
                    })
                    .collect();
                let mut expected = items.clone();
                expected.sort();
                sort_by_number(&mut items);
                assert_eq!(items, expected);
            }
        }
    }
}
