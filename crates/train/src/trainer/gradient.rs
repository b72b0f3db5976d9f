//! Loss and gradient of a batch, shard by shard, on one rank or on several.

use std::ops::Range;

use burn::module::AutodiffModule;
use sfumato_kernels::{AutodiffBackend, Backend, Gradient, Scalar};
use sfumato_nets::{Call, Network, layers::DropoutKey};
use sfumato_process::Objective;
use sfumato_schedule::NoiseSchedule;

use super::exchange;
use crate::{
    TrainError,
    batch::{Batch, Batches, Draws},
    ranks::Ranks,
    shards::{Partial, Shards, TreeSum},
};

/// What a batch gives, or the part of it that some shards give.
#[derive(Clone, Debug)]
pub(super) struct Learned<B: Backend> {
    /// The mean loss; of some shards, what they count in it.
    pub(super) loss: Scalar<B>,
    /// The gradient of that.
    pub(super) gradient: Gradient<B>,
    /// The loss of each example, not weighted, where they were asked for.
    pub(super) losses: Vec<f64>,
}

impl<B: Backend> Learned<B> {
    /// That of both: `self` is of the shards before those of `next`.
    pub(super) fn plus(mut self, next: Self) -> Self {
        self.losses.extend(next.losses);
        Self { loss: self.loss.plus(next.loss), gradient: self.gradient.plus(next.gradient), losses: self.losses }
    }
}

/// A batch, and what is done with each of its shards.
pub(super) struct Lesson<'a, A: AutodiffBackend, const D: usize> {
    pub(super) objective: &'a dyn Objective<A, D>,
    pub(super) schedule: &'a NoiseSchedule,
    pub(super) batches: &'a Batches<'a>,
    /// Which batch.
    pub(super) draws: &'a Draws,
    /// How it is cut.
    pub(super) shards: Shards,
    /// That of the batch's first example.
    pub(super) dropout: DropoutKey,
    /// Whether the loss of each example is wanted.
    pub(super) each: bool,
    /// Who computes.
    pub(super) ranks: &'a dyn Ranks,
    pub(super) device: &'a A::Device,
}

impl<A: AutodiffBackend, const D: usize> Lesson<'_, A, D> {
    /// What the whole batch gives.
    pub(super) fn learn<N>(&self, model: &N) -> Result<Learned<A::InnerBackend>, TrainError>
    where
        N: Network<A, D> + AutodiffModule<A>,
    {
        let ranks = self.ranks;
        let own = self.learn_from(model, self.shards.owned_by(ranks.rank(), ranks.size()))?;
        if !ranks.is_alone() {
            return Ok(exchange::sum(ranks, self.shards, own, &exchange::sizes(model), self.device));
        }
        let mut sum = TreeSum::new(self.shards, Learned::plus);
        own.into_iter().for_each(|partial| sum.push(partial));
        Ok(sum.total().expect("one owner has all shards"))
    }

    /// What the shards of an owner give, as far as they can be added up without those of others.
    fn learn_from<N>(
        &self,
        model: &N,
        owned: Range<usize>,
    ) -> Result<Vec<Partial<Learned<A::InnerBackend>>>, TrainError>
    where
        N: Network<A, D> + AutodiffModule<A>,
    {
        let mut sum = TreeSum::new(self.shards, Learned::plus);
        for shard in owned {
            sum.push(Partial { shards: shard..shard + 1, sum: self.shard(model, shard)? });
        }
        Ok(sum.partials())
    }

    /// What one shard gives: the mean of its losses and the gradient of that, times its share in the batch.
    fn shard<N>(&self, model: &N, shard: usize) -> Result<Learned<A::InnerBackend>, TrainError>
    where
        N: Network<A, D> + AutodiffModule<A>,
    {
        let (examples, share) = (self.shards.examples(shard), self.shards.share(shard));
        let dropout = Some(self.dropout.starting_at(examples.start as u64));
        let batch: Batch<A, D> = self.batches.get(self.draws, examples, self.device);
        let call = Call { net: model, classes: batch.classes.as_deref(), dropout };
        let losses = self.objective.losses(self.schedule, &call, batch.x_0, &batch.t, batch.epsilon)?;
        let each = if self.each { losses.to_data().iter::<f64>().collect() } else { Vec::new() };
        let loss = match batch.weights {
            Some(weights) => (losses * weights).mean(),
            None => losses.mean(),
        };
        let value = Scalar::of(loss.clone().inner());
        let mut grads = (loss * share).backward();
        let gradient = Gradient::of::<A, N>(model, &mut grads);
        Ok(Learned { loss: value.times(share), gradient, losses: each })
    }
}

#[cfg(test)]
#[path = "gradient_tests.rs"]
mod tests;
