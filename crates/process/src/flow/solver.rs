//! One path of the flow through a Runge–Kutta method: it says where it wants the slope, and is given it.
//!
//! Every path has its own steps. So a path does not depend on the others that are in the same batch.

use serde::{Deserialize, Serialize};

use super::{
    drift::score,
    tableau::{DORMAND_PRINCE, HEUN, Tableau},
};

/// Length of the first step that is tried, in nats of log-SNR.
const FIRST: f64 = 0.2;
/// What a step is shorter than the error asks for, and how much its length may change from step to step: as in SciPy's `RK45`.
const SAFETY: f64 = 0.9;
const SHRINK: f64 = 0.2;
const GROW: f64 = 10.0;
/// Longest adaptive step in nats of log-SNR. Beyond, a step may pass over where the data begins to show, and neither method of the pair notices.
const LONGEST: f64 = 2.0;
/// What the sum of the local errors is multiplied by: in the longest steps the pair errs together, on mixtures of Gaussians by up to 2.7 times their
/// difference.
const MARGIN: f64 = 4.0;
/// Shortest step in nats of log-SNR: an adaptive step as short as this only follows rounding.
const SHORTEST: f64 = 1e-5;

/// How the ODE is solved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solver {
    /// The method.
    pub method: Method,
    /// Its steps.
    pub steps: Steps,
}

impl Default for Solver {
    /// Dormand and Prince's method with Song et al.'s tolerance of 1e-5.
    fn default() -> Self {
        Self { method: Method::DormandPrince, steps: Steps::Adaptive { tolerance: 1e-5 } }
    }
}

/// Runge–Kutta methods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Order 5, six evaluations a step: Dormand & Prince (1980), SciPy's `RK45`.
    #[default]
    DormandPrince,
    /// Order 2, two evaluations a step.
    Heun,
}

impl Method {
    fn tableau(self) -> &'static Tableau {
        match self {
            Self::DormandPrince => &DORMAND_PRINCE,
            Self::Heun => &HEUN,
        }
    }
}

/// How long the steps are, in log-SNR.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steps {
    /// As long as the error allows, at most 2 nats. In a step the root mean square of `error/(tolerance (1 + |x|))` is at most 1, and so is the error
    /// of the log-density, in nats for each dimension, over `tolerance`.
    Adaptive {
        /// Both tolerances, relative and absolute, above 0.
        tolerance: f64,
    },
    /// So many of equal length, at least one.
    Fixed(usize),
}

/// A path on its way.
#[derive(Clone, Debug)]
pub(super) struct Path {
    tableau: &'static Tableau,
    steps: Steps,
    dimensions: usize,
    ends: [f64; 2],
    /// Where the step begins, and its length.
    s: f64,
    step: f64,
    /// Steps that are done.
    done: usize,
    /// The state at `s`: `x`, then the integrals of the divergence.
    y: Vec<f64>,
    /// The slopes of the step so far.
    slopes: Vec<Vec<f64>>,
    /// The state where the next slope is wanted.
    trial: Vec<f64>,
    /// Whether the last trial of a step was too long.
    rejected: bool,
    /// What the local errors change in the log-density, added up with a margin.
    error: f64,
}

/// A step would have to be shorter than makes sense.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TooShort {
    pub(super) s: f64,
}

impl Path {
    /// A path from `x` with `integrals` integrals of the divergence, all 0 so far.
    pub(super) fn new(solver: Solver, ends: [f64; 2], x: Vec<f64>, integrals: usize) -> Self {
        let dimensions = x.len();
        let mut y = x;
        y.resize(dimensions + integrals, 0.0);
        let length = ends[1] - ends[0];
        let step = match solver.steps {
            Steps::Adaptive { .. } => FIRST.min(length),
            Steps::Fixed(steps) => length / steps.max(1) as f64,
        };
        Self {
            tableau: solver.method.tableau(),
            steps: solver.steps,
            dimensions,
            ends,
            s: ends[0],
            step,
            done: 0,
            trial: y.clone(),
            y,
            slopes: Vec::new(),
            rejected: false,
            error: 0.0,
        }
    }

    /// Where the next slope is wanted: `s`, and `x` there. None once the path has reached its end.
    pub(super) fn wanted(&self) -> Option<(f64, &[f64])> {
        let node = self.slopes.len().checked_sub(1).map_or(0.0, |stage| self.tableau.nodes[stage]);
        (self.s < self.ends[1]).then(|| (self.s + node * self.step, &self.trial[..self.dimensions]))
    }

