//! Every slice kernel is given sizes whose products wrap around to the lengths of small slices, and others that no memory holds: each is
//! refused by a message that names what does not fit, before anything is read.

mod common;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::ADAM;
use sfumato_cpu::winograd::{self, Conv3x3, Filters, TileSize, UpsampleConv3x3};
use sfumato_cpu::{self as cpu, *};

/// The message with which `f` panics.
#[track_caller]
fn refusal(what: &dyn Debug, f: impl FnOnce()) -> String {
    let error = catch_unwind(AssertUnwindSafe(f)).expect_err(&format!("{what:?} should have been refused"));
    match error.downcast::<String>() {
        Ok(message) => *message,
        Err(error) => error.downcast::<&str>().map_or_else(|_| String::new(), |message| (*message).to_owned()),
    }
}

/// Panics unless `f` is refused in words of its own, and not by whatever went wrong first.
#[track_caller]
fn refused(kernel: &str, sizes: &dyn Debug, f: impl FnOnce()) {
    let message = refusal(&(kernel, sizes), f);
    let clear =
        ["expected", "more than any memory holds", " are no", "divide", "no kernel", "are not within", "slices"];
    assert!(clear.iter().any(|part| message.contains(part)), "{kernel} {sizes:?}: {message:?}");
}

/// `sizes` with one of them so much larger that its product with another power of two wraps around, or past all bounds.
fn absurd<const N: usize>(sizes: [usize; N]) -> impl Iterator<Item = [usize; N]> {
    (0..N).flat_map(move |i| {
        let wrapping = (1..=8).map(move |bits| sizes[i].wrapping_add(1usize.wrapping_shl(usize::BITS - bits)));
        wrapping.chain([usize::MAX, usize::MAX - 15, usize::MAX / 2]).map(move |size| {
            let mut sizes = sizes;
            sizes[i] = size;
            sizes
        })
    })
}

fn zeros(len: usize) -> Vec<f32> {
    vec![0.0; len]
}

/// All convolutions of these sizes, with slices that fit them.
fn convolutions(base: Conv2d) {
    let (x, dy, w, b) = (zeros(base.input_len()), zeros(base.output_len()), zeros(base.weight_len()), zeros(base.k));
    let [top, left, bottom, right] = base.padding;
    let Conv2d { n, c, k, h, w: width, side, stride, .. } = base;
    for [n, c, k, h, w_, side, stride, top, left, bottom, right] in
        absurd([n, c, k, h, width, side, stride, top, left, bottom, right])
    {
        let s = Conv2d { n, c, k, h, w: w_, side, stride, padding: [top, left, bottom, right] };
        refused("conv2d", &s, || cpu::conv2d(&s, &x, &w, Some(&b), None, &mut dy.clone()));
        refused("conv2d_backward_input", &s, || conv2d_backward_input(&s, &dy, &w, None, &mut x.clone()));
        refused("conv2d_backward_weight", &s, || {
            conv2d_backward_weight(&s, &x, &dy, Some(&mut w.clone()), Some(&mut b.clone()));
        });
        refused("conv2d_backward", &s, || {
            conv2d_backward(&s, &x, &dy, &w, None, &mut x.clone(), &mut w.clone(), Some(&mut b.clone()));
        });
    }
}

#[test]
fn convolutions_refuse_absurd_sizes() {
    // Winograd's, with strides, to few channels, of few, of pixels, and any other.
    let base = Conv2d { n: 2, c: 8, k: 8, h: 4, w: 4, side: 3, stride: 1, padding: [1; 4] };
    convolutions(base);
    convolutions(Conv2d { stride: 2, ..base });
    convolutions(Conv2d { k: 2, ..base });
    convolutions(Conv2d { c: 2, ..base });
    convolutions(Conv2d { side: 1, padding: [0; 4], ..base });
    convolutions(Conv2d { side: 2, stride: 3, padding: [1, 0, 0, 2], ..base });
}

