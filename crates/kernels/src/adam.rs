//! Adam with global-norm clipping and a moving average of the weights, as passes over a module's parameters.
//!
//! Kingma & Ba (2015), arXiv:1412.6980, Algorithm 1; decoupled weight decay from Loshchilov & Hutter (2019). Burn's own
//! optimizers keep their state by parameter id and clip each tensor by itself; here the state is by parameter *name*, so
//! that it can be stored beside the weights and read by anyone, and the norm is global.

use std::vec::IntoIter;

use crate::muon::muon_steps;
use crate::{AdamOperands, AdamState, AdamStep, AutodiffBackend, Backend, Gradient, Scalar, adam_steps, with_node_of};
use burn::{
    module::{AutodiffModule, Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Bool, Shape, Tensor, backend},
};

/// The constants of [`Adam`]; the default is what DDPM trains with, without clipping at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamOptions {
    /// Decay of the first moment, in `[0, 1)`.
    pub beta_1: f64,
    /// Decay of the second moment, in `[0, 1)`.
    pub beta_2: f64,
    /// Added to the square root of the second moment, above 0.
    pub epsilon: f64,
    /// Decoupled weight decay, at least 0; 0 is plain Adam.
    pub weight_decay: f64,
    /// Largest global norm of the gradient, beyond which it is scaled down; 0 never does.
    pub clip_norm: f64,
    /// Ceiling of the decay of the weights' moving average, in `[0, 1)`: see [`ema_decay`].
    pub ema_decay: f64,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.0, clip_norm: 1.0, ema_decay: 0.9999 }
    }
}

/// The moments and the moving average of every parameter, in the order in which the module visits them.
///
/// # Examples
/// A linear layer learns to halve: any module of Burn will do, in any loop.
/// ```
/// use burn::{backend::{Autodiff, Flex}, module::AutodiffModule, nn::LinearConfig, tensor::Tensor};
/// use sfumato_kernels::{Adam, AdamOptions};
///
/// let device = Default::default();
/// let mut layer = LinearConfig::new(1, 1).init::<Autodiff<Flex>>(&device);
/// let mut adam = Adam::new(&AdamOptions::default(), &layer.valid());
/// for step in 1..=400 {
///     let x = Tensor::<_, 2>::from_data([[-1.0f32], [0.5], [2.0]], &device);
///     let loss = (layer.forward(x.clone()) - x * 0.5).square().mean();
///     (layer, _) = adam.step::<Autodiff<Flex>, _>(layer, &mut loss.backward(), step, 1e-2);
/// }
/// assert!((layer.weight.val().into_scalar() - 0.5).abs() < 0.05);
/// ```
#[derive(Debug)]
pub struct Adam<B: Backend> {
    options: AdamOptions,
    states: Vec<AdamState<B>>,
    /// Whether each parameter moves by Muon; empty where none does.
    orthogonal: Vec<bool>,
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub struct StepNorm {
    /// The gradient's global norm before clipping.
    pub grad_norm: f64,
}

impl<B: Backend> Adam<B> {
    /// The state before the first step: moments 0, the average equal to the weights.
    pub fn new<M: Module<B>>(options: &AdamOptions, model: &M) -> Self {
        let state =
            |weight: Tensor<B, 1>| AdamState { m: weight.zeros_like(), v: weight.zeros_like(), ema: Some(weight) };
        Self::resumed(options, weights(model).into_iter().map(state).collect())
    }

    /// The state with which a stopped run goes on.
    pub fn resumed(options: &AdamOptions, states: Vec<AdamState<B>>) -> Self {
        Self { options: *options, states, orthogonal: Vec::new() }
    }

