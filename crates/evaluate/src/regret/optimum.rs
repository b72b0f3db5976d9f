//! The losses of the mixture's perfect denoiser.
//!
//! With `x_t = √ᾱ x_0 + √(1 - ᾱ) ε` and `s = ᾱ/(1 - ᾱ)`, the posterior of the mixture of points `x_i` is the softmax of
//! `-½ |x_t - √ᾱ x_i|² / (1 - ᾱ)`. Beside a constant this is `s (⟨x_0, x_i⟩ - ½ |x_i|²) + √s ⟨ε, x_i⟩`, so that the products of `x_0` serve
//! all noise levels, and those of `ε` serve all examples with the same noise. The best guess of the noise is off by
//! `ε* - ε = √s (x_0 - E[x_0 | x_t])`.

use rayon::prelude::*;
use sfumato_cpu::{Matrix, gemm};

use super::{
    EmpiricalMixture, Query,
    near::{nearest, without_noise},
    posterior::{Posterior, posterior},
    products::{Products, TILE, each_tile},
};

/// Weights below this part of the largest do not count; as floats they could be so small that processors take long.
const LEAST_WEIGHT: f64 = 1e-30;

impl EmpiricalMixture<'_> {
    /// `‖ε - ε*(x_t)‖²`, averaged over the dimensions, for each of `queries`: how far the mixture's perfect denoiser is from the noise.
    /// The rows of `x_0` and of `epsilon` are examples and noises one after the other; the examples need not be in the mixture.
    ///
    /// `epsilon` has to be standard normal: points are passed over without a look if only noise of twelve standard deviations could make
    /// them likely. A posterior over few points, up to one in 32, is that of distances in `f64`. One over more is that of products in
    /// `f32`, unless their rounding could change a probability by more than 0.2 %. Results do not depend on the number of threads, nor on
    /// which queries are asked together.
    ///
    /// Memory: four bytes for each row and each point of the mixture.
    ///
    /// # Panics
    /// If a query is about a row that is not there.
    ///
    /// # Examples
    /// Two points, and little noise: it is clear where `x_t` came from.
    /// ```
    /// use sfumato_data::Dataset;
    /// use sfumato_evaluate::regret::{EmpiricalMixture, Query};
    ///
    /// struct Two;
    /// impl Dataset for Two {
    ///     fn len(&self) -> usize {
    ///         2
    ///     }
    ///     fn shape(&self) -> &[usize] {
    ///         &[1]
    ///     }
    ///     fn write(&self, i: usize, out: &mut [f32]) {
    ///         out[0] = [-1.0, 1.0][i];
    ///     }
    /// }
    ///
    /// let mixture = EmpiricalMixture::new(&Two, None, false)?;
    /// let at = |snr| mixture.losses(&[1.0], &[0.5], &[Query { example: 0, noise: 0, snr }])[0];
    /// assert!(at(100.0) < 1e-12);
    /// // With s = 1 the mean is tanh(x_t/√ᾱ), and x_t/√ᾱ = x_0 + ε = 1.5.
    /// assert!((at(1.0) - (1.0 - 1.5_f64.tanh()).powi(2)).abs() < 1e-12);
    /// # Ok::<(), sfumato_evaluate::regret::RegretError>(())
    /// ```
    pub fn losses(&self, x_0: &[f32], epsilon: &[f32], queries: &[Query]) -> Vec<f64> {
        let dims = self.dims();
        let (examples, noises) = (x_0.len() / dims, epsilon.len() / dims);
        let row = |query: &Query| {
            let Query { example, noise, snr } = *query;
            assert!(example < examples && noise < noises, "{query:?} of {examples} and {noises}");
            let at = |i: usize| i * dims..(i + 1) * dims;
            Noised { x_0: &x_0[at(example)], epsilon: &epsilon[at(noise)], example, noise, snr }
        };
        let mut rows: Vec<Noised<'_>> = queries.iter().map(row).collect();
        let of_x_0 = Products::new(self, x_0);
        let nearest: Vec<f64> = (0..examples).into_par_iter().map(|i| nearest(self, &of_x_0, i)).collect();
        let near: Vec<Option<f64>> =
            rows.par_iter().map(|row| without_noise(self, &of_x_0, row, nearest[row.example])).collect();
        // Products of the noise only where it is not clear without it.
        let mut used = vec![usize::MAX; noises];
        let mut open = Vec::new();
        for row in rows.iter_mut().zip(&near).filter(|(_, near)| near.is_none()).map(|(row, _)| row) {
            if used[row.noise] == usize::MAX {
                used[row.noise] = open.len() / dims;
                open.extend_from_slice(row.epsilon);
            }
            row.noise = used[row.noise];
        }
        let products = [of_x_0, Products::new(self, &open)];
        self.with_noise(&products, &rows, near)
    }

    /// The losses, where those in `known` are known.
    fn with_noise(&self, products: &[Products; 2], rows: &[Noised<'_>], known: Vec<Option<f64>>) -> Vec<f64> {
        let found = |(row, known): (&Noised<'_>, Option<f64>)| match known {
            Some(loss) => Posterior::Loss(loss),
            None => posterior(self, products, row),
        };
        let found: Vec<Posterior> = rows.par_iter().zip(known).map(found).collect();
        let spread = |(i, found): (usize, &Posterior)| match found {
            Posterior::Spread { largest } => Some((i, *largest)),
            Posterior::Loss(_) => None,
        };
        let spread: Vec<(usize, f64)> = found.iter().enumerate().filter_map(spread).collect();
        let means = self.means(products, rows, &spread);
        let mut means = means.chunks_exact(self.dims());
        let loss = |(found, row): (Posterior, &Noised<'_>)| match found {
            Posterior::Loss(loss) => loss,
            Posterior::Spread { .. } => {
                let mean = means.next().into_iter().flatten();
                row.loss(mean.zip(row.x_0).map(|(mean, x)| mean - f64::from(*x)))
            }
        };
        found.into_iter().zip(rows).map(loss).collect()
    }

    /// `E[x_0 | x_t]` of the queries in `spread`, given with the largest of their scores, one after the other.
    fn means(&self, products: &[Products; 2], rows: &[Noised<'_>], spread: &[(usize, f64)]) -> Vec<f64> {
        let dims = self.dims();
        let mut means = vec![0.0; spread.len() * dims];
        if spread.is_empty() {
            return means;
        }
        let mut part = vec![0.0; means.len()];
        let mut totals = vec![0.0; spread.len()];
        let mut weights = Vec::new();
        each_tile(self, |places, tile| {
            weights.resize(spread.len() * places.len(), 0.0_f32);
            let weigh = |((out, total), (i, largest)): ((&mut [f32], &mut f64), &(usize, f64))| {
                let mut scores = [0.0; TILE];
                let scores = &mut scores[..places.len()];
                rows[*i].scores(self, products, places.start, scores);
                for (out, score) in out.iter_mut().zip(scores) {
                    let weight = (*score - largest).exp();
                    *out = if weight < LEAST_WEIGHT { 0.0 } else { weight as f32 };
                    *total += weight;
                }
            };
            weights.par_chunks_exact_mut(places.len()).zip(&mut totals).zip(spread).for_each(weigh);
            let (a, b) = (Matrix::rows(&weights, places.len()), Matrix::rows(tile, dims));
            gemm([spread.len(), dims, places.len()], a, b, None, &mut part);
            means.par_iter_mut().zip(&part).with_min_len(1 << 14).for_each(|(mean, part)| *mean += f64::from(*part));
        });
        for (mean, total) in means.chunks_exact_mut(dims).zip(totals) {
            mean.iter_mut().for_each(|mean| *mean /= total);
        }
        means
    }
}

/// An example with its noise.
pub(super) struct Noised<'a> {
    pub(super) x_0: &'a [f32],
    pub(super) epsilon: &'a [f32],
    /// Rows of the products: of `x_0` and of `epsilon`.
    pub(super) example: usize,
    pub(super) noise: usize,
    pub(super) snr: f64,
}

impl Noised<'_> {
    /// Logarithms of the weights, beside a constant, of the points of the tile that begins at `first`.
    pub(super) fn scores(
        &self,
        mixture: &EmpiricalMixture<'_>,
        products: &[Products; 2],
        first: usize,
        out: &mut [f64],
    ) {
        let (x_0, epsilon) = (products[0].tile(self.example, first), products[1].tile(self.noise, first));
        let half_squares = &mixture.half_squares()[first..first + out.len()];
        let (snr, root) = (self.snr, self.snr.sqrt());
        for (((out, x_0), epsilon), half_square) in out.iter_mut().zip(x_0).zip(epsilon).zip(half_squares) {
            *out = snr * (f64::from(*x_0) - half_square) + root * f64::from(*epsilon);
        }
    }

    /// The loss where the best guess of `x_0` is off by `errors`.
    pub(super) fn loss(&self, errors: impl Iterator<Item = f64>) -> f64 {
        self.snr * errors.map(|error| error * error).sum::<f64>() / self.x_0.len() as f64
    }
}
