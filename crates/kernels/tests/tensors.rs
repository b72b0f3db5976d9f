//! The tensor-level functions that are not differentiable, and what they refuse.
#![cfg(all(feature = "flex", feature = "ndarray"))]

use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::{DType, Tensor, TensorData, TensorPrimitive, ops::FloatTensor};
use sfumato_kernels::*;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

const STEP: AdamStep = AdamStep {
    lr: 0.01,
    beta_1: 0.9,
    beta_2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.1,
    step: 3,
    grad_scale: 0.5,
    ema_decay: Some(0.9),
};

/// One operand is overwritten only where nobody else holds it.
#[test]
fn sums_leave_tensors_that_are_held_alone() {
    fn check<B: Backend>(dtype: DType) {
        let tensor = |from: f32| {
            let data = TensorData::new((0..30_000).map(|i| from + i as f32).collect::<Vec<_>>(), [100, 300]);
            Tensor::<B, 2>::from_data(data, (&Default::default(), dtype))
        };
        let sum = |a: Tensor<B, 2>, b: Tensor<B, 2>| {
            let sum = B::fused_add(a.into_primitive().tensor(), b.into_primitive().tensor());
            Tensor::<B, 2>::from_primitive(TensorPrimitive::Float(sum)).into_data()
        };
        let (a, b) = (tensor(1.0), tensor(2.0));
        let want = (a.clone() + b.clone()).into_data();
        assert_eq!(sum(a.clone(), b.clone()), want);
        assert_eq!(a.into_data(), tensor(1.0).into_data());
        assert_eq!(sum(tensor(1.0), b.clone()), want);
        assert_eq!(b.into_data(), tensor(2.0).into_data());
        // Not in the order of memory
        let turned = sum(tensor(1.0).transpose().reshape([100, 300]), tensor(2.0));
        assert_eq!(turned, (tensor(1.0).transpose().reshape([100, 300]) + tensor(2.0)).into_data());
        let (a, b) = (tensor(1.0).transpose(), tensor(2.0).transpose());
        assert_eq!(sum(a, b), (tensor(1.0) + tensor(2.0)).transpose().into_data());
    }
    for dtype in [DType::F32, DType::F64] {
        check::<Flex>(dtype);
        check::<NdArray>(dtype);
    }
}

/// `torch.optim.AdamW`'s arithmetic for one value: new parameter, moments, average.
fn adam_by_hand(param: f64, grad: f64, m: f64, v: f64, ema: f64, by: &AdamStep) -> [f64; 4] {
    let g = grad * by.grad_scale;
    let (m, v) = (by.beta_1 * m + (1.0 - by.beta_1) * g, by.beta_2 * v + (1.0 - by.beta_2) * g * g);
    let m_hat = m / (1.0 - by.beta_1.powi(by.step as i32));
    let v_hat = v / (1.0 - by.beta_2.powi(by.step as i32));
    let param = param * (1.0 - by.lr * by.weight_decay) - by.lr * m_hat / (v_hat.sqrt() + by.epsilon);
    let decay = by.ema_decay.unwrap_or(1.0);
    [param, m, v, decay * ema + (1.0 - decay) * param]
}

/// The values of a parameter cut into three: new ones, moments and average.
fn adam<B: Backend>(dtype: DType, with_ema: bool, by: &AdamStep) -> Vec<Vec<f64>> {
    let device = B::Device::default();
    let operands = |part: Range<i32>| {
        let tensor = |f: fn(f64) -> f64| {
            let values: Vec<f64> = part.clone().map(|i| f(f64::from(i)) as f32 as f64).collect();
            Tensor::<B, 1>::from_data(TensorData::new(values, [part.len()]), (&device, dtype))
        };
        let ema = with_ema.then(|| tensor(|i| i * 0.2));
        let state = AdamState { m: tensor(|i| i * 0.01), v: tensor(|i| i * i * 1e-4), ema };
        AdamOperands { param: tensor(|i| i - 18.0), grad: tensor(|i| (i * 0.3).sin()), state }
    };
    let new = adam_steps([0..1, 1..20, 20..37].map(operands).into(), by);
    let mut all = vec![Vec::new(); if with_ema { 4 } else { 3 }];
    for (param, state) in new {
        assert_eq!(state.ema.is_some(), with_ema);
        for (all, x) in all.iter_mut().zip([Some(param), Some(state.m), Some(state.v), state.ema].into_iter().flatten())
        {
            all.extend(x.into_data().iter::<f64>());
        }
    }
    all
}