    /// The same with some of the parameters moved by Muon: `which` says it of each, in visiting order. The first dimension of such a parameter is the
    /// rows of a matrix, and the others together are its columns; parameters of fewer than two dimensions stay with Adam.
    ///
    /// Muon makes all singular values of a layer's step alike, so that a few large directions of the gradient do not drown the others (Jordan et
    /// al. 2024). Its momentum (decay 0.95) is kept in the place of the first moment; the second moment is not used.
    ///
    /// # Panics
    /// If there is not one answer for each parameter.
    #[must_use]
    pub fn with_muon(mut self, which: Vec<bool>) -> Self {
        assert_eq!(which.len(), self.states.len(), "one answer for each parameter that the module visits");
        self.orthogonal = which;
        self
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
    /// `clip_grad_norm_`; then [`adam_steps`] with the average's decay of [`ema_decay`].
    pub fn step<A, M>(&mut self, model: M, grads: &mut A::Gradients, step: u64, learning_rate: f64) -> (M, StepNorm)
    where
        A: AutodiffBackend<InnerBackend = B> + backend::AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<A>,
    {
        let gradient = Gradient::of::<A, M>(&model, grads);
        self.step_along::<A, M>(model, gradient, step, learning_rate)
    }

    /// The same along a gradient that was taken out of its graph before, such as a sum of several.
    ///
    /// # Panics
    /// If it is that of another module.
    pub fn step_along<A, M>(&mut self, model: M, gradient: Gradient<B>, step: u64, learning_rate: f64) -> (M, StepNorm)
    where
        A: AutodiffBackend<InnerBackend = B> + backend::AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<A>,
    {
        let grad_norm = gradient.norm();
        if !grad_norm.is_finite() {
            return (model, StepNorm { grad_norm });
        }
        let clip_norm = self.options.clip_norm;
        let scale = if clip_norm > 0.0 { (clip_norm / (grad_norm + CLIP_EPSILON)).min(1.0) } else { 1.0 };
        let model = self.move_along::<A, M>(model, gradient, &self.constants(step, learning_rate, scale), None);
        (model, StepNorm { grad_norm })
    }

    /// The same without waiting for a device: gives the gradient's global norm, which is read when it is wanted. On backends
    /// [in the host's memory](Backend::is_on_host) it is [`step_along`](Self::step_along).
    ///
    /// The device clips by itself, in the dtype of the gradient. Weights and state stay what they are where the norm or `loss` is not
    /// finite, by a choice that the device makes too.
    ///
    /// # Panics
    /// If the gradient is that of another module.
    pub fn step_unread<A, M>(
        &mut self,
        model: M,
        gradient: Gradient<B>,
        loss: &Scalar<B>,
        step: u64,
        learning_rate: f64,
    ) -> (M, Scalar<B>)
    where
        A: AutodiffBackend<InnerBackend = B> + backend::AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<A>,
    {
        if B::is_on_host() {
            let (model, norm) = self.step_along::<A, M>(model, gradient, step, learning_rate);
            return (model, Scalar::known(norm.grad_norm));
        }
        self.step_on_device::<A, M>(model, gradient, loss, step, learning_rate)
    }

    fn step_on_device<A, M>(
        &mut self,
        model: M,
        gradient: Gradient<B>,
        loss: &Scalar<B>,
        step: u64,
        learning_rate: f64,
    ) -> (M, Scalar<B>)
    where
        A: AutodiffBackend<InnerBackend = B> + backend::AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<A>,
    {
        let Some(norm) = gradient.norm_on_device() else { return (model, Scalar::known(0.0)) };
        let finite = is_finite(norm.clone()).bool_and(is_finite(loss.to_tensor(&norm)));
        let most = self.options.clip_norm;
        let scale = (norm.clone() + CLIP_EPSILON).recip().mul_scalar(most).clamp_max(1.0);
        let gradient = if most > 0.0 { gradient.times(&scale) } else { gradient };
        let by = self.constants(step, learning_rate, 1.0);
        let model = self.move_along::<A, M>(model, gradient, &by, Some(&finite));
        (model, Scalar::on_device(norm))
    }

    /// What the update of step `step` is made with.
    fn constants(&self, step: u64, learning_rate: f64, grad_scale: f64) -> AdamStep {
        let AdamOptions { beta_1, beta_2, epsilon, weight_decay, .. } = self.options;
        let ema_decay = Some(ema_decay(self.options.ema_decay, step));
        AdamStep { lr: learning_rate, beta_1, beta_2, epsilon, weight_decay, step, grad_scale, ema_decay }
    }

    /// The model and its state after one update; where `only_if`, a tensor `[1]`, is there and false, they are what they were.
    fn move_along<A, M>(
        &mut self,
        model: M,
        gradient: Gradient<B>,
        by: &AdamStep,
        only_if: Option<&Tensor<B, 1, Bool>>,
    ) -> M
    where
        A: AutodiffBackend<InnerBackend = B> + backend::AutodiffBackend<InnerBackend = B>,
        M: AutodiffModule<A>,
    {
        assert_eq!(gradient.values().len(), self.states.len(), "one gradient for each parameter");
        let states = std::mem::take(&mut self.states).into_iter();
        let mut take = Take::<A> {
            grads: gradient.into_values().into_iter(),
            states,
            orthogonal: &self.orthogonal,
            operands: Vec::new(),
            matrices: Vec::new(),
            places: Vec::new(),
        };
        let model = model.map(&mut take);
        let old = |operands: &AdamOperands<B>| (operands.param.clone(), operands.state.clone());
        let before = only_if.map(|_| take.operands.iter().map(old).collect::<Vec<_>>());
        let mut updated = updates(take.operands, &take.matrices, by);
        if let (Some(only_if), Some(before)) = (only_if, before) {
            updated = updated.into_iter().zip(before).map(|(new, old)| chosen(only_if, new, old)).collect();
        }
        let states = Vec::with_capacity(take.places.len());
        let mut put = PutBack::<A> { updated: updated.into_iter(), places: take.places.into_iter(), states };
        let model = model.map(&mut put);
        self.states = put.states;
        model
    }

    /// `model` with the moving averages in place of its weights.
    pub fn averaged<M: Module<B>>(&self, model: M) -> M {
        let averages = self.states.iter().map(|state| state.ema.clone());
        model.map(&mut Replace { values: averages.collect::<Vec<_>>().into_iter() })
    }
}

/// Added to the norm that a gradient is clipped by, as torch's `clip_grad_norm_` does.
const CLIP_EPSILON: f64 = 1e-6;

/// Whether a value is a number that f32 can hold: false for NaN, with which no comparison is true.
fn is_finite<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 1, Bool> {
    x.abs().lower_equal_elem(f32::MAX)
}

/// `new` where `only_if`, `[1]`, is true, else what was there.
fn chosen<B: Backend>(only_if: &Tensor<B, 1, Bool>, new: Updated<B>, old: Updated<B>) -> Updated<B> {
    let choose = |new: Tensor<B, 1>, old: Tensor<B, 1>| {
        let only_if = only_if.clone().expand(new.shape());
        old.mask_where(only_if, new)
    };
    let (param, AdamState { m, v, ema }) = new;
    let (old_param, old) = old;
    let ema = ema.map(|new| match old.ema {
        Some(old) => choose(new, old),
        None => new,
    });
    (choose(param, old_param), AdamState { m: choose(m, old.m), v: choose(v, old.v), ema })
}

/// Every weight of `model`, flat, in visiting order.
pub(crate) fn weights<B: Backend, M: Module<B>>(model: &M) -> Vec<Tensor<B, 1>> {
    struct Weights<B: Backend>(Vec<Tensor<B, 1>>);

    impl<B: Backend> ModuleVisitor<B> for Weights<B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.push(flatten(param.val()));
        }
    }

