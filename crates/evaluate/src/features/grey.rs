//! A small residual classifier of grey pictures of 28×28 pixels.

use burn::{
    module::Module,
    tensor::{Tensor, TensorData},
};
use sfumato_kernels::{self as kernels, Backend};
use sfumato_nets::{
    NetError,
    layers::{Activation, Conv2d, ConvKind, GroupNorm, Linear},
    params::{Builder, ParamSource},
};

/// Features of a picture: the width of the last layer but one.
pub const GREY_FEATURES: usize = 128;
/// Classes that the classifier tells apart.
pub const GREY_CLASSES: usize = 10;
/// Height and width of its pictures.
pub const GREY_SIDE: usize = 28;

/// Channels at 14×14 and at 7×7 pixels.
const WIDTHS: [usize; 2] = [32, 64];
/// Channels of a group that is normalised together.
const GROUP: usize = 8;

/// Two halvings, three residual blocks, a mean over the picture, a linear map: 143,000 parameters.
///
/// Its 128 features are the means of the last activation over the picture.
#[derive(Module, Debug)]
pub struct GreyNet<B: Backend> {
    /// From the picture to 16 channels.
    pub conv_in: Conv2d<B>,
    /// To 14×14.
    pub down1: Conv2d<B>,
    /// Blocks at 14×14.
    pub blocks1: Vec<Block<B>>,
    /// To 7×7.
    pub down2: Conv2d<B>,
    /// Blocks at 7×7.
    pub blocks2: Vec<Block<B>>,
    /// Norm before the features.
    pub norm_out: GroupNorm<B>,
    /// To the features.
    pub conv_out: Conv2d<B>,
    /// From the features to the classes.
    pub classes: Linear<B>,
}

/// `x + conv(silu(norm(conv(silu(norm(x))))))`.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    /// Norm of the input.
    pub norm1: GroupNorm<B>,
    /// First convolution.
    pub conv1: Conv2d<B>,
    /// Norm before the second convolution.
    pub norm2: GroupNorm<B>,
    /// Second convolution.
    pub conv2: Conv2d<B>,
}

impl<B: Backend> Block<B> {
    fn new(b: &mut Builder<B>, width: usize) -> Self {
        let norm = |b: &mut Builder<B>| GroupNorm::new(b, width / GROUP, width, 1e-5);
        Self {
            norm1: b.within("norm1", norm),
            conv1: b.within("conv1", |b| Conv2d::new(b, width, width, ConvKind::Same3x3)),
            norm2: b.within("norm2", norm),
            conv2: b.within("conv2", |b| Conv2d::last(b, width, width, ConvKind::Same3x3)),
        }
    }

    fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let h = self.conv1.forward(self.norm1.forward_activated(x.clone(), Activation::Silu));
        self.conv2.forward_add(self.norm2.forward_activated(h, Activation::Silu), x)
    }
}

impl<B: Backend> GreyNet<B> {
    /// The network with parameters from `source`.
    ///
    /// # Errors
    /// [`NetError::Source`] with what the source reports.
    pub fn build(source: &mut dyn ParamSource, device: &B::Device) -> Result<Self, NetError> {
        let [middle, wide] = WIDTHS;
        let mut b = Builder::new(source, device);
        let net = Self {
            conv_in: b.within("conv_in", |b| Conv2d::new(b, 1, middle / 2, ConvKind::Same3x3)),
            down1: b.within("down1", |b| Conv2d::new(b, middle / 2, middle, ConvKind::Down)),
            blocks1: b.list("blocks1", 0..2, |b, _| Block::new(b, middle)),
            down2: b.within("down2", |b| Conv2d::new(b, middle, wide, ConvKind::Down)),
            blocks2: b.list("blocks2", 0..1, |b, _| Block::new(b, wide)),
            norm_out: b.within("norm_out", |b| GroupNorm::new(b, wide / GROUP, wide, 1e-5)),
            conv_out: b.within("conv_out", |b| Conv2d::new(b, wide, GREY_FEATURES, ConvKind::Pointwise)),
            classes: b.within("classes", |b| Linear::new(b, GREY_FEATURES, GREY_CLASSES)),
        };
        b.finish()?;
        Ok(net)
    }

    /// Features, `[batch, 128]`, of pictures `[batch, 1, 28, 28]` in [-1, 1].
    pub fn features(&self, x: Tensor<B, 4>) -> Tensor<B, 2> {
        let h = self.down1.forward(kernels::silu(self.conv_in.forward(x)));
        let h = self.blocks1.iter().fold(h, |h, block| block.forward(h));
        let h = self.blocks2.iter().fold(self.down2.forward(kernels::silu(h)), |h, block| block.forward(h));
        let h = kernels::silu(self.conv_out.forward(self.norm_out.forward_activated(h, Activation::Silu)));
        let [batch, channels, height, width] = h.dims();
        h.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
    }

    /// Logarithms of the classes' odds, `[batch, 10]`, from features.
    pub fn logits(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        self.classes.forward(features)
    }
}

/// Pictures on a device.
pub fn grey_pictures<B: Backend>(values: Vec<f32>, device: &B::Device) -> Tensor<B, 4> {
    let side = GREY_SIDE;
    let count = values.len() / (side * side);
    Tensor::from_data(TensorData::new(values, [count, 1, side, side]), device)
}
