//! Results do not depend on the number of threads, bit for bit.

mod common;

use common::*;
use sfumato_cpu::winograd::{UpsampleConv3x3, upsample_conv3x3, upsample_conv3x3_backward};
use sfumato_cpu::{self as cpu, *};

/// Runs `f` with an instruction set and 1, 2, 3 and 7 threads.
#[track_caller]
fn same_with_any_threads(isa: Isa, what: &str, f: impl Fn() -> Vec<Vec<f32>> + Sync) {
    let mut first: Option<Vec<Vec<f32>>> = None;
    for threads in [1, 2, 3, 7] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let got = pool.install(|| isa.with(&f)).expect("it is supported");
        let bits = |x: &Vec<Vec<f32>>| x.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>();
        match &first {
            None => first = Some(got),
            Some(first) => assert!(bits(first) == bits(&got), "{what} differs with {threads} threads"),
        }
    }
}

#[test]
fn convolutions_do_not_depend_on_threads() {
    let base = Conv2d { n: 5, c: 40, k: 33, h: 14, w: 14, side: 3, stride: 1, padding: [1; 4] };
    let sizes = [
        base,
        Conv2d { n: 2, c: 160, k: 144, h: 8, w: 8, ..base },
        Conv2d { n: 1, c: 16, k: 16, h: 6, w: 6, ..base },
        Conv2d { c: 1, ..base },
        Conv2d { k: 3, ..base },
        Conv2d { stride: 2, ..base },
        Conv2d { n: 1, h: 9, w: 33, stride: 2, padding: [0, 0, 1, 1], ..base },
        Conv2d { h: 32, w: 32, stride: 2, ..base },
        Conv2d { w: 17, stride: 3, ..base },
        Conv2d { side: 1, padding: [0; 4], ..base },
        Conv2d { n: 11, side: 1, padding: [0; 4], ..base },
        Conv2d { n: 18, c: 250, k: 270, h: 7, w: 9, side: 1, padding: [0; 4], ..base },
    ];
    on_every_isa(|isa| {
        for s in &sizes {
            let (x, w, dy) = (random(1, s.input_len()), random(2, s.weight_len()), random(3, s.output_len()));
            same_with_any_threads(isa, &format!("{isa:?} {s:?}"), || {
                let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
                let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; s.k]);
                cpu::conv2d(s, &x, &w, None, None, &mut y);
                conv2d_backward_input(s, &dy, &w, None, &mut dx);
                conv2d_backward_weight(s, &x, &dy, Some(&mut dw), Some(&mut db));
                let (mut all_dx, mut all_dw, mut all_db) = (dx.clone(), dw.clone(), db.clone());
                conv2d_backward(s, &x, &dy, &w, None, &mut all_dx, &mut all_dw, Some(&mut all_db));
                vec![y, dx, dw, db, all_dx, all_dw, all_db]
            });
        }
    });
}

#[test]
fn attention_does_not_depend_on_threads() {
    let sizes = [[1, 1, 300], [1, 1, 1100], [1, 3, 257], [2, 1, 512], [9, 1, 130]];
    on_every_isa(|isa| {
        for [images, heads, tokens] in sizes {
            let s = SelfAttention { images, heads, tokens, d: 6 };
            let len = images * heads * tokens * s.d;
            let (qkv, dy) = (random(1, 3 * len), random(2, len));
            same_with_any_threads(isa, &format!("{isa:?} {s:?}"), || {
                let (mut y, mut dqkv) = (vec![0.0; len], vec![0.0; 3 * len]);
                self_attention(&s, &qkv, &mut y);
                self_attention_backward(&s, &qkv, &dy, &mut dqkv);
                vec![y, dqkv]
            });
        }
    });
}

#[test]
fn upsampled_convolutions_do_not_depend_on_threads() {
    let sizes = [
        UpsampleConv3x3 { n: 9, c: 40, k: 33, h: 14, w: 14 },
        // Sums of the weight gradient that no core's cache holds
        UpsampleConv3x3 { n: 3, c: 160, k: 144, h: 8, w: 7 },
        UpsampleConv3x3 { n: 1, c: 16, k: 16, h: 3, w: 3 },
    ];
    on_every_isa(|isa| {
        for s in &sizes {
            let (x, w, dy) = (random(1, s.input_len()), random(2, s.weight_len()), random(3, s.output_len()));
            same_with_any_threads(isa, &format!("{isa:?} {s:?}"), || {
                let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
                let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; s.k]);
                upsample_conv3x3(s, &x, &w, None, &mut y);
                upsample_conv3x3_backward(s, &x, &dy, &w, None, &mut dx, &mut dw, &mut db);
                vec![y, dx, dw, db]
            });
        }
    });
}

#[test]
fn joined_convolutions_do_not_depend_on_threads() {
    on_every_isa(|isa| {
        for s in [2, 11].map(|n| JoinedConv1x1 { n, c: [37, 20], k: 29, pixels: 150 }) {
            let x = [0, 1].map(|i| random(i as u64, s.input_len(i)));
            let (w, dy) = (random(2, s.weight_len()), random(3, s.output_len()));
            let x = [&x[0][..], &x[1][..]];
            same_with_any_threads(isa, &format!("{isa:?} {s:?}"), || {
                let (mut y, mut dw, mut db) = (vec![0.0; dy.len()], vec![0.0; w.len()], vec![0.0; s.k]);
                let [mut dx, mut d_skip] = [0, 1].map(|i| vec![0.0; s.input_len(i)]);
                conv1x1_joined(&s, x, &w, None, &mut y);
                conv1x1_joined_backward_input(&s, &dy, &w, [None, None], [&mut dx, &mut d_skip]);
                conv1x1_joined_backward_weight(&s, x, &dy, Some(&mut dw), Some(&mut db));
                let (mut all_dw, mut all_db) = (dw.clone(), db.clone());
                let [mut all_dx, mut all_d_skip] = [dx.clone(), d_skip.clone()];
                let all = [&mut all_dx[..], &mut all_d_skip[..]];
                conv1x1_joined_backward(&s, x, &dy, &w, [None; 2], all, &mut all_dw, Some(&mut all_db));
                vec![y, dx, d_skip, dw, db, all_dx, all_d_skip, all_dw, all_db]
            });
        }
    });
}

