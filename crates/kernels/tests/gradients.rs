//! Every operation and all its gradients against the same formula in Burn's plain operations, differentiated by
//! Burn in f64: on both CPU backends, in f32 and f64, under both checkpointing strategies, on contiguous and on
//! transposed inputs.
#![cfg(all(feature = "flex", feature = "ndarray"))]

use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::backend::{AutodiffBackend as BurnAutodiff, Backend as Burn};
use burn::tensor::module::conv2d as burn_conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{DType, Tensor, TensorData};
use sfumato_kernels::*;

/// Relative error that f32 kernels may have, `|ours - reference| / |reference|`.
const F32: f64 = 1e-5;
/// The same of the f64 path, which is composed of Burn's operations.
const F64: f64 = 1e-10;

/// An operation on flat inputs, twice. Leaves are flat so that one list holds tensors of all ranks.
trait Op {
    /// Lengths of the inputs.
    fn inputs(&self) -> Vec<usize>;
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1>;
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1>;
}

/// Values in about [-1.7, 1.7], the same on every run.
fn values(seed: u64, n: usize) -> Vec<f64> {
    let mut s = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut uniform = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 11) as f64 / (1u64 << 53) as f64
    };
    // Rounded to f32, so that both precisions start from the same numbers.
    (0..n).map(|_| ((uniform() - 0.5) * 3.4) as f32 as f64).collect()
}

/// The output, then the gradient of `Σ weights · output` for every input.
fn run<B: BurnAutodiff>(op: &impl Op, dtype: DType, f: impl Fn(&[Tensor<B, 1>]) -> Tensor<B, 1>) -> Vec<Vec<f64>> {
    let device = B::Device::default();
    let leaf = |(i, n): (usize, usize)| {
        let data = TensorData::new(values(i as u64, n), [n]);
        Tensor::<B, 1>::from_data(data, (&device, dtype)).require_grad()
    };
    let leaves: Vec<_> = op.inputs().into_iter().enumerate().map(leaf).collect();
    let y = f(&leaves);
    let [n] = y.dims();
    let weights = Tensor::from_data(TensorData::new(values(99, n), [n]), (&device, dtype));
    let gradients = (y.clone() * weights).sum().backward();
    let mut all = vec![y.into_data().iter::<f64>().collect::<Vec<_>>()];
    for leaf in &leaves {
        let gradient = leaf.grad(&gradients).expect("every input is used");
        all.push(gradient.into_data().iter::<f64>().collect());
    }
    all
}

fn assert_close(name: &str, got: &[Vec<f64>], want: &[Vec<f64>], tolerance: f64) {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.len(), want.len(), "{name}, result {i}");
        let norm = |x: f64| x.sqrt();
        let error = norm(got.iter().zip(want).map(|(a, b)| (a - b).powi(2)).sum());
        let size = norm(want.iter().map(|b| b * b).sum());
        assert!(error <= tolerance * size, "{name}, result {i}: relative error {:e}", error / size);
    }
}

fn check(op: impl Op) {
    let want = run::<Autodiff<Flex>>(&op, DType::F64, |x| op.plain(x));
    for (dtype, tolerance) in [(DType::F32, F32), (DType::F64, F64)] {
        macro_rules! on {
            ($name:expr, $backend:ty) => {
                let got = run::<$backend>(&op, dtype, |x| op.ours(x));
                assert_close(&format!("{} {dtype:?}", $name), &got, &want, tolerance);
            };
        }
        on!("flex", Autodiff<Flex>);
        on!("ndarray", Autodiff<NdArray>);
        on!("flex, recomputing", Autodiff<Flex, BalancedCheckpointing>);
    }
}

/// `[n, c, h, w]` from flat; transposed on the way if asked for, so that the kernel sees a strided tensor.
fn image<B: Burn>(x: &Tensor<B, 1>, [n, c, h, w]: [usize; 4], transposed: bool) -> Tensor<B, 4> {
    if transposed { x.clone().reshape([n, c, w, h]).swap_dims(2, 3) } else { x.clone().reshape([n, c, h, w]) }
}

fn flat<B: Burn, const D: usize>(x: Tensor<B, D>) -> Tensor<B, 1> {
    x.reshape([-1])
}

#[derive(Clone)]
struct Silu;
impl Op for Silu {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * 5 * 7]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        flat(silu(image(&x[0], [2, 3, 5, 7], true).exp()))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let x = image(&x[0], [2, 3, 5, 7], true).exp();
        flat(x.clone() / (x.neg().exp() + 1.0))
    }
}

