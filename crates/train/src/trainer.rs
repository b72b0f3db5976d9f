//! The training loop: Ho et al. (2020), Algorithm 1, and everything that a run needs around it.

mod exchange;
mod first;
mod gradient;
mod group;
mod probe;
mod score;
mod step;
mod time;
mod unread;
mod write;

use std::{marker::PhantomData, path::PathBuf, sync::atomic::AtomicBool, time::Instant};

use burn::module::AutodiffModule;
use sfumato_data::Dataset;
use sfumato_kernels::{Adam, AutodiffBackend, PowerAverages};
use sfumato_model::{
    Blueprint,
    pipeline::{AnyConfig, PipelineSpec},
};
use sfumato_nets::{InputError, NetError, Network};
use sfumato_process::{Objective, times::TimeSampler};
use sfumato_schedule::NoiseSchedule;

use crate::{
    FoundCheckpoint, Metrics, PlanPoint, RunDir, Score, TrainConfig, TrainError, TrainState, Watch, averages,
    batch::Batches,
    checkpoint::{Resumed, not_finite, read_times, read_training, read_window, with_matrices},
    held_out::Measured,
    metrics::{MetricsLog, Window},
    plan::Planner,
    preview,
    ranks::Ranks,
    run_dir::step_name,
    spec::{pipeline_spec, say_source},
};
pub use probe::Probe;
use score::Scorers;
use unread::Unread;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps are done.
    Complete,
    /// The time limit was reached.
    TimeLimit,
    /// It was asked to stop.
    Stopped,
}

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How far it came.
    pub state: TrainState,
    /// Why it ended.
    pub ending: Ending,
    /// The step at which the whole run ends.
    pub last_step: u64,
    /// Its newest checkpoint.
    pub checkpoint: PathBuf,
    /// Mean loss since the last line of metrics but one, the newest there is.
    pub last_metrics: Option<Metrics>,
    /// The checkpoint with the best held-out score, where there are scores.
    pub best: Option<FoundCheckpoint>,
}

/// A run, ready to start or to go on.
#[derive(Debug)]
pub struct Run<'a> {
    /// Everything that decides it.
    pub config: &'a TrainConfig,
    /// Its data.
    pub data: &'a dyn Dataset,
    /// Where it is written.
    pub dir: &'a RunDir,
    /// Goes on from this checkpoint instead of starting.
    pub from: Option<&'a FoundCheckpoint>,
    /// Facts for the checkpoints: program, revision, machine.
    pub environment: &'a serde_json::Value,
    /// Becomes true when the run should stop after the step it is in.
    pub stop: &'a AtomicBool,
    /// Examples that it is not trained on, of the shape and the classes of the data: the model is scored on them as
    /// [`HeldOutConfig`](crate::config::HeldOutConfig) says. Without them no score is made.
    pub held_out: Option<&'a dyn Dataset>,
    /// The processes that train it together, [`Alone`](crate::ranks::Alone) where there is one. Every rank has the same configuration, data
    /// and checkpoint to go on from; rank 0 writes, and the others need not see what it wrote.
    pub ranks: &'a dyn Ranks,
}