#[test]
fn adam_does_not_depend_on_threads() {
    on_every_isa(|isa| {
        same_with_any_threads(isa, &format!("{isa:?}"), || {
            let lengths = [1, 0, 33, 50_000, 17, 16 * 1024];
            let mut all: Vec<Vec<f32>> =
                lengths.iter().flat_map(|n| [0; 5].map(|_| *n)).map(|n| random(1, n)).collect();
            let slices = all.chunks_exact_mut(5).map(|five| match five {
                [grad, param, m, v, ema] => {
                    v.iter_mut().for_each(|v| *v *= *v);
                    AdamSlices { grad, param, m, v, ema: Some(ema) }
                }
                _ => unreachable!("chunks of five"),
            });
            adam(&ADAM, slices.collect());
            all
        });
    });
}

#[test]
fn the_rest_does_not_depend_on_threads() {
    let x = random(1, 64 * 1024 + 100);
    let (q, k) = (random(2, 3 * 200 * 16), random(3, 3 * 200 * 16));
    let s = Attention { heads: 3, n: 200, m: 200, d: 16, d_v: 16 };
    let norm = GroupNorm { n: 3, c: 16, hw: 200, groups: 4, eps: 1e-5, silu: true };
    let ones = vec![1.0; 16];
    on_every_isa(|isa| {
        same_with_any_threads(isa, &format!("{isa:?}"), || {
            let sum = sum_of_squares(&[&x, &q, &[], &k]).to_bits();
            let halves = vec![f32::from_bits(sum as u32), f32::from_bits((sum >> 32) as u32)];
            let (mut y, mut dy) = (vec![0.0; q.len()], vec![0.0; q.len()]);
            cpu::attention(&s, [&q, &k, &q], &mut y);
            let (mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; q.len()]);
            attention_backward(&s, [&q, &k, &q], &y, [&mut dy, &mut dk, &mut dv]);
            let (mut mean, mut rstd, mut normed) = (vec![0.0; 12], vec![0.0; 12], vec![0.0; 3 * 16 * 200]);
            let affine = Affine { scale: &ones, offset: &ones };
            let input = NormInput { x: &q[..3 * 10 * 200], skip: &q[..3 * 6 * 200], bias: &k[..48] };
            cpu::group_norm(&norm, input, affine, &mut normed, &mut mean, &mut rstd);
            let [mut dx, mut d_skip] = [vec![0.0; 3 * 10 * 200], vec![0.0; 3 * 6 * 200]];
            let [mut d_bias, mut d_scale, mut d_offset] = [const { [0.0; 48] }; 3];
            let statistics = Statistics { mean: &mean, rstd: &rstd };
            let d = NormGradients {
                x: &mut dx,
                skip: &mut d_skip,
                bias: &mut d_bias,
                scale: &mut d_scale,
                offset: &mut d_offset,
                y: &mut [],
            };
            cpu::group_norm_backward(&norm, input, statistics, affine, &x[..9600], [None, None], d);
            let sums = [d_bias, d_scale, d_offset].concat();
            let (mut lw, mut lb) = (vec![0.0; 32 * 32], vec![0.0; 32]);
            linear_backward_weight([300, 32, 32], &x[..9600], &q[..9600], &mut lw);
            sum_rows(&x[..9600], 32, &mut lb);
            vec![halves, y, dy, dk, dv, mean, rstd, normed, dx, d_skip, sums, lw, lb]
        });
    });
}

#[test]
fn convolutions_behind_norms_do_not_depend_on_threads() {
    // In two chunks
    let s =
        NormConv { norm: GroupNorm { n: 14, c: 64, hw: 784, groups: 8, eps: 1e-5, silu: true }, k: 8, h: 28, w: 28 };
    let GroupNorm { n, c, hw, groups, .. } = s.norm;
    let (x, dy, w) = (random(1, n * c * hw), random(2, s.output_len()), random(3, 9 * s.k * c));
    let (scale, offset) = (random(4, c), random(5, c));
    let affine = Affine { scale: &scale, offset: &offset };
    let statistics = [vec![0.1; n * groups], vec![0.9; n * groups]];
    let [mean, rstd] = &statistics;
    on_every_isa(|isa| {
        same_with_any_threads(isa, &format!("{isa:?}"), || {
            let [mut dx, mut d_scale, mut d_offset] = [x.len(), n * c, n * c].map(|len| vec![0.0; len]);
            let (mut dw, mut db) = (vec![0.0; w.len()], vec![0.0; s.k]);
            let norm = NormGradients {
                x: &mut dx,
                skip: &mut [],
                bias: &mut [],
                scale: &mut d_scale,
                offset: &mut d_offset,
                y: &mut [],
            };
            let d = NormConvGradients { norm, weight: &mut dw, bias: &mut db };
            let statistics = Statistics { mean, rstd };
            norm_conv_backward(&s, x[..].into(), statistics, affine, &w, &dy, [None, None], d);
            vec![dx, d_scale, d_offset, dw, db]
        });
    });
}
