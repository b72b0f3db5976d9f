//! Affine maps by Burn's matrix product.

use crate::ops::{primitive, tensor};
use crate::{AffineGradients, WantedGradients};
use burn::tensor::{Tensor, backend::Backend, ops::FloatTensor};

pub(crate) fn linear<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let (x, weight): (Tensor<B, 2>, Tensor<B, 2>) = (tensor(x), tensor(weight));
    let y = x.matmul(weight.transpose());
    primitive(match bias {
        Some(bias) => y + tensor::<B, 1>(bias).unsqueeze(),
        None => y,
    })
}

pub(crate) fn linear_backward<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    grad: FloatTensor<B>,
    wanted: WantedGradients,
) -> AffineGradients<B> {
    let (x, weight, grad): (Tensor<B, 2>, Tensor<B, 2>, Tensor<B, 2>) = (tensor(x), tensor(weight), tensor(grad));
    let [_, d_out] = grad.dims();
    AffineGradients {
        x: wanted.x.then(|| primitive(grad.clone().matmul(weight))),
        weight: wanted.weight.then(|| primitive(grad.clone().transpose().matmul(x))),
        bias: wanted.bias.then(|| primitive(grad.sum_dim(0).reshape([d_out]))),
    }
}
