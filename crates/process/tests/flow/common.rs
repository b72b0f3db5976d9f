//! A mixture of Gaussians as a network that Burn differentiates, and its likelihood by other means.

use std::ops::ControlFlow;

use burn::{
    backend::{Autodiff, Flex, flex::FlexDevice},
    tensor::{DType, Tensor, TensorData, activation::softmax},
};
use sfumato_process::{
    Chain, NoiseLevel, Parameterization,
    bound::Examples,
    flow::{Differentiated, FlowError, FlowLikelihood, FlowPlan, FlowProgress, Solver, Start, Trace, estimate_flow},
    levels::Sigmas,
    noise::{Purpose, stream},
    oracle::{GaussianData, MixtureData, Oracle},
};
use sfumato_schedule::{NoiseSchedule, ScheduleConfig};

pub(crate) type Grad = Autodiff<Flex>;
pub(crate) const DEVICE: FlexDevice = FlexDevice;

/// A component: weight, mean, and a variance for each coordinate.
pub(crate) type Component = (f64, Vec<f64>, Vec<f64>);

/// A mixture with axis-aligned components, under a schedule.
pub(crate) struct Case {
    pub(crate) schedule: NoiseSchedule,
    pub(crate) reading: Parameterization,
    pub(crate) components: Vec<Component>,
}

pub(crate) fn schedule(name: &str) -> NoiseSchedule {
    name.parse::<ScheduleConfig>().unwrap().build().unwrap()
}

/// Exact trace, no noise, the usual solver.
pub(crate) const PLAN: FlowPlan = FlowPlan {
    start: Start::Density,
    trace: Trace::Exact,
    solver: Solver {
        method: sfumato_process::flow::Method::DormandPrince,
        steps: sfumato_process::flow::Steps::Adaptive { tolerance: 1e-5 },
    },
    draws: 1,
    seed: 3,
};

/// Two components in as many dimensions as asked for, unlike in every way.
pub(crate) fn mixture(dimensions: usize, name: &str, reading: Parameterization) -> Case {
    let along = |from: f64, by: f64| (0..dimensions).map(|i| from + by * i as f64).collect::<Vec<f64>>();
    let components = vec![(0.3, along(-0.8, 0.2), along(0.3, 0.1)), (0.7, along(0.6, -0.3), along(0.15, 0.05))];
    Case { schedule: schedule(name), reading, components }
}

impl Case {
    pub(crate) fn dimensions(&self) -> usize {
        self.components[0].1.len()
    }

    pub(crate) fn data(&self) -> MixtureData {
        let component = |(weight, mean, variances): &Component| {
            (*weight, GaussianData::diagonal(mean.clone(), variances.clone()).unwrap())
        };
        MixtureData::new(self.components.iter().map(component).collect()).unwrap()
    }

    pub(crate) fn oracle(&self) -> Oracle {
        Oracle::new(self.data(), &self.schedule, self.reading)
    }

    pub(crate) fn chain(&self) -> Chain {
        Chain::new(&self.schedule, self.reading)
    }

    /// Examples from the data, rounded to what examples can hold.
    pub(crate) fn examples(&self, count: usize) -> Points {
        let data = self.data();
        let sample = |i: usize| data.sample(&mut stream(11, Purpose::Forward, i as u64, 0));
        let values = (0..count).flat_map(sample).map(|x| x as f32).collect();
        Points { shape: [self.dimensions()], values, first_id: 0 }
    }

    /// `E[x_0 | x_t]` as a graph, in the case's reading.
    pub(crate) fn predict(&self, x: Tensor<Grad, 2>, t: &[f64]) -> Tensor<Grad, 2> {
        let curve = self.schedule.log_snr_curve();
        let levels: Vec<NoiseLevel> = t.iter().map(|&t| NoiseLevel::of_log_snr(curve.at(t), t)).collect();
        let like = (&x.device(), x.dtype());
        let column = |f: fn(&NoiseLevel) -> f64| {
            let values: Vec<f64> = levels.iter().map(f).collect();
            Tensor::<Grad, 2>::from_data(TensorData::new(values, [t.len(), 1]), like)
        };
        let row =
            |values: &[f64]| Tensor::<Grad, 2>::from_data(TensorData::new(values.to_vec(), [1, values.len()]), like);
        let (a, n) = (column(|level| level.signal()), column(|level| level.noise()));
        let (mut logs, mut means) = (Vec::new(), Vec::new());
        for (weight, mean, variances) in &self.components {
            let (mean, spread) = (row(mean), row(variances));
            let variance = spread.clone() * a.clone().square() + n.clone().square();
            let off = x.clone() - mean.clone() * a.clone();
            let square = off.clone().square() / variance.clone() + variance.clone().log();
            logs.push(square.sum_dim(1) * -0.5 + weight.ln());
            means.push(spread * a.clone() / variance * off + mean);
        }
        let shares = softmax(Tensor::cat(logs, 1), 1);
        let weighted = means.into_iter().enumerate().map(|(i, mean)| mean * shares.clone().narrow(1, i, 1));
        let x_0 = weighted.reduce(|sum, mean| sum + mean).unwrap();
        let epsilon = (x - x_0.clone() * a.clone()) / n.clone();
        match self.reading {
            Parameterization::X0 => x_0,
            Parameterization::Epsilon => epsilon,
            Parameterization::V => epsilon * a - x_0 * n,
        }
    }

