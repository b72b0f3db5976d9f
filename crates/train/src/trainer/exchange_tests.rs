//! The sum over ranks beside the sum of one owner.

use burn::backend::{Flex, flex::FlexDevice};
use proptest::prelude::*;

use super::*;
use crate::ranks::threads;

/// Parameters of these sizes; the loss of a shard need not depend on each.
const SIZES: [usize; 3] = [5, 1, 3];

/// What a shard gives: numbers whose sum depends on the order.
fn given(shard: usize, seed: u32) -> Learned<Flex> {
    let number = |i: usize| {
        let x = (shard as u32 * 131 + i as u32 * 17 + seed).wrapping_mul(2_654_435_761) >> 8;
        (x as f32 / 1e4).sin() * 10_f32.powi((x % 7) as i32 - 3)
    };
    let value = |(p, size): (usize, &usize)| {
        // One parameter is in the loss of some shards alone, another in none.
        let present = p == 0 || p == 1 && shard % 3 == 1;
        present.then(|| Tensor::from_data(TensorData::new((0..*size).map(number).collect(), [*size]), &FlexDevice))
    };
    Learned {
        loss: Scalar::known(f64::from(number(99))),
        gradient: Gradient::from_values(SIZES.iter().enumerate().map(value).collect()),
        losses: vec![f64::from(number(100)), shard as f64],
    }
}

fn owned(shards: Shards, rank: usize, ranks: usize, seed: u32) -> Vec<Partial<Learned<Flex>>> {
    let mut sum = TreeSum::new(shards, Learned::plus);
    shards
        .owned_by(rank, ranks)
        .for_each(|shard| sum.push(Partial { shards: shard..shard + 1, sum: given(shard, seed) }));
    sum.partials()
}

/// Every bit of it.
fn bits(learned: &Learned<Flex>) -> (u64, Vec<u64>, Vec<Option<Vec<u32>>>) {
    let of = |tensor: &Tensor<Flex, 1>| {
        tensor.to_data().into_vec::<f32>().unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let gradient = learned.gradient.values().iter().map(|value| value.as_ref().map(of)).collect();
    (learned.loss.clone().read().to_bits(), learned.losses.iter().map(|loss| loss.to_bits()).collect(), gradient)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Also with fewer shards than ranks, and fewer values than ranks.
    #[test]
    fn every_number_of_ranks_has_the_bits_of_one(count in 1_usize..20, ranks in 2_usize..12, seed in any::<u16>()) {
        let shards = Shards::new(count, count);
        let [whole] = &owned(shards, 0, 1, seed.into())[..] else { panic!("one owner has one sum") };
        let expected = bits(&whole.sum);
        let sums = threads::together(ranks, |group| {
            let own = owned(shards, group.rank(), ranks, seed.into());
            bits(&sum(group, shards, own, &SIZES, &FlexDevice))
        });
        for sum in sums {
            prop_assert_eq!(&sum, &expected);
        }
    }
}
