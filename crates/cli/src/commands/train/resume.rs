//! A run that goes on: from which checkpoint, with which settings, and what is said of both.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use sfumato_data::Dataset;
use sfumato_train::{
    Continuation, DataRecord, FoundCheckpoint, OpenedRun, RunDir, TrainConfig, TrainError, TrainState, ranks::Ranks,
    settle_plan,
};

use super::{Ready, apply_flags, overrides};
use crate::args::{TrainArgs, UsageError};

/// The plan of a run that goes on.
pub(super) struct Going {
    dir: RunDir,
    from: Option<FoundCheckpoint>,
    /// What decides the run from here on.
    pub(super) config: TrainConfig,
    /// What decided it so far, and what has changed; none where there is no checkpoint.
    before: Option<(TrainConfig, Continuation)>,
    /// Whether an older checkpoint than the newest was named.
    rewinds: bool,
}

/// What rank 0 tells the others.
#[derive(Deserialize)]
struct Heard {
    dir: PathBuf,
    from: Option<(PathBuf, u64)>,
    config: String,
}

impl Going {
    /// What there is to do for the run that `path` belongs to; none if all of its steps are done, which is said.
    pub(super) fn plan(args: &TrainArgs, path: &Path) -> Result<Option<Self>> {
        let OpenedRun { dir, from, passed_over } = RunDir::open(path)?;
        for found in &passed_over {
            let aside =
                found.aside.as_ref().map_or_else(String::new, |aside| format!("; it is now {}", aside.display()));
            say!("warning: the checkpoint {found}{aside}");
        }
        if let (Some(from), false) = (&from, passed_over.is_empty()) {
            say!("warning: the newest checkpoint that is whole is that of step {}", from.step);
        }
        let mut config = dir.read_config(from.as_ref(), &overrides(args)?)?;
        apply_flags(&mut config, args);
        config.validate()?;
        let Some(checkpoint) = from else {
            return Ok(Some(Self { dir, from: None, config, before: None, rewinds: false }));
        };
        let step = TrainState::read(&checkpoint.path)?.step;
        let kept = checkpoint.path.join("training/config.toml");
        let before = if kept.is_file() { Some(TrainConfig::read(&kept)?) } else { None };
        if args.minutes.is_some() {
            config.plan_anew(step);
        }
        if let Some(before) = &before {
            settle_plan(before, &mut config, step);
        }
        if step >= config.last_step() {
            return finished(args, &dir, step, &config).map(|()| None);
        }
        let before = match before {
            Some(before) => {
                let continuation = Continuation::new(&before, &mut config, step)?;
                Some((before, continuation))
            }
            None => None,
        };
        let rewinds = dir.newest_checkpoint()?.is_some_and(|newest| newest.step > checkpoint.step);
        Ok(Some(Self { dir, from: Some(checkpoint), config, before, rewinds }))
    }

    /// The plan that rank 0 has made, on every rank; `own` is there on rank 0.
    pub(super) fn shared(ranks: &dyn Ranks, own: Option<Self>) -> Result<Option<Self>> {
        let words = own.as_ref().map_or(Value::Null, |going| {
            json!({
                "dir": going.dir.root(),
                "from": going.from.as_ref().map(|from| json!([from.path, from.step])),
                "config": going.config.to_toml(),
            })
        });
        let heard: Option<Heard> = serde_json::from_slice(&ranks.broadcast(words.to_string().as_bytes()))?;
        if ranks.leads() {
            return Ok(own);
        }
        let Some(Heard { dir, from, config }) = heard else { return Ok(None) };
        Ok(Some(Self {
            dir: RunDir::of_another(&dir),
            from: from.map(|(path, step)| FoundCheckpoint { path, step }),
            config: toml::from_str(&config)?,
            before: None,
            rewinds: false,
        }))
    }

    /// What is known of it on a rank that does not write it.
    pub(super) fn beside(self) -> Ready {
        let Self { dir, from, config, .. } = self;
        Ready { config, origin: String::new(), dir, from }
    }

    /// Compares the data with what the run was started with, and warns if its content has changed.
    pub(super) fn compare_data(&self, data: &dyn Dataset) -> Result<()> {
        let Some(from) = &self.from else { return Ok(()) };
        if let Some(warning) =
            DataRecord::compare_with_checkpoint(&from.path, data, self.config.model.class_conditional())?
        {
            say!("warning: {warning}");
        }
        Ok(())
    }