    let mut weights = Weights(Vec::new());
    model.visit(&mut weights);
    weights.0
}

type Inner<A> = <A as backend::AutodiffBackend>::InnerBackend;

/// What becomes of a parameter in a step.
enum Place<B: Backend> {
    /// It is updated, and back in this shape afterwards.
    Updated(Shape),
    /// It is not part of the loss: it stays, and so does its average.
    Stays(AdamState<B>),
}

/// Takes every parameter that has a gradient out of the module, so that nobody else holds its memory and it is updated in place. One
/// value stands in for it until [`PutBack`].
struct Take<'a, A: AutodiffBackend> {
    grads: IntoIter<Option<Tensor<Inner<A>, 1>>>,
    states: IntoIter<AdamState<Inner<A>>>,
    orthogonal: &'a [bool],
    operands: Vec<AdamOperands<Inner<A>>>,
    /// Rows and columns of each of the operands that Muon moves.
    matrices: Vec<Option<[usize; 2]>>,
    places: Vec<Place<Inner<A>>>,
}

impl<A: AutodiffBackend> ModuleMapper<A> for Take<'_, A> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<A, D>>) -> Param<Tensor<A, D>> {
        let state = self.states.next().expect("one state for each parameter that the module visits");
        let Some(grad) = self.grads.next().flatten() else {
            self.places.push(Place::Stays(state));
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let stand_in = with_node_of(Tensor::empty([1; D], &tensor.device()), tensor.clone());
        let by_muon = D > 1 && self.orthogonal.get(self.places.len()).is_some_and(|by_muon| *by_muon);
        let dims = tensor.dims();
        self.matrices.push(by_muon.then(|| [dims[0], dims[1..].iter().product()]));
        self.places.push(Place::Updated(tensor.shape()));
        self.operands.push(AdamOperands { param: flatten(tensor.inner()), grad, state });
        Param::from_mapped_value(id, stand_in, mapper)
    }
}