#[test]
fn silu_matches() {
    check(Silu);
}

struct Conv {
    x: [usize; 4],
    out: usize,
    side: usize,
    geometry: Conv2dGeometry,
    bias: bool,
    residual: bool,
    /// The residual is the input itself: their gradients meet inside the step.
    shared: bool,
    transposed: bool,
}

impl Conv {
    fn weight(&self) -> [usize; 4] {
        [self.out, self.x[1], self.side, self.side]
    }
    fn output(&self) -> [usize; 4] {
        let [n, _, h, w] = self.x;
        let (oh, ow) = self.geometry.output_size(h, w, self.side).unwrap();
        [n, self.out, oh, ow]
    }
}

impl Op for Conv {
    fn inputs(&self) -> Vec<usize> {
        let mut all = vec![self.x.iter().product(), self.weight().iter().product(), self.out];
        if !self.bias {
            all.pop();
        }
        if self.residual && !self.shared {
            all.push(self.output().iter().product());
        }
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = image(&x[0], self.x, self.transposed);
        let weight = x[1].clone().reshape(self.weight());
        let bias = self.bias.then(|| x[2].clone());
        let y = if self.residual {
            let residual = match self.shared {
                true => input.clone(),
                false => x[x.len() - 1].clone().reshape(self.output()),
            };
            // Used again, so that a gradient of it is there already
            conv2d_add(input, weight, bias, residual.clone()) * residual
        } else {
            conv2d(input, weight, bias, self.geometry)
        };
        flat(y)
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = image(&x[0], self.x, self.transposed);
        let [top, left, bottom, right] = self.geometry.padding;
        let [n, c, h, w] = self.x;
        // Not Burn's `pad`: it makes its border in the default dtype.
        let border = |size: [usize; 4]| Tensor::<B, 4>::zeros(size, (&input.device(), input.dtype()));
        let rows = vec![border([n, c, top, w]), input.clone(), border([n, c, bottom, w])];
        let tall = Tensor::cat(rows, 2);
        let h = h + top + bottom;
        let columns = vec![border([n, c, h, left]), tall, border([n, c, h, right])];
        let padded = Tensor::cat(columns, 3);
        let options = ConvOptions::new([self.geometry.stride; 2], [0, 0], [1, 1], 1);
        let weight = x[1].clone().reshape(self.weight());
        let bias = self.bias.then(|| x[2].clone());
        let y = burn_conv2d(padded, weight, bias, options);
        flat(match (self.residual, self.shared) {
            (true, true) => (y + input.clone()) * input,
            (true, false) => {
                let residual = x[x.len() - 1].clone().reshape(self.output());
                (y + residual.clone()) * residual
            }
            (false, _) => y,
        })
    }
}

const SAME: Conv = Conv {
    x: [2, 3, 7, 9],
    out: 5,
    side: 3,
    geometry: Conv2dGeometry::SAME_3X3,
    bias: true,
    residual: false,
    shared: false,
    transposed: false,
};

#[test]
fn conv_3x3_matches() {
    check(SAME);
    check(Conv { bias: false, transposed: true, x: [1, 18, 5, 6], out: 33, ..SAME });
}

#[test]
fn conv_3x3_with_residual_matches() {
    check(Conv { residual: true, ..SAME });
    check(Conv { residual: true, bias: false, transposed: true, ..SAME });
    check(Conv { residual: true, shared: true, out: 3, ..SAME });
}

#[test]
fn conv_1x1_matches() {
    let point = Conv { side: 1, geometry: Conv2dGeometry::POINTWISE, ..SAME };
    check(Conv { x: [3, 17, 5, 7], out: 35, bias: false, ..point });
    check(Conv { transposed: true, ..point });
}

#[test]
fn strided_conv_matches() {
    for geometry in [Conv2dGeometry::DOWN, Conv2dGeometry::DOWN_ASYMMETRIC] {
        for x in [[2, 3, 8, 10], [1, 18, 7, 5]] {
            check(Conv { geometry, x, ..SAME });
        }
    }
}

#[test]
fn other_convolutions_match() {
    let wide = Conv { side: 5, geometry: Conv2dGeometry { stride: 1, padding: [2; 4] }, ..SAME };
    check(wide);
    check(Conv { side: 2, geometry: Conv2dGeometry { stride: 3, padding: [1, 0, 0, 2] }, ..SAME });
}

