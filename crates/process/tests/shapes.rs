//! Tensors of other shapes are never broadcast over the data: an output with twice the channels is taken apart, all others are refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::Tensor,
};
use sfumato_process::{
    Chain, Denoiser, NoiseLevels, Parameterization, SeededNoise, StepVariance,
    bound::{self, BoundError, Decoder},
    forward,
    levels::Sigmas,
    loss, noise,
    sampler::{
        self, Ddim, DpmSolver, DpmSolverOptions, Euler, EulerAncestral, Heun, UniPc, UniPcOptions, ignore, walk,
    },
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

const DEVICE: FlexDevice = FlexDevice;

fn schedule() -> NoiseSchedule {
    ScheduleConfig::default().build().unwrap()
}

fn normal<const D: usize>(draw: usize, shape: [usize; D]) -> Tensor<Flex, D> {
    noise::normal(&SeededNoise::new(5), draw, shape, &DEVICE).unwrap()
}

fn values<const D: usize>(x: Tensor<Flex, D>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

/// Answers with so many channels: a fixed answer, and ones for the rest.
struct Channels(usize);

impl Denoiser<Flex, 4> for Channels {
    fn predict(&self, x_t: Tensor<Flex, 4>, _: &[usize]) -> Tensor<Flex, 4> {
        let [batch, channels, height, width] = x_t.dims();
        let answer = x_t.tanh();
        match self.0.checked_sub(channels) {
            Some(0) => answer,
            Some(more) => Tensor::cat(vec![answer, Tensor::ones([batch, more, height, width], &DEVICE)], 1),
            None => answer.narrow(1, 0, self.0),
        }
    }
}

/// What the panic said.
fn refused<T>(f: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).err().expect("another shape is refused");
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn the_loss_of_a_network_with_a_learned_variance_is_that_of_its_prediction() {
    for channels in [1, 3] {
        let shape = [2, channels, 3, 2];
        let loss = |answered| {
            let (x_0, epsilon) = (normal(0, shape), normal(1, shape));
            let net = Channels(answered);
            values(loss::simple(&schedule(), Parameterization::Epsilon, &net, x_0, &[3, 700], epsilon))
        };
        assert_eq!(loss(2 * channels), loss(channels));
        // One channel would be broadcast over all.
        for answered in [1, 2, 3, 4, 5, 9] {
            if answered != channels && answered != 2 * channels {
                let said = refused(|| loss(answered));
                assert!(said.contains("twice the channels") && said.contains(&format!("{shape:?}")), "{said}");
            }
        }
    }
}

#[test]
fn every_sampler_takes_the_prediction_alone_and_refuses_other_shapes() {
    let chain = Chain::respaced(&schedule(), &[1, 400, 1000], Parameterization::Epsilon).unwrap();
    let levels =
        NoiseLevels::new([1000.0, 500.5, 1.0].map(|t| Sigmas::of(&schedule()).level(t)).to_vec(), None).unwrap();
    let noise = SeededNoise::new(2);
    let shape = [2, 3, 2, 2];
    let draw = |sampler: &str, net: &Channels| {
        let observer = &mut ignore;
        values(
            match sampler {
                "ddpm" => sampler::ancestral(&chain, net, &noise, shape, &DEVICE, observer),
                "ddim" => sampler::ddim(&chain, Ddim::default(), net, &noise, shape, &DEVICE, observer),
                "dpm" => {
                    let mut dpm = DpmSolver::new(&chain, &levels, DpmSolverOptions::default());
                    walk(&mut dpm, net, &noise, shape, &DEVICE, observer)
                }
                "unipc" => {
                    let mut unipc = UniPc::new(&chain, &levels, UniPcOptions::default());
                    walk(&mut unipc, net, &noise, shape, &DEVICE, observer)
                }
                "euler" => walk(&mut Euler::new(&chain, &levels), net, &noise, shape, &DEVICE, observer),
                "euler-ancestral" => {
                    walk(&mut EulerAncestral::new(&chain, &levels), net, &noise, shape, &DEVICE, observer)
                }
                _ => walk(&mut Heun::new(&chain, &levels), net, &noise, shape, &DEVICE, observer),
            }
            .unwrap(),
        )
    };
    for sampler in ["ddpm", "ddim", "dpm", "unipc", "euler", "euler-ancestral", "heun"] {
        assert_eq!(draw(sampler, &Channels(6)), draw(sampler, &Channels(3)), "{sampler}");
        for channels in [1, 2, 4] {
            assert!(refused(|| draw(sampler, &Channels(channels))).contains("twice the channels"), "{sampler}");
        }
    }
}

#[test]
fn the_bound_refuses_other_shapes_with_an_error() {
    let chain = Chain::respaced(&schedule(), &[1, 400, 1000], Parameterization::Epsilon).unwrap();
    let x_0 = || normal(0, [2, 3, 2, 2]);
    let noise = SeededNoise::new(2);
    let bound = |net: Channels| bound::pathwise(&chain, &net, Decoder::Gaussian, x_0(), &noise);
    assert_eq!(bound(Channels(6)), bound(Channels(3)));
    for channels in [1, 2, 4] {
        let error = bound(Channels(channels)).unwrap_err();
        assert!(matches!(&error, BoundError::OutputShape(wrong) if wrong.answered[1] == channels), "{error}");
    }
}

#[test]
fn data_and_noise_of_other_shapes_are_refused() {
    let (x, one) = (|| normal(0, [2, 3, 2]), || normal(1, [2, 1, 2]));
    let t = [3, 9];
    let schedule = schedule();
    assert!(refused(|| forward::q_step(&schedule, x(), &t, one())).contains("the same shape"));
    assert!(refused(|| forward::q_sample(&schedule, x(), &t, one())).contains("the same shape"));
    assert!(refused(|| forward::q_sample(&schedule, one(), &t, x())).contains("the same shape"));
    assert!(refused(|| forward::q_posterior(&schedule, one(), x(), &t).mean).contains("the same shape"));
    for kind in [Parameterization::Epsilon, Parameterization::X0, Parameterization::V] {
        assert!(refused(|| kind.target(&schedule, x(), one(), &t)).contains("the same shape"));
        assert!(refused(|| kind.to_x_0(&schedule, one(), x(), &t)).contains("the same shape"));
        assert!(refused(|| kind.to_epsilon(&schedule, one(), x(), &t)).contains("the same shape"));
        assert!(refused(|| kind.to_v(&schedule, one(), x(), &t)).contains("the same shape"));
    }
    assert!(refused(|| StepVariance::Learned(x()).scale(one())).contains("the same shape"));
}
