//! Every slice kernel against a naive f64 reference: all instruction sets of this machine, sizes that are multiples of
//! nothing, outputs between guard values. The references themselves are checked by finite differences in
//! `tests/references.rs`.
//!
//! Inputs are vectors without spare room (made by `concat`, not `extend`), so that valgrind sees what is read past them
//! (`cargo xtask memcheck`).

mod common;

use common::*;
use proptest::prelude::*;
use sfumato_cpu::winograd::{self, Conv3x3, TileSize};
use sfumato_cpu::{self as cpu, *};

fn check_conv(s: &Conv2d) {
    let x = random(1, s.input_len());
    let deviation = 1.0 / ((s.c * s.side * s.side) as f32).sqrt();
    let w: Vec<f32> = random(2, s.weight_len()).iter().map(|v| v * deviation).collect();
    let (bias, dy) = (random(3, s.k), random(4, s.output_len()));
    let (residual, add) = (random(5, s.output_len()), random(6, s.input_len()));
    let plus = |a: Vec<f64>, b: &[f32]| a.iter().zip(b).map(|(a, b)| a + f64::from(*b)).collect::<Vec<_>>();
    let what = |name: &str, isa: Isa| format!("{name} {isa:?} {s:?}");
    let (xw, ww, dw) = (wide(&x), wide(&w), wide(&dy));
    let want_y = plus(conv(s, &xw, &ww, Some(&wide(&bias))), &residual);
    let want_dx = plus(conv_backward_input(s, &dw, &ww), &add);
    let (want_dw, want_db) = conv_backward_weight(s, &xw, &dw);
    on_every_isa(|isa| {
        let y = guarded(s.output_len(), |y| cpu::conv2d(s, &x, &w, Some(&bias), Some(&residual), y));
        assert_close(&what("y", isa), &y, &want_y);
        let dx = guarded(s.input_len(), |dx| conv2d_backward_input(s, &dy, &w, Some(&add), dx));
        assert_close(&what("dx", isa), &dx, &want_dx);
        let mut db = Vec::new();
        let dw = guarded(s.weight_len(), |dw| {
            db = guarded(s.k, |db| conv2d_backward_weight(s, &x, &dy, Some(dw), Some(db)));
        });
        assert_close(&what("dw", isa), &dw, &want_dw);
        assert_sums_close(&what("db", isa), &db, &want_db, &wide(&dy));
        // All gradients at once
        let (mut all_dw, mut all_db) = (Vec::new(), Vec::new());
        let dx = guarded(s.input_len(), |dx| {
            all_dw = guarded(s.weight_len(), |dw| {
                all_db = guarded(s.k, |db| conv2d_backward(s, &x, &dy, &w, Some(&add), dx, dw, Some(db)));
            });
        });
        assert_close(&what("dx of all", isa), &dx, &want_dx);
        assert_close(&what("dw of all", isa), &all_dw, &want_dw);
        assert_sums_close(&what("db of all", isa), &all_db, &want_db, &wide(&dy));
        // Without what is optional
        let y = guarded(s.output_len(), |y| cpu::conv2d(s, &x, &w, None, None, y));
        assert_close(&what("plain y", isa), &y, &conv(s, &xw, &ww, None));
        let only_db = guarded(s.k, |db| conv2d_backward_weight(s, &x, &dy, None, Some(db)));
        assert_sums_close(&what("only db", isa), &only_db, &want_db, &wide(&dy));
        let only_dw = guarded(s.weight_len(), |dw| conv2d_backward_weight(s, &x, &dy, Some(dw), None));
        assert_eq!(only_dw, dw);
    });
}

fn same(n: usize, c: usize, k: usize, h: usize, w: usize) -> Conv2d {
    Conv2d { n, c, k, h, w, side: 3, stride: 1, padding: [1; 4] }
}

