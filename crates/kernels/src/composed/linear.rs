//! Affine maps by Burn's matrix product.

use super::matmul::matmul;
use crate::ops::{primitive, tensor};
use crate::{AffineGradients, Backend, WantedGradients};
use burn::tensor::{Tensor, ops::FloatTensor};

pub(crate) fn linear<B: Backend>(
    x: FloatTensor<B>,
    weight: FloatTensor<B>,
    bias: Option<FloatTensor<B>>,
) -> FloatTensor<B> {
    let (x, weight): (Tensor<B, 2>, Tensor<B, 2>) = (tensor(x), tensor(weight));
    let y = matmul(x, weight.transpose());
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
        x: wanted.x.then(|| primitive(matmul(grad.clone(), weight))),
        weight: wanted.weight.then(|| primitive(matmul(grad.clone().transpose(), x))),
        bias: wanted.bias.then(|| primitive(grad.sum_dim(0).reshape([d_out]))),
    }
}
