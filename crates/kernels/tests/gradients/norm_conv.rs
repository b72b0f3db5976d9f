//! A 3×3 convolution behind a group normalisation, with everything that may go into it.

use super::group_norm::Variant;
use super::*;

struct Block {
    x: [usize; 4],
    k: usize,
    groups: usize,
    variant: Variant,
    /// The input is added to the result: its gradients meet inside the step.
    residual: bool,
}

impl Op for Block {
    fn inputs(&self) -> Vec<usize> {
        let [n, c, _, _] = self.x;
        let mut all = vec![self.x.iter().product(), c, c, 9 * c * self.k, self.k];
        match self.variant {
            Variant::Plain | Variant::Joined(_) => {}
            Variant::Biased => all.push(n * c),
            Variant::ScaleShift => all.extend([n * c, n * c]),
        }
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [n, c, _, _] = self.x;
        let input = image(&x[0], self.x, true);
        let matrix = |i: usize| x[i].clone().reshape([n, c]);
        let params = NormConvParams {
            gamma: x[1].clone(),
            beta: x[2].clone(),
            weight: x[3].clone().reshape([self.k, c, 3, 3]),
            bias: x[4].clone(),
        };
        let taken = match self.variant {
            Variant::Plain => NormConvInput::Plain(input.clone()),
            Variant::Biased => NormConvInput::Biased(input.clone(), matrix(5)),
            Variant::Joined(at) => {
                let part = |from, len| input.clone().narrow(1, from, len);
                NormConvInput::Joined(part(0, at), part(at, c - at))
            }
            Variant::ScaleShift => NormConvInput::ScaleShift(input.clone(), matrix(5), matrix(6)),
        };
        let spec = GroupNormSpec { groups: self.groups, eps: 1e-5, activation: NormActivation::Silu };
        flat(norm_conv2d(taken, params, self.residual.then_some(input), spec))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [n, c, _, _] = self.x;
        let input: Tensor<B, 4> = image(&x[0], self.x, true);
        let each = |i: usize| x[i].clone().reshape([n, c, 1, 1]);
        let biased = if self.variant == Variant::Biased { input.clone() + each(5) } else { input.clone() };
        let channel = |i: usize| x[i].clone().reshape([1, c, 1, 1]);
        let mut z = normalised(biased, self.groups) * channel(1) + channel(2);
        if self.variant == Variant::ScaleShift {
            z = z * (each(5) + 1.0) + each(6);
        }
        let normed = z.clone() / (z.neg().exp() + 1.0);
        let weight = x[3].clone().reshape([self.k, c, 3, 3]);
        let y = burn_conv2d(normed, weight, Some(x[4].clone()), ConvOptions::new([1, 1], [1, 1], [1, 1], 1));
        flat(if self.residual { y + input } else { y })
    }
}

#[test]
fn convolutions_behind_norms_match() {
    let variants = [Variant::Plain, Variant::Biased, Variant::Joined(7), Variant::ScaleShift];
    for (variant, residual) in variants.into_iter().flat_map(|variant| [(variant, false), (variant, true)]) {
        // In one step
        check(Block { x: [4, 12, 5, 7], k: 12, groups: 4, variant, residual });
        // In its parts
        check(Block {
            x: [1, 4, 5, 7],
            k: 4,
            groups: 2,
            variant: if variant == Variant::Joined(7) { Variant::Joined(1) } else { variant },
            residual,
        });
        check_bf16(Block { x: [2, 20, 5, 7], k: 18, groups: 4, variant, residual: false }, &[0, 1, 2, 3]);
    }
}

/// The gradient of the whole is computed, and given to those who want a part of it.
#[test]
fn a_convolution_behind_a_norm_without_some_gradients_has_the_others() {
    check_without_some(&Block { x: [4, 12, 5, 7], k: 12, groups: 4, variant: Variant::Biased, residual: true }, |i| {
        i == 2 || i == 5
    });
}
