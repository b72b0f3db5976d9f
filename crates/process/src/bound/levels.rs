//! Noise levels grouped into strata: what steps are to the sum, levels are to the integral.

use rand::RngExt;
use sfumato_schedule::LogSnrCurve;

use crate::{
    Chain, NoiseLevel,
    noise::{Purpose, stream},
};

/// The least density of levels, relative to that where there is much signal.
const FLOOR: f64 = 0.1;
/// Halvings of an interval of levels until its ends are neighbours in `f64`, or nearly.
const HALVINGS: usize = 60;

/// A partition of the log-SNRs between the first and the last step of a chain, for the estimate of an integral over them.
///
/// # Formula
/// Levels have the density `g(λ) = 0.1 + 0.9/(1 + e^{-λ})` in the log-SNR `λ`, up to a factor: the shape of the loss `E‖ε - ε̂‖²` of a perfect
/// denoiser for data of unit variance, with a floor. All strata are equally wide in `G = ∫ g`, and each is visited twice, as far above
/// its middle in `G` as below, `G± = G_middle ± u · width/2` with `u ~ U(0, 1)`. Then `Σ ½ (f/g(λ₊) + f/g(λ₋)) · width` is `∫ f dλ` in the mean for every
/// `f`, and whatever in `f/g` is a straight line over a stratum does not vary at all.
///
/// # Examples
/// ```
/// use sfumato_process::{Chain, Parameterization, bound::LevelStrata};
/// use sfumato_schedule::ScheduleConfig;
///
/// let chain = Chain::new(&ScheduleConfig::default().build()?, Parameterization::Epsilon);
/// let strata = LevelStrata::of(&chain, 10);
/// assert_eq!(strata.choose(0, 17, 0).count(), 20);
/// // An estimate of ∫ sigmoid(λ) dλ = ln(1 + e^λ) from the 20 levels of one example.
/// let sigmoid = |log_snr: f64| 1.0 / (1.0 + (-log_snr).exp());
/// let found: f64 = strata.choose(0, 17, 0).map(|level| 0.5 * level.weight * sigmoid(level.noise.log_snr())).sum();
/// let [most, least] = strata.ends().map(|log_snr| log_snr.exp().ln_1p());
/// assert!((found / (most - least) - 1.0).abs() < 0.02);
/// # Ok::<(), sfumato_schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LevelStrata {
    curve: LogSnrCurve,
    /// `G` of the strata's ends, falling; none for a chain of one step.
    edges: Vec<f64>,
    ends: [f64; 2],
}

/// A level that is visited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Its stratum, from 0.
    pub stratum: usize,
    /// The level, and the time that the network is told.
    pub noise: NoiseLevel,
    /// What `f(λ)` counts as an estimate of the stratum's `∫ f dλ`: its width over the density here.
    pub weight: f64,
}

impl LevelStrata {
    /// Strata if nothing is said: 20 levels for each example and draw.
    pub const USUAL: usize = 10;

    /// `count` strata between the levels of the first step of `chain` and its last; at least one, but none if they are the same step.
    pub fn of(chain: &Chain, count: usize) -> Self {
        let curve = chain.trained_schedule().log_snr_curve();
        let ends = [1, chain.steps()].map(|i| curve.at(chain.original_step(i) as f64));
        let [most, least] = ends.map(integral);
        let count = if most > least { count.max(1) } else { 0 };
        let edges = (0..=count).map(|i| most + (least - most) * i as f64 / count.max(1) as f64);
        Self { curve, edges: edges.collect(), ends }
    }

    /// Number of strata; each is visited twice in every draw.
    pub fn len(&self) -> usize {
        self.edges.len() - 1
    }

    /// Whether there are none: the chain has one step, and no level beside it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The log-SNRs of the chain's first and last step, in nats.
    pub fn ends(&self) -> [f64; 2] {
        self.ends
    }

    /// The log-SNRs where stratum `i` begins and ends, the larger one first.
    ///
    /// # Panics
    /// If there is no such stratum.
    pub fn edges(&self, i: usize) -> [f64; 2] {
        [i, i + 1].map(|i| match i {
            0 => self.ends[0],
            i if i == self.len() => self.ends[1],
            i => self.log_snr(self.edges[i]),
        })
    }

    /// The time in `1..=T` that belongs to a log-SNR.
    pub fn time_of(&self, log_snr: f64) -> f64 {
        self.curve.time_of(log_snr)
    }

