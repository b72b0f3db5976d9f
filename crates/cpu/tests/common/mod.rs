//! Naive f64 references, and what tests of slice kernels share.
#![allow(dead_code)] // every test binary uses a part

use proptest::test_runner::Config;
use sfumato_cpu::{AdamConstants, Conv2d, GroupNorm, Isa};

/// Relative error `|got - want| / |want|` that a kernel may have.
pub(crate) const TOLERANCE: f64 = 1e-5;

/// Approximately normal random numbers.
pub(crate) fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut s = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..n).map(|_| ((0..6).map(|_| uniform()).sum::<f32>() - 3.0) * 1.414).collect()
}

pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|v| f64::from(*v)).collect()
}

/// `|got - want| / |want|`, or the absolute error where `want` is 0.
pub(crate) fn error(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let difference: f64 = got.iter().zip(want).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    let size: f64 = want.iter().map(|b| b * b).sum();
    (difference / if size > 0.0 { size } else { 1.0 }).sqrt()
}

/// Constants of an update of Adam, none of them of no effect.
pub(crate) const ADAM: AdamConstants = AdamConstants {
    grad_scale: 0.7,
    beta_1: 0.9,
    one_minus_beta_1: 0.1,
    beta_2: 0.99,
    one_minus_beta_2: 0.01,
    step_size: 0.02,
    root: 3.0,
    epsilon: 1e-3,
    shrink: 0.02,
    follow: 0.05,
};

/// Panics unless sums over many terms are within [`TOLERANCE`] of the norm of these, as a sum may be next to nothing beside them.
pub(crate) fn assert_sums_close(what: &str, got: &[f32], want: &[f64], terms: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let size = terms.iter().map(|d| d * d).sum::<f64>().sqrt();
    for (got, want) in got.iter().zip(want) {
        assert!((f64::from(*got) - want).abs() <= TOLERANCE * size, "{what}: {got} {want} beside {size}");
    }
}

#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f64]) {
    let e = error(got, want);
    assert!(e <= TOLERANCE, "{what}: relative error {e:e}");
}

/// As many cases of a property as the environment variable `PROPTEST_CASES` says, or else `few`.
pub(crate) fn cases(few: u32) -> Config {
    let environment = Config { failure_persistence: None, ..Config::default() };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { environment.cases } else { few };
    Config { cases, ..environment }
}

/// Runs `f` with every instruction set of this machine, for the kernels that this thread calls.
pub(crate) fn on_every_isa(mut f: impl FnMut(Isa)) {
    for isa in Isa::ALL {
        isa.with(|| f(isa));
    }
}

const GUARD: usize = 64;

/// Values written by `f` into the middle of a longer slice that held guard values: all of the middle must be written,
/// nothing else.
#[track_caller]
pub(crate) fn guarded(n: usize, f: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mark = f32::from_bits(0x7fc5_1234); // a NaN that no computation makes
    // An odd offset, so that the middle is not aligned to a vector.
    let (before, after) = (GUARD + 3, GUARD);
    let mut all = vec![mark; before + n + after];
    f(&mut all[before..before + n]);
    let is_mark = |v: &f32| v.to_bits() == mark.to_bits();
    assert!(all[..before].iter().all(is_mark), "written before the output");
    assert!(all[before + n..].iter().all(is_mark), "written after the output");
    let middle = all[before..before + n].to_vec();
    let missed = middle.iter().position(is_mark);
    assert!(missed.is_none(), "value {missed:?} of {n} was not written");
    middle
}

/// Calls `f(x index, y index, w index)` for every product of a convolution.
fn products(s: &Conv2d, mut f: impl FnMut(usize, usize, usize)) {
    let (oh, ow) = s.output_size();
    let [top, left, _, _] = s.padding;
    for n in 0..s.n {
        for k in 0..s.k {
            for c in 0..s.c {
                for tap in 0..s.side * s.side {
                    for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
                        let (iy, ix) = (y * s.stride + tap / s.side, x * s.stride + tap % s.side);
                        if iy < top || ix < left || iy - top >= s.h || ix - left >= s.w {
                            continue;
                        }
                        f(
                            ((n * s.c + c) * s.h + iy - top) * s.w + ix - left,
                            ((n * s.k + k) * oh + y) * ow + x,
                            (k * s.c + c) * s.side * s.side + tap,
                        );
                    }
                }
            }
        }
    }
}

pub(crate) fn conv(s: &Conv2d, x: &[f64], w: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
    let (oh, ow) = s.output_size();
    let bias = |i: usize| bias.map_or(0.0, |b| b[i / (oh * ow) % s.k]);
    let mut y: Vec<f64> = (0..s.output_len()).map(bias).collect();
    products(s, |a, b, c| y[b] += x[a] * w[c]);
    y
}

