//! Progress on stderr: a bar on a terminal, a plain line now and then when it is not.

use std::{
    io::IsTerminal,
    path::Path,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use sfumato_train::{Metrics, TrainState, Watch};

/// Time between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(15);
/// Weight of the past in the smoothed loss.
const SMOOTHING: f64 = 0.98;

/// Shows a training run.
pub(crate) struct TrainProgress {
    steps: u64,
    bar: Option<ProgressBar>,
    last_line: Option<Instant>,
    loss: Smoothed,
    began: (Instant, u64, f64),
    rate: f64,
}

impl TrainProgress {
    /// Of a run that ends at `steps`.
    pub(crate) fn new(steps: u64) -> Self {
        let style = "{bar:24} step {pos}/{len}  {msg}  {eta} left";
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(steps).with_style(style)
        });
        Self { steps, bar, last_line: None, loss: Smoothed::default(), began: (Instant::now(), 0, 0.0), rate: 0.0 }
    }

    /// Prints a line without disturbing the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Leaves the bar as it stands.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

impl Watch for TrainProgress {
    fn begin(&mut self, state: &TrainState, parameters: usize) {
        self.began = (Instant::now(), state.step, state.seconds);
        if let Some(bar) = &self.bar {
            bar.set_position(state.step);
            bar.reset_eta();
        }
        let from = if state.step > 0 { format!(", from step {}", state.step) } else { String::new() };
        self.say(&format!("training {parameters} parameters{from} to step {}", self.steps));
    }

    fn step(&mut self, state: &TrainState, loss: f64) {
        self.loss.add(loss);
        let steps = (state.step - self.began.1) as f64;
        let seconds = state.seconds - self.began.2;
        self.rate = state.examples as f64 / state.step as f64 * steps / seconds;
        let message = format!("loss {:.4}  {:.1} images/s", self.loss.value(), self.rate);
        if let Some(bar) = &self.bar {
            bar.set_message(message);
            bar.set_position(state.step);
            return;
        }
        let due = self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) || state.step == self.steps;
        if due {
            let left = Duration::from_secs_f64((self.steps - state.step) as f64 * seconds / steps);
            eprintln!("step {}/{}  {message}  {} left", state.step, self.steps, indicatif::HumanDuration(left));
            self.last_line = Some(Instant::now());
        }
    }

    fn metrics(&mut self, _: &Metrics) {}

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
}

/// Shows the drawing of samples.
pub(crate) struct SampleProgress {
    bar: Option<ProgressBar>,
}

impl SampleProgress {
    /// Of `total` steps over all batches.
    pub(crate) fn new(total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:24} {percent}%  {msg}  {eta} left");
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar }
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
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:24} {percent}%  {msg}  {eta} left");
            ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { total, bar, began: Instant::now(), last_line: Instant::now() }
    }

    /// So many evaluations are done.
    pub(crate) fn update(&mut self, done: u64, message: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.to_owned());
            bar.set_position(done);
        } else if self.last_line.elapsed() >= LINE_EVERY {
            let left = self.began.elapsed().mul_f64(self.total.saturating_sub(done) as f64 / done.max(1) as f64);
            eprintln!("{message}  {} left", indicatif::HumanDuration(left));
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
