//! Kernels on the shapes of two U-Nets: 28×28 images with 32 and 64 channels, 32×32 with 128 to 256.
//!
//! `cargo bench -p sfumato-cpu`, or with a filter: `-- conv3x3`. The arithmetic peak to compare with is what
//! `cargo run --release -p sfumato-cpu --example peak` prints; Winograd's algorithm may pass it up to fourfold.
#![allow(missing_docs)] // `criterion_group!` makes undocumented items

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use sfumato_cpu::winograd::Filters;
use sfumato_cpu::{self as cpu, *};
use std::hint::black_box;
use std::time::Duration;

// The program's own setting.
#[path = "../../cli/src/allocator.rs"]
mod allocator;

/// Batch, channels, side.
const SHAPES: [(usize, usize, usize); 7] =
    [(16, 64, 32), (16, 128, 32), (16, 128, 16), (16, 256, 8), (64, 32, 28), (64, 64, 14), (128, 64, 28)];
const GROUPS: usize = 8;

fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7).sin()).collect()
}

fn conv(n: usize, c: usize, k: usize, side: usize) -> Conv2d {
    Conv2d { n, c, k, h: side, w: side, side: 3, stride: 1, padding: [1; 4] }
}

/// Forward pass, input gradient and weight gradient; throughput in multiply-adds of the definition.
fn convolution(criterion: &mut Criterion, group: &str, s: &Conv2d, name: &str) {
    let (x, w, dy) = (values(s.input_len()), values(s.weight_len()), values(s.output_len()));
    let (mut y, mut dx, mut dw, mut db) = (dy.clone(), x.clone(), w.clone(), vec![0.0; s.k]);
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements((s.output_len() * s.c * s.side * s.side) as u64));
    group.bench_function(BenchmarkId::new("forward", name), |b| {
        b.iter(|| cpu::conv2d(s, black_box(&x), &w, None, None, &mut y));
    });
    group.bench_function(BenchmarkId::new("input gradient", name), |b| {
        b.iter(|| conv2d_backward_input(s, black_box(&dy), &w, None, &mut dx));
    });
    group.bench_function(BenchmarkId::new("weight gradient", name), |b| {
        b.iter(|| conv2d_backward_weight(s, black_box(&x), &dy, Some(&mut dw), Some(&mut db)));
    });
}

fn conv3x3(criterion: &mut Criterion) {
    for (n, c, side) in SHAPES {
        convolution(criterion, "conv3x3", &conv(n, c, c, side), &format!("{n}x{c}x{side}x{side}"));
    }
}

/// First and last convolutions, 1×1 and stride 2: what is not Winograd's, or hardly.
fn other_convolutions(criterion: &mut Criterion) {
    let pointwise = |n, c, k, side| Conv2d { side: 1, padding: [0; 4], ..conv(n, c, k, side) };
    let down = |n, c, side| Conv2d { stride: 2, ..conv(n, c, c, side) };
    for (name, s) in [
        ("few_channels 64x1to32x28", conv(64, 1, 32, 28)),
        ("few_channels 64x32to1x28", conv(64, 32, 1, 28)),
        ("few_channels 16x3to128x32", conv(16, 3, 128, 32)),
        ("few_channels 16x128to3x32", conv(16, 128, 3, 32)),
        ("pointwise 64x96to32x28", pointwise(64, 96, 32, 28)),
        ("pointwise 16x512to256x16", pointwise(16, 512, 256, 16)),
        ("down 64x32x28", down(64, 32, 28)),
        ("down 16x128x32", down(16, 128, 32)),
    ] {
        convolution(criterion, "conv", &s, name);
    }
}

