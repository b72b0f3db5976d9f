//! Explicit Runge–Kutta methods with an embedded error.

/// A method whose last stage is the slope at the step's end, so that it is the next step's first: `S` stages cost `S - 1` slopes a step.
#[derive(Debug)]
pub(super) struct Tableau {
    /// `c_i`: where the stages after the first lie in the step.
    pub(super) nodes: &'static [f64],
    /// `a_ij`: what leads to the stages after the first. The last row leads to the step's end.
    pub(super) rows: &'static [&'static [f64]],
    /// Weights of all slopes in the difference between the result and that of the embedded method.
    pub(super) error: &'static [f64],
    /// Order of the embedded method: the error of a step falls with this power of its length plus one.
    pub(super) embedded_order: i32,
}

/// Dormand and Prince (1980), *A family of embedded Runge–Kutta formulae*, Table 2: order 5 with an embedded order 4. MATLAB's `ode45` and SciPy's
/// `RK45`.
pub(super) const DORMAND_PRINCE: Tableau = Tableau {
    nodes: &[1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0],
    rows: &[
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19_372.0 / 6561.0, -25_360.0 / 2187.0, 64_448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46_732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18_656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    error: &[71.0 / 57_600.0, 0.0, -71.0 / 16_695.0, 71.0 / 1920.0, -17_253.0 / 339_200.0, 22.0 / 525.0, -1.0 / 40.0],
    embedded_order: 4,
};

/// Heun's method, order 2, with Euler's embedded.
pub(super) const HEUN: Tableau =
    Tableau { nodes: &[1.0, 1.0], rows: &[&[1.0], &[0.5, 0.5]], error: &[-0.5, 0.5, 0.0], embedded_order: 1 };

#[cfg(test)]
mod tests {
    use super::*;

    /// The conditions that a method of order 1 to 3 meets, and that rows sum to their nodes.
    #[test]
    fn coefficients_meet_the_conditions_of_their_order() {
        for (tableau, order) in [(&DORMAND_PRINCE, 5), (&HEUN, 2)] {
            for (node, row) in tableau.nodes.iter().zip(tableau.rows) {
                assert!((row.iter().sum::<f64>() - node).abs() < 1e-14, "{row:?} for {node}");
            }
            assert_eq!((tableau.rows.len(), tableau.nodes.len()), (tableau.nodes.len(), tableau.error.len() - 1));
            let nodes: Vec<f64> = std::iter::once(0.0).chain(tableau.nodes.iter().copied()).collect();
            let weights = tableau.rows[tableau.rows.len() - 1];
            for power in 0..order {
                let integral = |weights: &[f64]| -> f64 {
                    weights.iter().zip(&nodes).map(|(weight, node)| weight * node.powi(power)).sum()
                };
                let expected = 1.0 / f64::from(power + 1);
                assert!((integral(weights) - expected).abs() < 1e-14, "power {power}: {}", integral(weights));
                // The embedded method integrates the same powers up to its order.
                let error = integral(tableau.error);
                assert_eq!(error.abs() < 1e-14, power < tableau.embedded_order, "power {power}: {error}");
            }
        }
    }
}
