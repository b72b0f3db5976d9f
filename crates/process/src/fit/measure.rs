//! The pass over data: a network's predictions at the same steps for every example.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData, backend::Backend};
use sfumato_schedule::NoiseSchedule;

use super::{Measured, Node, decoder::knots};
use crate::{
    Chain,
    bound::{BoundError, BoundNoise, Decoder, Examples, Moments, Predict, Progress, WithExamples, host},
    forward::q_sample,
};

/// What is measured.
#[derive(Clone, Debug)]
pub struct MeasurePlan<'a> {
    /// `L_0`.
    pub decoder: Decoder,
    /// The steps, as [`measured_steps`](super::measured_steps) gives them.
    pub steps: Vec<usize>,
    /// Draws of noise for each example and step, at least 1.
    pub draws: usize,
    /// Where the noise comes from.
    pub noise: BoundNoise<'a>,
}

/// Measures the network behind `predict` on `examples`, with the parameterisation and the clipping of `chain`, which visits every step
/// that the network was trained on.
///
/// Every example is seen at every step of the plan, so that the differences between steps are not those between examples. It costs
/// `steps × draws` evaluations of the network for each example, `batch_size` at a time; the result depends on that only by the
/// network's rounding.
///
/// Where `observe` breaks off, the numbers are those of the examples that are complete by then.
///
/// # Errors
/// [`BoundError`]: nothing to average, noise that a recording lacks, data that does not suit the decoder, a prediction that is not
/// finite, or [`BoundError::Stopped`] if `observe` breaks off before an example is complete.
///
/// # Panics
/// If the chain is a shorter one, a step of the plan is outside it, or the rank `D` is not one more than the examples'.
pub fn measure<B: Backend, const D: usize>(
    chain: &Chain,
    predict: &Predict<'_, B, D>,
    plan: &MeasurePlan<'_>,
    examples: &dyn Examples,
    batch_size: usize,
    device: &B::Device,
    observe: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Measured, BoundError> {
    assert_eq!(chain.steps(), chain.trained_schedule().steps(), "a shorter chain tells less");
    let counts = [
        ("the number of examples", examples.len()),
        ("the number of draws", plan.draws),
        ("the number of steps", plan.steps.len()),
    ];
    if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
        return Err(BoundError::Nothing { what });
    }
    let mut shape = [0; D];
    shape[1..].copy_from_slice(examples.shape());
    let mut run = Run::new(chain, predict, plan, shape, device);
    let per_example = plan.steps.len() * plan.draws;
    let mut progress = Progress { examples: 0, evaluations: 0, total: (per_example * examples.len()) as u64 };
    let mut x_0 = vec![0.0; shape[1..].iter().product()];
    'examples: for example in 0..examples.len() {
        examples.write(example, &mut x_0);
        for k in 0..per_example {
            run.push(examples.id(example), k, &x_0)?;
            let end = example + 1 == examples.len() && k + 1 == per_example;
            if run.rows.len() == batch_size.max(1) || end {
                progress.evaluations += run.rows.len() as u64;
                progress.examples += run.flush()?;
                if observe(progress).is_break() && !end {
                    break 'examples;
                }
            }
        }
    }
    let stopped = BoundError::Stopped { done: progress.examples, total: examples.len() };
    if progress.examples == 0 { Err(stopped) } else { Ok(run.sums.measured(chain.schedule(), plan, progress.examples)) }
}

/// One evaluation.
#[derive(Clone, Copy)]
struct Row {
    example: usize,
    /// Index of the step in the plan.
    node: usize,
    /// Whether it is its example's last.
    last: bool,
}

struct Run<'a, B: Backend, const D: usize> {
    chain: &'a Chain,
    predict: &'a Predict<'a, B, D>,
    plan: &'a MeasurePlan<'a>,
    device: &'a B::Device,
    shape: [usize; D],
    /// Those that wait for the batch to fill.
    rows: Vec<Row>,
    x_0: Vec<f32>,
    epsilon: Vec<f32>,
    sums: Sums,
}

impl<'a, B: Backend, const D: usize> Run<'a, B, D> {
    fn new(
        chain: &'a Chain,
        predict: &'a Predict<'a, B, D>,
        plan: &'a MeasurePlan<'a>,
        shape: [usize; D],
        device: &'a B::Device,
    ) -> Self {
        let sums = Sums::new(chain.schedule(), plan);
        Self { chain, predict, plan, device, shape, rows: Vec::new(), x_0: Vec::new(), epsilon: Vec::new(), sums }
    }

    /// Evaluation `k` of an example.
    fn push(&mut self, example: usize, k: usize, x_0: &[f32]) -> Result<(), BoundError> {
        let Self { plan, epsilon, .. } = self;
        let (draw, node) = (k / plan.steps.len(), k % plan.steps.len());
        self.rows.push(Row { example, node, last: k + 1 == plan.steps.len() * plan.draws });
        self.x_0.extend(x_0);
        let start = epsilon.len();
        epsilon.resize(start + x_0.len(), 0.0);
        let entry = draw * self.chain.steps() + plan.steps[node] - 1;
        Ok(plan.noise.fill(example, entry, &mut epsilon[start..])?)
    }