#[derive(Clone, Copy, PartialEq)]
enum Variant {
    Plain,
    Biased,
    /// The input's channels from this one on are another tensor's.
    Joined(usize),
    ScaleShift,
}

struct Norm {
    x: [usize; 4],
    groups: usize,
    activation: NormActivation,
    variant: Variant,
    transposed: bool,
    /// The input is also added to the result: its gradients meet inside the step.
    residual: bool,
}

impl Op for Norm {
    fn inputs(&self) -> Vec<usize> {
        let [n, c, _, _] = self.x;
        let mut all = vec![self.x.iter().product(), c, c];
        match self.variant {
            Variant::Plain | Variant::Joined(_) => {}
            Variant::Biased => all.push(n * c),
            Variant::ScaleShift => all.extend([n * c, n * c]),
        }
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [n, c, _, _] = self.x;
        let input = image(&x[0], self.x, self.transposed);
        let (gamma, beta) = (x[1].clone(), x[2].clone());
        let matrix = |i: usize| x[i].clone().reshape([n, c]);
        let (groups, activation) = (self.groups, self.activation);
        let x = input.clone();
        let y = match self.variant {
            Variant::Plain => group_norm(x, gamma, beta, groups, 1e-5, activation),
            Variant::Biased => group_norm_biased(x, matrix(3), gamma, beta, groups, 1e-5, activation),
            Variant::Joined(at) => {
                let parts = [x.clone().narrow(1, 0, at), x.narrow(1, at, c - at)];
                let y = group_norm_joined(parts.clone(), gamma, beta, groups, 1e-5, activation);
                // Gradients of both tensors that are there already
                let [a, b] = parts;
                if self.residual { y * concat_channels(a * 0.5, b * 0.25) } else { y }
            }
            Variant::ScaleShift => {
                group_norm_scale_shift(x, gamma, beta, matrix(3), matrix(4), groups, 1e-5, activation)
            }
        };
        flat(if self.residual { y + input } else { y })
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [n, c, h, w] = self.x;
        let input = image(&x[0], self.x, self.transposed);
        let each = |i: usize| x[i].clone().reshape([n, c, 1, 1]);
        let biased = if self.variant == Variant::Biased { input.clone() + each(3) } else { input.clone() };
        let grouped: Tensor<B, 2> = biased.reshape([n * self.groups, c / self.groups * h * w]);
        let centred = grouped.clone() - grouped.mean_dim(1);
        let variance = centred.clone().powi_scalar(2).mean_dim(1);
        let normed = (centred / (variance + 1e-5).sqrt()).reshape([n, c, h, w]);
        let channel = |i: usize| x[i].clone().reshape([1, c, 1, 1]);
        let mut z = normed * channel(1) + channel(2);
        if self.variant == Variant::ScaleShift {
            z = z * (each(3) + 1.0) + each(4);
        }
        let y = match self.activation {
            NormActivation::None => z,
            NormActivation::Silu => z.clone() / (z.neg().exp() + 1.0),
        };
        let y = match self.variant {
            Variant::Joined(at) if self.residual => {
                let parts = vec![input.clone().narrow(1, 0, at) * 0.5, input.clone().narrow(1, at, c - at) * 0.25];
                y * Tensor::cat(parts, 1)
            }
            _ => y,
        };
        flat(if self.residual { y + input } else { y })
    }
}

#[test]
fn group_norm_matches() {
    let variants = [Variant::Plain, Variant::Biased, Variant::Joined(7), Variant::ScaleShift];
    for activation in [NormActivation::None, NormActivation::Silu] {
        for (variant, residual) in variants.into_iter().flat_map(|variant| [(variant, false), (variant, true)]) {
            check(Norm { x: [3, 12, 5, 7], groups: 4, activation, variant, transposed: !residual, residual });
        }
    }
    check(Norm {
        x: [1, 2, 1, 3],
        groups: 1,
        activation: NormActivation::Silu,
        variant: Variant::ScaleShift,
        transposed: false,
        residual: true,
    });
}

