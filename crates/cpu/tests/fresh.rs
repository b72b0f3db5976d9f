//! Kernels with results in new vectors: the bits that the same kernel writes into a slice, every value of them written, and the same
//! refusals.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::*;
use sfumato_cpu::winograd::{self, Conv3x3, Filters, TileSize, UpsampleConv3x3};
use sfumato_cpu::{self as cpu, *};

/// Panics unless `got` has the bits that `f` writes into a slice of its length.
#[track_caller]
fn same(what: &str, got: &[f32], f: impl FnOnce(&mut [f32])) {
    let want = guarded(got.len(), f);
    assert!(got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()), "{what} differs");
}

fn zeros(n: usize) -> Vec<f32> {
    vec![0.0; n]
}

#[test]
fn convolutions_have_the_bits_of_slices() {
    for (n, c, k, side, stride) in [(2, 7, 9, 3, 1), (1, 3, 5, 3, 2), (3, 6, 4, 1, 1), (2, 1, 8, 3, 1), (0, 7, 9, 3, 1)]
    {
        let s = Conv2d { n, c, k, h: 7, w: 5, side, stride, padding: [side / 2; 4] };
        let (x, w, dy) = (random(1, s.input_len()), random(2, s.weight_len()), random(3, s.output_len()));
        let (bias, mut db, mut db_of_slice) = (random(4, k), zeros(k), zeros(k));
        on_every_isa(|_| {
            let y = fresh::conv2d(&s, &x, &w, Some(&bias), Some(&dy));
            same("y", &y, |y| conv2d(&s, &x, &w, Some(&bias), Some(&dy), y));
            let dx = fresh::conv2d_backward_input(&s, &dy, &w, Some(&x));
            same("dx", &dx, |dx| conv2d_backward_input(&s, &dy, &w, Some(&x), dx));
            let dw = fresh::conv2d_backward_weight(&s, &x, &dy, Some(&mut db));
            same("dw", &dw, |dw| conv2d_backward_weight(&s, &x, &dy, Some(dw), Some(&mut db_of_slice)));
            assert_eq!(db, db_of_slice);
            let [dx, dw] = fresh::conv2d_backward(&s, &x, &dy, &w, None, Some(&mut db));
            let mut other = zeros(dw.len());
            same("dx", &dx, |dx| conv2d_backward(&s, &x, &dy, &w, None, dx, &mut other, Some(&mut db_of_slice)));
            same("dw", &dw, |dw| dw.copy_from_slice(&other));
            assert_eq!(db, db_of_slice);
        });
    }
}

#[test]
fn winograd_has_the_bits_of_slices() {
    for (n, c, k) in [(2, 7, 9), (1, 20, 33), (0, 7, 9)] {
        let s = Conv3x3 { n, c, k, h: 6, w: 5 };
        let (x, w, dy) = (random(1, s.input_len()), random(2, s.weight_len()), random(3, s.output_len()));
        let bias = random(4, k);
        let up = UpsampleConv3x3 { n, c, k, h: 6, w: 5 };
        let dy_up = random(5, up.output_len());
        on_every_isa(|_| {
            let filters = Filters::new(TileSize::Four, k, c, &w);
            let y = fresh::conv3x3_filtered(&s, &x, &filters, Some(&bias), Some(&dy));
            same("y", &y, |y| winograd::conv3x3_filtered(&s, &x, &filters, Some(&bias), Some(&dy), y));
            let y = fresh::upsample_conv3x3(&up, &x, &w, Some(&bias));
            same("y", &y, |y| winograd::upsample_conv3x3(&up, &x, &w, Some(&bias), y));
            let [dx, dw, db] = fresh::upsample_conv3x3_backward(&up, &x, &dy_up, &w, Some(&x));
            let (mut dw_of_slice, mut db_of_slice) = (zeros(dw.len()), zeros(k));
            same("dx", &dx, |dx| {
                let (dw, db) = (&mut dw_of_slice[..], &mut db_of_slice[..]);
                winograd::upsample_conv3x3_backward(&up, &x, &dy_up, &w, Some(&x), dx, dw, db);
            });
            same("dw", &dw, |dw| dw.copy_from_slice(&dw_of_slice));
            same("db", &db, |db| db.copy_from_slice(&db_of_slice));
        });
    }
}

