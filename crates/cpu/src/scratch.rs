//! Scratch memory of the kernels: aligned, reused by every thread, counted.
//!
//! Fresh memory costs a page fault every 4 KiB, which for the transforms of a convolution is as much time as its
//! arithmetic. So every thread keeps the buffers that it has used, advised to be huge pages; a thread holds at most
//! [`KEPT`] of them, one for each level of nesting.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Buffers kept by a thread; deeper nesting allocates.
const KEPT: usize = 6;
/// Size and alignment of a huge page in bytes.
const HUGE: usize = 2 << 20;
/// Alignment of small buffers, a cache line.
const LINE: usize = 64;

/// Bytes of scratch in all threads.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// Bytes of scratch memory that the kernels hold now, in all threads together.
pub fn scratch_bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// Gives the scratch memory of this thread and of Rayon's current pool back.
pub fn release_scratch() {
    let drop_all = || SLOTS.with_borrow_mut(Vec::clear);
    drop_all();
    rayon::broadcast(|_| drop_all());
}

/// An aligned buffer of floats with unspecified values.
#[derive(Debug)]
pub(super) struct Buffer {
    at: NonNull<f32>,
    layout: Layout,
}

// SAFETY: a buffer owns its memory.
unsafe impl Send for Buffer {}
// SAFETY: behind a shared reference it is only read.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Memory and alignment of a buffer of at least `floats`, in bytes.
    fn size_align(floats: usize) -> (usize, usize) {
        let bytes = floats.checked_mul(size_of::<f32>()).expect("a kernel's scratch is far below isize::MAX").max(LINE);
        let align = if bytes >= HUGE { HUGE } else { LINE };
        (bytes.next_multiple_of(align), align)
    }

    /// Bytes of a buffer for so many floats.
    pub(super) fn bytes_for(floats: usize) -> usize {
        Self::size_align(floats).0
    }

    /// Room for at least `floats`.
    pub(super) fn new(floats: usize) -> Self {
        let (bytes, align) = Self::size_align(floats);
        let layout = Layout::from_size_align(bytes, align).expect("a kernel's scratch is far below isize::MAX");
        // SAFETY: the size is not zero.
        let at = unsafe { alloc_zeroed(layout) };
        let Some(at) = NonNull::new(at.cast::<f32>()) else {
            handle_alloc_error(layout);
        };
        if align == HUGE {
            advise_huge_pages(at, layout.size());
        }
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        Self { at, layout }
    }

    fn floats(&self) -> usize {
        self.layout.size() / size_of::<f32>()
    }

    pub(super) fn values(&self) -> &[f32] {
        // SAFETY: its own memory, initialised when it was allocated.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.floats()) }
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.floats()) }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        BYTES.fetch_sub(self.layout.size(), Ordering::Relaxed);
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.at.as_ptr().cast(), self.layout) }
    }
}

/// A hint; it may fail without harm. Miri knows no such call.
#[cfg(all(target_os = "linux", not(miri)))]
fn advise_huge_pages(at: NonNull<f32>, bytes: usize) {
    unsafe extern "C" {
        fn madvise(addr: *mut u8, len: usize, advice: i32) -> i32;
    }
    const MADV_HUGEPAGE: i32 = 14;
    // SAFETY: the range is this buffer's own and page-aligned; the advice changes no contents.
    let _ = unsafe { madvise(at.as_ptr().cast(), bytes, MADV_HUGEPAGE) };
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn advise_huge_pages(_: NonNull<f32>, _: usize) {}

thread_local! {
    static SLOTS: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` floats of this thread's scratch, 64-byte aligned, with unspecified values. May be nested.
pub(super) fn with<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SLOTS.with_borrow_mut(|slots| take(slots, len));
    // SAFETY: the buffer has room for `len` floats, all initialised when it was allocated, and is borrowed by
    // nobody else while it is out of the slots.
    let result = f(unsafe { std::slice::from_raw_parts_mut(buffer.at.as_mut(), len) });
    SLOTS.with_borrow_mut(|slots| {
        if slots.len() < KEPT {
            slots.push(buffer);
        }
    });
    result
}

/// The smallest kept buffer that fits, or a new one instead of the largest.
fn take(slots: &mut Vec<Buffer>, len: usize) -> Buffer {
    slots.sort_by_key(Buffer::floats);
    match slots.iter().position(|buffer| buffer.floats() >= len) {
        Some(i) => slots.remove(i),
        None => {
            slots.pop();
            Buffer::new(len)
        }
    }
}

/// A pointer that parallel tasks share; each writes its own part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared(*mut f32);

// SAFETY: a bare address; whoever writes through it promises that tasks write to disjoint places.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(super) fn new(slice: &mut [f32]) -> Self {
        Self(slice.as_mut_ptr())
    }

    /// For reading only.
    pub(super) fn read(slice: &[f32]) -> Self {
        Self(slice.as_ptr().cast_mut())
    }

    /// Null where there is no slice.
    pub(super) fn read_option(slice: Option<&[f32]>) -> Self {
        Self(slice.map_or(std::ptr::null(), <[f32]>::as_ptr).cast_mut())
    }

    /// The same memory from another address on.
    pub(super) fn from(at: *mut f32) -> Self {
        Self(at)
    }

    #[inline(always)]
    pub(super) fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_reused_and_released() {
        rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread can be had").install(|| {
            let first = with(1000, |a| a.as_ptr() as usize);
            let nested = with(900, |a| {
                a.fill(1.0);
                with(800, |b| {
                    b.fill(2.0);
                    (a.as_ptr() as usize, b.as_ptr() as usize)
                })
            });
            assert_eq!(first, nested.0);
            assert_ne!(nested.0, nested.1);
            assert!(scratch_bytes() >= 4 * 1800);
            release_scratch();
            assert!(SLOTS.with_borrow(Vec::is_empty));
        });
    }
}
