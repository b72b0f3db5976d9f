//! Steps grouped into strata, so that one step of each can stand for all of it.

use rand::RngExt;

use crate::noise::{Purpose, stream};

/// Consecutive steps of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stratum {
    /// First step.
    pub first: usize,
    /// Number of steps.
    pub width: usize,
}

/// A partition of the steps `1..=S` into strata.
///
/// The sum of the terms over all steps is estimated without bias by `Σ width · term(a step drawn uniformly in the stratum)`. Near
/// the data the terms change fast (they fall like `1/t`), so the strata begin with single steps and widen with `t`: a stratum that
/// begins at `t` has `t/2` steps (at least 1), and never more than the stride. Step 1, the decoder, is always by itself.
///
/// # Examples
/// ```
/// use sfumato_process::bound::Strata;
///
/// assert_eq!(Strata::every_step(1000).len(), 1000);
/// let strata = Strata::with_stride(1000, 100);
/// let widths: Vec<usize> = strata.iter().map(|stratum| stratum.width).collect();
/// assert_eq!(widths, [1, 1, 1, 2, 3, 4, 6, 9, 14, 21, 31, 47, 70, 100, 100, 100, 100, 100, 100, 100, 90]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strata {
    steps: usize,
    strata: Vec<Stratum>,
}

impl Strata {
    /// Every step by itself: no randomness in the choice of steps.
    pub fn every_step(steps: usize) -> Self {
        Self::with_stride(steps, 1)
    }

    /// Strata of at most `stride` of `steps` steps; a stride of 0 is read as 1.
    pub fn with_stride(steps: usize, stride: usize) -> Self {
        let mut strata = Vec::new();
        let mut first = 1;
        while first <= steps {
            let width = (first / 2).clamp(1, stride.max(1)).min(steps + 1 - first);
            strata.push(Stratum { first, width });
            first += width;
        }
        Self { steps, strata }
    }

    /// Steps of the chain, `S`.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Number of strata: evaluations of the network for one draw of one example.
    pub fn len(&self) -> usize {
        self.strata.len()
    }

    /// Whether there are none, for a chain without steps.
    pub fn is_empty(&self) -> bool {
        self.strata.is_empty()
    }

    /// The strata in order.
    pub fn iter(&self) -> impl Iterator<Item = Stratum> + '_ {
        self.strata.iter().copied()
    }

    /// A step from each stratum, with the stratum's width, for one draw of one example: a pure function of the address.
    pub fn choose(&self, seed: u64, example: usize, draw: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut rng = stream(seed, Purpose::Strata, example as u64, draw as u64);
        self.strata.iter().map(move |stratum| (stratum.first + rng.random_range(0..stratum.width), stratum.width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strata_are_a_partition_for_every_length_and_stride() {
        for steps in [1, 2, 3, 10, 57, 1000, 4000] {
            for stride in [0, 1, 2, 7, 100, 10_000] {
                let strata = Strata::with_stride(steps, stride);
                let covered: Vec<usize> = strata.iter().flat_map(|s| s.first..s.first + s.width).collect();
                assert!(covered.into_iter().eq(1..=steps), "{steps} steps, stride {stride}");
                assert!(strata.iter().all(|s| s.width <= stride.max(1)));
                assert_eq!(strata.iter().next(), Some(Stratum { first: 1, width: 1 }));
            }
        }
    }

    #[test]
    fn each_step_of_a_stratum_is_chosen_equally_often() {
        let strata = Strata::with_stride(20, 5);
        let mut counts = [0u32; 21];
        let n = 8000;
        for example in 0..n {
            strata.choose(3, example, 1).for_each(|(step, _)| counts[step] += 1);
        }
        for stratum in strata.iter() {
            for step in stratum.first..stratum.first + stratum.width {
                let p = 1.0 / stratum.width as f64;
                let (expected, sd) = (n as f64 * p, (n as f64 * p * (1.0 - p)).sqrt());
                assert!((f64::from(counts[step]) - expected).abs() <= 5.0 * sd, "step {step}: {}", counts[step]);
            }
        }
    }
}
