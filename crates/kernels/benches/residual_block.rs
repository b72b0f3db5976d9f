//! A residual block of tensors on the shapes of two U-Nets: 28×28 images with 32 and 64 channels, 32×32 with 128 to 256.
//!
//! `cargo bench -p sfumato-kernels`. The slice kernels by themselves are measured in `crates/cpu/benches`.
#![allow(missing_docs)] // `criterion_group!` makes undocumented items

use burn::backend::flex::FlexDevice;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Distribution, Tensor};
use criterion::{BenchmarkId, Criterion, criterion_group};
use sfumato_kernels::{Backend, GroupNormSpec, NormActivation, NormConvInput, NormConvParams, norm_conv2d};
use std::hint::black_box;
use std::time::Duration;

// The program's own setting.
#[path = "../../cli/src/allocator.rs"]
mod allocator;

/// Batch, channels, side.
const SHAPES: [(usize, usize, usize); 7] =
    [(16, 64, 32), (16, 128, 32), (16, 128, 16), (16, 256, 8), (64, 32, 28), (64, 64, 14), (128, 64, 28)];
const GROUPS: usize = 8;

/// The tensors of `x + conv(silu(norm(conv(silu(norm(x))))))`.
struct Block<B: Backend> {
    norms: [[Tensor<B, 1>; 2]; 2],
    convs: [(Tensor<B, 4>, Tensor<B, 1>); 2],
}

impl<B: Backend> Block<B> {
    fn new(c: usize, device: &B::Device) -> Self {
        let deviation = 1.0 / (9.0 * c as f64).sqrt();
        let weight = || Tensor::random([c, c, 3, 3], Distribution::Normal(0.0, deviation), device).require_grad();
        let zeros = || Tensor::zeros([c], device).require_grad();
        Self {
            norms: [(); 2].map(|()| [Tensor::ones([c], device).require_grad(), zeros()]),
            convs: [(); 2].map(|()| (weight(), zeros())),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let half = |i: usize, x, residual| {
            let ([gamma, beta], (weight, bias)) = (self.norms[i].clone(), self.convs[i].clone());
            let params = NormConvParams { gamma, beta, weight, bias };
            let spec = GroupNormSpec { groups: GROUPS, eps: 1e-5, activation: NormActivation::Silu };
            norm_conv2d(NormConvInput::Plain(x), params, residual, spec)
        };
        let h = half(0, x.clone(), None);
        half(1, h, Some(x))
    }
}

/// The block alone, and with the gradients of its input and all parameters.
fn residual_block(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("residual_block");
    let device = FlexDevice;
    for (n, c, side) in SHAPES {
        let name = format!("{n}x{c}x{side}x{side}");
        let data = || Tensor::<Flex, 4>::random([n, c, side, side], Distribution::Normal(0.0, 1.0), &device);
        // Built when the filter lets a benchmark through.
        group.bench_function(BenchmarkId::new("forward", &name), |b| {
            let (block, x) = (Block::<Flex>::new(c, &device), data());
            b.iter(|| block.forward(black_box(x.clone())));
        });
        group.bench_function(BenchmarkId::new("forward and backward", &name), |b| {
            let block = Block::<Autodiff<Flex>>::new(c, &device);
            let x = Tensor::<Autodiff<Flex>, 4>::from_inner(data()).require_grad();
            b.iter(|| block.forward(black_box(x.clone())).backward());
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = residual_block
}

/// Everything inside the pool and with memory that is kept, as in the program: from outside, every parallel region would
/// have to wake the pool, and every output would be made of fresh pages.
fn main() -> Result<(), rayon::ThreadPoolBuildError> {
    allocator::keep_freed_memory();
    rayon::ThreadPoolBuilder::new().build()?.install(|| {
        benches();
        Criterion::default().configure_from_args().final_summary();
    });
    Ok(())
}
