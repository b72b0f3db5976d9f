//! What the ranks of a run agree on, beside its gradients.

use std::{
    hash::{DefaultHasher, Hasher},
    sync::atomic::Ordering,
};

use burn::module::{AutodiffModule, Module};
use sfumato_kernels::{AutodiffBackend, Backend};
use sfumato_nets::params::parameters;

use super::{Run, Session};
use crate::{
    TrainError, Watch,
    checkpoint::host,
    metrics::{MetricsLog, OpenedLog},
    ranks::{Same, check_same},
};

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    /// Agrees on the end of a step: whether a rank was asked to stop, and how many `seconds` it took by the clock of rank 0, which
    /// every plan is made by.
    pub(super) fn agree(&mut self, seconds: f64) -> f64 {
        let mut words = seconds.to_le_bytes().to_vec();
        words.push(self.run.stop.load(Ordering::SeqCst).into());
        let said = self.run.ranks.all_gather(&words);
        self.told_to_stop = said.iter().any(|words| words.last() == Some(&1));
        said[0][..8].try_into().map_or(seconds, f64::from_le_bytes)
    }
}

impl Run<'_> {
    /// The lines of the run up to `step`, to be gone on with.
    pub(super) fn open_metrics(&self, step: u64, watch: &mut dyn Watch) -> Result<MetricsLog, TrainError> {
        let OpenedLog { log, warning } = MetricsLog::open(&self.dir.metrics_file(), step)?;
        if let Some(warning) = warning {
            watch.warn(&warning);
        }
        Ok(log)
    }

    /// Whether the only process has been asked to stop: it need not wait for the end of another step to agree with anybody.
    pub(super) fn is_asked_alone(&self) -> bool {
        self.ranks.is_alone() && self.stop.load(Ordering::SeqCst)
    }

    /// Compares the weights of all ranks. They are equal by construction; memory that fails, or a processor that rounds in another way, is found
    /// here before it spoils a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Ranks`], on every rank.
    pub(super) fn check_same_weights<A, M>(&self, model: &M, step: u64) -> Result<(), TrainError>
    where
        A: AutodiffBackend,
        M: AutodiffModule<A>,
        M::InnerModule: Module<A::InnerBackend>,
    {
        if self.ranks.is_alone() {
            return Ok(());
        }
        let value = format!("{:016x}", hash::<A::InnerBackend, _>(&model.valid()));
        check_same(self.ranks, &[Same { what: "the weights", value }])
            .map_err(|reason| TrainError::Ranks { reason: format!("step {step}: {reason}") })
    }
}

fn hash<B: Backend, M: Module<B>>(model: &M) -> u64 {
    let mut hasher = DefaultHasher::new();
    for parameter in parameters(model) {
        hasher.write(parameter.name.as_bytes());
        host(&parameter.tensor).iter().for_each(|value| hasher.write_u32(value.to_bits()));
    }
    hasher.finish()
}
