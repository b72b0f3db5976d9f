//! Slices beside memory that nothing may touch.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Which end of the slices lies at a page without access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// What is read or written before a slice ends the process.
    Start,
    /// What is read or written after it does.
    End,
}

impl Edge {
    pub(crate) const ALL: [Self; 2] = [Self::Start, Self::End];
}

/// Floats in pages of their own, between two pages without access.
pub(crate) struct Fenced {
    map: NonNull<libc::c_void>,
    page: usize,
    /// Bytes of the pages between the two.
    inner: usize,
    values: NonNull<f32>,
    len: usize,
}

impl Fenced {
    /// Values that may be written, at first not a number.
    pub(crate) fn new(edge: Edge, len: usize) -> Self {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).expect("every system has pages");
        let bytes = len * size_of::<f32>();
        let inner = bytes.next_multiple_of(page);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, at an address of the system's choice.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), inner + 2 * page, libc::PROT_NONE, flags, -1, 0) };
        assert!(map != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        let first = match edge {
            Edge::Start => page,
            Edge::End => page + inner - bytes,
        };
        let values = map.wrapping_byte_add(first).cast();
        let [map, values] = [map, values].map(|at| NonNull::new(at).expect("the system maps nothing at zero"));
        let mut fenced = Self { map, page, inner, values: values.cast(), len };
        fenced.protect(libc::PROT_READ | libc::PROT_WRITE);
        fenced.fill(f32::NAN);
        fenced
    }

    /// From now on they may only be read.
    pub(crate) fn read_only(&mut self) {
        self.protect(libc::PROT_READ);
    }

    /// Sets what may be done with the pages between the two.
    fn protect(&self, access: libc::c_int) {
        let from = self.map.as_ptr().wrapping_byte_add(self.page);
        // SAFETY: whole pages of this mapping.
        let done = unsafe { libc::mprotect(from, self.inner, access) };
        assert!(done == 0, "mprotect: {}", std::io::Error::last_os_error());
    }
}

impl Deref for Fenced {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` floats of this mapping, which the system fills with zeros.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }
}

impl DerefMut for Fenced {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed by nobody else.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) }
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        // SAFETY: the whole mapping, which nobody borrows any more.
        unsafe { libc::munmap(self.map.as_ptr(), self.inner + 2 * self.page) };
    }
}
