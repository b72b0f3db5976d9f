//! Statements of the study notes that are no single function's: variational calculus, variational inference, and why backward
//! steps may be Gaussian. `docs/notes-to-code.md` has every row of the notes with its code and its test.

use std::f64::consts::PI;

use sfumato_schedule::probability::{Discrete, Gaussian, Joint, LinearGaussian};

/// `∫_from^to f` by the midpoint rule; the integrands here are smooth.
fn integrate(from: f64, to: f64, f: impl Fn(f64) -> f64) -> f64 {
    const CELLS: usize = 20_000;
    let width = (to - from) / CELLS as f64;
    (0..CELLS).map(|cell| f(from + (cell as f64 + 0.5) * width)).sum::<f64>() * width
}

#[test]
fn a_function_maps_numbers_and_a_functional_maps_functions() {
    let f = |x: f64| x * x;
    let j = |y: &dyn Fn(f64) -> f64| integrate(0.0, 1.0, |x| y(x).powi(2));
    assert_eq!(f(3.0), 9.0);
    assert!((j(&|x| x) - 1.0 / 3.0).abs() < 1e-8);
    assert!((j(&f) - 1.0 / 5.0).abs() < 1e-8);
}

/// Perturbations that leave the ends of [0, 1] where they are, with their derivatives.
fn bump(k: usize, x: f64) -> (f64, f64) {
    let k = k as f64 * PI;
    ((k * x).sin(), k * (k * x).cos())
}

/// `F = √(1 + y'²)`: `∂F/∂y = 0`, so Euler-Lagrange asks that `∂F/∂y' = y'/√(1 + y'²)` is constant, and so `y'`.
#[test]
fn the_straight_line_solves_euler_lagrange_and_is_the_shortest() {
    let (a, b) = (0.75, -2.0);
    let length = |slope: &dyn Fn(f64) -> f64| integrate(0.0, 1.0, |x| (1.0 + slope(x).powi(2)).sqrt());
    let line = length(&|_| a);
    // Between (0, b) and (1, a + b), whatever b is.
    assert!((line - 1.0_f64.hypot((a + b) - b)).abs() < 1e-12);
    for k in 1..=4 {
        for size in [-0.3, 0.01, 0.2] {
            let other = length(&|x| a + size * bump(k, x).1);
            assert!(other > line, "{k}, {size}");
            // To first order nothing changes: the line is stationary, which is what Euler-Lagrange says.
            let slight = length(&|x| a + 1e-4 * size * bump(k, x).1);
            assert!((slight - line).abs() < 1e-6 * size.abs(), "{k}, {size}");
        }
        // A curve that does not solve the equation is not stationary: y = x².
        let parabola = |size: f64| length(&|x| 2.0 * x + size * bump(1, x).1);
        assert!((parabola(1e-4) - parabola(-1e-4)).abs() > 1e-5);
    }
}

/// In polar coordinates a path `θ(φ)` has the length `∫ √(θ'² + sin² θ) dφ`; the equator is `θ = π/2`.
#[test]
fn great_circles_are_the_shortest_and_antipodes_have_many() {
    let length = |size: f64, k: usize| {
        integrate(0.0, 1.0, |phi| {
            let (shift, slope) = bump(k, phi);
            ((size * slope).powi(2) + (PI / 2.0 + size * shift).sin().powi(2)).sqrt()
        })
    };
    for k in 1..=4 {
        assert!((length(0.0, k) - 1.0).abs() < 1e-12, "a radian of the equator");
        assert!(length(0.1, k) > 1.0 && length(-0.01, k) > 1.0);
    }
    // From pole to pole every meridian is as long: θ runs from 0 to π at constant φ.
    assert!((integrate(0.0, PI, |_| 1.0) - PI).abs() < 1e-12);
}

