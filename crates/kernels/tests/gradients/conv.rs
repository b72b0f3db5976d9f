//! Convolutions, and the 1×1 convolution of two tensors' channels.

use super::*;

struct Conv {
    x: [usize; 4],
    out: usize,
    side: usize,
    geometry: Conv2dGeometry,
    bias: bool,
    residual: bool,
    /// The residual is the input itself: their gradients meet inside the step.
    shared: bool,
    transposed: bool,
}

impl Conv {
    fn weight(&self) -> [usize; 4] {
        [self.out, self.x[1], self.side, self.side]
    }
    fn output(&self) -> [usize; 4] {
        let [n, _, h, w] = self.x;
        let (oh, ow) = self.geometry.output_size(h, w, self.side).unwrap();
        [n, self.out, oh, ow]
    }
}

impl Op for Conv {
    fn inputs(&self) -> Vec<usize> {
        let mut all = vec![self.x.iter().product(), self.weight().iter().product(), self.out];
        if !self.bias {
            all.pop();
        }
        if self.residual && !self.shared {
            all.push(self.output().iter().product());
        }
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = image(&x[0], self.x, self.transposed);
        let weight = x[1].clone().reshape(self.weight());
        let bias = self.bias.then(|| x[2].clone());
        let y = if self.residual {
            let residual = match self.shared {
                true => input.clone(),
                false => x[x.len() - 1].clone().reshape(self.output()),
            };
            // Used again, so that a gradient of it is there already
            conv2d_add(input, weight, bias, residual.clone()) * residual
        } else {
            conv2d(input, weight, bias, self.geometry)
        };
        flat(y)
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = image(&x[0], self.x, self.transposed);
        let [top, left, bottom, right] = self.geometry.padding;
        let [n, c, h, w] = self.x;
        // Not Burn's `pad`: it makes its border in the default dtype.
        let border = |size: [usize; 4]| Tensor::<B, 4>::zeros(size, (&input.device(), input.dtype()));
        let rows = vec![border([n, c, top, w]), input.clone(), border([n, c, bottom, w])];
        let tall = Tensor::cat(rows, 2);
        let h = h + top + bottom;
        let columns = vec![border([n, c, h, left]), tall, border([n, c, h, right])];
        let padded = Tensor::cat(columns, 3);
        let options = ConvOptions::new([self.geometry.stride; 2], [0, 0], [1, 1], 1);
        let weight = x[1].clone().reshape(self.weight());
        let bias = self.bias.then(|| x[2].clone());
        let y = burn_conv2d(padded, weight, bias, options);
        flat(match (self.residual, self.shared) {
            (true, true) => (y + input.clone()) * input,
            (true, false) => {
                let residual = x[x.len() - 1].clone().reshape(self.output());
                (y + residual.clone()) * residual
            }
            (false, _) => y,
        })
    }
}

const SAME: Conv = Conv {
    x: [2, 3, 7, 9],
    out: 5,
    side: 3,
    geometry: Conv2dGeometry::SAME_3X3,
    bias: true,
    residual: false,
    shared: false,
    transposed: false,
};

#[test]
fn conv_3x3_matches() {
    check(SAME);
    check(Conv { bias: false, transposed: true, x: [1, 18, 5, 6], out: 33, ..SAME });
    check_bf16(Conv { transposed: true, residual: true, x: [2, 18, 5, 6], out: 33, ..SAME }, &[0, 1]);
}

#[test]
fn conv_3x3_with_residual_matches() {
    check(Conv { residual: true, ..SAME });
    check(Conv { residual: true, bias: false, transposed: true, ..SAME });
    check(Conv { residual: true, shared: true, out: 3, ..SAME });
}

#[test]
fn conv_1x1_matches() {
    let point = Conv { side: 1, geometry: Conv2dGeometry::POINTWISE, ..SAME };
    check(Conv { x: [3, 17, 5, 7], out: 35, bias: false, ..point });
    check(Conv { transposed: true, ..point });
}

#[test]
fn strided_conv_matches() {
    for geometry in [Conv2dGeometry::DOWN, Conv2dGeometry::DOWN_ASYMMETRIC] {
        for x in [[2, 3, 8, 10], [1, 18, 7, 5]] {
            check(Conv { geometry, x, ..SAME });
        }
        for x in [[2, 18, 8, 10], [2, 18, 7, 5]] {
            check_bf16(Conv { geometry, x, out: 33, ..SAME }, &[0, 1]);
        }
    }
}

