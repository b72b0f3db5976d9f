//! One training step, as the trainer takes it but for the moving average, which the programs compared with have not.

use burn::tensor::{Tensor, backend};
use burn::{module::AutodiffModule, tensor::ElementConversion};
use sfumato_kernels::{Adam, AdamState, AutodiffBackend, Gradient, Scalar};
use sfumato_nets::{NetError, params::RandomParams, unet::UNet2D};
use sfumato_process::{Parameterization, loss};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};
use sfumato_train::config::OptimizerConfig;

use crate::{batch::Batch, workload::Workload};

type Inner<A> = <A as backend::AutodiffBackend>::InnerBackend;

/// Seed of every network's parameters.
const SEED: u64 = 0;

/// A network in training, over and over on the same batch.
pub struct Training<A: AutodiffBackend> {
    /// Taken out while the optimizer has it.
    net: Option<UNet2D<A>>,
    optimizer: Adam<Inner<A>>,
    schedule: NoiseSchedule,
    x_0: Tensor<A, 4>,
    epsilon: Tensor<A, 4>,
    t: Vec<usize>,
    step: u64,
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Mean loss of the batch.
    pub loss: f64,
    /// The gradient's global norm before clipping.
    pub grad_norm: f64,
}

/// How weights move here: Adam at a constant 1e-4, clipping to norm 1.
pub fn optimizer_config() -> OptimizerConfig {
    OptimizerConfig { learning_rate: 1e-4, warmup_steps: 0, ..OptimizerConfig::default() }
}

/// The network of `workload`, initialised as diffusers does: no layer starts at zero, so that every gradient is alive.
///
/// # Errors
/// [`NetError`] if the configuration is invalid.
pub fn network<B: sfumato_kernels::Backend>(workload: &Workload, device: &B::Device) -> Result<UNet2D<B>, NetError> {
    let mut net = workload.config.build(&mut RandomParams::new(SEED).without_zero_init(), device)?;
    net.set_precision(workload.precision);
    Ok(net)
}

impl<A: AutodiffBackend> Training<A> {
    /// The network of `workload` before its first step.
    ///
    /// # Errors
    /// [`NetError`] if the configuration is invalid.
    pub fn new(workload: &Workload, device: &A::Device) -> Result<Self, NetError> {
        let net: UNet2D<A> = network(workload, device)?;
        let with_averages = Adam::new(&optimizer_config().adam(), &net.valid());
        let states = with_averages.states().iter().map(|state| AdamState { ema: None, ..state.clone() }).collect();
        let optimizer = Adam::resumed(&optimizer_config().adam(), states);
        let batch = Batch::new(workload.shape());
        let [x_0, epsilon] = batch.tensors(device);
        let schedule = ScheduleConfig::default().build().expect("the default schedule is valid");
        Ok(Self { net: Some(net), optimizer, schedule, x_0, epsilon, t: batch.t, step: 0 })
    }

    /// The loss of the batch, with the network that gave it.
    fn learn(&mut self) -> (UNet2D<A>, Tensor<A, 1>) {
        self.step += 1;
        let net = self.net.take().expect("every step puts the network back");
        let (x_0, epsilon) = (self.x_0.clone(), self.epsilon.clone());
        let loss = loss::simple(&self.schedule, Parameterization::Epsilon, &net, x_0, &self.t, epsilon).mean();
        (net, loss)
    }

    /// Loss, gradient, clipping, Adam, on a device that is not waited for. What the step found is read when it is wanted: loss and
    /// gradient norm.
    pub fn step_unread(&mut self) -> [Scalar<Inner<A>>; 2]
    where
        Inner<A>: sfumato_kernels::Backend,
    {
        let (net, loss) = self.learn();
        let value = Scalar::of(loss.clone().inner());
        let gradient = Gradient::of::<A, _>(&net, &mut loss.backward());
        let rate = optimizer_config().learning_rate;
        let (net, norm) = self.optimizer.step_unread::<A, _>(net, gradient, &value, self.step, rate);
        self.net = Some(net);
        [value, norm]
    }

    /// Loss, gradient, clipping, Adam.
    pub fn step(&mut self) -> Step {
        let (net, loss) = self.learn();
        let value: f64 = loss.clone().into_scalar().elem();
        let mut grads = loss.backward();
        let (net, norm) = self.optimizer.step::<A, _>(net, &mut grads, self.step, optimizer_config().learning_rate);
        self.net = Some(net);
        Step { loss: value, grad_norm: norm.grad_norm }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_that_is_read_later_is_the_same() {
        let workload = Workload::small().with_batch(2).with_size(8);
        let new = || Training::<burn::backend::Autodiff<burn::backend::Flex>>::new(&workload, &Default::default());
        let (mut read, mut unread) = (new().unwrap(), new().unwrap());
        for _ in 0..3 {
            let Step { loss, grad_norm } = read.step();
            assert_eq!(Scalar::read_all(unread.step_unread().into()), [loss, grad_norm]);
        }
    }

    #[test]
    fn the_loss_falls_on_a_batch_that_is_seen_again() {
        let workload = Workload::small().with_batch(2).with_size(8);
        let device = Default::default();
        let mut training = Training::<burn::backend::Autodiff<burn::backend::Flex>>::new(&workload, &device).unwrap();
        let losses: Vec<f64> = (0..20).map(|_| training.step().loss).collect();
        assert!(losses[19] < 0.9 * losses[0], "{losses:?}");
    }
}
