//! The training loop: Ho et al. (2020), Algorithm 1, and everything that a run needs around it.

mod time;
mod write;

use std::{
    marker::PhantomData,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use burn::{module::AutodiffModule, tensor::ElementConversion};
use sfumato_data::Dataset;
use sfumato_kernels::{Adam, AutodiffBackend};
use sfumato_model::{
    Blueprint,
    pipeline::{AnyConfig, PipelineSpec},
};
use sfumato_nets::{
    Call, InputError, NetError, Network,
    layers::DropoutKey,
    params::{RandomParams, parameters},
};
use sfumato_process::{
    Objective,
    times::{ImportanceTimes, Times},
};
use sfumato_schedule::NoiseSchedule;

use crate::{
    FoundCheckpoint, Metrics, PlanPoint, RunDir, TrainConfig, TrainError, TrainState, Watch,
    batch::{Batch, Batches},
    checkpoint::{Resumed, not_finite, read_times, read_training, read_window},
    config::ModelConfig,
    error::Kept,
    metrics::{MetricsLog, OpenedLog, Window},
    plan::Planner,
    preview,
    spec::pipeline_spec,
};

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
    pub data: &'a dyn Dataset,
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
        let (variance, objective) = (self.config.diffusion.variance, self.config.objective(self.data));
        match &self.config.model {
            ModelConfig::Unet(spec) => {
                self.train_network::<A, _, 4>(&spec.resolve(self.data, variance)?, &objective, device, watch)
            }
            ModelConfig::Mlp(spec) => {
                self.train_network::<A, _, 2>(&spec.resolve(self.data, variance)?, &objective, device, watch)
            }
            ModelConfig::Own(own) => Err(TrainError::ConfigValue {
                key: "model.kind",
                value: "own".into(),
                expected: format!("unet or mlp: the network {} is built by the program that defines it", own.class),
            }),
        }
    }

    /// The same with a network and a loss of the caller's own: `blueprint` builds the one and says how it is kept, `objective` is the
    /// other. The configuration names the network as [`ModelConfig::Own`].
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
        let _lock = self.dir.locked()?;
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
            let model: P::Net<A> = build_seeded(blueprint, config.seed, device)?;
            let optimizer = Adam::new(&config.optimizer.adam(), &model.valid());
            (model, optimizer, TrainState::default())
        };
        watch.begin(&state, burn::module::Module::num_params(&model));
        let schedule = config.diffusion.schedule.build()?;
        let mut network = blueprint.config();
        if let AnyConfig::Own(own) = &mut network {
            own.num_params = burn::module::Module::num_params(&model) as u64;
        }
        let spec = pipeline_spec(network, &config.diffusion, self.data, self.environment);
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
        session.go(model, objective, watch)
    }
}

/// A new network. What it draws itself comes from Burn's generator, which is one for the whole process: runs that start at the same time
/// take turns.
fn build_seeded<A, P, const D: usize>(blueprint: &P, seed: u64, device: &A::Device) -> Result<P::Net<A>, NetError>
where
    A: AutodiffBackend,
    P: Blueprint<D>,
{
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    A::seed(device, seed);
    let net = blueprint.build(&mut RandomParams::new(seed), device)?;
    // Burn draws a value when it is first asked for.
    drop(parameters(&net));
    Ok(net)
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
    /// What importance sampling has seen; none where steps are uniform.
    times: Option<ImportanceTimes>,
    spec: PipelineSpec,
    batches: Batches<'a>,
    metrics: MetricsLog,
    window: Window,
    device: &'a A::Device,
    optimizer: Adam<A::InnerBackend>,
    state: TrainState,
    /// Whether it was said that `model` does not show the newest checkpoint.
    unlinked: bool,
    /// The configuration's, and what was added to it.
    plan: Vec<PlanPoint>,
    /// Watches the time limit, where there is one and the learning rate falls.
    planner: Option<Planner>,
}

impl<A: AutodiffBackend, P> Session<'_, A, P> {
    fn go<const D: usize>(
        &mut self,
        mut model: P::Net<A>,
        objective: &dyn Objective<A, D>,
        watch: &mut dyn Watch,
    ) -> Result<Outcome, TrainError>
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
            let (next, loss, grad_norm) = self.step(model, objective, watch)?;
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
        objective: &dyn Objective<A, D>,
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
        let losses = objective.losses(&self.schedule, &call, batch.x_0, &batch.t, batch.epsilon)?;
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
}
