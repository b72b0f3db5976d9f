//! The training loop: Ho et al. (2020), Algorithm 1, and everything that a run needs around it.

use std::{
    marker::PhantomData,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use burn::{module::AutodiffModule, tensor::ElementConversion};
use sfumato_kernels::AutodiffBackend;
use sfumato_nets::{Call, Network, layers::DropoutKey, params::RandomParams, pipeline::PipelineSpec};
use sfumato_process::{
    Objective,
    times::{ImportanceTimes, Times},
};
use sfumato_schedule::NoiseSchedule;

use crate::{
    DataRecord, FoundCheckpoint, Metrics, NewCheckpoint, PlanPoint, Planned, RunDir, TrainConfig, TrainError,
    TrainState,
    batch::{Batch, Batches},
    checkpoint::{Resumed, not_finite, read_times, read_training, read_window, write_training},
    config::{LearningRateDecay, ModelConfig, TrainingConfig},
    data::Dataset,
    error::Kept,
    learning_rate::planned_learning_rate,
    metrics::{MetricsLog, OpenedLog, Window},
    model::pipeline_spec,
    network::Blueprint,
    optimizer::Optimizer,
    plan::{Planner, last_step},
    preview,
};

/// What looks on while a run goes.
pub trait Watch {
    /// The run begins, or goes on, at `state`; the network has `parameters` weights.
    fn begin(&mut self, state: &TrainState, parameters: usize);
    /// A step is done; `loss` is that of its batch.
    fn step(&mut self, state: &TrainState, loss: f64);
    /// A line was written to `metrics.jsonl`.
    fn metrics(&mut self, metrics: &Metrics);
    /// A checkpoint was written.
    fn checkpoint(&mut self, path: &Path);
    /// Samples are being drawn: `done` of `total` sampler steps.
    fn sampling(&mut self, done: usize, total: usize);
    /// A sample grid was written.
    fn samples(&mut self, path: &Path);
    /// It is known how many steps fit into the time limit.
    fn planned(&mut self, planned: &Planned) {
        let _ = planned;
    }
    /// Something that the user should know, in a sentence; the run goes on. It is logged if nobody looks.
    fn warn(&mut self, text: &str) {
        tracing::warn!("{text}");
    }
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Watch for Silent {
    fn begin(&mut self, _: &TrainState, _: usize) {}
    fn step(&mut self, _: &TrainState, _: f64) {}
    fn metrics(&mut self, _: &Metrics) {}
    fn checkpoint(&mut self, _: &Path) {}
    fn sampling(&mut self, _: usize, _: usize) {}
    fn samples(&mut self, _: &Path) {}
}

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
}

/// A run, ready to start or to go on.
#[derive(Debug)]
pub struct Run<'a> {
    /// Everything that decides it.
    pub config: &'a TrainConfig,
    /// Its data.
    pub data: &'a Dataset,
    /// Where it is written.
    pub dir: &'a RunDir,
    /// Goes on from this checkpoint instead of starting.
    pub from: Option<&'a FoundCheckpoint>,
    /// Facts for the checkpoints: program, revision, machine.
    pub environment: &'a serde_json::Value,
    /// Becomes true when the run should stop after the step it is in.
    pub stop: &'a AtomicBool,
}

