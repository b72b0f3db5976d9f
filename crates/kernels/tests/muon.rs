//! Steps by Muon, against the formula in f64.

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    module::{AutodiffModule, Module, Param},
    tensor::{Tensor, TensorData, backend::Backend},
};
use sfumato_kernels::{Adam, AdamOptions};

type Train = Autodiff<Flex>;

/// The filters of a convolution, and a vector beside them.
#[derive(Module, Debug)]
struct Layer<B: Backend> {
    filters: Param<Tensor<B, 4>>,
    bias: Param<Tensor<B, 1>>,
}

/// Numbers in [-1, 1) that look like chance.
fn numbers(count: usize, salt: u64) -> Vec<f32> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32) / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Row-major `[n, k] · [k, m]`.
fn product(a: &[f64], b: &[f64], [n, k, m]: [usize; 3]) -> Vec<f64> {
    let mut c = vec![0.0; n * m];
    for i in 0..n {
        for j in 0..m {
            c[i * m + j] = (0..k).map(|l| a[i * k + l] * b[l * m + j]).sum();
        }
    }
    c
}

fn transposed(a: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    (0..rows * columns).map(|i| a[(i % rows) * columns + i / rows]).collect()
}

/// Five iterations of Jordan et al. (2024), always on the side of the rows.
fn orthogonal(x: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut x: Vec<f64> = x.iter().map(|x| x / norm).collect();
    for _ in 0..5 {
        let square = product(&x, &transposed(&x, [rows, columns]), [rows, columns, rows]);
        let fourth = product(&square, &square, [rows, rows, rows]);
        let once = product(&square, &x, [rows, rows, columns]);
        let twice = product(&fourth, &x, [rows, rows, columns]);
        x = (0..x.len()).map(|i| 3.4445 * x[i] - 4.7750 * once[i] + 2.0315 * twice[i]).collect();
    }
    x
}

#[test]
fn steps_are_those_of_the_formula() {
    for (case, [rows, channels, side]) in
        [[3, 2, 3], [8, 1, 1], [16, 5, 3], [20, 24, 1], [1, 4, 3]].into_iter().enumerate()
    {
        let columns = channels * side * side;
        let size = rows * columns;
        let start = numbers(size, case as u64);
        let filters =
            Tensor::<Train, 4>::from_data(TensorData::new(start.clone(), [rows, channels, side, side]), &FlexDevice);
        let bias = Tensor::<Train, 1>::from_data(TensorData::new(numbers(rows, 99), [rows]), &FlexDevice);
        let mut net = Layer { filters: Param::from_tensor(filters), bias: Param::from_tensor(bias) };
        let options = AdamOptions { clip_norm: 0.0, weight_decay: 0.1, ema_decay: 0.5, ..AdamOptions::default() };
        let mut by_muon = Adam::new(&options, &net.valid()).with_muon(vec![true, true]);
        let mut by_adam = Adam::new(&options, &net.valid());
        let (mut w, mut m, mut ema) =
            (start.iter().map(|x| f64::from(*x)).collect::<Vec<_>>(), vec![0.0; size], Vec::new());
        ema.clone_from(&w);
        let lr = 0.05;
        for step in 1..=3 {
            let slope = numbers(size, 1000 * step + case as u64);
            let at = Tensor::<Train, 4>::from_data(
                TensorData::new(slope.clone(), [rows, channels, side, side]),
                &FlexDevice,
            );
            let loss = |net: &Layer<Train>| (net.filters.val() * at.clone()).sum() + net.bias.val().square().sum();
            let other = net.clone();
            let mut gradients = loss(&net).backward();
            (net, _) = by_muon.step::<Train, _>(net, &mut gradients, step, lr);
            let mut gradients = loss(&other).backward();
            let (other, _) = by_adam.step::<Train, _>(other, &mut gradients, step, lr);
            // The vector has no directions, and stays with Adam.
            assert_eq!(net.bias.val().to_data(), other.bias.val().to_data());
            let ahead: Vec<f64> = (0..size)
                .map(|i| {
                    let gradient = 0.05 * f64::from(slope[i]);
                    m[i] = 0.95 * m[i] + gradient;
                    0.95 * m[i] + gradient
                })
                .collect();
            let direction = orthogonal(&ahead, [rows, columns]);
            let length = (rows.max(columns) as f64).sqrt();
            let decay = 0.5_f64.min(step as f64 / (9.0 + step as f64));
            for i in 0..size {
                w[i] = w[i] * (1.0 - lr * 0.1) - lr * length * direction[i];
                ema[i] += (1.0 - decay) * (w[i] - ema[i]);
            }
            let state = &by_muon.states()[0];
            for (what, found, expected) in [
                ("weights", net.filters.val().to_data(), &w),
                ("momentum", state.m.to_data(), &m),
                ("average", state.ema.as_ref().unwrap().to_data(), &ema),
            ] {
                for (found, expected) in found.to_vec::<f32>().unwrap().into_iter().zip(expected) {
                    assert!(
                        (f64::from(found) - expected).abs() < 2e-5 * (1.0 + expected.abs()),
                        "{what}, case {case}, step {step}: {found} {expected}"
                    );
                }
            }
            assert!(state.v.to_data().to_vec::<f32>().unwrap().iter().all(|v| *v == 0.0));
        }
    }
}
