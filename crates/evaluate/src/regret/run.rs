//! The measurement, some examples at a time.

use std::{collections::BTreeMap, ops::ControlFlow};

use sfumato_data::Dataset;
use sfumato_files::memory;
use sfumato_kernels::{Backend, KeptFilters};
use sfumato_model::{Model, ModelError, NoisedBatch};
use sfumato_process::noise::{Purpose, fill_normal};

use super::{
    EmpiricalMixture, Level, Query, Regret, RegretError, Verdict,
    examples::{HELD_OUT, Item, Mixtures, NAMES, Ordered, TRAIN},
    losses::{Losses, figures},
};
use crate::Condition;

/// Memory for products with the training set.
const MEMORY: u64 = 128 << 20;
/// Examples that are worked on at a time, at most, so that a stop is obeyed soon.
const MOST_AT_A_TIME: usize = 64;

/// The sets, of one shape.
#[derive(Clone, Copy, Debug)]
pub struct RegretSets<'a> {
    /// All that the model was trained on.
    pub train: &'a dyn Dataset,
    /// What it was not trained on, if there is such data.
    pub held_out: Option<&'a dyn Dataset>,
}

/// What is measured, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct RegretPlan {
    /// The noise levels, of the model's own schedule; see [`levels`](super::levels).
    pub levels: Vec<Level>,
    /// Examples of each set: a random part. Held-out ones are fewer where there are fewer; training ones then come several times, with
    /// other noise.
    pub examples: usize,
    /// Seed of the parts and of the noise.
    pub seed: u64,
    /// What a class-conditional model is told. If it is told the labels, the optimum knows them too.
    pub condition: Condition,
    /// Whether the model was trained on mirrored examples too: then the optimum is that of both.
    pub mirrored: bool,
    /// Evaluations of the network at a time; the result depends on it only by the network's rounding.
    pub batch_size: usize,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegretProgress {
    /// Examples of each set that are done.
    pub examples: usize,
    /// Evaluations of the network so far.
    pub evaluations: u64,
    /// Evaluations in all.
    pub total: u64,
}

/// The losses `‖ε - ε̂‖²` of a batch, averaged over the dimensions: [`Model::noise_losses`], or those of any other denoiser.
pub type NoiseLosses<'a> = dyn Fn(&NoisedBatch<'_>) -> Result<Vec<f64>, ModelError> + 'a;

/// The regret of `model` on the training set in `sets`, and its gap to the held-out set.
///
/// Where `observe` breaks off, the result is that of the examples which are done by then. Examples are taken in a random order, so these
/// are a random part too.
///
/// Memory: 128 MB, or what one example takes, beside the data.
///
/// # Errors
/// [`RegretError`].
///
/// # Panics
/// If the network does not fit the data.
pub fn regret<B: Backend>(
    model: &Model<B>,
    plan: &RegretPlan,
    sets: &RegretSets<'_>,
    observe: &mut dyn FnMut(RegretProgress) -> ControlFlow<()>,
) -> Result<Regret, RegretError> {
    let _kept = KeptFilters::new();
    regret_of(&|batch| model.noise_losses(batch), plan, sets, observe)
}

/// The same for whatever answers with losses, such as a denoiser that is no [`Model`].
///
/// # Errors
/// As [`regret`].
pub fn regret_of(
    losses: &NoiseLosses<'_>,
    plan: &RegretPlan,
    sets: &RegretSets<'_>,
    observe: &mut dyn FnMut(RegretProgress) -> ControlFlow<()>,
) -> Result<Regret, RegretError> {
    let ordered = |data, set| Ordered::new(data, set, plan.examples, plan.seed, plan.condition);
    let mut all = vec![ordered(sets.train, TRAIN)];
    all.extend(sets.held_out.map(|data| ordered(data, HELD_OUT)));
    if let Some(held_out) = sets.held_out.filter(|data| data.shape() != sets.train.shape()) {
        return Err(RegretError::Shape { train: sets.train.shape().to_vec(), held_out: held_out.shape().to_vec() });
    }
    if let Some((set, few)) = all.iter().enumerate().find(|(_, set)| set.count < 2) {
        return Err(RegretError::TooFew { set: NAMES[set], found: few.count });
    }
    let items =
        all.iter().flat_map(|set| (0..set.count).map(|place| set.item(place))).collect::<Result<Vec<_>, _>>()?;
    let mixtures = Mixtures::new(sets.train, plan.mirrored, items.into_iter())?;
    let total = all.iter().map(|set| set.count * plan.levels.len()).sum::<usize>() as u64;
    let progress = RegretProgress { examples: 0, evaluations: 0, total };
    let mut run = Run { losses, plan, sets: all, mixtures, progress, done: [Losses::default(), Losses::default()] };
    run.all(observe)?;
    run.result(sets)
}

