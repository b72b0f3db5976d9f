//! Normalisation and convolution together: the bits of the two one after the other, and gradients against a naive f64 reference.

mod common;

use common::*;
use proptest::prelude::*;
use sfumato_cpu::winograd::{self, Conv3x3, Filters, TileSize};
use sfumato_cpu::{self as cpu, *};

/// What a convolution behind a norm is given.
struct Inputs {
    s: NormConv,
    /// The input as one tensor, and cut into two; what is added to its gradients likewise.
    whole: Vec<f32>,
    parts: [Vec<f32>; 2],
    add: Option<[Vec<f32>; 2]>,
    /// Empty, or one value for each image and channel.
    bias: Vec<f32>,
    scale: Vec<f32>,
    offset: Vec<f32>,
    w: Vec<f32>,
    own_bias: Vec<f32>,
    residual: Option<Vec<f32>>,
    dy: Vec<f32>,
}

/// Gradients, of the input as one tensor.
struct Gradients<V> {
    x: Vec<V>,
    bias: Vec<V>,
    scale: Vec<V>,
    offset: Vec<V>,
    weight: Vec<V>,
    own_bias: Vec<V>,
}

impl Inputs {
    /// `skip` of the channels lie in a second tensor; `given` says whether what need not be there is.
    fn new(s: &NormConv, skip: usize, given: bool) -> Self {
        let GroupNorm { n, c, hw, .. } = s.norm;
        let len = n * c * hw;
        let parted = |x: &[f32]| {
            let mut parts = [vec![0.0; len - n * skip * hw], vec![0.0; n * skip * hw]];
            part(n, x, 0, &mut parts[0]);
            part(n, x, (c - skip) * hw, &mut parts[1]);
            parts
        };
        let whole: Vec<f32> = random(1, len).iter().map(|v| v * 1.7 + 0.6).collect();
        let affine_len = if given { n * c } else { c };
        let factor = 1.0 / (9.0 * c as f32).sqrt();
        Self {
            s: *s,
            parts: parted(&whole),
            whole,
            add: given.then(|| parted(&random(9, len))),
            bias: if given { random(6, n * c) } else { Vec::new() },
            scale: random(2, affine_len),
            offset: random(3, affine_len),
            w: random(4, 9 * s.k * c).iter().map(|v| v * factor).collect(),
            own_bias: random(8, s.k),
            residual: given.then(|| random(7, s.output_len())),
            dy: random(5, s.output_len()),
        }
    }