#[test]
fn convolutions_of_networks_are_right() {
    check_conv(&same(2, 1, 32, 28, 28));
    check_conv(&same(2, 32, 1, 28, 28));
    // Few output channels, of rows of more than a vector, and padded by other than half a kernel
    check_conv(&Conv2d { padding: [0, 2, 1, 0], ..same(5, 19, 2, 11, 37) });
    check_conv(&same(3, 24, 40, 7, 13));
    check_conv(&same(1, 130, 70, 9, 5));
    check_conv(&Conv2d { side: 1, padding: [0; 4], ..same(3, 70, 33, 7, 9) });
    // As many pixels as the weight gradient of 1×1 kernels has its own algorithm for, with more channels on either side
    check_conv(&Conv2d { side: 1, padding: [0; 4], ..same(13, 37, 70, 15, 17) });
    check_conv(&Conv2d { side: 1, padding: [0; 4], ..same(13, 45, 21, 15, 17) });
    // The same with so many that the sums are cut
    check_conv(&Conv2d { side: 1, padding: [0; 4], ..same(18, 250, 270, 7, 9) });
    check_conv(&Conv2d { side: 1, padding: [0; 4], ..same(18, 270, 250, 9, 7) });
}

#[test]
fn strided_convolutions_are_right() {
    check_conv(&Conv2d { stride: 2, ..same(2, 33, 34, 14, 14) });
    check_conv(&Conv2d { stride: 2, padding: [0, 0, 1, 1], ..same(2, 33, 34, 15, 12) });
    for stride in [2, 3] {
        // A row is less than a vector, a vector and a little more, many
        for (h, w) in [(6, 1), (1, 2), (4, 3), (7, 5), (2, 17), (9, 33), (3, 67)] {
            check_conv(&Conv2d { stride, ..same(2, 17, 13, h, w) });
            check_conv(&Conv2d { stride, padding: [0, 0, 2, 2], ..same(1, 5, 18, h, w) });
            check_conv(&Conv2d { stride, side: 1, padding: [0; 4], ..same(2, 3, 4, h, w) });
            check_conv(&Conv2d { stride, side: 4, padding: [2, 1, 1, 3], ..same(1, 4, 3, h, w) });
        }
        // Channels whose rows share sets of the cache
        check_conv(&Conv2d { stride, ..same(1, 19, 9, 32, 32) });
        // So many channels that an image is lowered in blocks
        check_conv(&Conv2d { stride, padding: [0, 0, 1, 1], ..same(1, 300, 290, 18, 21) });
    }
}

fn check_joined(s: &JoinedConv1x1) {
    let x = [0, 1].map(|i| random(1 + i as u64, s.input_len(i)));
    let add = [0, 1].map(|i| random(3 + i as u64, s.input_len(i)));
    let (w, bias, dy) = (random(5, s.weight_len()), random(6, s.k), random(7, s.output_len()));
    let joined = Conv2d { side: 1, padding: [0; 4], ..same(s.n, s.c[0] + s.c[1], s.k, 1, s.pixels) };
    let concat = |[a, b]: &[Vec<f32>; 2]| {
        let images = a.chunks_exact(s.c[0] * s.pixels).zip(b.chunks_exact(s.c[1] * s.pixels));
        images.flat_map(|(a, b)| [wide(a), wide(b)]).flatten().collect::<Vec<_>>()
    };
    let (xw, ww, dyw) = (concat(&x), wide(&w), wide(&dy));
    let want_y = conv(&joined, &xw, &ww, Some(&wide(&bias)));
    let want_dx = conv_backward_input(&joined, &dyw, &ww);
    let want_dx: Vec<f64> = want_dx.iter().zip(concat(&add)).map(|(dx, add)| dx + add).collect();
    let (want_dw, want_db) = conv_backward_weight(&joined, &xw, &dyw);
    let x = [&x[0][..], &x[1][..]];
    on_every_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {s:?}");
        let y = guarded(s.output_len(), |y| conv1x1_joined(s, x, &w, Some(&bias), y));
        assert_close(&what("y"), &y, &want_y);
        let mut second = Vec::new();
        let first = guarded(s.input_len(0), |first| {
            let add = [Some(&add[0][..]), Some(&add[1][..])];
            second = guarded(s.input_len(1), |second| {
                conv1x1_joined_backward_input(s, &dy, &w, add, [first, second]);
            });
        });
        let dx: Vec<f32> = concat(&[first, second]).iter().map(|dx| *dx as f32).collect();
        assert_close(&what("dx"), &dx, &want_dx);
        let mut db = Vec::new();
        let dw = guarded(s.weight_len(), |dw| {
            db = guarded(s.k, |db| conv1x1_joined_backward_weight(s, x, &dy, Some(dw), Some(db)));
        });
        assert_close(&what("dw"), &dw, &want_dw);
        assert_sums_close(&what("db"), &db, &want_db, &wide(&dy));
        let only_db = guarded(s.k, |db| conv1x1_joined_backward_weight(s, x, &dy, None, Some(db)));
        assert_sums_close(&what("only db"), &only_db, &want_db, &wide(&dy));
        // All gradients at once, without what is optional
        let (mut second, mut dw) = (Vec::new(), Vec::new());
        let first = guarded(s.input_len(0), |first| {
            second = guarded(s.input_len(1), |second| {
                dw = guarded(s.weight_len(), |dw| {
                    conv1x1_joined_backward(s, x, &dy, &w, [None; 2], [first, second], dw, None);
                });
            });
        });
        let dx: Vec<f32> = concat(&[first, second]).iter().map(|dx| *dx as f32).collect();
        assert_close(&what("dx of all"), &dx, &conv_backward_input(&joined, &dyw, &ww));
        assert_close(&what("dw of all"), &dw, &want_dw);
    });
}

