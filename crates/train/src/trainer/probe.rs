//! What a few examples give before the first step, for a comparison of two devices.

use burn::module::AutodiffModule;
use sfumato_kernels::AutodiffBackend;
use sfumato_model::{Blueprint, pipeline::AnyConfig};
use sfumato_nets::{Network, layers::DropoutKey, params::RandomParams};
use sfumato_process::{Objective, times::TimeSampler};

use super::{
    Run, first,
    gradient::{Learned, Lesson},
};
use crate::{TrainError, batch::Batches, ranks::Alone, shards::Shards, spec::pipeline_spec};

/// Loss and gradient of a few examples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Mean loss.
    pub loss: f64,
    /// Euclidean norm of the gradient for all weights.
    pub grad_norm: f64,
}

impl Run<'_> {
    /// What the run's first `examples` examples give with random weights, none of which is zero as some are before the first step. The
    /// same on every device, up to rounding: examples, noise, weights and dropout are drawn on the host. Nothing is written.
    ///
    /// # Errors
    /// [`TrainError`] for a configuration that is none, and for networks of the caller's own.
    pub fn probe<A: AutodiffBackend>(&self, examples: usize, device: &A::Device) -> Result<Probe, TrainError> {
        self.config.validate()?;
        let objective = self.config.objective(self.data);
        match self.config.network(self.data)? {
            AnyConfig::UNet(network) => self.probe_network::<A, _, 4>(&network, &objective, examples, device),
            AnyConfig::Mlp(network) => self.probe_network::<A, _, 2>(&network, &objective, examples, device),
            AnyConfig::Own(own) => Err(TrainError::own_network(&own.class_name)),
        }
    }

    fn probe_network<A, P, const D: usize>(
        &self,
        blueprint: &P,
        objective: &dyn Objective<A, D>,
        examples: usize,
        device: &A::Device,
    ) -> Result<Probe, TrainError>
    where
        A: AutodiffBackend,
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A> + Network<A, D>,
    {
        let config = self.config;
        let mut weights = RandomParams::new(config.seed).without_zero_init();
        let model: P::Net<A> = first::build_seeded(blueprint, &mut weights, config.seed, device)?;
        let schedule = config.diffusion.schedule.build()?;
        let times: TimeSampler = config.objective.times(&schedule)?;
        let spec = pipeline_spec(blueprint.config(), &config.diffusion, self.data, self.environment);
        let batches = Batches::new(self.data, config.seed, config.data.flip, self.labels(&spec));
        let lesson = Lesson::<A, D> {
            objective,
            schedule: &schedule,
            batches: &batches,
            draws: &batches.draws(0, examples, &times),
            shards: Shards::new(examples, 1),
            dropout: DropoutKey::new(config.seed, 1),
            each: false,
            ranks: &Alone,
            device,
        };
        let Learned { loss, gradient, .. } = lesson.learn(&model)?;
        Ok(Probe { loss: loss.read(), grad_norm: gradient.norm() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use burn::backend::{Autodiff, Flex};

    use super::*;
    use crate::{RunDir, TrainConfig};

    #[test]
    fn a_probe_says_the_same_twice_and_another_thing_for_another_seed() {
        let mut config = TrainConfig::layered(Some("swiss-roll"), None, &[]).unwrap();
        let data = sfumato_data::load(&config.data.dataset, &config.data.load_options(0)).unwrap();
        let environment = serde_json::json!({});
        let dir = RunDir::of_another(std::path::Path::new("never-written"));
        let probe = |config: &TrainConfig, examples| {
            let run = Run {
                config,
                data: &data,
                dir: &dir,
                from: None,
                environment: &environment,
                stop: &AtomicBool::new(false),
                held_out: None,
                ranks: &Alone,
            };
            run.probe::<Autodiff<Flex>>(examples, &Default::default()).unwrap()
        };
        let first = probe(&config, 4);
        assert!(first.loss > 0.0 && first.grad_norm > 0.0 && first.loss.is_finite() && first.grad_norm.is_finite());
        assert_eq!(first, probe(&config, 4));
        assert_ne!(first, probe(&config, 5));
        config.seed = 1;
        assert_ne!(first, probe(&config, 4));
        assert!(!std::path::Path::new("never-written").exists());
    }
}
