//! What kept filters are recognised by, and how much memory they may take. One test: what is kept is the process's.
#![cfg(feature = "flex")]

use burn::backend::{Flex, flex::FlexDevice};
use burn::tensor::{Tensor, TensorData};
use sfumato_kernels::{
    Conv2dGeometry, KeptFilters, NormActivation, NormConvInput, NormConvParams, conv2d, norm_conv2d,
};

/// What the documentation promises.
const LIMIT: usize = 64 << 20;

/// Numbers in [-1, 1], the same in every run.
fn random(seed: u64, n: usize) -> Vec<f32> {
    let mut s = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn tensor(seed: u64, shape: [usize; 4]) -> Tensor<Flex, 4> {
    Tensor::from_data(TensorData::new(random(seed, shape.iter().product()), shape), &FlexDevice)
}

fn bits(x: Tensor<Flex, 4>) -> Vec<u32> {
    x.into_data().to_vec::<f32>().expect("it is f32").into_iter().map(f32::to_bits).collect()
}

/// The convolution by itself and behind a norm.
fn both(weight: &Tensor<Flex, 4>, side: usize) -> [Vec<u32>; 2] {
    let [k, c, _, _] = weight.dims();
    let x = tensor(3, [1, c, side, side]);
    let vector = |n: usize, value: f32| Tensor::<Flex, 1>::full([n], value, &FlexDevice);
    let params =
        NormConvParams { gamma: vector(c, 1.1), beta: vector(c, 0.1), weight: weight.clone(), bias: vector(k, 0.2) };
    let spec = sfumato_kernels::GroupNormSpec { groups: 2, eps: 1e-5, activation: NormActivation::Silu };
    let convolved = conv2d(x.clone(), weight.clone(), None, Conv2dGeometry::SAME_3X3);
    [bits(convolved), bits(norm_conv2d(NormConvInput::Plain(x), params, None, spec))]
}

#[test]
fn filters_are_kept_by_all_that_they_depend_on_and_up_to_the_limit() {
    // The same memory in other shapes, whole and in part.
    let weight = tensor(1, [24, 16, 3, 3]);
    let shapes = [[24, 16], [16, 24], [8, 48], [48, 8]];
    let mut weights: Vec<Tensor<Flex, 4>> = shapes.iter().map(|&[k, c]| weight.clone().reshape([k, c, 3, 3])).collect();
    weights.push(weight.clone().narrow(0, 0, 12));
    weights.push(weight.clone().narrow(0, 12, 12));
    // Tiles of either size.
    let all = || [2, 9].map(|side| weights.iter().map(|weight| both(weight, side)).collect::<Vec<_>>());
    let want = all();
    let kept = KeptFilters::new();
    assert!(all() == want && all() == want);
    let bytes = KeptFilters::bytes();
    assert!(bytes > 0 && all() == want && KeptFilters::bytes() == bytes);

    // 9.5 MB each once they are transformed; then small ones, which still fit beside them, and one that never does.
    let large: Vec<_> = (0..8).map(|i| tensor(10 + i, [256, 256, 3, 3])).collect();
    let small: Vec<_> = (0..4).map(|i| tensor(20 + i, [16, 16, 3, 3])).collect();
    let huge = tensor(30, [768, 640, 3, 3]);
    for weight in large.iter().chain(&small).chain([&huge]) {
        both(weight, 6);
        assert!(KeptFilters::bytes() <= LIMIT, "{} bytes", KeptFilters::bytes());
    }
    assert!(KeptFilters::bytes() > LIMIT / 2);
    assert!(all() == want);
    drop(kept);
    assert_eq!(KeptFilters::bytes(), 0);
}
