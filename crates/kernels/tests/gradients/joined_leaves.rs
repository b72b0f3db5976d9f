//! Leaves whose graphs are joined beforehand.

use super::*;

/// More leaves than are joined at a time, of several ranks, one of them without gradient.
#[test]
fn joined_leaves_have_the_same_gradients() {
    type A = Autodiff<Flex>;
    let gradients = |join: bool| {
        let device = Default::default();
        let leaf = |i: u64| Tensor::<A, 1>::from_data(TensorData::new(values(i, 3), [3]), &device);
        let mut leaves: Vec<_> = (0..40).map(|i| leaf(i).require_grad()).collect();
        leaves[17] = leaf(17);
        let matrix: Tensor<A, 2> = leaf(50).reshape([3, 1]).detach().require_grad();
        if join {
            let vectors = leaves.iter().map(|x| x.clone().into_primitive().tensor());
            let all: Vec<_> = vectors.chain([matrix.clone().into_primitive().tensor()]).collect();
            A::join_graphs(&all);
            A::join_graphs(&[]);
        }
        let row = leaves.iter().fold(leaf(60), |sum, x| silu(sum * 0.5 + x.clone()));
        let found = linear(row, matrix.clone().transpose(), None).sum().backward();
        let mut all: Vec<_> =
            leaves.iter().map(|x| x.grad(&found).map(|g| g.into_data().to_vec::<f32>().unwrap())).collect();
        all.push(matrix.grad(&found).map(|g| g.into_data().to_vec::<f32>().unwrap()));
        all
    };
    let (apart, joined) = (gradients(false), gradients(true));
    assert_eq!(apart, joined);
    assert_eq!(apart.iter().flatten().count(), 40);
}