struct Run<'a> {
    losses: &'a NoiseLosses<'a>,
    plan: &'a RegretPlan,
    sets: Vec<Ordered<'a>>,
    mixtures: Mixtures<'a>,
    progress: RegretProgress,
    done: [Losses; 2],
}

/// Some examples with their noise.
struct Block {
    items: Vec<Item>,
    /// The examples, one after the other.
    x_0: Vec<f32>,
    /// The first place.
    first: usize,
    /// Noise of each place from the first on, at each level.
    epsilon: Vec<f32>,
}

impl Run<'_> {
    fn dims(&self) -> usize {
        self.sets[TRAIN].data.example_len()
    }

    fn count(&self) -> usize {
        self.sets.iter().map(|set| set.count).max().unwrap_or(0)
    }

    /// Measures block by block until the end or a stop.
    fn all(&mut self, observe: &mut dyn FnMut(RegretProgress) -> ControlFlow<()>) -> Result<(), RegretError> {
        let count = self.count();
        let size = self.size()?;
        for first in (0..count).step_by(size) {
            let block = self.block(first..(first + size).min(count))?;
            let Some(model) = self.ask(&block, observe)? else { break };
            let optimum = self.optimum(&block);
            for ((item, model), optimum) in block.items.iter().zip(model).zip(optimum) {
                let done = &mut self.done[item.set];
                done.ids.push(item.id);
                done.model.push(model);
                done.optimum.push(optimum);
            }
            self.progress.examples = (first + size).min(count);
            if observe(self.progress).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Places at a time: as many as there is memory for.
    fn size(&self) -> Result<usize, RegretError> {
        let (levels, dims, points) = (self.plan.levels.len() as u64, self.dims() as u64, self.mixtures.most() as u64);
        // Products in f32; two copies of the noise in f32, and for each of both sets a mean in f64 and its part in f32.
        let one = (levels + 2) * points * 4 + levels * dims * (2 * 4 + 2 * 12);
        let limit = memory::limit();
        if one > limit / 2 {
            return Err(RegretError::Memory { points: self.mixtures.most(), needed: one, limit });
        }
        Ok(usize::try_from(MEMORY / one).unwrap_or(1).clamp(1, MOST_AT_A_TIME))
    }

    fn block(&self, places: std::ops::Range<usize>) -> Result<Block, RegretError> {
        let dims = self.dims();
        let mut block = Block { items: Vec::new(), x_0: Vec::new(), first: places.start, epsilon: Vec::new() };
        for set in &self.sets {
            for place in places.start..places.end.min(set.count) {
                let item = set.item(place)?;
                block.items.push(item);
                block.x_0.resize(block.items.len() * dims, 0.0);
                let at = block.x_0.len() - dims;
                set.data.write(item.id, &mut block.x_0[at..]);
            }
        }
        block.epsilon = vec![0.0; places.len() * self.plan.levels.len() * dims];
        let mut rows = block.epsilon.chunks_exact_mut(dims);
        for place in places {
            for (level, row) in self.plan.levels.iter().zip(&mut rows) {
                // As in the bound: the noise of step t is draw t - 1.
                fill_normal(self.plan.seed, Purpose::Forward, place as u64, level.t as u64 - 1, row);
            }
        }
        Ok(block)
    }

    /// The model's losses: a row for each item, with a number for each level; none if the work was stopped.
    fn ask(
        &mut self,
        block: &Block,
        observe: &mut dyn FnMut(RegretProgress) -> ControlFlow<()>,
    ) -> Result<Option<Vec<Vec<f64>>>, RegretError> {
        let (dims, levels) = (self.dims(), self.plan.levels.len());
        let wanted: Vec<(usize, usize)> =
            (0..block.items.len()).flat_map(|i| (0..levels).map(move |level| (i, level))).collect();
        let mut rows = vec![Vec::with_capacity(levels); block.items.len()];
        for batch in wanted.chunks(self.plan.batch_size.max(1)) {
            let x_0 = batch.iter().flat_map(|(i, _)| &block.x_0[i * dims..(i + 1) * dims]).copied().collect::<Vec<_>>();
            let epsilon: Vec<f32> =
                batch.iter().flat_map(|(i, level)| self.noise(block, *i, *level)).copied().collect();
            let steps: Vec<usize> = batch.iter().map(|(_, level)| self.plan.levels[*level].t).collect();
            let classes: Option<Vec<usize>> = match self.plan.condition {
                Condition::None => None,
                Condition::Labels => batch.iter().map(|(i, _)| block.items[*i].class).collect(),
                Condition::Null(class) => Some(vec![class; batch.len()]),
            };
            let asked = NoisedBatch { x_0: &x_0, epsilon: &epsilon, steps: &steps, classes: classes.as_deref() };
            for ((i, level), loss) in batch.iter().zip((self.losses)(&asked)?) {
                if !loss.is_finite() {
                    let Item { set, id, .. } = block.items[*i];
                    let t = self.plan.levels[*level].t;
                    return Err(RegretError::NotFinite { set: NAMES[set], example: id, t, loss });
                }
                rows[*i].push(loss);
            }
            self.progress.evaluations += batch.len() as u64;
            if observe(self.progress).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(rows))
    }

    /// The noise of an item at a level.
    fn noise<'b>(&self, block: &'b Block, item: usize, level: usize) -> &'b [f32] {
        let dims = self.dims();
        let row = (block.items[item].place - block.first) * self.plan.levels.len() + level;
        &block.epsilon[row * dims..(row + 1) * dims]
    }

    /// The optimum's losses, laid out like the model's.
    fn optimum(&self, block: &Block) -> Vec<Vec<f64>> {
        let mut rows = vec![Vec::new(); block.items.len()];
        for (mixture, items) in self.mixtures.groups(&block.items) {
            let losses = self.compare(mixture, block, &items);
            for (i, losses) in items.iter().zip(losses.chunks_exact(self.plan.levels.len())) {
                rows[*i] = losses.to_vec();
            }
        }
        rows
    }

    /// The optimum's losses on some items of the block: those of the first at all levels, then those of the next.
    fn compare(&self, mixture: &EmpiricalMixture<'_>, block: &Block, items: &[usize]) -> Vec<f64> {
        let (dims, levels) = (self.dims(), &self.plan.levels);
        let (mut x_0, mut epsilon, mut queries) = (Vec::new(), Vec::new(), Vec::new());
        // Items at the same place have the same noise, whose products are computed once.
        let mut noises = BTreeMap::new();
        for (example, &i) in items.iter().enumerate() {
            x_0.extend_from_slice(&block.x_0[i * dims..(i + 1) * dims]);
            let first = *noises.entry(block.items[i].place).or_insert_with(|| {
                let first = epsilon.len() / dims;
                (0..levels.len()).for_each(|level| epsilon.extend_from_slice(self.noise(block, i, level)));
                first
            });
            let query = |(j, level): (usize, &Level)| Query { example, noise: first + j, snr: level.log_snr.exp() };
            queries.extend(levels.iter().enumerate().map(query));
        }
        mixture.losses(&x_0, &epsilon, &queries)
    }

    fn result(self, sets: &RegretSets<'_>) -> Result<Regret, RegretError> {
        let [train, held_out] = &self.done;
        if train.len() < 2 || (sets.held_out.is_some() && held_out.len() < 2) {
            return Err(RegretError::Stopped { done: train.len(), total: self.plan.examples });
        }
        let (levels, mean) = figures(&self.plan.levels, train, held_out);
        Ok(Regret {
            verdict: Verdict::of(&levels, &mean),
            levels,
            mean,
            train_examples: train.len(),
            held_out_examples: held_out.len(),
            mixture: sets.train.part().map_or(sets.train.len(), <[usize]>::len),
            mirrored: self.plan.mirrored,
            within_classes: self.plan.condition == Condition::Labels,
        })
    }
}
