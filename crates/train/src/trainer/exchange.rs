//! The sum of what the shards of all ranks gave, in the order of the tree.
//!
//! Each rank has the sums of the largest subtrees within its shards. Every value of the gradient is a sum by itself, so the values are cut into as
//! many slices as there are ranks. A rank gets one slice of all those sums, adds it up by the tree, and hands the result round. A
//! rank with one sum sends and receives two times `(R - 1)/R` of a gradient, as in the best algorithms that do not keep an order
//! (Thakur et al. 2005, reduce-scatter and all-gather). A rank without shards adds a slice too.

use std::{borrow::Cow, ops::Range};

use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};
use sfumato_kernels::{Backend, Gradient, Scalar};

use super::gradient::Learned;
use crate::{
    ranks::Ranks,
    shards::{Partial, Shards, TreeSum, part},
};

/// The sum over all ranks, where `own` is what the shards of this one gave and `sizes` are the numbers of values of the parameters.
pub(super) fn sum<B: Backend>(
    ranks: &dyn Ranks,
    shards: Shards,
    own: Vec<Partial<Learned<B>>>,
    sizes: &[usize],
    device: &B::Device,
) -> Learned<B> {
    let heard: Vec<Vec<Head>> =
        ranks.all_gather(&Head::write(&own)).iter().map(|words| Head::read(words, sizes.len())).collect();
    let present: Vec<bool> = (0..sizes.len()).map(|i| heard.iter().flatten().any(|head| head.present[i])).collect();
    let sizes_of = || sizes.iter().zip(&present).map(|(size, present)| if *present { *size } else { 0 });
    let length: usize = sizes_of().sum();
    let slices: Vec<Range<usize>> = (0..ranks.size()).map(|rank| part(length, ranks.size(), rank)).collect();
    let subtrees: Vec<Vec<Range<usize>>> = (0..ranks.size()).map(|rank| subtrees(shards, rank, ranks.size())).collect();

    let mut flat: Vec<Vec<f32>> = own.into_iter().map(|partial| flatten(partial.sum.gradient, sizes_of())).collect();
    let to: Vec<usize> = slices.iter().map(|slice| flat.len() * slice.len()).collect();
    // The slices of one sum lie in the order of the ranks already: a copy of a large gradient less.
    let values = match &mut flat[..] {
        [one] => std::mem::take(one),
        many => slices.iter().flat_map(|slice| many.iter().map(|sum| &sum[slice.clone()])).collect::<Vec<_>>().concat(),
    };
    drop(flat);
    let mine = slices[ranks.rank()].len();
    let from: Vec<usize> = subtrees.iter().map(|subtrees| subtrees.len() * mine).collect();
    let received = ranks.all_to_all(&values, &to, &from);
    drop(values);
    let all = subtrees.into_iter().flatten();
    let own_slice = if mine == 0 { Vec::new() } else { added(shards, all, received.chunks_exact(mine)).into_owned() };
    drop(received);
    let lengths: Vec<usize> = slices.iter().map(Range::len).collect();
    let total = ranks.all_gather_values(&own_slice, &lengths);

    let (mut loss, mut losses) = (TreeSum::new(shards, |a: f64, b: f64| a + b), Vec::new());
    for (rank, heads) in heard.into_iter().enumerate() {
        for (subtree, head) in self::subtrees(shards, rank, ranks.size()).into_iter().zip(heads) {
            loss.push(Partial { shards: subtree, sum: head.loss });
            losses.extend(head.losses);
        }
    }
    Learned {
        loss: Scalar::known(loss.total().expect("all ranks together have all shards")),
        gradient: unflatten(&total, sizes, &present, device),
        losses,
    }
}

/// Number of values of each parameter, in visiting order.
pub(super) fn sizes<B: burn::tensor::backend::Backend, M: Module<B>>(model: &M) -> Vec<usize> {
    struct Sizes(Vec<usize>);

    impl<B: burn::tensor::backend::Backend> ModuleVisitor<B> for Sizes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.push(param.shape().num_elements());
        }
    }

    let mut sizes = Sizes(Vec::new());
    model.visit(&mut sizes);
    sizes.0
}

