//! A run that is looked at while it goes: every checkpoint and every grid renews its page.

use std::path::Path;

use sfumato_train::{Metrics, Planned, TrainState, Watch};

use crate::{progress::TrainProgress, report::Renewal};

/// Progress on stderr, and the page.
pub(super) struct Renewing<'a> {
    pub(super) progress: &'a mut TrainProgress,
    pub(super) page: Renewal,
}

impl Renewing<'_> {
    fn renew(&mut self) {
        if let Some(reason) = self.page.renew() {
            self.progress.warn(&reason);
        }
    }
}

impl Watch for Renewing<'_> {
    fn begin(&mut self, state: &TrainState, parameters: usize) {
        self.progress.begin(state, parameters);
    }

    fn step(&mut self, state: &TrainState, loss: f64) {
        self.progress.step(state, loss);
    }

    fn metrics(&mut self, metrics: &Metrics) {
        self.progress.metrics(metrics);
    }

    fn checkpoint(&mut self, path: &Path) {
        self.progress.checkpoint(path);
        self.renew();
    }

    fn sampling(&mut self, done: usize, total: usize) {
        self.progress.sampling(done, total);
    }

    fn samples(&mut self, path: &Path) {
        self.progress.samples(path);
        self.renew();
    }

    fn planned(&mut self, planned: &Planned) {
        self.progress.planned(planned);
    }

    fn warn(&mut self, text: &str) {
        self.progress.warn(text);
    }
}
