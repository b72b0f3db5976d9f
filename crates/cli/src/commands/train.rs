//! `sfumato train`

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context, Result};
use burn::backend::Autodiff;
use sfumato_kernels::Backend;
use sfumato_train::{
    DEFAULT_PRESET, Ending, Outcome, Run, RunDir, TrainConfig,
    data::{self, Dataset, DatasetSpec, LoadOptions, Split},
    free_run_path,
};

use crate::{
    args::{MachineArgs, TrainArgs, UsageError},
    backend::{Work, with_backend},
    environment, loaded,
    progress::TrainProgress,
    signals,
};

/// What the arguments come to.
struct Plan {
    config: TrainConfig,
    root: PathBuf,
    resume: bool,
}

pub(crate) fn run(args: Box<TrainArgs>) -> Result<()> {
    let plan = plan(&args)?;
    plan.config.validate()?;
    if args.print_config {
        print!("{}", plan.config.to_toml());
        return Ok(());
    }
    let stop = signals::stop_flag()?;
    with_backend(&args.machine, Training { plan, stop, machine: args.machine.clone() })
}

/// The work of the command, for whichever backend.
struct Training {
    plan: Plan,
    stop: Arc<AtomicBool>,
    machine: MachineArgs,
}

impl Work for Training {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let Self { plan, stop, machine } = self;
        let data = load_data(&plan.config)?;
        plan.config.check_data(&data)?; // before anything is written
        for finding in plan.config.check_schedule(&data)? {
            eprintln!("warning: noise schedule: {finding}");
        }
        let environment = environment::describe_run(machine.backend);
        let dir = if plan.resume {
            let dir = RunDir::open(&plan.root)?;
            dir.write_config(&plan.config)?;
            dir.write_environment(&environment)?;
            dir
        } else {
            RunDir::create(&plan.root, &plan.config, &environment)?
        };
        eprintln!("data       {}: {} examples of {:?}", data.name(), data.len(), data.shape());
        eprintln!("run        {}", dir.root().display());
        let run = Run {
            config: &plan.config,
            data: &data,
            dir: &dir,
            resume: plan.resume,
            environment: &environment,
            stop: &stop,
        };
        let mut progress = TrainProgress::new(plan.config.training.steps);
        let outcome = run.train::<Autodiff<B>>(&device, &mut progress);
        progress.finish();
        report(&outcome?, &plan, dir.root());
        Ok(())
    }
}

/// Says how the run ended and what can be done with it now.
fn report(outcome: &Outcome, plan: &Plan, root: &Path) {
    let root = root.display();
    let (step, steps) = (outcome.state.step, plan.config.training.steps);
    match outcome.ending {
        Ending::Complete => eprintln!("done: {steps} steps in {:.0} s of training", outcome.state.seconds),
        Ending::TimeLimit => {
            eprintln!("time is up at step {step} of {steps}; go on with: sfumato train --resume {root}");
        }
        Ending::Stopped => eprintln!("stopped at step {step} of {steps}; go on with: sfumato train --resume {root}"),
    }
    eprintln!("sample with: sfumato sample --model {root}/model --num 64 --out samples");
    println!("{root}");
}

fn plan(args: &TrainArgs) -> Result<Plan> {
    if let Some(root) = &args.resume {
        let dir = RunDir::open(root)?;
        let mut config = TrainConfig::read(&dir.config_file())?;
        apply_run_flags(&mut config, args);
        return Ok(Plan { config, root: root.clone(), resume: true });
    }
    let preset = match (&args.preset, &args.config, &args.dataset) {
        (Some(name), _, _) => Some(name.as_str()),
        (None, Some(_), _) => None,
        // A plane wants an MLP.
        (None, None, Some(DatasetSpec::Toy(_))) => Some("swiss-roll"),
        (None, None, _) => Some(DEFAULT_PRESET),
    };
    let overrides = args.set.iter().map(|text| parse_override(text)).collect::<Result<Vec<_>>>()?;
    let mut config = TrainConfig::layered(preset, args.config.as_deref(), &overrides)?;
    apply_data_flags(&mut config, args)?;
    apply_run_flags(&mut config, args);
    let name = match (preset, &args.dataset) {
        (Some(preset), None) => preset.to_owned(),
        _ => run_name(&config.data.dataset),
    };
    let root = args.out.clone().unwrap_or_else(|| free_run_path(&name));
    Ok(Plan { config, root, resume: false })
}

/// A directory name for a run on `dataset`: what its last part is called.
fn run_name(dataset: &DatasetSpec) -> String {
    let text = dataset.to_string();
    let path = Path::new(text.split_once(':').map_or(text.as_str(), |(_, rest)| rest));
    let name = path.file_stem().map_or("run".into(), |name| name.to_string_lossy());
    name.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}

/// `a.b.c=value` as a path and a TOML value; a value that is no TOML is taken as a string.
fn parse_override(text: &str) -> Result<(Vec<String>, toml::Value)> {
    let wrong = || UsageError(format!("--set {text}: expected KEY=VALUE, as in optimizer.learning_rate=1e-4"));
    let (key, value) = text.split_once('=').ok_or_else(wrong)?;
    if key.is_empty() || key.split('.').any(str::is_empty) {
        return Err(wrong().into());
    }
    let parsed = format!("value = {value}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("value"));
    let value = parsed.unwrap_or_else(|| toml::Value::String(value.to_owned()));
    Ok((key.split('.').map(str::to_owned).collect(), value))
}

fn apply_data_flags(config: &mut TrainConfig, args: &TrainArgs) -> Result<()> {
    let data = &mut config.data;
    if let Some(dataset) = &args.dataset {
        data.dataset = dataset.clone();
    }
    data.image_size = args.image_size.or(data.image_size);
    data.channels = args.channels.or(data.channels);
    if args.class_conditional && !config.model.set_class_conditional() {
        return Err(UsageError("--class-conditional: only a U-Net learns classes".to_owned()).into());
    }
    if let Some(batch_size) = args.batch_size {
        config.training.batch_size = batch_size;
    }
    if let Some(rate) = args.learning_rate {
        config.optimizer.learning_rate = rate;
    }
    if let Some(seed) = args.seed {
        config.seed = seed;
    }
    Ok(())
}

/// The flags that also make sense for a run that goes on.
fn apply_run_flags(config: &mut TrainConfig, args: &TrainArgs) {
    config.data.strict |= args.strict;
    if let Some(dir) = &args.data_dir {
        config.data.dir = Some(dir.clone());
    }
    let training = &mut config.training;
    if let Some(steps) = args.steps {
        training.steps = steps;
        training.max_minutes = 0.0;
    }
    if let Some(minutes) = args.minutes {
        training.max_minutes = minutes;
    }
    if let Some(every) = args.checkpoint_every {
        training.checkpoint_every = every;
    }
    if let Some(every) = args.sample_every {
        config.samples.every = every;
    }
}

fn load_data(config: &TrainConfig) -> Result<Dataset> {
    let options = LoadOptions {
        split: Split::Train,
        image_size: config.data.image_size,
        channels: config.data.channels,
        strict: config.data.strict,
        data_dir: config.data.dir.clone(),
        seed: config.seed,
        ..LoadOptions::default()
    };
    let data = data::load(&config.data.dataset, &options).context("cannot load the data")?;
    loaded::tell(&data);
    if !data.skipped().is_empty() {
        eprintln!("warning: {} unreadable files were left out; --strict makes this an error", data.skipped().len());
    }
    Ok(data)
}
