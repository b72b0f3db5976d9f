//! Normalisation and convolution together: the bits of the two one after the other, and gradients against a naive f64 reference.

mod common;

use common::*;
use proptest::prelude::*;
use sfumato_cpu::winograd::{self, Conv3x3, Filters, TileSize};
use sfumato_cpu::{self as cpu, *};

/// `skip` of the channels lie in a second tensor.
fn check(s: &NormConv, skip: usize, given: bool) {
    let GroupNorm { n, c, hw, groups, .. } = s.norm;
    let len = n * c * hw;
    let whole: Vec<f32> = random(1, len).iter().map(|v| v * 1.7 + 0.6).collect();
    let bias = if given { random(6, n * c) } else { Vec::new() };
    let affine_len = if given { n * c } else { c };
    let (scale, offset) = (random(2, affine_len), random(3, affine_len));
    let affine = Affine { scale: &scale, offset: &offset };
    let factor = 1.0 / (9.0 * c as f32).sqrt();
    let w: Vec<f32> = random(4, 9 * s.k * c).iter().map(|v| v * factor).collect();
    let (dy, residual, own_bias) = (random(5, s.output_len()), random(7, s.output_len()), random(8, s.k));
    let residual = given.then_some(&residual[..]);
    let parted = |x: &[f32]| {
        let mut parts = [vec![0.0; len - n * skip * hw], vec![0.0; n * skip * hw]];
        part(n, x, 0, &mut parts[0]);
        part(n, x, (c - skip) * hw, &mut parts[1]);
        parts
    };
    let (parts, add) = (parted(&whole), parted(&random(9, len)));
    let add = [0, 1].map(|i| given.then_some(&add[i][..]));
    let input = NormInput { x: &parts[0], skip: &parts[1], bias: &bias };
    let conv = Conv3x3 { n, c, k: s.k, h: s.h, w: s.w };

    // In f64
    let biased = |(i, v): (usize, &f32)| f64::from(*v) + bias.get(i / hw).map_or(0.0, |b| f64::from(*b));
    let (xw, sw, ow): (Vec<_>, _, _) = (whole.iter().enumerate().map(biased).collect(), wide(&scale), wide(&offset));
    let general = Conv2d { n, c, k: s.k, h: s.h, w: s.w, side: 3, stride: 1, padding: [1; 4] };
    let d_normed = conv_backward_input(&general, &wide(&dy), &wide(&w));
    let (own_dx, want_scale, want_offset) = common::group_norm_backward(&s.norm, &xw, &sw, &ow, &d_normed);
    let normed = common::group_norm(&s.norm, &xw, &sw, &ow);
    let (want_dw, want_db) = conv_backward_weight(&general, &normed, &wide(&dy));
    let want_dx: Vec<f64> = match add {
        [Some(a), Some(b)] => {
            let mut joined = vec![0.0; len];
            concat(n, a, b, &mut joined);
            own_dx.iter().zip(&joined).map(|(a, b)| a + f64::from(*b)).collect()
        }
        _ => own_dx.clone(),
    };

    on_every_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {s:?} {skip} {given}");
        let (mut mean, mut rstd) = (Vec::new(), Vec::new());
        let filters = Filters::new(TileSize::for_size(s.h, s.w), s.k, c, &w);
        let y = guarded(s.output_len(), |y| {
            mean = guarded(n * groups, |mean| {
                rstd = guarded(n * groups, |rstd| {
                    norm_conv(s, input, affine, &filters, Some(&own_bias), residual, y, [mean, rstd]);
                });
            });
        });
        let (mut normed, mut plain) = (vec![0.0; len], vec![0.0; s.output_len()]);
        let [mut mean_of_norm, mut rstd_of_norm] = [(); 2].map(|()| vec![0.0; n * groups]);
        cpu::group_norm(&s.norm, input, affine, &mut normed, &mut mean_of_norm, &mut rstd_of_norm);
        let tile = TileSize::for_size(s.h, s.w);
        winograd::conv3x3(&conv, tile, &normed, &w, Some(&own_bias), residual, &mut plain);
        assert!(y == plain && mean == mean_of_norm && rstd == rstd_of_norm, "{}", what("bits"));

        let [mut d_skip, mut d_bias, mut d_scale, mut d_offset, mut dw, mut db] = [const { Vec::new() }; 6];
        let dx = guarded(parts[0].len(), |x| {
            d_skip = guarded(parts[1].len(), |skip| {
                d_bias = guarded(bias.len(), |bias| {
                    d_scale = guarded(n * c, |scale| {
                        d_offset = guarded(n * c, |offset| {
                            dw = guarded(w.len(), |weight| {
                                db = guarded(s.k, |own_bias| {
                                    let norm = NormGradients { x, skip, bias, scale, offset, y: &mut [] };
                                    let d = NormConvGradients { norm, weight, bias: own_bias };
                                    let statistics = Statistics { mean: &mean, rstd: &rstd };
                                    norm_conv_backward(s, input, statistics, affine, &w, &dy, add, d);
                                });
                            });
                        });
                    });
                });
            });
        });
        let mut joined = vec![0.0; len];
        concat(n, &dx, &d_skip, &mut joined);
        assert_close(&what("dx"), &joined, &want_dx);
        assert_sums_close(&what("d_scale"), &d_scale, &want_scale, &d_normed);
        assert_sums_close(&what("d_offset"), &d_offset, &want_offset, &d_normed);
        if given {
            let sums: Vec<f64> = own_dx.chunks(hw).map(|pixels| pixels.iter().sum()).collect();
            assert_sums_close(&what("d_bias"), &d_bias, &sums, &own_dx);
        }
        assert_close(&what("dw"), &dw, &want_dw);
        assert_sums_close(&what("db"), &db, &want_db, &wide(&dy));
    });
}

fn sizes(n: usize, [c, k, groups]: [usize; 3], [h, w]: [usize; 2]) -> NormConv {
    NormConv { norm: GroupNorm { n, c, hw: h * w, groups, eps: 1e-5, silu: true }, k, h, w }
}

#[test]
fn chunks_of_images_are_right() {
    check(&sizes(14, [64, 8, 8], [28, 28]), 24, true);
    // Weight gradients whose sums are shared
    check(&sizes(20, [130, 40, 10], [17, 13]), 0, false);
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn any_convolution_behind_a_norm_is_right(
        (n, channels, groups) in (1usize..4, 1usize..6, 1usize..5),
        k in 1usize..20,
        (h, w) in (1usize..12, 1usize..12),
        given in any::<bool>(),
        skip in 0usize..20,
    ) {
        // The gradient of a group of one or two values is zero but for rounding.
        prop_assume!(h * w >= 3);
        let c = channels * groups;
        check(&sizes(n, [c, k, groups], [h, w]), skip.min(c), given);
    }
}
