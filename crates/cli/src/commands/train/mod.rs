//! `sfumato train`

mod describe;
mod device_failure;
mod held_out;
mod init;
mod new_run;
mod renew;
mod resume;
mod self_check;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use anyhow::Result;
use burn::backend::Autodiff;
use sfumato_data::{self, DataError, Dataset, DatasetSpec, LoadedDataset};
use sfumato_files::memory;
use sfumato_kernels::Backend;
use sfumato_train::{
    FoundCheckpoint, Run, RunDir, Silent, TrainConfig,
    config::HeldOutConfig,
    ranks::{Ranks, Same},
};

use self::{held_out::Parts, new_run::NewRun, renew::Renewing, resume::Going};
use crate::{
    args::{MachineArgs, TrainArgs, UsageError, name_of},
    backend::{Work, caught, with_backend},
    environment, group, loaded, precision,
    progress::TrainProgress,
    report::Renewal,
    say, signals,
    tensorboard::{self, Board},
};

/// What the arguments ask for.
enum Start {
    New(Box<NewRun>),
    GoOn(Box<Going>),
}

/// A run that is ready.
struct Ready {
    config: TrainConfig,
    /// Where the configuration comes from, for people.
    origin: String,
    dir: RunDir,
    from: Option<FoundCheckpoint>,
}

pub(crate) fn run(args: Box<TrainArgs>, ranks: &dyn Ranks) -> Result<()> {
    let machine = args.machine.clone();
    let (events, checked) = (args.tensorboard.clone(), !args.no_self_check);
    let start = match &args.resume {
        Some(path) => {
            let planned = ranks.leads().then(|| Going::plan(&args, path)).transpose();
            match Going::shared(ranks, group::together(ranks, planned)?.flatten())? {
                Some(going) => Start::GoOn(Box::new(going)),
                None => return Ok(()),
            }
        }
        None => {
            let events = events.as_deref().filter(|_| ranks.leads() && !args.print_config);
            let planned = NewRun::plan(args).and_then(|new| {
                // Before the run is begun, which a second call would find.
                events.map_or(Ok(()), tensorboard::check)?;
                Ok(new)
            });
            let new = group::together(ranks, planned)?;
            if let (true, Some(config)) = (new.print_only(), new.whole_without_data()?) {
                return say::result(|out| out.write_all(config.to_toml().as_bytes()));
            }
            Start::New(Box::new(new))
        }
    };
    let stop = signals::stop_flag_of(ranks)?;
    with_backend(&machine, Training { start, stop, machine: machine.clone(), events, checked, ranks })
}

/// The work of the command, for whichever backend.
struct Training<'a> {
    start: Start,
    stop: Arc<AtomicBool>,
    machine: MachineArgs,
    /// Where TensorBoard's events go, if somewhere.
    events: Option<PathBuf>,
    /// Whether an accelerator is compared with the CPU first.
    checked: bool,
    ranks: &'a dyn Ranks,
}

