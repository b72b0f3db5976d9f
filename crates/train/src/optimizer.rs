//! Adam with global-norm clipping and a moving average of the weights, as passes over a module's parameters.
//!
//! Kingma & Ba (2015), arXiv:1412.6980, Algorithm 1; decoupled weight decay from Loshchilov & Hutter (2019). Burn's own
//! optimizers keep their state by parameter id and clip each tensor by itself; here the state is by parameter *name*, so
//! that it can be stored beside the weights and read by anyone, and the norm is global.

use burn::{
    module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, backend, ops::FloatTensor},
};
use sfumato_kernels::{AdamState, AdamStep, AutodiffBackend, Backend, adam_step, sum_of_squares};

use crate::{config::OptimizerConfig, learning_rate::ema_decay};

/// The moments and the moving average of every parameter, in the order in which the module visits them.
#[derive(Debug)]
pub struct Optimizer<B: Backend> {
    config: OptimizerConfig,
    states: Vec<AdamState<B>>,
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub struct StepNorm {
    /// The gradient's global norm before clipping.
    pub grad_norm: f64,
}

impl<B: Backend> Optimizer<B> {
    /// The state before the first step: moments 0, the average equal to the weights.
    pub fn new<M: Module<B>>(config: &OptimizerConfig, model: &M) -> Self {
        let mut weights = Weights { flat: Vec::new() };
        model.visit(&mut weights);
        let state =
            |weight: Tensor<B, 1>| AdamState { m: weight.zeros_like(), v: weight.zeros_like(), ema: Some(weight) };
        Self { config: config.clone(), states: weights.flat.into_iter().map(state).collect() }
    }

    /// The state with which a stopped run goes on.
    pub fn resumed(config: &OptimizerConfig, states: Vec<AdamState<B>>) -> Self {
        Self { config: config.clone(), states }
    }

    /// The state of each parameter, flat, in visiting order.
    pub fn states(&self) -> &[AdamState<B>] {
        &self.states
    }

    /// Moves `model` along `grads`; `step` counts from 1. Weights are left alone if the gradient is not finite: the
    /// caller sees it in the norm.
    ///
    /// # Formula
    /// Gradients times `min(1, clip_norm / (norm + 1e-6))` with their norm over all parameters, as torch's
    /// `clip_grad_norm_`; then [`adam_step`] with the average's decay of [`ema_decay`].
    pub fn step<A, M>(&mut self, model: M, grads: &mut A::Gradients, step: u64, learning_rate: f64) -> (M, StepNorm)
    where
        A: AutodiffBackend<InnerBackend = B> + backend::AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<A>,
    {
        let mut collect = Collect::<A> { grads, flat: Vec::with_capacity(self.states.len()) };
        model.visit(&mut collect);
        let flat = collect.flat;
        let squares: f64 = flat.iter().flatten().map(|grad| sum_of_squares(grad.clone())).sum();
        let grad_norm = squares.sqrt();
        if !grad_norm.is_finite() {
            return (model, StepNorm { grad_norm });
        }
        let OptimizerConfig { beta_1, beta_2, epsilon, weight_decay, clip_norm, .. } = self.config;
        let by = AdamStep {
            lr: learning_rate,
            beta_1,
            beta_2,
            epsilon,
            weight_decay,
            step,
            grad_scale: if clip_norm > 0.0 { (clip_norm / (grad_norm + 1e-6)).min(1.0) } else { 1.0 },
            ema_decay: Some(ema_decay(self.config.ema_decay, step)),
        };
        let states = std::mem::take(&mut self.states);
        let mut update = Update::<A> { by, grads: flat.into_iter(), old: states.into_iter(), states: Vec::new() };
        let model = model.map(&mut update);
        self.states = update.states;
        let mut leaves = Leaves::<A> { all: Vec::with_capacity(self.states.len()) };
        model.visit(&mut leaves);
        A::join_graphs(&leaves.all);
        (model, StepNorm { grad_norm })
    }

    /// `model` with the moving averages in place of its weights.
    pub fn averaged<M: Module<B>>(&self, model: M) -> M {
        let averages = self.states.iter().map(|state| state.ema.clone());
        model.map(&mut Replace { values: averages.collect::<Vec<_>>().into_iter() })
    }
}

/// Every weight, flat, in visiting order.
struct Weights<B: Backend> {
    flat: Vec<Tensor<B, 1>>,
}

impl<B: Backend> ModuleVisitor<B> for Weights<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.flat.push(flatten(param.val()));
    }
}

/// Takes the gradient of every parameter out of `grads`, flat, in visiting order.
struct Collect<'a, A: AutodiffBackend> {
    grads: &'a mut A::Gradients,
    flat: Vec<Option<Tensor<A::InnerBackend, 1>>>,
}

impl<A: AutodiffBackend> ModuleVisitor<A> for Collect<'_, A> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<A, D>>) {
        self.flat.push(param.val().grad_remove(self.grads).map(flatten));
    }
}

/// Every parameter as the autodiff backend holds it.
struct Leaves<A: AutodiffBackend> {
    all: Vec<FloatTensor<A>>,
}

impl<A: AutodiffBackend> ModuleVisitor<A> for Leaves<A> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<A, D>>) {
        self.all.push(param.val().into_primitive().tensor());
    }
}

type Inner<A> = <A as backend::AutodiffBackend>::InnerBackend;

/// Puts every parameter through [`adam_step`].
struct Update<A: AutodiffBackend> {
    by: AdamStep,
    grads: std::vec::IntoIter<Option<Tensor<Inner<A>, 1>>>,
    old: std::vec::IntoIter<AdamState<Inner<A>>>,
    states: Vec<AdamState<Inner<A>>>,
}

impl<A: AutodiffBackend> ModuleMapper<A> for Update<A> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<A, D>>) -> Param<Tensor<A, D>> {
        let state = self.old.next().expect("one state for each parameter that the module visits");
        let Some(grad) = self.grads.next().flatten() else {
            // Not part of the loss: it stays, and so does its average.
            self.states.push(state);
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.dims();
        let (weight, state) = adam_step(flatten(tensor.inner()), grad, state, &self.by);
        self.states.push(state);
        Param::from_mapped_value(id, Tensor::from_inner(weight.reshape(shape)).require_grad(), mapper)
    }
}

/// Replaces every parameter by the next of `values`.
struct Replace<B: Backend> {
    values: std::vec::IntoIter<Option<Tensor<B, 1>>>,
}

impl<B: Backend> ModuleMapper<B> for Replace<B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(value) = self.values.next().flatten() else { return param };
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, value.reshape(tensor.dims()), mapper)
    }
}

fn flatten<B: backend::Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, 1> {
    let elements = tensor.shape().num_elements();
    tensor.reshape([elements])
}