#[test]
fn joined_convolutions_are_right() {
    // The general algorithm of the weight gradient, that of 1×1 kernels, and one for either input; all gradients in one pass,
    // over parts of images and over some images at a time, and of weights that are too large for that
    check_joined(&JoinedConv1x1 { n: 2, c: [17, 30], k: 35, pixels: 63 });
    check_joined(&JoinedConv1x1 { n: 11, c: [37, 20], k: 29, pixels: 150 });
    check_joined(&JoinedConv1x1 { n: 4, c: [300, 3], k: 230, pixels: 200 });
    check_joined(&JoinedConv1x1 { n: 9, c: [32, 31], k: 70, pixels: 49 });
    check_joined(&JoinedConv1x1 { n: 3, c: [64, 32], k: 32, pixels: 500 });
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_convolution_is_right(
        (n, c, k) in (1usize..4, 1usize..40, 1usize..40),
        (h, w) in (1usize..14, 1usize..35),
        (side, stride) in (1usize..5, 1usize..4),
        padding in prop::array::uniform4(0usize..3),
    ) {
        let [top, left, bottom, right] = padding;
        prop_assume!(h + top + bottom >= side && w + left + right >= side);
        check_conv(&Conv2d { n, c, k, h, w, side, stride, padding });
    }

    #[test]
    fn any_3x3_convolution_is_right(
        (n, c, k) in (1usize..5, 1usize..50, 1usize..50),
        (h, w) in (1usize..19, 1usize..35),
    ) {
        check_conv(&same(n, c, k, h, w));
        check_winograd(&Conv3x3 { n, c, k, h, w });
    }
}

/// Winograd's kernels themselves, whatever the rule for their use says, with both tile sizes.
fn check_winograd(s: &Conv3x3) {
    let general = same(s.n, s.c, s.k, s.h, s.w);
    let (x, dy) = (random(1, s.input_len()), random(2, s.output_len()));
    let (w, bias) = (random(3, s.weight_len()), random(4, s.k));
    let (xw, ww, dyw) = (wide(&x), wide(&w), wide(&dy));
    let want_y = conv(&general, &xw, &ww, Some(&wide(&bias)));
    let want_dx = conv_backward_input(&general, &dyw, &ww);
    let (want_dw, want_db) = conv_backward_weight(&general, &xw, &dyw);
    on_every_isa(|isa| {
        for tile in [TileSize::Two, TileSize::Four] {
            let what = |name: &str| format!("{name} {isa:?} {tile:?} {s:?}");
            let y = guarded(s.output_len(), |y| winograd::conv3x3(s, tile, &x, &w, Some(&bias), None, y));
            assert_close(&what("y"), &y, &want_y);
            let dx = guarded(s.input_len(), |dx| winograd::conv3x3_backward_input(s, tile, &dy, &w, None, dx));
            assert_close(&what("dx"), &dx, &want_dx);
            let mut db = Vec::new();
            let dw = guarded(s.weight_len(), |dw| {
                db = guarded(s.k, |db| winograd::conv3x3_backward_weight(s, tile, &x, &dy, dw, db));
            });
            assert_close(&what("dw"), &dw, &want_dw);
            assert_sums_close(&what("db"), &db, &want_db, &wide(&dy));
        }
    });
}

