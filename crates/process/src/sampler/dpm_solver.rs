//! DPM-Solver++, multistep: Lu et al. (2022), arXiv:2211.01095.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::{Step, Stepper};
use crate::{Chain, Denoiser, NoiseError, NoiseLevel, NoiseLevels, NoiseSource, noise};

/// Fewer steps than this end in steps of lower order.
const FEW_STEPS: usize = 15;

/// How many predictions a step of [`DpmSolver`] looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum SolverOrder {
    /// The latest alone: DDIM with `η = 0`.
    First,
    /// Two: 2M of the paper.
    #[default]
    Second,
    /// Three.
    Third,
}

impl TryFrom<u8> for SolverOrder {
    type Error = String;

    fn try_from(order: u8) -> Result<Self, String> {
        match order {
            1 => Ok(Self::First),
            2 => Ok(Self::Second),
            3 => Ok(Self::Third),
            _ => Err(format!("there is no solver of order {order}, expected 1, 2 or 3")),
        }
    }
}

impl From<SolverOrder> for u8 {
    fn from(order: SolverOrder) -> u8 {
        match order {
            SolverOrder::First => 1,
            SolverOrder::Second => 2,
            SolverOrder::Third => 3,
        }
    }
}

/// How a second-order step uses the difference of two predictions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SolverType {
    /// As in the paper's Algorithm 2.
    #[default]
    Midpoint,
    /// The exact integral of the linear interpolation.
    Heun,
}

/// Which equation of the reverse process [`DpmSolver`] solves. Both have the same distribution of data at their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SolverEquation {
    /// The probability-flow ODE: deterministic given `x_T`.
    #[default]
    Ode,
    /// The reverse SDE: fresh noise in every step but the one to clean data.
    Sde,
}

/// Options of [`DpmSolver`]; the defaults are those of diffusers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DpmSolverOptions {
    /// Which equation is solved.
    pub equation: SolverEquation,
    /// Order of the steps once there are enough predictions.
    pub order: SolverOrder,
    /// Kind of second-order steps.
    pub solver_type: SolverType,
    /// With fewer than 15 steps, the last one is of the first order and the one before of the second at most.
    pub lower_order_final: bool,
    /// The last step is of the first order.
    pub euler_at_final: bool,
}

impl Default for DpmSolverOptions {
    fn default() -> Self {
        Self {
            equation: SolverEquation::Ode,
            order: SolverOrder::Second,
            solver_type: SolverType::Midpoint,
            lower_order_final: true,
            euler_at_final: false,
        }
    }
}

/// DPM-Solver++ with the multistep updates of orders 1 to 3: a solver for the probability-flow ODE, or for the reverse SDE, in the
/// prediction of the clean data.
///
/// With `λ = log(√ᾱ / √(1 - ᾱ))`, a step from `s` to `t` with `h = λ_t - λ_s`, the newest predictions `m_0, m_1, m_2`, the
/// steps before `h_0, h_1`, `r_i = h_i / h`, `α = √ᾱ` and `σ = √(1 - ᾱ)`, the ODE has `H = h`:
///
/// - order 1 (Eq. 12): `x_t = σ_t/σ_s x_s + α_t (1 - e^{-H}) m_0`
/// - order 2 (Algorithm 2): `… + ½ α_t (1 - e^{-H}) D_1`, `D_1 = (m_0 - m_1) / r_0`
/// - order 3 (the multistep form of Appendix B): `… + α_t ((e^{-H} - 1)/H + 1) D_1 - α_t ((e^{-H} - 1 + H)/H² - ½) D_2`, with `D_1`
///   and `D_2` the derivatives of the parabola through the three predictions
///
/// The SDE (SDE-DPM-Solver++1 and SDE-DPM-Solver++(2M) of the paper) has twice the weight on the predictions, `H = 2h`; `e^{-h} σ_t/σ_s`
/// in front of `x_s`; and the noise `σ_t √(1 - e^{-2h}) z` beside them. Order 1 is ancestral sampling with the variance `β̃`. Draw `k` is
/// for step `k`, and a step to clean data adds none.
///
/// The first steps are of the orders that the predictions so far allow. A step to clean data is of the first order, since `h`
/// is infinite; it gives `m_0`. A step to the same level (`h = 0`: `final_sigmas_type` sigma_min after the chain's first step)
/// leaves the state as it is, and of two predictions at one level the newer takes the place of the older.
///
/// The updates and the defaults are those of diffusers' DPMSolverMultistepScheduler with `algorithm_type` dpmsolver++ or sde-dpmsolver++;
/// the crate `sfumato-model` has the levels that it visits. diffusers' class cannot clip, but for dynamic thresholding: here the
/// chain's clipping holds with every sampler. The third order of diffusers' SDE has `- ½` beside `D_2` where `+ ½` belongs, and is worse
/// than its second; here it is as above.
#[derive(Clone, Debug)]
pub struct DpmSolver<'a, B: Backend, const D: usize> {
    chain: &'a Chain,
    levels: &'a NoiseLevels,
    options: DpmSolverOptions,
    /// Predictions, the newest first, no two at one level; at most three.
    predictions: Vec<Remembered<B, D>>,
}

