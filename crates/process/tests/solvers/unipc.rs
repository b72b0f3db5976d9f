//! UniPC: what it is the same as, and how fast it approaches the exact solution.

use burn::{
    backend::Flex,
    tensor::{DType, Tensor, TensorData},
};
use proptest::prelude::*;
use sfumato_process::{
    Chain, Denoiser, NoiseLevels, Parameterization, SeededNoise,
    levels::Sigmas,
    sampler::{DpmSolver, DpmSolverOptions, SolverOrder, Stepper, UniPc, UniPcOptions, UniPcScale},
};

use super::{DEVICE, LogOracle, Oracle, X_T, chain_error, evenly_in_log, schedule};

/// The end of a walk with states in `f64`.
fn walked(sampler: &mut dyn Stepper<Flex, 2>, denoiser: &dyn Denoiser<Flex, 2>, start: &[f64]) -> Vec<f64> {
    let start = TensorData::new(start.to_vec(), [1, start.len()]);
    let mut x = Tensor::from_data(start, (&DEVICE, DType::F64));
    for step in 1..=sampler.total() {
        x = sampler.step(step, x, denoiser, &SeededNoise::new(0)).unwrap().x;
    }
    x.into_data().iter::<f64>().collect()
}

/// A start that two walks share.
const START: [f64; 3] = [-1.5, 0.1, 2.0];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Zhao et al. (2023), §3: without the corrector, and with `B₂`, the first two orders are those of DPM-Solver++. Of the first order it does
    /// not matter which integral is solved either.
    #[test]
    fn without_corrector_the_first_orders_are_dpm_solver(
        mut steps in prop::collection::btree_set(1..1000usize, 1..20),
        second: bool,
        to_data: bool,
    ) {
        steps.insert(1000);
        let order = if second { SolverOrder::Second } else { SolverOrder::First };
        let sigmas = Sigmas::of(&schedule());
        let mut levels: Vec<_> = steps.iter().rev().map(|&t| sigmas.level(t as f64)).collect();
        // The order of a step to clean data is 1.
        let end = if to_data || levels.len() == 1 { None } else { levels.pop() };
        let levels = NoiseLevels::new(levels, end).unwrap();
        let chain = Chain::new(&schedule(), Parameterization::X0);
        let dpm = DpmSolverOptions { order, lower_order_final: false, ..DpmSolverOptions::default() };
        let expected = walked(&mut DpmSolver::new(&chain, &levels, dpm), &Oracle, &START);
        for predict_x0 in if second { &[true][..] } else { &[true, false] } {
            let options = UniPcOptions {
                order,
                predict_x0: *predict_x0,
                lower_order_final: false,
                disable_corrector: (0..20).collect(),
                ..UniPcOptions::default()
            };
            let found = walked(&mut UniPc::new(&chain, &levels, options), &Oracle, &START);
            for (found, expected) in found.iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{} {}", found, expected);
            }
        }
    }

    #[test]
    fn every_option_ends_in_finite_samples(
        mut steps in prop::collection::btree_set(1..1000usize, 0..20),
        order in 1..=3u8,
        bh1: bool,
        predict_x0: bool,
        lower_order_final: bool,
        disable_corrector in prop::collection::vec(0..20usize, 0..4),
        to_data: bool,
    ) {
        steps.insert(1000);
        let sigmas = Sigmas::of(&schedule());
        let levels: Vec<_> = steps.iter().rev().map(|&t| sigmas.level(t as f64)).collect();
        let levels = NoiseLevels::new(levels, (!to_data).then(|| sigmas.level(1.0))).unwrap();
        let scale = if bh1 { UniPcScale::Bh1 } else { UniPcScale::Bh2 };
        let order = order.try_into().unwrap();
        let options = UniPcOptions { order, scale, predict_x0, lower_order_final, disable_corrector };
        let chain = Chain::new(&schedule(), Parameterization::X0);
        let x = walked(&mut UniPc::new(&chain, &levels, options), &Oracle, &START);
        prop_assert!(x.iter().all(|x| x.is_finite()), "{:?}", x);
    }
}

/// The error at the end, with states in `f64`.
fn error(options: UniPcOptions, count: usize) -> f64 {
    let levels = evenly_in_log(count);
    let chain = Chain::new(&schedule(), Parameterization::X0);
    let mut solver = UniPc::new(&chain, &levels, options);
    chain_error(walked(&mut solver, &LogOracle::new(), &[X_T])[0], &levels, false)
}

/// UniPC-p is of the order `p + 1` with the corrector and `p` without; the first steps, of lower orders, leave 3 at most.
#[test]
fn errors_fall_at_the_order_of_the_method() {
    for (p, corrected, uncorrected) in [(1u8, 2.0, 1.0), (2, 3.0, 2.0), (3, 3.0, 3.0)] {
        for scale in [UniPcScale::Bh1, UniPcScale::Bh2] {
            for predict_x0 in [true, false] {
                let error = |count, disable_corrector| {
                    let order = p.try_into().unwrap();
                    let options =
                        UniPcOptions { order, scale, predict_x0, lower_order_final: false, disable_corrector };
                    error(options, count)
                };
                for (order, disabled) in [(corrected, vec![]), (uncorrected, (0..400).collect::<Vec<_>>())] {
                    let (coarse, fine) = (error(100, disabled.clone()), error(200, disabled));
                    let name = format!("UniPC-{p} {scale:?}, predict_x0 {predict_x0}, order {order}");
                    println!(
                        "{name}: {coarse:.2e} with 100 steps, {fine:.2e} with 200, order {:.2}",
                        (coarse / fine).log2()
                    );
                    assert!((coarse / fine).log2() > order - 0.3, "{name}: {coarse} with 100 steps, {fine} with 200");
                }
            }
        }
    }
}
