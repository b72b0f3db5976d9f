//! `sfumato export`

use std::fs;

use anyhow::{Context, Result, bail};
use sfumato_kernels::Backend;
use sfumato_model::{
    params::FileParams,
    pipeline::{AnyConfig, Pipeline, PipelineSpec, Warning},
};

use crate::{
    args::{DtypeName, ExportArgs, MachineArgs, WeightsName},
    backend::{Work, with_backend},
    loaded,
    output_dir::empty_dir,
};

pub(crate) fn run(args: ExportArgs) -> Result<()> {
    let model = loaded::open_model_with(&args.model, args.null_class)?;
    match &model.spec.config {
        AnyConfig::UNet(config) => {
            if let Some(heads) = config.attention_heads {
                bail!(
                    "{}: attentions of every width have {heads} heads, which diffusers' UNet2DModel cannot express; the model \
                     can be used here as it is",
                    args.model.display()
                );
            }
        }
        AnyConfig::Mlp(_) | AnyConfig::Own(_) => bail!(
            "{} holds a {}, which is no class of diffusers: only U-Nets can be exported",
            args.model.display(),
            model.spec.config.class_name()
        ),
    }
    empty_dir(&args.out)?;
    with_backend(&MachineArgs::default(), Exporting { args, model })
}

struct Exporting {
    args: ExportArgs,
    model: Pipeline,
}

impl Work for Exporting {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let Self { args, model } = self;
        let PipelineSpec { config, scheduler, facts } = &model.spec;
        let AnyConfig::UNet(network) = config else { unreachable!("other networks were refused before") };
        let raw = model.dir().join("training/weights.safetensors");
        let mut params = match args.weights {
            WeightsName::Ema => model.params()?,
            WeightsName::Raw => FileParams::open(&raw)
                .with_context(|| format!("{} is no training checkpoint with raw weights", args.model.display()))?,
        };
        let net = network.build::<B>(&mut params, &device)?;
        let mut facts = facts.clone();
        let is_raw = model.warnings.iter().any(|warning| matches!(warning, Warning::RawWeights { .. }));
        if raw.is_file() || is_raw {
            let name = if is_raw || args.weights == WeightsName::Raw { "raw" } else { "moving average" };
            facts.provenance.insert("weights".into(), name.into());
        }
        let spec = PipelineSpec { config: config.clone(), scheduler: scheduler.clone(), facts };
        spec.write_as(&args.out, &net, args.dtype.into())?;
        if model.dir().join("samples.png").is_file() {
            fs::copy(model.dir().join("samples.png"), args.out.join("samples.png"))
                .context("cannot copy samples.png")?;
        }
        keep_fit(&args, &model)?;
        spec.write_card(&args.out, model.dir())?; // again, with what is known of its training and its scores
        out!("{}", args.out.display())
    }
}

/// A fit is that of the weights: it goes along where these do, and is left out with a word about it where others are written.
fn keep_fit(args: &ExportArgs, model: &Pipeline) -> Result<()> {
    if !model.has_fit() {
        return Ok(());
    }
    let left_out = |why: &str| say!("note: {} is left out: {why}", model.fit_path().display());
    match model.fit() {
        _ if args.weights == WeightsName::Raw => left_out("it is the fit of the moving average"),
        _ if args.dtype != DtypeName::F32 => left_out("it is the fit of the weights before they were rounded"),
        Ok(fit) => drop(Pipeline::open(&args.out)?.write_fit(fit.fit.measured().clone(), fit.data)?),
        Err(error) => left_out(&error.to_string()),
    }
    Ok(())
}