    /// Says what has changed, records it beside the run, and makes it ready.
    pub(super) fn begin(self, environment: &Value) -> Result<Ready> {
        let Self { dir, from, config, before, rewinds } = self;
        match &from {
            None => say!("note: {} has no checkpoint yet: it starts at step 1", dir.root().display()),
            Some(from) => {
                if rewinds {
                    for path in dir.rewind(from)? {
                        say!(
                            "note: the run goes on from step {}: a later checkpoint is now {}",
                            from.step,
                            path.display()
                        );
                    }
                }
                if let Some((before, continuation)) = &before {
                    tell(continuation, before, &config, from.step);
                    if !continuation.exact {
                        let kept = dir.keep_config(from.step, before)?;
                        say!("kept       {} has the settings up to step {}", kept.display(), from.step);
                    }
                }
            }
        }
        dir.write_config(&config)?;
        dir.write_environment(environment)?;
        let origin = dir.config_file().display().to_string();
        Ok(Ready { config, origin, dir, from })
    }
}

/// A run whose steps are all done: says so, or what is wrong with what was asked.
fn finished(args: &TrainArgs, dir: &RunDir, step: u64, config: &TrainConfig) -> Result<()> {
    let root = dir.root().display();
    let steps = config.last_step();
    // Where the time decided the end, more time is as good as more steps.
    let minutes = if step < config.training.steps { ", or --minutes M," } else { "" };
    let way_out = format!("--steps N with N above {step}{minutes} goes on");
    if let Some(asked) = args.steps.filter(|asked| *asked < step) {
        return Err(UsageError(format!("--steps {asked}: {root} has done {step} steps already; {way_out}")).into());
    }
    if steps < step {
        bail!("{root} has done {step} steps already, more than training.steps = {steps} in its config.toml; {way_out}");
    }
    let changes = [
        ("--minutes", args.minutes.is_some()),
        ("--learning-rate", args.learning_rate.is_some()),
        ("--batch-size", args.batch_size.is_some()),
        ("--shards", args.shards.is_some()),
        ("--precision", args.machine.precision.is_some()),
        ("--seed", args.seed.is_some()),
        ("--set", !args.set.is_empty()),
        ("--flip", args.flip),
        ("--dataset", args.dataset.is_some()),
    ];
    if let Some((flag, _)) = changes.into_iter().find(|(_, given)| *given) {
        return Err(
            UsageError(format!("{flag} has no effect: {root} has done all of its {step} steps; {way_out}")).into()
        );
    }
    say!("{root} has done all of its {step} steps; {way_out}");
    out!("{root}")
}

/// Says what is different from here on.
fn tell(continuation: &Continuation, before: &TrainConfig, config: &TrainConfig, step: u64) {
    for change in continuation.changes.iter().filter(|change| change.key != "optimizer.start_step") {
        say!("changed    {change}");
    }
    if let Some([was, will_be]) = continuation.learning_rate {
        let stretched = before.optimizer == config.optimizer;
        let rates = format!("learning rate: {was:.1e} at step {step}, {will_be:.1e} at step {}", step + 1);
        if stretched {
            say!(
                "warning: {rates}. The cosine now ends at step {}, not at step {}. \
                 With --learning-rate X the rate falls anew from X; with --set optimizer.decay=constant beside it, it stays at X",
                config.last_step(),
                before.last_step()
            );
        } else {
            say!("note: {rates}");
        }
    }
    if !continuation.exact {
        say!("note: from here on the weights are not those of a run that was never stopped");
    }
}

/// The error of a run that could not go on from `from`, with the checkpoint before it as the way out.
pub(super) fn damaged(error: TrainError, dir: &RunDir, from: Option<&FoundCheckpoint>) -> anyhow::Error {
    let older = from.and_then(|from| {
        let found = dir.find_checkpoints().ok()?.complete;
        found.into_iter().rev().find(|found| found.step < from.step)
    });
    match older {
        Some(older) => {
            anyhow::anyhow!(
                "{error}. The checkpoint before it is there: sfumato train --resume {}",
                older.path.display()
            )
        }
        None => error.into(),
    }
}

/// Where a run is sampled from: `model` if it shows `checkpoint`, else the checkpoint itself.
pub(super) fn to_sample_from(dir: &RunDir, checkpoint: &Path) -> PathBuf {
    let same = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    let model = dir.model();
    if same(&model, checkpoint) { model } else { checkpoint.to_path_buf() }
}
