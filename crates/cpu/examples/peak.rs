//! The machine's f32 multiply-add peak, with one thread and with all: what kernels are to be compared with.
//!
//!     cargo run --release -p sfumato-cpu --example peak

use sfumato_cpu::Isa;
use std::hint::black_box;
use std::time::Instant;

/// Independent accumulators: enough to hide the latency, few enough to stay in registers.
const CHAINS: usize = 10;
const STEPS: usize = 10_000_000;

/// `STEPS` dependent multiply-adds in each of the chains; a macro, so that the accumulators are named registers.
#[cfg(target_arch = "x86_64")]
macro_rules! chains {
    ($x:expr, $y:expr, $fma:ident, $sum:expr; $($a:ident)*) => {{
        let (x, y) = ($x, $y);
        $(let mut $a = x;)*
        for _ in 0..STEPS {
            $($a = $fma($a, x, y);)*
        }
        let mut sum = 0.0;
        $(sum += $sum($a);)*
        sum
    }};
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{STEPS, black_box};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512() -> f32 {
        let (x, y) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
        chains!(x, y, _mm512_fmadd_ps, |v| _mm512_reduce_add_ps(v); a b c d e f g h i j)
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2() -> f32 {
        let (x, y) = (_mm256_set1_ps(black_box(0.999)), _mm256_set1_ps(black_box(0.001)));
        chains!(x, y, _mm256_fmadd_ps, |v| _mm256_cvtss_f32(v); a b c d e f g h i j)
    }
}

fn portable() -> f32 {
    let (x, y) = (black_box(0.999f32), black_box(0.001f32));
    let mut chains = [[x; 8]; CHAINS];
    for _ in 0..STEPS {
        for lane in chains.as_flattened_mut() {
            *lane = *lane * x + y;
        }
    }
    chains.as_flattened().iter().sum()
}

/// Runs the chains of an instruction set, and returns its lanes.
fn run(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `isa` is one that the processor supports.
        Isa::Avx512 => {
            black_box(unsafe { x86::avx512() });
            16
        }
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => {
            black_box(unsafe { x86::avx2() });
            8
        }
        _ => {
            black_box(portable());
            8
        }
    }
}

fn main() {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        for threads in [1, all] {
            let start = Instant::now();
            let lanes = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|_| scope.spawn(move || run(isa))).collect();
                threads.into_iter().map(|thread| thread.join().expect("the loop cannot panic")).max()
            });
            let operations = 2 * threads * STEPS * CHAINS * lanes.unwrap_or(0);
            let seconds = start.elapsed().as_secs_f64();
            println!("{isa:?}, {threads} thread(s): {:.1} GFLOP/s", operations as f64 / seconds / 1e9);
        }
    }
}