#[test]
fn winograd_with_large_weights_is_right() {
    // The two ways of the weight gradient: sums of a part within the L2 cache, and shared ones.
    check_winograd(&Conv3x3 { n: 3, c: 64, k: 64, h: 15, w: 17 });
    check_winograd(&Conv3x3 { n: 4, c: 160, k: 130, h: 9, w: 6 });
}

#[test]
fn convolutions_that_transform_filters_as_they_use_them_give_the_same_bits() {
    // One part of the input channels, and two; few tiles, of which threads share the output channels, and more.
    let sizes = [[2, 100, 100, 7, 9], [3, 150, 110, 4, 4], [1, 270, 45, 8, 11], [9, 260, 250, 16, 15]];
    for [n, c, k, h, w] in sizes {
        let s = Conv3x3 { n, c, k, h, w };
        let (x, weight, bias) = (random(1, s.input_len()), random(2, s.weight_len()), random(3, s.k));
        let residual = random(4, s.output_len());
        let (bias, residual) = (Some(&bias[..]), Some(&residual[..]));
        on_every_isa(|isa| {
            let filters = winograd::Filters::new(TileSize::Four, k, c, &weight);
            let before = guarded(s.output_len(), |y| winograd::conv3x3_filtered(&s, &x, &filters, bias, residual, y));
            let after =
                guarded(s.output_len(), |y| winograd::conv3x3(&s, TileSize::Four, &x, &weight, bias, residual, y));
            assert!(before == after, "{isa:?} {s:?}");
        });
    }
}

/// `skip` of the channels lie in the second tensor.
fn check_norm(s: &GroupNorm, own_affine: bool, bias: bool, skip: usize) {
    let len = s.n * s.c * s.hw;
    let x: Vec<f32> = random(1, len).iter().map(|v| v * 1.7 + 0.6).collect();
    let bias = if bias { random(6, s.n * s.c) } else { Vec::new() };
    let affine_len = if own_affine { s.n * s.c } else { s.c };
    let (scale, offset) = (random(2, affine_len), random(3, affine_len));
    let (dy, add) = (random(4, len), random(5, len));
    let affine = Affine { scale: &scale, offset: &offset };
    let biased = |(i, v): (usize, &f32)| f64::from(*v) + bias.get(i / s.hw).map_or(0.0, |b| f64::from(*b));
    let (xw, sw, ow): (Vec<_>, _, _) = (x.iter().enumerate().map(biased).collect(), wide(&scale), wide(&offset));
    let want_y = common::group_norm(s, &xw, &sw, &ow);
    let (want_dx, want_scale, want_offset) = common::group_norm_backward(s, &xw, &sw, &ow, &wide(&dy));
    let want_sum: Vec<f64> = want_dx.iter().zip(&add).map(|(a, b)| a + f64::from(*b)).collect();
    let want_bias: Vec<f64> = want_dx.chunks(s.hw).map(|pixels| pixels.iter().sum()).collect();
    let (first, second) = ((s.c - skip) * s.hw, skip * s.hw);
    let parted = |x: &[f32]| {
        let mut parts = [vec![0.0; s.n * first], vec![0.0; s.n * second]];
        part(s.n, x, 0, &mut parts[0]);
        part(s.n, x, first, &mut parts[1]);
        parts
    };
    let (parts, add) = (parted(&x), parted(&add));
    let input = NormInput { x: &parts[0], skip: &parts[1], bias: &bias };
    on_every_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {s:?} {skip} {}", bias.len());
        let (mut mean, mut rstd) = (Vec::new(), Vec::new());
        let y = guarded(len, |y| {
            mean = guarded(s.n * s.groups, |mean| {
                rstd = guarded(s.n * s.groups, |rstd| cpu::group_norm(s, input, affine, y, mean, rstd));
            });
        });
        assert_close(&what("y"), &y, &want_y);
        let statistics = Statistics { mean: &mean, rstd: &rstd };
        for (add, want) in [([Some(&add[0][..]), Some(&add[1][..])], &want_sum), ([None, None], &want_dx)] {
            let [mut d_skip, mut d_bias, mut d_scale, mut d_offset, mut again] = [const { Vec::new() }; 5];
            let dx = guarded(parts[0].len(), |x| {
                d_skip = guarded(parts[1].len(), |skip| {
                    d_bias = guarded(bias.len(), |bias| {
                        d_scale = guarded(s.n * s.c, |scale| {
                            d_offset = guarded(s.n * s.c, |offset| {
                                again = guarded(len, |y| {
                                    let d = NormGradients { x, skip, bias, scale, offset, y };
                                    cpu::group_norm_backward(s, input, statistics, affine, &dy, add, d);
                                });
                            });
                        });
                    });
                });
            });
            let mut joined = vec![0.0; len];
            concat(s.n, &dx, &d_skip, &mut joined);
            assert_close(&what("dx"), &joined, want);
            assert_close(&what("y again"), &again, &want_y);
            assert_sums_close(&what("d_scale"), &d_scale, &want_scale, &wide(&dy));
            assert_sums_close(&what("d_offset"), &d_offset, &want_offset, &wide(&dy));
            if !bias.is_empty() {
                assert_sums_close(&what("d_bias"), &d_bias, &want_bias, &want_dx);
            }
        }
    });
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_group_norm_is_right(
        (n, channels, groups) in (1usize..4, 1usize..5, 1usize..5),
        hw in 3usize..90,
        silu in any::<bool>(),
        (own_affine, bias) in any::<(bool, bool)>(),
        skip in 0usize..25,
    ) {
        let c = channels * groups;
        check_norm(&GroupNorm { n, c, hw, groups, eps: 1e-5, silu }, own_affine, bias, skip.min(c));
    }

    #[test]
    fn any_attention_is_right(
        (heads, n, m) in (1usize..4, 1usize..120, 2usize..70),
        (d, d_v) in (1usize..40, 1usize..40),
    ) {
        check_attention(heads, n, m, d, d_v);
    }

    #[test]
    fn any_linear_map_is_right((rows, d_in, d_out) in (1usize..150, 1usize..90, 1usize..90)) {
        check_linear(rows, d_in, d_out);
    }
}