    /// Evaluates the waiting rows and says how many examples are complete now that were not before.
    fn flush(&mut self) -> Result<usize, BoundError> {
        let rows = std::mem::take(&mut self.rows);
        let (x_0, epsilon) = (std::mem::take(&mut self.x_0), std::mem::take(&mut self.epsilon));
        let mut shape = self.shape;
        shape[0] = rows.len();
        let steps: Vec<usize> = rows.iter().map(|row| self.plan.steps[row.node]).collect();
        let ids: Vec<usize> = rows.iter().map(|row| row.example).collect();
        let tensor = |values: &[f32]| Tensor::<B, D>::from_data(TensorData::new(values.to_vec(), shape), self.device);
        let x_t = q_sample(self.chain.schedule(), tensor(&x_0), &steps, tensor(&epsilon));
        let known = WithExamples { predict: self.predict, examples: &ids };
        let (raw, _, _) = self.chain.predict_each(&known, x_t, &steps)?;
        let clipped = host::read(self.chain.clipping().apply(raw.clone()))?;
        let raw = host::read(raw)?;
        let size = x_0.len() / rows.len();
        let mut complete = 0;
        for (i, row) in rows.iter().enumerate() {
            let part = i * size..(i + 1) * size;
            let values = Values {
                x_0: &x_0[part.clone()],
                epsilon: &epsilon[part.clone()],
                raw: &raw[part.clone()],
                clipped: &clipped[part],
            };
            self.sums.add(row, &values, self.plan.decoder, steps[i])?;
            if row.last {
                self.sums.finish(values.x_0);
                complete += 1;
            }
        }
        Ok(complete)
    }
}

/// An example with its noise, and what the network says.
struct Values<'a> {
    x_0: &'a [f32],
    epsilon: &'a [f32],
    raw: &'a [f64],
    clipped: &'a [f64],
}

/// Means over the examples, and the sums of the one that is not complete yet.
struct Sums {
    nodes: Vec<NodeSums>,
    mean_square: Moments,
}

struct NodeSums {
    /// `√(ᾱ_t/(1 - ᾱ_t))`.
    ratio: f64,
    log_variances: Vec<f64>,
    /// The error, `1 - m_t`, and `1 - m_t` of the raw prediction; then the decoder's terms.
    means: Vec<Moments>,
    current: Vec<f64>,
}

impl Sums {
    fn new(schedule: &NoiseSchedule, plan: &MeasurePlan<'_>) -> Self {
        let node = |&t: &usize| {
            let log_variances = knots(plan.decoder, schedule, t);
            let figures = 3 + log_variances.len();
            NodeSums {
                ratio: (0.5 * schedule.log_snr(t)).exp(),
                log_variances,
                means: vec![Moments::default(); figures],
                current: vec![0.0; figures],
            }
        };
        Self { nodes: plan.steps.iter().map(node).collect(), mean_square: Moments::default() }
    }

    /// One evaluation of the current example.
    fn add(&mut self, row: &Row, values: &Values<'_>, decoder: Decoder, step: usize) -> Result<(), BoundError> {
        let NodeSums { ratio, log_variances, current, .. } = &mut self.nodes[row.node];
        let size = values.x_0.len() as f64;
        let mut sums = [0.0; 3];
        for (((&x_0, &epsilon), raw), clipped) in
            values.x_0.iter().zip(values.epsilon).zip(values.raw).zip(values.clipped)
        {
            let (x_0, epsilon) = (f64::from(x_0), f64::from(epsilon));
            // ε̂ = ε - a (x̂_0 - x_0), so that ε² - ε̂² does not cancel.
            let shortfall = |off: f64| *ratio * off * (2.0 * epsilon - *ratio * off);
            // Clipping can turn a NaN into a number; 0 times the raw prediction keeps it a NaN.
            let off = clipped - x_0 + 0.0 * raw;
            sums[0] += off * off;
            sums[1] += shortfall(off);
            sums[2] += shortfall(raw - x_0);
        }
        let nats = sums[0] / size;
        if !sums.iter().all(|sum| sum.is_finite()) {
            return Err(BoundError::NotFinite { example: row.example, step, nats });
        }
        current.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum / size);
        for (total, &log_variance) in current[3..].iter_mut().zip(log_variances.iter()) {
            for (&x_0, &mean) in values.x_0.iter().zip(values.clipped) {
                let nats = decoder.nll(f64::from(x_0), mean, log_variance);
                *total += nats.map_err(|_| BoundError::NotALevel { example: row.example, value: x_0.into() })? / size;
            }
        }
        Ok(())
    }

    /// Closes the current example.
    fn finish(&mut self, x_0: &[f32]) {
        let size = x_0.len() as f64;
        self.mean_square.push(x_0.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / size);
        for node in &mut self.nodes {
            for (mean, sum) in node.means.iter_mut().zip(&mut node.current) {
                mean.push(std::mem::take(sum));
            }
        }
    }

    fn measured(&self, schedule: &NoiseSchedule, plan: &MeasurePlan<'_>, examples: usize) -> Measured {
        let draws = plan.draws as f64;
        let node = |(&t, sums): (&usize, &NodeSums)| {
            let mean =
                |i: usize| sums.means[i].mean().map_or((f64::NAN, None), |mean| (mean.mean, mean.standard_error));
            let [(error, error_se), (short, short_se), (raw, _)] = [0, 1, 2].map(mean);
            Node {
                t,
                log_snr: schedule.log_snr(t),
                error: error / draws,
                error_se: error_se.map(|se| se / draws),
                noise_norm: (1.0 - short / draws).max(0.0),
                noise_norm_se: short_se.map(|se| se / draws),
                raw_noise_norm: (1.0 - raw / draws).max(0.0),
                decoder: (3..sums.means.len()).map(|i| mean(i).0 / draws).collect(),
            }
        };
        let nodes = plan.steps.iter().zip(&self.nodes).map(node).collect();
        let mean_square = self.mean_square.mean().map_or(f64::NAN, |mean| mean.mean);
        Measured { decoder: plan.decoder, examples: examples as u64, mean_square, nodes }
    }
}