#[test]
fn other_convolutions_match() {
    let wide = Conv { side: 5, geometry: Conv2dGeometry { stride: 1, padding: [2; 4] }, ..SAME };
    check(wide);
    check(Conv { side: 2, geometry: Conv2dGeometry { stride: 3, padding: [1, 0, 0, 2] }, ..SAME });
}

struct JoinedConv {
    /// Channels of the inputs, and of the result.
    channels: [usize; 3],
    bias: bool,
    /// The inputs are used again: their gradients meet inside the step.
    residual: bool,
}
impl JoinedConv {
    fn images<B: Burn>(&self, x: &[Tensor<B, 1>]) -> [Tensor<B, 4>; 2] {
        [0, 1].map(|i| image(&x[i], [3, self.channels[i], 4, 7], i == 0))
    }
    fn weight<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 4> {
        let [a, b, k] = self.channels;
        x[2].clone().reshape([k, a + b, 1, 1])
    }
    fn bias<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Option<Tensor<B, 1>> {
        self.bias.then(|| x[3].clone())
    }
    fn rest<B: Burn>(&self, a: Tensor<B, 4>, b: Tensor<B, 4>, y: Tensor<B, 4>) -> Tensor<B, 1> {
        let sum = a.square().sum() + b.square().sum() * 0.5;
        if self.residual { Tensor::cat(vec![flat(y), sum], 0) } else { flat(y) }
    }
}
impl Op for JoinedConv {
    fn inputs(&self) -> Vec<usize> {
        let [a, b, k] = self.channels;
        let mut all = vec![3 * a * 28, 3 * b * 28, k * (a + b), k];
        all.truncate(if self.bias { 4 } else { 3 });
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [a, b] = self.images(x);
        let y = conv1x1_joined([a.clone(), b.clone()], self.weight(x), self.bias(x));
        self.rest(a, b, y)
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [a, b] = self.images(x);
        let joined = Tensor::cat(vec![a.clone(), b.clone()], 1);
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let y = burn_conv2d(joined, self.weight(x), self.bias(x), options);
        self.rest(a, b, y)
    }
}

#[test]
fn joined_conv_matches() {
    for (bias, residual) in [(true, false), (true, true), (false, true)] {
        check(JoinedConv { channels: [5, 18, 9], bias, residual });
    }
    for channels in [[5, 18, 17], [32, 7, 33]] {
        check_bf16(JoinedConv { channels, bias: true, residual: false }, &[0, 1, 2]);
    }
}

struct UpsampledConv {
    x: [usize; 4],
    out: usize,
    bias: bool,
}
impl Op for UpsampledConv {
    fn inputs(&self) -> Vec<usize> {
        let all = [self.x.iter().product(), self.out * self.x[1] * 9, self.out];
        all[..if self.bias { 3 } else { 2 }].to_vec()
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = image(&x[0], self.x, true);
        let y = upsample_conv2d(input.clone(), x[1].clone().reshape([self.out, self.x[1], 3, 3]), x.get(2).cloned());
        // Used again, so that a gradient of it is there already
        Tensor::cat(vec![flat(y), flat(input.square())], 0)
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = image(&x[0], self.x, true);
        let weight = x[1].clone().reshape([self.out, self.x[1], 3, 3]);
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let y = burn_conv2d(pixels::upsampled(input.clone()), weight, x.get(2).cloned(), options);
        Tensor::cat(vec![flat(y), flat(input.square())], 0)
    }
}

#[test]
fn conv_behind_upsampling_matches() {
    // Computed together, and one after the other
    for (x, out) in [([2, 6, 5, 4], 7), ([1, 18, 3, 7], 33), ([2, 3, 5, 4], 7)] {
        for bias in [true, false] {
            check(UpsampledConv { x, out, bias });
        }
        let op = UpsampledConv { x, out, bias: true };
        check_without_some(&op, |i| i != 0);
        check_without_some(&op, |i| i == 0);
        check_without_some(&op, |i| i == 2);
    }
    check_bf16(UpsampledConv { x: [2, 18, 3, 5], out: 20, bias: true }, &[1]);
}