#[test]
fn group_norm_of_far_off_values_is_right() {
    // Mean 1000, deviation 1: the variance must not be a difference of large numbers.
    let s = GroupNorm { n: 2, c: 4, hw: 100, groups: 2, eps: 1e-5, silu: false };
    let x: Vec<f32> = random(1, 800).iter().map(|v| v + 1000.0).collect();
    let (scale, offset) = (vec![1.0; 4], vec![0.0; 4]);
    let want = common::group_norm(&s, &wide(&x), &wide(&scale), &wide(&offset));
    on_every_isa(|isa| {
        let affine = Affine { scale: &scale, offset: &offset };
        let y = guarded(800, |y| cpu::group_norm(&s, x[..].into(), affine, y, &mut [0.0; 4], &mut [0.0; 4]));
        // The mean itself is rounded to 6e-5 of a deviation.
        assert!(error(&y, &want) < 2e-4, "{isa:?}: {:e}", error(&y, &want));
    });
}

fn check_attention(heads: usize, n: usize, m: usize, d: usize, d_v: usize) {
    let (q, k) = (random(1, heads * n * d), random(2, heads * m * d));
    let (v, dy) = (random(3, heads * m * d_v), random(4, heads * n * d_v));
    let mut want = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for h in 0..heads {
        let part = |x: &[f32], len: usize| wide(&x[h * len..(h + 1) * len]);
        let (q, k, v, dy) = (part(&q, n * d), part(&k, m * d), part(&v, m * d_v), part(&dy, n * d_v));
        let head = attention_head([n, m, d, d_v], [&q, &k, &v], &dy);
        for (all, one) in want.iter_mut().zip(head) {
            all.extend(one);
        }
    }
    on_every_isa(|isa| {
        let s = Attention { heads, n, m, d, d_v };
        let what = |name: &str| format!("{name} {isa:?} {s:?}");
        let y = guarded(heads * n * d_v, |y| cpu::attention(&s, [&q, &k, &v], y));
        assert_close(&what("y"), &y, &want[0]);
        let (mut dk, mut dv) = (Vec::new(), Vec::new());
        let dq = guarded(q.len(), |dq| {
            dk = guarded(k.len(), |dk| {
                dv = guarded(v.len(), |dv| attention_backward(&s, [&q, &k, &v], &dy, [dq, dk, dv]));
            });
        });
        assert_close(&what("dq"), &dq, &want[1]);
        assert_close(&what("dk"), &dk, &want[2]);
        assert_close(&what("dv"), &dv, &want[3]);
    });
    if (n, d) == (m, d_v) {
        check_self_attention(heads, n, d, [&q, &k, &v], &dy, &want);
    }
}

