//! `--width best`: the width whose weights give held-out examples the fewest bits.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use sfumato_data::LoadedDataset;
use sfumato_evaluate::{EvalPlan, evaluate};
use sfumato_kernels::Backend;
use sfumato_model::{Model, pipeline::Pipeline};
use sfumato_process::bound::Mean;
use sfumato_train::{Average, TrainConfig};

use super::{ROUGH, Source};
use crate::{
    args::{AverageArgs, ScoreArgs, SplitName},
    backend::{Work, with_backend},
    commands::eval::plan::{self, Scored},
    progress::EvalProgress,
    signals,
};

/// Widths that are tried: each about half as wide again as the one before. Wider ones look back to the first half of a run.
const WIDTHS: [f64; 7] = [0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2];
/// Examples that they are scored on, at most: all on the same noise, so that small differences show.
const EXAMPLES: usize = 128;

/// The average with the fewest bits; none if the call was stopped.
pub(super) fn find(args: &AverageArgs, source: &Source, model: &Pipeline) -> Result<Option<Average>> {
    // Whether there is anything to choose from is known before the work.
    source.average(WIDTHS[0])?;
    let stop = signals::stop_flag()?;
    with_backend(&args.machine, Search { args, source, model, stop })
}

struct Search<'a> {
    args: &'a AverageArgs,
    source: &'a Source,
    model: &'a Pipeline,
    stop: Arc<AtomicBool>,
}

impl Work for Search<'_> {
    type Output = Option<Average>;

    fn run<B: Backend>(self, device: B::Device) -> Result<Option<Average>> {
        let config = TrainConfig::read(&self.source.checkpoint.join("training/config.toml"))?;
        let mut args = score_args(&config);
        let scored = self.scored(&config, &args);
        plan::check(scored, self.model)?;
        let data = plan::load_data(scored, self.model).context(
            "--width best scores averages on what the run did not learn: held-out examples (train --held-out), or the test split of its data",
        )?;
        let few = scored.in_split(&data).min(EXAMPLES) as u32;
        if few == 0 {
            bail!(
                "--width best: the {} split of {} has no examples to score averages on",
                scored.split(&data),
                scored.dataset
            );
        }
        args.data.limit = Some(few);
        let scored = self.scored(&config, &args);
        let data = plan::match_classes(scored, self.model, data)?;
        let plan = plan::plan(scored, self.model, &data, None)?;
        say!(
            "scoring averages of {} widths on {} examples of the {} split of {}",
            WIDTHS.len(),
            plan.num,
            scored.split(&data),
            scored.dataset
        );
        let Some(own) = self.score::<B>(self.model, &plan, &data, &device)? else { return Ok(None) };
        say!("{}", line("the run's own average", own));
        let mut best: Option<(Average, Mean)> = None;
        for width in WIDTHS {
            let average = self.source.average(width)?;
            if average.error > ROUGH {
                say!("width {width}: left out, since the run keeps too few averages to make it");
                continue;
            }
            let (_place, model) = self.written(&average)?;
            let Some(bits) = self.score::<B>(&model, &plan, &data, &device)? else { return Ok(None) };
            say!("{}", line(&format!("width {width}"), bits));
            if bits.mean.is_finite() && best.as_ref().is_none_or(|(_, least)| bits.mean < least.mean) {
                best = Some((average, bits));
            }
        }
        let Some((average, bits)) = best else {
            bail!("{}: none of these widths gives weights that can be scored", self.source.checkpoint.display())
        };
        if own.mean < bits.mean {
            say!("note: the run's own average has fewer bits than any of these widths");
        }
        Ok(Some(average))
    }
}

impl Search<'_> {
    fn scored<'b>(&'b self, config: &'b TrainConfig, args: &'b ScoreArgs) -> Scored<'b> {
        let (dir, dataset) = (&self.source.checkpoint, &config.data.dataset);
        Scored { dir, dataset, args, machine: &self.args.machine, noise: None, checksum: false }
    }

    /// Bits/dim; none if the call was stopped.
    fn score<B: Backend>(
        &self,
        model: &Pipeline,
        plan: &EvalPlan<'_>,
        data: &LoadedDataset,
        device: &B::Device,
    ) -> Result<Option<Mean>> {
        let loaded = Model::<B>::load(model.clone(), device)?.in_precision(self.args.machine.precision());
        let mut shown = EvalProgress::new((plan.num * plan.bound.points_per_example()) as u64);
        let bound = evaluate(&loaded, plan, data, &mut |progress| {
            shown.update(progress.evaluations, &format!("{} of {} examples", progress.examples, plan.num));
            if self.stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        shown.finish();
        let bound = bound?;
        let whole = bound.examples == plan.num as u64;
        Ok(whole.then(|| bound.total.bits_per_dim(bound.dimensions)))
    }

    /// The model with the weights of `average`, in a folder that lives as long as the first value.
    fn written(&self, average: &Average) -> Result<(tempfile::TempDir, Pipeline)> {
        let place = tempfile::tempdir().context("cannot make a folder for an average")?;
        self.model.spec.write_tensors(place.path(), &average.weights)?;
        let model = Pipeline::open(place.path())?;
        Ok((place, model))
    }
}

fn line(name: &str, bits: Mean) -> String {
    let error = bits.standard_error.map_or_else(String::new, |error| format!(" ± {error:.4}"));
    format!("{name:<22} {:.4}{error} bits/dim", bits.mean)
}

/// What is scored: the examples that the run held out, or else the test split, read as the run reads its data.
fn score_args(config: &TrainConfig) -> ScoreArgs {
    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        score: ScoreArgs,
    }

    let mut score = Defaults::parse_from([""]).score;
    let holds_out = config.held_out.share.is_some_and(|share| share > 0.0);
    score.data.split = if holds_out { SplitName::HeldOut } else { SplitName::Test };
    score.data.data_dir.clone_from(&config.data.dir);
    score.data.strict = config.data.strict;
    (score.data.background, score.data.labels, score.data.range) =
        (config.data.background, config.data.labels, config.data.range);
    score
}
