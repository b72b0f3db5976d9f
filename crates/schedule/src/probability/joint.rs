//! Tables of two discrete variables: joint, marginal and conditional probabilities, the chain rule and Bayes' rule.

use super::discrete::Discrete;
use super::error::ProbabilityError;

/// Joint distribution `p(a, b)` of two discrete variables, `a` in `0..n` and `b` in `0..m`.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::{Discrete, Joint};
///
/// // p(rain) = 0.3; traffic is heavy with probability 0.8 in rain and 0.3 in sun.
/// let weather = Discrete::new(vec![0.3, 0.7])?;
/// let traffic = [Discrete::new(vec![0.8, 0.2])?, Discrete::new(vec![0.3, 0.7])?];
/// let joint = Joint::from_chain(&weather, &traffic)?;
///
/// let (rain, heavy) = (0, 0);
/// assert!((joint.probability(rain, heavy) - 0.24).abs() < 1e-15);
/// assert!((joint.second_marginal().probability(heavy) - 0.45).abs() < 1e-15);
/// assert!((joint.first_given_second(heavy)?.probability(rain) - 8.0 / 15.0).abs() < 1e-15);
/// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Joint {
    /// `p(a, b)` at index `a m + b`.
    table: Discrete,
    rows: usize,
    columns: usize,
}

