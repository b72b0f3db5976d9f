//! Adam and the sum of squares, of one slice and of many at once, against f64 references and to the last bit.

mod common;

use common::*;
use sfumato_cpu::*;

/// Of slices: nothing, less and more than a vector, than two and than a block.
const LENGTHS: [usize; 14] = [0, 1, 5, 15, 16, 17, 31, 32, 33, 1000, 16 * 1024, 0, 16 * 1024 + 1, 40_003];

/// Gradient, parameter, moments and average.
fn operands(seed: u64, n: usize) -> [Vec<f32>; 5] {
    let mut all: [Vec<f32>; 5] = std::array::from_fn(|i| random(5 * seed + i as u64, n));
    all[3].iter_mut().for_each(|v| *v *= *v);
    all
}

fn slices(of: &mut [Vec<f32>; 5], averaged: bool) -> AdamSlices<'_> {
    let [grad, param, m, v, ema] = of;
    AdamSlices { grad, param, m, v, ema: averaged.then_some(ema) }
}

fn bits(all: &[Vec<f32>]) -> Vec<Vec<u32>> {
    all.iter().map(|x| x.iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn adam_is_right() {
    let n = 16 * 1024 + 37;
    let [grad, param, m, v, ema] = operands(1, n);
    let f = f64::from;
    let mut want = [vec![0.0; n], vec![0.0; n], vec![0.0; n], vec![0.0; n]];
    for i in 0..n {
        let g = f(grad[i]) * f(ADAM.grad_scale);
        want[1][i] = f(m[i]) * f(ADAM.beta_1) + g * f(ADAM.one_minus_beta_1);
        want[2][i] = f(v[i]) * f(ADAM.beta_2) + g * g * f(ADAM.one_minus_beta_2);
        let update = f(ADAM.step_size) * want[1][i] / (want[2][i].sqrt() * f(ADAM.root) + f(ADAM.epsilon));
        want[0][i] = f(param[i]) * (1.0 - f(ADAM.shrink)) - update;
        want[3][i] = f(ema[i]) * (1.0 - f(ADAM.follow)) + want[0][i] * f(ADAM.follow);
    }
    on_every_isa(|isa| {
        let (mut m1, mut v1, mut e1) = (Vec::new(), Vec::new(), Vec::new());
        // Guarded: the state starts as the marks, so copy the old values in first.
        let p1 = guarded(n, |p| {
            p.copy_from_slice(&param);
            m1 = guarded(n, |m1| {
                m1.copy_from_slice(&m);
                v1 = guarded(n, |v1| {
                    v1.copy_from_slice(&v);
                    e1 = guarded(n, |e1| {
                        e1.copy_from_slice(&ema);
                        adam(&ADAM, vec![AdamSlices { grad: &grad, param: p, m: m1, v: v1, ema: Some(e1) }]);
                    });
                });
            });
        });
        for (name, (got, want)) in ["param", "m", "v", "ema"].iter().zip([&p1, &m1, &v1, &e1].iter().zip(&want)) {
            assert_close(&format!("{name} {isa:?}"), got, want);
        }
    });
}

/// A weight around 1 at step `step`: `rest` is where it is if it does not move.
fn weight(step: u64, i: usize, moves: bool) -> f32 {
    let rest = [1.0, -0.37, 5e-3, 80.0][i];
    let noise = random(step, 4)[i];
    if moves { rest * (1.0 + 0.05 * noise) } else { rest }
}

/// The shares of average and weights once were rounded by themselves and added up to 0.99999998: after 10^5 steps every weight had
/// shrunk by 0.02 % with a decay of 0.9999, and by 0.14 % with 0.99999.
#[test]
fn averages_do_not_shrink_in_many_steps() {
    for decay in [0.5, 0.999, 0.9999, 0.99999] {
        let by = AdamConstants { step_size: 0.0, shrink: 0.0, follow: (1.0 - decay) as f32, ..ADAM };
        for moves in [true, false] {
            let mut want: Vec<f64> = (0..4).map(|i| f64::from(weight(0, i, moves))).collect();
            let mut ema: Vec<f32> = (0..4).map(|i| weight(0, i, moves)).collect();
            let (grad, mut m, mut v) = ([0.0; 4], [0.0; 4], [0.0; 4]);
            for step in 1..=100_000 {
                let mut param: [f32; 4] = std::array::from_fn(|i| weight(step, i, moves));
                for (want, param) in want.iter_mut().zip(param) {
                    *want = decay * *want + (1.0 - decay) * f64::from(param);
                }
                let slices =
                    AdamSlices { grad: &grad, param: &mut param, m: &mut m, v: &mut v, ema: Some(&mut ema[..]) };
                adam(&by, vec![slices]);
            }
            for (i, (got, want)) in ema.iter().zip(&want).enumerate() {
                if !moves {
                    assert_eq!(*got, weight(0, i, false), "decay {decay}");
                }
                // A step's rounding, 3e-8, adds up as a random walk of 1 / (1 - decay) steps: to 1e-5.
                let error = (f64::from(*got) / want - 1.0).abs();
                assert!(error < 3e-5, "decay {decay}: {got} for {want}, {error:e}");
            }
        }
    }
}

/// Multiply-and-add rounds once where the instruction set has it, and twice where not; everything else rounds alike everywhere.
#[test]
fn adam_rounds_as_its_formula_says() {
    on_every_isa(|isa| {
        let twice = isa == Isa::Portable && !cfg!(any(target_arch = "aarch64", target_feature = "fma"));
        let fma = |a: f32, b: f32, c: f32| if twice { a * b + c } else { a.mul_add(b, c) };
        let mut got = operands(2, 1003);
        let [grad, mut param, mut m, mut v, mut ema] = got.clone();
        for i in 0..grad.len() {
            let g = grad[i] * ADAM.grad_scale;
            m[i] = fma(m[i], ADAM.beta_1, g * ADAM.one_minus_beta_1);
            v[i] = fma(v[i], ADAM.beta_2, g * g * ADAM.one_minus_beta_2);
            let update = m[i] * ADAM.step_size / fma(v[i].sqrt(), ADAM.root, ADAM.epsilon);
            param[i] -= fma(param[i], ADAM.shrink, update);
            ema[i] = fma(param[i] - ema[i], ADAM.follow, ema[i]);
        }
        adam(&ADAM, vec![slices(&mut got, true)]);
        assert!(bits(&got) == bits(&[grad, param, m, v, ema]), "{isa:?}");
    });
}

#[test]
fn parameters_are_updated_together_as_each_alone() {
    on_every_isa(|isa| {
        let old: Vec<[Vec<f32>; 5]> = (0..).zip(LENGTHS).map(|(seed, n)| operands(seed, n)).collect();
        let (mut alone, mut together) = (old.clone(), old.clone());
        // Every third has no average.
        let averaged = |i: usize| !i.is_multiple_of(3);
        for (i, one) in alone.iter_mut().enumerate() {
            adam(&ADAM, vec![slices(one, averaged(i))]);
        }
        adam(&ADAM, together.iter_mut().enumerate().map(|(i, one)| slices(one, averaged(i))).collect());
        for (i, ((alone, together), old)) in alone.iter().zip(&together).zip(&old).enumerate() {
            assert!(bits(alone) == bits(together), "{isa:?}: parameter {i} of {} values", old[0].len());
            assert_eq!(together[0], old[0]);
            assert!(together[1..4].iter().zip(&old[1..]).all(|(new, old)| old.is_empty() || new != old));
            assert_eq!(together[4] != old[4], averaged(i) && !old[4].is_empty());
        }
        adam(&ADAM, Vec::new());
    });
}

#[test]
#[should_panic(expected = "the second moment has 2 values, expected 3")]
fn slices_of_several_lengths_are_refused() {
    let (mut first, mut second) = (operands(1, 3), operands(2, 3));
    second[3].pop();
    adam(&ADAM, vec![slices(&mut first, true), slices(&mut second, true)]);
}

#[test]
fn sums_of_squares_are_right() {
    let all: Vec<Vec<f32>> = (0..).zip(LENGTHS).map(|(seed, n)| random(seed, n)).collect();
    let square: f64 = all.iter().flatten().map(|x| f64::from(*x).powi(2)).sum();
    // Sums of whole numbers are exact in any order: a value left out, or taken twice, shows.
    let whole: Vec<Vec<f32>> = LENGTHS.iter().map(|n| (1..=*n).map(|i| i as f32).collect()).collect();
    let exact: u64 = LENGTHS.iter().flat_map(|n| 1..=*n as u64).map(|i| i * i).sum();
    let slices = |all: &'_ [Vec<f32>]| sum_of_squares(&all.iter().map(|x| &x[..]).collect::<Vec<_>>());
    on_every_isa(|isa| {
        assert!((slices(&all) / square - 1.0).abs() < 1e-12, "{isa:?}");
        assert_eq!(slices(&whole), exact as f64, "{isa:?}");
        for n in 0..70 {
            let exact: usize = (1..=n).map(|i| i * i).sum();
            assert_eq!(sum_of_squares(&[&whole[10][..n]]), exact as f64, "{isa:?}: {n} values");
        }
        assert_eq!(sum_of_squares(&[&[3e38], &[1e-40]]), f64::from(3e38f32).powi(2), "{isa:?}");
        for nothing in [&[][..], &[&[][..], &[]]] {
            assert_eq!(sum_of_squares(nothing).to_bits(), 0, "{isa:?}");
        }
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(!sum_of_squares(&[&whole[9], &[bad]]).is_finite(), "{isa:?}");
        }
    });
}

#[test]
fn sums_of_squares_are_the_same_bits_with_every_instruction_set() {
    let all: Vec<Vec<f32>> = (0..).zip(LENGTHS).map(|(seed, n)| random(seed, n)).collect();
    let mut first = None;
    on_every_isa(|isa| {
        let each = all.iter().map(|x| sum_of_squares(&[x]).to_bits());
        let together = sum_of_squares(&all.iter().map(|x| &x[..]).collect::<Vec<_>>()).to_bits();
        let sums: Vec<u64> = each.chain([together]).collect();
        assert_eq!(first.get_or_insert_with(|| sums.clone()), &sums, "{isa:?}");
    });
}
