//! The samples of a call: the same indices of every seed, under every weight of guidance.
//!
//! They are in order of seeds, then weights, then indices; so they stand in `samples.npy`, and each seed and weight is a row of the grid.

use std::ops::Range;

use sfumato_model::sampling::{Classes, Guidance, Noise, SamplePlan};

use crate::args::{Indices, OneOrMany};

/// Samples of a row of the grid; where there are more of a seed, their rows follow each other.
const MOST_COLUMNS: usize = 64;

/// All samples of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Set {
    pub(super) seeds: OneOrMany<u64>,
    pub(super) weights: OneOrMany<f64>,
    pub(super) indices: Indices,
}

/// The samples of one seed under one weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) seed: u64,
    pub(super) weight: f64,
}

impl Series {
    /// The plan for samples `range` of it.
    pub(super) fn plan<'a>(self, plan: &SamplePlan<'a>, range: Range<usize>) -> SamplePlan<'a> {
        let noise = match &plan.noise {
            Noise::Seeded(_) => Noise::Seeded(self.seed),
            other => other.clone(),
        };
        let guidance = plan.guidance.map(|guidance| Guidance { weight: self.weight, ..guidance });
        SamplePlan { noise, guidance, first: range.start, num: range.end, ..plan.clone() }
    }
}

/// Consecutive samples of a series that are drawn at a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Batch {
    /// Number of the series.
    pub(super) series: usize,
    /// Indices of the samples.
    pub(super) range: Range<usize>,
}

impl Set {
    /// Every seed under every weight.
    pub(super) fn series(&self) -> Vec<Series> {
        let weights = self.weights.all();
        self.seeds.all().iter().flat_map(|&seed| weights.iter().map(move |&weight| Series { seed, weight })).collect()
    }

    /// Whether more than one series is drawn.
    pub(super) fn is_several(&self) -> bool {
        self.seeds.all().len() * self.weights.all().len() > 1
    }

    /// Number of samples.
    pub(super) fn len(&self) -> usize {
        (self.seeds.all().len() * self.weights.all().len()).saturating_mul(self.indices.num)
    }

    /// The series of sample `i` of all, and its index there.
    pub(super) fn place(&self, i: usize) -> (Series, usize) {
        let (row, weights) = (i / self.indices.num, self.weights.all());
        let series = Series { seed: self.seeds.all()[row / weights.len()], weight: weights[row % weights.len()] };
        (series, self.indices.first + i % self.indices.num)
    }

    /// The file of sample `i` of all. Seeds and weights are named where they were given as a list.
    pub(super) fn file_name(&self, i: usize) -> String {
        let (Series { seed, weight }, index) = self.place(i);
        let seed = if self.seeds.is_list() { format!("seed-{seed}-") } else { String::new() };
        let weight = if self.weights.is_list() { format!("guidance-{weight}-") } else { String::new() };
        format!("sample-{seed}{weight}{index:05}.png")
    }

    /// The batches of all samples but the first `done`.
    pub(super) fn batches(&self, done: usize, size: usize) -> Vec<Batch> {
        let Indices { first, num } = self.indices;
        let batches_of = |series: usize| {
            let there = done.saturating_sub(series * num).min(num);
            let starts = (first + there..first + num).step_by(size);
            starts.map(move |start| Batch { series, range: start..(first + num).min(start + size) })
        };
        (0..self.series().len()).flat_map(batches_of).collect()
    }

    /// Columns of a grid of the first `there` samples; 0 for a square-ish one.
    pub(super) fn columns(&self, classes: Classes, there: usize) -> usize {
        if self.is_several() { self.indices.num.min(MOST_COLUMNS) } else { classes.columns(there) }
    }
}

/// Whether a file is called as one of a sample may be.
pub(super) fn is_file_name(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("sample-").and_then(|rest| rest.strip_suffix(".png")) else { return false };
    let (before, index) = rest.rsplit_once('-').unwrap_or(("", rest));
    let named = before.is_empty() || before.starts_with("seed-") || before.starts_with("guidance-");
    named && index.len() >= 5 && index.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(seeds: &[u64], weights: &[f64], first: usize, num: usize) -> Set {
        Set {
            seeds: OneOrMany::Many(seeds.to_vec()),
            weights: OneOrMany::Many(weights.to_vec()),
            indices: Indices { first, num },
        }
    }

    #[test]
    fn samples_are_in_order_of_seeds_then_weights_then_indices() {
        let set = set(&[7, 2], &[1.0, 2.5], 16, 3);
        let names: Vec<String> = (0..set.len()).map(|i| set.file_name(i)).collect();
        assert_eq!(names.len(), 12);
        assert_eq!(names[0], "sample-seed-7-guidance-1-00016.png");
        assert_eq!(names[5], "sample-seed-7-guidance-2.5-00018.png");
        assert_eq!(names[6], "sample-seed-2-guidance-1-00016.png");
        let one = Set { seeds: OneOrMany::One(9), weights: OneOrMany::One(2.0), ..set.clone() };
        assert_eq!((one.file_name(2), one.len(), one.is_several()), ("sample-00018.png".to_owned(), 3, false));
        assert!(names.iter().all(|name| is_file_name(name)) && is_file_name("sample-100000.png"));
        for name in ["sample-of-mine.png", "sample-1.png", "sample-mine-00001.png", "sample-00001.jpg", "00001.png"] {
            assert!(!is_file_name(name), "{name}");
        }
    }

    #[test]
    fn batches_are_those_of_what_is_not_there_and_never_of_two_series() {
        let set = set(&[0, 1, 2], &[1.0], 10, 5);
        for done in 0..=set.len() {
            for size in 1..=7 {
                let batches = set.batches(done, size);
                let drawn =
                    batches.iter().flat_map(|batch| batch.range.clone().map(|index| (batch.series as u64, index)));
                let missing = (done..set.len()).map(|i| set.place(i)).map(|(series, index)| (series.seed, index));
                assert!(drawn.eq(missing), "{done} done, {size} at a time");
                assert!(batches.iter().all(|batch| (1..=size).contains(&batch.range.len())));
            }
        }
    }
}
