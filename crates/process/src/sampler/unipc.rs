//! UniPC, multistep: Zhao et al. (2023), arXiv:2302.04867.

use burn::tensor::{Tensor, backend::Backend};
use serde::{Deserialize, Serialize};

use super::{SolverOrder, Step, Stepper, weights};
use crate::{Chain, Denoiser, NoiseError, NoiseLevel, NoiseLevels, NoiseSource};

/// `B(h)` of UniPC: what scales the weights of the differences. Both are `h` up to terms of the second order (§3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UniPcScale {
    /// `B₁(h) = h`.
    Bh1,
    /// `B₂(h) = e^h - 1`.
    #[default]
    Bh2,
}

impl UniPcScale {
    /// The name in `scheduler_config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bh1 => "bh1",
            Self::Bh2 => "bh2",
        }
    }
}

/// Options of [`UniPc`]; the defaults are those of diffusers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniPcOptions {
    /// Order of the steps once there are enough predictions: `p` of UniPC-p, whose accuracy is `p + 1` with the corrector.
    pub order: SolverOrder,
    /// `B(h)`.
    pub scale: UniPcScale,
    /// Whether the integral is that of the clean data, or that of the noise.
    pub predict_x0: bool,
    /// The last steps are of orders that fall to 1.
    pub lower_order_final: bool,
    /// Steps, from 0, whose result is not corrected: with much guidance a corrector may do harm in the first ones.
    pub disable_corrector: Vec<usize>,
}

impl Default for UniPcOptions {
    fn default() -> Self {
        Self {
            order: SolverOrder::Second,
            scale: UniPcScale::Bh2,
            predict_x0: true,
            lower_order_final: true,
            disable_corrector: Vec::new(),
        }
    }
}

/// UniPC: a predictor (UniP) takes a step, and the prediction at its end, which the next step needs in any case, corrects it (UniC). So each
/// step costs one evaluation.
///
/// With `λ = log(√ᾱ / √(1 - ᾱ))`, a step from `s` to `t` with `h = λ_t - λ_s`, `α = √ᾱ` and `σ = √(1 - ᾱ)`, the prediction `m_0` at `s`, those
/// before it `m_i` at `λ_i`, and `r_i = (λ_i - λ_s) / h`, `D_i = m_i - m_0`:
///
/// - of the clean data (`predict_x0`, `η = -h`): `x_t = σ_t/σ_s x_s - α_t (e^η - 1) m_0 - α_t B(η) Σ a_i D_i / r_i`
/// - of the noise (`η = h`): `x_t = α_t/α_s x_s - σ_t (e^η - 1) m_0 - σ_t B(η) Σ a_i D_i / r_i`
///
/// The corrector has one difference more, to the prediction at `t` (`r = 1`), and starts at the corrected `x_s`. The weights `a` make the sum
/// exact for polynomials in `λ` (`R_p a = φ_p / B`, Theorem 3.1): `Σ a_i r_i^{k-1} = k! η φ_{k+1}(η) / B(η)`. One difference alone has the
/// weight ½, as in the paper's implementation.
///
/// The first steps are of the orders that the predictions so far allow. A step to clean data gives the prediction of the data; a step to the same level
/// leaves the state, and of two predictions at one level the newer takes the place of the older. Deterministic: only `x_T` is drawn.
/// An observer sees states before their correction; the last one has none.
///
/// As diffusers' UniPCMultistepScheduler, which ends in NaN at clean data with `predict_x0 = false` or an order above 1; the crate `sfumato-model` has the
/// levels that it visits. diffusers' class cannot clip, but for dynamic thresholding: here the chain's clipping holds with every sampler.
#[derive(Clone, Debug)]
pub struct UniPc<'a, B: Backend, const D: usize> {
    chain: &'a Chain,
    levels: &'a NoiseLevels,
    options: UniPcOptions,
    /// Predictions, the newest first, no two at one level; at most three.
    predictions: Vec<Prediction<B, D>>,
    /// The corrected state from which the last step went, and that step's order; none after a step to the same level.
    last: Option<(Tensor<B, D>, usize)>,
}

/// What the network said, of the data or of the noise, and at which level.
#[derive(Clone, Debug)]
struct Prediction<B: Backend, const D: usize> {
    level: NoiseLevel,
    m: Tensor<B, D>,
}

