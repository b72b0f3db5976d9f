//! The gap of the bound is `KL(q(x_{1:T} | x_0) ‖ p_θ(x_{1:T} | x_0))`, here with both sides as dense Gaussians.

use proptest::prelude::*;
use sfumato_process::{Chain, Parameterization, ReverseVariance, bound::AffineChain};
use sfumato_schedule::{NoiseSchedule, probability::Gaussian};

use super::common::{Affine, betas};

/// A Gaussian vector with a dense covariance.
struct Dense {
    mean: Vec<f64>,
    covariance: Vec<Vec<f64>>,
}

impl Dense {
    /// `q(x_{1:T} | x_0)`: `Cov(x_s, x_t) = (1 - ᾱ_s) √(ᾱ_t/ᾱ_s)` for `s ≤ t`.
    fn forward(schedule: &NoiseSchedule, x_0: f64) -> Self {
        let n = schedule.steps();
        let covariance = |s: usize, t: usize| {
            let (s, t) = (s.min(t), s.max(t));
            schedule.one_minus_alpha_bar(s) * (schedule.alpha_bar(t) / schedule.alpha_bar(s)).sqrt()
        };
        Self {
            mean: (1..=n).map(|t| schedule.alpha_bar(t).sqrt() * x_0).collect(),
            covariance: (1..=n).map(|s| (1..=n).map(|t| covariance(s, t)).collect()).collect(),
        }
    }

    /// `p_θ(x_{0:T})`, built from `x_T` down.
    fn reverse(chain: &AffineChain) -> Self {
        let n = chain.steps().len();
        let mut mean = vec![0.0; n + 1];
        let mut covariance = vec![vec![0.0; n + 1]; n + 1];
        covariance[n][n] = 1.0;
        for t in (1..=n).rev() {
            let step = chain.steps()[t - 1];
            mean[t - 1] = step.gain * mean[t] + step.offset;
            for u in t..=n {
                covariance[t - 1][u] = step.gain * covariance[t][u];
                covariance[u][t - 1] = covariance[t - 1][u];
            }
            covariance[t - 1][t - 1] = step.gain * step.gain * covariance[t][t] + step.variance;
        }
        Self { mean, covariance }
    }

    /// The rest, given the first coordinate.
    fn given_first(&self, x: f64) -> Self {
        let n = self.mean.len();
        let gain = |i: usize| self.covariance[i][0] / self.covariance[0][0];
        Self {
            mean: (1..n).map(|i| self.mean[i] + gain(i) * (x - self.mean[0])).collect(),
            covariance: (1..n)
                .map(|i| (1..n).map(|j| self.covariance[i][j] - gain(i) * self.covariance[0][j]).collect())
                .collect(),
        }
    }

    /// `KL(self ‖ other) = ½ (tr(Σ₂⁻¹ Σ₁) + dᵀ Σ₂⁻¹ d - n + ln |Σ₂|/|Σ₁|)`.
    fn kl(&self, other: &Self) -> f64 {
        let n = self.mean.len();
        let (own, theirs) = (cholesky(&self.covariance), cholesky(&other.covariance));
        let difference: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(a, b)| a - b).collect();
        let square = |b: &[f64]| solve(&theirs, b).iter().map(|x| x * x).sum::<f64>();
        // tr(Σ₂⁻¹ Σ₁) = ‖L₂⁻¹ L₁‖², column by column.
        let trace: f64 = (0..n).map(|j| square(&(0..n).map(|i| own[i][j]).collect::<Vec<_>>())).sum();
        let log_ratio: f64 = (0..n).map(|i| 2.0 * (theirs[i][i] / own[i][i]).ln()).sum();
        0.5 * (trace + square(&difference) - n as f64 + log_ratio)
    }
}

fn cholesky(a: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = a.len();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let rest = a[i][j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            l[i][j] = if i == j { rest.sqrt() } else { rest / l[j][j] };
        }
    }
    l
}

/// `L⁻¹ b`.
fn solve(l: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut x: Vec<f64> = Vec::new();
    for (i, b) in b.iter().enumerate() {
        x.push((b - (0..i).map(|k| l[i][k] * x[k]).sum::<f64>()) / l[i][i]);
    }
    x
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_gap_is_the_divergence_of_the_latent_paths(
        betas in betas(9), x_0 in -2.0..2.0f64, v in 0.1..3.0f64, slope in 0.0..1.5f64, shift in -0.5..0.5f64,
    ) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let model = Affine::near_best(&schedule, &Gaussian::new(0.2, v).unwrap(), slope, shift);
        for variance in [ReverseVariance::FixedSmall, ReverseVariance::FixedLarge] {
            let chain = Chain::new(&schedule, Parameterization::X0).with_variance(variance);
            let reverse = model.chain(&chain);
            let gap = reverse.bound_at(&schedule, x_0).total() + reverse.marginal().unwrap().log_density(x_0);
            let joint = Dense::reverse(&reverse);
            let divergence = Dense::forward(&schedule, x_0).kl(&joint.given_first(x_0));
            prop_assert!(gap > 0.0);
            prop_assert!((gap - divergence).abs() < 1e-8 * divergence.max(1.0), "{} against {}", gap, divergence);
        }
    }

    /// For the exact chain the divergence, averaged over data, is that of the ends: the paths between are the same.
    #[test]
    fn the_gap_of_the_exact_chain_at_one_example_is_the_divergence_too(betas in betas(9), x_0 in -2.0..2.0f64, v in 0.1..3.0f64) {
        let schedule = NoiseSchedule::from_betas(betas).unwrap();
        let exact = AffineChain::exact(&schedule, &Gaussian::new(0.2, v).unwrap());
        let gap = exact.bound_at(&schedule, x_0).total() + exact.marginal().unwrap().log_density(x_0);
        let divergence = Dense::forward(&schedule, x_0).kl(&Dense::reverse(&exact).given_first(x_0));
        prop_assert!((gap - divergence).abs() < 1e-8 * divergence.max(1.0), "{} against {}", gap, divergence);
    }
}
