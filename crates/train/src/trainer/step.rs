//! One step of a run in progress.

use burn::{module::AutodiffModule, tensor::ElementConversion};
use sfumato_kernels::AutodiffBackend;
use sfumato_model::Blueprint;
use sfumato_nets::{Call, layers::DropoutKey};
use sfumato_process::Objective;

use super::Session;
use crate::{TrainError, Watch, batch::Batch, error::Kept};

/// Whether a loss is one of weights that are worth to go on from: 1 is that of a network that says nothing.
fn sensible(loss: f64) -> bool {
    loss.abs() < 1e4
}

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    /// One step of Algorithm 1: the model after it, the loss and the gradient's norm.
    pub(super) fn step<const D: usize>(
        &mut self,
        model: P::Net<A>,
        objective: &dyn Objective<A, D>,
        watch: &mut dyn Watch,
    ) -> Result<(P::Net<A>, f64, f64), TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let config = self.run.config;
        let step = self.state.step + 1;
        let size = config.training.batch_size;
        let batch: Batch<A, D> = self.batches.get(self.state.examples, size, &self.times, self.device);
        let call =
            Call { net: &model, classes: batch.classes.as_deref(), dropout: Some(DropoutKey::new(config.seed, step)) };
        let losses = objective.losses(&self.schedule, &call, batch.x_0, &batch.t, batch.epsilon)?;
        if self.times.learns() {
            let each: Vec<f64> = losses.to_data().iter::<f64>().collect();
            self.times.record(&batch.t, &each);
        }
        let loss = match batch.weights {
            Some(weights) => (losses * weights).mean(),
            None => losses.mean(),
        };
        let value: f64 = loss.clone().into_scalar().elem();
        let mut grads = loss.backward();
        let rate = self.rate(step);
        let (model, norm) = self.optimizer.step::<A, _>(model, &mut grads, step, rate);
        if !(value.is_finite() && norm.grad_norm.is_finite()) {
            return Err(self.diverged(step, value, norm.grad_norm, watch)?);
        }
        if let Some(averages) = &mut self.averages {
            averages.step(&model.valid(), step);
        }
        Ok((model, value, norm.grad_norm))
    }

    /// The error for a step without a finite result. The checkpoint whose weights gave it is set aside where an older one
    /// is left: to go on from it would diverge again at once, whatever the learning rate.
    pub(super) fn diverged(
        &self,
        step: u64,
        loss: f64,
        grad_norm: f64,
        watch: &mut dyn Watch,
    ) -> Result<TrainError, TrainError> {
        let config = self.run.config;
        let dir = self.run.dir;
        let found = dir.find_checkpoints()?.complete;
        let kept = match &found[..] {
            // The loss of this step is that of the newest checkpoint's weights.
            [.., before, newest] if newest.step + 1 == step && !sensible(loss) && newest.path != dir.model() => {
                let aside = dir.set_aside(newest, "diverged")?;
                watch.warn(&format!(
                    "the weights of step {} give the loss {loss:.3e}: their checkpoint is now {}",
                    newest.step,
                    aside.display()
                ));
                if let Err(reason) = dir.show(before) {
                    watch.warn(&reason);
                }
                Kept::Good(before.step)
            }
            [.., only] if only.step + 1 == step && !sensible(loss) => Kept::Doubtful(only.step),
            [.., newest] => Kept::Good(newest.step),
            [] => Kept::Nothing,
        };
        Ok(TrainError::Diverged {
            step,
            loss,
            grad_norm,
            learning_rate: self.rate(step),
            peak_rate: config.optimizer.learning_rate,
            run: dir.root().to_path_buf(),
            kept,
        })
    }
}
