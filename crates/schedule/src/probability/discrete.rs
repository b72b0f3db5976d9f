//! Distributions over finitely many outcomes.

use super::error::ProbabilityError;
use super::stable::log_excess;

/// How far from 1 the sum of given probabilities may be: rounding in their computation, not a forgotten outcome.
const TOLERANCE: f64 = 1e-9;

/// A distribution over the outcomes `0, ..., n - 1`.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::Discrete;
///
/// let weather = Discrete::new(vec![0.3, 0.7])?; // rain, sun
/// assert_eq!(weather.probability(0), 0.3);
/// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Discrete {
    probabilities: Vec<f64>,
}

impl Discrete {
    /// The distribution with the given probabilities, which must sum to 1 within 1e-9; what is missing is evened out.
    ///
    /// # Errors
    /// [`ProbabilityError::Empty`], [`ProbabilityError::ProbabilityOutOfRange`] or [`ProbabilityError::NotNormalized`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Discrete, ProbabilityError};
    ///
    /// assert!(Discrete::new(vec![0.25; 4]).is_ok());
    /// assert_eq!(Discrete::new(vec![0.5, 0.25]), Err(ProbabilityError::NotNormalized { sum: 0.75 }));
    /// ```
    pub fn new(probabilities: Vec<f64>) -> Result<Self, ProbabilityError> {
        let sum = checked_sum(&probabilities)?;
        if (sum - 1.0).abs() > TOLERANCE {
            return Err(ProbabilityError::NotNormalized { sum });
        }
        Self::from_weights(probabilities)
    }

