//! Two-dimensional convolutions of U-Nets (cross-correlations, as everywhere in deep learning).

use super::{primitive, tensor};
use crate::Backend;
use burn::tensor::Tensor;

/// Stride and zero padding of a square-kernel convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dGeometry {
    /// Step between output pixels, the same in both directions, at least 1.
    pub stride: usize,
    /// Rows and columns of zeros added at the top, left, bottom and right.
    pub padding: [usize; 4],
}

impl Conv2dGeometry {
    /// 3×3, stride 1, padding 1: the size is kept.
    pub const SAME_3X3: Self = Self { stride: 1, padding: [1; 4] };
    /// 1×1, stride 1, no padding: one matrix product a pixel.
    pub const POINTWISE: Self = Self { stride: 1, padding: [0; 4] };
    /// 3×3, stride 2, padding 1: halves the size (rounded up).
    pub const DOWN: Self = Self { stride: 2, padding: [1; 4] };
    /// 3×3, stride 2, one row and column of zeros at the bottom and the right only (diffusers with
    /// `downsample_padding = 0`, as the published DDPM weights want it): halves the size (rounded down).
    pub const DOWN_ASYMMETRIC: Self = Self { stride: 2, padding: [0, 0, 1, 1] };

    /// Height and width of the output for an input of `height` × `width` and a square kernel of side `kernel`;
    /// `None` where the padded input is smaller than the kernel or the stride is 0.
    pub fn output_size(&self, height: usize, width: usize, kernel: usize) -> Option<(usize, usize)> {
        let [top, left, bottom, right] = self.padding;
        let rows = (height + top + bottom).checked_sub(kernel)?;
        let columns = (width + left + right).checked_sub(kernel)?;
        Some((rows.checked_div(self.stride)? + 1, columns.checked_div(self.stride)? + 1))
    }
}

/// Convolution of `x` with `weight`, plus `bias`.
///
/// # Shapes
/// `x: [n, c, h, w]`, `weight: [k, c, r, r]`, `bias: [k]`; the result is `[n, k, h', w']` with
/// [`Conv2dGeometry::output_size`].
///
/// # Panics
/// If the shapes do not fit together, or the padded input is smaller than the kernel.
pub fn conv2d<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
    geometry: Conv2dGeometry,
) -> Tensor<B, 4> {
    check(&x, &weight, bias.as_ref(), geometry);
    tensor(B::fused_conv2d(primitive(x), primitive(weight), bias.map(primitive), None, geometry))
}

/// 3×3 convolution with stride 1 and padding 1, or 1×1 convolution, plus `bias`, plus `residual`: the end of a residual
/// block or of an attention block.
///
/// # Shapes
/// `x: [n, c, h, w]`, `weight: [k, c, 3, 3]` or `[k, c, 1, 1]`, `bias: [k]`, `residual` and the result `[n, k, h, w]`.
///
/// # Panics
/// If the shapes do not fit together.
pub fn conv2d_add<B: Backend>(
    x: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
    residual: Tensor<B, 4>,
) -> Tensor<B, 4> {
    let geometry = match weight.dims() {
        [_, _, 3, _] => Conv2dGeometry::SAME_3X3,
        [_, _, 1, _] => Conv2dGeometry::POINTWISE,
        other => panic!("conv2d_add: weight is {other:?}, expected a 3×3 kernel or a 1×1 kernel"),
    };
    let out = check(&x, &weight, bias.as_ref(), geometry);
    assert!(
        residual.dims() == out,
        "conv2d_add: residual is {:?}, expected the shape of the output, {out:?}",
        residual.dims()
    );
    tensor(B::fused_conv2d(primitive(x), primitive(weight), bias.map(primitive), Some(primitive(residual)), geometry))
}

/// 1×1 convolution of the channels of `x`, then those of `skip` ([`crate::concat_channels`]), plus `bias`, without joining them in
/// memory: the shortcut around a residual block that takes a skip connection.
///
/// # Shapes
/// `x: [n, c1, h, w]`, `skip: [n, c2, h, w]`, `weight: [k, c1 + c2, 1, 1]`, `bias: [k]`; the result is `[n, k, h, w]`.
///
/// # Panics
/// If the shapes do not fit together.
pub fn conv1x1_joined<B: Backend>(
    [x, skip]: [Tensor<B, 4>; 2],
    weight: Tensor<B, 4>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 4> {
    let c = super::concat::channels(&x, &skip);
    let [k, c_weight, rows, columns] = weight.dims();
    assert!(
        [c_weight, rows, columns] == [c, 1, 1] && bias.as_ref().is_none_or(|bias| bias.dims() == [k]),
        "conv1x1_joined: weight is {:?}, expected [out, {c}, 1, 1], and bias {:?}, expected [{k}]",
        weight.dims(),
        bias.map(|bias| bias.dims())
    );
    let inputs = [primitive(x), primitive(skip)];
    tensor(B::fused_conv1x1_joined(inputs, primitive(weight), bias.map(primitive)))
}

/// Panics unless the operands fit; the shape of the output.
fn check<B: Backend>(
    x: &Tensor<B, 4>,
    weight: &Tensor<B, 4>,
    bias: Option<&Tensor<B, 1>>,
    geometry: Conv2dGeometry,
) -> [usize; 4] {
    let ([n, c, h, w], [k, c_weight, rows, columns]) = (x.dims(), weight.dims());
    assert!(
        c == c_weight && rows == columns,
        "conv2d: weight is {:?}, expected [out, {c}, side, side] for an input of {:?}",
        weight.dims(),
        x.dims()
    );
    if let Some(bias) = bias {
        assert!(
            bias.dims() == [k],
            "conv2d: bias is {:?}, expected [{k}] for a weight of {:?}",
            bias.dims(),
            weight.dims()
        );
    }
    let Some((oh, ow)) = geometry.output_size(h, w, rows) else {
        panic!("conv2d: no {rows}×{columns} kernel fits an input of {h}×{w} with {geometry:?}");
    };
    [n, k, oh, ow]
}