impl Run<'_> {
    /// Trains until all steps are done, the time is up or it is asked to stop; a checkpoint is written in each case.
    ///
    /// # Errors
    /// [`TrainError`]; what was written before stays, and the newest complete checkpoint can be resumed from.
    pub fn train<A: AutodiffBackend>(&self, device: &A::Device, watch: &mut dyn Watch) -> Result<Outcome, TrainError> {
        self.config.validate()?;
        let objective = self.config.objective(self.data);
        match self.config.network(self.data)? {
            AnyConfig::UNet(network) => self.train_network::<A, _, 4>(&network, &objective, device, watch),
            AnyConfig::Mlp(network) => self.train_network::<A, _, 2>(&network, &objective, device, watch),
            AnyConfig::Own(own) => Err(TrainError::own_network(&own.class_name)),
        }
    }

    /// The same with a network and a loss of the caller's own: `blueprint` builds the one and says how it is kept, `objective` is the
    /// other. The configuration names the network as [`ModelConfig::Own`](crate::config::ModelConfig::Own).
    ///
    /// Neither may let examples of a batch have a part in each other's losses, where a batch is trained in several
    /// [shards](crate::config::TrainingConfig::shards).
    ///
    /// Initial values that the network draws from its backend's generator are those of the run's seed, as long as no other thread draws
    /// from it meanwhile: it is one for the whole process.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn train_network<A, P, const D: usize>(
        &self,
        blueprint: &P,
        objective: &dyn Objective<A, D>,
        device: &A::Device,
        watch: &mut dyn Watch,
    ) -> Result<Outcome, TrainError>
    where
        A: AutodiffBackend,
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
        P::Net<A::InnerBackend>: Network<A::InnerBackend, D>,
    {
        self.config.validate()?;
        let leads = self.ranks.leads();
        let _lock = leads.then(|| self.dir.locked()).transpose()?;
        if D != self.data.shape().len() + 1 {
            let shape = self.data.shape();
            let reason = format!("the network takes batches of rank {D}, but the examples are of shape {shape:?}");
            return Err(NetError::from(InputError::Rank { reason }).into());
        }
        let config = self.config;
        let (model, optimizer, state) = if let Some(from) = self.from {
            let Resumed { model, optimizer } = read_training::<A, P, D>(&from.path, config, blueprint, device)?;
            (model, optimizer, TrainState::read(&from.path)?)
        } else {
            let model: P::Net<A> = self.first_model::<A, P, D>(blueprint, device)?;
            let optimizer = with_matrices(Adam::new(&config.optimizer.adam(), &model.valid()), config, &model);
            (model, optimizer, TrainState::default())
        };
        let averages = averages::start(self, state.step, &model.valid(), device)?;
        watch.begin(&state, burn::module::Module::num_params(&model));
        let schedule = config.diffusion.schedule.build()?;
        let mut network = blueprint.config();
        if let AnyConfig::Own(own) = &mut network {
            own.num_params = burn::module::Module::num_params(&model) as u64;
        }
        let mut spec = pipeline_spec(network, &config.diffusion, self.data, self.environment);
        if let Some(init) = &config.init {
            say_source(init, &mut spec.facts);
        }
        let batches = Batches::new(self.data, config.seed, config.data.flip, self.labels(&spec));
        let metrics = leads.then(|| self.open_metrics(state.step, watch)).transpose()?;
        let window = self.from.map(|from| read_window(&from.path)).transpose()?.unwrap_or_default();
        let mut times = config.objective.times(&schedule)?;
        if let (Some(from), true) = (self.from, times.learns()) {
            times = read_times(&from.path, times)?;
        }
        self.check_same_weights::<A, _>(&model, state.step)?;
        let scorers = if leads { Scorers::new(self, &spec, schedule.steps())? } else { None };
        let mut session = Session::<A, P> {
            run: self,
            blueprint: PhantomData,
            schedule,
            times,
            spec,
            batches,
            metrics,
            window,
            device,
            optimizer,
            averages,
            state,
            unlinked: false,
            plan: config.training.plan.clone(),
            planner: None,
            scorers,
            measured: None,
            told_to_stop: false,
            unread: Unread::new(),
        };
        session.begin_planning();
        session.go(model, objective, watch)
    }
}

