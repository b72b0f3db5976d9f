//! Joining a skip connection.

use super::{primitive, tensor};
use crate::Backend;
use burn::tensor::Tensor;

/// The channels of `a`, then those of `b`: the skip connection of a U-Net.
///
/// # Shapes
/// `a: [n, c1, h, w]`, `b: [n, c2, h, w]`, result `[n, c1 + c2, h, w]`.
///
/// # Panics
/// If anything but the channel counts differs.
pub fn concat_channels<B: Backend>(a: Tensor<B, 4>, b: Tensor<B, 4>) -> Tensor<B, 4> {
    channels(&a, &b);
    tensor(B::fused_concat_channels(primitive(a), primitive(b)))
}

/// The channels of both; panics if anything else differs.
pub(super) fn channels<B: Backend>(a: &Tensor<B, 4>, b: &Tensor<B, 4>) -> usize {
    let ([n, c, h, w], [n2, c2, h2, w2]) = (a.dims(), b.dims());
    assert!(
        [n, h, w] == [n2, h2, w2],
        "concat_channels: {:?} and {:?} differ in more than the channels",
        a.dims(),
        b.dims()
    );
    c + c2
}
