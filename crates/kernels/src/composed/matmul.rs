//! Matrix products whose inner dimension every kernel of CubeCL sums to its end, and not beyond.
//!
//! cubek-matmul 0.2.0 goes along the inner dimension in stages, and in some kernels two stages at a time ("double buffering"). It looks for the
//! end only where the dimension is not a multiple of one stage. Where it is an odd multiple, the last stage lies beyond the end and is added
//! all the same: the numbers of the next row. Tuning takes such a kernel where it is the fastest, so that one network is right on one machine
//! and wrong on the next.
//!
//! So operands are copied, which makes their rows contiguous and stages multiples of four, with zeros that make the dimension even but not a
//! multiple of four.

use burn::tensor::Tensor;

use crate::Backend;

/// A multiple of this has an even number of stages: they are powers of two, of 128 at most.
const EVEN: usize = 256;

/// `a b` of `[…, n, k]` and `[…, k, m]`.
pub(super) fn matmul<B: Backend, const D: usize>(a: Tensor<B, D>, b: Tensor<B, D>) -> Tensor<B, D> {
    let k = a.dims()[D - 1];
    if B::is_on_host() || k.is_multiple_of(EVEN) {
        return a.matmul(b);
    }
    longer(a, b)
}

/// The same by a longer inner dimension.
fn longer<B: Backend, const D: usize>(a: Tensor<B, D>, b: Tensor<B, D>) -> Tensor<B, D> {
    let zeros = missing(a.dims()[D - 1]);
    with_zeros(a, D - 1, zeros).matmul(with_zeros(b, D - 2, zeros))
}

/// The least length from `k` on that an inner dimension of contiguous operands can have as it is.
pub(crate) fn length_for_products(k: usize) -> usize {
    if k.is_multiple_of(EVEN) || k % 4 == 2 { k } else { k + missing(k) }
}

/// A copy of `x` with the elements in the order of its dimensions.
pub(crate) fn contiguous<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    let size = x.dims();
    Tensor::zeros(size, (&x.device(), x.dtype())).slice_assign(size.map(|n| 0..n), x)
}

/// Zeros that make a dimension even but not a multiple of four: at least one.
fn missing(k: usize) -> usize {
    match k % 4 {
        2 => 4,
        rest => (6 - rest) % 4,
    }
}

/// `x` with zeros at the end of dimension `dim`.
fn with_zeros<B: Backend, const D: usize>(x: Tensor<B, D>, dim: usize, zeros: usize) -> Tensor<B, D> {
    let mut size = x.dims();
    size[dim] = zeros;
    let zeros = Tensor::zeros(size, (&x.device(), x.dtype()));
    Tensor::cat(vec![x, zeros], dim)
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::backend::{Flex, flex::FlexDevice};

    use super::*;

    #[test]
    fn zeros_change_no_product() {
        let tensor =
            |shape: [usize; 3]| Tensor::<Flex, 1, burn::tensor::Int>::arange(0..24, &FlexDevice).float().reshape(shape);
        let (a, b) = (tensor([2, 3, 4]), tensor([2, 4, 3]));
        assert_eq!(longer(a.clone(), b.clone()).into_data(), a.matmul(b).into_data());
    }

    #[test]
    fn no_stage_of_four_or_more_divides_a_dimension() {
        for k in 1..300 {
            assert!((1..=4).contains(&missing(k)) && (k + missing(k)) % 4 == 2, "{k}");
            let length = length_for_products(k);
            assert!((k..k + 4).contains(&length) && (length % 4 == 2 || length.is_multiple_of(EVEN)), "{k}");
        }
    }
}
