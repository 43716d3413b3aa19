//! What a batch push takes its elements from.

/// The elements of a batch: an iterator that can take one back.
///
/// A ring may find out that there is no room for an element after it has taken
/// it from the iterator. It is put back then, and comes first next time; so
/// nothing is lost, whatever a batch push answers.
///
/// ```
/// use turtle_buffers::{Batch, Ring, strategy::Turn};
/// let ring = Ring::<u64, Turn>::new(2).unwrap();
/// let mut producer = ring.producer().unwrap();
/// let mut values = Batch::new([1, 2, 3]);
/// assert_eq!(producer.try_push_batch(&mut values), Ok(2));
/// assert_eq!(values.next(), Some(3));
/// ```
#[derive(Clone, Debug)]
pub struct Batch<I: Iterator> {
    pub(crate) values: I,
    pub(crate) back: Option<I::Item>,
}

impl<I: Iterator> Batch<I> {
    /// The elements of `values`, in order.
    pub fn new(values: impl IntoIterator<IntoIter = I>) -> Self {
        Self {
            values: values.into_iter(),
            back: None,
        }
    }

    /// The iterator, and the element before its next one if it was put back.
    pub fn into_parts(self) -> (I, Option<I::Item>) {
        (self.values, self.back)
    }
}

impl<I: Iterator> Iterator for Batch<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        self.back.take().or_else(|| self.values.next())
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        let one = usize::from(self.back.is_some());
        let (least, most) = self.values.size_hint();
        (
            least.saturating_add(one),
            most.and_then(|n| n.checked_add(one)),
        )
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for Batch<I> {}