#[test]
fn the_size_that_was_read_outside_is_refused() {
    // 2^62 + 1 images of four values are four values.
    let s = Conv2d { n: (1 << 62) + 1, c: 1, k: 1, h: 2, w: 2, side: 1, stride: 1, padding: [0; 4] };
    refused("conv2d", &s, || cpu::conv2d(&s, &zeros(4), &zeros(1), None, None, &mut zeros(4)));
}

#[test]
fn joined_convolutions_refuse_absurd_sizes() {
    let base = JoinedConv1x1 { n: 2, c: [8, 4], k: 8, pixels: 16 };
    let (a, b, dy) = (zeros(base.input_len(0)), zeros(base.input_len(1)), zeros(base.output_len()));
    let (w, db) = (zeros(base.weight_len()), zeros(base.k));
    for [n, c0, c1, k, pixels] in absurd([base.n, base.c[0], base.c[1], base.k, base.pixels]) {
        let s = JoinedConv1x1 { n, c: [c0, c1], k, pixels };
        refused("conv1x1_joined", &s, || conv1x1_joined(&s, [&a, &b], &w, None, &mut dy.clone()));
        refused("conv1x1_joined_backward_input", &s, || {
            conv1x1_joined_backward_input(&s, &dy, &w, [None, None], [&mut a.clone(), &mut b.clone()]);
        });
        refused("conv1x1_joined_backward_weight", &s, || {
            conv1x1_joined_backward_weight(&s, [&a, &b], &dy, Some(&mut w.clone()), Some(&mut db.clone()));
        });
        refused("conv1x1_joined_backward", &s, || {
            let dx = [&mut a.clone()[..], &mut b.clone()[..]];
            conv1x1_joined_backward(&s, [&a, &b], &dy, &w, [None, None], dx, &mut w.clone(), None);
        });
    }
}

#[test]
fn winograd_kernels_refuse_absurd_sizes() {
    let base = Conv3x3 { n: 2, c: 8, k: 8, h: 4, w: 4 };
    let (x, dy, w, db) = (zeros(base.input_len()), zeros(base.output_len()), zeros(base.weight_len()), zeros(base.k));
    let large = zeros(4 * x.len());
    for [n, c, k, h, width] in absurd([base.n, base.c, base.k, base.h, base.w]) {
        let s = Conv3x3 { n, c, k, h, w: width };
        for tile in [TileSize::Two, TileSize::Four] {
            let filters = Filters::new(tile, base.k, base.c, &w);
            refused("conv3x3", &s, || winograd::conv3x3(&s, tile, &x, &w, None, None, &mut dy.clone()));
            refused("conv3x3_filtered", &s, || {
                winograd::conv3x3_filtered(&s, &x, &filters, None, None, &mut dy.clone());
            });
            refused("conv3x3_backward_input", &s, || {
                winograd::conv3x3_backward_input(&s, tile, &dy, &w, None, &mut x.clone());
            });
            refused("conv3x3_backward_weight", &s, || {
                winograd::conv3x3_backward_weight(&s, tile, &x, &dy, &mut w.clone(), &mut db.clone());
            });
        }
        let s = UpsampleConv3x3 { n, c, k, h, w: width };
        refused("upsample_conv3x3", &s, || winograd::upsample_conv3x3(&s, &x, &w, None, &mut large.clone()));
        refused("upsample_conv3x3_backward", &s, || {
            let (mut dx, mut dw, mut db) = (x.clone(), w.clone(), db.clone());
            winograd::upsample_conv3x3_backward(&s, &x, &large, &w, None, &mut dx, &mut dw, &mut db);
        });
    }
    for sizes @ [k, c] in absurd([base.k, base.c]) {
        refused("Filters::new", &sizes, || drop(Filters::new(TileSize::Four, k, c, &w)));
        refused("Filters::with", &sizes, || Filters::with(TileSize::Two, k, c, &w, |_| ()));
    }
}

fn gradients<'a>(dx: &'a mut [f32], [scale, offset]: &'a mut [Vec<f32>; 2]) -> NormGradients<'a> {
    NormGradients { x: dx, skip: &mut [], bias: &mut [], scale, offset, y: &mut [] }
}