    fn input(&self) -> NormInput<'_> {
        NormInput { x: &self.parts[0], skip: &self.parts[1], bias: &self.bias }
    }

    fn affine(&self) -> Affine<'_> {
        Affine { scale: &self.scale, offset: &self.offset }
    }

    /// Both parts of a tensor like the input, joined.
    fn joined(&self, [a, b]: [&[f32]; 2]) -> Vec<f32> {
        let mut joined = vec![0.0; self.whole.len()];
        concat(self.s.norm.n, a, b, &mut joined);
        joined
    }

    /// The gradients in f64, and those of the norm's result and of the input without what is added.
    fn references(&self) -> (Gradients<f64>, [Vec<f64>; 2]) {
        let s = &self.s;
        let GroupNorm { n, c, hw, .. } = s.norm;
        let biased = |(i, v): (usize, &f32)| f64::from(*v) + self.bias.get(i / hw).map_or(0.0, |b| f64::from(*b));
        let x: Vec<f64> = self.whole.iter().enumerate().map(biased).collect();
        let [scale, offset, dy] = [&self.scale, &self.offset, &self.dy].map(|values| wide(values));
        let general = Conv2d { n, c, k: s.k, h: s.h, w: s.w, side: 3, stride: 1, padding: [1; 4] };
        let d_normed = conv_backward_input(&general, &dy, &wide(&self.w));
        let (own_dx, d_scale, d_offset) = common::group_norm_backward(&s.norm, &x, &scale, &offset, &d_normed);
        let normed = common::group_norm(&s.norm, &x, &scale, &offset);
        let (weight, own_bias) = conv_backward_weight(&general, &normed, &dy);
        let added = self.add.as_ref().map(|[a, b]| self.joined([a, b]));
        let dx = own_dx.iter().enumerate().map(|(i, dx)| dx + added.as_ref().map_or(0.0, |add| f64::from(add[i])));
        let bias = own_dx.chunks(hw).map(|pixels| pixels.iter().sum()).collect();
        let wanted = Gradients { x: dx.collect(), bias, scale: d_scale, offset: d_offset, weight, own_bias };
        (wanted, [d_normed, own_dx])
    }

    /// The result and the statistics.
    fn result(&self) -> [Vec<f32>; 3] {
        let (s, [mut mean, mut rstd]) = (&self.s, [const { Vec::new() }; 2]);
        let statistics = s.norm.n * s.norm.groups;
        let filters = Filters::new(TileSize::for_size(s.h, s.w), s.k, s.norm.c, &self.w);
        let (own_bias, residual) = (Some(&self.own_bias[..]), self.residual.as_deref());
        let y = guarded(s.output_len(), |y| {
            mean = guarded(statistics, |mean| {
                rstd = guarded(statistics, |rstd| {
                    norm_conv(s, self.input(), self.affine(), &filters, own_bias, residual, y, [mean, rstd]);
                });
            });
        });
        [y, mean, rstd]
    }

    /// The same by the two operations one after the other.
    fn result_of_two(&self) -> [Vec<f32>; 3] {
        let s = &self.s;
        let GroupNorm { n, c, groups, .. } = s.norm;
        let (mut normed, mut y) = (vec![0.0; self.whole.len()], vec![0.0; s.output_len()]);
        let [mut mean, mut rstd] = [(); 2].map(|()| vec![0.0; n * groups]);
        cpu::group_norm(&s.norm, self.input(), self.affine(), &mut normed, &mut mean, &mut rstd);
        let conv = Conv3x3 { n, c, k: s.k, h: s.h, w: s.w };
        let tile = TileSize::for_size(s.h, s.w);
        winograd::conv3x3(&conv, tile, &normed, &self.w, Some(&self.own_bias), self.residual.as_deref(), &mut y);
        [y, mean, rstd]
    }

    fn gradients(&self, [mean, rstd]: [&[f32]; 2]) -> Gradients<f32> {
        let (s, n_c) = (&self.s, self.s.norm.n * self.s.norm.c);
        let add = [0, 1].map(|i| self.add.as_ref().map(|add| &add[i][..]));
        let [mut d_skip, mut d_bias, mut d_scale, mut d_offset, mut dw, mut db] = [const { Vec::new() }; 6];
        let dx = guarded(self.parts[0].len(), |x| {
            d_skip = guarded(self.parts[1].len(), |skip| {
                d_bias = guarded(self.bias.len(), |bias| {
                    d_scale = guarded(n_c, |scale| {
                        d_offset = guarded(n_c, |offset| {
                            dw = guarded(self.w.len(), |weight| {
                                db = guarded(s.k, |own_bias| {
                                    let norm = NormGradients { x, skip, bias, scale, offset, y: &mut [] };
                                    let d = NormConvGradients { norm, weight, bias: own_bias };
                                    let (input, affine) = (self.input(), self.affine());
                                    let statistics = Statistics { mean, rstd };
                                    norm_conv_backward(s, input, statistics, affine, &self.w, &self.dy, add, d);
                                });
                            });
                        });
                    });
                });
            });
        });
        let x = self.joined([&dx, &d_skip]);
        Gradients { x, bias: d_bias, scale: d_scale, offset: d_offset, weight: dw, own_bias: db }
    }
}

/// `skip` of the channels lie in a second tensor.
fn check(s: &NormConv, skip: usize, given: bool) {
    let inputs = Inputs::new(s, skip, given);
    let (want, [d_normed, own_dx]) = inputs.references();
    on_every_isa(|isa| {
        let what = |name: &str| format!("{name} {isa:?} {s:?} {skip} {given}");
        let result = inputs.result();
        assert!(result == inputs.result_of_two(), "{}", what("bits"));
        let [_, mean, rstd] = &result;
        let got = inputs.gradients([mean, rstd]);
        assert_close(&what("dx"), &got.x, &want.x);
        assert_sums_close(&what("d_scale"), &got.scale, &want.scale, &d_normed);
        assert_sums_close(&what("d_offset"), &got.offset, &want.offset, &d_normed);
        if given {
            assert_sums_close(&what("d_bias"), &got.bias, &want.bias, &own_dx);
        }
        assert_close(&what("dw"), &got.weight, &want.weight);
        assert_sums_close(&what("db"), &got.own_bias, &want.own_bias, &wide(&inputs.dy));
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