impl Joint {
    /// The joint distribution with `p(a, b) = table[a][b]`.
    ///
    /// # Errors
    /// [`ProbabilityError::Empty`] or [`ProbabilityError::SizeMismatch`] unless the table is a full rectangle, and those of
    /// [`Discrete::new`] for its entries (their positions count along the rows).
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Joint;
    ///
    /// let joint = Joint::new(vec![vec![0.24, 0.06], vec![0.21, 0.49]])?;
    /// assert_eq!(joint.probability(1, 0), 0.21);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn new(table: Vec<Vec<f64>>) -> Result<Self, ProbabilityError> {
        let rows = table.len();
        let columns = table.first().map_or(0, Vec::len);
        if let Some(row) = table.iter().find(|row| row.len() != columns) {
            let got = row.len();
            return Err(ProbabilityError::SizeMismatch { what: "entries in every row", expected: columns, got });
        }
        Ok(Self { table: Discrete::new(table.into_iter().flatten().collect())?, rows, columns })
    }

    /// The chain rule: from `p(a)` and, for each `a`, `p(b | a)`.
    ///
    /// # Formula
    /// `p(a, b) = p(a) p(b | a)`
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] unless there is one conditional for each outcome of `a`, all over the same outcomes.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Discrete, Joint};
    ///
    /// let certain = Discrete::new(vec![0.0, 1.0])?;
    /// let joint = Joint::from_chain(&Discrete::uniform(2)?, &[certain.clone(), certain])?;
    /// assert_eq!((joint.probability(0, 0), joint.probability(0, 1)), (0.0, 0.5));
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn from_chain(first: &Discrete, second_given_first: &[Discrete]) -> Result<Self, ProbabilityError> {
        let (expected, got) = (first.outcomes(), second_given_first.len());
        if expected != got {
            return Err(ProbabilityError::SizeMismatch { what: "conditional distributions", expected, got });
        }
        let rows = first.probabilities().iter().zip(second_given_first);
        Self::new(rows.map(|(p, row)| row.probabilities().iter().map(|q| p * q).collect()).collect())
    }

    /// Two independent variables.
    ///
    /// # Formula
    /// `p(a, b) = p(a) p(b)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Discrete, Joint};
    ///
    /// let dice = Joint::independent(&Discrete::uniform(6)?, &Discrete::uniform(6)?);
    /// assert!((dice.probability(2, 5) - 1.0 / 36.0).abs() < 1e-17);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn independent(first: &Discrete, second: &Discrete) -> Self {
        let rows = vec![second.clone(); first.outcomes()];
        Self::from_chain(first, &rows)
            .expect("one conditional for each outcome, and products of probabilities sum to 1")
    }

    /// Joint probability `p(a, b) = p(b, a)`; 0 for outcomes that do not exist.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Discrete, Joint};
    ///
    /// let coins = Joint::independent(&Discrete::uniform(2)?, &Discrete::uniform(2)?);
    /// assert_eq!((coins.probability(0, 1), coins.probability(0, 2)), (0.25, 0.0));
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn probability(&self, first: usize, second: usize) -> f64 {
        if first < self.rows && second < self.columns {
            self.table.probability(first * self.columns + second)
        } else {
            0.0
        }
    }

    /// Marginal distribution of `a`.
    ///
    /// # Formula
    /// `p(a) = Σ_b p(a, b)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Joint;
    ///
    /// let joint = Joint::new(vec![vec![0.24, 0.06], vec![0.21, 0.49]])?;
    /// assert!((joint.first_marginal().probability(0) - 0.3).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn first_marginal(&self) -> Discrete {
        let sums = (0..self.rows).map(|a| (0..self.columns).map(|b| self.probability(a, b)).sum());
        Discrete::from_weights(sums.collect()).expect("the entries of a joint distribution sum to 1")
    }

    /// Marginal distribution of `b`.
    ///
    /// # Formula
    /// `p(b) = Σ_a p(a, b) = Σ_a p(a) p(b | a)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Joint;
    ///
    /// let joint = Joint::new(vec![vec![0.24, 0.06], vec![0.21, 0.49]])?;
    /// assert!((joint.second_marginal().probability(0) - 0.45).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn second_marginal(&self) -> Discrete {
        let sums = (0..self.columns).map(|b| (0..self.rows).map(|a| self.probability(a, b)).sum());
        Discrete::from_weights(sums.collect()).expect("the entries of a joint distribution sum to 1")
    }

    /// Conditional distribution of `b` given `a`.
    ///
    /// # Formula
    /// `p(b | a) = p(a, b) / p(a)`
    ///
    /// # Errors
    /// [`ProbabilityError::ImpossibleCondition`] if `p(a) = 0`.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Joint;
    ///
    /// let joint = Joint::new(vec![vec![0.24, 0.06], vec![0.21, 0.49]])?;
    /// assert!((joint.second_given_first(0)?.probability(0) - 0.8).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn second_given_first(&self, first: usize) -> Result<Discrete, ProbabilityError> {
        Discrete::from_weights((0..self.columns).map(|b| self.probability(first, b)).collect())
    }

    /// Conditional distribution of `a` given `b`: Bayes' rule.
    ///
    /// # Formula
    /// `p(a | b) = p(a, b) / p(b) = p(b | a) p(a) / p(b)`
    ///
    /// # Errors
    /// [`ProbabilityError::ImpossibleCondition`] if `p(b) = 0`.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Joint;
    ///
    /// let joint = Joint::new(vec![vec![0.24, 0.06], vec![0.21, 0.49]])?;
    /// assert!((joint.first_given_second(0)?.probability(0) - 8.0 / 15.0).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn first_given_second(&self, second: usize) -> Result<Discrete, ProbabilityError> {
        Discrete::from_weights((0..self.rows).map(|a| self.probability(a, second)).collect())
    }

    /// Entropy of the pair, nats.
    ///
    /// # Formula
    /// `H(a, b) = -Σ p(a, b) ln p(a, b) = H(a) + H(b | a)`
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::{Discrete, Joint};
    ///
    /// let coins = Joint::independent(&Discrete::uniform(2)?, &Discrete::uniform(2)?);
    /// assert!((coins.entropy() - 4_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn entropy(&self) -> f64 {
        self.table.entropy()
    }

    /// Kullback-Leibler divergence from this distribution `p` of the pair to a model `q`, nats.
    ///
    /// # Formula
    /// `KL(p(a, b) ‖ q(a, b)) = KL(p(a) ‖ q(a)) + E_{p(a)} KL(p(b | a) ‖ q(b | a))`: the chain rule that splits the variational
    /// bound into steps (Cover & Thomas 2006, Theorem 2.5.3)
    ///
    /// # Errors
    /// [`ProbabilityError::SizeMismatch`] for tables of different shapes.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Joint;
    ///
    /// let p = Joint::new(vec![vec![0.24, 0.06], vec![0.21, 0.49]])?;
    /// let q = Joint::new(vec![vec![0.1, 0.2], vec![0.3, 0.4]])?;
    /// let mut steps = p.first_marginal().kl(&q.first_marginal())?;
    /// for a in 0..2 {
    ///     let conditional = p.second_given_first(a)?.kl(&q.second_given_first(a)?)?;
    ///     steps += p.first_marginal().probability(a) * conditional;
    /// }
    /// assert!((p.kl(&q)? - steps).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn kl(&self, model: &Self) -> Result<f64, ProbabilityError> {
        for (what, expected, got) in [("rows", self.rows, model.rows), ("columns", self.columns, model.columns)] {
            if expected != got {
                return Err(ProbabilityError::SizeMismatch { what, expected, got });
            }
        }
        self.table.kl(&model.table)
    }

    /// Mutual information of the two variables, nats: at least 0, and 0 only if they are independent.
    ///
    /// # Formula
    /// `I(a; b) = KL(p(a, b) ‖ p(a) p(b)) = E_{p(a)} KL(p(b | a) ‖ p(b))`; summed in the second form, where no product of two
    /// small probabilities underflows.
    ///
    /// # Examples
    /// ```
    /// use sfumato_schedule::probability::Joint;
    ///
    /// let same = Joint::new(vec![vec![0.5, 0.0], vec![0.0, 0.5]])?;
    /// assert!((same.mutual_information() - 2_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
    /// ```
    pub fn mutual_information(&self) -> f64 {
        let second = self.second_marginal();
        self.first_marginal().expectation(|a| {
            let conditional = self.second_given_first(a).expect("expectations leave impossible outcomes out");
            conditional.kl(&second).expect("both are distributions of the second variable")
        })
    }
}