#[test]
fn norms_refuse_absurd_sizes() {
    let base = GroupNorm { n: 2, c: 8, hw: 16, groups: 2, eps: 1e-5, silu: true };
    let (x, one, few) = (zeros(2 * 8 * 16), zeros(8), zeros(4));
    let each = zeros(2 * 8);
    let (w, affine) = (zeros(8 * 8 * 9), Affine { scale: &one, offset: &one });
    let filters = Filters::new(TileSize::Four, 8, 8, &w);
    for [n, c, hw, groups, k, h, width] in absurd([base.n, base.c, base.hw, base.groups, 8, 4, 4]) {
        let norm = GroupNorm { n, c, hw, groups, ..base };
        let statistics = Statistics { mean: &few, rstd: &few };
        let (mut dx, mut sums) = (x.clone(), [each.clone(), each.clone()]);
        let input = NormInput::from(&x[..]);
        // Those of the convolution change nothing here.
        if [k, h, width] == [8, 4, 4] {
            refused("group_norm", &norm, || {
                cpu::group_norm(&norm, input, affine, &mut x.clone(), &mut few.clone(), &mut few.clone());
            });
            refused("group_norm_backward", &norm, || {
                group_norm_backward(&norm, input, statistics, affine, &x, [None, None], gradients(&mut dx, &mut sums));
            });
        }
        let s = NormConv { norm, k, h, w: width };
        refused("norm_conv", &s, || {
            let (mut mean, mut rstd) = (few.clone(), few.clone());
            cpu::norm_conv(&s, input, affine, &filters, None, None, &mut x.clone(), [&mut mean, &mut rstd]);
        });
        refused("norm_conv_backward", &s, || {
            let (mut dw, mut db) = (w.clone(), one.clone());
            let d = NormConvGradients { norm: gradients(&mut dx, &mut sums), weight: &mut dw, bias: &mut db };
            norm_conv_backward(&s, input, statistics, affine, &w, &x, [None, None], d);
        });
        refused("norm_conv_bf16", &s, || {
            let (mut mean, mut rstd) = (few.clone(), few.clone());
            norm_conv_bf16(&s, input, affine, &w, None, None, &mut x.clone(), [&mut mean, &mut rstd]);
        });
        refused("norm_conv_bf16_backward", &s, || {
            let (mut dw, mut db) = (w.clone(), one.clone());
            let d = NormConvGradients { norm: gradients(&mut dx, &mut sums), weight: &mut dw, bias: &mut db };
            norm_conv_bf16_backward(&s, input, statistics, affine, &w, &x, [None, None], d);
        });
    }
}

/// Images are cut off whole batches: one value too many once stayed unread, or unwritten.
#[test]
fn norms_behind_convolutions_refuse_one_value_more() {
    let norm = GroupNorm { n: 2, c: 8, hw: 16, groups: 2, eps: 1e-5, silu: true };
    let s = NormConv { norm, k: 8, h: 4, w: 4 };
    let (long, x, one, few) = (zeros(2 * 8 * 16 + 1), zeros(2 * 8 * 16), zeros(8), zeros(4));
    let (w, affine) = (zeros(8 * 8 * 9), Affine { scale: &one, offset: &one });
    let filters = Filters::new(TileSize::Four, 8, 8, &w);
    refused("norm_conv", &s, || {
        let (mut mean, mut rstd) = (few.clone(), few.clone());
        let statistics = [&mut mean[..], &mut rstd[..]];
        cpu::norm_conv(&s, NormInput::from(&long[..]), affine, &filters, None, None, &mut x.clone(), statistics);
    });
    refused("norm_conv_backward", &s, || {
        let (mut dw, mut db, mut dx) = (w.clone(), one.clone(), long.clone());
        let mut sums = [zeros(2 * 8), zeros(2 * 8)];
        let norm = gradients(&mut dx, &mut sums);
        let d = NormConvGradients { norm, weight: &mut dw, bias: &mut db };
        let statistics = Statistics { mean: &few, rstd: &few };
        norm_conv_backward(&s, NormInput::from(&x[..]), statistics, affine, &w, &x, [None, None], d);
    });
}