impl Work for Training<'_> {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let Self { start, stop, machine, events, checked, ranks } = self;
        let mut environment = environment::describe_run(&machine);
        if !ranks.is_alone() {
            environment["ranks"] = ranks.size().into();
        }
        let ready = match start {
            Start::New(new) => begin::<B>(&new, &machine, &mut environment, &device, ranks)?,
            Start::GoOn(going) => Some(go_on(*going, &machine, &mut environment, ranks)?),
        };
        let Some((data, test, ready)) = ready else { return Ok(()) };
        let Ready { config, origin, dir, from } = &ready;
        let parts = Parts::new(config, &data, test.as_ref());
        for line in describe::run(config, origin, &parts, &machine, dir, ranks)? {
            say!("{line}");
        }
        let run = Run {
            config,
            data: parts.training(),
            held_out: parts.held_out(),
            dir,
            from: from.as_ref(),
            environment: &environment,
            stop: &stop,
            ranks,
        };
        if checked && !machine.backend.is_cpu() {
            group::together(ranks, self_check::check::<B>(&run, machine.backend, &device))?;
        }
        if !ranks.leads() {
            return match run.train::<Autodiff<B>>(&device, &mut Silent) {
                Err(error) if error.is_of_all_ranks() => group::together(ranks, Err(error.into())),
                outcome => Ok(outcome.map(drop)?),
            };
        }
        // A run that has a plan does its steps, without a limit.
        let minutes = if config.training.is_planned() { 0.0 } else { config.training.max_minutes };
        let board = events.as_ref().map(|events| Board::create(events, dir.root())).transpose()?;
        let mut progress = TrainProgress::new(config.last_step(), minutes);
        let page = Renewal::of(dir.root());
        let mut watch = Renewing { progress: &mut progress, page, board, checkpoint: None };
        let began = Instant::now();
        // A device may fail in any way, a CPU only by too little memory.
        let is_expected = if machine.backend.is_cpu() { device_failure::is_memory } else { |_: &str| true };
        let outcome = caught(is_expected, || run.train::<Autodiff<B>>(&device, &mut watch));
        progress.finish();
        let outcome =
            outcome.map_err(|reason| device_failure::error(machine.backend, &config.training, dir.root(), &reason))?;
        let outcome = match outcome {
            Err(error) if error.is_of_all_ranks() => group::together(ranks, Err(error.into())),
            Err(error) if progress.has_begun() => Err(error.into()),
            outcome => outcome.map_err(|error| resume::damaged(error, dir, from.as_ref())),
        }?;
        describe::communication(ranks, began.elapsed());
        describe::ending(&outcome, dir)
    }
}

/// The data of a run, its test split where that is scored, and the run itself.
type Begun = (LoadedDataset, Option<LoadedDataset>, Ready);

/// A new run; none if only its configuration was asked for.
fn begin<B: Backend>(
    new: &NewRun,
    machine: &MachineArgs,
    environment: &mut serde_json::Value,
    device: &B::Device,
    ranks: &dyn Ranks,
) -> Result<Option<Begun>> {
    let prepare = || {
        let data = load_data(&new.data_settings()?, "")?;
        let (mut config, origin) = new.config(&data)?;
        let test = held_out::settle(&mut config, &data)?;
        if !new.print_only() {
            // Before anything is written.
            let parts = Parts::new(&config, &data, test.as_ref());
            check(&config, parts.training(), machine)?;
            if let Some(source) = new.source() {
                init::tell::<B>(source, &config, parts.training(), device)?;
            }
        }
        Ok((data, test, config, origin))
    };
    let (data, test, config, origin) = group::together(ranks, prepare())?;
    if new.print_only() {
        return say::result(|out| out.write_all(config.to_toml().as_bytes())).map(|()| None);
    }
    group::check(ranks, machine.backend, facts(&config, &data, test.as_ref()))?;
    environment::set_precision(environment, config.training.precision);
    let made = ranks.leads().then(|| new.create_dir(&config, environment)).transpose();
    let made = group::together(ranks, made)?;
    let root = ranks.broadcast(made.as_ref().map_or(&[][..], |dir| dir.root().as_os_str().as_encoded_bytes()));
    let dir = made.unwrap_or_else(|| RunDir::of_another(Path::new(&*String::from_utf8_lossy(&root))));
    Ok(Some((data, test, Ready { config, origin, dir, from: None })))
}

/// A run that goes on.
fn go_on(
    mut going: Going,
    machine: &MachineArgs,
    environment: &mut serde_json::Value,
    ranks: &dyn Ranks,
) -> Result<Begun> {
    let mut prepare = || {
        let way_out = "; or name its place now with --dataset";
        let data = load_data(&going.config, way_out)?;
        let test = held_out::settle(&mut going.config, &data)?;
        let training = Parts::new(&going.config, &data, test.as_ref());
        if ranks.leads() {
            going.compare_data(training.training())?;
        }
        check(&going.config, training.training(), machine)?;
        Ok((data, test))
    };
    let prepared = prepare();
    let (data, test) = group::together(ranks, prepared)?;
    group::check(ranks, machine.backend, facts(&going.config, &data, test.as_ref()))?;
    environment::set_precision(environment, going.config.training.precision);
    let begun = if ranks.leads() { going.begin(environment) } else { Ok(going.beside()) };
    Ok((data, test, group::together(ranks, begun)?))
}

