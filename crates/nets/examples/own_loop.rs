//! Trains a network of one's own on tensors of one's own in a loop of one's own: `cargo run --release --example own_loop`.
//!
//! The schedule, the loss, Adam and the moving average of the weights are ours; the network is any module of Burn.

use burn::{
    backend::{Autodiff, Flex},
    module::{AutodiffModule, Module},
    nn::{Linear, LinearConfig},
    tensor::{Distribution, Tensor, activation::silu, backend::Backend},
};
use sfumato_kernels::{Adam, AdamOptions};
use sfumato_process::{Chain, Denoiser, Parameterization, SeededNoise, loss, sampler};
use sfumato_schedule::ScheduleConfig;

type Train = Autodiff<Flex>;

/// Guesses the noise in points of the plane from the points and the time.
#[derive(Module, Debug)]
pub(crate) struct Net<B: Backend> {
    first: Linear<B>,
    middle: Linear<B>,
    last: Linear<B>,
}

impl<B: Backend> Denoiser<B, 2> for Net<B> {
    fn predict(&self, x_t: Tensor<B, 2>, t: &[usize]) -> Tensor<B, 2> {
        let time: Vec<f32> = t.iter().map(|&t| t as f32 / 1000.0).collect();
        let time = Tensor::<B, 1>::from_floats(&time[..], &x_t.device()).reshape([-1, 1]);
        let hidden = silu(self.first.forward(Tensor::cat(vec![x_t, time], 1)));
        self.last.forward(silu(self.middle.forward(hidden)))
    }
}

/// Points on a circle, `[count, 2]`.
fn circle(count: usize) -> Tensor<Train, 2> {
    let angle = Distribution::Uniform(0.0, std::f64::consts::TAU);
    let angle = Tensor::random([count, 1], angle, &Default::default());
    Tensor::cat(vec![angle.clone().cos(), angle.sin()], 1)
}

/// Trains for some steps, and draws points from the averaged weights.
pub(crate) fn train(steps: u64, points: usize) -> Result<Tensor<Flex, 2>, Box<dyn std::error::Error>> {
    let device = Default::default();
    Train::seed(&device, 0);
    let layer = |from, to| LinearConfig::new(from, to).init(&device);
    let mut net: Net<Train> = Net { first: layer(3, 128), middle: layer(128, 128), last: layer(128, 2) };
    let mut adam = Adam::new(&AdamOptions { ema_decay: 0.99, ..AdamOptions::default() }, &net.valid());
    let schedule = ScheduleConfig::default().build()?;
    for step in 1..=steps {
        let x_0 = circle(256);
        let epsilon = Tensor::random([256, 2], Distribution::Normal(0.0, 1.0), &device);
        let t: Vec<usize> = (0..256).map(|i| 1 + (i * 1009 + step as usize * 37) % 1000).collect();
        let loss = loss::simple(&schedule, Parameterization::Epsilon, &net, x_0, &t, epsilon);
        (net, _) = adam.step::<Train, _>(net, &mut loss.backward(), step, 3e-3);
    }
    let net = adam.averaged(net.valid());
    let chain = Chain::new(&schedule, Parameterization::Epsilon);
    Ok(sampler::ancestral(&chain, &net, &SeededNoise::new(1), [points, 2], &device, &mut sampler::ignore)?)
}

#[allow(dead_code)] // a test calls `train`
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let radius = train(1500, 500)?.square().sum_dim(1).sqrt();
    println!("radius {:.2}, deviation {:.2}", radius.clone().mean().into_scalar(), radius.var(0).sqrt().into_scalar());
    Ok(())
}
