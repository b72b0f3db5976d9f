//! What the backend's operations on primitives take and return, where it is more than tensors.

use burn::tensor::{backend, ops::FloatTensor};

/// Which gradients of a convolution or a linear map are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedGradients {
    /// That of the input.
    pub x: bool,
    /// That of the weight.
    pub weight: bool,
    /// That of the bias.
    pub bias: bool,
}

/// Gradients of a convolution or a linear map; those that were not wanted may be missing.
#[derive(Clone, Debug)]
pub struct AffineGradients<B: backend::Backend> {
    /// In the shape of the input.
    pub x: Option<FloatTensor<B>>,
    /// In the shape of the weight.
    pub weight: Option<FloatTensor<B>>,
    /// In the shape of the bias.
    pub bias: Option<FloatTensor<B>>,
}

/// Gradients of [`Backend::fused_conv1x1_joined`](crate::Backend::fused_conv1x1_joined); those that were not wanted may be missing.
#[derive(Clone, Debug)]
pub struct JoinedGradients<B: backend::Backend> {
    /// In the shapes of the two inputs.
    pub x: Option<[FloatTensor<B>; 2]>,
    /// In the shape of the weight.
    pub weight: Option<FloatTensor<B>>,
    /// In the shape of the bias.
    pub bias: Option<FloatTensor<B>>,
}

/// What a group normalisation takes beside its input.
#[derive(Clone, Debug)]
pub struct GroupNormOperands<B: backend::Backend> {
    /// Scale a channel, `[c]`.
    pub gamma: FloatTensor<B>,
    /// Offset a channel, `[c]`.
    pub beta: FloatTensor<B>,
    /// What makes it a variant.
    pub extra: GroupNormExtra<B>,
}

/// What makes a variant of the group normalisation, or the gradients of it.
#[derive(Clone, Debug)]
pub enum GroupNormExtra<B: backend::Backend> {
    /// [`crate::group_norm`].
    None,
    /// [`crate::group_norm_biased`]: what is added to every pixel of the input, `[n, c]`.
    Bias(FloatTensor<B>),
    /// [`crate::group_norm_joined`]: further channels of the input, `[n, c_skip, h, w]`.
    Skip(FloatTensor<B>),
    /// [`crate::group_norm_scale_shift`]: scale and shift of an embedding, `[n, c]` both.
    ScaleShift(FloatTensor<B>, FloatTensor<B>),
}

impl<B: backend::Backend> GroupNormExtra<B> {
    /// The same of another backend's tensors.
    pub(crate) fn map<C: backend::Backend>(self, f: impl Fn(FloatTensor<B>) -> FloatTensor<C>) -> GroupNormExtra<C> {
        match self {
            Self::None => GroupNormExtra::None,
            Self::Bias(bias) => GroupNormExtra::Bias(f(bias)),
            Self::Skip(skip) => GroupNormExtra::Skip(f(skip)),
            Self::ScaleShift(scale, shift) => GroupNormExtra::ScaleShift(f(scale), f(shift)),
        }
    }
}

/// A group normalisation's result and statistics.
#[derive(Clone, Debug)]
pub struct GroupNormOutput<B: backend::Backend> {
    /// In the shape of the input.
    pub y: FloatTensor<B>,
    /// Mean of every image and group, `[n, groups]`.
    pub mean: FloatTensor<B>,
    /// `1 / sqrt(variance + eps)` of every image and group, `[n, groups]`.
    pub rstd: FloatTensor<B>,
}

/// Gradients of a group normalisation.
#[derive(Clone, Debug)]
pub struct GroupNormGradients<B: backend::Backend> {
    /// In the shape of the input.
    pub x: FloatTensor<B>,
    /// Of `gamma`, `[c]`.
    pub gamma: FloatTensor<B>,
    /// Of `beta`, `[c]`.
    pub beta: FloatTensor<B>,
    /// Of what made it a variant.
    pub extra: GroupNormExtra<B>,
}

/// What a convolution behind a group normalisation takes beside its input.
#[derive(Clone, Debug)]
pub struct NormConvOperands<B: backend::Backend> {
    /// Of the normalisation.
    pub norm: GroupNormOperands<B>,
    /// Kernel, `[k, c, 3, 3]`.
    pub weight: FloatTensor<B>,
    /// Bias, `[k]`.
    pub bias: FloatTensor<B>,
    /// What is added to the result, `[n, k, h, w]`.
    pub residual: Option<FloatTensor<B>>,
}

/// Gradients of a convolution behind a group normalisation; that of the residual is that of the result.
#[derive(Clone, Debug)]
pub struct NormConvGradients<B: backend::Backend> {
    /// Of the normalisation's input and operands.
    pub norm: GroupNormGradients<B>,
    /// Of the kernel.
    pub weight: FloatTensor<B>,
    /// Of the bias.
    pub bias: FloatTensor<B>,
}

/// What an attention block takes beside its input.
#[derive(Clone, Debug)]
pub struct AttentionBlockOperands<B: backend::Backend> {
    /// Scale and offset of the norm, `[c]`, if there is one.
    pub norm: Option<[FloatTensor<B>; 2]>,
    /// Weights of the maps to queries, keys and values, `[inner, c]`, and of the output, `[c, inner]`.
    pub weight: [FloatTensor<B>; 4],
    /// Their biases, `[inner]` and `[c]`.
    pub bias: [FloatTensor<B>; 4],
}

/// An attention block's result and what its gradient needs.
#[derive(Clone, Debug)]
pub struct AttentionBlockOutput<B: backend::Backend> {
    /// In the shape of the input.
    pub y: FloatTensor<B>,
    /// Whatever the backend has use for, in its own layout.
    pub saved: [FloatTensor<B>; 3],
}

/// Gradients of an attention block, in the shapes of what they are for.
#[derive(Clone, Debug)]
pub struct AttentionBlockGradients<B: backend::Backend> {
    /// Of the input.
    pub x: FloatTensor<B>,
    /// Of scale and offset of the norm, if there is one.
    pub norm: Option<[FloatTensor<B>; 2]>,
    /// Of the weights.
    pub weight: [FloatTensor<B>; 4],
    /// Of the biases.
    pub bias: [FloatTensor<B>; 4],
}

/// A parameter with the memory of Adam, flattened.
#[derive(Clone, Debug)]
pub struct AdamPrimitives<B: backend::Backend> {
    /// The parameter, `[n]`.
    pub param: FloatTensor<B>,
    /// First moment, `[n]`.
    pub m: FloatTensor<B>,
    /// Second moment, `[n]`.
    pub v: FloatTensor<B>,
    /// Moving average of the parameter, `[n]`.
    pub ema: Option<FloatTensor<B>>,
}

impl<B: backend::Backend> AdamPrimitives<B> {
    /// The same of another backend's tensors.
    pub(crate) fn map<C: backend::Backend>(self, f: impl Fn(FloatTensor<B>) -> FloatTensor<C>) -> AdamPrimitives<C> {
        AdamPrimitives { param: f(self.param), m: f(self.m), v: f(self.v), ema: self.ema.map(f) }
    }
}