#[test]
fn joined_convolutions_have_the_bits_of_slices() {
    for (n, c, k, pixels) in [(2, [3, 9], 5, 21), (1, [8, 0], 17, 4), (3, [20, 12], 33, 70), (0, [3, 9], 5, 21)] {
        let s = JoinedConv1x1 { n, c, k, pixels };
        let inputs = [0, 1].map(|i| random(i as u64, s.input_len(i)));
        let x = [&inputs[0][..], &inputs[1][..]];
        let (w, dy, bias) = (random(2, s.weight_len()), random(3, s.output_len()), random(4, k));
        let (mut db, mut db_of_slice) = (zeros(k), zeros(k));
        on_every_isa(|_| {
            let y = fresh::conv1x1_joined(&s, x, &w, Some(&bias));
            same("y", &y, |y| conv1x1_joined(&s, x, &w, Some(&bias), y));
            let add = [Some(x[0]), None];
            let [first, second] = fresh::conv1x1_joined_backward_input(&s, &dy, &w, add);
            let mut other = zeros(second.len());
            same("first", &first, |first| conv1x1_joined_backward_input(&s, &dy, &w, add, [first, &mut other]));
            same("second", &second, |second| second.copy_from_slice(&other));
            let dw = fresh::conv1x1_joined_backward_weight(&s, x, &dy, Some(&mut db));
            same("dw", &dw, |dw| conv1x1_joined_backward_weight(&s, x, &dy, Some(dw), Some(&mut db_of_slice)));
            assert_eq!(db, db_of_slice);
            let ([first, second], dw) = fresh::conv1x1_joined_backward(&s, x, &dy, &w, add, Some(&mut db));
            let mut dw_of_slice = zeros(dw.len());
            same("first", &first, |first| {
                let (dx, db) = ([first, &mut other[..]], Some(&mut db_of_slice[..]));
                conv1x1_joined_backward(&s, x, &dy, &w, add, dx, &mut dw_of_slice, db);
            });
            same("second", &second, |second| second.copy_from_slice(&other));
            same("dw", &dw, |dw| dw.copy_from_slice(&dw_of_slice));
            assert_eq!(db, db_of_slice);
        });
    }
}

#[test]
fn attention_has_the_bits_of_slices() {
    for (heads, n, m, d, d_v) in [(3, 37, 21, 5, 7), (2, 0, 4, 3, 3), (0, 4, 4, 4, 4)] {
        let s = Attention { heads, n, m, d, d_v };
        let values = [heads * n * d, heads * m * d, heads * m * d_v].map(|len| random(len as u64, len));
        let (qkv, dy) = ([0, 1, 2].map(|i| &values[i][..]), random(9, heads * n * d_v));
        on_every_isa(|_| {
            same("y", &fresh::attention(&s, qkv), |y| cpu::attention(&s, qkv, y));
            let gradients = fresh::attention_backward(&s, qkv, &dy);
            let (mut dk, mut dv) = (zeros(gradients[1].len()), zeros(gradients[2].len()));
            same("dq", &gradients[0], |dq| attention_backward(&s, qkv, &dy, [dq, &mut dk, &mut dv]));
            same("dk", &gradients[1], |to| to.copy_from_slice(&dk));
            same("dv", &gradients[2], |to| to.copy_from_slice(&dv));
        });
    }
    for (images, heads, tokens, d) in [(2, 3, 35, 5), (0, 1, 4, 4)] {
        let s = SelfAttention { images, heads, tokens, d };
        let len = images * heads * tokens * d;
        let (qkv, dy) = (random(1, 3 * len), random(2, len));
        on_every_isa(|_| {
            same("y", &fresh::self_attention(&s, &qkv), |y| self_attention(&s, &qkv, y));
            let dqkv = fresh::self_attention_backward(&s, &qkv, &dy);
            same("dqkv", &dqkv, |dqkv| self_attention_backward(&s, &qkv, &dy, dqkv));
        });
    }
}

