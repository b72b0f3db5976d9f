//! The linear map.

use super::*;

struct Linear {
    rows: usize,
    d_in: usize,
    d_out: usize,
    bias: bool,
}
impl Op for Linear {
    fn inputs(&self) -> Vec<usize> {
        let mut all = vec![2 * self.rows * self.d_in, self.d_out * self.d_in];
        if self.bias {
            all.push(self.d_out);
        }
        all
    }
    fn ours<B: Backend>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = x[0].clone().reshape([2, self.d_in, self.rows]).swap_dims(1, 2);
        let weight = x[1].clone().reshape([self.d_out, self.d_in]);
        flat(linear(input, weight, self.bias.then(|| x[2].clone())))
    }
    fn plain<B: Burn>(&self, x: &[Tensor<B, 1>]) -> Tensor<B, 1> {
        let input = x[0].clone().reshape([2, self.d_in, self.rows]).swap_dims(1, 2);
        let weight = x[1].clone().reshape([self.d_out, self.d_in]).transpose();
        let y = input.matmul(weight.unsqueeze());
        flat(match self.bias {
            true => y + x[2].clone().reshape([1, 1, self.d_out]),
            false => y,
        })
    }
}

#[test]
fn linear_matches() {
    for (rows, d_in, d_out, bias) in [(1, 1, 1, true), (3, 37, 19, true), (33, 16, 50, false)] {
        check(Linear { rows, d_in, d_out, bias });
    }
}