#[test]
fn adam_steps_are_those_of_torch() {
    let by_hand = |by: &AdamStep| -> Vec<[f64; 4]> {
        let f = |x: f64| f64::from(x as f32);
        let one = |i: f64| adam_by_hand(f(i - 18.0), f((i * 0.3).sin()), f(i * 0.01), f(i * i * 1e-4), f(i * 0.2), by);
        (0..37).map(|i| one(f64::from(i))).collect()
    };
    for (with_ema, by) in [(true, STEP), (false, AdamStep { weight_decay: 0.0, ema_decay: None, ..STEP })] {
        let want = by_hand(&by);
        for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F64, 1e-12)] {
            let all = [adam::<Flex>(dtype, with_ema, &by), adam::<NdArray>(dtype, with_ema, &by)];
            for got in all.iter().chain([&adam::<Autodiff<Flex>>(dtype, with_ema, &by)]) {
                for (q, got) in got.iter().enumerate() {
                    assert_eq!(got.len(), 37);
                    for (got, want) in got.iter().zip(&want) {
                        assert!((got - want[q]).abs() <= tolerance * (1.0 + want[q].abs()), "{got} {want:?} {q}");
                    }
                }
            }
        }
    }
}

#[test]
fn one_parameter_of_another_dtype_is_updated_too() {
    let device = Default::default();
    let operands = |dtype: DType| {
        let tensor = |x: f64| Tensor::<Flex, 1>::from_data(TensorData::new(vec![x; 3], [3]), (&device, dtype));
        AdamOperands {
            param: tensor(0.5),
            grad: tensor(0.25),
            state: AdamState { m: tensor(0.125), v: tensor(1.0), ema: None },
        }
    };
    let want = adam_by_hand(0.5, 0.25, 0.125, 1.0, 0.0, &STEP);
    let new = adam_steps(vec![operands(DType::F32), operands(DType::F64)], &STEP);
    for ((param, state), dtype) in new.into_iter().zip([DType::F32, DType::F64]) {
        for (x, want) in [param, state.m, state.v].into_iter().zip(want) {
            let data = x.into_data();
            assert_eq!(data.dtype, dtype);
            assert!(data.iter::<f64>().all(|x| (x - want).abs() < 1e-6), "{data} {want}");
        }
    }
    assert!(adam_steps::<Flex>(Vec::new(), &STEP).is_empty());
}

#[test]
fn adam_steps_overwrite_what_nobody_else_holds() {
    fn check<B: Backend>(address: fn(&FloatTensor<B>) -> *const f32) {
        let device = B::Device::default();
        let tensor = |n: usize| Tensor::<B, 1>::ones([n], &device);
        let operands = |n| AdamOperands {
            param: tensor(n),
            grad: tensor(n),
            state: AdamState { m: tensor(n), v: tensor(n), ema: Some(tensor(n)) },
        };
        // A handle that is gone before the update
        let address = |x: &Tensor<B, 1>| address(&x.clone().into_primitive().tensor());
        let addresses = |param: &Tensor<B, 1>, state: &AdamState<B>| {
            [Some(param), Some(&state.m), Some(&state.v), state.ema.as_ref()].map(|x| x.map(address))
        };
        let all = [5, 1, 40].map(operands);
        let before: Vec<_> = all.iter().map(|one| addresses(&one.param, &one.state)).collect();
        let after = adam_steps(all.into(), &STEP);
        assert_eq!(before, after.iter().map(|(param, state)| addresses(param, state)).collect::<Vec<_>>());
    }
    check::<Flex>(|x| x.as_slice::<f32>().unwrap().as_ptr());
    check::<NdArray>(|x| match x {
        burn::backend::ndarray::NdArrayTensor::F32(storage) => storage.view().as_ptr(),
        other => panic!("{other:?} is not f32"),
    });
}