#[test]
fn attention_blocks_have_the_bits_of_slices() {
    for (n, c, pixels, heads, d) in
        [(2, 6, 35, 1, 6), (3, 8, 20, 2, 4), (2, 40, 33, 1, 40), (0, 6, 35, 1, 6), (0, 8, 20, 2, 4)]
    {
        let s = AttentionBlock { n, c, pixels, heads, d, groups: 2, eps: 1e-5 };
        let inner = heads * d;
        let (x, dy) = (random(1, s.len()), random(2, s.len()));
        let (scale, offset) = (random(3, c), random(4, c));
        let weight = [5, 6, 7, 8].map(|seed| random(seed, c * inner));
        let bias = [inner, inner, inner, c].map(|len| random(len as u64 + 9, len));
        let w = AttentionWeights {
            norm: Some(Affine { scale: &scale, offset: &offset }),
            weight: [0, 1, 2, 3].map(|i| &weight[i][..]),
            bias: [0, 1, 2, 3].map(|i| &bias[i][..]),
        };
        on_every_isa(|_| {
            same("y", &fresh::attention_block(&s, &x, &w), |y| cpu::attention_block(&s, &x, &w, None, y));
            let fresh::AttentionBlockSaved { y, saved } = fresh::attention_block_saving(&s, &x, &w);
            let mut all = [s.qkv_len(), s.attended_len(), s.softmax_len()].map(zeros);
            same("y", &y, |y| {
                let [qkv, attended, softmax] = all.each_mut().map(|values| &mut values[..]);
                cpu::attention_block(&s, &x, &w, Some(AttentionSaved { qkv, attended, softmax }), y);
            });
            saved.iter().zip(&all).for_each(|(a, b)| same("what is saved", a, |to| to.copy_from_slice(b)));
            let saved = [0, 1, 2].map(|i| &saved[i][..]);
            let got = fresh::attention_block_backward(&s, &x, &w, saved, &dy);
            let mut norm = [zeros(c), zeros(c)];
            let (mut d_weight, mut d_bias) = (weight.clone(), bias.clone());
            same("dx", &got.x, |dx| {
                let d = AttentionBlockGradients {
                    x: dx,
                    norm: norm.each_mut().map(|d| &mut d[..]),
                    weight: d_weight.each_mut().map(|d| &mut d[..]),
                    bias: d_bias.each_mut().map(|d| &mut d[..]),
                };
                attention_block_backward(&s, &x, &w, saved, &dy, d);
            });
            assert_eq!((got.norm, got.weight, got.bias), (norm, d_weight, d_bias));
        });
    }
}