/// The same as pixels of images, with operands next to each other; all heads are of one image, then of one each.
fn check_self_attention(heads: usize, n: usize, d: usize, qkv: [&[f32]; 3], dy: &[f32], want: &[Vec<f64>; 4]) {
    let [q, k, v] = qkv.map(|x| transposed(x, n, d));
    let dy = transposed(dy, n, d);
    for s in [SelfAttention { images: 1, heads, tokens: n, d }, SelfAttention { images: heads, heads: 1, tokens: n, d }]
    {
        let image = s.heads * n * d;
        let parts = |i: usize| [&q, &k, &v].map(|x| x[i * image..(i + 1) * image].to_vec()).concat();
        let qkv = (0..s.images).map(parts).collect::<Vec<_>>().concat();
        on_every_isa(|isa| {
            let what = |name: &str| format!("{name} {isa:?} {s:?}");
            let y = guarded(dy.len(), |y| cpu::self_attention(&s, &qkv, y));
            assert_close(&what("y"), &transposed(&y, d, n), &want[0]);
            let dqkv = guarded(qkv.len(), |dqkv| self_attention_backward(&s, &qkv, &dy, dqkv));
            for (part, want) in want[1..].iter().enumerate() {
                let of = |i: usize| &dqkv[(3 * i + part) * image..(3 * i + part + 1) * image];
                let got: Vec<f32> = (0..s.images).flat_map(of).copied().collect();
                assert_close(&what("dq, dk or dv"), &transposed(&got, d, n), want);
            }
        });
    }
}

/// Every `rows` × `columns` matrix transposed.
fn transposed(x: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let one = |x: &[f32]| -> Vec<f32> { (0..rows * columns).map(|i| x[i % rows * columns + i / rows]).collect() };
    x.chunks(rows * columns).map(one).collect::<Vec<_>>().concat()
}

fn check_linear(rows: usize, d_in: usize, d_out: usize) {
    let sizes = [rows, d_in, d_out];
    let (x, w) = (random(1, rows * d_in), random(2, d_out * d_in));
    let (bias, dy) = (random(3, d_out), random(4, rows * d_out));
    let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
    let mut db = vec![0.0; d_out];
    for (r, o) in (0..rows).flat_map(|r| (0..d_out).map(move |o| (r, o))) {
        let d = f64::from(dy[r * d_out + o]);
        y[r * d_out + o] += f64::from(bias[o]);
        db[o] += d;
        for i in 0..d_in {
            let (a, b) = (f64::from(x[r * d_in + i]), f64::from(w[o * d_in + i]));
            y[r * d_out + o] += a * b;
            dx[r * d_in + i] += d * b;
            dw[o * d_in + i] += d * a;
        }
    }
    on_every_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {sizes:?}");
        assert_close(&what("y"), &guarded(y.len(), |y| linear(sizes, &x, &w, Some(&bias), y)), &y);
        assert_close(&what("dx"), &guarded(dx.len(), |dx| linear_backward_input(sizes, &dy, &w, dx)), &dx);
        assert_close(&what("dw"), &guarded(dw.len(), |dw| linear_backward_weight(sizes, &x, &dy, dw)), &dw);
        let sums = guarded(db.len(), |db| sum_rows(&dy, d_out, db));
        assert_sums_close(&what("db"), &sums, &db, &wide(&dy));
    });
}

#[test]
fn long_linear_maps_are_right() {
    check_linear(7, 1300, 45);
    check_linear(1100, 20, 33);
}

