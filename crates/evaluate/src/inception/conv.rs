//! A convolution with its normalisation.

use burn::tensor::{Tensor, TensorData, activation::relu, module, ops::ConvOptions};
use sfumato_kernels::{self as kernels, Backend, Conv2dGeometry};
use sfumato_nets::params::{Init, ParamSource};

/// What is added to the variance.
const EPSILON: f64 = 1e-3;

/// `relu(norm(conv(x)))`, with the norm's running mean and variance folded into the convolution.
#[derive(Debug)]
pub(super) struct Conv<B: Backend> {
    weight: Tensor<B, 4>,
    bias: Tensor<B, 1>,
    stride: usize,
    padding: [usize; 2],
}

/// Where the layers of a network come from.
pub(super) struct Source<'a, B: Backend> {
    pub(super) params: &'a mut dyn ParamSource,
    pub(super) device: &'a B::Device,
    /// Names of the blocks around the next layer, with a dot after each.
    pub(super) within: String,
}

impl<B: Backend> Source<'_, B> {
    /// The layer `name` from `before` to `after` channels with a kernel of some height and width that keeps the size.
    pub(super) fn same(&mut self, name: &str, before: usize, after: usize, kernel: [usize; 2]) -> Conv<B> {
        self.conv(name, [after, before, kernel[0], kernel[1]], 1, kernel.map(|side| side / 2))
    }

    /// The same with a square kernel and without padding.
    pub(super) fn valid(&mut self, name: &str, before: usize, after: usize, kernel: usize, stride: usize) -> Conv<B> {
        self.conv(name, [after, before, kernel, kernel], stride, [0, 0])
    }

    fn conv(&mut self, name: &str, shape: [usize; 4], stride: usize, padding: [usize; 2]) -> Conv<B> {
        let (within, params) = (&self.within, &mut self.params);
        let mut read = |part: &str, shape: &[usize]| {
            let values = params.values(&format!("{within}{name}.{part}"), shape, Init::Kept);
            // A source that has none says so when it is finished.
            let count = shape.iter().product();
            if values.len() == count { values } else { vec![1.0; count] }
        };
        let mut weight = read("conv.weight", &shape);
        let channels = [shape[0]];
        let [scale, shift] = ["bn.weight", "bn.bias"].map(|part| read(part, &channels));
        let [mean, variance] = ["bn.running_mean", "bn.running_var"].map(|part| read(part, &channels));
        let size = weight.len() / shape[0];
        let mut bias = Vec::with_capacity(shape[0]);
        for (channel, weight) in weight.chunks_exact_mut(size).enumerate() {
            let factor = f64::from(scale[channel]) / (f64::from(variance[channel]) + EPSILON).sqrt();
            weight.iter_mut().for_each(|value| *value = (f64::from(*value) * factor) as f32);
            bias.push((f64::from(shift[channel]) - f64::from(mean[channel]) * factor) as f32);
        }
        let weight = Tensor::from_data(TensorData::new(weight, shape), self.device);
        Conv { weight, bias: Tensor::from_data(TensorData::new(bias, channels), self.device), stride, padding }
    }
}

impl<B: Backend> Conv<B> {
    pub(super) fn forward(&self, x: Tensor<B, 4>) -> Tensor<B, 4> {
        let [_, _, height, width] = self.weight.dims();
        let (weight, bias) = (self.weight.clone(), Some(self.bias.clone()));
        let [rows, columns] = self.padding;
        relu(if height == width {
            let geometry = Conv2dGeometry { stride: self.stride, padding: [rows, columns, rows, columns] };
            kernels::conv2d(x, weight, bias, geometry)
        } else {
            let options = ConvOptions::new([self.stride; 2], self.padding, [1, 1], 1);
            module::conv2d(x, weight, bias, options)
        })
    }
}

/// The mean of 3×3 pixels; padding does not count.
pub(super) fn mean3<B: Backend>(x: Tensor<B, 4>) -> Tensor<B, 4> {
    module::avg_pool2d(x, [3, 3], [1, 1], [1, 1], false, false)
}

/// The maximum of 3×3 pixels.
pub(super) fn max3<B: Backend>(x: Tensor<B, 4>, stride: usize, padding: usize) -> Tensor<B, 4> {
    module::max_pool2d(x, [3, 3], [stride; 2], [padding; 2], [1, 1], false)
}
