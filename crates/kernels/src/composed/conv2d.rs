//! Convolution by Burn's own operation; uneven padding is made explicit first.

use crate::ops::{Conv2dGeometry, primitive, tensor};
use crate::{AffineGradients, WantedGradients};
use burn::tensor::ops::{ConvOptions, FloatTensor};
use burn::tensor::{Tensor, TensorMetadata, backend::Backend, s};

pub(crate) fn conv2d<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
    residual: Option<FloatTensor<B>>,
    geometry: Conv2dGeometry,
) -> FloatTensor<B> {
    let (x, options) = pad::<B>(x, geometry);
    let y = B::conv2d(x, weight, bias, options);
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
    let (x, options) = pad::<B>(x, geometry);
    let (k, dtype) = (weight.shape()[0], weight.dtype());
    let device = B::float_device(&x);
    let x_grad = wanted.x.then(|| {
        let dx = B::conv2d_x_backward(x.clone(), weight.clone(), grad.clone(), options.clone());
        let dx: Tensor<B, 4> = tensor(dx);
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
    let weight = wanted.weight.then(|| B::conv2d_weight_backward(x, weight, grad, options));
    AffineGradients { x: x_grad, weight, bias }
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
