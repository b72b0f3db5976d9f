//! Evaluations of a network, alone and along a reverse chain.

use burn::tensor::Tensor;
use sfumato_kernels::{Backend, KeptFilters};
use sfumato_nets::{NetError, Network, unet::UNet2D};
use sfumato_process::{
    Chain, Parameterization, SeededNoise,
    sampler::{self, Ddim},
};
use sfumato_schedule::{ScheduleConfig, evenly_spaced};

use crate::{batch::Batch, batch::STEPS, training::network, workload::Workload};

/// A network without gradients, with a batch to look at.
pub struct Sampling<B: Backend> {
    net: UNet2D<B>,
    x_t: Tensor<B, 4>,
    t: Vec<usize>,
    shape: [usize; 4],
    /// As a sampler does it.
    _kept: KeptFilters,
}

impl<B: Backend> Sampling<B> {
    /// The network of `workload`.
    ///
    /// # Errors
    /// [`NetError`] if the configuration is invalid.
    pub fn new(workload: &Workload, device: &B::Device) -> Result<Self, NetError> {
        let batch = Batch::new(workload.shape());
        let [_, x_t] = batch.tensors(device);
        Ok(Self { net: network(workload, device)?, x_t, t: batch.t, shape: batch.shape, _kept: KeptFilters::new() })
    }

    /// One evaluation.
    pub fn evaluate(&self) -> Tensor<B, 4> {
        self.net.forward_at(self.x_t.clone(), &self.t, None, None)
    }

    /// A whole batch of images by `steps` steps of DDIM.
    pub fn ddim(&self, steps: usize) -> Tensor<B, 4> {
        let schedule = ScheduleConfig::default().build().expect("the default schedule is valid");
        let kept = evenly_spaced(STEPS, steps).expect("between 1 and 1000 steps are asked for");
        let chain = Chain::respaced(&schedule, &kept, Parameterization::Epsilon).expect("evenly spaced steps increase");
        let device = self.x_t.device();
        let (noise, observer) = (SeededNoise::new(0), &mut sampler::ignore);
        sampler::ddim(&chain.with_clip(true), Ddim::default(), &self.net, &noise, self.shape, &device, observer)
            .expect("seeded noise never ends and nobody stops the chain")
    }
}