#[test]
fn norms_have_the_bits_of_slices() {
    for (n, skip, biased, k) in [(2, 0, true, 7), (3, 3, false, 18), (0, 0, false, 7), (2, 3, true, 0)] {
        let (c, h, w, groups) = (6, 5, 7, 2);
        let norm = GroupNorm { n, c, hw: h * w, groups, eps: 1e-5, silu: true };
        let s = NormConv { norm, k, h, w };
        let (first, second) = (random(1, n * (c - skip) * h * w), random(2, n * skip * h * w));
        let bias = random(3, if biased { n * c } else { 0 });
        let x = NormInput { x: &first, skip: &second, bias: &bias };
        let (scale, offset, dy) = (random(4, c), random(5, c), random(6, n * c * h * w));
        let affine = Affine { scale: &scale, offset: &offset };
        let (weight, dy_conv) = (random(7, 9 * k * c), random(8, s.output_len()));
        let add = [Some(&first[..]), None];
        on_every_isa(|_| {
            let [y, mean, rstd] = fresh::group_norm(&norm, x, affine);
            let (mut mean_of_slice, mut rstd_of_slice) = (zeros(n * groups), zeros(n * groups));
            same("y", &y, |y| cpu::group_norm(&norm, x, affine, y, &mut mean_of_slice, &mut rstd_of_slice));
            assert_eq!((&mean, &rstd), (&mean_of_slice, &rstd_of_slice));
            Filters::with(s.tile(), k, c, &weight, |filters| {
                let [y, means, rstds] = fresh::norm_conv(&s, x, affine, filters, None, None);
                let statistics = [&mut mean_of_slice[..], &mut rstd_of_slice[..]];
                same("y", &y, |y| cpu::norm_conv(&s, x, affine, filters, None, None, y, statistics));
                assert_eq!((&means, &rstds), (&mean_of_slice, &rstd_of_slice));
            });
            let statistics = Statistics { mean: &mean, rstd: &rstd };
            let (mut d_skip, mut d_bias) = (zeros(second.len()), zeros(bias.len()));
            let (mut d_scale, mut d_offset) = (zeros(n * c), zeros(n * c));
            let got = fresh::group_norm_backward(&norm, x, statistics, affine, &dy, add);
            same("dx", &got.x, |dx| {
                let (skip, bias, scale, offset) =
                    (&mut d_skip[..], &mut d_bias[..], &mut d_scale[..], &mut d_offset[..]);
                let d = NormGradients { x: dx, skip, bias, scale, offset, y: &mut [] };
                cpu::group_norm_backward(&norm, x, statistics, affine, &dy, add, d);
            });
            assert_eq!(
                [got.skip, got.bias, got.scale, got.offset],
                [&d_skip, &d_bias, &d_scale, &d_offset].map(Clone::clone)
            );
            let (got, dw, db) = fresh::norm_conv_backward(&s, x, statistics, affine, &weight, &dy_conv, add);
            let (mut dw_of_slice, mut db_of_slice) = (zeros(dw.len()), zeros(k));
            same("dx", &got.x, |dx| {
                let (skip, bias, scale, offset) =
                    (&mut d_skip[..], &mut d_bias[..], &mut d_scale[..], &mut d_offset[..]);
                let norm = NormGradients { x: dx, skip, bias, scale, offset, y: &mut [] };
                let d = NormConvGradients { norm, weight: &mut dw_of_slice, bias: &mut db_of_slice };
                norm_conv_backward(&s, x, statistics, affine, &weight, &dy_conv, add, d);
            });
            assert_eq!([got.skip, got.bias, got.scale, got.offset], [d_skip, d_bias, d_scale, d_offset]);
            assert_eq!((dw, db), (dw_of_slice, db_of_slice));
        });
    }
}

#[test]
fn convolutions_in_bf16_behind_norms_have_the_bits_of_slices() {
    for ([n, c, k, h, w], [groups, skip], biased) in [
        ([3, 8, 5, 4, 6], [2, 0], false),
        ([2, 36, 33, 5, 3], [3, 10], true),
        ([0, 4, 4, 2, 2], [2, 0], true),
        ([2, 4, 0, 2, 2], [2, 0], true),
    ] {
        let norm = GroupNorm { n, c, hw: h * w, groups, eps: 1e-5, silu: true };
        let s = NormConv { norm, k, h, w };
        let (first, second) = (random(1, n * (c - skip) * h * w), random(2, n * skip * h * w));
        let bias = random(3, if biased { n * c } else { 0 });
        let x = NormInput { x: &first, skip: &second, bias: &bias };
        let (scale, offset, dy) = (random(4, c), random(5, c), random(6, s.output_len()));
        let (affine, weight) = (Affine { scale: &scale, offset: &offset }, random(7, 9 * k * c));
        let [y, mean, rstd] = fresh::norm_conv_bf16(&s, x, affine, &weight, None, None);
        let (mut mean_of_slice, mut rstd_of_slice) = (zeros(n * groups), zeros(n * groups));
        let of_slice = [&mut mean_of_slice[..], &mut rstd_of_slice[..]];
        same("y", &y, |y| norm_conv_bf16(&s, x, affine, &weight, None, None, y, of_slice));
        assert_eq!((&mean, &rstd), (&mean_of_slice, &rstd_of_slice));
        let (statistics, add) = (Statistics { mean: &mean, rstd: &rstd }, [Some(&first[..]), None]);
        let (got, dw, db) = fresh::norm_conv_bf16_backward(&s, x, statistics, affine, &weight, &dy, add);
        let (mut d_skip, mut d_bias) = (zeros(second.len()), zeros(bias.len()));
        let (mut d_scale, mut d_offset) = (zeros(n * c), zeros(n * c));
        let (mut dw_of_slice, mut db_of_slice) = (zeros(dw.len()), zeros(k));
        same("dx", &got.x, |dx| {
            let (skip, bias, scale, offset) = (&mut d_skip[..], &mut d_bias[..], &mut d_scale[..], &mut d_offset[..]);
            let norm = NormGradients { x: dx, skip, bias, scale, offset, y: &mut [] };
            let d = NormConvGradients { norm, weight: &mut dw_of_slice, bias: &mut db_of_slice };
            norm_conv_bf16_backward(&s, x, statistics, affine, &weight, &dy, add, d);
        });
        assert_eq!([got.skip, got.bias, got.scale, got.offset], [d_skip, d_bias, d_scale, d_offset]);
        assert_eq!((dw, db), (dw_of_slice, db_of_slice));
    }
}

