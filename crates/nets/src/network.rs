//! Networks as denoisers: with the classes and the dropout of one call, and with guidance.

use burn::{module::Module, tensor::Tensor};
use sfumato_kernels::{Backend, Precision};
use sfumato_process::Denoiser;

use crate::{layers::DropoutKey, mlp::Mlp, unet::UNet2D};

/// A network that predicts for data of rank `D`.
pub trait Network<B: Backend, const D: usize>: Module<B> {
    /// The raw prediction for `x_t` `[batch, …]` at times `t` in `1.0..=T`, which need not be whole steps, with a class for each
    /// example if the network is class-conditional, and the address of the dropout masks while training.
    ///
    /// # Panics
    /// If the inputs do not fit the network; its `check` says so without a panic.
    fn forward_between(
        &self,
        x_t: Tensor<B, D>,
        t: &[f64],
        classes: Option<&[usize]>,
        dropout: Option<DropoutKey>,
    ) -> Tensor<B, D>;

    /// The same at whole steps `t` in `1..=T`.
    ///
    /// # Panics
    /// As [`forward_between`](Self::forward_between).
    fn forward_at(
        &self,
        x_t: Tensor<B, D>,
        t: &[usize],
        classes: Option<&[usize]>,
        dropout: Option<DropoutKey>,
    ) -> Tensor<B, D> {
        self.forward_between(x_t, &times(t), classes, dropout)
    }

    /// Chooses what convolutions and attention multiply. Networks without either pay no attention to it.
    fn set_precision(&mut self, precision: Precision) {
        let _ = precision;
    }
}

impl<B: Backend> Network<B, 4> for UNet2D<B> {
    fn forward_between(
        &self,
        x_t: Tensor<B, 4>,
        t: &[f64],
        classes: Option<&[usize]>,
        dropout: Option<DropoutKey>,
    ) -> Tensor<B, 4> {
        self.forward(x_t, &timesteps_0(t), classes, dropout)
    }

    fn set_precision(&mut self, precision: Precision) {
        UNet2D::set_precision(self, precision);
    }
}

/// The MLP has neither classes nor dropout, and pays no attention to them.
impl<B: Backend> Network<B, 2> for Mlp<B> {
    fn forward_between(
        &self,
        x_t: Tensor<B, 2>,
        t: &[f64],
        _: Option<&[usize]>,
        _: Option<DropoutKey>,
    ) -> Tensor<B, 2> {
        self.forward(x_t, &timesteps_0(t))
    }
}

/// Unconditional networks; class-conditional ones are denoisers together with labels: [`Call`].
impl<B: Backend> Denoiser<B, 4> for UNet2D<B> {
    fn predict(&self, x_t: Tensor<B, 4>, t: &[usize]) -> Tensor<B, 4> {
        self.forward_at(x_t, t, None, None)
    }

    fn predict_between(&self, x_t: Tensor<B, 4>, t: &[f64]) -> Tensor<B, 4> {
        self.forward_between(x_t, t, None, None)
    }
}

impl<B: Backend> Denoiser<B, 2> for Mlp<B> {
    fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
        self.forward_at(x_t, t, None, None)
    }

    fn predict_between(&self, x_t: Tensor<B, 2>, t: &[f64]) -> Tensor<B, 2> {
        self.forward_between(x_t, t, None, None)
    }
}

/// Whole steps as times.
fn times(steps: &[usize]) -> Vec<f64> {
    steps.iter().map(|&t| t as f64).collect()
}

/// The timesteps of diffusers, which count from 0, for times in `1.0..=T`. The one place where the two meet.
fn timesteps_0(times: &[f64]) -> Vec<f32> {
    times.iter().map(|&t| (t - 1.0) as f32).collect()
}

/// A network with the classes and the dropout of one batch.
///
/// Panics in `predict` if they do not fit.
#[derive(Clone, Debug)]
pub struct Call<'a, N> {
    /// The network.
    pub net: &'a N,
    /// One label for each example, for a class-conditional network.
    pub classes: Option<&'a [usize]>,
    /// Address of the dropout masks, while training.
    pub dropout: Option<DropoutKey>,
}

impl<B: Backend, const D: usize, N: Network<B, D>> Denoiser<B, D> for Call<'_, N> {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        self.net.forward_at(x_t, t, self.classes, self.dropout)
    }

    fn predict_between(&self, x_t: Tensor<B, D>, t: &[f64]) -> Tensor<B, D> {
        self.net.forward_between(x_t, t, self.classes, self.dropout)
    }
}

/// Classifier-free guidance: Ho & Salimans (2022), arXiv:2207.12598, Eq. 6.
///
/// # Formula
/// `f(x_t, ∅) + weight · (f(x_t, c) - f(x_t, ∅))`: weight 0 ignores the class, 1 is the conditional network, more exaggerates
/// the class. (The paper's `w` is `weight - 1`.) The formula is linear, so it holds alike for predictions of the noise, of the data
/// and of v. What a network says about the variance, in the other half of twice the channels, is the conditional one's.
///
/// Both predictions run as one batch of twice the size; weights 0 and 1 need only one of them.
#[derive(Clone, Debug)]
pub struct Guided<'a, N> {
    /// The class-conditional network.
    pub net: &'a N,
    /// One label for each example.
    pub classes: &'a [usize],
    /// The label that stands for "no class", which the network saw in training in place of dropped labels.
    pub null_class: usize,
    /// Strength of the guidance.
    pub weight: f64,
}

impl<B: Backend, const D: usize, N: Network<B, D>> Denoiser<B, D> for Guided<'_, N> {
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        self.predict_between(x_t, &times(t))
    }

    fn predict_between(&self, x_t: Tensor<B, D>, t: &[f64]) -> Tensor<B, D> {
        let nothing = vec![self.null_class; self.classes.len()];
        if self.weight == 0.0 {
            return self.net.forward_between(x_t, t, Some(&nothing), None);
        }
        if self.weight == 1.0 {
            return self.net.forward_between(x_t, t, Some(self.classes), None);
        }
        let (batch, channels) = (x_t.dims()[0], x_t.dims().get(1).copied());
        let twice = Tensor::cat(vec![x_t.clone(), x_t], 0);
        let (classes, times) = ([self.classes, &nothing].concat(), [t, t].concat());
        let both = self.net.forward_between(twice, &times, Some(&classes), None);
        let conditional = both.clone().narrow(0, 0, batch);
        let unconditional = both.narrow(0, batch, batch);
        guided(channels, unconditional, conditional, self.weight)
    }
}

/// `f(x_t, ∅) + weight · (f(x_t, c) - f(x_t, ∅))` of a state with so many channels; what is said about the variance is the conditional
/// prediction's.
pub(crate) fn guided<B: Backend, const D: usize>(
    channels: Option<usize>,
    unconditional: Tensor<B, D>,
    conditional: Tensor<B, D>,
    weight: f64,
) -> Tensor<B, D> {
    let guided = unconditional.clone() + (conditional.clone() - unconditional) * weight;
    match channels.zip(guided.dims().get(1).copied()) {
        Some((shown, answered)) if answered == 2 * shown => {
            Tensor::cat(vec![guided.narrow(1, 0, shown), conditional.narrow(1, shown, shown)], 1)
        }
        _ => guided,
    }
}
