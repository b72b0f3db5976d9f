//! A kernel uses one instruction set from beginning to end, that of the thread that calls it: the threads which share the work do
//! not bring their own.

mod calls;
mod common;

use calls::{Plain, every_case, public_functions};
use sfumato_cpu::Isa;
use std::collections::BTreeSet;

/// What every kernel computes, called by this thread with an instruction set.
fn results(isa: Isa) -> Vec<(String, u64)> {
    let plain = Plain::default();
    let run = || every_case().iter().for_each(|(kind, sizes)| kind.call(&plain, sizes, sizes));
    isa.with(run).expect("it is supported");
    plain.calls()
}

#[test]
fn threads_that_share_the_work_do_not_bring_their_own_instruction_set() {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_supported()) {
        // This thread is outside of the pool, so that all parallel work is done by threads with the process's instruction set.
        let mixed = results(isa);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .spawn_handler(|thread| std::thread::Builder::new().spawn(move || isa.with(|| thread.run())).map(drop));
        let pure = pool.build().expect("two threads can be had").install(|| results(isa));
        for (mixed, pure) in mixed.iter().zip(&pure) {
            assert_eq!(mixed, pure, "{isa:?}");
        }
        assert_eq!(mixed.len(), pure.len());
    }
}

#[test]
fn every_public_kernel_is_among_the_calls() {
    let plain = Plain::default();
    every_case().iter().for_each(|(kind, sizes)| kind.call(&plain, sizes, sizes));
    let public: BTreeSet<String> = public_functions().into_iter().collect();
    assert_eq!(plain.names(), public);
}
