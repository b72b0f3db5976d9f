//! The perfect denoiser.

use burn::tensor::{Tensor, TensorData, backend::Backend};
use rand_distr::{Distribution, StandardNormal};
use sfumato_schedule::{LogSnrCurve, NoiseSchedule};

use super::{MixtureData, NoisedMixture};
use crate::{
    Denoiser, NoiseLevel, Parameterization,
    noise::{Purpose, stream},
};

/// Answers `E[x_0 | x_t]`, as noise, data or `v`: what a network trained without end and without error would say.
///
/// It computes in `f64` on the host and returns the element type that it was given.
#[derive(Clone, Debug)]
pub struct Oracle {
    schedule: NoiseSchedule,
    curve: LogSnrCurve,
    parameterization: Parameterization,
    data: MixtureData,
    /// `q(x_t)` for every `t`, from 0.
    noised: Vec<NoisedMixture>,
}

impl Oracle {
    /// The oracle for `data` under the trained chain of `schedule`, answering in `parameterization`.
    pub fn new(data: impl Into<MixtureData>, schedule: &NoiseSchedule, parameterization: Parameterization) -> Self {
        let data = data.into();
        let noised = (0..=schedule.steps()).map(|t| data.noised(schedule, t)).collect();
        let curve = schedule.log_snr_curve();
        Self { schedule: schedule.clone(), curve, parameterization, data, noised }
    }

    /// `q(x_t)`, for `t` in `0..=T`.
    ///
    /// # Panics
    /// If `t` is above `T`.
    pub fn noised(&self, t: usize) -> &NoisedMixture {
        &self.noised[t]
    }

    /// The data.
    pub fn data(&self) -> &MixtureData {
        &self.data
    }

    /// The best isotropic variance of every reverse step, `log σ_t²` at `t - 1`, for
    /// [`Chain::with_log_variances`](crate::Chain::with_log_variances): [`NoisedMixture::optimal_reverse_variance`] with the mean
    /// over `examples` draws of `x_t`.
    ///
    /// # Panics
    /// If `examples` is 0.
    pub fn optimal_log_variances(&self, seed: u64, examples: usize) -> Vec<f64> {
        assert!(examples > 0, "a mean over no examples");
        let of_step = |t: usize| {
            let (signal, noise) = (self.schedule.alpha_bar(t).sqrt(), self.schedule.one_minus_alpha_bar(t).sqrt());
            let total: f64 = (0..examples)
                .map(|example| {
                    let mut rng = stream(seed, Purpose::Forward, example as u64, t as u64);
                    let mut x_t = self.data.sample(&mut rng);
                    x_t.iter_mut().for_each(|x| {
                        let epsilon: f64 = StandardNormal.sample(&mut rng);
                        *x = signal * *x + noise * epsilon;
                    });
                    self.noised[t].variance_x_0(&x_t)
                })
                .sum();
            self.noised[t].optimal_reverse_variance(total / examples as f64).ln()
        };
        (1..=self.schedule.steps()).map(of_step).collect()
    }

    /// The answer for one example, [`mean_x_0`](NoisedMixture::mean_x_0) in the oracle's parameterisation.
    ///
    /// # Panics
    /// If `x_t` has another dimension than the data, or `t` is not in `1..=T`.
    pub fn answer(&self, x_t: &[f64], t: usize) -> Vec<f64> {
        let (signal, noise) = (self.schedule.alpha_bar(t).sqrt(), self.schedule.one_minus_alpha_bar(t).sqrt());
        self.read(self.noised[t].mean_x_0(x_t), x_t, signal, noise)
    }

    /// The answer for one example at a time between the steps, where the log-SNR is that of the schedule's
    /// [curve](sfumato_schedule::LogSnrCurve).
    ///
    /// # Panics
    /// If `x_t` has another dimension than the data.
    pub fn answer_between(&self, x_t: &[f64], t: f64) -> Vec<f64> {
        let level = NoiseLevel::of_log_snr(self.curve.at(t), t);
        let (signal, noise) = (level.signal(), level.noise());
        self.read(self.data.noised_between(level).mean_x_0(x_t), x_t, signal, noise)
    }

    /// A guess of `x_0` in the oracle's parameterisation.
    fn read(&self, mut answer: Vec<f64>, x_t: &[f64], signal: f64, noise: f64) -> Vec<f64> {
        for (x_0, x_t) in answer.iter_mut().zip(x_t) {
            let epsilon = (x_t - signal * *x_0) / noise;
            *x_0 = match self.parameterization {
                Parameterization::X0 => *x_0,
                Parameterization::Epsilon => epsilon,
                Parameterization::V => signal * epsilon - noise * *x_0,
            };
        }
        answer
    }
}

impl<B: Backend, const D: usize> Denoiser<B, D> for Oracle {
    /// # Panics
    /// If an example has another number of values than the data has dimensions.
    fn predict(&self, x_t: Tensor<B, D>, t: &[usize]) -> Tensor<B, D> {
        self.rows(x_t, t, |row, t| self.answer(row, t))
    }

    /// # Panics
    /// As [`predict`](Denoiser::predict).
    fn predict_between(&self, x_t: Tensor<B, D>, t: &[f64]) -> Tensor<B, D> {
        self.rows(x_t, t, |row, t| self.answer_between(row, t))
    }
}

impl Oracle {
    /// The answers for a batch, row by row.
    fn rows<B: Backend, const D: usize, T: Copy>(
        &self,
        x_t: Tensor<B, D>,
        t: &[T],
        answer: impl Fn(&[f64], T) -> Vec<f64>,
    ) -> Tensor<B, D> {
        let (shape, device, dtype) = (x_t.dims(), x_t.device(), x_t.dtype());
        let values: Vec<f64> = x_t.into_data().iter::<f64>().collect();
        let rows = values.chunks_exact(self.noised[0].dimensions());
        assert_eq!(rows.len(), t.len(), "an example has {} dimensions", self.noised[0].dimensions());
        let answers: Vec<f64> = rows.zip(t).flat_map(|(row, &t)| answer(row, t)).collect();
        Tensor::from_data(TensorData::new(answers, shape), (&device, dtype))
    }
}
