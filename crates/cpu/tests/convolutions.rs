//! Every slice kernel that convolves against a naive f64 reference: all instruction sets of this machine, sizes that are multiples of
//! nothing, outputs between guard values. The references themselves are checked by finite differences in `tests/references.rs`.
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
