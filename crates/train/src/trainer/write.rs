//! What a run in progress leaves: checkpoints and sample grids.

use std::{fs, ops::ControlFlow, path::PathBuf, sync::atomic::Ordering};

use burn::module::AutodiffModule;
use sfumato_kernels::AutodiffBackend;
use sfumato_model::{Blueprint, sampling};

use super::Session;
use crate::{
    DataRecord, NewCheckpoint, TrainError, Watch, averages,
    checkpoint::{Reached, write_training},
    error::IoContext,
    metrics::MetricsLog,
    preview,
};

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    pub(super) fn checkpoint<const D: usize>(
        &mut self,
        model: &P::Net<A>,
        watch: &mut dyn Watch,
    ) -> Result<PathBuf, TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let config = self.config();
        let raw = model.valid();
        let keep = (config.training.keep_checkpoints, config.training.keep_best);
        self.metrics.as_ref().map_or(Ok(()), MetricsLog::sync)?;
        let NewCheckpoint { path, unlinked } = self.run.dir.add_checkpoint(self.state.step, keep, |dir| {
            let averaged = self.optimizer.averaged(raw.clone());
            self.spec.write(dir, &averaged)?;
            let data = DataRecord::of(self.run.data);
            let reached = Reached {
                state: self.state,
                since_last_metrics: self.window,
                times: self.times.history(),
                measured: self.measured_now(),
                averages: self.averages.as_ref(),
            };
            write_training(dir, &config, &data, reached, &raw, &self.optimizer)?;
            // Again: only now can it say how far the run is.
            self.spec.write_card(dir, dir).map_err(|error| TrainError::Io {
                action: error.action,
                path: error.path,
                source: error.source,
            })
        })?;
        watch.checkpoint(&path);
        if let Some(reason) = unlinked
            && !std::mem::replace(&mut self.unlinked, true)
        {
            watch.warn(&format!(
                "{reason}. The newest checkpoint is always the last of {}",
                self.run.dir.checkpoints().display()
            ));
        }
        Ok(path)
    }

    /// Keeps the averages as they are after this step.
    pub(super) fn keep_averages<const D: usize>(&self, model: &P::Net<A>) -> Result<(), TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let Some(averages) = &self.averages else { return Ok(()) };
        let dir = self.run.dir.averages();
        fs::create_dir_all(&dir).context("create", &dir)?;
        averages::write(&averages::snapshot(&dir, self.state.step), &self.run.config.averages, &model.valid(), averages)
    }

    pub(super) fn preview<const D: usize>(&self, model: &P::Net<A>, watch: &mut dyn Watch) -> Result<(), TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let config = self.run.config;
        let plan = preview::plan(config, &self.spec, self.run.data.shape())?;
        let net = self.optimizer.averaged(model.valid());
        let stop = self.run.stop;
        let mut observe = |progress: sampling::Progress<'_, A::InnerBackend, D>| {
            watch.sampling(progress.done, progress.total);
            if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let samples = match sampling::draw(&net, &plan, self.device, &mut observe) {
            Ok(samples) => samples,
            // Asked to stop meanwhile: the picture can wait.
            Err(sfumato_process::sampler::SampleError::Stopped { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let (dir, step) = (self.run.dir.samples(), self.state.step);
        match preview::write(&dir, step, &samples, &plan, self.run.data, &self.spec) {
            Ok(path) => watch.samples(&path),
            // A picture is no reason to end a run.
            Err(error) => watch.warn(&format!("{error}; the run goes on without this picture")),
        }
        Ok(())
    }
}