#[test]
fn attentions_refuse_absurd_sizes() {
    let base = Attention { heads: 2, n: 4, m: 8, d: 4, d_v: 2 };
    let (q, k, v, y) = (zeros(2 * 4 * 4), zeros(2 * 8 * 4), zeros(2 * 8 * 2), zeros(2 * 4 * 2));
    for [heads, n, m, d, d_v] in absurd([base.heads, base.n, base.m, base.d, base.d_v]) {
        let s = Attention { heads, n, m, d, d_v };
        refused("attention", &s, || cpu::attention(&s, [&q, &k, &v], &mut y.clone()));
        refused("attention_backward", &s, || {
            attention_backward(&s, [&q, &k, &v], &y, [&mut q.clone(), &mut k.clone(), &mut v.clone()]);
        });
    }
    let (qkv, y) = (zeros(2 * 3 * 2 * 4 * 8), zeros(2 * 2 * 4 * 8));
    for [images, heads, tokens, d] in absurd([2, 2, 8, 4]) {
        let s = SelfAttention { images, heads, tokens, d };
        refused("self_attention", &s, || self_attention(&s, &qkv, &mut y.clone()));
        refused("self_attention_backward", &s, || self_attention_backward(&s, &qkv, &y, &mut qkv.clone()));
    }
}

#[test]
fn attention_blocks_refuse_absurd_sizes() {
    // With merged maps, and with several heads.
    for (heads, d) in [(1, 8), (2, 4)] {
        let base = AttentionBlock { n: 2, c: 8, pixels: 16, heads, d, groups: 2, eps: 1e-5 };
        let (x, one, weight) = (zeros(base.len()), zeros(8), zeros(64));
        let saved = [base.qkv_len(), base.attended_len(), base.softmax_len()].map(zeros);
        let norm = Some(Affine { scale: &one, offset: &one });
        let w = AttentionWeights { norm, weight: [&weight[..]; 4], bias: [&one[..]; 4] };
        for [n, c, pixels, heads, d, groups] in absurd([base.n, base.c, base.pixels, heads, d, base.groups]) {
            let s = AttentionBlock { n, c, pixels, heads, d, groups, ..base };
            refused("attention_block", &s, || attention_block(&s, &x, &w, None, &mut x.clone()));
            refused("attention_block, saving", &s, || {
                let [mut qkv, mut attended, mut softmax] = saved.clone();
                let saved = AttentionSaved { qkv: &mut qkv, attended: &mut attended, softmax: &mut softmax };
                attention_block(&s, &x, &w, Some(saved), &mut x.clone());
            });
            refused("attention_block_backward", &s, || {
                let (mut dx, mut norm) = (x.clone(), [one.clone(), one.clone()]);
                let (mut dw, mut db) = ([(); 4].map(|()| weight.clone()), [(); 4].map(|()| one.clone()));
                let d = AttentionBlockGradients {
                    x: &mut dx,
                    norm: norm.each_mut().map(|d| &mut d[..]),
                    weight: dw.each_mut().map(|d| &mut d[..]),
                    bias: db.each_mut().map(|d| &mut d[..]),
                };
                attention_block_backward(&s, &x, &w, saved.each_ref().map(|saved| &saved[..]), &x, d);
            });
        }
    }
}

