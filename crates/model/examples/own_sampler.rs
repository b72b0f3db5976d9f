//! A sampler of one's own, over noise levels of one's own, for a model of ours: `cargo run --release --example own_sampler -- DIR`.
//!
//! The sampler is Euler's with fresh noise added in each step ("churn"): Karras et al. (2022), Algorithm 2 without its correction.

use burn::{
    backend::Flex,
    tensor::{Tensor, backend::Backend},
};
use sfumato_model::Model;
use sfumato_process::{
    Chain, Denoiser, NoiseError, NoiseLevel, NoiseLevels, NoiseSource, SeededNoise,
    levels::Sigmas,
    noise,
    sampler::{Step, Stepper, ignore, walk},
};

/// Each step first raises the noise by this factor.
const CHURN: f64 = 1.1;

struct Churn {
    chain: Chain,
    levels: NoiseLevels,
}

impl<B: Backend, const D: usize> Stepper<B, D> for Churn {
    fn total(&self) -> usize {
        self.levels.steps()
    }

    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        source: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError> {
        let NoiseLevel { sigma, t } = self.levels.levels()[step - 1];
        let added = sigma * (CHURN * CHURN - 1.0).sqrt();
        let x = x.clone() + noise::normal(source, step, x.dims(), &x.device())? * added;
        let level = NoiseLevel { sigma: sigma * CHURN, t };
        let x_0 = self.chain.predict_at(denoiser, x.clone() * level.signal(), level);
        let next = self.levels.after(step).map_or(0.0, |level| level.sigma);
        Ok(Step { x: x_0.clone() + (x - x_0.clone()) * (next / level.sigma), x_0 })
    }

    fn start_scale(&self) -> f64 {
        self.levels.start_scale()
    }
}

/// Draws `num` images of a model without classes, of its own size, `[num, channels, height, width]`.
pub(crate) fn draw(dir: &str, num: usize, steps: usize) -> Result<Tensor<Flex, 4>, Box<dyn std::error::Error>> {
    let model = Model::<Flex>::open(dir)?;
    let chain = model.chain()?;
    // Levels of one's own: times that fall faster and faster.
    let sigmas = Sigmas::of(chain.schedule());
    let time = |i: usize| 1.0 + (chain.steps() - 1) as f64 * (1.0 - i as f64 / steps as f64).powf(1.5);
    let levels = NoiseLevels::new((0..steps).map(|i| sigmas.level(time(i))).collect(), None)?;
    let shape = model.pipeline().example_shape(None)?;
    let batch = [num, shape[0], shape[1], shape[2]];
    let mut sampler = Churn { chain, levels };
    Ok(walk(&mut sampler, &model.images(None)?, &SeededNoise::new(7), batch, model.device(), &mut ignore)?)
}

#[allow(dead_code)] // a test calls `draw`
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "runs/fashion-mnist-mini".to_owned());
    println!("{}", draw(&dir, 4, 20)?);
    Ok(())
}
