//! A score in the making.

use std::ops::ControlFlow;

use burn::tensor::Tensor;
use sfumato_kernels::{Backend, KeptFilters};
use sfumato_nets::Network;
use sfumato_process::{
    Chain, RecordedNoise, VarianceRule,
    bound::{self, Bound, BoundNoise, ContinuousPlan, Decoder, Examples, LevelStrata, Plan, Progress, Strata},
};

use crate::{
    Model, ModelError, Net,
    fitted::{ChainChoice, Placement},
    pipeline::Labels,
};

/// Strata of at most this fraction of the steps if nothing is said.
const STRATA: usize = 10;

/// How a model is scored by the variational bound. [`Model::score`] starts one.
#[must_use = "nothing is scored before `run`"]
pub struct Scoring<'a, B: Backend> {
    model: &'a Model<B>,
    examples: &'a dyn Examples,
    decoder: Decoder,
    classes: Option<&'a dyn Fn(usize) -> usize>,
    chain: ChainChoice,
    continuous: bool,
    stride: Option<usize>,
    draws: usize,
    noise: BoundNoise<'a>,
    seed: u64,
    batch_size: usize,
}

impl<'a, B: Backend> Scoring<'a, B> {
    pub(crate) fn new(model: &'a Model<B>, examples: &'a dyn Examples, decoder: Decoder) -> Self {
        Self {
            model,
            examples,
            decoder,
            classes: None,
            chain: ChainChoice::default(),
            continuous: false,
            stride: None,
            draws: 1,
            noise: BoundNoise::Seeded(0),
            seed: 0,
            batch_size: 64,
        }
    }

    /// The class of the example with this [id](Examples::id), for a class-conditional model: the bound is on `-log p(x | class)` then.
    /// Without it such a model is told the class that stands for "any".
    pub fn classes(self, class_of: &'a dyn Fn(usize) -> usize) -> Self {
        Self { classes: Some(class_of), ..self }
    }

    /// Scores the chain of only so many steps: another model than the full chain.
    pub fn steps(self, steps: usize) -> Self {
        Self { chain: ChainChoice { steps: Some(steps), ..self.chain }, ..self }
    }

    /// Scores in continuous time: infinitely many steps between the chain's first and last
    /// ([`estimate_continuous`](fn@bound::estimate_continuous)). The variance is the decoder's alone then.
    pub fn continuous(self) -> Self {
        Self { continuous: true, ..self }
    }

    /// How these steps are placed: by a [`Spacing`](crate::Spacing), evenly if nothing is said, or as the model's
    /// [fit](crate::fitted) says.
    pub fn spacing(self, placement: impl Into<Placement>) -> Self {
        Self { chain: ChainChoice { placement: placement.into(), ..self.chain }, ..self }
    }

    /// Longest stratum of steps that one evaluation stands for; 1 evaluates every step. A tenth of the steps if nothing is said.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride: Some(stride), ..self }
    }

    /// Draws of noise for each example and stratum.
    pub fn draws(self, draws: usize) -> Self {
        Self { draws, ..self }
    }

    /// Seed of the noise and of the choice of steps.
    pub fn seed(self, seed: u64) -> Self {
        Self { noise: BoundNoise::Seeded(seed), seed, ..self }
    }

    /// Recorded noise: entry `t - 1` is that of step `t`.
    pub fn recorded_noise(self, noise: RecordedNoise<'a>) -> Self {
        Self { noise: BoundNoise::Recorded(noise), ..self }
    }

    /// A fixed variance in place of the model's, or one of its [fit](crate::fitted).
    pub fn variance(self, variance: impl Into<VarianceRule>) -> Self {
        Self { chain: ChainChoice { variance: Some(variance.into()), ..self.chain }, ..self }
    }

    /// Evaluations of the network at a time; the result depends on it only by the network's rounding.
    pub fn batch_size(self, size: usize) -> Self {
        Self { batch_size: size, ..self }
    }

    /// Computes the bound.
    ///
    /// # Errors
    /// [`ModelError`]: steps that the schedule does not have, examples of another shape than the model's, missing classes, noise that is
    /// not enough, and [`BoundError`](bound::BoundError).
    pub fn run(&self) -> Result<Bound, ModelError> {
        self.observed(&mut |_| ControlFlow::Continue(()))
    }

    /// The same with an observer after each batch, which may stop the work: the bound is then of the examples that are complete.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn observed(&self, observe: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Bound, ModelError> {
        let model = self.model.pipeline();
        model.check_channels()?;
        let chain = self.chain()?;
        let own = model.example_shape(None)?;
        if self.examples.shape() != own {
            let found = self.examples.shape();
            return model
                .unusable(&format!("the model scores examples of shape {own:?}, these are of shape {found:?}"));
        }
        let null = model.spec.facts.null_class;
        if model.labels()? != Labels::None && self.classes.is_none() && null.is_none() {
            return model.unusable("the model is class-conditional; say the class of each example");
        }
        let classes = |ids: &[usize]| match (self.classes, null) {
            _ if matches!(model.labels(), Ok(Labels::None)) => None,
            (Some(class_of), _) => Some(ids.iter().map(|&id| class_of(id)).collect()),
            (None, null) => null.map(|null| vec![null; ids.len()]),
        };
        let (decoder, draws, noise, seed) = (self.decoder, self.draws, self.noise.clone(), self.seed);
        if self.continuous {
            if matches!(noise, BoundNoise::Recorded(_)) || self.stride.is_some() {
                return model.unusable(
                    "recorded noise and a stride are for a sum over steps; in continuous time there are none",
                );
            }
            let levels = LevelStrata::of(&chain, LevelStrata::USUAL);
            let plan = ContinuousPlan { decoder, levels, draws, seed };
            return self.model.continuous_bound(&chain, &plan, self.examples, &classes, self.batch_size, observe);
        }
        let steps = chain.steps();
        let strata = Strata::with_stride(steps, self.stride.unwrap_or(steps.div_ceil(STRATA)));
        let plan = Plan { decoder, strata, draws, noise, seed };
        self.model.bound(&chain, &plan, self.examples, &classes, self.batch_size, observe)
    }

    fn chain(&self) -> Result<Chain, ModelError> {
        let chain = self.chain.of(self.model.pipeline())?;
        let most = chain.steps();
        match self.stride {
            Some(stride) if !(1..=most).contains(&stride) => {
                let reason = format!("the chain has {most} steps, so 1 to {most} are possible");
                Err(ModelError::Value { option: "stride", value: stride.to_string(), reason })
            }
            _ => Ok(chain),
        }
    }
}

