use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    nn::{Linear, LinearConfig},
    tensor::TensorData,
};
use proptest::prelude::*;

use super::*;

type Train = Autodiff<Flex>;

#[test]
fn the_average_forgets_quickly_at_first_and_slowly_later() {
    assert_eq!(ema_decay(0.999, 1), 0.1);
    assert_eq!(ema_decay(0.999, 91), 91.0 / 100.0);
    assert_eq!(ema_decay(0.999, 1_000_000), 0.999);
}

const INPUTS: usize = 3;
const OUTPUTS: usize = 4;

/// A layer and its optimizer, which moves the weights by Muon or by Adam.
fn start(options: &AdamOptions, muon: bool) -> (Linear<Train>, Adam<Flex>) {
    let values = |n: usize, from: f32| (0..n).map(|i| (from + i as f32).sin()).collect::<Vec<_>>();
    let mut layer = LinearConfig::new(INPUTS, OUTPUTS).init::<Train>(&FlexDevice);
    let weight = TensorData::new(values(INPUTS * OUTPUTS, 0.5), [INPUTS, OUTPUTS]);
    let bias = TensorData::new(values(OUTPUTS, 7.5), [OUTPUTS]);
    layer.weight = Param::from_tensor(Tensor::from_data(weight, &FlexDevice));
    layer.bias = Some(Param::from_tensor(Tensor::from_data(bias, &FlexDevice)));
    let optimizer = Adam::new(options, &layer.valid()).with_muon(vec![muon, muon]);
    (layer, optimizer)
}

/// Flat, one for each parameter.
fn gradient(of: &[Vec<f32>; 2]) -> Gradient<Flex> {
    let tensor = |values: &Vec<f32>| Some(Tensor::from_data(&values[..], &FlexDevice));
    Gradient::from_values(of.iter().map(tensor).collect())
}

/// Weights, moments and averages.
fn all(layer: &Linear<Train>, optimizer: &Adam<Flex>) -> Vec<Vec<f32>> {
    let mut tensors = weights(&layer.valid());
    for state in optimizer.states() {
        tensors.extend([state.m.clone(), state.v.clone()].into_iter().chain(state.ema.clone()));
    }
    tensors.into_iter().map(|tensor| tensor.into_data().to_vec().unwrap()).collect()
}

fn on_device(
    (layer, optimizer): (Linear<Train>, &mut Adam<Flex>),
    of: &[Vec<f32>; 2],
    loss: f32,
    step: u64,
) -> (Linear<Train>, f64) {
    let loss = Scalar::on_device(Tensor::from_data([loss], &FlexDevice));
    let (layer, norm) = optimizer.step_on_device::<Train, _>(layer, gradient(of), &loss, step, 1e-2);
    (layer, norm.read())
}

proptest! {
    /// What a device clips and decides by itself is what the host would have told it.
    #[test]
    fn a_step_on_a_device_is_a_step(
        steps in prop::collection::vec(
            [prop::collection::vec(-3.0_f32..3.0, INPUTS * OUTPUTS), prop::collection::vec(-3.0_f32..3.0, OUTPUTS)],
            1..6,
        ),
        clip_norm in prop_oneof![Just(0.0), 0.1..20.0_f64],
        weight_decay in prop_oneof![Just(0.0), 0.0..0.5_f64],
        muon in any::<bool>(),
    ) {
        let options = AdamOptions { clip_norm, weight_decay, ..AdamOptions::default() };
        let (mut host, mut by_host) = start(&options, muon);
        let (mut device, mut by_device) = start(&options, muon);
        for (number, of) in (1..).zip(&steps) {
            let (moved, norm) = by_host.step_along::<Train, _>(host, gradient(of), number, 1e-2);
            host = moved;
            let (moved, there) = on_device((device, &mut by_device), of, 0.5, number);
            device = moved;
            prop_assert!((there / norm.grad_norm - 1.0).abs() < 1e-5, "{there} {}", norm.grad_norm);
        }
        for (a, b) in all(&host, &by_host).iter().flatten().zip(all(&device, &by_device).iter().flatten()) {
            prop_assert!((a - b).abs() < 2e-5 * (1.0 + a.abs()), "{a} {b}");
        }
    }

    /// One value that is no number, of the gradient or the loss, and nothing moves; the next step does.
    #[test]
    fn a_step_that_is_not_finite_changes_nothing_on_a_device(
        bad in prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY), Just(3e38)],
        place in 0..=INPUTS * OUTPUTS,
        muon in any::<bool>(),
    ) {
        let (layer, mut optimizer) = start(&AdamOptions::default(), muon);
        let good = [vec![0.5; INPUTS * OUTPUTS], vec![-1.5; OUTPUTS]];
        let (layer, _) = on_device((layer, &mut optimizer), &good, 0.5, 1);
        let before = all(&layer, &optimizer);
        let (mut of, mut loss) = (good.clone(), 0.5);
        match of[0].get_mut(place) {
            Some(value) => *value = bad,
            // 3e38 is a number.
            None => loss = if bad == 3e38 { f32::NAN } else { bad },
        }
        let (layer, norm) = on_device((layer, &mut optimizer), &of, loss, 2);
        prop_assert!(!(norm.is_finite() && loss.is_finite()));
        prop_assert_eq!(&all(&layer, &optimizer), &before);
        let (layer, _) = on_device((layer, &mut optimizer), &good, 0.5, 3);
        prop_assert!(all(&layer, &optimizer)[0].iter().zip(&before[0]).all(|(new, old)| new != old));
    }
}
