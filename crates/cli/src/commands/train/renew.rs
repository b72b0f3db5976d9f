//! A run that is looked at while it goes: every checkpoint and every grid renews its page, and TensorBoard gets what it shows.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use sfumato_model::pipeline::Pipeline;
use sfumato_train::{Metrics, Planned, TrainState, Watch};

use crate::{progress::TrainProgress, report::Renewal, tensorboard::Board};

/// Progress on stderr, the page, and the events.
pub(super) struct Renewing<'a> {
    pub(super) progress: &'a mut TrainProgress,
    pub(super) page: Renewal,
    /// None without `--tensorboard`, and after a write has failed.
    pub(super) board: Option<Board>,
    /// The newest checkpoint.
    pub(super) checkpoint: Option<PathBuf>,
}

impl Renewing<'_> {
    fn renew(&mut self) {
        if let Some(reason) = self.page.renew() {
            self.progress.warn(&reason);
        }
    }

    fn board(&mut self, write: impl FnOnce(&mut Board) -> Result<()>) {
        let written = self.board.as_mut().map_or(Ok(()), write);
        if let Err(error) = written {
            self.board = None;
            self.progress.warn(&format!("{error:#}; the run goes on without TensorBoard's events"));
        }
    }

    /// Puts the grid into the card of the checkpoint of the same step.
    fn show_in_card(&self, grid: &Path) -> Result<()> {
        let Some(checkpoint) = &self.checkpoint else { return Ok(()) };
        if grid.file_stem() == checkpoint.file_name() {
            // Whole or not at all, as every file of a checkpoint.
            sfumato_files::write_atomically(&checkpoint.join("samples.png"), &fs::read(grid)?)?;
            Pipeline::open(checkpoint)?.spec.write_card(checkpoint, checkpoint)?;
        }
        Ok(())
    }
}

impl Watch for Renewing<'_> {
    fn begin(&mut self, state: &TrainState, parameters: usize) {
        self.progress.begin(state, parameters);
        self.board(|board| {
            board.begin(state.step);
            Ok(())
        });
    }

    fn step(&mut self, state: &TrainState, loss: f64) {
        self.progress.step(state, loss);
    }

    fn scoring(&mut self, done: usize, total: usize) {
        self.progress.scoring(done, total);
    }

    fn metrics(&mut self, metrics: &Metrics) {
        self.progress.metrics(metrics);
        self.board(Board::metrics);
    }

    fn checkpoint(&mut self, path: &Path) {
        self.progress.checkpoint(path);
        self.checkpoint = Some(path.to_owned());
        self.board(Board::metrics);
        self.renew();
    }

    fn sampling(&mut self, done: usize, total: usize) {
        self.progress.sampling(done, total);
    }

    fn samples(&mut self, path: &Path) {
        self.progress.samples(path);
        if let Err(error) = self.show_in_card(path) {
            self.progress.warn(&format!("the model's card has no picture: {error:#}"));
        }
        self.board(|board| board.picture(path));
        self.renew();
    }

    fn planned(&mut self, planned: &Planned) {
        self.progress.planned(planned);
    }

    fn warn(&mut self, text: &str) {
        self.progress.warn(text);
    }
}
