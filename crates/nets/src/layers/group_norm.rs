//! Group normalisation: Wu & He (2018), arXiv:1803.08494.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use sfumato_kernels::{self as kernels, Backend, GroupNormSpec, NormActivation, NormConvInput, NormConvParams};

use super::{Activation, Conv2d, ConvKind};
use crate::params::{Builder, Init};

/// Normalises each group of channels of each example to mean 0 and variance 1, then scales and shifts each channel.
#[derive(Module, Debug)]
pub struct GroupNorm<B: Backend> {
    /// Scale, `[channels]`.
    pub weight: Param<Tensor<B, 1>>,
    /// Shift, `[channels]`.
    pub bias: Param<Tensor<B, 1>>,
    groups: usize,
    epsilon: f64,
}

impl<B: Backend> GroupNorm<B> {
    /// Norm over `groups` groups of `channels` channels; `epsilon` is added to the variance.
    pub fn new(b: &mut Builder<B>, groups: usize, channels: usize, epsilon: f64) -> Self {
        let weight = b.param("weight", [channels], Init::Ones);
        Self { weight, bias: b.param("bias", [channels], Init::Zeros), groups, epsilon }
    }

    /// Number of groups, and what is added to the variance.
    pub fn constants(&self) -> (usize, f64) {
        (self.groups, self.epsilon)
    }

    /// Normalises.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, channels, height, width]`
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::group_norm(x, self.weight.val(), self.bias.val(), self.groups, self.epsilon, NormActivation::None)
    }

    /// Normalises and applies `activation`, in one operation where it is SiLU.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, channels, height, width]`
    pub fn forward_activated(&self, x: Tensor<B, 4>, activation: Activation) -> Tensor<B, 4> {
        let (fused, rest) = split(activation);
        let x = kernels::group_norm(x, self.weight.val(), self.bias.val(), self.groups, self.epsilon, fused);
        rest(x)
    }

    /// `activation(norm(x + bias))`: conditioning on time by a value for each channel.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, channels, height, width]`
    /// - `bias`: `[batch, channels]`
    pub fn forward_biased(&self, x: Tensor<B, 4>, bias: Tensor<B, 2>, activation: Activation) -> Tensor<B, 4> {
        let (fused, rest) = split(activation);
        let (weight, offset) = (self.weight.val(), self.bias.val());
        rest(kernels::group_norm_biased(x, bias, weight, offset, self.groups, self.epsilon, fused))
    }

    /// [`GroupNorm::forward_activated`] of the channels of `x`, then those of `skip`.
    ///
    /// # Shapes
    /// - `x`, `skip`: `[batch, channels of its own, height, width]`
    /// - output: `[batch, channels, height, width]`
    pub fn forward_joined(&self, x: Tensor<B, 4>, skip: Tensor<B, 4>, activation: Activation) -> Tensor<B, 4> {
        let (fused, rest) = split(activation);
        let (weight, bias) = (self.weight.val(), self.bias.val());
        rest(kernels::group_norm_joined([x, skip], weight, bias, self.groups, self.epsilon, fused))
    }

    /// `activation(norm(x) · (1 + scale) + shift)`: conditioning on time by scale and shift.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, channels, height, width]`
    /// - `scale`, `shift`: `[batch, channels]`
    pub fn forward_scale_shift(
        &self,
        x: Tensor<B, 4>,
        scale: Tensor<B, 2>,
        shift: Tensor<B, 2>,
        activation: Activation,
    ) -> Tensor<B, 4> {
        let (fused, rest) = split(activation);
        let (weight, bias) = (self.weight.val(), self.bias.val());
        rest(kernels::group_norm_scale_shift(x, weight, bias, scale, shift, self.groups, self.epsilon, fused))
    }

    /// The one of the other methods that `input` says.
    ///
    /// # Shapes
    /// - output: `[batch, channels, height, width]`
    pub fn forward_conditioned(&self, input: NormConvInput<B>, activation: Activation) -> Tensor<B, 4> {
        match input {
            NormConvInput::Plain(x) => self.forward_activated(x, activation),
            NormConvInput::Biased(x, bias) => self.forward_biased(x, bias, activation),
            NormConvInput::Joined(x, skip) => self.forward_joined(x, skip, activation),
            NormConvInput::ScaleShift(x, scale, shift) => self.forward_scale_shift(x, scale, shift, activation),
        }
    }

    /// `conv(activation(norm(x))) + residual`, with the norm as in the other methods, by what `input` says; in one operation for SiLU and
    /// [`ConvKind::Same3x3`].
    ///
    /// # Shapes
    /// - `residual`, output: `[batch, channels_out, height, width]`
    pub fn forward_convolved(
        &self,
        input: NormConvInput<B>,
        activation: Activation,
        conv: &Conv2d<B>,
        residual: Option<Tensor<B, 4>>,
    ) -> Tensor<B, 4> {
        if activation == Activation::Silu && conv.kind() == ConvKind::Same3x3 {
            let params = NormConvParams {
                gamma: self.weight.val(),
                beta: self.bias.val(),
                weight: conv.weight.val(),
                bias: conv.bias.val(),
            };
            let spec = GroupNormSpec { groups: self.groups, eps: self.epsilon, activation: NormActivation::Silu };
            return kernels::norm_conv2d(input, params, residual, spec);
        }
        let normed = self.forward_conditioned(input, activation);
        match residual {
            Some(residual) => conv.forward_add(normed, residual),
            None => conv.forward(normed),
        }
    }
}

/// The part of an activation that the kernel does, and what is left to do.
fn split<B: Backend>(activation: Activation) -> (NormActivation, impl Fn(Tensor<B, 4>) -> Tensor<B, 4>) {
    let fused = activation == Activation::Silu;
    let kernel = if fused { NormActivation::Silu } else { NormActivation::None };
    (kernel, move |x| if fused { x } else { activation.forward(x) })
}