struct JoinedConv {
    bias: bool,
    /// The inputs are used again: their gradients meet inside the step.
    residual: bool,
}
impl JoinedConv {
    const A: [usize; 4] = [3, 5, 4, 7];
    const B: [usize; 4] = [3, 18, 4, 7];
    fn weight<B: Burn>(x: &[Tensor<B, 1>]) -> Tensor<B, 4> {
        x[2].clone().reshape([9, 23, 1, 1])
    }
    fn bias<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Option<Tensor<B, 1>> {
        self.bias.then(|| x[3].clone())
    }
    fn rest<B: Burn>(&self, a: Tensor<B, 4>, b: Tensor<B, 4>, y: Tensor<B, 4>) -> Tensor<B, 1> {
        let sum = a.square().sum() + b.square().sum() * 0.5;
        if self.residual { Tensor::cat(vec![flat(y), sum], 0) } else { flat(y) }
    }
}
impl Op for JoinedConv {
    fn inputs(&self) -> Vec<usize> {
        let mut all = vec![3 * 5 * 28, 3 * 18 * 28, 9 * 23, 9];
        all.truncate(if self.bias { 4 } else { 3 });
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (a, b) = (image(&x[0], Self::A, true), image(&x[1], Self::B, false));
        let y = conv1x1_joined([a.clone(), b.clone()], Self::weight(x), self.bias(x));
        self.rest(a, b, y)
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (a, b) = (image(&x[0], Self::A, true), image(&x[1], Self::B, false));
        let joined = Tensor::cat(vec![a.clone(), b.clone()], 1);
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let y = burn_conv2d(joined, Self::weight(x), self.bias(x), options);
        self.rest(a, b, y)
    }
}

#[test]
fn joined_conv_matches() {
    for (bias, residual) in [(true, false), (true, true), (false, true)] {
        check(JoinedConv { bias, residual });
    }
}

struct ChannelBias;
impl Op for ChannelBias {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * 5 * 7, 6]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let bias = x[1].clone().reshape([3, 2]).transpose();
        flat(add_channel_bias(image(&x[0], [2, 3, 5, 7], true), bias))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let bias = x[1].clone().reshape([3, 2]).transpose();
        flat(image(&x[0], [2, 3, 5, 7], true) + bias.reshape([2, 3, 1, 1]))
    }
}

struct Upsample;
impl Op for Upsample {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * 5 * 17]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        flat(upsample_nearest_2x(image(&x[0], [2, 3, 5, 17], false)))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let x: Tensor<B, 4> = image(&x[0], [2, 3, 5, 17], false);
        flat(
            x.repeat_dim(3, 1)
                .reshape([6, 5, 17, 1])
                .repeat(&[1, 1, 1, 2])
                .reshape([6, 5, 1, 34])
                .repeat(&[1, 1, 2, 1]),
        )
    }
}

struct Concat;
impl Op for Concat {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 3 * 5 * 7, 2 * 4 * 5 * 7]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (a, b) = (image(&x[0], [2, 3, 5, 7], true), image(&x[1], [2, 4, 5, 7], false));
        flat(concat_channels(a, b))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (a, b) = (image(&x[0], [2, 3, 5, 7], true), image(&x[1], [2, 4, 5, 7], false));
        flat(Tensor::cat(vec![a, b], 1))
    }
}

#[test]
fn data_movement_matches() {
    check(ChannelBias);
    check(Upsample);
    check(Concat);
}

struct Linear {
    rows: usize,
    d_in: usize,
    d_out: usize,
    bias: bool,
}
impl Op for Linear {
    fn inputs(&self) -> Vec<usize> {
        let mut all = vec![2 * self.rows * self.d_in, self.d_out * self.d_in];
        if self.bias {
            all.push(self.d_out);
        }
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = x[0].clone().reshape([2, self.d_in, self.rows]).swap_dims(1, 2);
        let weight = x[1].clone().reshape([self.d_out, self.d_in]);
        flat(linear(input, weight, self.bias.then(|| x[2].clone())))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = x[0].clone().reshape([2, self.d_in, self.rows]).swap_dims(1, 2);
        let weight = x[1].clone().reshape([self.d_out, self.d_in]).transpose();
        let y = input.matmul(weight.unsqueeze());
        flat(match self.bias {
            true => y + x[2].clone().reshape([1, 1, self.d_out]),
            false => y,
        })
    }
}

#[test]
fn linear_matches() {
    for (rows, d_in, d_out, bias) in [(1, 1, 1, true), (3, 37, 19, true), (33, 16, 50, false)] {
        check(Linear { rows, d_in, d_out, bias });
    }
}

