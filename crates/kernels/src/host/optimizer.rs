//! What an optimizer does with all parameters of a network at once.

use super::bridge::HostTensor;
use crate::AdamPrimitives;
use crate::ops::AdamStep;
use burn::tensor::{DType, backend::Backend};
use sfumato_cpu::{self as cpu, AdamConstants, AdamSlices};
use std::borrow::Cow;

pub(super) fn sum_of_squares<T: HostTensor>(tensors: &[T]) -> Option<f64> {
    let values: Vec<Cow<'_, [f32]>> = tensors.iter().map(T::read).collect::<Option<_>>()?;
    Some(cpu::sum_of_squares(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>()))
}

/// Gives the tensors back where one is not f32.
#[allow(clippy::type_complexity)] // what came, or what it became
pub(super) fn adam_steps<T: HostTensor, B: Backend<FloatTensorPrimitive = T>>(
    all: Vec<(T, AdamPrimitives<B>)>,
    by: &AdamStep,
) -> Result<Vec<AdamPrimitives<B>>, Vec<(T, AdamPrimitives<B>)>> {
    let is_f32 = |(grad, old): &(T, AdamPrimitives<B>)| {
        [grad, &old.param, &old.m, &old.v].into_iter().chain(&old.ema).all(|x| x.dtype() == DType::F32)
    };
    if !all.iter().all(is_f32) {
        return Err(all);
    }
    let (grads, mut params): (Vec<T>, Vec<AdamPrimitives<B>>) = all.into_iter().unzip();
    let grads: Vec<Cow<'_, [f32]>> = grads.iter().map(|grad| grad.read().expect(CHECKED)).collect();
    let slices = params.iter_mut().zip(&grads).map(|(old, grad)| AdamSlices {
        grad,
        param: write(&mut old.param),
        m: write(&mut old.m),
        v: write(&mut old.v),
        ema: old.ema.as_mut().filter(|_| by.ema_decay.is_some()).map(write),
    });
    cpu::adam(&constants(by), slices.collect());
    Ok(params)
}

const CHECKED: &str = "the dtype was checked";

fn write<T: HostTensor>(x: &mut T) -> &mut [f32] {
    x.write().expect(CHECKED)
}

/// Computed in f64 and rounded once, as PyTorch's scalars are.
fn constants(by: &AdamStep) -> AdamConstants {
    let correction = |beta: f64| 1.0 - beta.powf(by.step as f64);
    AdamConstants {
        grad_scale: by.grad_scale as f32,
        beta_1: by.beta_1 as f32,
        one_minus_beta_1: (1.0 - by.beta_1) as f32,
        beta_2: by.beta_2 as f32,
        one_minus_beta_2: (1.0 - by.beta_2) as f32,
        step_size: (by.lr / correction(by.beta_1)) as f32,
        root: (1.0 / correction(by.beta_2).sqrt()) as f32,
        epsilon: by.epsilon as f32,
        shrink: (by.lr * by.weight_decay) as f32,
        follow: by.ema_decay.map_or(0.0, |decay| 1.0 - decay) as f32,
    }
}
