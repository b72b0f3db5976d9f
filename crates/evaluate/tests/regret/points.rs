//! Data sets in memory, and the loss of who knows one by heart as a direct sum.

use sfumato_data::Dataset;
use sfumato_process::noise::{Purpose, fill_normal};

/// Points in memory, with classes if there are labels.
#[derive(Clone, Debug)]
pub(super) struct Points {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
    labels: Vec<usize>,
    names: Vec<String>,
}

impl Points {
    pub(super) fn new(shape: &[usize], values: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), values, labels: Vec::new(), names: Vec::new() }
    }

    pub(super) fn labelled(self, labels: Vec<usize>) -> Self {
        let names = (0..=labels.iter().copied().max().unwrap()).map(|class| class.to_string()).collect();
        Self { labels, names, ..self }
    }

    pub(super) fn row(&self, i: usize) -> &[f32] {
        let dims = self.example_len();
        &self.values[i * dims..(i + 1) * dims]
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.example_len())
    }
}

impl Dataset for Points {
    fn len(&self) -> usize {
        self.values.len() / self.example_len()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        out.copy_from_slice(self.row(i));
    }

    fn label(&self, i: usize) -> Option<usize> {
        self.labels.get(i).copied()
    }

    fn class_names(&self) -> &[String] {
        &self.names
    }
}

pub(super) fn normal(seed: u64, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    fill_normal(seed, Purpose::Training, 0, 0, &mut values);
    values
}

/// Pictures of 256 levels that look like each other in part.
pub(super) fn pictures(seed: u64, count: usize, dims: usize) -> Vec<f32> {
    let (common, own) = (normal(seed, dims), normal(seed + 1, count * dims));
    own.iter()
        .enumerate()
        .map(|(i, x)| {
            let level = (127.5 + 80.0 * (common[i % dims] + 0.5 * x)).round().clamp(0.0, 255.0);
            level / 127.5 - 1.0
        })
        .collect()
}

/// The loss by the formula: distances of `x_t`, a softmax, a mean, all in `f64`.
pub(super) fn direct<'a>(points: impl Iterator<Item = &'a [f32]>, x_0: &[f32], epsilon: &[f32], snr: f64) -> f64 {
    let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let points: Vec<Vec<f64>> = points.map(wide).collect();
    let (x_0, epsilon) = (wide(x_0), wide(epsilon));
    let (alpha_bar, rest) = (snr / (1.0 + snr), 1.0 / (1.0 + snr));
    let x_t: Vec<f64> = x_0.iter().zip(&epsilon).map(|(x, e)| alpha_bar.sqrt() * x + rest.sqrt() * e).collect();
    let score = |x: &Vec<f64>| {
        let square: f64 = x.iter().zip(&x_t).map(|(x, x_t)| (x_t - alpha_bar.sqrt() * x).powi(2)).sum();
        -0.5 * square / rest
    };
    let scores: Vec<f64> = points.iter().map(score).collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mean = |j: usize| points.iter().zip(&weights).map(|(x, weight)| weight * x[j]).sum::<f64>() / total;
    let error = |j: usize| (x_t[j] - alpha_bar.sqrt() * mean(j)) / rest.sqrt() - epsilon[j];
    (0..x_0.len()).map(|j| error(j).powi(2)).sum::<f64>() / x_0.len() as f64
}
