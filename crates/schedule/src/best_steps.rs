//! The best steps for a shorter chain, by dynamic programming: Watson et al. (2021), arXiv:2106.03802, Section 3.

/// What the parts of a chain cost. The cost of a chain is the sum of its leaps' costs, with the first two taken together: what the last
/// leap to clean data costs may depend on the one before it.
///
/// Steps run `1..=T`. A chain that may not be is infinitely dear; no cost may be NaN.
pub trait ChainCosts {
    /// The chain that leaps from `T` straight to clean data.
    fn only(&self, total: usize) -> f64;

    /// From `t` to `s` and from `s` to clean data, `1 <= s < t`.
    fn first_two(&self, s: usize, t: usize) -> f64;

    /// From `t` to `s`, where `s` is not the last step before clean data.
    fn leap(&self, s: usize, t: usize) -> f64;
}

/// For every number of steps the cheapest chain from `T` down.
///
/// # Formula
/// `D_2(t) = min_s first_two(s, t)`, `D_k(t) = min_{s < t} D_{k-1}(s) + leap(s, t)`; the chain of `k` steps costs `D_k(T)`. One pass gives
/// all `k` up to `K` with `½ K T²` additions.
///
/// # Examples
/// ```
/// use sfumato_schedule::{BestSteps, ChainCosts};
///
/// /// A leap costs the square of its length.
/// struct Square;
/// impl ChainCosts for Square {
///     fn only(&self, total: usize) -> f64 {
///         self.leap(0, total)
///     }
///     fn first_two(&self, s: usize, t: usize) -> f64 {
///         self.leap(0, s) + self.leap(s, t)
///     }
///     fn leap(&self, s: usize, t: usize) -> f64 {
///         ((t - s) as f64).powi(2)
///     }
/// }
/// let best = BestSteps::find(12, 4, &Square);
/// assert_eq!((best.steps(3), best.cost(3)), (Some(vec![4, 8, 12]), Some(48.0)));
/// assert_eq!(best.steps(5), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BestSteps {
    total: usize,
    /// Of `k` steps at `k - 1`.
    costs: Vec<f64>,
    /// Of `k >= 2` steps at `k - 2`: the step below `t` at `t - 1`; 0 where there is no such chain.
    below: Vec<Vec<u32>>,
}

impl BestSteps {
    /// The cheapest chains of 1 to `most` of `total` steps; of `total` at most. Of chains that cost the same, the one whose steps are
    /// lower is taken.
    ///
    /// Memory: `4 T²` bytes for the costs of all leaps, and `4 K T` for the way back.
    pub fn find(total: usize, most: usize, costs: &dyn ChainCosts) -> Self {
        let most = most.min(total);
        let mut best = Self { total, costs: Vec::new(), below: Vec::new() };
        if most == 0 {
            return best;
        }
        best.costs.push(costs.only(total));
        if most == 1 {
            return best;
        }
        let (first, below) = relaxed(total, |t, s| costs.first_two(s, t));
        best.costs.push(first[total - 1]);
        best.below.push(below);
        let leaps: Vec<f64> = (1..=total).flat_map(|t| (1..t).map(move |s| costs.leap(s, t))).collect();
        let mut reached = first;
        for _ in 3..=most {
            // Row t of the triangle begins behind those of 1 to t - 1, which are as long as 0 to t - 2.
            let row = |t: usize| &leaps[(t - 1) * (t - 2) / 2..];
            let (next, below) = relaxed_rows(total, &reached, row);
            best.costs.push(next[total - 1]);
            best.below.push(below);
            reached = next;
        }
        best
    }

    /// The largest number of steps that was looked for.
    pub fn most(&self) -> usize {
        self.costs.len()
    }

    /// The cost of the best chain of `count` steps; none if it was not looked for.
    pub fn cost(&self, count: usize) -> Option<f64> {
        self.costs.get(count.checked_sub(1)?).copied()
    }

    /// The steps of the best chain of `count` steps, strictly increasing, the last of them `T`; none if it was not looked for, or if there
    /// is none of finite cost.
    pub fn steps(&self, count: usize) -> Option<Vec<usize>> {
        if count == 0 || count > self.most() {
            return None;
        }
        let mut steps = vec![self.total];
        for k in (2..=count).rev() {
            let below = self.below[k - 2][steps[steps.len() - 1] - 1];
            if below == 0 {
                return None;
            }
            steps.push(below as usize);
        }
        steps.reverse();
        Some(steps)
    }
}

/// For each `t` the least of `cost(t, s)` over `s`, and where it is.
fn relaxed(total: usize, cost: impl Fn(usize, usize) -> f64) -> (Vec<f64>, Vec<u32>) {
    let least = |t: usize| least((1..t).map(|s| cost(t, s)));
    (1..=total).map(least).unzip()
}

/// The same of `reached(s) + row(t)[s - 1]`.
fn relaxed_rows<'a>(total: usize, reached: &[f64], row: impl Fn(usize) -> &'a [f64]) -> (Vec<f64>, Vec<u32>) {
    let of = |t: usize| match t {
        1 => (f64::INFINITY, 0),
        _ => least(reached[..t - 1].iter().zip(row(t)).map(|(reached, leap)| reached + leap)),
    };
    (1..=total).map(of).unzip()
}

/// The least value and its place, from 1; 0 if none is finite.
fn least(values: impl Iterator<Item = f64>) -> (f64, u32) {
    let mut found = (f64::INFINITY, 0);
    for (value, place) in values.zip(1..) {
        if value < found.0 {
            found = (value, place);
        }
    }
    found
}
