//! How well a model tells the noise in examples.

use burn::tensor::{Tensor, TensorData};
use sfumato_kernels::Backend;
use sfumato_nets::{Call, Network};
use sfumato_process::{Parameterization, bound::BoundError, loss};
use sfumato_schedule::NoiseSchedule;

use crate::{Model, ModelError, Net};

/// Examples, and the noise that is laid on them.
#[derive(Clone, Copy, Debug)]
pub struct NoisedBatch<'a> {
    /// The examples, one after the other, as the network sees them: pictures in [-1, 1].
    pub x_0: &'a [f32],
    /// Standard normal noise, laid out like `x_0`.
    pub epsilon: &'a [f32],
    /// The step `1..=T` of each example.
    pub steps: &'a [usize],
    /// The class of each example, for a class-conditional model.
    pub classes: Option<&'a [usize]>,
}

impl<B: Backend> Model<B> {
    /// `‖ε - ε̂(x_t, t)‖²` of each example, averaged over its dimensions, with `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε`: the loss of Ho et al. (2020),
    /// Eq. 14, whatever the network predicts; see [`loss::noise`].
    ///
    /// A loss that is not finite is given back as it is.
    ///
    /// # Errors
    /// [`ModelError`]: an output that does not fit the data, a device that fails, a schedule that cannot be built.
    ///
    /// # Panics
    /// If the slices of `batch` do not belong together, a step is outside `1..=T`, or the classes are not what the model wants.
    pub fn noise_losses(&self, batch: &NoisedBatch<'_>) -> Result<Vec<f64>, ModelError> {
        let scheduler = &self.pipeline().spec.scheduler;
        let schedule = scheduler.noise_schedule()?;
        let shape = self.pipeline().example_shape(None)?;
        let work = Work { schedule: &schedule, parameterization: scheduler.parameterization, shape: &shape, batch };
        match self.net() {
            Net::UNet(net) => work.run::<B, _, 4>(net, self.device()),
            Net::Mlp(net) => work.run::<B, _, 2>(net, self.device()),
        }
    }
}

struct Work<'a> {
    schedule: &'a NoiseSchedule,
    parameterization: Parameterization,
    shape: &'a [usize],
    batch: &'a NoisedBatch<'a>,
}

impl Work<'_> {
    fn run<B: Backend, N: Network<B, D>, const D: usize>(
        &self,
        net: &N,
        device: &B::Device,
    ) -> Result<Vec<f64>, ModelError> {
        let NoisedBatch { x_0, epsilon, steps, classes } = *self.batch;
        let mut shape = [steps.len(); D];
        shape[1..].copy_from_slice(self.shape);
        let tensor = |values: &[f32]| Tensor::<B, D>::from_data(TensorData::new(values.to_vec(), shape), device);
        let known = Call { net, classes, dropout: None };
        let losses = loss::noise(self.schedule, self.parameterization, &known, tensor(x_0), steps, tensor(epsilon))
            .map_err(BoundError::from)?;
        let data = losses.try_into_data().map_err(|error| BoundError::Device { reason: error.to_string() })?;
        Ok(data.iter::<f64>().collect())
    }
}
