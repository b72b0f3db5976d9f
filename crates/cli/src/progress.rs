//! Progress on stderr: a bar on a terminal, a plain line now and then when it is not.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use sfumato_train::{Metrics, Planned, TrainState, Watch};

use crate::bar;

/// Time between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(15);
/// Weight of the past in the smoothed loss.
const SMOOTHING: f64 = 0.98;

/// Parts of the bar of a training run, which is as far as its steps or its time, whichever ends it.
const PARTS: u64 = 10_000;
/// A bar of work whose end is known.
const COUNTED: &str = "{bar:24} {percent}%  {msg}  {eta} left";

/// Shows a training run.
pub(crate) struct TrainProgress {
    steps: u64,
    /// Seconds of training after which it ends.
    limit: f64,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    loss: Smoothed,
    /// The newest score of held-out examples, bits/dim.
    held_out: Option<f64>,
    began: TrainState,
    begun: bool,
}

impl TrainProgress {
    /// Of a run that ends at `steps`, or after `max_minutes` of training from now (0: no limit).
    pub(crate) fn new(steps: u64, max_minutes: f64) -> Self {
        let limit = if max_minutes > 0.0 { max_minutes * 60.0 } else { f64::INFINITY };
        Self {
            steps,
            limit,
            bar: bar::new(PARTS, "{bar:24} {msg}"),
            last_line: None,
            loss: Smoothed::default(),
            held_out: None,
            began: TrainState::default(),
            begun: false,
        }
    }

    /// Prints a line without disturbing the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say!("{line}")),
            None => say!("{line}"),
        }
    }

    /// Leaves the bar as it stands.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    /// Whether the run has begun: its network is made, or read.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Seconds of training that are left, and the fraction of this part of the run that is done.
    fn left(&self, state: &TrainState) -> (f64, f64) {
        let steps = (state.step - self.began.step) as f64;
        let seconds = state.seconds - self.began.seconds;
        let by_steps = self.steps.saturating_sub(state.step) as f64 * seconds / steps;
        let left = by_steps.min((self.limit - seconds).max(0.0));
        (left, if left > 0.0 { seconds / (seconds + left) } else { 1.0 })
    }
}

impl Watch for TrainProgress {
    fn begin(&mut self, state: &TrainState, _: usize) {
        self.began = *state;
        self.begun = true;
        if state.step > 0 {
            self.say(&format!("resuming from step {}", state.step));
        }
    }

    fn step(&mut self, state: &TrainState, loss: f64) {
        self.loss.add(loss);
        let rate = (state.examples - self.began.examples) as f64 / (state.seconds - self.began.seconds);
        let (left, done) = self.left(state);
        let message = || {
            let held_out = self.held_out.map_or_else(String::new, |bits| format!("  held-out {bits:.3}"));
            format!(
                "step {}/{}  loss {:.4}{held_out}  {rate:.1} images/s  {} left",
                state.step,
                self.steps,
                self.loss.value(),
                indicatif::HumanDuration(Duration::try_from_secs_f64(left).unwrap_or_default())
            )
        };
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.set_position((done * PARTS as f64) as u64);
            return;
        }
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) || state.step == self.steps;
        if due {
            say!("{}", message());
            self.last_line = Some(Instant::now());
        }
    }

    fn scoring(&mut self, done: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("scoring, {done}/{total}"));
        }
    }

    fn metrics(&mut self, metrics: &Metrics) {
        let (Some(held_out), Some(training)) = (&metrics.held_out, &metrics.training_examples) else { return };
        self.held_out = Some(held_out.bits_per_dim);
        self.say(&format!(
            "score      step {}: {:.3} ± {:.3} bits/dim of held-out examples, {:.3} of training examples",
            metrics.step, held_out.bits_per_dim, held_out.standard_error, training.bits_per_dim
        ));
    }

    fn checkpoint(&mut self, path: &Path) {
        self.say(&format!("checkpoint {}", path.display()));
    }

    fn sampling(&mut self, done: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("drawing samples, {done}/{total}"));
        }
    }

    fn samples(&mut self, path: &Path) {
        self.say(&format!("samples    {}", path.display()));
    }

    fn planned(&mut self, planned: &Planned) {
        let Planned { steps, seconds_per_step, first } = *planned;
        let what = match first {
            true if steps < self.steps => "fit into the time limit".to_owned(),
            true => "are done within the time limit".to_owned(),
            false => format!("instead of {}", self.steps),
        };
        self.say(&format!("plan       {steps} steps {what}, at {seconds_per_step:.3} s a step"));
        self.steps = steps;
    }

    fn warn(&mut self, text: &str) {
        self.say(&format!("warning: {text}"));
    }
}

/// Shows the drawing of samples.
pub(crate) struct SampleProgress {
    bar: Option<ProgressBar>,
}

impl SampleProgress {
    /// Of `total` steps over all batches.
    pub(crate) fn new(total: u64) -> Self {
        Self { bar: bar::new(total, COUNTED) }
    }

    /// One more step is done.
    pub(crate) fn step(&self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.to_owned());
            bar.inc(1);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows an evaluation.
pub(crate) struct EvalProgress {
    total: u64,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Instant,
}

impl EvalProgress {
    /// Of `total` evaluations of the network.
    pub(crate) fn new(total: u64) -> Self {
        Self { total, bar: bar::new(total, COUNTED), began: Instant::now(), last_line: Instant::now() }
    }

    /// So many evaluations are done.
    pub(crate) fn update(&mut self, done: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.to_owned());
            bar.set_position(done);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            let left = self.began.elapsed().mul_f64(self.total.saturating_sub(done) as f64 / done.max(1) as f64);
            say!("{message}  {} left", indicatif::HumanDuration(left));
            self.last_line = Instant::now();
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// An exponential moving average without the pull of its starting value.
#[derive(Default)]
struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    fn add(&mut self, value: f64) {
        self.sum = SMOOTHING * self.sum + (1.0 - SMOOTHING) * value;
        self.weight = SMOOTHING * self.weight + (1.0 - SMOOTHING);
    }

    fn value(&self) -> f64 {
        self.sum / self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_ends_with_the_steps_or_with_the_time() {
        let at = |step, seconds| TrainState { step, examples: 8 * step, seconds };
        let mut progress = TrainProgress::new(100, 1.0);
        // 2 seconds a step: 30 of the 80 steps fit into the minute.
        progress.began = at(20, 500.0);
        assert_eq!(progress.left(&at(30, 520.0)), (40.0, 20.0 / 60.0));
        // A tenth of a second a step: the steps end first.
        assert_eq!(progress.left(&at(60, 504.0)), (4.0, 0.5));
        assert_eq!(progress.left(&at(100, 508.0)), (0.0, 1.0));
        assert_eq!(progress.left(&at(50, 570.0)), (0.0, 1.0));
        progress.limit = f64::INFINITY;
        assert_eq!(progress.left(&at(30, 520.0)), (140.0, 0.125));
    }

    #[test]
    fn the_smoothed_loss_starts_at_the_first_value_and_forgets_it_slowly() {
        let mut loss = Smoothed::default();
        loss.add(4.0);
        assert!((loss.value() - 4.0).abs() < 1e-12);
        for _ in 0..1000 {
            loss.add(1.0);
        }
        assert!((loss.value() - 1.0).abs() < 1e-6);
    }
}