/// Parts and transposes of other tensors: their values do not lie one after the other from the start.
#[test]
fn adam_steps_read_and_write_views() {
    fn check<B: Backend>() {
        let device = B::Device::default();
        let values = |seed: usize| (0..12).map(|i| ((i * 7 + seed) % 13) as f32 / 13.0).collect::<Vec<_>>();
        let view = |seed: usize, strided: bool| {
            let x = Tensor::<B, 2>::from_data(TensorData::new(values(seed), [3, 4]), &device);
            if strided { x.transpose().slice([1..3, 0..3]).reshape([6]) } else { x.reshape([12]).slice([3..9]) }
        };
        let own = |x: Tensor<B, 1>| Tensor::<B, 1>::from_data(x.into_data(), &device);
        let operands = |f: &dyn Fn(usize, bool) -> Tensor<B, 1>| {
            [false, true].map(|strided| AdamOperands {
                param: f(1, strided),
                grad: f(2, strided),
                state: AdamState { m: f(3, strided), v: f(4, strided), ema: Some(f(5, strided)) },
            })
        };
        let read = |new: Vec<(Tensor<B, 1>, AdamState<B>)>| {
            let all = new.into_iter().flat_map(|(param, s)| [param, s.m, s.v, s.ema.expect("it was given")]);
            all.map(|x| x.into_data().to_vec::<f32>().unwrap()).collect::<Vec<_>>()
        };
        let views = read(adam_steps(operands(&view).into(), &STEP));
        assert_eq!(views, read(adam_steps(operands(&|seed, strided| own(view(seed, strided))).into(), &STEP)));
    }
    check::<Flex>();
    check::<NdArray>();
}

#[test]
fn adam_steps_leave_shared_tensors_alone() {
    let device = Default::default();
    let param = Tensor::<Flex, 1>::ones([5], &device);
    let zeros = Tensor::<Flex, 1>::zeros([5], &device);
    let state = AdamState { m: zeros.clone(), v: zeros.clone(), ema: None };
    let operands = AdamOperands { param: param.clone(), grad: param.clone(), state };
    let (new, state) = adam_steps(vec![operands], &STEP).remove(0);
    assert_eq!(param.into_data().to_vec::<f32>().unwrap(), [1.0; 5]);
    assert_eq!(zeros.into_data().to_vec::<f32>().unwrap(), [0.0; 5]);
    assert_ne!(new.into_data().to_vec::<f32>().unwrap(), [1.0; 5]);
    assert_ne!(state.m.into_data().to_vec::<f32>().unwrap(), [0.0; 5]);
}

#[test]
fn sum_of_squares_is_right_on_all_paths() {
    fn check<B: Backend>(dtype: DType) {
        let data = TensorData::new((0..1000).map(f64::from).collect::<Vec<_>>(), [1000]);
        let x = Tensor::<B, 1>::from_data(data, (&B::Device::default(), dtype));
        let empty = Tensor::<B, 1>::empty([0], &B::Device::default());
        let parts = [x.clone().slice([0..1]), x.clone().slice([1..700]), empty.clone(), x.slice([700..1000])];
        assert!((sum_of_squares(parts.into()) / 332_833_500.0 - 1.0).abs() < 1e-6);
        for nothing in [Vec::new(), vec![empty]] {
            assert_eq!(sum_of_squares::<B>(nothing), 0.0);
        }
    }
    for dtype in [DType::F32, DType::F64] {
        check::<Flex>(dtype);
        check::<NdArray>(dtype);
        check::<Autodiff<NdArray>>(dtype);
    }
}