    pub(crate) fn estimate_with(
        &self,
        plan: &FlowPlan,
        examples: &dyn Examples,
        batch_size: usize,
        observe: &mut dyn FnMut(FlowProgress) -> ControlFlow<()>,
    ) -> Result<FlowLikelihood, FlowError> {
        let predict = |x: Tensor<Grad, 2>, t: &[f64], _: &[usize]| self.predict(x, t);
        let shape = [self.dimensions()];
        let field = Differentiated { predict: &predict, shape: &shape, device: &DEVICE, dtype: DType::F64 };
        estimate_flow(&self.chain(), &field, plan, examples, batch_size, observe)
    }

    pub(crate) fn estimate(&self, plan: &FlowPlan, examples: &dyn Examples) -> FlowLikelihood {
        self.estimate_with(plan, examples, 64, &mut |_| ControlFlow::Continue(())).unwrap()
    }

    /// `-ln p(x_0)` of the exact flow from `N(0, I)`: the data's density at step 1, but for what `N(0, I)` differs from the data's density at step `T`, where the
    /// flow leads. That place is found by the classical Runge–Kutta method with the oracle's answers.
    pub(crate) fn truth(&self, x_0: &[f64]) -> f64 {
        let signal = self.schedule.alpha_bar(1).sqrt();
        let x_1: Vec<f64> = x_0.iter().map(|x| signal * x).collect();
        let (oracle, d) = (self.oracle(), x_0.len() as f64);
        let x_t = self.carried(&oracle, &x_1);
        let normal = -0.5 * (d * std::f64::consts::TAU.ln() + x_t.iter().map(|x| x * x).sum::<f64>());
        let mismatch = normal - oracle.noised(self.schedule.steps()).log_density(&x_t);
        -(oracle.noised(1).log_density(&x_1) + d * signal.ln() + mismatch)
    }

    /// Where the flow leads.
    fn carried(&self, oracle: &Oracle, x_1: &[f64]) -> Vec<f64> {
        const STEPS: usize = 400;
        let sigmas = Sigmas::of(&self.schedule);
        let ends = [1, self.schedule.steps()].map(|t| sigmas.steps()[t - 1].ln());
        // d(x/a)/dσ = ε̂ (Karras et al. 2022, Eq. 4), over ln σ.
        let slope = |log_sigma: f64, y: &[f64]| -> Vec<f64> {
            let level = sigmas.level_of(log_sigma.exp());
            let x: Vec<f64> = y.iter().map(|y| y * level.signal()).collect();
            let x_0 = oracle.data().noised_between(level).mean_x_0(&x);
            y.iter().zip(x_0).map(|(y, x_0)| y - x_0).collect()
        };
        let add = |y: &[f64], by: f64, k: &[f64]| -> Vec<f64> { y.iter().zip(k).map(|(y, k)| y + by * k).collect() };
        let h = (ends[1] - ends[0]) / STEPS as f64;
        let mut y: Vec<f64> = x_1.iter().map(|x| x / self.schedule.alpha_bar(1).sqrt()).collect();
        for i in 0..STEPS {
            let at = ends[0] + h * i as f64;
            let k1 = slope(at, &y);
            let k2 = slope(at + 0.5 * h, &add(&y, 0.5 * h, &k1));
            let k3 = slope(at + 0.5 * h, &add(&y, 0.5 * h, &k2));
            let k4 = slope(at + h, &add(&y, h, &k3));
            for (k, weight) in [(k1, 1.0), (k2, 2.0), (k3, 2.0), (k4, 1.0)] {
                y = add(&y, weight * h / 6.0, &k);
            }
        }
        let signal = self.schedule.alpha_bar(self.schedule.steps()).sqrt();
        y.iter().map(|y| signal * y).collect()
    }
}

/// Points one after the other.
#[derive(Clone)]
pub(crate) struct Points {
    pub(crate) shape: [usize; 1],
    pub(crate) values: Vec<f32>,
    pub(crate) first_id: usize,
}

impl Points {
    pub(crate) fn get(&self, i: usize) -> &[f32] {
        &self.values[i * self.shape[0]..(i + 1) * self.shape[0]]
    }

    pub(crate) fn exact(&self, i: usize) -> Vec<f64> {
        self.get(i).iter().map(|&x| x.into()).collect()
    }
}

impl Examples for Points {
    fn len(&self) -> usize {
        self.values.len() / self.shape[0]
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, i: usize, out: &mut [f32]) {
        out.copy_from_slice(self.get(i));
    }

    fn id(&self, i: usize) -> usize {
        self.first_id + i
    }
}