    /// The distribution with probabilities in proportion to the given weights.
    ///
    /// # Formula
    /// `p_i = w_i / Σ_j w_j`
    ///
    /// # Errors
    /// [`ProbabilityError::Empty`], [`ProbabilityError::ProbabilityOutOfRange`] for a bad weight, or
    /// [`ProbabilityError::ImpossibleCondition`] if all are 0.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Discrete;
    ///
    /// assert_eq!(Discrete::from_weights(vec![1.0, 3.0])?, Discrete::new(vec![0.25, 0.75])?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn from_weights(mut weights: Vec<f64>) -> Result<Self, ProbabilityError> {
        checked_sum(&weights)?;
        // Scaled by the largest first, so that the sum neither overflows nor is subnormal.
        let largest = weights.iter().copied().fold(0.0, f64::max);
        if largest == 0.0 {
            return Err(ProbabilityError::ImpossibleCondition);
        }
        let sum: f64 = weights.iter().map(|weight| weight / largest).sum();
        for weight in &mut weights {
            *weight = *weight / largest / sum;
        }
        Ok(Self { probabilities: weights })
    }

    /// The uniform distribution over the given number of outcomes.
    ///
    /// # Errors
    /// [`ProbabilityError::Empty`] for none.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Discrete;
    ///
    /// assert_eq!(Discrete::uniform(4)?.probability(3), 0.25);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn uniform(outcomes: usize) -> Result<Self, ProbabilityError> {
        Self::from_weights(vec![1.0; outcomes])
    }

    /// Number of outcomes, at least 1.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sfumato_schedule::probability::Discrete::uniform(4)?.outcomes(), 4);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn outcomes(&self) -> usize {
        self.probabilities.len()
    }

    /// All probabilities; index `i` holds that of outcome `i`.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(sfumato_schedule::probability::Discrete::uniform(2)?.probabilities(), [0.5, 0.5]);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// Probability of one outcome, in [0, 1]; 0 for an outcome that does not exist.
    ///
    /// # Examples
    /// ```
    /// let coin = sfumato_schedule::probability::Discrete::uniform(2)?;
    /// assert_eq!((coin.probability(1), coin.probability(2)), (0.5, 0.0));
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn probability(&self, outcome: usize) -> f64 {
        self.probabilities.get(outcome).copied().unwrap_or(0.0)
    }

    /// Expectation of a function of the outcome.
    ///
    /// # Formula
    /// `E[f(X)] = Σ_x p(x) f(x)`; outcomes of probability 0 do not count, whatever `f` is there.
    ///
    /// # Examples
    /// ```
    /// let die = sfumato_schedule::probability::Discrete::uniform(6)?;
    /// assert!((die.expectation(|face| (face + 1) as f64) - 3.5).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn expectation(&self, f: impl Fn(usize) -> f64) -> f64 {
        let terms = self.probabilities.iter().enumerate();
        terms.filter(|(_, p)| **p > 0.0).map(|(outcome, p)| p * f(outcome)).sum()
    }

    /// Jensen's gap of a function `f` for a random variable that takes `values[i]` at outcome `i`.
    ///
    /// # Formula
    /// `E[f(X)] - f(E[X])`: at least 0 for convex `f` such as `-ln` (Jensen's inequality, from which the variational bound
    /// follows), at most 0 for concave `f`, and 0 for affine `f` or constant `X`.
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] unless there is one value for each outcome.
    ///
    /// # Examples
    /// ```
    /// let coin = sfumato_schedule::probability::Discrete::uniform(2)?;
    /// let gap = coin.jensen_gap(&[1.0, 4.0], |x| -x.ln())?;
    /// assert!((gap - (2.5_f64.ln() - 2_f64.ln())).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn jensen_gap(&self, values: &[f64], f: impl Fn(f64) -> f64) -> Result<f64, ProbabilityError> {
        self.check_size("values", values.len())?;
        let mean = self.expectation(|outcome| values[outcome]);
        Ok(self.expectation(|outcome| f(values[outcome])) - f(mean))
    }

    /// Mixture of two distributions over the same outcomes: this one with weight `weight`, the other with the rest.
    ///
    /// # Formula
    /// `λ p + (1 - λ) q`, `λ` in [0, 1]
    ///
    /// # Errors
    /// [`ProbabilityError::WeightOutOfRange`] or [`ProbabilityError::SizeMismatch`].
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Discrete;
    ///
    /// let (p, q) = (Discrete::new(vec![1.0, 0.0])?, Discrete::new(vec![0.0, 1.0])?);
    /// assert_eq!(p.mixture(0.25, &q)?, Discrete::new(vec![0.25, 0.75])?);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn mixture(&self, weight: f64, other: &Self) -> Result<Self, ProbabilityError> {
        if !(0.0..=1.0).contains(&weight) {
            return Err(ProbabilityError::WeightOutOfRange { weight });
        }
        self.check_size("outcomes", other.outcomes())?;
        let pairs = self.probabilities.iter().zip(&other.probabilities);
        Self::from_weights(pairs.map(|(p, q)| weight * p + (1.0 - weight) * q).collect())
    }

    /// Shannon entropy, nats; from 0 (certain) to `ln n` (uniform).
    ///
    /// # Formula
    /// `H(p) = -Σ_x p(x) ln p(x)`, with `0 ln 0 = 0`
    ///
    /// # Examples
    /// ```
    /// let coin = sfumato_schedule::probability::Discrete::uniform(2)?;
    /// assert!((coin.entropy() - 2_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn entropy(&self) -> f64 {
        -self.expectation(|outcome| self.probabilities[outcome].ln())
    }

    /// Cross-entropy of this distribution `p` with a model `q`, nats: the expected negative log-likelihood of the model.
    ///
    /// # Formula
    /// `H(p, q) = -Σ_x p(x) ln q(x) = H(p) + KL(p ‖ q)`; infinite if the model excludes an outcome that happens.
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for different numbers of outcomes.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Discrete;
    ///
    /// let (p, q) = (Discrete::new(vec![0.3, 0.7])?, Discrete::uniform(2)?);
    /// assert!((p.cross_entropy(&q)? - 2_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn cross_entropy(&self, model: &Self) -> Result<f64, ProbabilityError> {
        self.check_size("outcomes", model.outcomes())?;
        Ok(-self.expectation(|outcome| model.probabilities[outcome].ln()))
    }

    /// Kullback-Leibler divergence `KL(p ‖ q)` from this distribution `p` to a model `q`, nats.
    ///
    /// Gibbs' inequality: never negative, and 0 only for equal distributions. Jointly convex:
    /// `KL(λ p_1 + (1-λ) p_2 ‖ λ q_1 + (1-λ) q_2) <= λ KL(p_1 ‖ q_1) + (1-λ) KL(p_2 ‖ q_2)` (Cover & Thomas 2006, *Elements of
    /// Information Theory*, Theorems 2.6.3 and 2.7.2).
    ///
    /// # Formula
    /// `KL(p ‖ q) = Σ_x p(x) ln(p(x) / q(x))`, with `0 ln 0 = 0`; infinite if the model excludes an outcome that happens.
    /// Summed as `p ln(p/q) - p + q`, whose terms are never negative, so rounding cannot make the sum so.
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for different numbers of outcomes.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Discrete;
    ///
    /// let (p, q) = (Discrete::new(vec![0.25, 0.75])?, Discrete::uniform(2)?);
    /// let expected = 0.25 * 0.5_f64.ln() + 0.75 * 1.5_f64.ln();
    /// assert!((p.kl(&q)? - expected).abs() < 1e-15);
    /// assert_eq!(p.kl(&p)?, 0.0);
    /// assert_eq!(q.kl(&Discrete::new(vec![1.0, 0.0])?)?, f64::INFINITY);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn kl(&self, model: &Self) -> Result<f64, ProbabilityError> {
        self.check_size("outcomes", model.outcomes())?;
        Ok(self.probabilities.iter().zip(&model.probabilities).map(|(&p, &q)| divergence_term(p, q)).sum())
    }

    fn check_size(&self, what: &'static str, got: usize) -> Result<(), ProbabilityError> {
        let expected = self.outcomes();
        if got == expected { Ok(()) } else { Err(ProbabilityError::SizeMismatch { what, expected, got }) }
    }
}