/// What the network said of the clean data, and at which level.
#[derive(Clone, Debug)]
struct Remembered<B: Backend, const D: usize> {
    level: NoiseLevel,
    x_0: Tensor<B, D>,
}

impl<'a, B: Backend, const D: usize> DpmSolver<'a, B, D> {
    /// The solver over `levels`, for the model of `chain` (whose own steps do not matter).
    pub fn new(chain: &'a Chain, levels: &'a NoiseLevels, options: DpmSolverOptions) -> Self {
        Self { chain, levels, options, predictions: Vec::new() }
    }

    /// Takes a prediction up as the newest.
    fn remember(&mut self, level: NoiseLevel, x_0: Tensor<B, D>) {
        let prediction = Remembered { level, x_0 };
        match self.predictions.first_mut() {
            Some(newest) if level.is_same(newest.level) => *newest = prediction,
            _ => self.predictions.insert(0, prediction),
        }
        self.predictions.truncate(3);
    }

    /// The order of a step to a level above clean data.
    fn order(&self, step: usize) -> usize {
        let total = self.levels.steps();
        let few = self.options.lower_order_final && total < FEW_STEPS;
        let most = if step == total && (self.options.euler_at_final || few) {
            1
        } else if step + 1 == total && few {
            2
        } else {
            3
        };
        self.predictions.len().min(u8::from(self.options.order).into()).min(most)
    }
}

impl<B: Backend, const D: usize> Stepper<B, D> for DpmSolver<'_, B, D> {
    fn total(&self) -> usize {
        self.levels.steps()
    }

    fn draws(&self) -> usize {
        match self.options.equation {
            SolverEquation::Ode => 1,
            SolverEquation::Sde => self.levels.noisy_draws(),
        }
    }

    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        noise: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError> {
        if step == 1 {
            self.predictions.clear();
        }
        let (from, to) = (self.levels.levels()[step - 1], self.levels.after(step));
        let x_0 = self.chain.predict_at(denoiser, x.clone(), from);
        self.remember(from, x_0.clone());
        let Some(to) = to else { return Ok(Step { x: x_0.clone(), x_0 }) };
        if to.is_same(from) {
            return Ok(Step { x, x_0 });
        }
        let h = lambda(to) - lambda(from);
        let x = match self.options.equation {
            SolverEquation::Ode => self.drifted(x * (to.noise() / from.noise()), step, h, h),
            SolverEquation::Sde => {
                // σ_t √(1 - e^{-2h})
                let spread = to.noise() * (-(-2.0 * h).exp_m1()).sqrt();
                let z = noise::normal(noise, step, x.dims(), &x.device())? * spread;
                self.drifted(x * (to.noise() / from.noise() * (-h).exp()), step, h, 2.0 * h) + z
            }
        };
        Ok(Step { x, x_0 })
    }
}

impl<B: Backend, const D: usize> DpmSolver<'_, B, D> {
    /// `x` with what the predictions add to it in a step of `h` to a level above clean data, with the weights of `big_h` (`H`).
    fn drifted(&self, x: Tensor<B, D>, step: usize, h: f64, big_h: f64) -> Tensor<B, D> {
        let m = |i: usize| self.predictions[i].x_0.clone();
        // How long the step before was, or the one before that, of this one.
        let r = |i: usize| (lambda(self.predictions[i].level) - lambda(self.predictions[i + 1].level)) / h;
        // e^{-H} - 1
        let (alpha, phi) = (self.levels.after(step).map_or(1.0, NoiseLevel::signal), (-big_h).exp_m1());
        let x = x - m(0) * (alpha * phi);
        match self.order(step) {
            1 => x,
            2 => {
                let d_1 = (m(0) - m(1)) / r(0);
                match self.options.solver_type {
                    SolverType::Midpoint => x - d_1 * (0.5 * alpha * phi),
                    SolverType::Heun => x + d_1 * (alpha * (phi / big_h + 1.0)),
                }
            }
            _ => {
                let (r_0, r_1) = (r(0), r(1));
                let (d_1_0, d_1_1) = ((m(0) - m(1)) / r_0, (m(1) - m(2)) / r_1);
                let change = d_1_0.clone() - d_1_1;
                let d_1 = d_1_0 + change.clone() * (r_0 / (r_0 + r_1));
                let d_2 = change / (r_0 + r_1);
                x + d_1 * (alpha * (phi / big_h + 1.0)) - d_2 * (alpha * ((phi + big_h) / (big_h * big_h) - 0.5))
            }
        }
    }
}

/// `λ = log(√ᾱ / √(1 - ᾱ))`: minus the logarithm of the level's noise over signal.
fn lambda(level: NoiseLevel) -> f64 {
    -level.sigma.ln()
}
