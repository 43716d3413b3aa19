//! Sorting by a number: most of a check's time goes here.

/// Bits of one pass, and so the size of its table of counts: 16 KiB, which stays in the first cache.
const BITS: u32 = 11;
/// Below this many items comparing is faster.
const FEW: usize = 512;

/// Sorts by `key`; items with equal keys keep their order.
///
/// One pass for every 11 bits by which the keys differ, each a walk through all items. Stamps and
/// numbered values need two or three, where comparing takes twenty.
pub(super) fn sort_by_number<T: Copy>(items: &mut Vec<T>, key: impl Fn(&T) -> u64) {
    if items.is_sorted_by_key(&key) {
        return;
    }
    if items.len() < FEW {
        items.sort_by_key(key);
        return;
    }
    let (mut least, mut most) = (u64::MAX, 0);
    for item in items.iter() {
        let key = key(item);
        (least, most) = (least.min(key), most.max(key));
    }
    let bits = u64::BITS - (most - least).leading_zeros();
    let mut other = items.clone();
    for pass in 0..bits.div_ceil(BITS) {
        let digit = |item: &T| ((key(item) - least) >> (pass * BITS)) as usize & ((1 << BITS) - 1);
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

/// Sorts wholly, by a number first: `key` must agree with the order of the items.
pub(super) fn sort_by_number_first<T: Copy + Ord>(items: &mut Vec<T>, key: impl Fn(&T) -> u64) {
    sort_by_number(items, &key);
    for run in items.chunk_by_mut(|a, b| key(a) == key(b)) {
        if run.len() > 1 {
            run.sort_unstable();
        }
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
                sort_by_number(&mut items, |item| item.0);
                assert_eq!(items, expected);
                items.reverse();
                sort_by_number_first(&mut items, |item| item.0);
                assert_eq!(items, expected);
            }
        }
    }
}
