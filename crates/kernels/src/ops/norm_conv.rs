//! Group normalisation, activation and 3×3 convolution: half of a residual block.

use super::{GroupNormSpec, concat, primitive, tensor};
use crate::{Backend, GroupNormExtra, GroupNormOperands, NormConvOperands};
use burn::tensor::Tensor;

/// What is normalised before the convolution of [`norm_conv2d`], and how time enters.
#[derive(Clone, Debug)]
pub enum NormConvInput<B: Backend> {
    /// As in [`crate::group_norm`].
    Plain(Tensor<B, 4>),
    /// As in [`crate::group_norm_biased`]: with what is added to every pixel, `[n, c]`.
    Biased(Tensor<B, 4>, Tensor<B, 2>),
    /// As in [`crate::group_norm_joined`]: with further channels.
    Joined(Tensor<B, 4>, Tensor<B, 4>),
    /// As in [`crate::group_norm_scale_shift`]: with scale and shift, `[n, c]` both.
    ScaleShift(Tensor<B, 4>, Tensor<B, 2>, Tensor<B, 2>),
}

/// Parameters of [`norm_conv2d`].
#[derive(Clone, Debug)]
pub struct NormConvParams<B: Backend> {
    /// Scale of the normalisation, `[c]`.
    pub gamma: Tensor<B, 1>,
    /// Offset of the normalisation, `[c]`.
    pub beta: Tensor<B, 1>,
    /// Kernel, `[k, c, 3, 3]`.
    pub weight: Tensor<B, 4>,
    /// Bias of the convolution, `[k]`.
    pub bias: Tensor<B, 1>,
}

/// A 3×3 convolution with stride 1 and padding 1 of the activated group normalisation of `x`, plus `residual`.
///
/// The CPU backends do not keep the normalised values for the gradient, but compute them again.
///
/// # Shapes
/// `x: [n, c, h, w]`; `residual` and the result: `[n, k, h, w]`; the others as [`NormConvInput`] and [`NormConvParams`] say.
///
/// # Formula
/// [`crate::conv2d_add`] of [`crate::group_norm`] or its variant.
///
/// # Panics
/// If the shapes do not fit together or the groups do not divide the channels.
pub fn norm_conv2d<B: Backend>(
    input: NormConvInput<B>,
    params: NormConvParams<B>,
    residual: Option<Tensor<B, 4>>,
    spec: GroupNormSpec,
) -> Tensor<B, 4> {
    let NormConvParams { gamma, beta, weight, bias } = params;
    let x = match &input {
        NormConvInput::Plain(x)
        | NormConvInput::Biased(x, _)
        | NormConvInput::Joined(x, _)
        | NormConvInput::ScaleShift(x, ..) => x.clone(),
    };
    let [n, first, h, w] = x.dims();
    let c = match &input {
        NormConvInput::Joined(x, skip) => concat::channels(x, skip),
        _ => first,
    };
    super::group_norm::check(c, &x, &gamma, &beta, spec.groups);
    let [k, ..] = weight.dims();
    assert!(
        weight.dims() == [k, c, 3, 3] && bias.dims() == [k],
        "norm_conv2d: weight is {:?} and bias {:?}, expected [out, {c}, 3, 3] and [out] for {c} channels",
        weight.dims(),
        bias.dims()
    );
    if let Some(residual) = &residual {
        assert!(
            residual.dims() == [n, k, h, w],
            "norm_conv2d: residual is {:?}, expected the shape of the output, {:?}",
            residual.dims(),
            [n, k, h, w]
        );
    }
    let of_images = |values: Tensor<B, 2>| {
        assert!(
            values.dims() == [n, c],
            "norm_conv2d: conditioning is {:?}, expected [{n}, {c}] for an input of {:?}",
            values.dims(),
            [n, c, h, w]
        );
        primitive(values)
    };
    let extra = match input {
        NormConvInput::Plain(_) => GroupNormExtra::None,
        NormConvInput::Biased(_, bias) => GroupNormExtra::Bias(of_images(bias)),
        NormConvInput::Joined(_, skip) => GroupNormExtra::Skip(primitive(skip)),
        NormConvInput::ScaleShift(_, scale, shift) => GroupNormExtra::ScaleShift(of_images(scale), of_images(shift)),
    };
    let operands = NormConvOperands {
        norm: GroupNormOperands { gamma: primitive(gamma), beta: primitive(beta), extra },
        weight: primitive(weight),
        bias: primitive(bias),
        residual: residual.map(primitive),
    };
    tensor(B::fused_norm_conv2d(primitive(x), operands, spec))
}
