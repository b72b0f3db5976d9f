//! The choice of the instruction set.
//!
//! Every public kernel reads it once, on the thread that calls it ([`Isa::current`]), and hands it down as an argument: the threads that
//! share the work never ask. So one kernel never mixes two, and [`Isa::with`] of one thread does not change what others compute.
//!
//! # To add one
//! 1. `src/NAME.rs`: its vectors, an implementation of [`Simd`] (`avx2.rs` is the shortest to copy).
//! 2. This file: the variant and [`Isa::ALL`], and a line in [`Isa::name`], [`Isa::is_supported`], [`Isa::gemm_rows`] and `isa_entry`.
//!    The compiler names those that are missing.
//! 3. `src/lib.rs`: `mod NAME;`.
//!
//! Kernels are generic over [`Simd`], and tests run every instruction set of [`Isa::ALL`] that the machine has: nothing else changes.

use super::simd::Simd;
use std::cell::Cell;
use std::sync::OnceLock;

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain Rust in 16-lane arrays; the compiler vectorises it for the target's baseline (SSE2, NEON).
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512F.
    Avx512,
}

thread_local! {
    /// What [`Isa::with`] has chosen for this thread.
    static CHOSEN: Cell<Option<Isa>> = const { Cell::new(None) };
}

/// Puts back what was chosen before, also where a kernel panics.
struct Restore(Option<Isa>);

impl Drop for Restore {
    fn drop(&mut self) {
        CHOSEN.set(self.0);
    }
}

impl Isa {
    /// All of them, the slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// What the environment variable `SFUMATO_ISA` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this processor has it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => Self::Avx2.is_supported() && is_x86_feature_detected!("avx512f"),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The one that kernels use which this thread calls: that of [`Isa::with`], or else that of the process. The latter is what the
    /// environment variable `SFUMATO_ISA` named when the first kernel was called (`avx512`, `avx2` or `portable`), if it is supported,
    /// or else the best that is.
    pub fn current() -> Self {
        static OF_PROCESS: OnceLock<Isa> = OnceLock::new();
        CHOSEN.get().unwrap_or_else(|| *OF_PROCESS.get_or_init(Self::choose))
    }

    /// Runs `f`, in which kernels that this thread calls use this instruction set; `None`, without running it, where it is not
    /// supported. For tests and measurements.
    ///
    /// Other threads keep theirs: within `f`, kernels that are called inside of `rayon::join` or `ThreadPool::install` may not see it.
    pub fn with<R>(self, f: impl FnOnce() -> R) -> Option<R> {
        self.is_supported().then(|| {
            let _restore = Restore(CHOSEN.replace(Some(self)));
            f()
        })
    }

    /// Rows of the largest micro-kernel of matrix products.
    pub(super) fn gemm_rows(self) -> usize {
        match self {
            Self::Portable => super::portable::Portable::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::avx2::Avx2::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => super::avx512::Avx512::ROWS,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => unreachable!("not supported, so never current"),
        }
    }

    #[cold]
    fn choose() -> Self {
        let named = std::env::var("SFUMATO_ISA").ok();
        let mut best = Self::Portable;
        for isa in Self::ALL.into_iter().filter(|isa| isa.is_supported()) {
            if named.as_deref() == Some(isa.name()) {
                return isa;
            }
            best = isa;
        }
        best
    }
}

/// Defines `unsafe fn name(isa: Isa, a: &Arg)`, which runs `generic::<S, ..>(a)` compiled for `isa`.
///
/// The generic function must be `#[inline(always)]` (as everything it calls), so that it is compiled inside the
/// function that enables the instructions. Closures do not inherit them: use loops and macros.
macro_rules! isa_entry {
    ($(#[$doc:meta])* $vis:vis $name:ident [$($gen:ident : $bound:path),*] = $generic:ident ($arg:ty)) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// That of the generic function it runs, and the processor must have `isa`.
        $vis unsafe fn $name<$($gen: $bound),*>(isa: $crate::isa::Isa, a: &$arg) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx2,fma")]
            unsafe fn v4<$($gen: $bound),*>(a: &$arg) {
                // SAFETY: the caller's contract; AVX-512 is enabled here.
                unsafe { $generic::<$crate::avx512::Avx512, $($gen),*>(a) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn v3<$($gen: $bound),*>(a: &$arg) {
                // SAFETY: the caller's contract; AVX2 and FMA are enabled here.
                unsafe { $generic::<$crate::avx2::Avx2, $($gen),*>(a) }
            }
            unsafe fn v1<$($gen: $bound),*>(a: &$arg) {
                // SAFETY: the caller's contract.
                unsafe { $generic::<$crate::portable::Portable, $($gen),*>(a) }
            }
            // SAFETY: the caller's contract.
            unsafe {
                match isa {
                    $crate::isa::Isa::Portable => v1::<$($gen),*>(a),
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx2 => v3::<$($gen),*>(a),
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx512 => v4::<$($gen),*>(a),
                    #[cfg(not(target_arch = "x86_64"))]
                    $crate::isa::Isa::Avx2 | $crate::isa::Isa::Avx512 => unreachable!("not supported, so never current"),
                }
            }
        }
    };
}
pub(super) use isa_entry;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_the_threads_own_and_ends_with_its_function() {
        let before = Isa::current();
        for isa in Isa::ALL {
            let seen = isa.with(|| (Isa::current(), std::thread::spawn(Isa::current).join().unwrap()));
            assert_eq!(seen, isa.is_supported().then_some((isa, before)));
            assert_eq!(Isa::current(), before);
        }
        let nested = Isa::Portable.with(|| before.with(Isa::current).map(|inner| (inner, Isa::current())));
        assert_eq!(nested, Some(Some((before, Isa::Portable))));
    }

    #[test]
    fn a_choice_ends_with_a_panic() {
        let before = Isa::current();
        assert!(std::panic::catch_unwind(|| Isa::Portable.with(|| panic!("on purpose"))).is_err());
        assert_eq!(Isa::current(), before);
    }
}