/// Bayes' rule for one observation: the distribution of the cause after it.
///
/// # Formula
/// `p(a | b) = p(b | a) p(a) / Σ_a' p(b | a') p(a')`, where `likelihoods[a]` is `p(b | a)`, known up to a common factor
///
/// # Errors
/// [`ProbabilityError::SizeMismatch`] unless there is one likelihood for each outcome; [`ProbabilityError::ProbabilityOutOfRange`]
/// for a bad one; [`ProbabilityError::ImpossibleCondition`] if no cause explains the observation.
///
/// # Examples
/// ```
/// use sfumato_schedule::probability::{Discrete, bayes};
///
/// let weather = Discrete::new(vec![0.3, 0.7])?; // rain, sun
/// let given_heavy_traffic = bayes(&weather, &[0.8, 0.3])?;
/// assert!((given_heavy_traffic.probability(0) - 8.0 / 15.0).abs() < 1e-15);
/// # Ok::<(), sfumato_schedule::probability::ProbabilityError>(())
/// ```
pub fn bayes(prior: &Discrete, likelihoods: &[f64]) -> Result<Discrete, ProbabilityError> {
    let (expected, got) = (prior.outcomes(), likelihoods.len());
    if expected != got {
        return Err(ProbabilityError::SizeMismatch { what: "likelihoods", expected, got });
    }
    Discrete::from_weights(prior.probabilities().iter().zip(likelihoods).map(|(p, l)| p * l).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ragged_tables_and_missing_conditionals_are_refused() {
        let ragged = Joint::new(vec![vec![0.5, 0.25], vec![0.25]]);
        let error = ProbabilityError::SizeMismatch { what: "entries in every row", expected: 2, got: 1 };
        assert_eq!(ragged, Err(error));
        assert_eq!(Joint::new(vec![]), Err(ProbabilityError::Empty { what: "outcome" }));
        let coin = Discrete::uniform(2).expect("two outcomes");
        assert!(Joint::from_chain(&coin, std::slice::from_ref(&coin)).is_err());
        assert!(bayes(&coin, &[1.0]).is_err());
    }

    #[test]
    fn nothing_follows_from_what_cannot_happen() {
        let joint = Joint::new(vec![vec![0.5, 0.0], vec![0.5, 0.0]]).expect("a valid table");
        assert_eq!(joint.first_given_second(1), Err(ProbabilityError::ImpossibleCondition));
        assert_eq!(joint.first_given_second(7), Err(ProbabilityError::ImpossibleCondition));
        let coin = Discrete::uniform(2).expect("two outcomes");
        assert_eq!(bayes(&coin, &[0.0, 0.0]), Err(ProbabilityError::ImpossibleCondition));
    }
}
