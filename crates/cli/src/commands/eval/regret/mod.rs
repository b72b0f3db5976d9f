//! `--regret`: the model beside the perfect denoiser of its training set.

mod recorded;
mod table;

use std::{
    ops::ControlFlow,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context, Error, Result, bail};
use serde_json::{Value, json};
use sfumato_data::{DataError, Dataset, DatasetSpec, LoadOptions, LoadedDataset, Part, Split};
use sfumato_evaluate::regret::{LEVELS, Regret, RegretError, RegretPlan, RegretProgress, RegretSets, levels, regret};
use sfumato_kernels::Backend;
use sfumato_model::{Model, pipeline::Pipeline};

use super::plan::{self, Scored};
use crate::{args::EvalArgs, chart, progress::EvalProgress, regret_curves};
use recorded::Recorded;

/// What is loaded before any work.
pub(super) struct Prepared {
    dataset: DatasetSpec,
    train: LoadedDataset,
    held_out: Option<LoadedDataset>,
    plan: RegretPlan,
    recorded: Recorded,
}

/// A regret, and what it depends on.
pub(super) struct Measured {
    regret: Regret,
    json: Value,
    seconds: f64,
    /// Examples of each set that were asked for; the work may have been stopped before.
    wanted: usize,
    model: String,
    data: [String; 2],
}

impl Prepared {
    /// Loads the training set and what is held out, and compares them with what the model says of its training.
    pub(super) fn new(args: &EvalArgs, model: &Pipeline) -> Result<Self> {
        let recorded = Recorded::of(model);
        let dataset = args.trained_on.clone().unwrap_or_else(|| args.dataset.clone());
        let options = LoadOptions { split: Split::Train, seed: recorded.seed, ..LoadOptions::default() };
        let scored = Scored { dataset: &dataset, ..Scored::of(args) };
        let train = load(scored, model, options).with_context(|| {
            format!("--regret: the training split of {dataset} is needed, for the optimum is that of all that the model was trained on")
        })?;
        recorded.compare(args, &dataset, &train);
        let held_out = held_out(args, model, &train)?;
        let examples = args.regret_examples as usize;
        let levels = levels(&model.spec.scheduler.noise_schedule()?, LEVELS);
        plan::check_batch(scored, model, &train, examples.saturating_mul(levels.len()).saturating_mul(2))?;
        let plan = RegretPlan {
            levels,
            examples,
            seed: args.score.estimate.seed,
            condition: plan::condition(scored, model, &train)?,
            mirrored: recorded.mirrored,
            batch_size: args.score.estimate.batch_size as usize,
        };
        Ok(Self { dataset, train, held_out, plan, recorded })
    }

    /// Measures; nothing if the work is stopped before there is anything to report.
    pub(super) fn measure<B: Backend>(
        &self,
        args: &EvalArgs,
        model: &Model<B>,
        stop: &AtomicBool,
    ) -> Result<Option<Measured>> {
        let start = Instant::now();
        let Self { train, held_out, plan, .. } = self;
        let (examples, levels) = (plan.examples, plan.levels.len());
        say!(
            "measuring the regret on {examples} examples at {levels} noise levels, against all {} training examples",
            train.len()
        );
        let mut shown = None;
        let mut observe = |progress: RegretProgress| {
            let shown = shown.get_or_insert_with(|| EvalProgress::new(progress.total));
            shown.update(progress.evaluations, &format!("{} of {examples} examples", progress.examples));
            if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let sets = RegretSets { train, held_out: held_out.as_ref().map(|data| data as &dyn Dataset) };
        let found = regret(model, plan, &sets, &mut observe);
        if let Some(shown) = shown {
            shown.finish();
        }
        match found {
            Err(RegretError::Stopped { .. }) => {
                say!("stopped before there was a regret to report");
                Ok(None)
            }
            Err(error) => Err(Error::new(error).context("cannot measure the regret")),
            Ok(regret) => Ok(Some(self.measured(args, regret, start.elapsed().as_secs_f64()))),
        }
    }

    fn measured(&self, args: &EvalArgs, regret: Regret, seconds: f64) -> Measured {
        let held_out = self.held_out.as_ref();
        let mut json = json!(regret);
        json["train_dataset"] = self.dataset.to_string().into();
        json["train_sha256"] = self.train.sha256().into();
        json["trained_on_sha256"] = self.recorded.sha256.clone().into();
        json["held_out_dataset"] = held_out.map(|_| args.dataset.to_string()).into();
        json["held_out_sha256"] = held_out.map(Dataset::sha256).into();
        json["examples_planned"] = self.plan.examples.into();
        json["stopped"] = (regret.train_examples < self.plan.examples).into();
        json["condition"] = plan::condition_json(self.plan.condition);
        json["seed"] = args.score.estimate.seed.into();
        json["batch_size"] = args.score.estimate.batch_size.into();
        json["seconds"] = seconds.into();
        Measured {
            regret,
            json,
            seconds,
            wanted: self.plan.examples,
            model: args.model_dir().display().to_string(),
            data: [self.dataset.to_string(), args.dataset.to_string()],
        }
    }
}

impl Measured {
    /// What belongs into the result's file.
    pub(super) fn json(&self) -> Value {
        self.json.clone()
    }

    /// Draws the losses, and the gap.
    pub(super) fn draw(&self, path: &Path) -> Result<()> {
        let title = format!("Loss by noise level: {} on {}", self.model, self.data[0]);
        let kept = ["train_dataset", "train_sha256", "held_out_dataset", "held_out_sha256", "seed"];
        let mut about = json!({ "model": self.model });
        kept.iter().for_each(|key| about[*key] = self.json[*key].clone());
        chart::write(path, &regret_curves::figure(&regret_curves::curves(&self.json), &title), &about)
    }
}

/// A split of the data, with its classes numbered as the model's.
fn load(scored: Scored<'_>, model: &Pipeline, options: LoadOptions) -> Result<LoadedDataset> {
    plan::match_classes(scored, model, plan::load_split(scored, model, options)?)
}

/// Examples that the model was not trained on, if there are any.
fn held_out(args: &EvalArgs, model: &Pipeline, train: &LoadedDataset) -> Result<Option<LoadedDataset>> {
    let part = Part { num: args.regret_examples as usize, seed: Some(args.score.estimate.seed), checksum: true };
    let options = LoadOptions { split: Split::Test, part: Some(part), ..LoadOptions::default() };
    let without = |why: &str| say!("warning: {why}: the regret is measured, but no gap to held-out examples");
    let data = match load(Scored::of(args), model, options) {
        Ok(data) => data,
        Err(error) => match error.downcast_ref::<DataError>() {
            Some(DataError::NoTestSplit { .. } | DataError::MiniHasNoTestSplit) => {
                without(&format!("{error:#}"));
                return Ok(None);
            }
            _ => return Err(error.context("--regret: cannot load the examples that are held out")),
        },
    };
    if !data.sha256().is_empty() && data.sha256() == train.sha256() {
        without(&format!("the test split of {} holds the very examples of the training split", args.dataset));
        return Ok(None);
    }
    if data.len() < 2 {
        bail!(
            "--regret: the test split of {} has {} example, but two are needed for a standard error",
            args.dataset,
            data.len()
        );
    }
    Ok(Some(data))
}
