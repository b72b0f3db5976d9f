//! Convolution by Burn's own operation; uneven padding is made explicit first.
//!
//! On devices 1×1 convolutions are products as [`super::matmul`] makes them, and gradients of inputs forward convolutions: Burn's own multiply
//! matrices as that must not, and with a stride of 3 or a kernel of 5×5 gradients of inputs were wrong on Vulkan. What is left to Burn there
//! are paddings as wide as the kernel, and gradients of weights, which are right but where the output is a single pixel.

use super::matmul::matmul;
use crate::ops::{Conv2dGeometry, primitive, tensor};
use crate::{AffineGradients, Backend, WantedGradients};
use burn::tensor::ops::{ConvOptions, FloatTensor};
use burn::tensor::{Tensor, TensorMetadata, s};

pub(crate) fn conv2d<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    residual: Option<FloatTensor<B>>,
    geometry: Conv2dGeometry,
) -> FloatTensor<B> {
    let y = if is_product::<B>(&weight, geometry) {
        let y = pixelwise::<B>(tensor(weight), tensor(x));
        match bias {
            Some(bias) => primitive(y + tensor::<B, 1>(bias).reshape([1, -1, 1, 1])),
            None => primitive(y),
        }
    } else {
        let (x, options) = pad::<B>(x, geometry);
        B::conv2d(x, weight, bias, options)
    };
    match residual {
        Some(residual) => B::float_add(y, residual),
        None => y,
    }
}

pub(crate) fn conv2d_backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    accumulate: Option<FloatTensor<B>>,
    geometry: Conv2dGeometry,
    wanted: WantedGradients,
) -> AffineGradients<B> {
    let size = x.shape();
    let product = is_product::<B>(&weight, geometry);
    let (x, options) = pad::<B>(x, geometry);
    let (k, dtype) = (weight.shape()[0], weight.dtype());
    let device = B::float_device(&x);
    let x_grad = wanted.x.then(|| {
        let dx: Tensor<B, 4> = if product {
            pixelwise::<B>(tensor::<B, 4>(weight.clone()).swap_dims(0, 1), tensor(grad.clone()))
        } else if B::is_on_host() || !is_reversible(&weight.shape(), &options) {
            tensor(B::conv2d_x_backward(x.clone(), weight.clone(), grad.clone(), options.clone()))
        } else {
            reversed::<B>(tensor(weight.clone()), tensor(grad.clone()), x.shape().dims(), &options)
        };
        let dx = match even(geometry) {
            Some(_) => dx,
            None => {
                let [top, left, _, _] = geometry.padding;
                dx.slice(s![.., .., top..top + size[2], left..left + size[3]])
            }
        };
        match accumulate {
            Some(other) => B::float_add(primitive(dx), other),
            None => primitive(dx),
        }
    });
    let bias = wanted.bias.then(|| {
        let bias = primitive(Tensor::<B, 1>::zeros([k], (&device, dtype)));
        B::conv2d_bias_backward(x.clone(), bias, grad.clone())
    });
    let weight = wanted.weight.then(|| match product {
        true => primitive(pixelwise_weight::<B>(tensor(x), tensor(grad))),
        false => B::conv2d_weight_backward(x, weight, grad, options),
    });
    AffineGradients { x: x_grad, weight, bias }
}

/// Whether it is a product of matrices, on a device.
fn is_product<B: Backend>(weight: &FloatTensor<B>, geometry: Conv2dGeometry) -> bool {
    !B::is_on_host() && weight.shape()[2..] == [1, 1] && geometry == Conv2dGeometry::POINTWISE
}

/// The map of every pixel by `weight`, `[k, c, 1, 1]`.
fn pixelwise<B: Backend>(weight: Tensor<B, 4>, x: Tensor<B, 4>) -> Tensor<B, 4> {
    let ([n, c, h, w], [k, _, _, _]) = (x.dims(), weight.dims());
    let weight: Tensor<B, 3> = weight.reshape([1, k, c]);
    matmul(weight.expand([n, k, c]), x.reshape([n, c, h * w])).reshape([n, k, h, w])
}