/// `log p(x) = E_Q[log p(u, x) - log Q(u)] + KL(Q ‖ p(u | x))`, for hidden `u` and observed `x`.
#[test]
fn variational_inference_bounds_the_evidence_by_the_divergence_from_the_posterior() {
    let joint = Joint::new(vec![vec![0.10, 0.25], vec![0.20, 0.05], vec![0.30, 0.10]]).unwrap();
    let evidence = joint.second_marginal();
    for x in 0..2 {
        let posterior = joint.first_given_second(x).unwrap();
        let bound = |q: &Discrete| q.expectation(|u| joint.probability(u, x).ln() - q.probability(u).ln());
        for weights in [[1.0, 1.0, 1.0], [5.0, 1.0, 3.0], [0.1, 0.1, 9.0]] {
            let q = Discrete::from_weights(weights.to_vec()).unwrap();
            let gap = evidence.probability(x).ln() - bound(&q);
            assert!((gap - q.kl(&posterior).unwrap()).abs() < 1e-14 && gap > 0.0);
        }
        assert!((bound(&posterior) - evidence.probability(x).ln()).abs() < 1e-14, "tight at the posterior");
    }
}

/// The notes' `arg min E[f(X)] ≈ arg min f(E[X])`: the same minimum where the bound is tight, another where it is not.
#[test]
fn minimising_the_bound_minimises_the_objective_where_it_is_tight() {
    // x | z ~ N(θ + 2 z, 1), z ~ N(0, 1), and one observation. The best θ is the observation itself.
    let x = 0.7;
    let model = |theta: f64| LinearGaussian::new(Gaussian::STANDARD, 2.0, theta, 1.0).unwrap();
    // E_q[-log p(x | z)] + KL(q(z) ‖ p(z)), with the expectation of the square in closed form.
    let bound = |theta: f64, q: &Gaussian| {
        let predicted = q.affine(2.0, theta).unwrap();
        let square = (x - predicted.mean()).powi(2) + predicted.variance();
        0.5 * ((2.0 * PI).ln() + square) + q.kl(&Gaussian::STANDARD)
    };
    let best = |f: &dyn Fn(f64) -> f64| {
        (-200..=200).map(|i| f64::from(i) / 50.0).min_by(|a, b| f(*a).total_cmp(&f(*b))).unwrap()
    };
    let objective = |theta: f64| -model(theta).marginal().log_density(x);
    let tight = |theta: f64| bound(theta, &model(theta).posterior(x).unwrap());
    assert!((best(&objective) - x).abs() < 1e-12);
    assert_eq!(best(&tight), best(&objective));
    for theta in [-1.0, 0.0, 2.5] {
        assert!((tight(theta) - objective(theta)).abs() < 1e-12, "the bound is the objective when q is the posterior");
        assert!(bound(theta, &Gaussian::new(1.0, 0.5).unwrap()) > objective(theta), "and above it for any other");
    }
    assert!((best(&|theta| bound(theta, &Gaussian::new(1.0, 0.5).unwrap())) - x).abs() > 1.0, "a fixed q misleads");
}

/// Sohl-Dickstein et al. (2015): with small forward steps the backward steps have the forward ones' form. Data are two points,
/// for which `q(x_{t-1} | x_t)` is as far from a Gaussian as it gets.
#[test]
fn backward_steps_become_gaussian_as_forward_steps_shrink() {
    // x_{t-1} = √ᾱ x_0 + √(1-ᾱ) ε with ᾱ = 0.8 and x_0 = ±1; then one step of variance β, seen at x_t = 0.
    let noised = |x: f64| {
        let at = |x_0: f64| Gaussian::new(0.8_f64.sqrt() * x_0, 0.2).unwrap().density(x);
        0.5 * (at(-1.0) + at(1.0))
    };
    let divergence_from_gaussian = |beta: f64| {
        let weight = |x: f64| Gaussian::new((1.0 - beta).sqrt() * x, beta).unwrap().density(0.0) * noised(x);
        let total = integrate(-6.0, 6.0, weight);
        let density = |x: f64| weight(x) / total;
        let mean = integrate(-6.0, 6.0, |x| x * density(x));
        let variance = integrate(-6.0, 6.0, |x| (x - mean).powi(2) * density(x));
        let gaussian = Gaussian::new(mean, variance).unwrap();
        integrate(-6.0, 6.0, |x| {
            let p = density(x);
            if p > 0.0 { p * (p.ln() - gaussian.log_density(x)) } else { 0.0 }
        })
    };
    let found = [0.9, 0.3, 0.1, 0.03, 0.01].map(divergence_from_gaussian);
    assert!(found.windows(2).all(|pair| pair[1] < 0.6 * pair[0]), "{found:?}");
    assert!(found[0] > 0.1 && found[4] < 1e-4, "{found:?}");
}
