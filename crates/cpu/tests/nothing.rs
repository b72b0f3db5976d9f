//! Every public function with one of its sizes 0: it refuses, or writes all that it is to write. Results in new memory are only as good as that.

mod calls;
mod common;

use calls::{Kind, Memory, Results};
use common::random;
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// A size that says which values there are, and one of each kind of kernels that takes all ways where something is missing.
const SIZES: [(Kind, &[usize]); 15] = [
    (Kind::Conv, &[2, 5, 6, 3, 4, 3, 1, 1, 1, 1, 1]),
    (Kind::Conv, &[2, 5, 6, 3, 4, 1, 1, 0, 0, 0, 0]),
    (Kind::Conv, &[2, 5, 6, 4, 4, 3, 2, 1, 1, 1, 1]),
    (Kind::Conv, &[1, 2, 3, 4, 3, 2, 3, 1, 0, 0, 1]),
    (Kind::Joined, &[2, 3, 2, 3, 5]),
    (Kind::Winograd, &[2, 6, 7, 3, 5]),
    (Kind::Upsampled, &[2, 6, 7, 3, 5]),
    (Kind::Norm, &[2, 4, 5, 2, 1, 3]),
    (Kind::NormConv, &[2, 4, 2, 5, 2, 3, 1, 1]),
    (Kind::Attention, &[2, 3, 4, 5, 6]),
    (Kind::SelfAttention, &[2, 2, 3, 4]),
    (Kind::Block, &[2, 4, 5, 2, 3, 2, 1]),
    (Kind::Linear, &[3, 2, 4]),
    (Kind::Product, &[3, 4, 2]),
    (Kind::Moves, &[2, 3, 4, 5]),
];

/// A NaN that no computation makes.
const MARK: u32 = 0x7fc5_1234;

/// Values that were never written, and the length of their output.
type Left = Rc<RefCell<Vec<(usize, usize)>>>;

/// Outputs that hold marks until they are written.
#[derive(Default)]
struct Marked {
    /// What refused.
    refused: Cell<bool>,
    /// Outputs of which a value was never written.
    left: Left,
}

struct Values {
    values: Vec<f32>,
    output_of: Option<Left>,
}

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values
    }
}

impl DerefMut for Values {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        let marks = self.values.iter().filter(|v| v.to_bits() == MARK).count();
        if let Some(left) = self.output_of.as_ref().filter(|_| marks > 0) {
            left.borrow_mut().push((marks, self.values.len()));
        }
    }
}

impl Memory for Marked {
    type Values = Values;

    fn input(&self, seed: u64, len: usize) -> Values {
        Values { values: random(seed, len), output_of: None }
    }

    fn output(&self, len: usize) -> Values {
        Values { values: vec![f32::from_bits(MARK); len], output_of: Some(self.left.clone()) }
    }

    fn call<R: Results>(&self, _: &str, _: &dyn Debug, f: impl FnOnce() -> R) {
        if catch_unwind(AssertUnwindSafe(f)).is_err() {
            self.refused.set(true);
        }
    }
}

#[test]
fn all_is_written_where_a_size_is_nothing() {
    std::panic::set_hook(Box::new(|_| ()));
    let mut faults = Vec::new();
    for (kind, sizes) in SIZES {
        for i in 0..=sizes.len() {
            // Once with all of them: that the marks are seen to go.
            let mut sizes = sizes.to_vec();
            if i < sizes.len() {
                sizes[i] = 0;
            }
            let memory = Marked::default();
            // The sizes of slices may have no meaning then.
            if catch_unwind(AssertUnwindSafe(|| kind.call(&memory, &sizes, &sizes))).is_err() || memory.refused.get() {
                continue;
            }
            if !memory.left.borrow().is_empty() {
                faults.push(format!("{kind:?} {sizes:?}: {:?} values were not written", memory.left.borrow()));
            }
        }
    }
    let _ = std::panic::take_hook();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