/// The panic message of `f`.
fn refusal(f: impl FnOnce()) -> String {
    let error = catch_unwind(AssertUnwindSafe(f)).expect_err("this should have been refused");
    match error.downcast::<String>() {
        Ok(message) => *message,
        Err(error) => error.downcast::<&str>().map_or_else(|_| String::new(), |message| message.to_string()),
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_both_shapes() {
    let device = Default::default();
    let zeros = |shape: [usize; 4]| Tensor::<Flex, 4>::zeros(shape, &device);
    let vector = |n: usize| Tensor::<Flex, 1>::zeros([n], &device);
    let matrix = |m: usize, n: usize| Tensor::<Flex, 2>::zeros([m, n], &device);
    let same = Conv2dGeometry::SAME_3X3;
    let x = || zeros([2, 4, 5, 6]);
    let silu = NormActivation::Silu;
    let block = |c: usize, inner: usize, norm: usize| AttentionBlockParams {
        norm: Some([vector(norm), vector(norm)]),
        weight: [matrix(inner, c), matrix(inner, c), matrix(inner, c), matrix(c, inner)],
        bias: [vector(inner), vector(inner), vector(inner), vector(c)],
    };
    let heads = |heads: usize, groups: usize| AttentionBlockSpec { heads, groups, eps: 1e-5 };
    let adam = |param: usize, m: usize, step: u64| {
        let state = AdamState { m: vector(m), v: vector(3), ema: None };
        let operands = AdamOperands { param: vector(param), grad: vector(3), state };
        refusal(|| drop(adam_steps(vec![operands], &AdamStep { step, ..STEP })))
    };
    let refusals = [
        (adam(3, 4, 1), "moments [4] and [3]"),
        (adam(5, 3, 1), "as long as the parameter, [5]"),
        (adam(3, 3, 0), "steps are counted from 1"),
        (refusal(|| drop(conv2d(x(), zeros([8, 3, 3, 3]), None, same))), "[out, 4, side, side]"),
        (refusal(|| drop(conv2d(x(), zeros([8, 4, 3, 3]), Some(vector(7)), same))), "expected [8]"),
        (refusal(|| drop(conv2d(x(), zeros([8, 4, 9, 9]), None, same))), "no 9×9 kernel fits an input of 5×6"),
        (refusal(|| drop(conv2d_add(x(), zeros([8, 4, 3, 3]), None, x()))), "[2, 8, 5, 6]"),
        (refusal(|| drop(conv2d_add(x(), zeros([4, 4, 2, 2]), None, x()))), "3×3 kernel"),
        (refusal(|| drop(upsample_conv2d(x(), zeros([8, 4, 1, 1]), None))), "expected [out, 4, 3, 3]"),
        (refusal(|| drop(upsample_conv2d(x(), zeros([8, 4, 3, 3]), Some(vector(7))))), "expected [8]"),
        (refusal(|| drop(group_norm(x(), vector(4), vector(5), 2, 1e-5, silu))), "expected [4]"),
        (refusal(|| drop(group_norm(x(), vector(4), vector(4), 3, 1e-5, silu))), "3 groups do not divide 4"),
        (refusal(|| drop(add_channel_bias(x(), matrix(2, 3)))), "expected [2, 4]"),
        (
            refusal(|| drop(group_norm_biased(x(), matrix(2, 3), vector(4), vector(4), 2, 1e-5, silu))),
            "bias is [2, 3], expected [2, 4]",
        ),
        (refusal(|| drop(group_norm_joined([x(), x()], vector(4), vector(4), 2, 1e-5, silu))), "expected [8]"),
        (refusal(|| drop(conv1x1_joined([x(), x()], zeros([5, 4, 1, 1]), None))), "expected [out, 8, 1, 1]"),
        (refusal(|| drop(concat_channels(x(), zeros([2, 4, 5, 7])))), "differ in more than the channels"),
        (refusal(|| drop(linear(matrix(3, 4), matrix(5, 6), None))), "expected [..., 6]"),
        (refusal(|| drop(attention(x(), x(), zeros([2, 4, 6, 6])))), "[batch, heads, m, d_v]"),
        (refusal(|| drop(attention_block(x(), block(4, 6, 4), heads(4, 2)))), "4 heads do not divide 6"),
        (refusal(|| drop(attention_block(x(), block(4, 6, 4), heads(2, 3)))), "3 groups do not divide 4"),
        (refusal(|| drop(attention_block(x(), block(4, 6, 5), heads(2, 2)))), "beta [5], expected [4]"),
        (refusal(|| drop(attention_block(x(), block(5, 6, 5), heads(2, 5)))), "expected [inner, 4] three times"),
        (refusal(|| drop(spatial_self_attention(x(), 3))), "4 channels are not queries, keys and values of 3 heads"),
    ];
    for (message, part) in refusals {
        assert!(message.contains(part), "{message:?} should say {part:?}");
    }
}

#[test]
fn empty_batches_pass_through() {
    let device = Default::default();
    let x = Tensor::<Flex, 4>::zeros([0, 16, 4, 4], &device);
    let weight = Tensor::<Flex, 4>::zeros([8, 16, 3, 3], &device);
    assert_eq!(conv2d(x.clone(), weight.clone(), None, Conv2dGeometry::SAME_3X3).dims(), [0, 8, 4, 4]);
    assert_eq!(upsample_conv2d(x.clone(), weight.clone(), None).dims(), [0, 8, 8, 8]);
    assert_eq!(conv2d(x.clone(), weight, None, Conv2dGeometry::DOWN).dims(), [0, 8, 2, 2]);
    let ones = Tensor::<Flex, 1>::ones([16], &device);
    assert_eq!(group_norm(x.clone(), ones.clone(), ones, 4, 1e-5, NormActivation::Silu).dims(), [0, 16, 4, 4]);
    assert_eq!(silu(x.clone()).dims(), [0, 16, 4, 4]);
    assert_eq!(upsample_nearest_2x(x.clone()).dims(), [0, 16, 8, 8]);
    assert_eq!(concat_channels(x.clone(), x).dims(), [0, 32, 4, 4]);
}

/// While filters are kept, a weight is recognised as long as it is the same; one that was written to is another.
#[test]
fn kept_filters_give_the_same_bits_and_see_new_weights() {
    fn bits<B: Backend>(x: Tensor<B, 4>) -> Vec<u32> {
        x.into_data().to_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
    }
    fn check<B: Backend>() {
        let device = B::Device::default();
        let tensor = |seed: usize, shape: [usize; 4]| {
            let n = shape.iter().product::<usize>();
            let values: Vec<f32> = (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0).collect();
            Tensor::<B, 4>::from_data(TensorData::new(values, shape), &device)
        };
        let same = Conv2dGeometry::SAME_3X3;
        let x = tensor(1, [2, 17, 9, 10]);
        let mut weight = tensor(2, [33, 17, 3, 3]);
        for size in [0, 1, 2] {
            // The same weight at two sizes, with tiles of another size each
            let x = if size == 1 { tensor(3, [1, 17, 2, 2]) } else { x.clone() };
            let want = bits(conv2d(x.clone(), weight.clone(), None, same));
            let kept = KeptFilters::new();
            for _ in 0..3 {
                assert_eq!(bits(conv2d(x.clone(), weight.clone(), None, same)), want);
                assert!(KeptFilters::bytes() >= 4 * 16 * 17 * 33);
            }
            // In place where nobody else holds it: the kept entry does.
            weight = weight * 2.0;
            let doubled = bits(conv2d(x.clone(), weight.clone(), None, same));
            drop(kept);
            assert_eq!(doubled, bits(conv2d(x, weight.clone(), None, same)));
            assert_ne!(doubled, want);
        }
    }
    check::<Flex>();
    check::<NdArray>();
    assert_eq!(KeptFilters::bytes(), 0);
}