#[test]
fn silu_is_right_from_zero_to_overflow() {
    let x = [&random(1, 1000)[..], &[0.0, -0.0, 30.0, -30.0, 88.0, -88.0, 1e4, -1e4, 3e38, 1e-30]].concat();
    let dy = random(2, x.len());
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let y: Vec<f64> = wide(&x).iter().map(|x| x * sigmoid(*x)).collect();
    let slope = |x: f64| sigmoid(x) * (1.0 + x * (1.0 - sigmoid(x)));
    let dx: Vec<f64> = wide(&x).iter().zip(&dy).map(|(x, d)| f64::from(*d) * slope(*x)).collect();
    on_every_isa(|isa| {
        let got = guarded(x.len(), |y| silu(&x, y));
        for ((x, got), want) in x.iter().zip(&got).zip(&y) {
            let (error, got) = ((f64::from(*got) - want).abs(), f64::from(*got));
            assert!(error <= 1e-6 * want.abs() + 1e-30, "{isa:?}: silu({x}) = {got}, expected {want}");
        }
        assert_close("dx", &guarded(x.len(), |dx| silu_backward(&x, &dy, dx)), &dx);
    });
}

#[test]
fn slices_are_added() {
    for n in [0, 1, 33, 40_000] {
        let (x, y) = (random(1, n), random(2, n));
        let want: Vec<f32> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
        let mut sum = x;
        cpu::add(&mut sum, &y);
        assert!(sum == want, "{n}");
    }
}

#[test]
fn not_a_number_is_not_hidden() {
    on_every_isa(|isa| {
        let mut x = vec![1.0f32; 40];
        (x[3], x[38]) = (f32::NAN, f32::NAN);
        let mut y = vec![0.0; 40];
        silu(&x, &mut y);
        assert!(y[3].is_nan() && y[38].is_nan(), "{isa:?}");
        let s = Attention { heads: 1, n: 20, m: 20, d: 2, d_v: 2 };
        let ones = vec![1.0; 40];
        cpu::attention(&s, [&x, &ones, &ones], &mut y);
        assert!(y[2].is_nan() && y[38].is_nan(), "{isa:?}: {y:?}");
    });
}

#[test]
fn sums_over_pixels_are_right() {
    let x = random(1, 3 * 5 * 1237);
    on_every_isa(|_| {
        let planes: Vec<f64> = x.chunks(1237).map(|x| wide(x).iter().sum()).collect();
        assert_close("planes", &guarded(15, |out| sum_pixels(&x, out)), &planes);
        let channels: Vec<f64> = (0..5).map(|c| (0..3).map(|n| planes[n * 5 + c]).sum()).collect();
        assert_close("channels", &guarded(5, |out| sum_images(&x, 3, 5, out)), &channels);
    });
}

#[test]
fn data_is_moved_right() {
    let (h, w) = (3, 19);
    let x = random(1, 4 * h * w);
    let y = guarded(4 * x.len(), |y| upsample_nearest_2x(h, w, &x, y));
    for (i, v) in y.iter().enumerate() {
        let (plane, row, column) = (i / (4 * h * w), i / (2 * w) % (2 * h), i % (2 * w));
        assert_eq!(*v, x[(plane * h + row / 2) * w + column / 2]);
    }
    let dx = guarded(x.len(), |dx| upsample_nearest_2x_backward(h, w, &y, dx));
    assert_eq!(dx, x.iter().map(|v| 4.0 * v).collect::<Vec<_>>());
    let (a, b) = (random(2, 2 * 3 * 7), random(3, 2 * 2 * 7));
    let both = guarded(70, |y| concat(2, &a, &b, y));
    assert_eq!(both[..21], a[..21]);
    assert_eq!(both[21..35], b[..14]);
    assert_eq!(guarded(42, |out| part(2, &both, 0, out)), a);
    assert_eq!(guarded(28, |out| part(2, &both, 21, out)), b);
    let shifted = guarded(42, |y| add_channel_bias(&a, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], y));
    assert_eq!(shifted[35], a[35] + 6.0);
    assert_eq!(shifted[34], a[34] + 5.0);
}

/// Keys that nobody asks for still have a gradient: zero, whatever the memory held before.
#[test]
fn attention_without_queries_has_gradients_of_zero() {
    let s = Attention { heads: 2, n: 0, m: 5, d: 3, d_v: 4 };
    let (k, v) = (random(1, s.heads * s.m * s.d), random(2, s.heads * s.m * s.d_v));
    on_every_isa(|_| {
        let mut dv = Vec::new();
        let dk = guarded(k.len(), |dk| {
            dv = guarded(v.len(), |dv| attention_backward(&s, [&[], &k, &v], &[], [&mut [], dk, dv]));
        });
        assert!(dk.iter().chain(&dv).all(|d| *d == 0.0));
    });
}
