//! The network before the first step.

use std::sync::{Mutex, PoisonError};

use sfumato_kernels::AutodiffBackend;
use sfumato_model::Blueprint;
use sfumato_nets::{
    NetError,
    params::{ParamSource, RandomParams, parameters},
};

use super::Run;
use crate::{Source, TrainError, init};

impl Run<'_> {
    /// The network before the first step: drawn, or as far as it fits that of the model that the run starts from.
    pub(super) fn first_model<A, P, const D: usize>(
        &self,
        blueprint: &P,
        device: &A::Device,
    ) -> Result<P::Net<A>, TrainError>
    where
        A: AutodiffBackend,
        P: Blueprint<D>,
    {
        let seed = self.config.seed;
        let Some(init) = &self.config.init else {
            return Ok(build_seeded(blueprint, &mut RandomParams::new(seed), seed, device)?);
        };
        let source = Source::find(init)?;
        let transfer = source.transfer::<A, P, D>(blueprint, self.config, self.data, device)?;
        init::write(self.dir.root(), &source, &transfer)?;
        Ok(build_seeded(blueprint, &mut source.params(transfer, seed)?, seed, device)?)
    }
}

/// A new network with parameters from `source`. What it draws itself comes from Burn's generator, which is one for the whole process:
/// runs that start at the same time take turns.
fn build_seeded<A, P, const D: usize>(
    blueprint: &P,
    source: &mut dyn ParamSource,
    seed: u64,
    device: &A::Device,
) -> Result<P::Net<A>, NetError>
where
    A: AutodiffBackend,
    P: Blueprint<D>,
{
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    A::seed(device, seed);
    let net = blueprint.build(source, device)?;
    // Burn draws a value when it is first asked for.
    drop(parameters(&net));
    Ok(net)
}