impl Run<'_> {
    /// Trains until all steps are done, the time is up or it is asked to stop; a checkpoint is written in each case.
    ///
    /// # Errors
    /// [`TrainError`]; what was written before stays, and the newest complete checkpoint can be resumed from.
    pub fn train<A: AutodiffBackend>(&self, device: &A::Device, watch: &mut dyn Watch) -> Result<Outcome, TrainError> {
        self.config.validate()?;
        let _lock = self.dir.locked()?;
        let variance = self.config.diffusion.variance;
        match &self.config.model {
            ModelConfig::Unet(spec) => {
                self.train_network::<A, _, 4>(&spec.resolve(self.data, variance)?, device, watch)
            }
            ModelConfig::Mlp(spec) => self.train_network::<A, _, 2>(&spec.resolve(self.data, variance)?, device, watch),
        }
    }

    fn train_network<A, P, const D: usize>(
        &self,
        blueprint: &P,
        device: &A::Device,
        watch: &mut dyn Watch,
    ) -> Result<Outcome, TrainError>
    where
        A: AutodiffBackend,
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
        P::Net<A::InnerBackend>: Network<A::InnerBackend, D>,
    {
        let config = self.config;
        let (model, optimizer, state) = if let Some(from) = self.from {
            let Resumed { model, optimizer } = read_training::<A, P, D>(&from.path, config, blueprint, device)?;
            (model, optimizer, TrainState::read(&from.path)?)
        } else {
            let model: P::Net<A> = blueprint.build(&mut RandomParams::new(config.seed), device)?;
            let optimizer = Optimizer::new(&config.optimizer, &model.valid());
            (model, optimizer, TrainState::default())
        };
        watch.begin(&state, burn::module::Module::num_params(&model));
        let schedule = config.diffusion.schedule.build()?;
        let spec = pipeline_spec(blueprint.config(), &config.diffusion, self.data, self.environment);
        let batches = Batches::new(self.data, config.seed, schedule.steps(), config.data.flip, spec.facts.null_class);
        let OpenedLog { log: metrics, warning } = MetricsLog::open(&self.dir.metrics_file(), state.step)?;
        if let Some(warning) = warning {
            watch.warn(&warning);
        }
        let window = self.from.map(|from| read_window(&from.path)).transpose()?.unwrap_or_default();
        let times = match (config.objective.times, self.from) {
            (Times::Uniform, _) => None,
            (Times::Importance, Some(from)) => Some(read_times(&from.path, schedule.steps())?),
            (Times::Importance, None) => Some(ImportanceTimes::new(schedule.steps())),
        };
        let mut session = Session::<A, P> {
            run: self,
            blueprint: PhantomData,
            schedule,
            objective: config.objective(self.data),
            times,
            spec,
            batches,
            metrics,
            window,
            device,
            optimizer,
            state,
            unlinked: false,
            plan: config.training.plan.clone(),
            planner: None,
        };
        session.begin_planning();
        session.go(model, watch)
    }
}

/// Whether a loss is one of weights that are worth to go on from: 1 is that of a network that says nothing.
fn sensible(loss: f64) -> bool {
    loss.abs() < 1e4
}

