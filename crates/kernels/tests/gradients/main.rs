//! Every operation and all its gradients against the same formula in Burn's plain operations, differentiated by
//! Burn in f64: on both CPU backends, in f32 and f64, under both checkpointing strategies, on contiguous and on
//! transposed inputs. With the features of accelerators also on those that this machine has.
#![cfg(all(feature = "flex", feature = "ndarray"))]

mod attention;
mod attention_block;
mod conv;
#[cfg(any(feature = "vulkan", feature = "cuda"))]
mod device;
#[cfg(any(feature = "vulkan", feature = "cuda"))]
mod device_sizes;
mod group_norm;
mod leaves;
mod linear;
mod norm_conv;
mod pixels;
mod shared;

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
/// The same of bf16, whose numbers are rounded by up to 2⁻⁸ of themselves.
const BF16: f64 = 1e-2;
/// More than f32 has: what is not rounded is below.
const ROUNDED: f64 = 2e-4;

/// An operation on flat inputs, twice. Leaves are flat so that one list holds tensors of all ranks.
trait Op {
    /// Lengths of the inputs.
    fn inputs(&self) -> Vec<usize>;
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1>;
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1>;
}

/// An operation on inputs that are multiplied first.
struct Scaled<O>(O, f64);

impl<O: Op> Op for Scaled<O> {
    fn inputs(&self) -> Vec<usize> {
        self.0.inputs()
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        self.0.ours(&x.iter().map(|x| x.clone() * self.1).collect::<Vec<_>>())
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        self.0.plain(&x.iter().map(|x| x.clone() * self.1).collect::<Vec<_>>())
    }
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
    #[cfg(any(feature = "vulkan", feature = "cuda"))]
    device::check_if_all(&op, &want);
}

/// In bf16, chosen for the forward pass alone: gradients follow. Everything is as near as its rounding allows, and that there is
/// rounding shows in what a convolution has a part in: the result, and the gradients of the inputs in `rounded`.
fn check_bf16(op: impl Op, rounded: &[usize]) {
    let want = run::<Autodiff<Flex>>(&op, DType::F64, |x| op.plain(x));
    let in_bf16 = |x: &[Tensor<Autodiff<Flex>, 1>]| Precision::Bf16.with(|| op.ours(x));
    let recomputing = |x: &[Tensor<Autodiff<Flex, BalancedCheckpointing>, 1>]| Precision::Bf16.with(|| op.ours(x));
    let got = run::<Autodiff<Flex>>(&op, DType::F32, in_bf16);
    assert_close("bf16", &got, &want, BF16);
    let other = run::<Autodiff<NdArray>>(&op, DType::F32, |x| Precision::Bf16.with(|| op.ours(x)));
    assert_eq!(got, other, "both backends");
    let again = run::<Autodiff<Flex, BalancedCheckpointing>>(&op, DType::F32, recomputing);
    assert_close("bf16, recomputing", &again, &want, BF16);
    for i in [0].into_iter().chain(rounded.iter().map(|i| i + 1)) {
        let squares = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let error = squares(&mut got[i].iter().zip(&want[i]).map(|(a, b)| a - b));
        let size = squares(&mut want[i].iter().copied());
        assert!(error > ROUNDED * size, "result {i}: a relative error of {:e} is that of f32", error / size);
    }
    // Chosen for the backward pass alone it changes nothing.
    let exact = run::<Autodiff<Flex>>(&op, DType::F32, |x| op.ours(x));
    let outside =
        Precision::Bf16.with(|| run::<Autodiff<Flex>>(&op, DType::F32, |x| Precision::F32.with(|| op.ours(x))));
    assert_eq!(exact, outside);
}

/// `[n, c, h, w]` from flat; transposed on the way if asked for, so that the kernel sees a strided tensor.
fn image<B: Burn>(x: &Tensor<B, 1>, [n, c, h, w]: [usize; 4], transposed: bool) -> Tensor<B, 4> {
    if transposed { x.clone().reshape([n, c, w, h]).swap_dims(2, 3) } else { x.clone().reshape([n, c, h, w]) }
}

fn flat<B: Burn, const D: usize>(x: Tensor<B, D>) -> Tensor<B, 1> {
    x.reshape([-1])
}

/// Every group of every image with mean 0 and variance 1.
fn normalised<B: Burn>(x: Tensor<B, 4>, groups: usize) -> Tensor<B, 4> {
    let [n, c, h, w] = x.dims();
    let grouped: Tensor<B, 2> = x.reshape([n * groups, c / groups * h * w]);
    let centred = grouped.clone() - grouped.mean_dim(1);
    let variance = centred.clone().powi_scalar(2).mean_dim(1);
    (centred / (variance + 1e-5).sqrt()).reshape([n, c, h, w])
}

/// `softmax(q kᵀ / √d) v` of `[batch, heads, tokens, size]`.
fn attended<B: Burn>(q: Tensor<B, 4>, k: Tensor<B, 4>, v: Tensor<B, 4>) -> Tensor<B, 4> {
    let [_, _, _, d] = q.dims();
    let e = (q.matmul(k.swap_dims(2, 3)) * (d as f64).sqrt().recip()).exp();
    (e.clone() / e.sum_dim(3)).matmul(v)
}

/// The inputs that `tracked` names have the gradients that they have when all are tracked, and the others none.
fn check_without_some(op: &impl Op, tracked: impl Fn(usize) -> bool) {
    type A = Autodiff<Flex>;
    let device = Default::default();
    let run = |tracked: &dyn Fn(usize) -> bool| {
        let leaf = |(i, n): (usize, usize)| {
            let x = Tensor::<A, 1>::from_data(TensorData::new(values(i as u64, n), [n]), (&device, DType::F32));
            if tracked(i) { x.require_grad() } else { x }
        };
        let leaves: Vec<_> = op.inputs().into_iter().enumerate().map(leaf).collect();
        let found = op.ours(&leaves).sum().backward();
        leaves.iter().map(|x| x.grad(&found).map(|g| g.into_data().to_vec::<f32>().unwrap())).collect::<Vec<_>>()
    };
    let all = run(&|_| true);
    for (i, few) in run(&tracked).into_iter().enumerate() {
        assert_eq!(few, if tracked(i) { all[i].clone() } else { None });
    }
}
