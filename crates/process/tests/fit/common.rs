//! Numbers known exactly, as if they had been measured.

use burn::{
    backend::{Flex, flex::FlexDevice},
    tensor::Tensor,
};
use sfumato_process::{
    Chain, Denoiser,
    bound::{BoundNoise, Decoder, Examples},
    fit::{Fit, MeasurePlan, Measured, Node, measure, measured_steps},
    noise::{Purpose, stream},
    oracle::{MixtureData, Oracle},
};
use sfumato_schedule::NoiseSchedule;

/// Exact numbers of every step: `errors(t)` is `E‖x_0 - x̂_0‖²/d` of the perfect denoiser, which is the covariance too.
pub(crate) fn exact(schedule: &NoiseSchedule, mean_square: f64, errors: impl Fn(usize) -> f64) -> Measured {
    let node = |t: usize| {
        let error = errors(t);
        let noise_norm = 1.0 - error * schedule.log_snr(t).exp();
        Node {
            t,
            log_snr: schedule.log_snr(t),
            error,
            error_se: None,
            noise_norm,
            noise_norm_se: None,
            raw_noise_norm: noise_norm,
            decoder: Vec::new(),
        }
    };
    let nodes = (1..=schedule.steps()).map(node).collect();
    Measured { decoder: Decoder::Gaussian, examples: 1, mean_square, nodes }
}

pub(crate) fn fit(schedule: &NoiseSchedule, mean_square: f64, errors: impl Fn(usize) -> f64) -> Fit {
    Fit::new(exact(schedule, mean_square, errors), schedule).unwrap()
}

/// All chains of `count` steps down from `total`.
pub(crate) fn chains(total: usize, count: usize) -> Vec<Vec<usize>> {
    let all = (0..1_u32 << (total - 1)).filter(|set| set.count_ones() as usize == count - 1);
    let steps = |set: u32| (1..total).filter(|t| set & (1 << (t - 1)) != 0).chain([total]).collect();
    all.map(steps).collect()
}

/// Examples in memory.
pub(crate) struct List {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

impl List {
    pub(crate) fn draw(data: &MixtureData, n: usize, seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Training, 0, 0);
        let values = (0..n).flat_map(|_| data.sample(&mut rng)).map(|x| x as f32).collect();
        Self { shape: vec![data.dimensions()], values }
    }
}

impl Examples for List {
    fn len(&self) -> usize {
        self.values.len() / self.shape.iter().product::<usize>()
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.values[i * out.len()..(i + 1) * out.len()]);
    }
}

/// Measures the oracle.
pub(crate) fn measured(chain: &Chain, oracle: &Oracle, examples: &List, stride: usize, draws: usize) -> Measured {
    let plan = MeasurePlan {
        decoder: Decoder::Gaussian,
        steps: measured_steps(chain.steps(), stride),
        draws,
        noise: BoundNoise::Seeded(3),
    };
    let predict = |x: Tensor<Flex, 2>, t: &[usize], _: &[usize]| oracle.predict(x, t);
    let mut go_on = |_| std::ops::ControlFlow::Continue(());
    measure::<Flex, 2>(chain, &predict, &plan, examples, 97, &FlexDevice, &mut go_on).unwrap()
}