impl<B: Backend> Model<B> {
    /// The bound of `chain` over `examples`, where `classes` gives a class-conditional network the classes of the examples with these
    /// [ids](Examples::id), and others nothing. [`score`](Self::score) settles all of it from a few words.
    ///
    /// # Errors
    /// [`ModelError::Bound`].
    pub fn bound(
        &self,
        chain: &Chain,
        plan: &Plan<'_>,
        examples: &dyn Examples,
        classes: &dyn Fn(&[usize]) -> Option<Vec<usize>>,
        batch_size: usize,
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Bound, ModelError> {
        let work = Work { chain, plan: AnyPlan::Steps(plan), examples, classes, batch_size };
        work.of(self, observe)
    }

    /// The bound in continuous time between the first step of `chain` and its last; else as [`bound`](Self::bound).
    ///
    /// # Errors
    /// [`ModelError::Bound`].
    pub fn continuous_bound(
        &self,
        chain: &Chain,
        plan: &ContinuousPlan,
        examples: &dyn Examples,
        classes: &dyn Fn(&[usize]) -> Option<Vec<usize>>,
        batch_size: usize,
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Bound, ModelError> {
        let work = Work { chain, plan: AnyPlan::Continuous(plan), examples, classes, batch_size };
        work.of(self, observe)
    }
}

/// How it is scored.
#[derive(Clone, Copy)]
enum AnyPlan<'a> {
    Steps(&'a Plan<'a>),
    Continuous(&'a ContinuousPlan),
}

/// What is scored, whatever the network.
struct Work<'a> {
    chain: &'a Chain,
    plan: AnyPlan<'a>,
    examples: &'a dyn Examples,
    classes: &'a dyn Fn(&[usize]) -> Option<Vec<usize>>,
    batch_size: usize,
}

impl Work<'_> {
    fn of<B: Backend>(
        &self,
        model: &Model<B>,
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Bound, ModelError> {
        match model.net() {
            Net::UNet(net) => self.run::<B, _, 4>(net, model.device(), observe),
            Net::Mlp(net) => self.run::<B, _, 2>(net, model.device(), observe),
        }
    }

    fn run<B: Backend, N: Network<B, D>, const D: usize>(
        &self,
        net: &N,
        device: &B::Device,
        observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Bound, ModelError> {
        let _kept = KeptFilters::new();
        let Self { chain, plan, examples, batch_size, .. } = *self;
        match plan {
            AnyPlan::Steps(plan) => {
                let predict = |x_t: Tensor<B, D>, t: &[usize], ids: &[usize]| {
                    net.forward_at(x_t, t, (self.classes)(ids).as_deref(), None)
                };
                Ok(bound::estimate::<B, D>(chain, &predict, plan, examples, batch_size, device, observe)?)
            }
            AnyPlan::Continuous(plan) => {
                let predict = |x_t: Tensor<B, D>, t: &[f64], ids: &[usize]| {
                    net.forward_between(x_t, t, (self.classes)(ids).as_deref(), None)
                };
                Ok(bound::estimate_continuous::<B, D>(chain, &predict, plan, examples, batch_size, device, observe)?)
            }
        }
    }
}