/// What has to be the same on every rank.
fn facts(config: &TrainConfig, data: &LoadedDataset, test: Option<&LoadedDataset>) -> Vec<Same> {
    let content = |data: &LoadedDataset| format!("{} examples, SHA-256 {}", data.len(), data.sha256());
    vec![
        Same { what: "the configuration", value: config.to_toml() },
        Same { what: "the data", value: content(data) },
        Same { what: "the test split", value: test.map_or_else(|| "none".to_owned(), content) },
    ]
}

/// Checks the configuration and how it fits the data; warns of what is odd about the noise schedule.
fn check(config: &TrainConfig, data: &dyn Dataset, machine: &MachineArgs) -> Result<()> {
    config.validate()?;
    precision::check("training.precision =", config.training.precision, machine.backend)?;
    config.check_data(data)?;
    config.check_memory(data, memory::limit(), machine.backend.is_cpu())?;
    for finding in config.check_schedule(data)? {
        say!("warning: noise schedule: {finding}");
    }
    Ok(())
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

fn overrides(args: &TrainArgs) -> Result<Vec<(Vec<String>, toml::Value)>> {
    // First, so that --set can give them parameters.
    let names = [("weight", args.weight.and_then(name_of)), ("density", args.density.and_then(name_of))];
    let key = |key: &str| ["objective", key, "kind"].map(str::to_owned).to_vec();
    let named = names.into_iter().filter_map(|(name, kind)| Some(Ok((key(name), kind?.into()))));
    named.chain(args.set.iter().map(|text| parse_override(text))).collect()
}

/// The flags that make sense for a new run and for one that goes on.
fn apply_flags(config: &mut TrainConfig, args: &TrainArgs) {
    let data = &mut config.data;
    if let Some(dataset) = &args.dataset {
        data.dataset = dataset.clone();
    }
    if let Some(dir) = &args.data_dir {
        data.dir = Some(dir.clone());
    }
    data.strict |= args.strict;
    data.flip |= args.flip;
    if let Some(rate) = args.learning_rate {
        config.optimizer.learning_rate = rate;
    }
    if let Some(seed) = args.seed {
        config.seed = seed;
    }
    if let Some(share) = args.held_out {
        // An interval that the configuration has is kept, if it is one.
        config.held_out = HeldOutConfig { every: config.held_out.every.filter(|every| *every > 0), ..config.held_out };
        config.held_out.share = Some(share);
    }
    let training = &mut config.training;
    if let Some(batch_size) = args.batch_size {
        training.batch_size = batch_size;
    }
    if let Some(shards) = args.shards {
        training.shards = shards;
    }
    if let Some(precision) = args.machine.precision {
        training.precision = precision.into();
    }
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

/// Loads the data and tells how it was read. `way_out` is added to the error where a relative path is not there.
fn load_data(config: &TrainConfig, way_out: &str) -> Result<LoadedDataset> {
    let loaded = sfumato_data::load(&config.data.dataset, &config.data.load_options(config.seed));
    let data = loaded.map_err(|error| {
        // An option that makes no sense is wrong wherever the data are.
        let elsewhere = missing(&config.data.dataset).filter(|_| !matches!(error, DataError::Option { .. }));
        let context = match elsewhere {
            Some((path, here)) => format!(
                "cannot load the data: {} is not in {}, where relative paths are looked for; start the program where it is{way_out}",
                path.display(),
                here.display()
            ),
            None => "cannot load the data".to_owned(),
        };
        anyhow::Error::new(error).context(context)
    })?;
    loaded::tell(&data);
    Ok(data)
}

/// The relative path of a data set that is not there, and the directory in which it was looked for.
fn missing(dataset: &DatasetSpec) -> Option<(PathBuf, PathBuf)> {
    let text = dataset.to_string();
    let (_, path) = text.split_once(':')?;
    // An array of a file with several is named behind it.
    let file = path.rsplit_once('#').map_or(path, |(file, _)| file);
    let path = Path::new(if Path::new(path).exists() { path } else { file });
    let names_a_file = !matches!(dataset, DatasetSpec::Toy(_));
    (names_a_file && path.is_relative() && !path.exists())
        .then(|| Some((path.to_path_buf(), std::env::current_dir().ok()?)))?
}