#[test]
fn affine_maps_have_the_bits_of_slices() {
    for s @ [rows, d_in, d_out] in [[5, 19, 33], [1, 1, 1], [40, 0, 3], [0, 3, 4]] {
        let (x, w, dy, bias) =
            (random(1, rows * d_in), random(2, d_in * d_out), random(3, rows * d_out), random(4, d_out));
        on_every_isa(|_| {
            same("y", &fresh::linear(s, &x, &w, Some(&bias)), |y| cpu::linear(s, &x, &w, Some(&bias), y));
            same("dx", &fresh::linear_backward_input(s, &dy, &w), |dx| linear_backward_input(s, &dy, &w, dx));
            same("dw", &fresh::linear_backward_weight(s, &x, &dy), |dw| linear_backward_weight(s, &x, &dy, dw));
            same("db", &fresh::sum_rows(&dy, d_out), |db| sum_rows(&dy, d_out, db));
        });
    }
}

#[test]
fn moves_have_the_bits_of_slices() {
    for (planes, h, w) in [(6, 4, 6), (1, 2, 2), (0, 4, 6)] {
        let (x, dy, bias) = (random(1, planes * h * w), random(2, planes * h * w), random(3, planes));
        on_every_isa(|_| {
            same("silu", &fresh::silu(&x), |y| silu(&x, y));
            same("silu_backward", &fresh::silu_backward(&x, &dy), |dx| silu_backward(&x, &dy, dx));
            same("add_channel_bias", &fresh::add_channel_bias(&x, &bias), |y| add_channel_bias(&x, &bias, y));
            same("sum_pixels", &fresh::sum_pixels(&x, planes), |sums| sum_pixels(&x, sums));
            same("upsample", &fresh::upsample_nearest_2x(h, w, &x), |y| upsample_nearest_2x(h, w, &x, y));
            let dx = fresh::upsample_nearest_2x_backward(h / 2, w / 2, &dy);
            same("dx", &dx, |dx| upsample_nearest_2x_backward(h / 2, w / 2, &dy, dx));
            same("concat", &fresh::concat(planes, &x, &bias), |all| concat(planes, &x, &bias, all));
            same("part", &fresh::part(planes, &x, 1, h * w - 2), |part| cpu::part(planes, &x, 1, part));
        });
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let wrapping = 1 << (usize::BITS - 1);
    let s = GroupNorm { n: wrapping, c: 2, hw: 1, groups: 2, eps: 1e-5, silu: false };
    let affine = Affine { scale: &[1.0; 2], offset: &[0.0; 2] };
    let statistics = Statistics { mean: &[], rstd: &[] };
    let attention = Attention { heads: 2, n: wrapping, m: 1, d: 1, d_v: 1 };
    let x = [1.0; 4];
    let calls: [(&str, &dyn Fn()); 9] = [
        ("linear", &|| drop(fresh::linear([wrapping, 2, 2], &[], &x, None))),
        ("linear_backward_input", &|| drop(fresh::linear_backward_input([wrapping, 2, 2], &[], &x))),
        ("linear_backward_weight", &|| drop(fresh::linear_backward_weight([1, wrapping, 2], &x, &x))),
        ("group_norm", &|| drop(fresh::group_norm(&s, x[..0].into(), affine))),
        ("group_norm_backward", &|| {
            drop(fresh::group_norm_backward(&s, x[..0].into(), statistics, affine, &[], [None; 2]))
        }),
        ("attention", &|| drop(fresh::attention(&attention, [&[], &x[..2], &x[..2]]))),
        ("sum_pixels", &|| drop(fresh::sum_pixels(&x, 3))),
        ("sum_pixels of no planes", &|| drop(fresh::sum_pixels(&x, 0))),
        ("part", &|| drop(fresh::part(2, &x, 1, 2))),
    ];
    for (what, call) in calls {
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err(), "{what} should have been refused");
    }
}

