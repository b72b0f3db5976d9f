//! Products of `alpha` in twice the precision of f64.
//!
//! `alpha_bar` is a product of up to thousands of factors close to 1, and the quantities built from it (`1 - alpha_bar`,
//! SNR, posterior variance) cancel its leading digits. Carrying the rounding error along (Dekker 1971, "A floating-point
//! technique for extending the available precision") makes every table entry the correctly rounded value, up to the last
//! bit, whatever T and however small beta; the sums of logarithms that are the usual remedy lose digits as T grows, and
//! depend on the platform's `ln` and `exp`.

/// The number `high + low`, unevaluated, with `|low|` at most half a unit in the last place of `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DoubleDouble {
    high: f64,
    low: f64,
}

impl DoubleDouble {
    pub(crate) const ONE: Self = Self { high: 1.0, low: 0.0 };

    /// `1 - x`, exactly, for `0 <= x <= 1`.
    pub(crate) fn one_minus(x: f64) -> Self {
        two_sum(1.0, -x)
    }

    /// Product, relative error about 2^-104.
    pub(crate) fn times(self, other: Self) -> Self {
        let product = self.high * other.high;
        let error = self.high.mul_add(other.high, -product);
        fast_two_sum(product, error + (self.high * other.low + self.low * other.high))
    }

    /// `1 - self` rounded once: no cancellation although `self` may be close to 1.
    pub(crate) fn complement(self) -> f64 {
        let difference = Self::one_minus(self.high);
        difference.high + (difference.low - self.low)
    }

    /// The nearest f64.
    pub(crate) fn rounded(self) -> f64 {
        self.high
    }
}

/// `a + b` without loss (Knuth's branch-free version).
fn two_sum(a: f64, b: f64) -> DoubleDouble {
    let high = a + b;
    let b_part = high - a;
    let low = (a - (high - b_part)) + (b - b_part);
    DoubleDouble { high, low }
}

/// `a + b` without loss, for `|a| >= |b|`.
fn fast_two_sum(a: f64, b: f64) -> DoubleDouble {
    let high = a + b;
    DoubleDouble { high, low: b - (high - a) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_complement_of_one_minus_x_is_x_to_the_last_bit() {
        for x in [1e-17, 3e-16, 1e-9, 0.1, 0.3, 0.5, 0.7, 0.999, 1.0 - 1e-15] {
            assert_eq!(DoubleDouble::one_minus(x).complement(), x);
        }
    }

    #[test]
    fn a_thousand_tiny_steps_keep_all_digits() {
        // 1 - (1 - 1e-15)^1000 = 1e-12 - 499500e-30 + ..., to 17 digits by the binomial series.
        let step = DoubleDouble::one_minus(1e-15);
        let product = (0..1000).fold(DoubleDouble::ONE, |product, _| product.times(step));
        let expected = 1e-12 - 4.995e-25;
        assert!((product.complement() / expected - 1.0).abs() < 4e-16);
    }
}