struct Attention {
    n: usize,
    m: usize,
    d: usize,
    d_v: usize,
}
impl Attention {
    fn split<B: Burn>(&self, x: &[Tensor<B, 1>]) -> [Tensor<B, 4>; 3] {
        let Self { n, m, d, d_v } = *self;
        // Heads as a network makes them: [batch, n, heads, d] with the middle axes exchanged.
        let q = x[0].clone().reshape([2, n, 3, d]).swap_dims(1, 2);
        let k = x[1].clone().reshape([2, m, 3, d]).swap_dims(1, 2);
        [q, k, x[2].clone().reshape([2, 3, m, d_v])]
    }
}
impl Op for Attention {
    fn inputs(&self) -> Vec<usize> {
        let Self { n, m, d, d_v } = *self;
        vec![6 * n * d, 6 * m * d, 6 * m * d_v]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [q, k, v] = self.split(x);
        flat(attention(q, k, v))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [q, k, v] = self.split(x);
        let scores = q.matmul(k.swap_dims(2, 3)) * (self.d as f64).sqrt().recip();
        let e = scores.exp();
        flat((e.clone() / e.sum_dim(3)).matmul(v))
    }
}

struct SpatialAttention {
    heads: usize,
}
impl Op for SpatialAttention {
    fn inputs(&self) -> Vec<usize> {
        vec![2 * 18 * 5 * 7]
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        flat(spatial_self_attention(image(&x[0], [2, 18, 5, 7], false), self.heads))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let d = 6 / self.heads;
        let [q, k, v] = [0, 1, 2].map(|i: usize| {
            let x: Tensor<B, 4> = image(&x[0], [2, 18, 5, 7], false);
            x.narrow(1, 6 * i, 6).reshape([2, self.heads, d, 35]).swap_dims(2, 3)
        });
        let e = (q.matmul(k.swap_dims(2, 3)) * (d as f64).sqrt().recip()).exp();
        flat((e.clone() / e.sum_dim(3)).matmul(v).swap_dims(2, 3))
    }
}

#[test]
fn spatial_self_attention_matches() {
    check(SpatialAttention { heads: 1 });
    check(SpatialAttention { heads: 3 });
}

struct Block {
    x: [usize; 4],
    groups: Option<usize>,
    heads: usize,
    inner: usize,
}
impl Block {
    /// Queries and keys share a bias: that of the keys alone has no gradient but rounding errors.
    fn maps<B: Burn>(&self, x: &[Tensor<B, 1>]) -> ([Tensor<B, 2>; 4], [Tensor<B, 1>; 4]) {
        let ([_, c, _, _], inner) = (self.x, self.inner);
        let weight = [1, 2, 3].map(|i: usize| x[i].clone().reshape([c, inner]).transpose());
        let [q, k, v] = weight;
        let biases = [5, 5, 6, 7].map(|i: usize| x[i].clone());
        ([q, k, v, x[4].clone().reshape([c, inner])], biases)
    }
}
impl Op for Block {
    fn inputs(&self) -> Vec<usize> {
        let ([_, c, _, _], inner) = (self.x, self.inner);
        let mut all = vec![self.x.iter().product(), c * inner, c * inner, c * inner, c * inner, inner, inner, c];
        all.extend(self.groups.into_iter().flat_map(|_| [c, c]));
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let (weight, bias) = self.maps(x);
        let norm = self.groups.map(|_| [x[8].clone(), x[9].clone()]);
        let input = image(&x[0], self.x, true);
        let spec = AttentionBlockSpec { heads: self.heads, groups: self.groups.unwrap_or(1), eps: 1e-5 };
        // Used again, so that its gradients meet
        flat(attention_block(input.clone(), AttentionBlockParams { norm, weight, bias }, spec) * input)
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [n, c, h, w] = self.x;
        let (heads, inner) = (self.heads, self.inner);
        let input: Tensor<B, 4> = image(&x[0], self.x, true);
        let normed = match self.groups {
            Some(groups) => {
                let grouped: Tensor<B, 2> = input.clone().reshape([n * groups, c / groups * h * w]);
                let centred = grouped.clone() - grouped.mean_dim(1);
                let variance = centred.clone().powi_scalar(2).mean_dim(1);
                let normed = (centred / (variance + 1e-5).sqrt()).reshape([n, c, h, w]);
                normed * x[8].clone().reshape([1, c, 1, 1]) + x[9].clone().reshape([1, c, 1, 1])
            }
            None => input.clone(),
        };
        let (weight, bias) = self.maps(x);
        let map = |i: usize, x: Tensor<B, 3>| {
            let [out, _] = weight[i].dims();
            weight[i].clone().unsqueeze::<3>().matmul(x) + bias[i].clone().reshape([1, out, 1])
        };
        let [q, k, v] = [0, 1, 2].map(|i| {
            let x = map(i, normed.clone().reshape([n, c, h * w]));
            x.reshape([n, heads, inner / heads, h * w]).swap_dims(2, 3)
        });
        let e = (q.matmul(k.swap_dims(2, 3)) * ((inner / heads) as f64).sqrt().recip()).exp();
        let attended = (e.clone() / e.sum_dim(3)).matmul(v).swap_dims(2, 3).reshape([n, inner, h * w]);
        flat((map(3, attended).reshape([n, c, h, w]) + input.clone()) * input)
    }
}