/// Memory for a result that no memory holds would end the process.
#[test]
fn lengths_are_compared_before_memory_is_asked_for() {
    let large = 1 << (usize::BITS - 24);
    let s = GroupNorm { n: large, c: 2, hw: 1, groups: 2, eps: 1e-5, silu: false };
    let affine = Affine { scale: &[1.0; 2], offset: &[0.0; 2] };
    let statistics = Statistics { mean: &[], rstd: &[] };
    let x = [1.0; 8];
    let conv = Conv2d { n: large, c: 2, k: 2, h: 1, w: 1, side: 1, stride: 1, padding: [0; 4] };
    let joined = JoinedConv1x1 { n: large, c: [1, 1], k: 2, pixels: 1 };
    let attention = Attention { heads: 2, n: large, m: 1, d: 1, d_v: 1 };
    let calls: [(&str, &dyn Fn()); 9] = [
        ("linear", &|| drop(fresh::linear([large, 2, 2], &[], &x[..4], None))),
        ("linear_backward_input", &|| drop(fresh::linear_backward_input([large, 2, 2], &[], &x[..4]))),
        ("linear_backward_weight", &|| drop(fresh::linear_backward_weight([1, large, 2], &x[..1], &x[..2]))),
        ("group_norm", &|| drop(fresh::group_norm(&s, x[..0].into(), affine))),
        ("group_norm_backward", &|| {
            drop(fresh::group_norm_backward(&s, x[..0].into(), statistics, affine, &[], [None; 2]))
        }),
        ("attention", &|| drop(fresh::attention(&attention, [&[], &x[..2], &x[..2]]))),
        ("conv2d", &|| drop(fresh::conv2d(&conv, &x, &x[..4], None, None))),
        ("conv1x1_joined", &|| drop(fresh::conv1x1_joined(&joined, [&x, &x], &x[..4], None))),
        ("sum_pixels", &|| drop(fresh::sum_pixels(&x, large))),
    ];
    for (what, call) in calls {
        let message = *catch_unwind(AssertUnwindSafe(call)).expect_err(what).downcast::<String>().expect("a message");
        assert!(message.contains("expected") || message.contains("are no"), "{what}: {message}");
    }
    // Here all slices fit: without channels there are no weights, and no input.
    let conv = Conv2d { c: 0, k: large, n: 1, ..conv };
    let error = catch_unwind(|| fresh::conv2d(&conv, &[], &[], None, None)).expect_err("no memory holds it");
    assert!(error.downcast::<String>().expect("a message").contains("more than any memory holds"));
}

#[test]
fn every_function_is_among_the_calls() {
    let calls = include_str!("fresh.rs");
    let mut functions = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/fresh")).expect("the module is a folder") {
        let text = std::fs::read_to_string(file.expect("its files are listed").path()).expect("they are text");
        for name in text.split("\npub fn ").skip(1).filter_map(|text| text.split('(').next()) {
            functions += 1;
            assert!(calls.contains(&format!("fresh::{name}(")), "{name} is not called");
        }
    }
    assert!(functions >= 31, "{functions} functions were found");
}