/// The largest subtrees within the shards of a rank, in order.
fn subtrees(shards: Shards, rank: usize, ranks: usize) -> Vec<Range<usize>> {
    let mut sum = TreeSum::new(shards, |(), ()| ());
    shards.owned_by(rank, ranks).for_each(|shard| sum.push(Partial { shards: shard..shard + 1, sum: () }));
    sum.partials().into_iter().map(|partial| partial.shards).collect()
}

/// The sum of one slice of the sums of all subtrees.
fn added<'a>(
    shards: Shards,
    subtrees: impl Iterator<Item = Range<usize>>,
    slices: impl Iterator<Item = &'a [f32]>,
) -> Cow<'a, [f32]> {
    // What was received is read where it lies.
    let mut sum: TreeSum<Cow<'a, [f32]>> = TreeSum::new(shards, |left, right| match left {
        Cow::Borrowed(left) => Cow::Owned(left.iter().zip(&*right).map(|(a, b)| a + b).collect()),
        Cow::Owned(mut left) => {
            left.iter_mut().zip(&*right).for_each(|(a, b)| *a += b);
            Cow::Owned(left)
        }
    });
    subtrees.zip(slices).for_each(|(shards, slice)| sum.push(Partial { shards, sum: Cow::Borrowed(slice) }));
    sum.total().expect("all ranks together have all shards")
}

/// The values of a gradient one after the other, with as many of each parameter as `sizes` says. Where one has none there is -0, which changes nothing that it
/// is added to.
fn flatten<B: Backend>(gradient: Gradient<B>, sizes: impl Iterator<Item = usize>) -> Vec<f32> {
    let mut flat = Vec::new();
    for (value, size) in gradient.into_values().into_iter().zip(sizes) {
        match value {
            Some(value) => {
                let data = value.into_data().convert::<f32>();
                flat.extend_from_slice(data.as_slice::<f32>().expect("the data was just converted to f32"));
            }
            None => flat.resize(flat.len() + size, -0.0),
        }
    }
    flat
}

fn unflatten<B: Backend>(values: &[f32], sizes: &[usize], present: &[bool], device: &B::Device) -> Gradient<B> {
    let mut rest = values;
    let take = |(size, present): (&usize, &bool)| {
        present.then(|| {
            let (own, others) = rest.split_at(*size);
            rest = others;
            Tensor::from_data(TensorData::new(own.to_vec(), [*size]), device)
        })
    };
    Gradient::from_values(sizes.iter().zip(present).map(take).collect())
}

/// What ranks tell each other of a sum beside its values.
#[derive(Debug, PartialEq)]
struct Head {
    loss: f64,
    losses: Vec<f64>,
    /// Which parameters the loss depends on.
    present: Vec<bool>,
}

impl Head {
    fn write<B: Backend>(own: &[Partial<Learned<B>>]) -> Vec<u8> {
        let mut words = Vec::new();
        for Partial { sum: Learned { loss, gradient, losses }, .. } in own {
            words.extend(loss.clone().read().to_le_bytes());
            words.extend((losses.len() as u64).to_le_bytes());
            losses.iter().for_each(|loss| words.extend(loss.to_le_bytes()));
            words.extend(gradient.values().iter().map(|value| u8::from(value.is_some())));
        }
        words
    }

    fn read(words: &[u8], parameters: usize) -> Vec<Self> {
        let mut rest = words;
        let eight = |rest: &mut &[u8]| -> [u8; 8] {
            let (first, others) = rest.split_at(8);
            *rest = others;
            first.try_into().expect("eight bytes")
        };
        let mut heads = Vec::new();
        while !rest.is_empty() {
            let loss = f64::from_le_bytes(eight(&mut rest));
            let count = u64::from_le_bytes(eight(&mut rest));
            let losses = (0..count).map(|_| f64::from_le_bytes(eight(&mut rest))).collect();
            let (present, others) = rest.split_at(parameters);
            rest = others;
            heads.push(Self { loss, losses, present: present.iter().map(|byte| *byte == 1).collect() });
        }
        heads
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