#[test]
fn attention_block_matches() {
    // Computed image by image, with and without the probabilities kept
    for (groups, heads, inner) in [(Some(3), 2, 4), (None, 1, 33), (Some(2), 1, 3)] {
        check(Block { x: [9, 6, 10, 11], groups, heads, inner });
    }
    // In its parts
    check(Block { x: [3, 6, 5, 7], groups: Some(2), heads: 2, inner: 10 });
    check(Block { x: [1, 4, 3, 3], groups: None, heads: 1, inner: 4 });
}

/// The gradient of the whole is computed, and given to those who want a part of it.
#[test]
fn attention_block_without_some_gradients_has_the_others() {
    type A = Autodiff<Flex>;
    let device = Default::default();
    let block = Block { x: [9, 6, 10, 11], groups: Some(3), heads: 2, inner: 4 };
    let run = |tracked: &dyn Fn(usize) -> bool| {
        let leaf = |(i, n): (usize, usize)| {
            let x = Tensor::<A, 1>::from_data(TensorData::new(values(i as u64, n), [n]), (&device, DType::F32));
            if tracked(i) { x.require_grad() } else { x }
        };
        let leaves: Vec<_> = block.inputs().into_iter().enumerate().map(leaf).collect();
        let found = block.ours(&leaves).sum().backward();
        leaves.iter().map(|x| x.grad(&found).map(|g| g.into_data().to_vec::<f32>().unwrap())).collect::<Vec<_>>()
    };
    let all = run(&|_| true);
    for (i, few) in run(&|i| i == 0 || i == 4).into_iter().enumerate() {
        assert_eq!(few, if i == 0 || i == 4 { all[i].clone() } else { None });
    }
}

#[test]
fn attention_matches() {
    for (n, m, d, d_v) in [(5, 5, 8, 8), (49, 49, 16, 16), (7, 19, 3, 5), (1, 2, 1, 1)] {
        check(Attention { n, m, d, d_v });
    }
}

/// More leaves than are joined at a time, of several ranks, one of them without gradient.
#[test]
fn joined_leaves_have_the_same_gradients() {
    type A = Autodiff<Flex>;
    let gradients = |join: bool| {
        let device = Default::default();
        let leaf = |i: u64| Tensor::<A, 1>::from_data(TensorData::new(values(i, 3), [3]), &device);
        let mut leaves: Vec<_> = (0..40).map(|i| leaf(i).require_grad()).collect();
        leaves[17] = leaf(17);
        let matrix: Tensor<A, 2> = leaf(50).reshape([3, 1]).detach().require_grad();
        if join {
            let vectors = leaves.iter().map(|x| x.clone().into_primitive().tensor());
            let all: Vec<_> = vectors.chain([matrix.clone().into_primitive().tensor()]).collect();
            A::join_graphs(&all);
            A::join_graphs(&[]);
        }
        let row = leaves.iter().fold(leaf(60), |sum, x| silu(sum * 0.5 + x.clone()));
        let found = linear(row, matrix.clone().transpose(), None).sum().backward();
        let mut all: Vec<_> =
            leaves.iter().map(|x| x.grad(&found).map(|g| g.into_data().to_vec::<f32>().unwrap())).collect();
        all.push(matrix.grad(&found).map(|g| g.into_data().to_vec::<f32>().unwrap()));
        all
    };
    let (apart, joined) = (gradients(false), gradients(true));
    assert_eq!(apart, joined);
    assert_eq!(apart.iter().flatten().count(), 40);
}
