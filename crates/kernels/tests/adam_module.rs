//! What a step of the optimizer does to a module, beside moving it (`torch_parity.rs`).

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    module::{AutodiffModule, Module, Param},
    tensor::{Tensor, backend::Backend},
};
use sfumato_kernels::{Adam, AdamOptions, Gradient};

type Train = Autodiff<Flex>;

/// Parameters of several ranks; the loss below does not depend on the second.
#[derive(Module, Debug)]
struct Three<B: Backend> {
    matrix: Param<Tensor<B, 2>>,
    spare: Param<Tensor<B, 1>>,
    vector: Param<Tensor<B, 1>>,
}

fn three() -> Three<Train> {
    let matrix = Tensor::<Train, 2>::from_data([[1.0, -2.0, 3.0], [0.5, 0.25, -1.0]], &FlexDevice);
    let [spare, vector] = [[7.0, 8.0], [-1.0, 2.0]].map(|x| Tensor::<Train, 1>::from_data(x, &FlexDevice));
    Three { matrix: Param::from_tensor(matrix), spare: Param::from_tensor(spare), vector: Param::from_tensor(vector) }
}

/// `Σ matrix² + Σ vector²` times `scale`: the gradient is `2 scale` times the weights.
fn step(net: Three<Train>, optimizer: &mut Adam<Flex>, number: u64, scale: f64) -> (Three<Train>, f64) {
    let loss = (net.matrix.val().square().sum() + net.vector.val().square().sum()) * scale;
    let (net, norm) = optimizer.step::<Train, _>(net, &mut loss.backward(), number, 1e-2);
    (net, norm.grad_norm)
}

fn values<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Vec<f32> {
    x.to_data().to_vec().unwrap()
}

fn address<const D: usize>(x: Tensor<Flex, D>) -> *const f32 {
    x.into_primitive().tensor().as_slice::<f32>().expect("weights lie in one piece").as_ptr()
}

fn addresses(net: &Three<Train>, optimizer: &Adam<Flex>) -> Vec<*const f32> {
    let states = optimizer.states().iter().flat_map(|s| [Some(&s.m), Some(&s.v), s.ema.as_ref()]).flatten().cloned();
    [address(net.matrix.val().inner()), address(net.vector.val().inner())]
        .into_iter()
        .chain(states.map(address))
        .collect()
}

#[test]
fn a_step_moves_every_parameter_of_the_loss_and_keeps_shapes_and_names() {
    let net = three();
    let ids = [net.matrix.id, net.spare.id, net.vector.id];
    let mut optimizer = Adam::new(&AdamOptions::default(), &net.valid());
    let (net, norm) = step(net, &mut optimizer, 1, 1.0);
    let squares: f64 = [1.0, 4.0, 9.0, 0.25, 0.0625, 1.0, 1.0, 4.0].iter().sum();
    assert!((norm / (4.0 * squares).sqrt() - 1.0).abs() < 1e-12, "{norm}");
    assert_eq!([net.matrix.id, net.spare.id, net.vector.id], ids);
    assert_eq!((net.matrix.dims(), net.spare.dims(), net.vector.dims()), ([2, 3], [2], [2]));
    assert!(
        net.matrix.val().is_require_grad() && net.spare.val().is_require_grad() && net.vector.val().is_require_grad()
    );
    // Adam's first step is the learning rate, against the sign of the gradient.
    let moved = |old: &[f32]| old.iter().map(|x| x - 1e-2 * x.signum()).collect::<Vec<_>>();
    let close = |new: Vec<f32>, want: Vec<f32>| new.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close(values(&net.matrix.val()), moved(&[1.0, -2.0, 3.0, 0.5, 0.25, -1.0])));
    assert!(close(values(&net.vector.val()), moved(&[-1.0, 2.0])));
}

#[test]
fn a_parameter_outside_the_loss_stays_and_so_does_its_state() {
    let net = three();
    let mut optimizer = Adam::new(&AdamOptions::default(), &net.valid());
    let (net, _) = step(net, &mut optimizer, 1, 1.0);
    let (net, _) = step(net, &mut optimizer, 2, 1.0);
    assert_eq!(values(&net.spare.val()), [7.0, 8.0]);
    let states = optimizer.states();
    assert_eq!(states.iter().map(|s| s.m.dims()[0]).collect::<Vec<_>>(), [6, 2, 2]);
    assert_eq!((values(&states[1].m), values(&states[1].v)), (vec![0.0; 2], vec![0.0; 2]));
    assert_eq!(values(states[1].ema.as_ref().unwrap()), [7.0, 8.0]);
    assert!([0, 2].iter().all(|&i| values(&states[i].v).iter().all(|v| *v > 0.0)));
}

#[test]
fn weights_and_state_are_overwritten_in_place() {
    let net = three();
    let mut optimizer = Adam::new(&AdamOptions::default(), &net.valid());
    // Before the first step the average is the weights: it gets memory of its own.
    let (net, _) = step(net, &mut optimizer, 1, 1.0);
    let before = addresses(&net, &optimizer);
    let (net, _) = step(net, &mut optimizer, 2, 1.0);
    assert_eq!(addresses(&net, &optimizer), before);
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let net = three();
    let mut optimizer = Adam::new(&AdamOptions::default(), &net.valid());
    let (net, norm) = step(net, &mut optimizer, 1, f64::NAN);
    assert!(norm.is_nan());
    assert_eq!(values(&net.matrix.val()), [1.0, -2.0, 3.0, 0.5, 0.25, -1.0]);
    assert!(optimizer.states().iter().all(|s| values(&s.m).iter().all(|m| *m == 0.0)));
    assert_eq!(optimizer.states().len(), 3);
}

#[test]
fn gradients_are_added_value_by_value_and_moved_along_as_one() {
    let net = three();
    let part = |scale: f64| {
        let mut graph = (net.matrix.val().square().sum() * scale).backward();
        Gradient::<Flex>::of::<Train, _>(&net, &mut graph)
    };
    let of_both = (net.matrix.val().square().sum() + net.vector.val().square().sum()).backward();
    let both = Gradient::<Flex>::of::<Train, _>(&net, &mut { of_both });
    // A parameter that one of two losses knows has the gradient of that; one that neither knows has none.
    let sum = part(0.5).plus(both).plus(part(0.25));
    let flat: Vec<Option<Vec<f32>>> = sum.values().iter().map(|x| x.as_ref().map(values)).collect();
    assert_eq!(flat, [Some(vec![3.5, -7.0, 10.5, 1.75, 0.875, -3.5]), None, Some(vec![-2.0, 4.0])]);
    let squares: f64 = flat.iter().flatten().flatten().map(|x| f64::from(x * x)).sum();
    assert!((sum.norm() - squares.sqrt()).abs() < 1e-12);

    // A step along it is the step of a loss with that gradient.
    let loss = net.matrix.val().square().sum() * 1.75 + net.vector.val().square().sum();
    let [mut a, mut b] = [(); 2].map(|()| Adam::new(&AdamOptions::default(), &net.valid()));
    let (with_sum, norm) = a.step_along::<Train, _>(net.clone(), sum, 1, 1e-2);
    let (with_loss, same_norm) = b.step::<Train, _>(net.clone(), &mut loss.backward(), 1, 1e-2);
    assert_eq!(norm.grad_norm.to_bits(), same_norm.grad_norm.to_bits());
    assert_eq!(values(&with_sum.matrix.val()), values(&with_loss.matrix.val()));
    assert_eq!(values(&with_sum.vector.val()), values(&with_loss.vector.val()));
}
