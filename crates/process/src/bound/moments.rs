//! Means with standard errors, gathered one number at a time.

use serde::Serialize;
use sfumato_schedule::probability::bits_per_dim;

/// A mean and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Standard deviation of the mean, from the spread of the numbers; none for a single number.
    pub standard_error: Option<f64>,
    /// How many numbers it is the mean of.
    pub count: u64,
}

impl Mean {
    /// The same in bits for each of `dimensions`, if it was in nats for all of them.
    pub fn bits_per_dim(self, dimensions: usize) -> Self {
        Self {
            mean: bits_per_dim(self.mean, dimensions),
            standard_error: self.standard_error.map(|error| bits_per_dim(error, dimensions)),
            ..self
        }
    }
}

/// Count, mean and squared deviations of a stream of numbers (Welford 1962): no cancellation, and no list of the numbers.
///
/// # Examples
/// ```
/// use sfumato_process::bound::Moments;
///
/// let mut moments = Moments::default();
/// [1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0].iter().for_each(|x| moments.push(*x));
/// let mean = moments.mean().expect("three numbers");
/// assert_eq!((mean.mean, mean.count), (1e9 + 2.0, 3));
/// assert!((mean.standard_error.expect("more than one") - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    /// One number more.
    pub fn push(&mut self, x: f64) {
        self.count += 1;
        let deviation = x - self.mean;
        self.mean += deviation / self.count as f64;
        self.squares += deviation * (x - self.mean);
    }

    /// The mean with its standard error `√(Σ (x - mean)²/(n - 1)/n)`; none before the first number.
    pub fn mean(&self) -> Option<Mean> {
        let n = self.count as f64;
        let standard_error = (self.count > 1).then(|| (self.squares / (n - 1.0) / n).sqrt());
        (self.count > 0).then_some(Mean { mean: self.mean, standard_error, count: self.count })
    }
}
