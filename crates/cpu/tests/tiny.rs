//! Every public function once, with sizes so small that an interpreter gets through: `cargo xtask miri` runs this file. Here the results
//! of one thread and of two are compared.

mod calls;
mod common;

use calls::{Kind, Plain, public_functions};
use sfumato_cpu::Precision;
use std::collections::BTreeSet;

/// Sizes that take as many ways through the kernels as so few values can.
const SIZES: [(Kind, &[usize]); 21] = [
    (Kind::Conv, &[1, 1, 2, 3, 4, 3, 1, 1, 1, 1, 1]),
    (Kind::Conv, &[2, 5, 6, 3, 3, 3, 1, 1, 1, 1, 1]),
    (Kind::Conv, &[1, 5, 1, 3, 4, 3, 1, 1, 1, 1, 1]),
    (Kind::Conv, &[1, 2, 3, 3, 3, 1, 1, 0, 0, 0, 0]),
    (Kind::Conv, &[1, 2, 3, 4, 5, 3, 2, 0, 0, 1, 1]),
    (Kind::Conv, &[1, 1, 2, 4, 3, 2, 3, 1, 0, 0, 1]),
    (Kind::Joined, &[2, 1, 2, 3, 5]),
    (Kind::Winograd, &[1, 2, 3, 3, 2]),
    (Kind::Winograd, &[1, 17, 1, 2, 5]),
    (Kind::Upsampled, &[1, 2, 1, 2, 1]),
    (Kind::Norm, &[1, 4, 5, 2, 1, 1]),
    (Kind::Norm, &[2, 2, 17, 1, 0, 2]),
    (Kind::NormConv, &[1, 2, 1, 2, 2, 3, 1, 1]),
    (Kind::Attention, &[1, 3, 2, 2, 3]),
    (Kind::SelfAttention, &[1, 2, 3, 2]),
    (Kind::Block, &[1, 2, 3, 1, 3, 1, 1]),
    (Kind::Block, &[1, 2, 3, 2, 2, 2, 0]),
    (Kind::Linear, &[3, 2, 4]),
    (Kind::Product, &[3, 4, 2]),
    (Kind::Elementwise, &[19]),
    (Kind::Moves, &[1, 2, 2, 3]),
];

/// Those that are called in bf16 too: as few channels as it is for.
const IN_BF16: [(Kind, &[usize]); 5] = [
    (Kind::Conv, &[1, 17, 16, 2, 3, 3, 1, 1, 1, 1, 1]),
    (Kind::Conv, &[1, 16, 17, 1, 3, 1, 1, 0, 0, 0, 0]),
    (Kind::Conv, &[1, 16, 17, 3, 4, 3, 2, 0, 1, 1, 0]),
    (Kind::Joined, &[1, 3, 14, 17, 5]),
    (Kind::SelfAttention, &[1, 2, 3, 16]),
];

fn calls_with(threads: usize) -> Plain {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be had");
    let run = || {
        let plain = Plain::default();
        SIZES.iter().for_each(|(kind, sizes)| kind.call(&plain, sizes, sizes));
        Precision::Bf16.with(|| IN_BF16.iter().for_each(|(kind, sizes)| kind.call(&plain, sizes, sizes)));
        PlainCalls(plain)
    };
    pool.install(run).0
}

/// The calls of one thread are looked at by another when they are done.
struct PlainCalls(Plain);

// SAFETY: all vectors are gone when it is handed over, and with them every other reference to what it counts.
unsafe impl Send for PlainCalls {}

#[test]
fn every_function_gives_the_same_with_one_thread_and_two() {
    let one = calls_with(1);
    let public: BTreeSet<String> = public_functions().into_iter().collect();
    assert_eq!(one.names(), public);
    let two = calls_with(2);
    for (one, two) in one.calls().iter().zip(&two.calls()) {
        assert_eq!(one, two);
    }
}
