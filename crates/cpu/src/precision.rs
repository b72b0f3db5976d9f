//! The choice of the numbers that convolutions and attention multiply.

use super::bf16;
use std::cell::Cell;

/// What convolutions and self-attention round their inputs and weights to before they multiply. All else is f32, sums too.
///
/// Like [`Isa`](crate::Isa), every public kernel reads it once, on the thread that calls it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// No rounding.
    #[default]
    F32,
    /// bf16, a f32 with 8 significant bits (relative error up to 2⁻⁸), by the processor's tile unit (AMX), in [`conv2d`](crate::conv2d),
    /// [`conv1x1_joined`](crate::conv1x1_joined), [`self_attention`](crate::self_attention) and their gradients. Convolutions that gain nothing
    /// from it stay f32: those of other sizes than 1×1 and 3×3, and those with few channels ([`is_bf16`](crate::is_bf16)). So do kernels that
    /// are more than one of these, and those of [`winograd`](crate::winograd). Without a tile unit it is emulated, with the same bits, which is
    /// slow.
    Bf16,
}

thread_local! {
    /// What [`Precision::with`] has chosen for this thread.
    static CHOSEN: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Puts back what was chosen before, also where a kernel panics.
struct Restore(Precision);

impl Drop for Restore {
    fn drop(&mut self) {
        CHOSEN.set(self.0);
    }
}

impl Precision {
    /// The one that kernels use which this thread calls: that of [`Precision::with`], or else f32.
    pub fn current() -> Self {
        CHOSEN.get()
    }

    /// Runs `f`, in which kernels that this thread calls use this precision. Other threads keep theirs; a job of theirs that this thread takes over
    /// while it waits within `f` sees this one.
    pub fn with<R>(self, f: impl FnOnce() -> R) -> R {
        let _restore = Restore(CHOSEN.replace(self));
        f()
    }

    /// Whether this processor has a unit for it, which the system lets the process use.
    pub fn is_supported(self) -> bool {
        match self {
            Self::F32 => true,
            Self::Bf16 => bf16::has_tiles(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_the_threads_own_and_ends_with_its_function() {
        let seen = Precision::Bf16.with(|| {
            let inner = Precision::F32.with(Precision::current);
            let other = std::thread::spawn(Precision::current).join().unwrap();
            [Precision::current(), inner, other]
        });
        assert_eq!(seen, [Precision::Bf16, Precision::F32, Precision::F32]);
        assert!(std::panic::catch_unwind(|| Precision::Bf16.with(|| panic!("on purpose"))).is_err());
        assert_eq!(Precision::current(), Precision::F32);
    }
}
