//! Positive functions whose logarithm is a straight line between points, with their integrals in closed form.

/// A positive function of `x`, given at rising points, `ln y` linear between them and constant beyond the ends; with its integral.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogLinear {
    xs: Vec<f64>,
    log_ys: Vec<f64>,
    /// The integral from the first point on.
    sums: Vec<f64>,
}

impl LogLinear {
    /// From at least one point; `xs` rise strictly, `ys` are positive and finite.
    pub(crate) fn new(xs: Vec<f64>, ys: impl Iterator<Item = f64>) -> Self {
        let log_ys: Vec<f64> = ys.map(f64::ln).collect();
        let mut sums = vec![0.0; xs.len()];
        for i in 1..xs.len() {
            sums[i] = sums[i - 1] + area(log_ys[i - 1], log_ys[i], xs[i] - xs[i - 1], 1.0);
        }
        Self { xs, log_ys, sums }
    }

    /// The value at `x`.
    pub(crate) fn at(&self, x: f64) -> f64 {
        let (i, slope) = self.piece(x);
        (self.log_ys[i] + slope * (x - self.xs[i])).exp()
    }

    /// The integral from the first point to `x`; negative before it.
    pub(crate) fn integral_to(&self, x: f64) -> f64 {
        let (i, slope) = self.piece(x);
        self.sums[i] + self.log_ys[i].exp() * exp_m1_over(slope, x - self.xs[i])
    }

    /// The `x` up to which the integral is `sum`: the inverse of [`integral_to`](Self::integral_to).
    pub(crate) fn inverse(&self, sum: f64) -> f64 {
        let i = self.sums.partition_point(|&known| known <= sum).saturating_sub(1);
        // Before the first point and behind the last the function is constant.
        let inside = sum >= 0.0 && i + 1 < self.xs.len();
        let slope = if inside { (self.log_ys[i + 1] - self.log_ys[i]) / (self.xs[i + 1] - self.xs[i]) } else { 0.0 };
        let rest = (sum - self.sums[i]) / self.log_ys[i].exp();
        let bent = slope * rest;
        let x = self.xs[i] + if bent.abs() < 1e-12 { rest } else { bent.ln_1p() / slope };
        if inside { x.clamp(self.xs[i], self.xs[i + 1]) } else { x }
    }

    /// Where the piece that holds `x` begins, and the slope of the logarithm on it.
    fn piece(&self, x: f64) -> (usize, f64) {
        let i = self.xs.partition_point(|&known| known <= x);
        match i.checked_sub(1) {
            Some(i) if i + 1 < self.xs.len() => {
                (i, (self.log_ys[i + 1] - self.log_ys[i]) / (self.xs[i + 1] - self.xs[i]))
            }
            Some(i) => (i, 0.0),
            None => (0, 0.0),
        }
    }
}

/// The integral over a piece of the given width up to a share of it.
fn area(log_y: f64, log_end: f64, width: f64, share: f64) -> f64 {
    log_y.exp() * exp_m1_over((log_end - log_y) / width, share * width)
}

/// `(e^{slope x} - 1) / slope`, and `x` where the slope is 0.
fn exp_m1_over(slope: f64, x: f64) -> f64 {
    let bent = slope * x;
    if bent.abs() < 1e-12 { x } else { bent.exp_m1() / slope }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integrals_are_those_of_small_rectangles_and_can_be_inverted() {
        let curve = LogLinear::new(vec![-1.0, 0.0, 0.5, 4.0], [2.0, 1e-3, 1e-3, 7.0].into_iter());
        assert!((curve.at(0.0) - 1e-3).abs() < 1e-15 && (curve.at(-1.0) - 2.0).abs() < 1e-15);
        assert_eq!((curve.at(-9.0), curve.at(9.0)), (curve.at(-1.0), curve.at(4.0)));
        let n = 600_000;
        let (from, to) = (-2.0, 5.0);
        let h = (to - from) / f64::from(n);
        let mut sum = curve.integral_to(from);
        assert!((sum + 2.0).abs() < 1e-12, "{sum}");
        for i in 0..n {
            sum += h * curve.at(from + h * (f64::from(i) + 0.5));
            if i % 50_000 == 49_999 {
                let x = from + h * f64::from(i + 1);
                assert!((curve.integral_to(x) - sum).abs() < 1e-7, "{x}: {} for {sum}", curve.integral_to(x));
                assert!((curve.inverse(curve.integral_to(x)) - x).abs() < 1e-9, "{x}");
            }
        }
        let one = LogLinear::new(vec![3.0], std::iter::once(0.5));
        assert_eq!((one.at(0.0), one.integral_to(5.0), one.inverse(1.0)), (0.5, 1.0, 5.0));
    }
}
