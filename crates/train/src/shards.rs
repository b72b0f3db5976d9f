//! A batch in fixed parts, and the sum of what the parts give, in an order that is the same whoever adds.
//!
//! **The cut.** A batch of `B` examples is cut into `V` shards of consecutive examples, whose sizes differ by at most one
//! ([`Shards`]). The cut follows from `B` and `V` alone.
//!
//! **The tree.** Sums of floats depend on their order. Here the order is that of a binary tree over the numbers of the shards: a node of
//! `n > 1` shards adds its left half, which has the largest power of two below `n`, to its right half. Seven shards are
//! `((0 + 1) + (2 + 3)) + ((4 + 5) + 6)`. A node is a run of shards `j 2^k .. (j + 1) 2^k`, cut off at `V`.
//!
//! **Owners.** Whoever holds a run of shards ([`Shards::owned_by`]) adds what is a whole subtree within it, and has at most `2 log₂ V` sums
//! then. The sums of all runs, in order, are the leaves of what is left of the tree: pushed into a [`TreeSum`] of the same
//! `V`, they give the bits that one owner of all shards has. So the result does not depend on the number of owners. The sum of a gradient is one for
//! each of its values: owners can also exchange parts of their sums, add them up for a part of the values each, and hand the results round.
//!
//! **Memory.** While one shard after the other is pushed, as many sums are held as the number of pushed shards has ones in binary.

use std::ops::Range;

/// The cut of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shards {
    examples: usize,
    count: usize,
}

impl Shards {
    /// A batch of `examples` in `count` shards: 1 to `examples`.
    pub(crate) fn new(examples: usize, count: usize) -> Self {
        debug_assert!((1..=examples).contains(&count), "{examples} examples in {count} shards");
        Self { examples, count }
    }

    /// How many there are.
    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// The places of shard `shard`'s examples in the batch.
    pub(crate) fn examples(self, shard: usize) -> Range<usize> {
        part(self.examples, self.count, shard)
    }

    /// The share of shard `shard` in the examples: what the mean of its losses counts in that of the batch.
    pub(crate) fn share(self, shard: usize) -> f64 {
        self.examples(shard).len() as f64 / self.examples as f64
    }

    /// Most examples of a shard.
    pub(crate) fn largest(self) -> usize {
        self.examples(0).len()
    }

    /// Most sums that are held beside what a shard gives, while one owner adds all.
    pub(crate) fn most_sums(self) -> u32 {
        self.count.ilog2()
    }

    /// The shards of owner `owner` of `owners`; none for some, where there are more owners than shards.
    pub(crate) fn owned_by(self, owner: usize, owners: usize) -> Range<usize> {
        part(self.count, owners, owner)
    }
}

/// Part `i` of `whole` in `parts` consecutive parts, the first of which are longer by one where it does not divide.
pub(crate) fn part(whole: usize, parts: usize, i: usize) -> Range<usize> {
    let (each, more) = (whole / parts, whole % parts);
    let start = |i: usize| i * each + i.min(more);
    start(i)..start(i + 1)
}

/// The sum of what the shards of a subtree gave, or what one of them did.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Partial<T> {
    /// The subtree.
    pub(crate) shards: Range<usize>,
    pub(crate) sum: T,
}

/// A sum by the tree, of partial sums that come in the order of their shards.
#[derive(Debug)]
pub(crate) struct TreeSum<T> {
    count: usize,
    add: fn(T, T) -> T,
    /// Side by side; none of them is the left half of a subtree whose right half is the next.
    sums: Vec<Partial<T>>,
}

impl<T> TreeSum<T> {
    /// No sum yet, in the tree over `shards`; `add` is given the left and the right half of a node.
    pub(crate) fn new(shards: Shards, add: fn(T, T) -> T) -> Self {
        Self { count: shards.count, add, sums: Vec::new() }
    }

    /// Takes in the partial sum beside the last one, and adds up what is a whole subtree by now.
    pub(crate) fn push(&mut self, next: Partial<T>) {
        let beside = self.sums.last().is_none_or(|last| last.shards.end == next.shards.start);
        debug_assert!(beside && next.shards.end <= self.count, "{:?} is not the next", next.shards);
        let Partial { mut shards, mut sum } = next;
        while let Some(left) = self.sums.pop_if(|left| are_halves(&left.shards, &shards, self.count)) {
            shards = left.shards.start..shards.end;
            sum = (self.add)(left.sum, sum);
        }
        self.sums.push(Partial { shards, sum });
    }

    /// The largest subtrees within the shards that were pushed, in order.
    pub(crate) fn partials(self) -> Vec<Partial<T>> {
        self.sums
    }

    /// The sum of all shards; none as long as some are missing.
    pub(crate) fn total(mut self) -> Option<T> {
        let whole = self.sums.pop()?;
        (whole.shards == (0..self.count)).then_some(whole.sum)
    }
}

