//! What a run has before its first step: the network, and what that is told.

use std::sync::{Mutex, PoisonError};

use sfumato_kernels::AutodiffBackend;
use sfumato_model::{Blueprint, pipeline::PipelineSpec};
use sfumato_nets::{
    NetError, Network,
    params::{ParamSource, RandomParams, parameters},
};

use super::Run;
use crate::{Source, TrainError, batch::Labels, init, spec::unlabelled};

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
            return self.precise(build_seeded(blueprint, &mut RandomParams::new(seed), seed, device));
        };
        let source = Source::find(init)?;
        let transfer = source.transfer::<A, P, D>(blueprint, self.config, self.data, device)?;
        if self.ranks.leads() {
            init::write(self.dir.root(), &source, &transfer)?;
        }
        self.precise(build_seeded(blueprint, &mut source.params(transfer, seed)?, seed, device))
    }

    /// The network with the precision of the run.
    fn precise<A: AutodiffBackend, N: Network<A, D>, const D: usize>(
        &self,
        net: Result<N, NetError>,
    ) -> Result<N, TrainError> {
        let mut net = net?;
        net.set_precision(self.config.training.precision);
        Ok(net)
    }

    /// What a class-conditional network is told.
    pub(super) fn labels(&self, spec: &PipelineSpec) -> Option<Labels> {
        // Without a class that stands for "any", no label can be left out.
        let dropout = spec.facts.null_class.map_or(0.0, |_| self.config.label_dropout());
        unlabelled(spec).map(|unlabelled| Labels { unlabelled, dropout })
    }
}

/// A new network with parameters from `source`. What it draws itself comes from Burn's generator, which is one for the whole process:
/// runs that start at the same time take turns.
pub(super) fn build_seeded<A, P, const D: usize>(
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
