//! Operations of the sizes that a network has, on accelerators: kernels for them are others than for a few pixels.

use super::*;

/// What a network does with `[n, c, h, h]`.
#[derive(Clone, Copy, Debug)]
enum Layer {
    Conv3x3,
    Down,
    Conv1x1,
    Joined,
    NormSilu,
    Attention,
    AttentionBlock,
    Upsample,
    Linear,
}

#[derive(Debug)]
struct Sized {
    layer: Layer,
    x: [usize; 4],
    /// Channels of the result.
    out: usize,
}

impl Op for Sized {
    fn inputs(&self) -> Vec<usize> {
        let ([n, c, h, w], out) = (self.x, self.out);
        let x = n * c * h * w;
        match self.layer {
            Layer::Conv3x3 | Layer::Down | Layer::Upsample => vec![x, out * c * 9, out],
            Layer::Conv1x1 => vec![x, out * c, out],
            Layer::Joined => vec![x, x, out * 2 * c, out],
            Layer::NormSilu => vec![x, c, c],
            Layer::Attention => vec![3 * x],
            Layer::AttentionBlock => vec![x, c * c, c * c, c * c, c * c, c, c, c, c],
            Layer::Linear => vec![n * c, out * c, out],
        }
    }

    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let ([n, c, h, w], out) = (self.x, self.out);
        let input = || x[0].clone().reshape([n, c, h, w]);
        let weight = |side: usize| x[1].clone().reshape([out, c, side, side]) / ((c * side * side) as f64).sqrt();
        let bias = || Some(x[2].clone());
        match self.layer {
            Layer::Conv3x3 => flat(conv2d(input(), weight(3), bias(), Conv2dGeometry::SAME_3X3)),
            Layer::Down => flat(conv2d(input(), weight(3), bias(), Conv2dGeometry::DOWN)),
            Layer::Upsample => flat(upsample_conv2d(input(), weight(3), bias())),
            Layer::Conv1x1 => flat(conv2d(input(), weight(1), bias(), Conv2dGeometry::POINTWISE)),
            Layer::Joined => {
                let weight = x[2].clone().reshape([out, 2 * c, 1, 1]);
                flat(conv1x1_joined([input(), x[1].clone().reshape([n, c, h, w])], weight, Some(x[3].clone())))
            }
            Layer::NormSilu => flat(group_norm(input(), x[1].clone(), x[2].clone(), c / 4, 1e-5, NormActivation::Silu)),
            Layer::Attention => flat(spatial_self_attention(x[0].clone().reshape([n, 3 * c, h, w]), 1)),
            Layer::AttentionBlock => {
                let map = |i: usize| x[i].clone().reshape([c, c]) / (c as f64).sqrt();
                let vector = |i: usize| x[i].clone();
                let params = AttentionBlockParams {
                    norm: Some([vector(7), vector(8)]),
                    weight: [map(1), map(2), map(3), map(4)],
                    bias: [vector(5), vector(5), vector(6), vector(6)],
                };
                flat(attention_block(input(), params, AttentionBlockSpec { heads: 1, groups: c / 4, eps: 1e-5 }))
            }
            Layer::Linear => flat(linear(x[0].clone().reshape([n, c]), x[1].clone().reshape([out, c]), bias())),
        }
    }

    /// In f64 the operation is composed of Burn's, which other tests compare.
    fn plain<B: Burn>(&self, _: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        unreachable!("only what is ours is run")
    }
}

#[test]
fn operations_of_the_sizes_of_a_network_match_on_devices() {
    use Layer::*;
    for (layer, x, out) in [
        (Conv3x3, [4, 1, 28, 28], 8),
        (Conv3x3, [4, 8, 28, 28], 8),
        (Conv3x3, [4, 8, 28, 28], 1),
        (Conv3x3, [4, 16, 14, 14], 16),
        (Down, [4, 8, 28, 28], 8),
        (Conv1x1, [4, 8, 14, 14], 16),
        (Joined, [4, 16, 14, 14], 16),
        (NormSilu, [4, 8, 28, 28], 0),
        (NormSilu, [4, 16, 14, 14], 0),
        (Attention, [4, 16, 14, 14], 0),
        (AttentionBlock, [4, 16, 14, 14], 0),
        (Upsample, [4, 16, 14, 14], 16),
        (Linear, [4, 32, 1, 1], 32),
        (Linear, [4, 8, 1, 1], 32),
    ] {
        let op = Sized { layer, x, out };
        let want = run::<Autodiff<Flex>>(&op, DType::F64, |x| op.ours(x));
        device::check(&op, &want);
    }
}