/// A run in progress.
struct Session<'a, A: AutodiffBackend, P> {
    run: &'a Run<'a>,
    blueprint: PhantomData<P>,
    schedule: NoiseSchedule,
    objective: Objective,
    /// What importance sampling has seen; none where steps are uniform.
    times: Option<ImportanceTimes>,
    spec: PipelineSpec,
    batches: Batches<'a>,
    metrics: MetricsLog,
    window: Window,
    device: &'a A::Device,
    optimizer: Optimizer<A::InnerBackend>,
    state: TrainState,
    /// Whether it was said that `model` does not show the newest checkpoint.
    unlinked: bool,
    /// The configuration's, and what was added to it.
    plan: Vec<PlanPoint>,
    /// Watches the time limit, where there is one and the learning rate falls.
    planner: Option<Planner>,
}

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    fn go<const D: usize>(&mut self, mut model: P::Net<A>, watch: &mut dyn Watch) -> Result<Outcome, TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let config = self.run.config;
        let limit = self.limit();
        let began = self.state.seconds;
        let mut last_metrics = None;
        let step = self.state.step;
        if step > 0 && self.preview_is_due(step) && !preview::path(&self.run.dir.samples(), step).exists() {
            // The run was stopped between a checkpoint and its samples.
            self.preview(&model, watch)?;
        }
        let ending = loop {
            if self.state.step >= self.last_step() {
                break Ending::Complete;
            }
            if self.run.stop.load(Ordering::SeqCst) {
                break Ending::Stopped;
            }
            if self.state.seconds - began >= limit {
                break Ending::TimeLimit;
            }
            let start = Instant::now();
            let (next, loss, grad_norm) = self.step(model, watch)?;
            model = next;
            self.count(start.elapsed().as_secs_f64(), loss);
            watch.step(&self.state, loss);
            let step = self.state.step;
            self.follow_time(began, watch)?;
            let last = step == self.last_step();
            if last || step.is_multiple_of(config.training.log_every) {
                let metrics = self.log(grad_norm)?;
                watch.metrics(&metrics);
                last_metrics = Some(metrics);
            }
            if (last || step.is_multiple_of(config.training.checkpoint_every))
                && not_finite(&model.valid(), &self.optimizer).is_some()
            {
                return Err(self.diverged(step, loss, grad_norm, watch)?);
            }
            if !last && step.is_multiple_of(config.training.checkpoint_every) {
                self.checkpoint(&model, watch)?;
            }
            if !last && self.preview_is_due(step) {
                self.preview(&model, watch)?;
            }
        };
        // Asked to stop before its first step, a run that goes on has its checkpoint already.
        let checkpoint = match self.run.from {
            Some(from) if from.step == self.state.step => from.path.clone(),
            _ => self.checkpoint(&model, watch)?,
        };
        if ending != Ending::Stopped {
            self.preview(&model, watch)?;
        }
        Ok(Outcome { state: self.state, ending, last_step: self.last_step(), checkpoint, last_metrics })
    }

    /// One step of Algorithm 1: the model after it, the loss and the gradient's norm.
    fn step<const D: usize>(
        &mut self,
        model: P::Net<A>,
        watch: &mut dyn Watch,
    ) -> Result<(P::Net<A>, f64, f64), TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let config = self.run.config;
        let step = self.state.step + 1;
        let size = config.training.batch_size;
        let batch: Batch<A, D> = self.batches.get(self.state.examples, size, self.times.as_ref(), self.device);
        let call =
            Call { net: &model, classes: batch.classes.as_deref(), dropout: Some(DropoutKey::new(config.seed, step)) };
        let losses = self.objective.losses(&self.schedule, &call, batch.x_0, &batch.t, batch.epsilon)?;
        let loss = match (&mut self.times, batch.weights) {
            (Some(times), Some(weights)) => {
                let each: Vec<f64> = losses.to_data().iter::<f64>().collect();
                times.record(&batch.t, &each);
                (losses * weights).mean()
            }
            _ => losses.mean(),
        };
        let value: f64 = loss.clone().into_scalar().elem();
        let mut grads = loss.backward();
        let rate = self.rate(step);
        let (model, norm) = self.optimizer.step::<A, _>(model, &mut grads, step, rate);
        if !(value.is_finite() && norm.grad_norm.is_finite()) {
            return Err(self.diverged(step, value, norm.grad_norm, watch)?);
        }
        Ok((model, value, norm.grad_norm))
    }

    /// The error for a step without a finite result. The checkpoint whose weights gave it is set aside where an older one
    /// is left: to go on from it would diverge again at once, whatever the learning rate.
    fn diverged(&self, step: u64, loss: f64, grad_norm: f64, watch: &mut dyn Watch) -> Result<TrainError, TrainError> {
        let config = self.run.config;
        let dir = self.run.dir;
        let found = dir.find_checkpoints()?.complete;
        let kept = match &found[..] {
            // The loss of this step is that of the newest checkpoint's weights.
            [.., before, newest] if newest.step + 1 == step && !sensible(loss) && newest.path != dir.model() => {
                let aside = dir.set_aside(newest, "diverged")?;
                watch.warn(&format!(
                    "the weights of step {} give the loss {loss:.3e}: their checkpoint is now {}",
                    newest.step,
                    aside.display()
                ));
                if let Err(reason) = dir.show(before) {
                    watch.warn(&reason);
                }
                Kept::Good(before.step)
            }
            [.., only] if only.step + 1 == step && !sensible(loss) => Kept::Doubtful(only.step),
            [.., newest] => Kept::Good(newest.step),
            [] => Kept::Nothing,
        };
        Ok(TrainError::Diverged {
            step,
            loss,
            grad_norm,
            learning_rate: self.rate(step),
            peak_rate: config.optimizer.learning_rate,
            run: dir.root().to_path_buf(),
            kept,
        })
    }

    /// The configuration with the plan as it is now.
    fn config(&self) -> TrainConfig {
        let mut config = self.run.config.clone();
        config.training.plan.clone_from(&self.plan);
        config
    }

    fn last_step(&self) -> u64 {
        last_step(&self.plan, self.run.config.training.steps)
    }

    /// The learning rate of step `step`.
    fn rate(&self, step: u64) -> f64 {
        let config = self.run.config;
        planned_learning_rate(&config.optimizer, &self.plan, step, config.training.steps)
    }

    /// Seconds that there are. A run that goes on with a plan has no limit: it does the steps that were planned.
    fn limit(&self) -> f64 {
        let TrainingConfig { max_minutes, plan, .. } = &self.run.config.training;
        let is_planned = plan.last().is_some_and(|point| point.steps.is_some());
        if *max_minutes > 0.0 && !is_planned { max_minutes * 60.0 } else { f64::INFINITY }
    }

    /// Holds the learning rate until it is known how many steps fit into the time limit.
    fn begin_planning(&mut self) {
        let (config, step) = (self.run.config, self.state.step);
        if config.optimizer.decay == LearningRateDecay::Constant || self.limit() == f64::INFINITY {
            return;
        }
        if self.plan.is_empty() {
            let mut config = self.config();
            config.plan_anew(step);
            self.plan = config.training.plan;
        }
        let warm = config.optimizer.start_step + config.optimizer.warmup_steps;
        self.planner = Some(Planner::new(self.limit(), step, warm, config.training.steps));
    }

    /// Compares the time with the plan. A new plan is written down before the next step: a run that is resumed has it too.
    fn follow_time(&mut self, began: f64, watch: &mut dyn Watch) -> Result<(), TrainError> {
        let step = self.state.step;
        let seconds = self.state.seconds - began;
        let Some(planned) = self.planner.as_mut().and_then(|planner| planner.observe(step, seconds)) else {
            return Ok(());
        };
        let progress = self.config().decay_progress(step);
        self.plan.push(PlanPoint { after: step, progress, steps: Some(planned.steps) });
        self.run.dir.write_config(&self.config())?;
        watch.planned(&planned);
        Ok(())
    }

    /// Whether samples are drawn after `step`, which is not the last.
    fn preview_is_due(&self, step: u64) -> bool {
        let every = self.run.config.samples.every;
        every > 0 && step.is_multiple_of(every)
    }

    fn count(&mut self, seconds: f64, loss: f64) {
        let examples = self.run.config.training.batch_size as u64;
        self.state.step += 1;
        self.state.examples += examples;
        self.state.seconds += seconds;
        self.window.loss += loss;
        self.window.steps += 1;
        self.window.examples += examples;
        self.window.seconds += seconds;
    }

    fn log(&mut self, grad_norm: f64) -> Result<Metrics, TrainError> {
        let window = std::mem::take(&mut self.window);
        let metrics = Metrics {
            step: self.state.step,
            examples: self.state.examples,
            loss: window.loss / window.steps as f64,
            grad_norm,
            learning_rate: self.rate(self.state.step),
            images_per_second: window.examples as f64 / window.seconds,
            seconds: self.state.seconds,
        };
        self.metrics.write(&metrics)?;
        Ok(metrics)
    }

    fn checkpoint<const D: usize>(&mut self, model: &P::Net<A>, watch: &mut dyn Watch) -> Result<PathBuf, TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let config = self.config();
        let raw = model.valid();
        let keep = config.training.keep_checkpoints;
        self.metrics.sync()?;
        let NewCheckpoint { path, unlinked } = self.run.dir.add_checkpoint(self.state.step, keep, |dir| {
            let averaged = self.optimizer.averaged(raw.clone());
            self.spec.write(dir, &averaged)?;
            let data = DataRecord::of(self.run.data);
            let reached = (self.state, self.window);
            write_training(dir, &config, &data, reached, self.times.as_ref(), &raw, &self.optimizer)
        })?;
        watch.checkpoint(&path);
        if let Some(reason) = unlinked
            && !std::mem::replace(&mut self.unlinked, true)
        {
            watch.warn(&format!(
                "{reason}. The newest checkpoint is always the last of {}",
                self.run.dir.checkpoints().display()
            ));
        }
        Ok(path)
    }

    fn preview<const D: usize>(&self, model: &P::Net<A>, watch: &mut dyn Watch) -> Result<(), TrainError>
    where
        P: Blueprint<D>,
        P::Net<A>: AutodiffModule<A, InnerModule = P::Net<A::InnerBackend>>,
    {
        let config = self.run.config;
        let plan = preview::plan(config, &self.spec)?;
        let net = self.optimizer.averaged(model.valid());
        let stop = self.run.stop;
        let mut observe = |progress: crate::sampling::Progress<'_, A::InnerBackend, D>| {
            watch.sampling(progress.done, progress.total);
            if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let samples = match crate::sampling::draw(&net, &plan, self.run.data.shape(), self.device, &mut observe) {
            Ok(samples) => samples,
            // Asked to stop meanwhile: the picture can wait.
            Err(sfumato_process::sampler::SampleError::Stopped { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match preview::write(&self.run.dir.samples(), self.state.step, &samples, &plan, self.run.data) {
            Ok(path) => watch.samples(&path),
            // A picture is no reason to end a run.
            Err(error) => watch.warn(&format!("{error}; the run goes on without this picture")),
        }
        Ok(())
    }
}