/// A run in progress.
struct Session<'a, A: AutodiffBackend, P> {
    run: &'a Run<'a>,
    blueprint: PhantomData<P>,
    schedule: NoiseSchedule,
    /// What draws the steps of batches.
    times: TimeSampler,
    spec: PipelineSpec,
    batches: Batches<'a>,
    /// That of rank 0.
    metrics: Option<MetricsLog>,
    window: Window,
    device: &'a A::Device,
    optimizer: Adam<A::InnerBackend>,
    /// Power-function averages, where the run keeps them.
    averages: Option<PowerAverages<A::InnerBackend>>,
    state: TrainState,
    /// Whether it was said that `model` does not show the newest checkpoint.
    unlinked: bool,
    /// The configuration's, and what was added to it.
    plan: Vec<PlanPoint>,
    /// Watches the time limit, where there is one and the learning rate falls.
    planner: Option<Planner>,
    scorers: Option<Scorers<'a>>,
    /// The newest held-out score, and its step.
    measured: Option<(u64, Measured)>,
    /// Whether a rank had been asked to stop when all ranks last agreed.
    told_to_stop: bool,
    unread: Unread<A::InnerBackend>,
}

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    /// Makes up for what a run that was stopped had still to do at its step: the score, and the samples.
    fn make_up<const D: usize>(
        &mut self,
        model: &P::Net<A>,
        watch: &mut dyn Watch,
    ) -> Result<Option<Metrics>, TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
        P::Net<A::InnerBackend>: Network<A::InnerBackend, D>,
    {
        let (step, mut metrics) = (self.state.step, None);
        if self.owes_a_score() {
            metrics = self.record(model, false, watch)?;
            if step.is_multiple_of(self.run.config.training.checkpoint_every) || self.is_best()? {
                self.checkpoint(model, watch)?;
            }
        }
        if step > 0 && self.preview_is_due(step) && !preview::path(&self.run.dir.samples(), step).exists() {
            self.preview(model, watch)?;
        }
        Ok(metrics)
    }

    /// The end of a run for a rank that does not write it.
    fn outcome_elsewhere(&self, ending: Ending) -> Outcome {
        let checkpoint = self.run.dir.checkpoints().join(step_name(self.state.step));
        let (state, last_step) = (self.state, self.last_step());
        Outcome { state, ending, last_step, checkpoint, last_metrics: None, best: None }
    }

    fn go<const D: usize>(
        &mut self,
        mut model: P::Net<A>,
        objective: &dyn Objective<A, D>,
        watch: &mut dyn Watch,
    ) -> Result<Outcome, TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
        P::Net<A::InnerBackend>: Network<A::InnerBackend, D>,
    {
        let config = self.run.config;
        let limit = self.limit();
        let began = self.state.seconds;
        let leads = self.run.ranks.leads();
        let mut last_metrics = if leads { self.make_up::<D>(&model, watch)? } else { None };
        self.agree(0.0);
        let ending = loop {
            if self.state.step >= self.last_step() {
                break Ending::Complete;
            }
            if self.told_to_stop || self.run.is_asked_alone() {
                break Ending::Stopped;
            }
            if self.state.seconds - began >= limit {
                break Ending::TimeLimit;
            }
            let start = Instant::now();
            model = self.step(model, objective)?;
            let last = self.end_step(start, began, limit, watch)?;
            let step = self.state.step;
            if leads && let Some(metrics) = self.record(&model, last, watch)? {
                last_metrics = Some(metrics);
            }
            let due = step.is_multiple_of(config.training.checkpoint_every);
            if (last || due) && not_finite(&model.valid(), &self.optimizer).is_some() {
                let [loss, grad_norm] = self.unread.newest;
                return Err(self.diverged(step, loss, grad_norm, watch)?);
            }
            if last || due {
                self.run.check_same_weights::<A, _>(&model, step)?;
            }
            if !leads {
                continue;
            }
            if config.averages_are_due(step) {
                self.keep_averages(&model)?;
            }
            if !last && (due || self.is_best()?) {
                self.checkpoint(&model, watch)?;
            }
            if !last && self.preview_is_due(step) {
                self.preview(&model, watch)?;
            }
        };
        self.read_rest(watch)?;
        if !leads {
            return Ok(self.outcome_elsewhere(ending));
        }
        // Asked to stop before its first step, a run that goes on has its checkpoint already.
        let checkpoint = match self.run.from {
            Some(from) if from.step == self.state.step => from.path.clone(),
            _ => self.checkpoint(&model, watch)?,
        };
        if ending != Ending::Stopped {
            self.preview(&model, watch)?;
        }
        let best = self.run.dir.best_checkpoint()?;
        Ok(Outcome { state: self.state, ending, last_step: self.last_step(), checkpoint, last_metrics, best })
    }

    /// Whether samples are drawn after `step`, which is not the last.
    fn preview_is_due(&self, step: u64) -> bool {
        let every = self.run.config.samples.every;
        every > 0 && step.is_multiple_of(every)
    }

    /// Writes a line of metrics, with the scores of held-out and of training examples where there are some.
    fn log(&mut self, scores: Option<(Score, Score)>) -> Result<Metrics, TrainError> {
        let window = std::mem::take(&mut self.window);
        let (held_out, training_examples) = scores.unzip();
        let metrics = Metrics {
            step: self.state.step,
            examples: self.state.examples,
            loss: window.loss / window.steps as f64,
            grad_norm: window.grad_norm,
            learning_rate: self.rate(self.state.step),
            images_per_second: window.examples as f64 / window.seconds,
            seconds: self.state.seconds,
            held_out,
            training_examples,
        };
        if let Some(log) = &mut self.metrics {
            log.write(&metrics)?;
        }
        Ok(metrics)
    }
}