/// `p ln(p/q) - p + q >= 0`
fn divergence_term(p: f64, q: f64) -> f64 {
    let excess = (q - p) / p;
    if p == 0.0 {
        q
    } else if excess.abs() < 0.4 {
        p * log_excess(excess)
    } else {
        (p * (p.ln() - q.ln()) + (q - p)).max(0.0)
    }
}

fn checked_sum(weights: &[f64]) -> Result<f64, ProbabilityError> {
    if weights.is_empty() {
        return Err(ProbabilityError::Empty { what: "outcome" });
    }
    match weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
        Some(index) => Err(ProbabilityError::ProbabilityOutOfRange { position: index + 1, value: weights[index] }),
        None => Ok(weights.iter().sum()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_probabilities_are_named_with_their_position() {
        assert_eq!(Discrete::new(vec![]), Err(ProbabilityError::Empty { what: "outcome" }));
        let negative = ProbabilityError::ProbabilityOutOfRange { position: 2, value: -0.5 };
        assert_eq!(Discrete::new(vec![1.5, -0.5]), Err(negative));
        assert!(Discrete::new(vec![f64::NAN, 0.5]).is_err());
        assert_eq!(Discrete::from_weights(vec![0.0; 3]), Err(ProbabilityError::ImpossibleCondition));
    }

    #[test]
    fn weights_at_both_ends_of_f64_are_normalised() {
        assert_eq!(Discrete::from_weights(vec![1e308; 4]), Discrete::uniform(4));
        assert_eq!(Discrete::from_weights(vec![5e-324; 4]), Discrete::uniform(4));
    }

    #[test]
    fn different_numbers_of_outcomes_do_not_compare() {
        let (two, three) = (Discrete::uniform(2).expect("two"), Discrete::uniform(3).expect("three"));
        let error = ProbabilityError::SizeMismatch { what: "outcomes", expected: 2, got: 3 };
        assert_eq!(two.kl(&three), Err(error.clone()));
        assert_eq!(two.cross_entropy(&three), Err(error.clone()));
        assert_eq!(two.mixture(0.5, &three), Err(error));
        assert_eq!(two.mixture(1.5, &two), Err(ProbabilityError::WeightOutOfRange { weight: 1.5 }));
    }
}
