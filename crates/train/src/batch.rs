//! Training batches: which examples, which steps `t` and which noise, all a function of (seed, draw number).

use std::ops::Range;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand::RngExt;
use sfumato_data::{Dataset, EpochSampler, mirror};
use sfumato_process::{
    noise::{Purpose, fill_normal, stream},
    times::{TimeDraw, TimeSampler},
};

/// Which examples a batch has, and at which steps.
pub(crate) struct Draws {
    /// The number of its first example: draw `n` is the `n`-th example that the run sees.
    first: u64,
    steps: Vec<TimeDraw>,
    weighted: bool,
}

impl Draws {
    /// One step `1..=T` for each example.
    pub(crate) fn t(&self) -> Vec<usize> {
        self.steps.iter().map(|draw| draw.t).collect()
    }
}

/// One batch or a part of one, ready for the loss.
pub(crate) struct Batch<B: Backend, const D: usize> {
    /// Clean data, `[batch, …]` in [-1, 1].
    pub(crate) x_0: Tensor<B, D>,
    /// Standard normal, as `x_0`.
    pub(crate) epsilon: Tensor<B, D>,
    /// One step `1..=T` for each example.
    pub(crate) t: Vec<usize>,
    /// Factor of each loss that makes up for steps being drawn unequally often; none where none is needed: `[batch]`.
    pub(crate) weights: Option<Tensor<B, 1>>,
    /// One class for each example, for a class-conditional model.
    pub(crate) classes: Option<Vec<usize>>,
}

/// Makes batches from a data set.
pub(crate) struct Batches<'a> {
    data: &'a dyn Dataset,
    sampler: EpochSampler,
    seed: u64,
    flip: bool,
    /// For a class-conditional model.
    labels: Option<Labels>,
}

/// What a class-conditional model is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels {
    /// The class of an example without a label.
    pub(crate) unlabelled: usize,
    /// Chance that an example is treated as having no label.
    pub(crate) dropout: f64,
}

impl<'a> Batches<'a> {
    /// Batches of `data`.
    pub(crate) fn new(data: &'a dyn Dataset, seed: u64, flip: bool, labels: Option<Labels>) -> Self {
        Self { data, sampler: EpochSampler::new(seed, data.len()), seed, flip, labels }
    }

    /// The batch of draws `first..first + size`. `times` draws its steps.
    pub(crate) fn draws(&self, first: u64, size: usize, times: &TimeSampler) -> Draws {
        Draws { first, steps: times.draws(self.seed, first, size), weighted: times.is_weighted() }
    }

    /// The examples in these places of a batch.
    pub(crate) fn get<B: Backend, const D: usize>(
        &self,
        batch: &Draws,
        places: Range<usize>,
        device: &B::Device,
    ) -> Batch<B, D> {
        let first = batch.first + places.start as u64;
        let (draws, size) = (&batch.steps[places.clone()], places.len());
        let example: usize = self.data.shape().iter().product();
        let mut x_0 = vec![0.0; size * example];
        let mut epsilon = vec![0.0; size * example];
        let t = draws.iter().map(|draw| draw.t).collect();
        let weights = batch.weighted.then(|| draws.iter().map(|draw| draw.weight as f32).collect::<Vec<_>>());
        let mut classes = self.labels.map(|_| Vec::with_capacity(size));
        let rows = x_0.chunks_exact_mut(example).zip(epsilon.chunks_exact_mut(example));
        for (draw, (x, noise)) in (first..).zip(rows) {
            let index = self.sampler.index(draw);
            self.data.write(index, x);
            if self.flip && self.sampler.flip(draw) {
                mirror(self.data.shape(), x);
            }
            fill_normal(self.seed, Purpose::Training, draw, 0, noise);
            if let (Some(classes), Some(Labels { unlabelled, dropout })) = (&mut classes, self.labels) {
                let dropped = stream(self.seed, Purpose::Labels, draw, 0).random_bool(dropout);
                classes.push(self.data.label(index).filter(|_| !dropped).unwrap_or(unlabelled));
            }
        }
        let mut shape = [size; D];
        shape[1..].copy_from_slice(self.data.shape());
        let tensor = |values| Tensor::from_data(TensorData::new(values, shape), device);
        let weights = weights.map(|weights| Tensor::from_data(TensorData::new(weights, [size]), device));
        Batch { x_0: tensor(x_0), epsilon: tensor(epsilon), t, weights, classes }
    }
}