    /// Takes the slope that was wanted: of `x`, then of the integrals.
    ///
    /// # Errors
    /// [`TooShort`] if the error asks for a step that only rounding could decide.
    pub(super) fn give(&mut self, slope: Vec<f64>) -> Result<(), TooShort> {
        self.slopes.push(slope);
        if self.slopes.len() <= self.tableau.rows.len() {
            self.go_to_stage();
            return Ok(());
        }
        let error = self.combined(self.tableau.error);
        let effect = self.effect(&error);
        let Steps::Adaptive { tolerance } = self.steps else {
            self.accept(effect);
            self.go_to_stage();
            return Ok(());
        };
        let ratio = self.ratio(&error, effect, tolerance);
        let power = -1.0 / f64::from(self.tableau.embedded_order + 1);
        let factor = (SAFETY * ratio.powf(power)).clamp(SHRINK, GROW);
        if ratio <= 1.0 {
            let most = if self.rejected { 1.0 } else { GROW };
            self.accept(effect);
            let (next, rest) = ((self.step * factor.min(most)).min(LONGEST), self.ends[1] - self.s);
            // Without a last step that is next to nothing.
            self.step = if rest - next > SHORTEST { next } else { rest };
            self.go_to_stage();
            return Ok(());
        }
        // Not a number is no reason to go on either.
        let factor = if ratio.is_finite() { factor } else { SHRINK };
        self.step *= factor;
        if self.step < SHORTEST {
            return Err(TooShort { s: self.s });
        }
        self.rejected = true;
        self.slopes.truncate(1);
        self.go_to_stage();
        Ok(())
    }

    /// The share of the way that is done, in `0..=1`.
    pub(super) fn share(&self) -> f64 {
        let length = self.ends[1] - self.ends[0];
        if length > 0.0 { ((self.s - self.ends[0]) / length).clamp(0.0, 1.0) } else { 1.0 }
    }

    /// The state: `x`, and the integrals.
    pub(super) fn state(&self) -> (&[f64], &[f64]) {
        self.y.split_at(self.dimensions)
    }

    /// An estimate of what the solver's error changes in the log-density; nats.
    pub(super) fn error(&self) -> f64 {
        self.error
    }

    /// Goes to the state where the next slope is wanted.
    fn go_to_stage(&mut self) {
        if let Some(row) = self.slopes.len().checked_sub(1).and_then(|stage| self.tableau.rows.get(stage)) {
            let way = self.combined(row);
            self.trial = self.y.iter().zip(way).map(|(y, way)| y + way).collect();
        }
    }

    /// The step's length times a weighted sum of the slopes.
    fn combined(&self, weights: &[f64]) -> Vec<f64> {
        let mut sum = vec![0.0; self.y.len()];
        for (weight, slope) in weights.iter().zip(&self.slopes).filter(|(weight, _)| **weight != 0.0) {
            sum.iter_mut().zip(slope).for_each(|(sum, slope)| *sum += self.step * weight * slope);
        }
        sum
    }

    /// What the error of this step changes in the log-density of the path's beginning, to first order and at most.
    ///
    /// What is still to come of the log-density is that of the point reached. So an error there counts by its gradient, the score, which the slope at
    /// the step's end holds.
    fn effect(&self, error: &[f64]) -> f64 {
        let d = self.dimensions;
        let s = self.s + self.step;
        let slope = &self.slopes[self.slopes.len() - 1];
        let moved: f64 = (0..d).map(|i| score(s, self.trial[i], slope[i]) * error[i]).sum();
        let integrals = &error[d..];
        moved.abs() + (integrals.iter().sum::<f64>() / integrals.len().max(1) as f64).abs()
    }

    /// The step's error over what is allowed.
    fn ratio(&self, error: &[f64], effect: f64, tolerance: f64) -> f64 {
        let d = self.dimensions;
        let allowed = |i: usize| tolerance * (1.0 + self.y[i].abs().max(self.trial[i].abs()));
        let squares: f64 = (0..d).map(|i| (error[i] / allowed(i)).powi(2)).sum();
        let ratio = (squares / d as f64).sqrt();
        let of_density = effect / (d as f64 * tolerance);
        // `max` would pass over what is not a number.
        if of_density.is_nan() { f64::NAN } else { ratio.max(of_density) }
    }

    /// The step is done; its last slope is the next one's first.
    fn accept(&mut self, effect: f64) {
        self.error += MARGIN * effect;
        self.y.copy_from_slice(&self.trial);
        self.done += 1;
        self.s = match self.steps {
            // Without the rounding of many sums.
            Steps::Fixed(steps) if self.done < steps => {
                self.ends[0] + (self.ends[1] - self.ends[0]) * self.done as f64 / steps as f64
            }
            Steps::Adaptive { .. } if self.ends[1] - (self.s + self.step) > SHORTEST => self.s + self.step,
            _ => self.ends[1],
        };
        self.rejected = false;
        let last = self.slopes.len() - 1;
        self.slopes.swap(0, last);
        self.slopes.truncate(1);
    }
}