/// One update of every parameter, in the order of `all`: by Muon where there are rows and columns, else by Adam.
fn updates<B: Backend>(all: Vec<AdamOperands<B>>, matrices: &[Option<[usize; 2]>], by: &AdamStep) -> Vec<Updated<B>> {
    let (mut by_muon, mut by_adam) = (Vec::new(), Vec::new());
    for (operands, matrix) in all.into_iter().zip(matrices) {
        match matrix {
            Some(size) => by_muon.push((operands, *size)),
            None => by_adam.push(operands),
        }
    }
    let (mut by_muon, mut by_adam) = (muon_steps(by_muon, by).into_iter(), adam_steps(by_adam, by).into_iter());
    let next = |matrix: &Option<_>| if matrix.is_some() { by_muon.next() } else { by_adam.next() };
    matrices.iter().filter_map(next).collect()
}

/// A parameter and its state after an update.
type Updated<B> = (Tensor<B, 1>, AdamState<B>);

/// Puts what [`Take`] took back, as the leaf of the autodiff graph that it was.
struct PutBack<A: AutodiffBackend> {
    updated: IntoIter<Updated<Inner<A>>>,
    places: IntoIter<Place<Inner<A>>>,
    states: Vec<AdamState<Inner<A>>>,
}

impl<A: AutodiffBackend> ModuleMapper<A> for PutBack<A> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<A, D>>) -> Param<Tensor<A, D>> {
        let (param, state) = match self.places.next().expect("one place for each parameter that the module visits") {
            Place::Stays(state) => (param, state),
            Place::Updated(shape) => {
                let (weight, state) = self.updated.next().expect("one result for each parameter that was taken");
                let (id, stand_in, mapper) = param.consume();
                let weight = with_node_of(Tensor::from_inner(weight.reshape(shape)), stand_in);
                (Param::from_mapped_value(id, weight, mapper), state)
            }
        };
        self.states.push(state);
        param
    }
}

/// Replaces every parameter by the next of `values`.
struct Replace<B: Backend> {
    values: IntoIter<Option<Tensor<B, 1>>>,
}

impl<B: Backend> ModuleMapper<B> for Replace<B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(value) = self.values.next().flatten() else { return param };
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, value.reshape(tensor.dims()), mapper)
    }
}

pub(crate) fn flatten<B: backend::Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, 1> {
    let elements = tensor.shape().num_elements();
    tensor.reshape([elements])
}

/// Decay of the weights' moving average at step `step` (from 1): `min(ceiling, (1 + s) / (10 + s))` with `s = step - 1`.
///
/// The early average would otherwise be mostly the initial weights.
pub fn ema_decay(ceiling: f64, step: u64) -> f64 {
    let done = step.saturating_sub(1) as f64;
    ceiling.min((1.0 + done) / (10.0 + done))
}

#[cfg(all(test, feature = "flex"))]
#[path = "adam_tests.rs"]
mod tests;
