//! Which examples are measured, and the mixtures that they are compared with.

use std::collections::BTreeMap;

use sfumato_data::{Dataset, Subset};

use super::{EmpiricalMixture, RegretError};
use crate::Condition;

/// The sets by number.
pub(super) const TRAIN: usize = 0;
pub(super) const HELD_OUT: usize = 1;
/// What they are called.
pub(super) const NAMES: [&str; 2] = ["training", "held-out"];

/// An example of one of the sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) set: usize,
    /// Its place among those of its set that are measured.
    pub(super) place: usize,
    /// Its index in the data set.
    pub(super) id: usize,
    /// Its class, if the model is told.
    pub(super) class: Option<usize>,
}

/// A set in the order in which it is measured.
pub(super) struct Ordered<'a> {
    pub(super) data: &'a dyn Dataset,
    set: usize,
    subset: Subset,
    /// How many are measured.
    pub(super) count: usize,
    labels: bool,
}

impl<'a> Ordered<'a> {
    /// `examples` of `data`. Training examples come again where they are fewer: they are all that their loss is about.
    pub(super) fn new(data: &'a dyn Dataset, set: usize, examples: usize, seed: u64, condition: Condition) -> Self {
        let len = known(data);
        let count = if set == TRAIN { examples } else { examples.min(len) };
        Self { data, set, subset: Subset::new(seed, len.max(1)), count, labels: condition == Condition::Labels }
    }

    /// The example at a place.
    pub(super) fn item(&self, place: usize) -> Result<Item, RegretError> {
        let len = known(self.data);
        let id = match self.data.part() {
            // A part in memory is in the order of the plan already.
            Some(ids) => ids[place % len],
            None => self.subset.index(place % len),
        };
        let class = self.labels.then(|| self.data.label(id));
        match class {
            Some(None) => Err(RegretError::NoLabels { set: NAMES[self.set] }),
            class => Ok(Item { set: self.set, place, id, class: class.flatten() }),
        }
    }
}

/// Examples that can be written.
fn known(data: &dyn Dataset) -> usize {
    data.part().map_or(data.len(), <[usize]>::len)
}

/// The examples of each class.
fn by_class(data: &dyn Dataset, examples: Vec<usize>) -> BTreeMap<usize, Vec<usize>> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for i in examples {
        if let Some(class) = data.label(i) {
            members.entry(class).or_default().push(i);
        }
    }
    members
}

/// The training set as a whole, or class by class.
pub(super) struct Mixtures<'a>(BTreeMap<Option<usize>, EmpiricalMixture<'a>>);

impl<'a> Mixtures<'a> {
    /// One mixture for each class that an item has.
    pub(super) fn new(
        train: &'a dyn Dataset,
        mirrored: bool,
        items: impl Iterator<Item = Item>,
    ) -> Result<Self, RegretError> {
        let all = || train.part().map_or_else(|| (0..train.len()).collect(), <[usize]>::to_vec);
        let mut classes: Option<BTreeMap<usize, Vec<usize>>> = None;
        let mut mixtures = BTreeMap::new();
        for item in items {
            if mixtures.contains_key(&item.class) {
                continue;
            }
            let part = match item.class {
                None => train.part().is_some().then(all),
                Some(class) => {
                    let members = classes.get_or_insert_with(|| by_class(train, all()));
                    let none = RegretError::NoSuchClass { example: item.id, class };
                    Some(members.remove(&class).ok_or(none)?)
                }
            };
            mixtures.insert(item.class, EmpiricalMixture::new(train, part, mirrored)?);
        }
        Ok(Self(mixtures))
    }

    /// Points of the largest.
    pub(super) fn most(&self) -> usize {
        self.0.values().map(EmpiricalMixture::len).max().unwrap_or(0)
    }

    /// The items of each mixture.
    pub(super) fn groups<'b>(
        &'b self,
        items: &'b [Item],
    ) -> impl Iterator<Item = (&'b EmpiricalMixture<'a>, Vec<usize>)> {
        let of = |class: Option<usize>| (0..items.len()).filter(|i| items[*i].class == class).collect::<Vec<_>>();
        self.0.iter().map(move |(class, mixture)| (mixture, of(*class))).filter(|(_, items)| !items.is_empty())
    }
}
