//! Scratch memory in parts of bf16 and f32.

use crate::scratch;

/// Floats of a cache line, which every part begins at.
const LINE: usize = 16;

/// A pointer that parallel tasks share; each writes its own part.
#[derive(Debug)]
pub(super) struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<T> {}

// SAFETY: a bare address; whoever writes through it promises that tasks write to disjoint places.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(super) fn new(values: &mut [T]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// The same memory from another address on.
    pub(super) fn from(at: *mut T) -> Self {
        Self(at)
    }

    #[inline(always)]
    pub(super) fn at(self, offset: usize) -> *mut T {
        self.0.wrapping_add(offset)
    }
}

/// Scratch memory that is cut into parts from its start, each aligned to 64 bytes, with unspecified values.
pub(super) struct Parts<'a>(&'a mut [f32]);

impl<'a> Parts<'a> {
    pub(super) fn floats(&mut self, count: usize) -> &'a mut [f32] {
        let (part, rest) = std::mem::take(&mut self.0).split_at_mut(floats_of(count));
        self.0 = rest;
        &mut part[..count]
    }

    pub(super) fn halves(&mut self, count: usize) -> &'a mut [u16] {
        let part = self.floats(count.div_ceil(2));
        // SAFETY: two u16 lie where one f32 lay, whose alignment is larger; all bits are values of both.
        unsafe { std::slice::from_raw_parts_mut(part.as_mut_ptr().cast::<u16>(), count) }
    }
}

/// Floats that a part of so many takes.
fn floats_of(count: usize) -> usize {
    count.next_multiple_of(LINE)
}

/// Runs `f` with scratch memory for parts of so many bf16 and so many f32.
pub(super) fn with<R>(halves: &[usize], floats: &[usize], f: impl FnOnce(Parts) -> R) -> R {
    let of_halves = halves.iter().map(|count| floats_of(count.div_ceil(2)));
    let all = of_halves.chain(floats.iter().map(|count| floats_of(*count))).sum();
    scratch::with(all, |values| f(Parts(values)))
}
