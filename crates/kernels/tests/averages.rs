//! The moving average and the weight decay of the composed operations, which take over where one tensor is not f32.
#![cfg(feature = "flex")]

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, TensorData};
use sfumato_kernels::{AdamOperands, AdamState, AdamStep, adam_steps};

const STEP: AdamStep = AdamStep {
    lr: 0.0,
    beta_1: 0.9,
    beta_2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.0,
    step: 1,
    grad_scale: 1.0,
    ema_decay: Some(0.99999),
};

fn tensor(x: f64, dtype: DType) -> Tensor<Flex, 1> {
    Tensor::from_data(TensorData::new(vec![x; 2], [2]), (&Default::default(), dtype))
}

/// A weight of `x` and its average.
fn operands(x: f64, grad: f64, dtype: DType) -> AdamOperands<Flex> {
    let [m, v] = [tensor(0.0, dtype), tensor(0.0, dtype)];
    AdamOperands {
        param: tensor(x, dtype),
        grad: tensor(grad, dtype),
        state: AdamState { m, v, ema: Some(tensor(x, dtype)) },
    }
}

/// It once shrank by 1.4e-8 of its size in every step.
#[test]
fn the_average_of_weights_at_rest_is_these_weights() {
    let mut all = vec![operands(0.3, 0.0, DType::F32), operands(0.3, 0.0, DType::F64)];
    for _ in 0..20_000 {
        let new = adam_steps(all, &STEP).into_iter().zip([DType::F32, DType::F64]);
        all = new.map(|((param, state), dtype)| AdamOperands { param, grad: tensor(0.0, dtype), state }).collect();
    }
    for AdamOperands { state, .. } in all {
        let ema: Vec<f64> = state.ema.expect("an average was given").into_data().iter::<f64>().collect();
        assert!(ema.iter().all(|x| (x - 0.3).abs() < 2e-8), "{ema:?}");
    }
}

/// The update is 2e-8, and so is the decay: together they move a weight of 1 by a rounding, 6e-8 of it; neither does alone.
#[test]
fn a_weight_decay_that_does_not_show_beside_1_is_not_lost() {
    let by = AdamStep { lr: 2e-8, weight_decay: 1.0, ..STEP };
    for composed in [false, true] {
        let mut all = vec![operands(1.0, 1.0, DType::F32)];
        if composed {
            all.push(operands(1.0, 1.0, DType::F64));
        }
        let param = adam_steps(all, &by).remove(0).0;
        assert!(param.into_data().iter::<f32>().all(|x| x < 1.0), "composed: {composed}");
        let alone = adam_steps(vec![operands(1.0, 1.0, DType::F32)], &AdamStep { weight_decay: 0.0, ..by }).remove(0).0;
        assert!(alone.into_data().iter::<f32>().all(|x| x == 1.0));
    }
}
