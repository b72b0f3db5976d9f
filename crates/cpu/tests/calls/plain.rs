//! Ordinary vectors, and what every call left in them.

use super::{Memory, Results, first_word};
use crate::common::random;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

/// Vectors, whose bits are noted after every call.
#[derive(Default)]
pub(crate) struct Plain {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    /// Where the outputs are, and how long.
    outputs: Vec<(*const f32, usize)>,
    calls: Vec<(String, u64)>,
}

impl Plain {
    /// What was called, with a digest of all outputs and results after it.
    pub(crate) fn calls(&self) -> Vec<(String, u64)> {
        self.state.borrow().calls.clone()
    }

    /// The kernels that were called.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.state.borrow().calls.iter().map(|(what, _)| first_word(what).to_owned()).collect()
    }
}

/// A vector, which says when it is gone.
pub(crate) struct Vector {
    values: Vec<f32>,
    output_of: Option<Rc<RefCell<State>>>,
}

impl Deref for Vector {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for Vector {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl Drop for Vector {
    fn drop(&mut self) {
        if let Some(state) = &self.output_of {
            state.borrow_mut().outputs.retain(|(at, _)| *at != self.values.as_ptr());
        }
    }
}

/// FNV-1a over words.
fn digest(hash: &mut u64, values: &[f32]) {
    for value in values {
        *hash = (*hash ^ u64::from(value.to_bits())).wrapping_mul(0x100_0000_01b3);
    }
}

impl Memory for Plain {
    type Values = Vector;

    fn input(&self, seed: u64, len: usize) -> Vector {
        Vector { values: random(seed, len), output_of: None }
    }

    fn output(&self, len: usize) -> Vector {
        // Never without memory, so that every output has an address of its own.
        let mut values = Vec::with_capacity(len + 1);
        values.resize(len, f32::NAN);
        self.state.borrow_mut().outputs.push((values.as_ptr(), len));
        Vector { values, output_of: Some(self.state.clone()) }
    }

    fn call<R: Results>(&self, what: &str, sizes: &dyn Debug, f: impl FnOnce() -> R) {
        let results = f();
        let mut state = self.state.borrow_mut();
        let mut hash = 0xcbf2_9ce4_8422_2325;
        results.each(&mut |values| digest(&mut hash, values));
        for &(at, len) in &state.outputs {
            // SAFETY: the vector is there until its `Vector` is dropped, and nobody writes it between calls.
            digest(&mut hash, unsafe { std::slice::from_raw_parts(at, len) });
        }
        state.calls.push((format!("{what} {sizes:?}"), hash));
    }
}
