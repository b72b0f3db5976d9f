//! From a run's configuration to what its model directories say.

use sfumato_data::Dataset;
use sfumato_model::Spacing;
use sfumato_model::pipeline::{AnyConfig, Facts, PipelineSpec, SamplingDefaults, Scheduler};
use sfumato_process::ModelVariance;

use crate::config::{DiffusionConfig, InitConfig};

/// Everything about a model but its weights: what a checkpoint of a run on `data` says.
///
/// `environment` is recorded as the model's provenance, with the data set's name and checksum. A class-conditional model keeps
/// the names of its classes. Predictions of images are
/// clipped to [-1, 1] while sampling, those of points are not.
pub(crate) fn pipeline_spec(
    config: AnyConfig,
    diffusion: &DiffusionConfig,
    data: &dyn Dataset,
    environment: &serde_json::Value,
) -> PipelineSpec {
    let ToldClasses { null_class, names: class_names } = told_classes(&config, data);
    let mut provenance = environment.as_object().cloned().unwrap_or_default();
    provenance.insert("dataset".into(), data.name().into());
    provenance.insert("dataset_sha256".into(), data.sha256().into());
    let scheduler = Scheduler {
        schedule: diffusion.schedule.clone(),
        parameterization: diffusion.parameterization,
        variance: diffusion.variance,
        // Images are in [-1, 1], points anywhere.
        clip_sample: config.example_shape().is_none_or(|shape| shape.len() == 3),
        sampling: SamplingDefaults { spacing: spacing(diffusion.variance), ..SamplingDefaults::default() },
        ..Scheduler::default()
    };
    PipelineSpec { config, scheduler, facts: Facts { null_class, class_names, provenance } }
}

/// What a network can be told about the class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToldClasses {
    /// The class that stands for "any": the last of the table, where there is one.
    pub(crate) null_class: Option<usize>,
    /// Names of the others; empty without classes, or where the data does not name them.
    pub(crate) names: Vec<String>,
}

/// The classes of a network for `data`: those of the data, and one more where the table has a row for it.
pub(crate) fn told_classes(config: &AnyConfig, data: &dyn Dataset) -> ToldClasses {
    match table(config) {
        Some(rows) => ToldClasses {
            null_class: rows.checked_sub(1).filter(|null| data.classes().is_none_or(|classes| classes <= *null)),
            names: data.class_names().to_vec(),
        },
        None => ToldClasses::default(),
    }
}

/// What a class-conditional network is told of an example without a label; none of a network without classes. Where there is no class that
/// stands for "any", every example has a label.
pub(crate) fn unlabelled(spec: &PipelineSpec) -> Option<usize> {
    table(&spec.config).map(|_| spec.facts.null_class.unwrap_or(0))
}

/// Number of classes that can be asked for by name; none of a network without classes.
pub(crate) fn named_classes(spec: &PipelineSpec) -> Option<usize> {
    table(&spec.config).map(|rows| spec.facts.null_class.unwrap_or(rows))
}

/// Rows of the table of classes.
fn table(config: &AnyConfig) -> Option<usize> {
    match config {
        AnyConfig::UNet(config) => config.num_classes(),
        AnyConfig::Mlp(_) | AnyConfig::Own(_) => None,
    }
}

/// Records in `facts` which model the run started from.
pub(crate) fn say_source(init: &InitConfig, facts: &mut Facts) {
    facts.provenance.insert("init_from".into(), init.from.display().to_string().into());
    facts.provenance.insert("init_sha256".into(), init.sha256.clone().into());
}

/// How the steps of a short chain are spread, unless the caller says otherwise.
///
/// The class's own `leading` starts below T, where `x_T` is not yet noise. `linspace` spends its last step at `t = 1`, where nothing is
/// left to do; `trailing` does not, and draws better pictures with few steps. But diffusers adds noise of the step's variance at the end
/// of `trailing`: with the large variance that leaves grain.
fn spacing(variance: ModelVariance) -> Spacing {
    match variance {
        ModelVariance::FixedLarge => Spacing::Linspace,
        _ => Spacing::Trailing,
    }
}
