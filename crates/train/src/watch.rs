//! Looking on while a run goes.

use std::path::Path;

use crate::{Metrics, Planned, TrainState};

/// What looks on while a run goes.
pub trait Watch {
    /// The run begins, or goes on, at `state`; the network has `parameters` weights.
    fn begin(&mut self, state: &TrainState, parameters: usize);
    /// A step is done; `loss` is that of its batch.
    fn step(&mut self, state: &TrainState, loss: f64);
    /// The model is being scored: `done` of `total` evaluations of the network.
    fn scoring(&mut self, done: usize, total: usize) {
        let _ = (done, total);
    }
    /// A line was written to `metrics.jsonl`.
    fn metrics(&mut self, metrics: &Metrics);
    /// A checkpoint was written.
    fn checkpoint(&mut self, path: &Path);
    /// Samples are being drawn: `done` of `total` sampler steps.
    fn sampling(&mut self, done: usize, total: usize);
    /// A sample grid was written.
    fn samples(&mut self, path: &Path);
    /// It is known how many steps fit into the time limit.
    fn planned(&mut self, planned: &Planned) {
        let _ = planned;
    }
    /// Something that the user should know, in a sentence; the run goes on. It is logged if nobody looks.
    fn warn(&mut self, text: &str) {
        tracing::warn!("{text}");
    }
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Watch for Silent {
    fn begin(&mut self, _: &TrainState, _: usize) {}
    fn step(&mut self, _: &TrainState, _: f64) {}
    fn metrics(&mut self, _: &Metrics) {}
    fn checkpoint(&mut self, _: &Path) {}
    fn sampling(&mut self, _: usize, _: usize) {}
    fn samples(&mut self, _: &Path) {}
}