pub(crate) fn conv_backward_input(s: &Conv2d, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; s.input_len()];
    products(s, |a, b, c| dx[a] += dy[b] * w[c]);
    dx
}

/// Gradients of weight and bias.
pub(crate) fn conv_backward_weight(s: &Conv2d, x: &[f64], dy: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut dw = vec![0.0; s.weight_len()];
    products(s, |a, b, c| dw[c] += x[a] * dy[b]);
    let (oh, ow) = s.output_size();
    let mut db = vec![0.0; s.k];
    for (i, v) in dy.iter().enumerate() {
        db[i / (oh * ow) % s.k] += v;
    }
    (dw, db)
}

fn silu(z: f64) -> f64 {
    z / (1.0 + (-z).exp())
}

/// `scale` and `offset` are `[c]` or `[n, c]`.
pub(crate) fn group_norm(s: &GroupNorm, x: &[f64], scale: &[f64], offset: &[f64]) -> Vec<f64> {
    let len = s.c / s.groups * s.hw;
    let mut y = Vec::new();
    for (group, values) in x.chunks(len).enumerate() {
        let mean = values.iter().sum::<f64>() / len as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / len as f64;
        for (i, v) in values.iter().enumerate() {
            let c = (group * len + i) / s.hw % scale.len();
            let z = (v - mean) / (variance + f64::from(s.eps)).sqrt() * scale[c] + offset[c];
            y.push(if s.silu { silu(z) } else { z });
        }
    }
    y
}

/// Gradients of x, scale and offset (the latter for every image), the chain rule written out step by step.
pub(crate) fn group_norm_backward(
    s: &GroupNorm,
    x: &[f64],
    scale: &[f64],
    offset: &[f64],
    dy: &[f64],
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let len = s.c / s.groups * s.hw;
    let m = len as f64;
    let (mut dx, mut d_scale, mut d_offset) = (Vec::new(), vec![0.0; s.n * s.c], vec![0.0; s.n * s.c]);
    for (group, (values, dy)) in x.chunks(len).zip(dy.chunks(len)).enumerate() {
        let mean = values.iter().sum::<f64>() / m;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / m;
        let rstd = 1.0 / (variance + f64::from(s.eps)).sqrt();
        let mut d_normed = Vec::new();
        let normed: Vec<f64> = values.iter().map(|v| (v - mean) * rstd).collect();
        for i in 0..len {
            let channel = (group * len + i) / s.hw;
            let c = channel % scale.len();
            let z = normed[i] * scale[c] + offset[c];
            let sigmoid = 1.0 / (1.0 + (-z).exp());
            let slope = if s.silu { sigmoid + z * sigmoid * (1.0 - sigmoid) } else { 1.0 };
            let dz = dy[i] * slope;
            d_scale[channel] += dz * normed[i];
            d_offset[channel] += dz;
            d_normed.push(dz * scale[c]);
        }
        let a = d_normed.iter().sum::<f64>() / m;
        let b = d_normed.iter().zip(&normed).map(|(d, h)| d * h).sum::<f64>() / m;
        dx.extend((0..len).map(|i| rstd * (d_normed[i] - a - normed[i] * b)));
    }
    (dx, d_scale, d_offset)
}

/// `y = softmax(q kᵀ / sqrt(d)) v` of one head, and the gradients of `Σ y dy`.
pub(crate) fn attention_head([n, m, d, d_v]: [usize; 4], [q, k, v]: [&[f64]; 3], dy: &[f64]) -> [Vec<f64>; 4] {
    let factor = 1.0 / (d as f64).sqrt();
    let mut y = vec![0.0; n * d_v];
    let (mut dq, mut dk, mut dv) = (vec![0.0; n * d], vec![0.0; m * d], vec![0.0; m * d_v]);
    for i in 0..n {
        let dot = |j: usize| (0..d).map(|c| q[i * d + c] * k[j * d + c]).sum::<f64>() * factor;
        let scores: Vec<f64> = (0..m).map(dot).collect();
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|s| (s - top).exp()).sum();
        let p: Vec<f64> = scores.iter().map(|s| (s - top).exp() / total).collect();
        let dp: Vec<f64> = (0..m).map(|j| (0..d_v).map(|c| dy[i * d_v + c] * v[j * d_v + c]).sum()).collect();
        let mean: f64 = p.iter().zip(&dp).map(|(p, d)| p * d).sum();
        for j in 0..m {
            let ds = p[j] * (dp[j] - mean) * factor;
            for c in 0..d_v {
                y[i * d_v + c] += p[j] * v[j * d_v + c];
                dv[j * d_v + c] += p[j] * dy[i * d_v + c];
            }
            for c in 0..d {
                dq[i * d + c] += ds * k[j * d + c];
                dk[j * d + c] += ds * q[i * d + c];
            }
        }
    }
    [y, dq, dk, dv]
}
