//! Some examples of a data set, as a data set.

use super::Dataset;
use super::sampler::held_out_order;

/// Some examples of a data set in an order of their own: what is trained on, or what is held out.
///
/// Name, classes and checksum are those of the whole.
///
/// # Examples
/// ```
/// use sfumato_data::{Dataset, DatasetSpec, LoadOptions, Selection, load};
///
/// # #[cfg(feature = "sets")] {
/// let whole = load(&DatasetSpec::FashionMnistMini, &LoadOptions::default())?;
/// let some = Selection::new(&whole, vec![7, 3]);
/// assert_eq!((some.len(), some.label(1)), (2, whole.label(3)));
/// # }
/// # Ok::<(), sfumato_data::DataError>(())
/// ```
pub struct Selection<'a> {
    whole: &'a dyn Dataset,
    ids: Vec<usize>,
}

impl<'a> Selection<'a> {
    /// The examples `ids` of `whole`, in this order.
    ///
    /// # Panics
    /// If there are none, or one is not below `whole.len()`.
    pub fn new(whole: &'a dyn Dataset, ids: Vec<usize>) -> Self {
        assert!(!ids.is_empty(), "a data set has at least one example");
        assert!(ids.iter().all(|&id| id < whole.len()), "the data set has {} examples", whole.len());
        Self { whole, ids }
    }

    /// Two parts of `whole` that have no example in common: all but `held` examples, and these, which depend on `seed`.
    ///
    /// # Panics
    /// If either part would be empty.
    pub fn split(whole: &'a dyn Dataset, held: usize, seed: u64) -> [Self; 2] {
        let order = held_out_order(seed, whole.len());
        let mut held: Vec<usize> = order.take(held).collect();
        held.sort_unstable();
        let rest = (0..whole.len()).filter(|id| held.binary_search(id).is_err()).collect();
        [Self::new(whole, rest), Self::new(whole, held)]
    }

    /// Where the examples stand in the whole.
    pub fn ids(&self) -> &[usize] {
        &self.ids
    }
}

impl Dataset for Selection<'_> {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn shape(&self) -> &[usize] {
        self.whole.shape()
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        self.whole.write(self.ids[i], out);
    }

    fn label(&self, i: usize) -> Option<usize> {
        self.whole.label(self.ids[i])
    }

    fn class_names(&self) -> &[String] {
        self.whole.class_names()
    }

    fn classes(&self) -> Option<usize> {
        self.whole.classes()
    }

    fn is_discrete(&self) -> bool {
        self.whole.is_discrete()
    }

    fn name(&self) -> &str {
        self.whole.name()
    }

    fn sha256(&self) -> &str {
        self.whole.sha256()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Examples that are their own number.
    struct Numbers(usize);

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            self.0
        }

        fn shape(&self) -> &[usize] {
            &[1]
        }

        fn write(&self, i: usize, out: &mut [f32]) {
            out[0] = i as f32;
        }

        fn label(&self, i: usize) -> Option<usize> {
            Some(i)
        }
    }

    proptest! {
        #[test]
        fn two_parts_are_the_whole_and_the_held_out_ones_depend_on_the_seed(len in 2_usize..400, at in 0.0..1.0, seed: u64) {
            let whole = Numbers(len);
            let held = 1 + (at * (len - 1) as f64) as usize;
            let [rest, out] = Selection::split(&whole, held.min(len - 1), seed);
            prop_assert_eq!(out.len(), held.min(len - 1));
            let mut all: Vec<usize> = rest.ids().iter().chain(out.ids()).copied().collect();
            all.sort_unstable();
            prop_assert!(all.into_iter().eq(0..len));
            let mut value = [0.0];
            for part in [rest, out] {
                for (i, &id) in part.ids().iter().enumerate() {
                    part.write(i, &mut value);
                    prop_assert_eq!((value[0] as usize, part.label(i)), (id, Some(id)));
                }
            }
        }
    }

    #[test]
    fn every_example_is_held_out_equally_often() {
        let whole = Numbers(40);
        let mut counts = [0; 40];
        (0..4000).for_each(|seed| Selection::split(&whole, 10, seed)[1].ids().iter().for_each(|&id| counts[id] += 1));
        // Binomial(4000, 1/4): mean 1000, standard deviation 27.
        assert!(counts.iter().all(|count| (880..1120).contains(count)), "{counts:?}");
    }
}
