//! Going through an array some examples at a time, so that it is never in memory beside what is made of it.

use std::ops::ControlFlow;

use sfumato_files::memory;
use sfumato_files::{NpyError, NpyReader};

use super::DataError;
use super::content::{Checksum, Value};
use super::kept::Kept;

/// Values that are read at a time, or one example where that has more.
const AT_A_TIME: usize = 1 << 18;

/// Whether there is more to look at.
type Further = ControlFlow<()>;
/// What looks at some values, and the number of values before them.
type Each<'a, T> = dyn FnMut(usize, &[T]) -> Result<Further, DataError> + 'a;

/// An array that can be read again and again.
pub(super) trait Source {
    /// The array, at its start.
    fn open(&mut self) -> Result<NpyReader<'_>, DataError>;
}

/// What the elements of an array are read as.
pub(super) trait Element: Copy {
    /// The next `count` elements, in the order of the file.
    fn next(reader: &mut NpyReader<'_>, values: &mut Vec<Self>, count: usize) -> Result<(), NpyError>;
    /// All elements in C order.
    fn all(reader: NpyReader<'_>) -> Result<Vec<Self>, NpyError>;
}

impl Element for u8 {
    fn next(reader: &mut NpyReader<'_>, values: &mut Vec<u8>, count: usize) -> Result<(), NpyError> {
        reader.next_bytes(values, count)
    }

    fn all(reader: NpyReader<'_>) -> Result<Vec<u8>, NpyError> {
        reader.read_bytes()
    }
}

impl Element for f32 {
    fn next(reader: &mut NpyReader<'_>, values: &mut Vec<f32>, count: usize) -> Result<(), NpyError> {
        reader.next_numbers(values, count)
    }

    fn all(reader: NpyReader<'_>) -> Result<Vec<f32>, NpyError> {
        reader.read_numbers()
    }
}

/// An array, example by example.
pub(super) struct Passes<'s, T> {
    source: &'s mut dyn Source,
    /// All of it, where the file has another order: its examples are spread over the whole file.
    turned: Option<Vec<T>>,
    /// Values of an example.
    example: usize,
    count: usize,
}

impl<'s, T: Element> Passes<'s, T> {
    /// Of `count` examples with so many values each.
    pub(super) fn new(source: &'s mut dyn Source, example: usize, count: usize) -> Result<Self, DataError> {
        let turned = {
            let reader = source.open()?;
            if reader.fortran_order() { Some(T::all(reader)?) } else { None }
        };
        Ok(Passes { source, turned, example, count })
    }

    /// Number of examples.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// All values in order, some whole examples at a time, with the number of values before them.
    pub(super) fn all(&mut self, each: &mut Each<'_, T>) -> Result<(), DataError> {
        let (total, step) = (self.count * self.example, (AT_A_TIME / self.example).max(1) * self.example);
        let starts = (0..total).step_by(step);
        if let Some(values) = &self.turned {
            for start in starts {
                if each(start, &values[start..(start + step).min(total)])?.is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let mut reader = self.source.open()?;
        let mut values = Vec::new();
        for start in starts {
            T::next(&mut reader, &mut values, step.min(total - start))?;
            if each(start, &values)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The examples of these numbers, which are sorted.
    fn some(&mut self, wanted: &[usize], each: &mut dyn FnMut(&[T])) -> Result<(), DataError> {
        let n = self.example;
        if let Some(values) = &self.turned {
            wanted.iter().for_each(|&i| each(&values[i * n..(i + 1) * n]));
            return Ok(());
        }
        let mut reader = self.source.open()?;
        let (mut values, mut at) = (Vec::new(), 0);
        for &i in wanted {
            reader.skip((i - at) * n)?;
            T::next(&mut reader, &mut values, n)?;
            each(&values);
            at = i + 1;
        }
        Ok(())
    }

    /// What `make` makes of the examples: of all, or of those of `part`.
    pub(super) fn gather<O: Value>(
        &mut self,
        part: Option<&Kept>,
        example: usize,
        make: &dyn Fn(&[T], &mut Vec<O>),
    ) -> Result<Vec<O>, DataError> {
        let count = part.map_or(self.count, |part| part.sorted().len());
        let total = (count as u64).checked_mul(example as u64);
        let Some(mut out) = total.and_then(memory::reserve) else {
            let path = self.source.open()?.path().to_owned();
            return Err(DataError::BadSize { path, shape: vec![count as u64, example as u64] });
        };
        match part {
            Some(part) => self.some(part.sorted(), &mut |values| make(values, &mut out))?,
            None => self.all(&mut |_, values| {
                make(values, &mut out);
                Ok(ControlFlow::Continue(()))
            })?,
        }
        Ok(out)
    }

    /// The checksum of what `make` makes of all examples.
    pub(super) fn checksum<O: Value>(
        &mut self,
        shape: &[usize],
        labels: Option<&[u32]>,
        make: &dyn Fn(&[T], &mut Vec<O>),
    ) -> Result<String, DataError> {
        let mut sum = Checksum::new::<O>(self.count, shape, labels.is_some());
        let mut made = Vec::new();
        self.all(&mut |_, values| {
            made.clear();
            make(values, &mut made);
            sum.update(&made);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(sum.finish(labels))
    }
}