/// Whether two subtrees of the tree over `count` shards, side by side, are the halves of one.
fn are_halves(left: &Range<usize>, right: &Range<usize>, count: usize) -> bool {
    let half = left.len();
    half.is_power_of_two()
        && left.start.is_multiple_of(2 * half)
        && right.end == (left.end.saturating_add(half)).min(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tree by its definition.
    fn by_definition<T: Clone>(parts: &[T], add: &dyn Fn(T, T) -> T) -> T {
        match parts {
            [one] => one.clone(),
            _ => {
                let left = parts.len().next_power_of_two() / 2;
                add(by_definition(&parts[..left], add), by_definition(&parts[left..], add))
            }
        }
    }

    /// What an owner of `run` has in the end.
    fn partials<T: Clone>(parts: &[T], run: Range<usize>, add: fn(T, T) -> T) -> Vec<Partial<T>> {
        let mut sum = TreeSum::new(Shards::new(parts.len(), parts.len()), add);
        run.for_each(|i| sum.push(Partial { shards: i..i + 1, sum: parts[i].clone() }));
        sum.partials()
    }

    fn joined(left: String, right: String) -> String {
        format!("({left}+{right})")
    }

    #[test]
    fn a_node_adds_the_largest_power_of_two_to_the_rest() {
        let names: Vec<String> = (0..7).map(|i| i.to_string()).collect();
        let [all] = &partials(&names, 0..7, joined)[..] else { panic!("one sum of all shards") };
        assert_eq!((all.shards.clone(), all.sum.as_str()), (0..7, "(((0+1)+(2+3))+((4+5)+6))"));
        let sums = |run| partials(&names, run, joined).into_iter().map(|p| p.sum).collect::<Vec<_>>();
        assert_eq!(sums(1..6), ["1", "(2+3)", "(4+5)"]);
        assert_eq!(sums(4..7), ["((4+5)+6)"]);
        assert_eq!(sums(3..3), [""; 0]);
    }

    #[test]
    fn a_sum_with_missing_shards_is_none() {
        let mut sum = TreeSum::new(Shards::new(3, 3), |a: u8, b| a + b);
        (0..2).for_each(|i| sum.push(Partial { shards: i..i + 1, sum: 1 }));
        assert_eq!(sum.total(), None);
        assert_eq!(TreeSum::new(Shards::new(1, 1), |a: u8, b| a + b).total(), None);
    }

    proptest! {
        /// Every example is in one shard, and shards of one batch are as good as equally large.
        #[test]
        fn shards_cover_the_batch_evenly(examples in 1_usize..3000, seed in any::<prop::sample::Index>()) {
            let count = seed.index(examples) + 1;
            let shards = Shards::new(examples, count);
            let ranges: Vec<_> = (0..count).map(|shard| shards.examples(shard)).collect();
            prop_assert!(ranges[0].start == 0 && ranges[count - 1].end == examples);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            let sizes = ranges.iter().map(|range| range.len());
            let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
            prop_assert!(least >= 1 && most - least <= 1 && shards.largest() == most);
            let total: f64 = (0..count).map(|shard| shards.share(shard)).sum();
            prop_assert!((total - 1.0).abs() < 1e-12);
        }

        /// Any number of owners gives the bits of one, also where it does not divide the number of shards, or is larger.
        #[test]
        fn the_bits_do_not_depend_on_the_number_of_owners(parts in prop::collection::vec(-1e3_f32..1e3, 1..100)) {
            let add: fn(f32, f32) -> f32 = |a, b| a + b;
            let expected = by_definition(&parts, &add);
            let shards = Shards::new(parts.len(), parts.len());
            for owners in [1, 2, 3, 4, 6, 8] {
                let mut sum = TreeSum::new(shards, add);
                for owner in 0..owners {
                    let own = partials(&parts, shards.owned_by(owner, owners), add);
                    prop_assert!(own.len() <= 2 * shards.most_sums() as usize + 1);
                    own.into_iter().for_each(|partial| sum.push(partial));
                }
                prop_assert_eq!(sum.total().unwrap().to_bits(), expected.to_bits(), "{} owners", owners);
            }
        }

        /// One owner holds no more sums than is said.
        #[test]
        fn few_sums_are_held(count in 1_usize..2000) {
            let shards = Shards::new(count, count);
            let mut sum = TreeSum::new(shards, |(): (), ()| ());
            let mut most = 0;
            for i in 0..count {
                most = most.max(sum.sums.len());
                sum.push(Partial { shards: i..i + 1, sum: () });
            }
            prop_assert_eq!(most as u32, shards.most_sums());
            prop_assert!(sum.total().is_some());
        }
    }
}
