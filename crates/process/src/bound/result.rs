//! The bound, term by term.

use super::{Decoder, Heard, Mean, Moments, Point};

/// An estimate of the variational bound; nats for a whole example, unless converted with [`Mean::bits_per_dim`].
///
/// Standard errors treat the examples as a sample of the data's distribution: they hold the spread of the examples, the noise and
/// the choice of steps alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Numbers in one example.
    pub dimensions: usize,
    /// Examples that were scored; each counts once.
    pub examples: u64,
    /// Evaluations of the network for them.
    pub evaluations: u64,
    /// What `L_0` is.
    pub decoder_kind: Decoder,
    /// `L_T`.
    pub prior: Mean,
    /// `Σ L_{t-1}` over `t = 2, …, S`; in continuous time its limit, the integral.
    pub diffusion: Mean,
    /// `L_0`.
    pub decoder: Mean,
    /// The sum of the three.
    pub total: Mean,
    /// Each step by itself; index `t - 1`. In continuous time the decoder's step alone.
    pub steps: Vec<StepTerm>,
    /// In continuous time the strata of noise levels, from the data on; none for a sum over steps.
    pub levels: Vec<LevelTerm>,
    /// Each example by itself, in the order in which they were scored.
    pub each: Vec<ExampleTerms>,
}

/// One example's terms, in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExampleTerms {
    /// The example's [`id`](super::Examples::id).
    pub example: usize,
    /// `L_T`.
    pub prior: f64,
    /// `Σ L_{t-1}` over `t = 2, …, S`.
    pub diffusion: f64,
    /// `L_0`.
    pub decoder: f64,
}

impl ExampleTerms {
    /// The sum of the three.
    pub fn total(&self) -> f64 {
        self.prior + self.diffusion + self.decoder
    }
}

/// One step's term: `L_{t-1}`, and for `t = 1` the decoder's `L_0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTerm {
    /// Step of the chain, from 1.
    pub step: usize,
    /// The same step of the trained chain.
    pub original_step: usize,
    /// The mean over the examples that visited it; none if no example did.
    pub term: Option<Mean>,
}

/// The part of the integral between two noise levels, in continuous time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelTerm {
    /// The log-SNRs between which it lies, the larger one first; nats.
    pub log_snr: [f64; 2],
    /// The times in `1..=T` that belong to them.
    pub time: [f64; 2],
    /// The mean of `½ ∫ ‖ε - ε̂‖² dλ` between them, over the examples; nats.
    pub term: Mean,
}

/// Gathers the terms of one example after the other: of each example three sums are kept, of each step the mean.
#[derive(Debug)]
pub(super) struct Gather {
    prior: Moments,
    diffusion: Moments,
    decoder: Moments,
    total: Moments,
    steps: Vec<Moments>,
    evaluations: u64,
    each: Vec<ExampleTerms>,
    /// Terms of the example that is being gathered.
    current: Vec<(Point, f64)>,
}

impl Gather {
    pub(super) fn new(steps: usize) -> Self {
        let empty = Moments::default();
        Self {
            prior: empty,
            diffusion: empty,
            decoder: empty,
            total: empty,
            steps: vec![empty; steps],
            evaluations: 0,
            each: Vec::new(),
            current: Vec::new(),
        }
    }

    /// One term of the current example.
    pub(super) fn term(&mut self, point: Point, nats: f64) {
        self.current.push((point, nats));
    }

    /// What was heard of examples, gathered again.
    pub(super) fn replayed(steps: usize, heard: impl IntoIterator<Item = Heard>) -> Self {
        let mut gather = Self::new(steps);
        for Heard { example, prior, terms } in heard {
            gather.current = terms;
            gather.finish(example, prior);
        }
        gather
    }

    /// The terms of the current example so far.
    pub(super) fn current(&self) -> &[(Point, f64)] {
        &self.current
    }

    /// Closes the current example, which is `example` and whose `L_T` is `prior`.
    pub(super) fn finish(&mut self, example: usize, prior: f64) {
        self.evaluations += self.current.len() as u64;
        let weighted = |first: bool| {
            let terms = self.current.iter().filter(|(point, _)| (point.step == 1) == first);
            terms.map(|(point, nats)| point.weight * nats).sum::<f64>()
        };
        let (decoder, diffusion) = (weighted(true), weighted(false));
        self.prior.push(prior);
        self.decoder.push(decoder);
        self.diffusion.push(diffusion);
        let terms = ExampleTerms { example, prior, diffusion, decoder };
        self.total.push(terms.total());
        self.each.push(terms);
        // An example that visits a step several times counts there once, with the mean: its visits are not independent.
        self.current.sort_by_key(|(point, _)| point.step);
        for visits in self.current.chunk_by(|a, b| a.0.step == b.0.step) {
            let mean = visits.iter().map(|(_, nats)| nats).sum::<f64>() / visits.len() as f64;
            self.steps[visits[0].0.step - 1].push(mean);
        }
        self.current.clear();
    }

    /// The result; none if no example was closed.
    pub(super) fn bound(
        &self,
        dimensions: usize,
        decoder_kind: Decoder,
        original_step: impl Fn(usize) -> usize,
    ) -> Option<Bound> {
        let total = self.total.mean()?;
        let steps = (1..).zip(&self.steps).map(|(step, moments)| StepTerm {
            step,
            original_step: original_step(step),
            term: moments.mean(),
        });
        Some(Bound {
            dimensions,
            examples: total.count,
            evaluations: self.evaluations,
            decoder_kind,
            prior: self.prior.mean()?,
            diffusion: self.diffusion.mean()?,
            decoder: self.decoder.mean()?,
            total,
            steps: steps.collect(),
            levels: Vec::new(),
            each: self.each.clone(),
        })
    }
}
