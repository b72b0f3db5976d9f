//! Two-dimensional convolution.

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use sfumato_kernels::{self as kernels, Backend, Conv2dGeometry};

use crate::params::{Builder, Init};

/// The shapes of convolution that occur in a U-Net.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvKind {
    /// 3×3, stride 1, size preserved.
    Same3x3,
    /// 1×1: a linear map of the channels of each pixel.
    Pointwise,
    /// 3×3, stride 2, one pixel of padding all round: halves even sizes.
    Down,
    /// 3×3, stride 2, padding right and below only: halves even sizes (`downsample_padding` 0).
    DownAsymmetric,
}

impl ConvKind {
    /// Side of the square kernel.
    pub fn kernel(self) -> usize {
        if self == Self::Pointwise { 1 } else { 3 }
    }

    fn geometry(self) -> Conv2dGeometry {
        match self {
            Self::Same3x3 => Conv2dGeometry::SAME_3X3,
            Self::Pointwise => Conv2dGeometry::POINTWISE,
            Self::Down => Conv2dGeometry::DOWN,
            Self::DownAsymmetric => Conv2dGeometry::DOWN_ASYMMETRIC,
        }
    }
}

/// A convolution with bias.
#[derive(Module, Debug)]
pub struct Conv2d<B: Backend> {
    /// Kernel, `[channels_out, channels_in, kernel, kernel]`.
    pub weight: Param<Tensor<B, 4>>,
    /// Bias, `[channels_out]`.
    pub bias: Param<Tensor<B, 1>>,
    kind: ConvKind,
}

impl<B: Backend> Conv2d<B> {
    /// A convolution from `channels_in` to `channels_out`, in torch's default initialisation.
    pub fn new(b: &mut Builder<B>, channels_in: usize, channels_out: usize, kind: ConvKind) -> Self {
        Self::with_init(b, channels_in, channels_out, kind, Init::FanIn)
    }

    /// As [`Conv2d::new`], as the last layer of a residual branch or network ([`Init::Last`]).
    pub fn last(b: &mut Builder<B>, channels_in: usize, channels_out: usize, kind: ConvKind) -> Self {
        Self::with_init(b, channels_in, channels_out, kind, Init::Last)
    }

    fn with_init(
        b: &mut Builder<B>,
        channels_in: usize,
        channels_out: usize,
        kind: ConvKind,
        init: fn(usize) -> Init,
    ) -> Self {
        let init = init(channels_in * kind.kernel() * kind.kernel());
        let weight = b.param("weight", [channels_out, channels_in, kind.kernel(), kind.kernel()], init);
        Self { weight, bias: b.param("bias", [channels_out], init), kind }
    }

    /// Its shape.
    pub fn kind(&self) -> ConvKind {
        self.kind
    }

    /// Convolves.
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - output: `[batch, channels_out, height, width]`, halved for the `Down` kinds
    pub fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        kernels::conv2d(x, self.weight.val(), Some(self.bias.val()), self.kind.geometry())
    }

    /// Doubles height and width by nearest upsampling, then convolves; in one operation for [`ConvKind::Same3x3`].
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - output: as of [`Conv2d::forward`] for twice the height and width
    pub fn forward_upsampled(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.kind == ConvKind::Same3x3 {
            kernels::upsample_conv2d(x, self.weight.val(), Some(self.bias.val()))
        } else {
            self.forward(kernels::upsample_nearest_2x(x))
        }
    }

    /// Convolves the channels of `x`, then those of `skip`; without joining them in memory for [`ConvKind::Pointwise`].
    ///
    /// # Shapes
    /// - `x`, `skip`: `[batch, channels of its own, height, width]`
    /// - output: as for [`Conv2d::forward`]
    pub fn forward_joined(&self, x: Tensor<B, 4>, skip: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.kind == ConvKind::Pointwise {
            kernels::conv1x1_joined([x, skip], self.weight.val(), Some(self.bias.val()))
        } else {
            self.forward(kernels::concat_channels(x, skip))
        }
    }

    /// Convolves and adds `residual` in one operation; for [`ConvKind::Same3x3`].
    ///
    /// # Shapes
    /// - `x`: `[batch, channels_in, height, width]`
    /// - `residual`, output: `[batch, channels_out, height, width]`
    pub fn forward_add(&self, x: Tensor<B, 4>, residual: Tensor<B, 4>) -> Tensor<B, 4> {
        if self.kind == ConvKind::Same3x3 {
            kernels::conv2d_add(x, self.weight.val(), Some(self.bias.val()), residual)
        } else {
            self.forward(x) + residual
        }
    }
}