    /// The levels for one draw of one example, two from each stratum: a pure function of the address.
    pub fn choose(&self, seed: u64, example: usize, draw: usize) -> impl Iterator<Item = Level> + '_ {
        let mut rng = stream(seed, Purpose::Levels, example as u64, draw as u64);
        self.edges.windows(2).enumerate().flat_map(move |(stratum, edges)| {
            let (middle, half) = (0.5 * (edges[0] + edges[1]), 0.5 * (edges[0] - edges[1]));
            let off: f64 = half * rng.random::<f64>();
            [middle + off, middle - off].map(|place| {
                let log_snr = self.log_snr(place);
                let noise = NoiseLevel::of_log_snr(log_snr, self.time_of(log_snr));
                Level { stratum, noise, weight: 2.0 * half / density(log_snr) }
            })
        })
    }

    /// The inverse of [`integral`] between the ends.
    fn log_snr(&self, place: f64) -> f64 {
        let [mut high, mut low] = self.ends;
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if integral(middle) < place { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    }
}

/// `g`.
fn density(log_snr: f64) -> f64 {
    FLOOR + (1.0 - FLOOR) / (1.0 + (-log_snr).exp())
}

/// `G`, its integral.
fn integral(log_snr: f64) -> f64 {
    let softplus = log_snr.max(0.0) + (-log_snr.abs()).exp().ln_1p();
    FLOOR * log_snr + (1.0 - FLOOR) * softplus
}

#[cfg(test)]
mod tests {
    use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

    use super::*;
    use crate::Parameterization;

    fn strata(name: &str, count: usize) -> LevelStrata {
        let schedule = name.parse::<ScheduleConfig>().unwrap().build().unwrap();
        LevelStrata::of(&Chain::new(&schedule, Parameterization::V), count)
    }

    #[test]
    fn strata_are_a_partition_and_their_levels_lie_within() {
        for (name, count) in [("linear", 10), ("cosine", 1), ("cosine:2", 3), ("linear:4000", 7)] {
            let strata = strata(name, count);
            assert_eq!(strata.len(), count);
            let edges: Vec<[f64; 2]> = (0..count).map(|i| strata.edges(i)).collect();
            assert!((edges[0][0] - strata.ends()[0]).abs() < 1e-9);
            assert!((edges[count - 1][1] - strata.ends()[1]).abs() < 1e-9);
            assert!(edges.windows(2).all(|pair| pair[0][1] == pair[1][0]) && edges.iter().all(|[a, b]| a > b));
            for example in 0..50 {
                for level in strata.choose(3, example, 1) {
                    let [most, least] = edges[level.stratum];
                    let log_snr = level.noise.log_snr();
                    assert!(
                        log_snr <= most + 1e-9 && log_snr >= least - 1e-9,
                        "{name}: {level:?} in {most} to {least}"
                    );
                    assert!((1.0..=4000.0).contains(&level.noise.t) && level.weight > 0.0);
                }
            }
        }
    }

    #[test]
    fn sums_over_levels_are_integrals_in_the_mean_and_lines_exactly() {
        let strata = strata("linear", 4);
        let [most, least] = strata.ends();
        let sum = |example: usize, f: &dyn Fn(f64) -> f64| -> f64 {
            strata.choose(5, example, 0).map(|level| 0.5 * level.weight * f(level.noise.log_snr())).sum()
        };
        let n = 20_000;
        let functions: [(&dyn Fn(f64) -> f64, f64); 3] = [
            (&|_| 1.0, most - least),
            (&|x| x * x, (most.powi(3) - least.powi(3)) / 3.0),
            (&|x| (0.3 * x).exp(), ((0.3 * most).exp() - (0.3 * least).exp()) / 0.3),
        ];
        for (f, expected) in functions {
            let sums: Vec<f64> = (0..n).map(|example| sum(example, f)).collect();
            let mean = sums.iter().sum::<f64>() / n as f64;
            let variance = sums.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
            let error = (variance / n as f64).sqrt();
            assert!((mean - expected).abs() < 4.5 * error, "{mean} ± {error} for {expected}");
        }
        // What is a line over G once the density is divided out has no spread.
        let line = |x: f64| density(x) * (2.0 - 3.0 * integral(x));
        let [a, b] = [sum(0, &line), sum(1, &line)];
        assert!((a - b).abs() < 1e-9 * a.abs(), "{a} and {b}");
    }

    #[test]
    fn a_chain_of_one_step_has_no_levels() {
        let schedule = NoiseSchedule::from_betas(vec![0.5]).unwrap();
        let strata = LevelStrata::of(&Chain::new(&schedule, Parameterization::X0), 10);
        assert!(strata.is_empty() && strata.choose(0, 0, 0).next().is_none());
    }
}