#[test]
fn products_refuse_absurd_sizes() {
    let (a, b, c) = (zeros(4 * 8), zeros(8 * 2), zeros(4 * 2));
    for sizes @ [m, n, k, rs, cs] in absurd([4, 2, 8, 8, 1]) {
        let left = Matrix { values: &a, rs, cs };
        refused("gemm", &sizes, || gemm([m, n, k], left, Matrix::rows(&b, 2), None, &mut c.clone()));
        if [m, n, k] == [4, 2, 8] {
            let right = Matrix { values: &a, rs, cs };
            refused("gemm", &sizes, || gemm([1, 8, 4], Matrix::rows(&c[..4], 4), right, None, &mut zeros(8)));
        }
    }
    let (x, w, y) = (zeros(4 * 8), zeros(2 * 8), zeros(4 * 2));
    for s in absurd([4, 8, 2]) {
        refused("linear", &s, || linear(s, &x, &w, None, &mut y.clone()));
        refused("linear_backward_input", &s, || linear_backward_input(s, &y, &w, &mut x.clone()));
        refused("linear_backward_weight", &s, || linear_backward_weight(s, &x, &y, &mut w.clone()));
    }
    for [d_out] in absurd([2]) {
        refused("sum_rows", &d_out, || sum_rows(&y, d_out, &mut zeros(2)));
    }
}

#[test]
fn the_rest_refuses_absurd_sizes() {
    let (x, y) = (zeros(2 * 4 * 8), zeros(4 * 2 * 4 * 8));
    for sizes @ [h, w] in absurd([4, 8]) {
        refused("upsample_nearest_2x", &sizes, || upsample_nearest_2x(h, w, &x, &mut y.clone()));
        refused("upsample_nearest_2x_backward", &sizes, || upsample_nearest_2x_backward(h, w, &y, &mut x.clone()));
    }
    for sizes @ [n, from] in absurd([2, 8]) {
        refused("part", &sizes, || part(n, &x, from, &mut zeros(2 * 8)));
    }
    for [n] in absurd([2]) {
        refused("concat", &n, || concat(n, &x, &x, &mut zeros(2 * x.len())));
    }
    for sizes @ [n, c] in absurd([2, 4]) {
        refused("sum_images", &sizes, || sum_images(&x, n, c, &mut zeros(4)));
    }
    // These are told no sizes.
    let mut short = zeros(3);
    refused("add_channel_bias", &3, || add_channel_bias(&x, &zeros(3), &mut x.clone()));
    refused("add_channel_bias", &0, || add_channel_bias(&x, &[], &mut x.clone()));
    refused("sum_pixels", &3, || sum_pixels(&x, &mut short));
    refused("silu", &3, || silu(&x, &mut zeros(3)));
    refused("silu_backward", &3, || silu_backward(&x, &zeros(3), &mut x.clone()));
    refused("add", &3, || add(&mut zeros(3), &x));
    refused("adam", &3, || {
        let (mut param, mut m, mut v) = (zeros(3), zeros(3), zeros(4));
        adam(&ADAM, vec![AdamSlices { grad: &[0.0; 3], param: &mut param, m: &mut m, v: &mut v, ema: None }]);
    });
    assert_eq!(sum_of_squares(&[]), 0.0);
}

/// Memory for filters that were not there once ended the process.
#[test]
fn filters_without_weights_take_no_memory() {
    for [k, c] in [[1 << (usize::BITS - 24), 0], [0, 1 << (usize::BITS - 24)]] {
        assert!(Filters::new(TileSize::Four, k, c, &[]).bytes() < 4096);
        Filters::with(TileSize::Two, k, c, &[], |filters| assert!(filters.bytes() < 4096));
    }
}

#[test]
fn every_public_kernel_is_among_the_calls() {
    let calls = include_str!("absurd_sizes.rs");
    let exported = include_str!("../src/lib.rs").split("pub use ").skip(1);
    let exported = exported.filter_map(|text| text.split(';').next()?.split_once("::"));
    let exported = exported.flat_map(|(_, names)| names.split(|c: char| !c.is_alphanumeric() && c != '_'));
    let winograd = include_str!("../src/winograd/mod.rs").split("\npub fn ").skip(1);
    let winograd = winograd.filter_map(|text| text.split('(').next());
    let functions = exported.chain(winograd).filter(|name| name.starts_with(|c: char| c.is_lowercase()));
    for name in functions
        .filter(|name| !["scratch_bytes", "release_scratch", "is_winograd", "is_bf16", "kept_tile"].contains(name))
    {
        assert!(calls.contains(&format!("{name}(")), "{name} is not called");
    }
}
