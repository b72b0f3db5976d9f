//! From a run's configuration to what its model directories say.

use sfumato_data::Dataset;
use sfumato_model::Spacing;
use sfumato_model::pipeline::{AnyConfig, Facts, PipelineSpec, SamplingDefaults, Scheduler};
use sfumato_process::ModelVariance;

use crate::config::DiffusionConfig;

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
    let null_class = match &config {
        AnyConfig::UNet(config) => config.num_classes().map(|classes| classes.saturating_sub(1)),
        AnyConfig::Mlp(_) | AnyConfig::Own(_) => None,
    };
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
    let class_names = if null_class.is_some() { data.class_names().to_vec() } else { Vec::new() };
    PipelineSpec { config, scheduler, facts: Facts { null_class, class_names, provenance } }
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
