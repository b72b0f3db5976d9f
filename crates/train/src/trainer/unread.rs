//! The numbers of steps, which are read when somebody needs them: a device goes on with the next step meanwhile.

use std::time::{Duration, Instant};

use sfumato_kernels::{AutodiffBackend, Backend, Scalar};

use super::Session;
use crate::{TrainError, TrainState, Watch};

/// The longest time from one reading to the next, so that whoever looks on sees how far a slow run is, and a time limit is kept.
const LATEST: Duration = Duration::from_secs(5);

/// The steps since numbers were last read.
pub(super) struct Unread<B: Backend> {
    scalars: Vec<Scalar<B>>,
    states: Vec<TrainState>,
    /// When they were last read.
    since: Instant,
    /// The loss and the gradient's norm that were read last.
    pub(super) newest: [f64; 2],
}

impl<B: Backend> Unread<B> {
    pub(super) fn new() -> Self {
        Self { scalars: Vec::new(), states: Vec::new(), since: Instant::now(), newest: [f64::NAN; 2] }
    }

    /// The numbers of one more step.
    pub(super) fn push(&mut self, loss: Scalar<B>, grad_norm: Scalar<B>) {
        self.scalars.extend([loss, grad_norm]);
    }

    /// The loss and the gradient's norm of each step that was pushed, which are waited for.
    fn read(&mut self) -> Vec<f64> {
        self.since = Instant::now();
        Scalar::read_all(std::mem::take(&mut self.scalars))
    }
}

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    /// Counts the step that began at `start`, reads its numbers where that is due, and compares the time with the plan. The run began or went
    /// on at `began` seconds, and has `limit` seconds. Gives whether the step was the last, whose numbers are always read.
    pub(super) fn end_step(
        &mut self,
        start: Instant,
        began: f64,
        limit: f64,
        watch: &mut dyn Watch,
    ) -> Result<bool, TrainError> {
        let due = self.reading_is_due(self.state.step + 1);
        let read = if due { self.unread.read() } else { Vec::new() };
        let seconds = self.agree(start.elapsed().as_secs_f64());
        self.count(seconds);
        self.take_in(&read, watch)?;
        self.follow_time(began, watch)?;
        let last = self.state.step == self.last_step() || self.state.seconds - began >= limit;
        if last {
            self.read_rest(watch)?;
        }
        Ok(last)
    }

    /// Whether the numbers of step `step` are to be read at its end: where that costs nothing, where something is written or said of it, and
    /// after a while in any case. Several ranks wait for each other in every step anyway.
    fn reading_is_due(&self, step: u64) -> bool {
        let config = self.run.config;
        let training = &config.training;
        let at = |every: u64| every > 0 && step.is_multiple_of(every);
        A::InnerBackend::is_on_host()
            || !self.run.ranks.is_alone()
            || self.run.is_asked_alone()
            || step >= self.last_step()
            || at(training.log_every)
            || at(training.checkpoint_every)
            || at(config.samples.every)
            || self.score_is_due_at(step)
            || config.averages_are_due(step)
            || self.unread.since.elapsed() >= LATEST
    }

    /// Takes in what was read after the step that the run is at.
    fn take_in(&mut self, read: &[f64], watch: &mut dyn Watch) -> Result<(), TrainError> {
        if read.is_empty() {
            return Ok(());
        }
        for (state, numbers) in std::mem::take(&mut self.unread.states).into_iter().zip(read.chunks_exact(2)) {
            let (loss, grad_norm) = (numbers[0], numbers[1]);
            if !(loss.is_finite() && grad_norm.is_finite()) {
                return Err(self.diverged(state.step, loss, grad_norm, watch)?);
            }
            self.window.loss += loss;
            self.window.grad_norm = grad_norm;
            self.unread.newest = [loss, grad_norm];
            watch.step(&state, loss);
        }
        Ok(())
    }

    /// Reads what is left.
    pub(super) fn read_rest(&mut self, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let read = self.unread.read();
        self.take_in(&read, watch)
    }

    /// Counts a step of `seconds`, whose numbers may not have been read.
    fn count(&mut self, seconds: f64) {
        let examples = self.run.config.training.batch_size as u64;
        self.state.step += 1;
        self.state.examples += examples;
        self.state.seconds += seconds;
        self.window.steps += 1;
        self.window.examples += examples;
        self.window.seconds += seconds;
        self.unread.states.push(self.state);
    }
}