/// The gradient of its weight, `[k, c, 1, 1]`.
fn pixelwise_weight<B: Backend>(x: Tensor<B, 4>, grad: Tensor<B, 4>) -> Tensor<B, 4> {
    let ([n, c, h, w], [_, k, _, _]) = (x.dims(), grad.dims());
    let grad = grad.swap_dims(0, 1).reshape([k, n * h * w]);
    let x = x.swap_dims(0, 1).reshape([c, n * h * w]);
    matmul(grad, x.transpose()).reshape([k, c, 1, 1])
}

/// Whether the padding leaves every output a pixel of the input.
fn is_reversible(weight: &[usize], options: &ConvOptions<2>) -> bool {
    weight[2] > options.padding[0] && weight[3] > options.padding[1]
}

/// The gradient of the input, of `size`, as a convolution of that of the output: with the kernel turned around, and with zeros between the
/// pixels where there is a stride.
fn reversed<B: Backend>(
    weight: Tensor<B, 4>,
    grad: Tensor<B, 4>,
    size: [usize; 4],
    options: &ConvOptions<2>,
) -> Tensor<B, 4> {
    let [_, _, height, width] = weight.dims();
    let [stride, _] = options.stride;
    let padding = [height - 1 - options.padding[0], width - 1 - options.padding[1]];
    let [h, w] = [(size[2], height, 0), (size[3], width, 1)].map(|(n, side, i)| n + 2 * options.padding[i] + 1 - side);
    let grad = spread(grad, stride).slice(s![.., .., 0..h, 0..w]);
    let turned = weight.swap_dims(0, 1).flip([2, 3]);
    let options = ConvOptions::new([1, 1], padding, [1, 1], 1);
    tensor(B::conv2d(primitive(grad), primitive(turned), None, options))
}

/// `stride - 1` zeros behind every pixel, in both directions.
fn spread<B: Backend>(x: Tensor<B, 4>, stride: usize) -> Tensor<B, 4> {
    if stride == 1 {
        return x;
    }
    let [n, c, h, w] = x.dims();
    let zeros = |size: [usize; 6]| Tensor::<B, 6>::zeros(size, (&x.device(), x.dtype()));
    let pixels: Tensor<B, 6> = x.clone().reshape([n, c, h, 1, w, 1]);
    let rows = Tensor::cat(vec![pixels, zeros([n, c, h, 1, w, stride - 1])], 5);
    Tensor::cat(vec![rows, zeros([n, c, h, stride - 1, w, stride])], 3).reshape([n, c, h * stride, w * stride])
}

/// The padding that is the same on opposite sides, `[rows, columns]`.
fn even(geometry: Conv2dGeometry) -> Option<[usize; 2]> {
    let [top, left, bottom, right] = geometry.padding;
    (top == bottom && left == right).then_some([top, left])
}

/// What Burn's convolution is to be called with.
fn pad<B: Backend>(x: FloatTensor<B>, geometry: Conv2dGeometry) -> (FloatTensor<B>, ConvOptions<2>) {
    let stride = [geometry.stride; 2];
    if let Some(padding) = even(geometry) {
        return (x, ConvOptions::new(stride, padding, [1, 1], 1));
    }
    let [top, left, bottom, right] = geometry.padding;
    let x: Tensor<B, 4> = tensor(x);
    let [n, c, h, w] = x.dims();
    // Burn's `pad` makes its border in the default dtype, which need not be that of `x`.
    let size = [n, c, h + top + bottom, w + left + right];
    let border = Tensor::<B, 4>::zeros(size, (&x.device(), x.dtype()));
    let padded = border.slice_assign(s![.., .., top..top + h, left..left + w], x);
    (primitive(padded), ConvOptions::new(stride, [0, 0], [1, 1], 1))
}

#[cfg(all(test, feature = "flex"))]
#[path = "conv2d_tests.rs"]
mod tests;
