//! One step of a run in progress.

use burn::module::AutodiffModule;
use sfumato_kernels::AutodiffBackend;
use sfumato_model::Blueprint;
use sfumato_nets::layers::DropoutKey;
use sfumato_process::Objective;

use super::{
    Session,
    gradient::{Learned, Lesson},
};
use crate::{TrainError, Watch, error::Kept};

/// Whether a loss is one of weights that are worth to go on from: 1 is that of a network that says nothing.
fn sensible(loss: f64) -> bool {
    loss.abs() < 1e4
}

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    /// One step of Algorithm 1: the model after it. Its loss and the gradient's norm are left unread.
    pub(super) fn step<const D: usize>(
        &mut self,
        model: P::Net<A>,
        objective: &dyn Objective<A, D>,
    ) -> Result<P::Net<A>, TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let config = self.run.config;
        let step = self.state.step + 1;
        let size = config.training.batch_size;
        let draws = self.batches.draws(self.state.examples, size, &self.times);
        let lesson = Lesson::<A, D> {
            objective,
            schedule: &self.schedule,
            batches: &self.batches,
            draws: &draws,
            shards: config.training.cut(),
            dropout: DropoutKey::new(config.seed, step),
            each: self.times.learns(),
            ranks: self.run.ranks,
            device: self.device,
        };
        let Learned { loss, gradient, losses } = lesson.learn(&model)?;
        if self.times.learns() {
            self.times.record(&draws.t(), &losses);
        }
        let rate = self.rate(step);
        let (model, grad_norm) = self.optimizer.step_unread::<A, _>(model, gradient, &loss, step, rate);
        if let Some(averages) = &mut self.averages {
            averages.step(&model.valid(), step);
        }
        self.unread.push(loss, grad_norm);
        Ok(model)
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
        let leads = self.run.ranks.leads();
        let found = if leads { dir.find_checkpoints()?.complete } else { Vec::new() };
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