impl<'a, B: Backend, const D: usize> UniPc<'a, B, D> {
    /// The solver over `levels`, for the model of `chain` (whose own steps do not matter).
    pub fn new(chain: &'a Chain, levels: &'a NoiseLevels, options: UniPcOptions) -> Self {
        Self { chain, levels, options, predictions: Vec::new(), last: None }
    }

    /// The state to which `order` predictions, and one at the end `to` for the corrector, lead from `x`.
    fn advance(&self, x: Tensor<B, D>, order: usize, to: NoiseLevel, at_end: Option<Tensor<B, D>>) -> Tensor<B, D> {
        let Prediction { level: from, m: m_0 } = &self.predictions[0];
        let h = lambda(to) - lambda(*from);
        let before = &self.predictions[1..order];
        let mut nodes: Vec<f64> = before.iter().map(|old| (lambda(old.level) - lambda(*from)) / h).collect();
        let mut differences: Vec<Tensor<B, D>> = before.iter().map(|old| old.m.clone() - m_0.clone()).collect();
        if let Some(m) = at_end {
            nodes.push(1.0);
            differences.push(m - m_0.clone());
        }
        let (eta, scale, weight) = if self.options.predict_x0 {
            (-h, to.noise() / from.noise(), to.signal())
        } else {
            (h, to.signal() / from.signal(), to.noise())
        };
        let b = match self.options.scale {
            UniPcScale::Bh1 => eta,
            UniPcScale::Bh2 => eta.exp_m1(),
        };
        let a = weights::of_differences(&nodes, eta, b);
        let x = x * scale - m_0.clone() * (weight * eta.exp_m1());
        let terms = a.iter().zip(nodes).zip(differences);
        terms.fold(x, |x, ((a, r), difference)| x - difference * (weight * b * a / r))
    }

    /// The order of the predictor of a step.
    fn order(&self, step: usize) -> usize {
        let left = if self.options.lower_order_final { self.levels.steps() + 1 - step } else { usize::MAX };
        usize::from(u8::from(self.options.order)).min(left).min(self.predictions.len())
    }

    /// The prediction at `level`, of the data or of the noise.
    fn read(&self, x: &Tensor<B, D>, x_0: &Tensor<B, D>, level: NoiseLevel) -> Tensor<B, D> {
        if self.options.predict_x0 { x_0.clone() } else { (x.clone() - x_0.clone() * level.signal()) / level.noise() }
    }
}

impl<B: Backend, const D: usize> Stepper<B, D> for UniPc<'_, B, D> {
    fn total(&self) -> usize {
        self.levels.steps()
    }

    fn step(
        &mut self,
        step: usize,
        x: Tensor<B, D>,
        denoiser: &dyn Denoiser<B, D>,
        _: &dyn NoiseSource,
    ) -> Result<Step<B, D>, NoiseError> {
        if step == 1 {
            (self.predictions, self.last) = (Vec::new(), None);
        }
        let (from, to) = (self.levels.levels()[step - 1], self.levels.after(step));
        let x_0 = self.chain.predict_at(denoiser, x.clone(), from);
        let m = self.read(&x, &x_0, from);
        // UniC: where the step before should have led.
        let x = match self.last.take() {
            Some((last, order)) if !self.options.disable_corrector.contains(&(step - 2)) => {
                self.advance(last, order, from, Some(m.clone()))
            }
            _ => x,
        };
        let prediction = Prediction { level: from, m };
        match self.predictions.first_mut() {
            Some(newest) if from.is_same(newest.level) => *newest = prediction,
            _ => self.predictions.insert(0, prediction),
        }
        self.predictions.truncate(3);
        let Some(to) = to else { return Ok(Step { x: x_0.clone(), x_0 }) };
        if to.is_same(from) {
            return Ok(Step { x, x_0 });
        }
        // UniP.
        let order = self.order(step);
        let next = self.advance(x.clone(), order, to, None);
        self.last = Some((x, order));
        Ok(Step { x: next, x_0 })
    }
}

/// `λ = log(√ᾱ / √(1 - ᾱ))`: minus the logarithm of the level's noise over signal.
fn lambda(level: NoiseLevel) -> f64 {
    -level.sigma.ln()
}
