//! What devices compute, on a CPU.

use burn::backend::{Flex, flex::FlexDevice};
use burn::tensor::ops::ModuleOps;
use burn::tensor::{DType, Distribution, Tensor};
use proptest::prelude::*;

use super::*;

fn random(shape: [usize; 4]) -> Tensor<Flex, 4> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), (&FlexDevice, DType::F64))
}

fn difference(a: Tensor<Flex, 4>, b: Tensor<Flex, 4>) -> f64 {
    assert_eq!(a.dims(), b.dims());
    (a - b).abs().max().into_data().iter::<f64>().next().unwrap()
}

proptest! {
    /// The gradient of an input is the convolution of the output's gradient with the kernel turned around.
    #[test]
    fn a_turned_kernel_gives_the_gradient_of_the_input(
        (side, stride) in (1_usize..6, 1_usize..4),
        (n, c, k) in (1_usize..3, 1_usize..4, 1_usize..4),
        (h, w) in (5_usize..12, 5_usize..12),
        padding in 0_usize..3,
    ) {
        prop_assume!(padding < side);
        let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        let [x, weight] = [[n, c, h, w], [k, c, side, side]].map(random);
        let y: Tensor<Flex, 4> =
            tensor(Flex::conv2d(primitive(x.clone()), primitive(weight.clone()), None, options.clone()));
        let grad = random(y.dims());
        prop_assert!(is_reversible(&weight.dims(), &options));
        let ours = reversed(weight.clone(), grad.clone(), x.dims(), &options);
        let want = Flex::conv2d_x_backward(
            primitive(x), primitive(weight), primitive(grad), options,
        );
        prop_assert!(difference(ours, tensor(want)) < 1e-10);
    }

    #[test]
    fn a_map_of_every_pixel_is_a_convolution(
        (n, c, k) in (1_usize..3, 1_usize..9, 1_usize..9),
        (h, w) in (1_usize..6, 1_usize..6),
    ) {
        let [x, weight] = [[n, c, h, w], [k, c, 1, 1]].map(random);
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let want = Flex::conv2d(primitive(x.clone()), primitive(weight.clone()), None, options);
        prop_assert!(difference(pixelwise(weight.clone(), x.clone()), tensor(want)) < 1e-10);
        let grad = random([n, k, h, w]);
        let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        let want = Flex::conv2d_weight_backward(primitive(x.clone()), primitive(weight), primitive(grad.clone()), options);
        prop_assert!(difference(pixelwise_weight(x, grad), tensor(want)) < 1e-10);
    }
}
