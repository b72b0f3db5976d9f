//! Group normalisation with everything that may go into it.

use super::*;

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Variant {
    Plain,
    Biased,
    /// The input's channels from this one on are another tensor's.
    Joined(usize),
    ScaleShift,
}

struct Norm {
    x: [usize; 4],
    groups: usize,
    activation: NormActivation,
    variant: Variant,
    transposed: bool,
    /// The input is also added to the result: its gradients meet inside the step.
    residual: bool,
}

impl Op for Norm {
    fn inputs(&self) -> Vec<usize> {
        let [n, c, _, _] = self.x;
        let mut all = vec![self.x.iter().product(), c, c];
        match self.variant {
            Variant::Plain | Variant::Joined(_) => {}
            Variant::Biased => all.push(n * c),
            Variant::ScaleShift => all.extend([n * c, n * c]),
        }
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [n, c, _, _] = self.x;
        let input = image(&x[0], self.x, self.transposed);
        let (gamma, beta) = (x[1].clone(), x[2].clone());
        let matrix = |i: usize| x[i].clone().reshape([n, c]);
        let (groups, activation) = (self.groups, self.activation);
        let x = input.clone();
        let y = match self.variant {
            Variant::Plain => group_norm(x, gamma, beta, groups, 1e-5, activation),
            Variant::Biased => group_norm_biased(x, matrix(3), gamma, beta, groups, 1e-5, activation),
            Variant::Joined(at) => {
                let parts = [x.clone().narrow(1, 0, at), x.narrow(1, at, c - at)];
                let y = group_norm_joined(parts.clone(), gamma, beta, groups, 1e-5, activation);
                // Gradients of both tensors that are there already
                let [a, b] = parts;
                if self.residual { y * concat_channels(a * 0.5, b * 0.25) } else { y }
            }
            Variant::ScaleShift => {
                group_norm_scale_shift(x, gamma, beta, matrix(3), matrix(4), groups, 1e-5, activation)
            }
        };
        flat(if self.residual { y + input } else { y })
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let [n, c, _, _] = self.x;
        let input = image(&x[0], self.x, self.transposed);
        let each = |i: usize| x[i].clone().reshape([n, c, 1, 1]);
        let biased = if self.variant == Variant::Biased { input.clone() + each(3) } else { input.clone() };
        let normed = normalised(biased, self.groups);
        let channel = |i: usize| x[i].clone().reshape([1, c, 1, 1]);
        let mut z = normed * channel(1) + channel(2);
        if self.variant == Variant::ScaleShift {
            z = z * (each(3) + 1.0) + each(4);
        }
        let y = match self.activation {
            NormActivation::None => z,
            NormActivation::Silu => z.clone() / (z.neg().exp() + 1.0),
        };
        let y = match self.variant {
            Variant::Joined(at) if self.residual => {
                let parts = vec![input.clone().narrow(1, 0, at) * 0.5, input.clone().narrow(1, at, c - at) * 0.25];
                y * Tensor::cat(parts, 1)
            }
            _ => y,
        };
        flat(if self.residual { y + input } else { y })
    }
}

#[test]
fn group_norm_matches() {
    let variants = [Variant::Plain, Variant::Biased, Variant::Joined(7), Variant::ScaleShift];
    for activation in [NormActivation::None, NormActivation::Silu] {
        for (variant, residual) in variants.into_iter().flat_map(|variant| [(variant, false), (variant, true)]) {
            check(Norm { x: [3, 12, 5, 7], groups: 4, activation, variant, transposed: !residual, residual });
        }
    }
    check(Norm {
        x: [1, 2, 1, 3],
        groups: 1,
        activation: NormActivation::Silu,
        variant: Variant::ScaleShift,
        transposed: false,
        residual: true,
    });
}
