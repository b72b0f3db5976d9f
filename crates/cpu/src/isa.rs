//! The choice of the instruction set, made once at run time.

use super::simd::Simd;
use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Isa {
    /// Plain Rust in 16-lane arrays; the compiler vectorises it for the target's baseline (SSE2, NEON).
    Portable = 1,
    /// AVX2 with FMA.
    Avx2 = 2,
    /// AVX-512F.
    Avx512 = 3,
}

/// 0: not chosen yet.
static CURRENT: AtomicU8 = AtomicU8::new(0);

impl Isa {
    /// All of them, the slowest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// Whether this processor has it.
    pub fn is_supported(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Portable => true,
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::Avx512 => Self::Avx2.is_supported() && is_x86_feature_detected!("avx512f"),
        }
        #[cfg(not(target_arch = "x86_64"))]
        matches!(self, Self::Portable)
    }

    /// The one in use: the best that is supported, or what the environment variable `SFUMATO_ISA` names
    /// (`avx512`, `avx2` or `portable`) if that is supported, or what [`Isa::force`] chose.
    pub fn current() -> Self {
        match CURRENT.load(Ordering::Relaxed) {
            1 => Self::Portable,
            2 => Self::Avx2,
            3 => Self::Avx512,
            _ => Self::choose(),
        }
    }

    /// Makes every kernel of this process use `isa` from now on; `false`, without effect, where it is not supported.
    /// For tests and measurements: kernels on other threads notice in the middle of an operation, which is harmless.
    pub fn force(isa: Self) -> bool {
        let supported = isa.is_supported();
        if supported {
            CURRENT.store(isa as u8, Ordering::Relaxed);
        }
        supported
    }

    /// Rows of the largest micro-kernel of matrix products.
    pub(super) fn gemm_rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => super::avx512::Avx512::ROWS,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::avx2::Avx2::ROWS,
            _ => super::portable::Portable::ROWS,
        }
    }

    #[cold]
    fn choose() -> Self {
        let named = match std::env::var("SFUMATO_ISA").as_deref() {
            Ok("portable") => Some(Self::Portable),
            Ok("avx2") => Some(Self::Avx2),
            Ok("avx512") => Some(Self::Avx512),
            _ => None,
        };
        let best = Self::ALL.into_iter().rev().find(|isa| isa.is_supported());
        let isa = named.filter(|isa| isa.is_supported()).or(best).unwrap_or(Self::Portable);
        CURRENT.store(isa as u8, Ordering::Relaxed);
        isa
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
        $vis unsafe fn $name<$($gen: $bound),*>(isa: $crate::Isa, a: &$arg) {
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
                    #[cfg(target_arch = "x86_64")]
                    $crate::Isa::Avx512 => v4::<$($gen),*>(a),
                    #[cfg(target_arch = "x86_64")]
                    $crate::Isa::Avx2 => v3::<$($gen),*>(a),
                    _ => v1::<$($gen),*>(a),
                }
            }
        }
    };
}
pub(super) use isa_entry;
