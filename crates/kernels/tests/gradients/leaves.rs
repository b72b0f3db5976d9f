//! Leaves that get another value and stay the same in the graph.

use super::*;

type A = Autodiff<Flex>;

fn leaf<A: BurnAutodiff>(seed: u64) -> Tensor<A, 1> {
    Tensor::from_data(TensorData::new(values(seed, 3), [3]), &Default::default())
}

/// Gradients of four steps of a chain of operations, each with a leaf of its own and the first leaf again: one leaf has no gradient, some
/// come in the second step. Between steps the leaves stay or are new.
fn gradients_of_steps<A: Backend + BurnAutodiff<InnerBackend = Flex>>(stay: bool) -> Vec<Vec<Option<Vec<f32>>>> {
    let mut leaves: Vec<_> = (0..20).map(|i| leaf::<A>(i).require_grad()).collect();
    leaves[7] = leaf(7);
    let mut all = Vec::new();
    for step in 0..4 {
        let used = if step == 0 { 15 } else { 20 };
        let y = leaves[..used].iter().fold(leaf(60), |sum, x| silu(sum * leaves[0].clone() + x.clone()));
        let found = y.sum().backward();
        let grads: Vec<_> = leaves.iter().map(|x| x.grad(&found)).collect();
        let update = |(x, grad): (&Tensor<A, 1>, &Option<Tensor<Flex, 1>>)| {
            let Some(grad) = grad else { return x.clone() };
            let new = Tensor::from_inner(x.clone().inner() - grad.clone() * 0.1);
            if stay { with_node_of(new, x.clone()) } else { new.require_grad() }
        };
        leaves = leaves.iter().zip(&grads).map(update).collect();
        all.push(grads.into_iter().map(|g| g.map(|g| g.into_data().to_vec::<f32>().unwrap())).collect::<Vec<_>>());
    }
    all
}

#[test]
fn leaves_that_stay_have_the_gradients_of_new_ones() {
    let stayed = gradients_of_steps::<A>(true);
    assert_eq!(stayed, gradients_of_steps::<A>(false));
    assert_eq!(stayed, gradients_of_steps::<Autodiff<Flex, BalancedCheckpointing>>(true));
    let found: Vec<_> = stayed.iter().map(|step| step.iter().flatten().count()).collect();
    assert_eq!(found, [14, 19, 19, 19]);
    assert_ne!(stayed[2], stayed[3]);
}

#[test]
fn without_autodiff_it_is_the_value() {
    let new = with_node_of(leaf::<A>(1).inner(), leaf::<A>(2).inner());
    assert_eq!(new.into_data().to_vec::<f32>().unwrap(), values(1, 3).iter().map(|&x| x as f32).collect::<Vec<_>>());
}

#[test]
#[should_panic(expected = "only a leaf can have another value")]
fn what_was_computed_cannot_have_another_value() {
    with_node_of(leaf::<A>(1), leaf(2).require_grad() * 2.0);
}