fn norm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group_norm_silu");
    for (n, c, side) in SHAPES {
        let s = GroupNorm { n, c, hw: side * side, groups: GROUPS, eps: 1e-5, silu: true };
        let len = n * c * side * side;
        let (x, dy, scale) = (values(len), values(len), vec![1.0; c]);
        let (mut y, mut mean, mut rstd) = (vec![0.0; len], vec![0.0; n * GROUPS], vec![0.0; n * GROUPS]);
        let affine = Affine { scale: &scale, offset: &scale };
        let name = format!("{n}x{c}x{side}x{side}");
        group.throughput(Throughput::Elements(len as u64));
        group.bench_function(BenchmarkId::new("forward", &name), |b| {
            b.iter(|| cpu::group_norm(&s, black_box(&x[..]).into(), affine, &mut y, &mut mean, &mut rstd));
        });
        let statistics = Statistics { mean: &mean, rstd: &rstd };
        let (mut d_scale, mut d_offset) = (vec![0.0; n * c], vec![0.0; n * c]);
        group.bench_function(BenchmarkId::new("backward", &name), |b| {
            b.iter(|| {
                let (scale, offset) = (&mut d_scale[..], &mut d_offset[..]);
                let d = NormGradients { x: &mut y, skip: &mut [], bias: &mut [], scale, offset, y: &mut [] };
                let input = black_box(&x[..]).into();
                cpu::group_norm_backward(&s, input, statistics, affine, &dy, [None, None], d);
            });
        });
    }
}

/// Images, channels in and out, side.
const BEHIND_NORM: [(usize, usize, usize, usize); 11] = [
    (64, 32, 32, 28),
    (64, 64, 32, 28),
    (64, 96, 32, 28),
    (64, 64, 64, 14),
    (64, 128, 64, 14),
    (64, 64, 64, 7),
    (64, 128, 64, 7),
    (16, 128, 128, 32),
    (16, 256, 256, 16),
    (16, 256, 256, 8),
    (16, 256, 256, 4),
];

/// A norm and the convolution behind it, in f32, and in bf16 where the processor has a unit for it.
fn norm_conv(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("norm_conv");
    for (n, c, k, side) in BEHIND_NORM {
        let norm = GroupNorm { n, c, hw: side * side, groups: GROUPS, eps: 1e-5, silu: true };
        let s = NormConv { norm, k, h: side, w: side };
        let (x, w, dy) = (values(n * c * side * side), values(9 * c * k), values(s.output_len()));
        let (scale, bias) = (vec![1.0; c], vec![0.1; k]);
        let (affine, input) = (Affine { scale: &scale, offset: &scale }, NormInput::from(&x[..]));
        let [_, mean, rstd] = fresh::group_norm(&norm, input, affine);
        let known = Statistics { mean: &mean, rstd: &rstd };
        let name = format!("{n}x{c}to{k}x{side}x{side}");
        group.bench_function(BenchmarkId::new("f32 forward", &name), |b| {
            b.iter(|| {
                Filters::with(s.tile(), k, c, &w, |filters| {
                    fresh::norm_conv(&s, input, affine, filters, Some(&bias), None)
                })
            });
        });
        group.bench_function(BenchmarkId::new("f32 backward", &name), |b| {
            b.iter(|| fresh::norm_conv_backward(&s, input, known, affine, &w, &dy, [None; 2]));
        });
        if !Precision::Bf16.is_supported() {
            continue;
        }
        group.bench_function(BenchmarkId::new("bf16 forward", &name), |b| {
            b.iter(|| fresh::norm_conv_bf16(&s, input, affine, &w, Some(&bias), None));
        });
        group.bench_function(BenchmarkId::new("bf16 backward", &name), |b| {
            b.iter(|| fresh::norm_conv_bf16_backward(&s, input, known, affine, &w, &dy, [None; 2]));
        });
    }
}

fn attention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("attention");
    for (images, heads, tokens, d) in [(64, 8, 196, 8), (64, 1, 196, 64), (16, 1, 256, 256)] {
        let s = SelfAttention { images, heads, tokens, d };
        let (x, dy) = (values(3 * images * heads * tokens * d), values(images * heads * tokens * d));
        let (mut y, mut dx) = (dy.clone(), x.clone());
        let name = format!("{images}x{heads}x{tokens}x{d}");
        group.bench_function(BenchmarkId::new("forward", &name), |b| {
            b.iter(|| cpu::self_attention(&s, black_box(&x), &mut y));
        });
        group.bench_function(BenchmarkId::new("backward", &name), |b| {
            b.iter(|| self_attention_backward(&s, black_box(&x), &dy, &mut dx));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = conv3x3, other_convolutions, norm, norm_conv, attention
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
