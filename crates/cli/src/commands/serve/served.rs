//! The model that is served, and what its pictures say of it.

use std::{net::IpAddr, path::Path};

use anyhow::Result;
use sfumato_kernels::Precision;
use sfumato_model::pipeline::Pipeline;

use super::facts;
use crate::{
    args::MachineArgs,
    backend_name::BackendName,
    provenance::{ModelSums, Program, Source},
};

/// What requests are checked against.
pub(super) struct Served {
    pub(super) model: Pipeline,
    /// Which model it is.
    pub(super) sums: ModelSums,
    /// The class that stands for "any", where the call has named it.
    pub(super) null_class: Option<usize>,
    pub(super) on_cpu: bool,
    pub(super) precision: Precision,
}

impl Served {
    /// Reads all weights once.
    ///
    /// # Errors
    /// If a file of the model cannot be read.
    pub(super) fn new(model: Pipeline, null_class: Option<usize>, machine: &MachineArgs) -> Result<Self> {
        let (on_cpu, precision) = (machine.backend.is_cpu(), machine.precision());
        Ok(Self { sums: ModelSums::of(&model)?, model, null_class, on_cpu, precision })
    }

    /// What the pictures come from. Who asks from another machine is not told where the model lies on this one.
    pub(super) fn source(&self, dir: &Path, address: IpAddr, backend: BackendName) -> Source {
        Source {
            model: if address.is_loopback() { dir.to_string_lossy().into_owned() } else { facts::name_of(dir) },
            class_names: self.model.spec.facts.class_names.clone(),
            files: Default::default(),
            program: Program::this(backend),
        }
    }
}
