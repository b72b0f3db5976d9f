//! The choice of the numbers that convolutions and attention multiply.

use std::cell::Cell;

/// What convolutions and self-attention round their inputs and weights to before they multiply. Weights, norms, losses, optimizers and all sums stay f32.
///
/// [`Precision::with`] chooses it for the operations that the calling thread makes in a function, as PyTorch's `autocast` does; gradients are computed
/// as their forward operation was, wherever that is. `Flex` and `NdArray` know it; other backends compute as ever.
///
/// ```
/// use sfumato_kernels::Precision;
///
/// let inside = Precision::Bf16.with(Precision::current);
/// assert_eq!((inside, Precision::current()), (Precision::Bf16, Precision::F32));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// No rounding.
    #[default]
    F32,
    /// bf16 (relative error up to 2⁻⁸), by the processor's tile unit: 3×3 convolutions with stride 1 or 2 and 1×1 convolutions, with at least 16
    /// channels on both sides, and self-attention over pixels with at least 16 channels a head. Without a tile unit it is emulated, with the same bits, which is slow.
    Bf16,
}

thread_local! {
    /// What [`Precision::with`] has chosen for this thread.
    static CHOSEN: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Puts back what was chosen before, also where an operation panics.
struct Restore(Precision);

impl Drop for Restore {
    fn drop(&mut self) {
        CHOSEN.set(self.0);
    }
}

impl Precision {
    /// What this thread has chosen, f32 if nothing.
    pub fn current() -> Self {
        CHOSEN.get()
    }

    /// Runs `f`, in which operations of this thread use this precision. A job of another thread that this one takes over while it waits within
    /// `f` sees it too.
    pub fn with<R>(self, f: impl FnOnce() -> R) -> R {
        let _restore = Restore(CHOSEN.replace(self));
        f()
    }

    /// As configurations and the command line call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// Whether this processor is faster with it, or as fast: bf16 needs a tile unit (AMX, Xeon since 2023) that the system lets programs use.
    pub fn is_supported(self) -> bool {
        match self {
            Self::F32 => true,
            #[cfg(any(feature = "flex", feature = "ndarray"))]
            Self::Bf16 => sfumato_cpu::Precision::Bf16.is_supported(),
            #[cfg(not(any(feature = "flex", feature = "ndarray")))]
            Self::Bf16 => false,
        }
    }
}

/// Runs `f`, in which the slice kernels use what this thread has chosen.
#[cfg(any(feature = "flex", feature = "ndarray"))]
pub(crate) fn on_host<R>(f: impl FnOnce() -> R) -> R {
    let precision = match Precision::current() {
        Precision::F32 => sfumato_cpu::Precision::F32,
        Precision::Bf16 => sfumato_cpu::Precision::Bf16,
    };
    precision.with(f)
}

/// Whether the slice kernels multiply bf16 in a convolution with so many input and output channels.
#[cfg(any(feature = "flex", feature = "ndarray"))]
pub(crate) fn in_bf16(c: usize, k: usize) -> bool {
    Precision::current() == Precision::Bf16 && sfumato_cpu::is_bf16(c, k)
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
