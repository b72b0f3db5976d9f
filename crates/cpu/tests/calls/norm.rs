//! Calls of the normalisations, alone and with a convolution behind them.

use super::{Memory, optional};
use sfumato_cpu::winograd::{Filters, TileSize};
use sfumato_cpu::{self as cpu, *};

pub(crate) fn group_norms(m: &impl Memory, fit: GroupNorm, s: GroupNorm, own_affine: bool, skip: usize) {
    let (pixels, statistics) = (fit.n * fit.hw, fit.n * fit.groups);
    let (len, affine_len) = (fit.c * pixels, if own_affine { fit.n * fit.c } else { fit.c });
    let parts = [(fit.c - skip) * pixels, skip * pixels];
    let [x, of_skip] = [0, 1].map(|i| m.input(1 + i as u64, parts[i]));
    let [add, add_skip] = [0, 1].map(|i| m.input(3 + i as u64, parts[i]));
    let (dy, bias) = (m.input(5, len), m.input(6, fit.n * fit.c));
    let (scale, offset) = (m.input(7, affine_len), m.input(8, affine_len));
    let affine = Affine { scale: &scale, offset: &offset };
    let (mut y, mut mean, mut rstd) = (m.output(len), m.output(statistics), m.output(statistics));
    let [mut dx, mut d_skip] = parts.map(|len| m.output(len));
    let [mut d_bias, mut d_scale, mut d_offset] = [(); 3].map(|()| m.output(fit.n * fit.c));
    for given in [true, false] {
        let bias: &[f32] = if given { &bias } else { &[] };
        let sizes = (s, skip, given);
        let input = NormInput { x: &x, skip: &of_skip, bias };
        m.call("group_norm", &sizes, || cpu::group_norm(&s, input, affine, &mut y, &mut mean, &mut rstd));
        m.call("fresh::group_norm", &sizes, || fresh::group_norm(&s, input, affine));
        let statistics = Statistics { mean: &mean, rstd: &rstd };
        let add = [optional(given, &add), optional(given, &add_skip)];
        m.call("group_norm_backward", &sizes, || {
            let bias: &mut [f32] = if given { &mut d_bias } else { &mut [] };
            let d = NormGradients {
                x: &mut dx,
                skip: &mut d_skip,
                bias,
                scale: &mut d_scale,
                offset: &mut d_offset,
                y: &mut [],
            };
            group_norm_backward(&s, input, statistics, affine, &dy, add, d);
        });
        m.call("fresh::group_norm_backward", &sizes, || {
            vectors(fresh::group_norm_backward(&s, input, statistics, affine, &dy, add))
        });
    }
}

pub(crate) fn norm_convs(m: &impl Memory, fit: NormConv, s: NormConv, skip: usize) {
    let GroupNorm { n, c, hw, groups, .. } = fit.norm;
    let parts = [(c - skip) * n * hw, skip * n * hw];
    let [x, of_skip] = [0, 1].map(|i| m.input(1 + i as u64, parts[i]));
    let [add, add_skip] = [0, 1].map(|i| m.input(3 + i as u64, parts[i]));
    let (bias, scale, offset) = (m.input(5, n * c), m.input(6, c), m.input(7, c));
    let affine = Affine { scale: &scale, offset: &offset };
    let (w, own_bias) = (m.input(8, 9 * c * fit.k), m.input(9, fit.k));
    let (dy, residual) = (m.input(10, fit.output_len()), m.input(11, fit.output_len()));
    let (mut y, mut mean, mut rstd) = (m.output(fit.output_len()), m.output(n * groups), m.output(n * groups));
    let [mut dx, mut d_skip] = parts.map(|len| m.output(len));
    let [mut d_bias, mut d_scale, mut d_offset] = [(); 3].map(|()| m.output(n * c));
    let (mut dw, mut db) = (m.output(9 * c * fit.k), m.output(fit.k));
    let input = NormInput { x: &x, skip: &of_skip, bias: &bias };
    m.call("norm_conv", &s, || {
        let filters = Filters::new(TileSize::for_size(s.h, s.w), s.k, s.norm.c, &w);
        let (own_bias, residual) = (Some(&own_bias[..]), Some(&residual[..]));
        cpu::norm_conv(&s, input, affine, &filters, own_bias, residual, &mut y, [&mut mean, &mut rstd]);
    });
    m.call("fresh::norm_conv", &s, || {
        let filters = Filters::new(TileSize::for_size(s.h, s.w), s.k, s.norm.c, &w);
        fresh::norm_conv(&s, input, affine, &filters, Some(&own_bias), Some(&residual))
    });
    m.call("norm_conv_backward", &s, || {
        let (scale, offset) = (&mut d_scale[..], &mut d_offset[..]);
        let norm = NormGradients { x: &mut dx, skip: &mut d_skip, bias: &mut d_bias, scale, offset, y: &mut [] };
        let d = NormConvGradients { norm, weight: &mut dw, bias: &mut db };
        let statistics = Statistics { mean: &mean, rstd: &rstd };
        norm_conv_backward(&s, input, statistics, affine, &w, &dy, [Some(&add), Some(&add_skip)], d);
    });
    m.call("norm_conv_bf16", &s, || {
        let (own_bias, residual) = (Some(&own_bias[..]), Some(&residual[..]));
        norm_conv_bf16(&s, input, affine, &w, own_bias, residual, &mut y, [&mut mean, &mut rstd]);
    });
    m.call("fresh::norm_conv_bf16", &s, || {
        fresh::norm_conv_bf16(&s, input, affine, &w, Some(&own_bias), Some(&residual))
    });
    m.call("norm_conv_bf16_backward", &s, || {
        let (scale, offset) = (&mut d_scale[..], &mut d_offset[..]);
        let norm = NormGradients { x: &mut dx, skip: &mut d_skip, bias: &mut d_bias, scale, offset, y: &mut [] };
        let d = NormConvGradients { norm, weight: &mut dw, bias: &mut db };
        let statistics = Statistics { mean: &mean, rstd: &rstd };
        norm_conv_bf16_backward(&s, input, statistics, affine, &w, &dy, [Some(&add), Some(&add_skip)], d);
    });
    let (statistics, add) = (Statistics { mean: &mean, rstd: &rstd }, [Some(&add[..]), Some(&add_skip[..])]);
    let all = |(norm, weight, bias): (fresh::NormResults, Vec<f32>, Vec<f32>)| {
        let [x, skip, of_bias, scale, offset] = vectors(norm);
        [x, skip, of_bias, scale, offset, weight, bias]
    };
    m.call("fresh::norm_conv_backward", &s, || {
        all(fresh::norm_conv_backward(&s, input, statistics, affine, &w, &dy, add))
    });
    m.call("fresh::norm_conv_bf16_backward", &s, || {
        all(fresh::norm_conv_bf16_backward(&s, input, statistics, affine, &w, &dy, add))
    });
}

fn vectors(results: fresh::NormResults) -> [Vec<f32>; 5] {
    let fresh::NormResults { x, skip, bias, scale, offset } = results;
    [x, skip, bias, scale, offset]
}
